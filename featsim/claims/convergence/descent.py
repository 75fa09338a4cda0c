"""Claims on convergence itself: C1 to C6, and the width that the theorem asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.convergence.measures import (
    ball_sweep,
    course,
    late_losses,
    lazy_sweep,
    regret_by_horizon,
)
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import as_measured, at_least, at_most, between
from featsim.claims.structured_data.study import seeds, study
from featsim.scenarios import Scenario, get_scenario
from featsim.theory.convergence import theorem_width

S1 = get_scenario("convergence/S1")
TANGENT = get_scenario("convergence/tangent")
BALL = get_scenario("convergence/ball")
STRENGTH = get_scenario("convergence/strength")

WIDTHS = (16, 64, 256, 1024)
_N_SEEDS = (5, 3)
_COURSE = Measure(course)


def at_width(scenario: Scenario, width: int) -> Scenario:
    """Return the scenario with another width."""
    return scenario.with_settings({"model.width": width})


def values(outcomes: Sequence[Outcome], scenario: Scenario, training: str | None = None) -> list[Any]:
    """Return what was measured on one setting, seed by seed."""
    digest = scenario.digest()
    return [
        outcome.value
        for outcome in outcomes
        if outcome.case.scenario.digest() == digest and training in (None, outcome.case.training)
    ]


def slopes(found: Sequence[Any], name: str, x: Sequence[float]) -> Estimate:
    """Return the mean over seeds of the exponents of a quantity along a sweep."""
    logs = np.log(np.asarray(x, dtype=np.float64))
    return statistics.mean([np.polyfit(logs, np.log(run[name]), 1)[0] for run in found])


def _c1_cases(quick: bool) -> list[Case]:
    widths = WIDTHS[:3] if quick else WIDTHS
    return [
        Case(at_width(S1, width), "adversarial", seed, _COURSE)
        for width in widths
        for seed in seeds(_N_SEEDS, quick)
    ]


def _c1(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    by_width = {width: values(outcomes, at_width(S1, width)) for width in WIDTHS}
    wide = {width: runs for width, runs in by_width.items() if runs and width >= 64}
    first, last = wide[64], wide[max(wide)]
    ratios = [b["distance"] / a["distance"] for a, b in zip(first, last, strict=True)]
    every = [run for runs in wide.values() for run in runs]
    return {
        "least attacked loss, worst mean over m >= 64": max(
            (statistics.mean([run["least_loss"] for run in runs]) for runs in wide.values()),
            key=lambda estimate: estimate.value,
        ),
        "robust accuracy at the end, m >= 64": statistics.accuracy(
            [run["robust_accuracy"] for run in every], S1.n_samples
        ),
        "least attacked loss at m = 256": statistics.mean([run["least_loss"] for run in wide[256]]),
        "distance from the start, widest over m = 64, paired": statistics.mean(ratios),
        "share of steps that raise the loss": statistics.mean([run["rises"] for run in every]),
    }


C1 = Claim(
    id="convergence/C1",
    statement="Adversarial training of the two-layer net drives the attacked loss towards zero at any but "
    "tiny width, at a distance from the start that does not grow with it, and not monotonically",
    mark="[recalled]",
    scenario=S1.name,
    criteria=(
        Criterion("least attacked loss, worst mean over m >= 64", at_most(0.1), "small"),
        Criterion("robust accuracy at the end, m >= 64", at_least(1.0), "1"),
        Criterion("least attacked loss at m = 256", as_measured(0.011, 0.010, 5), "independent of m"),
        Criterion("distance from the start, widest over m = 64, paired", between(0.7, 1.4), "O(1) in m"),
        Criterion("share of steps that raise the loss", at_least(0.05), "no descent claim, only regret"),
    ),
    cases=_c1_cases,
    analyse=_c1,
)

_ACTIVATIONS = ("relu", "quadratic-relu", "softplus")
_RANDOM = S1.with_settings(
    {"schedule.comparator": "random", "schedule.ball_radius": 2.0, "schedule.n_steps": 150}
)
_RANDOM_SETTINGS = tuple(
    _RANDOM.with_settings({"model.width": width, "model.activation.name": name})
    for width in (8, 64)
    for name in _ACTIVATIONS
)


def _c2_cases(quick: bool) -> list[Case]:
    tangents = [
        Case(TANGENT.with_settings({"schedule.ball_radius": radius}), "adversarial", seed, _COURSE)
        for radius in (100.0, 1.5)
        for seed in seeds((5, 2), quick)
    ]
    random = [
        Case(scenario, "adversarial", seed, _COURSE)
        for scenario in _RANDOM_SETTINGS
        for seed in seeds((20, 3), quick)
    ]
    return [*_c1_cases(quick), *tangents, *random]


def _c2(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    tangent = [o.value for o in outcomes if o.case.scenario.model.tangent]  # type: ignore[attr-defined]
    random = [value for scenario in _RANDOM_SETTINGS for value in values(outcomes, scenario)]
    n = len(outcomes)
    return {
        "largest left minus right side": statistics.exactly(max(o.value["violation"] for o in outcomes), n),
        "largest slack of the tangent model": statistics.exactly(
            max(run["slack"] for run in tangent), len(tangent)
        ),
        "largest slack, net against random comparators": statistics.exactly(
            max(run["slack"] for run in random), len(random)
        ),
    }


C2 = Claim(
    id="convergence/C2",
    statement="The regret inequality holds in every run, for every network, step and comparator in the ball",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        Criterion("largest left minus right side", at_most(1e-10), "<= 0 exactly: more is a bug"),
        Criterion("largest slack of the tangent model", at_most(1e-12), "<= 0: the loss is convex in W"),
        Criterion(
            "largest slack, net against random comparators",
            at_least(0.01),
            "> 0 somewhere: the net is not convex, and the slack term is needed",
        ),
    ),
    cases=_c2_cases,
    analyse=_c2,
)

HORIZONS = (25, 50, 100, 200, 400, 800)


def _c3_cases(quick: bool) -> list[Case]:
    measure = Measure(regret_by_horizon, (HORIZONS[:4] if quick else HORIZONS,))
    return study(BALL, None, (5, 2), measure)(quick)


def _c3(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [outcome.value for outcome in outcomes]
    horizons = outcomes[0].case.measure.arguments[0]
    over = max(float(np.max(run["regret"] - run["bound"])) for run in found)
    return {
        "exponent of the average regret in T": slopes(found, "regret", horizons),
        "largest regret minus bound": statistics.exactly(over, len(found)),
        "violation of the regret inequality": statistics.exactly(
            max(float(r["violation"].max()) for r in found), len(found)
        ),
    }


C3 = Claim(
    id="convergence/C3",
    statement="With alpha = R/sqrt(T) the average attacked loss exceeds the ball's optimum by O(1/sqrt(T))",
    mark="[recalled]",
    scenario=BALL.name,
    criteria=(
        Criterion("exponent of the average regret in T", at_most(-0.4), "-1/2 as an upper bound"),
        Criterion(
            "largest regret minus bound", at_most(1e-10), "D^2/(2 alpha T) + (alpha/2) mean g^2 + slack"
        ),
        Criterion("violation of the regret inequality", at_most(1e-10), "<= 0"),
    ),
    cases=_c3_cases,
    analyse=_c3,
)

RADII = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
_LIPSCHITZ = np.sqrt(2.0)  # sqrt(K(x, x)) of the quadratic ReLU on the sphere, times 1 for Huber


def _c4(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [outcome.value for outcome in outcomes]
    n_steps = BALL.trainings["adversarial"].schedule.n_steps
    allowed = np.array(RADII) * _LIPSCHITZ / np.sqrt(n_steps)
    least = np.mean([run["least_loss"] for run in found], axis=0)
    worst = max(float(np.max((run["least_loss"] - run["optimum"]) / allowed)) for run in found)
    n = len(found)
    return {
        "largest gap to the optimum over R G/sqrt(T)": statistics.exactly(worst, n),
        "largest rise of the least loss with R": statistics.exactly(float(np.diff(least).max()), n),
        "share of steps projected at R = 0.25": statistics.mean([run["projected"][0] for run in found]),
        "share of steps projected at R = 3": statistics.mean([run["projected"][-1] for run in found]),
    }


C4 = Claim(
    id="convergence/C4",
    statement="Trained loss and optimal robust loss in the ball fall together as the ball grows",
    mark="[recalled]",
    scenario=BALL.name,
    criteria=(
        Criterion("largest gap to the optimum over R G/sqrt(T)", at_most(1.0), "<= 1, G^2 = K(x, x) = 2"),
        Criterion("largest rise of the least loss with R", at_most(0.0), "decreases"),
        Criterion("share of steps projected at R = 0.25", at_least(0.9), "the ball binds"),
        Criterion("share of steps projected at R = 3", at_most(0.1), "the ball is large enough"),
    ),
    cases=study(BALL, None, (5, 2), Measure(ball_sweep, (RADII,))),
    analyse=_c4,
)

_LATE = Measure(late_losses)


def _c5_cases(quick: bool) -> list[Case]:
    return [case for name in STRENGTH.trainings for case in study(STRENGTH, name, (5, 3), _LATE)(quick)]


def _c5(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    by_training = {name: values(outcomes, STRENGTH, name) for name in STRENGTH.trainings}
    exact, none, short = (by_training[name] for name in ("adversarial", "standard", "short-step"))
    gap = max(abs(run["robust_loss"] - run["attacked_loss"]) for run in exact)
    return {
        "robust loss over attacked loss, short steps": statistics.median(
            [run["robust_loss"] / run["attacked_loss"] for run in short]
        ),
        "largest |robust - attacked loss|, exact adversary": statistics.exactly(gap, len(exact)),
        "robust loss of standard training less that of the exact adversary's, paired": (
            statistics.paired_difference(
                [run["robust_loss"] for run in none], [run["robust_loss"] for run in exact]
            )
        ),
        "robust accuracy, all trainings": statistics.accuracy(
            [run["robust_accuracy"] for runs in by_training.values() for run in runs], STRENGTH.n_samples
        ),
    }


C5 = Claim(
    id="convergence/C5",
    statement="Training covers the attack it meets: a weak one leaves a robust loss far above its own",
    mark="[source]",
    scenario=STRENGTH.name,
    criteria=(
        Criterion("robust loss over attacked loss, short steps", at_least(5.0), "L_A << L_*"),
        Criterion("largest |robust - attacked loss|, exact adversary", at_most(1e-12), "L_A = L_*"),
        Criterion(
            "robust loss of standard training less that of the exact adversary's, paired",
            at_least(0.005),
            "the stronger adversary leaves the smaller robust loss; the reference has .107 against .081",
        ),
        Criterion(
            "robust accuracy, all trainings",
            at_least(0.99),
            "1: on the circle the loss tells them apart, see C13",
        ),
    ),
    cases=_c5_cases,
    analyse=_c5,
)

LAZY_WIDTHS = (64, 256, 1024, 4096)
LAZY = (
    ("quadratic-relu", True, "quadratic ReLU, paired"),
    ("quadratic-relu", False, "quadratic ReLU, plain"),
    ("softplus", True, "softplus, paired"),
    ("relu", True, "ReLU, paired"),
)
LAZY_STEPS = 200


def _c6_cases(quick: bool) -> list[Case]:
    widths = LAZY_WIDTHS[:3] if quick else LAZY_WIDTHS
    return [
        case
        for name, paired, _ in LAZY
        for case in study(S1, None, (5, 3), Measure(lazy_sweep, (widths, name, paired, LAZY_STEPS)))(quick)
    ]


def _c6(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, paired, words in LAZY:
        own = [o for o in outcomes if o.case.measure.arguments[1:3] == (name, paired)]
        runs, widths = [o.value for o in own], own[0].case.measure.arguments[0]
        found[f"exponent of the kernel's drift, {words}"] = slopes(runs, "drift", widths)
        if paired and name == "quadratic-relu":
            found["exponent of the largest move of a neuron"] = slopes(runs, "move", widths)
            found["exponent of the tangent gap"] = slopes(runs, "tangent_gap", widths)
    shares = [float(np.max(o.value["tangent_gap"] / o.value["gap_bound"])) for o in outcomes]
    found["largest tangent gap over its bound"] = statistics.exactly(max(shares), len(shares))
    return found


C6 = Claim(
    id="convergence/C6",
    statement="The wider the network, the lazier: kernel drift, moves of neurons and tangent gap fall with m",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        *(
            Criterion(f"exponent of the kernel's drift, {words}", at_most(-0.8), "-1 for smooth activations")
            for name, _, words in LAZY
            if name != "relu"
        ),
        Criterion(
            "exponent of the kernel's drift, ReLU, paired",
            as_measured(-0.66, 0.10, 5),
            "-3/4: sqrt(m) gates flip, with random signs",
        ),
        Criterion(
            "exponent of the largest move of a neuron", as_measured(-0.42, 0.10, 5), "-1/2, O(1/sqrt m)"
        ),
        Criterion("exponent of the tangent gap", at_most(-0.5), "<= -1/2: beta R^2/(2 sqrt m) at worst"),
        Criterion(
            "largest tangent gap over its bound",
            at_most(1.0),
            "beta R^2/(2 sqrt m), beta the largest curvature, R the run's largest distance; none for ReLU",
        ),
    ),
    cases=_c6_cases,
    analyse=_c6,
)


def _width(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    run = outcomes[0].value
    asked = theorem_width(max(run["largest_distance"], 1.0), 0.1)
    return {
        "theorem's width over the widest run": statistics.exactly(asked / max(WIDTHS), len(outcomes)),
        "runs as wide as the theorem asks": statistics.nothing(),
    }


THEOREM_WIDTH = Claim(
    id="convergence/theorem-width",
    statement="Width of order R^9 H^16/eps^7 is needed: nothing that can be run is as wide, so its necessity "
    "cannot be seen here; small networks converge already",
    mark="[recalled]",
    scenario=S1.name,
    criteria=(
        Criterion(
            "runs as wide as the theorem asks",
            at_least(1.0),
            "m >= R^9 H^16/eps^7 up to a constant, at eps = 0.1",
        ),
        Criterion(
            "theorem's width over the widest run", at_least(1.0), "the constants are vacuous in practice"
        ),
    ),
    cases=study(S1, "adversarial", (1, 1), _COURSE),
    analyse=_width,
    expected=Verdict.VACUOUS,
    explanation=(
        "No network that can be run is as wide as the theorem asks, so there is nothing to measure."
    ),
)

CLAIMS = (C1, C2, C3, C4, C5, C6, THEOREM_WIDTH)
