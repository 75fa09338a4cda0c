"""Claims on saturation, radius and exponent: T5, T6, T9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import at_least, at_most, covers_within, interval_above, interval_covers
from featsim.claims.structured_data.measures import learned
from featsim.claims.structured_data.race_measures import (
    plateaus,
    radius_outcome,
)
from featsim.claims.structured_data.study import ENDS, by_seed, seeds, split, sweep
from featsim.scenarios import get_scenario
from featsim.theory import escape_radius, linear_growth_share, saturation_level
from featsim.training import Recording

# ------------------------------------------------------------------------------------ T5: saturation

_INNER_STEPS = (3.0, 10.0, 30.0, 100.0, 300.0)
_SATURATIONS = tuple(get_scenario(f"structured-data/saturation-q{q}") for q in (3, 4))


def _t5_cases(quick: bool) -> list[Case]:
    return [
        case
        for base in _SATURATIONS
        for case in sweep(
            base, "adversarial", "attack.step_size", _INNER_STEPS, (10, 3), Measure(plateaus), ENDS
        )(quick)
    ]


def _t5(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for base, runs in zip(_SATURATIONS, split(outcomes, len(_SATURATIONS)), strict=True):
        model: Any = base.model
        size = len(runs) // len(_INNER_STEPS)
        groups = [
            np.array([b for run in runs[i * size : (i + 1) * size] for b in run])
            for i in range(len(_INNER_STEPS))
        ]
        steps = np.concatenate([np.full(len(g), eta) for g, eta in zip(groups, _INNER_STEPS, strict=True)])
        levels = np.concatenate(groups)
        theory = [
            saturation_level(
                float(eta),
                nonrobust_strength=base.data.nonrobust_strength,  # type: ignore[attr-defined]
                power=model.power,
                smoothing=model.smoothing,
            )
            for eta in steps
        ]
        found[f"slope at q = {model.power:g}"] = statistics.log_slope(steps, levels)
        found[f"plateau / B* at q = {model.power:g}"] = statistics.median(levels / np.array(theory))
    return found


T5 = Claim(
    id="structured-data/T5",
    statement="Unclipped adversarial training stops a non-robust coefficient at B*, without robust patches",
    mark="[derived]",
    scenario=_SATURATIONS[0].name,
    criteria=tuple(
        criterion
        for q in (3, 4)
        for criterion in (
            Criterion(
                f"slope at q = {q}",
                interval_covers(-1 / q),
                f"-1/q = {-1 / q:.3f} of log plateau in log eta_in",
            ),
            Criterion(
                f"plateau / B* at q = {q}",
                covers_within(1.0, 0.11, "[choice]: the reference's plateaus at q = 3 lie 11 % below"),
                "B* = (rho^(q-1)/(eta_in beta^(q-2)))^(1/q), neared like t^(-1/(q-1))",
            ),
        )
    ),
    cases=_t5_cases,
    analyse=_t5,
    found=Verdict.PARTLY,
    explanation=(
        "B nears B* only like t^(-1/(q-1)), so at a finite time the slope is off by a little, and the "
        "interval of these nearly noise-free runs is narrower still. Four times as many steps take about "
        "a third off the offset. Neurons whose predicted race lasts beyond a quarter of the run are left out."
    ),
)

# ---------------------------------------------------------------------------------------- T6: radius

RADIUS = get_scenario("structured-data/radius")
_RADII = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
_WEAK, _AT_BETA, _ABOVE = _RADII.index(0.1), _RADII.index(0.4), _RADII.index(0.5)


def _escape_radius(coef0: float) -> float:
    """Return the radius at which the clipped race is even, B starting from B*."""
    data: Any = RADIUS.data
    model: Any = RADIUS.model
    attack: Any = RADIUS.trainings["adversarial"].attack
    level = saturation_level(
        attack.step_size,
        nonrobust_strength=data.nonrobust_strength,
        power=model.power,
        smoothing=model.smoothing,
    )
    return escape_radius(
        coef0,
        level,
        n_robust_patches=data.n_robust_patches,
        n_nonrobust_patches=data.n_nonrobust_patches,
        robust_strength=data.robust_strength,
        nonrobust_strength=data.nonrobust_strength,
        power=model.power,
    )


def _t6(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    groups = split(outcomes, len(_RADII))
    upto = [i for i, radius in enumerate(_RADII) if radius <= 0.4]
    crossing = statistics.logistic_crossing(
        [_RADII[i] for i in upto],
        [sum(run["escaped"] for run in groups[i]) for i in upto],
        [sum(run["classes"] for run in groups[i]) for i in upto],
    )
    foretold = _escape_radius(float(np.mean([run["A0"] for group in groups for run in group])))
    return {
        "non-robust share at eps = 0.1": statistics.accuracy([run["share"] for run in groups[_WEAK]]),
        "non-robust share at eps = 0.4": statistics.accuracy([run["share"] for run in groups[_AT_BETA]]),
        "median of that share": statistics.median([run["share"] for run in groups[_AT_BETA]]),
        "radius at which v keeps half of the classes, minus that of the clipped race": Estimate(
            crossing.value - foretold, crossing.low - foretold, crossing.high - foretold, crossing.n
        ),
        "lowest B at eps = 0.5": statistics.mean([run["lowest_B"] for run in groups[_ABOVE]]),
        "Psi at eps = 0.5 / at eps = 0.4": statistics.ratio_of_means(
            *([run["Psi"] for run in groups[i]] for i in (_ABOVE, _AT_BETA))
        ),
        "spread of lowest B over seeds, eps = 0.5 / eps = 0.4": statistics.ratio_of_spreads(
            *([run["lowest_B"] for run in groups[i]] for i in (_ABOVE, _AT_BETA))
        ),
    }


T6 = Claim(
    id="structured-data/T6",
    statement="The training radius decides what is learned: v is given up below beta and leaks back above",
    mark="[derived]",
    scenario=RADIUS.name,
    criteria=(
        Criterion("non-robust share at eps = 0.1", at_least(0.9), "about 0.9 for eps << beta"),
        Criterion("non-robust share at eps = 0.4", at_most(0.01), "below 0.01 at eps = beta"),
        Criterion("median of that share", at_most(0.01), "the same"),
        Criterion(
            "radius at which v keeps half of the classes, minus that of the clipped race",
            covers_within(0.0, 0.05, "[choice]: half the spacing of the reference's sweep"),
            "0: B escapes iff P_NR (beta-eps)^q B*^(q-2) > P_R (alpha-eps)^q A+^(q-2)",
        ),
        Criterion(
            "lowest B at eps = 0.5",
            at_most(-1.0, "[choice]: far beyond the start's -0.03; the reference saw -9"),
            "label leak: negative B",
        ),
        Criterion(
            "Psi at eps = 0.5 / at eps = 0.4",
            at_least(10.0, "[choice]: an order of magnitude, of the reference's 4.2 / 0.01"),
            "large: v leaks back",
        ),
        Criterion(
            "spread of lowest B over seeds, eps = 0.5 / eps = 0.4",
            interval_above(1.0),
            "above 1: the run-to-run spread grows above beta",
        ),
    ),
    cases=sweep(
        RADIUS, "adversarial", "attack.threat.radius", _RADII, (20, 6), Measure(radius_outcome), ENDS
    ),
    analyse=_t6,
    found=Verdict.PARTLY,
    explanation=(
        "The mean share at eps = beta is held above 0.01 by a few seeds in which the descent jumps late, "
        "after A has won: one robust coefficient drops and v grows back in its place, the trap documented "
        "for large A at a fixed step size. The reference's five seeds had none; the median is far below."
    ),
)

# -------------------------------------------------------------------------------------- T9: exponent

_POWERS = tuple(get_scenario(f"structured-data/power-{q}") for q in (1, 2, 3, 4))


def _t9_cases(quick: bool) -> list[Case]:
    return [
        Case(scenario, "standard", seed, Measure(learned), Recording(every=400))
        for scenario in _POWERS
        for seed in seeds((20, 6), quick)
    ]


def _t9(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {
        f"losing share at q = {scenario.model.power:g}": statistics.accuracy(  # type: ignore[attr-defined]
            [run["mixed"] for run in by_seed(outcomes, Measure(learned), scenario=scenario)]
        )
        for scenario in _POWERS
    }
    linear = by_seed(outcomes, Measure(learned), scenario=_POWERS[0])
    found["non-robust share at q = 1"] = statistics.accuracy([run["share"] for run in linear])
    return found


_RELU_DATA: Any = _POWERS[0].data
_LINEAR_SHARE = linear_growth_share(
    _RELU_DATA.n_robust_patches,
    _RELU_DATA.n_nonrobust_patches,
    _RELU_DATA.robust_strength,
    _RELU_DATA.nonrobust_strength,
)

T9 = Claim(
    id="structured-data/T9",
    statement="At q = 1 there is no race and the loser keeps its share; from q = 2 on the winner takes all",
    mark="[derived]",
    scenario=_POWERS[0].name,
    control=True,
    criteria=(
        Criterion(
            "losing share at q = 1",
            at_least(0.1, "[choice]: above all that the reference saw from q = 2 on, below its 0.24"),
            "finite",
        ),
        Criterion(
            "non-robust share at q = 1",
            covers_within(_LINEAR_SHARE, 0.05, "[choice]: the reference's 0.76 is 0.04 below"),
            f"(P_NR beta)^2 / ((P_NR beta)^2 + (P_R alpha)^2) = {_LINEAR_SHARE:.2f}",
        ),
        *(
            Criterion(
                f"losing share at q = {q}",
                at_most(0.05, f"[choice]: half the limit at q = 1; the reference's {note:g}"),
                "0",
            )
            for q, note in ((2, 0.027), (3, 0.028), (4, 0.014))
        ),
    ),
    cases=_t9_cases,
    analyse=_t9,
)

CLAIMS = (T5, T6, T9)
