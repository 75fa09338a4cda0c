"""Claims on structured data at large d: the barrier, the radius, and noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.gram_space.measures import learned
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most, between
from featsim.claims.structured_data.study import ENDS, by_seed, seeds
from featsim.scenarios import Scenario
from featsim.scenarios.gram_space import structured
from featsim.theory import barrier_norm, dead_zone_edge

_LEARNED, _FRESH = Measure(learned), Measure(learned, (1_000_000,))
_TRAINED = "adversarial"


def critical_norm(radius: float = 0.35, attack_step_size: float = 1000.0) -> float:
    """Return w_c of the setting."""
    return barrier_norm(radius, attack_step_size, power=3.0, smoothing=0.5)


# ------------------------------------------------------------------------------ barrier

_ABOVE = (1.6, 2.0)
_BARRIER_DIMS = (1e3, 1e6)
_NEAR, _BEYOND = 0.35, 0.42  # below and above beta = .4
_WEAKER = (1e4, 100.0)  # dimension and inner step


def _barrier(dim: float, times: float, eta: float = 1000.0, radius: float = _NEAR) -> Scenario:
    # Runs that learn need fewer than 2000 steps.
    return structured(
        dim, radius=radius, noise_norm=0.0, start_norm=times * critical_norm(radius, eta),
        attack_step_size=eta, n_steps=2500,
    )  # fmt: skip


def _barrier_cases(quick: bool) -> list[Case]:
    points = [(dim, times, 1000.0, _NEAR) for dim in _BARRIER_DIMS for times in (1.0, *_ABOVE)]
    points += [(_WEAKER[0], times, _WEAKER[1], _NEAR) for times in (1.0, *_ABOVE)]
    points += [(1e6, times, 1000.0, _BEYOND) for times in (1.0, *_ABOVE)]
    return [
        Case(_barrier(*point), _TRAINED, seed, _LEARNED, ENDS)
        for point in points
        for seed in seeds((6, 3), quick)
    ]


def _of(outcomes: Sequence[Outcome], what: str, *point: float) -> list[float]:
    return [f[what] for f in by_seed(outcomes, _LEARNED, scenario=_barrier(*point))]


def _barrier_found(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    def least(what: str, *point: float) -> Estimate:
        values = _of(outcomes, what, *point)
        return statistics.exactly(min(values), len(values))

    def largest(*points: tuple[float, ...]) -> Estimate:
        values = [value for point in points for value in _of(outcomes, "either", *point)]
        return statistics.exactly(max(values), len(values))

    behind = _barrier(1e6, 2.0)
    norm = 2.0 * critical_norm(_NEAR)
    edge = dead_zone_edge(norm, 1000.0, power=3.0, smoothing=0.5)
    data: Any = behind.data
    weak = [(_WEAKER[0], times, _WEAKER[1]) for times in _ABOVE]
    return {
        "classes that learn u or v at w_c, d = 1e3, least of all runs": least("either", 1e3, 1.0),
        "the same, d = 1e6": least("either", 1e6, 1.0),
        "inner step 100, d = 1e4: the same": least("either", _WEAKER[0], 1.0, _WEAKER[1]),
        "radius .42, d = 1e6: classes that learn u at w_c, least": least("learned", 1e6, 1.0, 1e3, _BEYOND),
        "classes that learn u or v at 1.6 and 2 w_c, largest of all runs": largest(
            *((dim, times) for dim in _BARRIER_DIMS for times in _ABOVE)
        ),
        "inner step 100: the same": largest(*weak),
        "radius .42: the same": largest(*((1e6, times, 1e3, _BEYOND) for times in _ABOVE)),
        "where u stops at 2 w_c, d = 1e6, over the zone's edge": statistics.mean(
            [A / edge for A in _of(outcomes, "A", 1e6, 2.0)]
        ),
        "where v stops there, over the same": statistics.mean(
            [B * data.nonrobust_strength / edge for B in _of(outcomes, "B", 1e6, 2.0)]
        ),
    }


_EVERY = "the dead zone is empty at w_c, so nothing is held back: exact"
_STEP = "well beyond w_c, an estimate for one neuron; the step is measured at 1.25 to 1.4 w_c"

BARRIER = Claim(
    id="gram-space/barrier",
    statement="Adversarial training learns only from sigma_0 sqrt(d) below about 1.3 w_c, at every large d; "
    "beyond, coefficients stop at the edge of the dead zone",
    mark="[derived]",
    scenario="gram-space/S1-1e6",
    criteria=(
        Criterion("classes that learn u or v at w_c, d = 1e3, least of all runs", at_least(1.0, _EVERY), "1"),
        Criterion("the same, d = 1e6", at_least(1.0), "1: v in some, as the radius is below beta"),
        Criterion("inner step 100, d = 1e4: the same", at_least(1.0), "1"),
        Criterion(
            "radius .42, d = 1e6: classes that learn u at w_c, least",
            at_least(1.0),
            "1: beyond beta nothing competes",
        ),
        Criterion(
            "classes that learn u or v at 1.6 and 2 w_c, largest of all runs",
            at_most(0.0, _STEP),
            "0: the dead zone is not empty",
        ),
        Criterion("inner step 100: the same", at_most(0.0), "0"),
        Criterion("radius .42: the same", at_most(0.0), "0"),
        Criterion(
            "where u stops at 2 w_c, d = 1e6, over the zone's edge",
            between(0.97, 1.03, "[choice]: to 3 %"),
            "1: z* = (rho^(q-1) / (eta_in w^2))^(1/(q-2))",
        ),
        Criterion("where v stops there, over the same", between(0.97, 1.03), "1: z* / beta"),
    ),
    cases=_barrier_cases,
    analyse=_barrier_found,
)

# ------------------------------------------------------------------------------ radius

_RADIUS_DIMS = (20.0, 1e4, 1e8)


def _radius(dim: float, radius: float, times: float) -> Scenario:
    return structured(dim, radius=radius, noise_norm=0.0, start_norm=times * critical_norm(radius))


def _radius_cases(quick: bool) -> list[Case]:
    points = [(dim, radius, 0.6) for dim in _RADIUS_DIMS for radius in (0.40, 0.42)]
    points += [(20.0, 0.35, 0.6), (1e6, 0.35, 0.6), (1e6, 0.35, 0.2)]
    return [
        Case(_radius(*point), _TRAINED, seed, _LEARNED, ENDS)
        for point in points
        for seed in seeds((5, 3), quick)
    ]


def _radius_found(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    def of(name: str, *point: Any) -> list[float]:
        return [f[name] for f in by_seed(outcomes, _LEARNED, scenario=_radius(*point))]

    above = [(dim, radius, 0.6) for dim in _RADIUS_DIMS for radius in (0.40, 0.42)]
    escaped = [value for point in above for value in of("escaped", *point)]
    return {
        "classes won by v at eps = .40 and .42, largest of all runs": statistics.exactly(
            max(escaped), len(escaped)
        ),
        "classes that learn u there": statistics.accuracy([v for p in above for v in of("learned", *p)]),
        "classes won by v at eps = .35, d = 20": statistics.accuracy(of("escaped", 20.0, 0.35, 0.6)),
        "the same, d = 1e6": statistics.accuracy(of("escaped", 1e6, 0.35, 0.6)),
        "the same, d = 1e6, a start of .2 w_c": statistics.accuracy(of("escaped", 1e6, 0.35, 0.2)),
    }


RADIUS = Claim(
    id="gram-space/below-beta",
    statement="A radius just below beta suppresses v at small d, not at large d; one from beta on always",
    mark="[derived]",
    scenario="gram-space/S1-1e8",
    criteria=(
        Criterion("classes won by v at eps = .40 and .42, largest of all runs", at_most(0.0), "0"),
        Criterion("classes that learn u there", at_least(0.95), "1"),
        Criterion("classes won by v at eps = .35, d = 20", at_most(0.1), "0: A+ is still large"),
        Criterion("the same, d = 1e6", at_least(0.4), "P_NR(beta-eps)^q B* > P_R(alpha-eps)^q A+"),
        Criterion("the same, d = 1e6, a start of .2 w_c", at_least(0.6), "the same, further"),
    ),
    cases=_radius_cases,
    analyse=_radius_found,
)

# ------------------------------------------------------------------------------ noise

_NOISY = {dim: structured(dim) for dim in (20.0, 1e3, 1e4, 1e6)}


def _noise_cases(quick: bool) -> list[Case]:
    size = seeds((5, 3), quick)
    # At d = 20 no accuracy is asked for, and noise is too strong for norms to decide samples.
    measures = {dim: _LEARNED if dim == 20.0 else _FRESH for dim in _NOISY}
    cases = [Case(s, _TRAINED, seed, measures[dim], ENDS) for dim, s in _NOISY.items() for seed in size]
    return cases + [Case(_NOISY[1e6], "standard", seed, _FRESH, ENDS) for seed in size]


def _noise_found(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    large = {dim: by_seed(outcomes, _FRESH, _TRAINED, s) for dim, s in _NOISY.items() if dim != 20.0}
    found = {20.0: by_seed(outcomes, _LEARNED, _TRAINED, _NOISY[20.0]), **large}
    plain = by_seed(outcomes, _FRESH, "standard", _NOISY[1e6])
    runs = [f for values in large.values() for f in values]
    share = {dim: np.array([f["share"] for f in values]) for dim, values in found.items()}
    return {
        "non-robust share at d = 20": statistics.mean(share[20.0]),
        "non-robust share at d = 1e4": statistics.mean(share[1e4]),
        "non-robust share at d = 1e6": statistics.mean(share[1e6]),
        "A-feat accuracy on fresh samples, d >= 1e3": statistics.accuracy(
            [f["feature_attacked"] for f in runs]
        ),
        "clean accuracy on fresh samples, d >= 1e3": statistics.accuracy([f["clean"] for f in runs]),
        "control: non-robust share of standard training, d = 1e6": statistics.mean(
            [f["share"] for f in plain]
        ),
        "control: its A-feat accuracy": statistics.accuracy([f["feature_attacked"] for f in plain]),
    }


NOISE = Claim(
    id="gram-space/noise",
    statement="Noise breaks the suppression of v at small d only: at fixed noise norm it no longer does",
    mark="[derived]",
    scenario="gram-space/S1-1e6",
    criteria=(
        Criterion("non-robust share at d = 20", at_least(0.2), "noise diverts the attack"),
        Criterion("non-robust share at d = 1e4", at_most(0.01), "falls with <xi, u> ~ s / sqrt(d)"),
        Criterion("non-robust share at d = 1e6", at_most(0.001), "further"),
        Criterion("A-feat accuracy on fresh samples, d >= 1e3", at_least(0.99), "1"),
        Criterion("clean accuracy on fresh samples, d >= 1e3", at_least(0.99), "1"),
        Criterion("control: non-robust share of standard training, d = 1e6", at_least(0.99), "1"),
        Criterion("control: its A-feat accuracy", at_most(0.2), "0"),
    ),
    cases=_noise_cases,
    analyse=_noise_found,
)

CLAIMS = (BARRIER, RADIUS, NOISE)
