"""Claims that compare models: C12, C13, deep networks, and what is not seen at these sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.convergence.baselines import accuracies, least_widths, loss_trap
from featsim.claims.convergence.descent import at_width, values
from featsim.claims.convergence.measures import course
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import as_measured, at_least, at_most, between
from featsim.claims.statistics import Estimate
from featsim.claims.structured_data.study import seeds, study
from featsim.scenarios import Scenario, get_scenario
from featsim.scenarios.convergence import capacity

CAPS = get_scenario("convergence/caps")
DEEP = tuple(get_scenario(f"convergence/deep-{depth}") for depth in (1, 2, 3))

SIZES = ((0.8, 8, 4), (0.8, 16, 4), (0.8, 8, 8), (0.8, 16, 8), (0.4, 16, 4))
_QUICK_SIZES = SIZES[:2]


def size_name(size: tuple[float, int, int]) -> str:
    """Return rho, n and d in words."""
    return f"rho = {size[0]:g}, n = {size[1]}, d = {size[2]}"


def _capacity_cases(quick: bool) -> list[Case]:
    sizes = _QUICK_SIZES if quick else SIZES
    return [
        Case(capacity(*size), None, seed, Measure(least_widths))
        for size in sizes
        for seed in seeds((8, 3), quick)
    ]


def _by_size(outcomes: Sequence[Outcome]) -> dict[tuple[float, int, int], list[dict[str, float]]]:
    found = {size: values(outcomes, capacity(*size)) for size in SIZES}
    return {size: runs for size, runs in found.items() if runs}


def _c12(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = _by_size(outcomes)
    ratios = {size: statistics.mean([run["ratio"] for run in runs]) for size, runs in found.items()}
    grown = {
        name: statistics.mean([run[name] for run in found[SIZES[1]]]).value
        / statistics.mean([run[name] for run in found[SIZES[0]]]).value
        for name in ("standard", "adversarial")
    }
    n = len(found[SIZES[0]])
    return {
        "least width, adversarial over standard: least mean over sizes": min(
            ratios.values(), key=lambda estimate: estimate.value
        ),
        "standard width at n = 16 over n = 8": statistics.exactly(grown["standard"], n),
        "adversarial width at n = 16 over n = 8": statistics.exactly(grown["adversarial"], n),
    }


C12 = Claim(
    id="convergence/C12",
    statement="Fitting robustly takes a wider network than fitting, and both widths grow with the samples",
    mark="[source]",
    scenario="convergence/capacity",
    criteria=(
        Criterion(
            "least width, adversarial over standard: least mean over sizes",
            at_least(1.3),
            "sqrt(n d) against sqrt(n) parameters; trainable width, so evidence and no proof",
        ),
        Criterion("standard width at n = 16 over n = 8", at_least(1.0), "> 1"),
        Criterion("adversarial width at n = 16 over n = 8", at_least(1.0), "> 1"),
    ),
    cases=_capacity_cases,
    analyse=_c12,
)


def _growth_cases(quick: bool) -> list[Case]:
    return [
        Case(capacity(*size), None, seed, Measure(least_widths))
        for size in (SIZES[1], SIZES[3])
        for seed in seeds((8, 8), quick)
    ]


def _growth(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = _by_size(outcomes)
    few, many = ([run["adversarial"] for run in found[size]] for size in (SIZES[1], SIZES[3]))
    return {
        "adversarial width at d = 8 over d = 4, n = 16": statistics.exactly(
            float(np.mean(many) / np.mean(few)), len(few)
        )
    }


C12_GROWTH = Claim(
    id="convergence/C12-dimension",
    statement="The least width of adversarial training grows with the dimension",
    mark="[recalled]",
    scenario="convergence/capacity",
    criteria=(
        Criterion(
            "adversarial width at d = 8 over d = 4, n = 16",
            at_least(1.3),
            "sqrt 2 in parameters; not at these sizes: n <= 2d labels are nearly linearly separable, "
            "rho = .8 is below sqrt(1 - 1/d), and a neuron already has d parameters",
        ),
    ),
    cases=_growth_cases,
    analyse=_growth,
    expected=Verdict.NOT_REPRODUCED,
)


def _c13(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [outcome.value for outcome in outcomes]
    clean = {name: [run[name][0] for run in found] for name in found[0]}
    robust = {name: [run[name][1] for run in found] for name in found[0]}
    return {
        "robust accuracy, adversarial less standard training, paired": statistics.paired_difference(
            robust["adversarial"], robust["standard"]
        ),
        "clean accuracy of standard training": statistics.mean(clean["standard"]),
        "clean accuracy of kernel ridge": statistics.mean(clean["kernel ridge"]),
        "robust accuracy of adversarial training": statistics.mean(robust["adversarial"]),
        "robust accuracy of kernel ridge": statistics.mean(robust["kernel ridge"]),
        "robust accuracy of adversarial training with the kernel": statistics.mean(
            robust["kernel adversarial"]
        ),
    }


C13 = Claim(
    id="convergence/C13",
    statement="In ten dimensions adversarial training is robust where standard training and kernel ridge are "
    "only right on clean points",
    mark="[measured]",
    scenario=CAPS.name,
    criteria=(
        Criterion(
            "robust accuracy, adversarial less standard training, paired", at_least(0.2), "a large gap"
        ),
        Criterion("clean accuracy of standard training", at_least(0.99), "1"),
        Criterion("clean accuracy of kernel ridge", at_least(0.99), "1"),
        Criterion("robust accuracy of adversarial training", as_measured(0.975, 0.03, 5), "near 1"),
        Criterion("robust accuracy of kernel ridge", as_measured(0.63, 0.28, 5), "far below 1"),
        Criterion(
            "robust accuracy of adversarial training with the kernel", as_measured(0.90, 0.07, 5), "near 1"
        ),
    ),
    cases=study(CAPS, None, (5, 2), Measure(accuracies)),
    analyse=_c13,
)


def _trap(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [outcome.value for outcome in outcomes]
    return {
        f"accuracy under the loss attack at .45 less that under the margin attack at .3, {name}": (
            statistics.paired_difference([run[name][0] for run in found], [run[name][1] for run in found])
        )
        for name in ("kernel logistic", "linear")
    }


TRAP = Claim(
    id="convergence/loss-trap",
    statement="An attack that raises a loss with l(y, y) = 0 overestimates robust accuracy: overshooting y "
    "is a loss too",
    mark="[measured]",
    scenario=CAPS.name,
    criteria=tuple(
        Criterion(
            f"accuracy under the loss attack at .45 less that under the margin attack at .3, {name}",
            at_least(0.2),
            text,
        )
        for name, text in (("kernel logistic", "note: 1.00 less .59"), ("linear", "note: .90 less .19"))
    ),
    cases=study(CAPS, None, (5, 2), Measure(loss_trap)),
    analyse=_trap,
    control=True,
)


def _deep_settings(quick: bool) -> list[Scenario]:
    return [*DEEP, *(at_width(base, 256) for base in DEEP[: 1 if quick else 2])]


def _deep_cases(quick: bool) -> list[Case]:
    return [
        Case(setting, "adversarial", seed, Measure(course))
        for setting in _deep_settings(quick)
        for seed in seeds((4, 2), quick)
    ]


def _deep(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    runs = [outcome.value for outcome in outcomes]
    per_depth = {base.name: values(outcomes, base) for base in DEEP}
    wide = values(outcomes, at_width(DEEP[0], 256))
    ratio = [
        b["largest_distance"] / a["largest_distance"]
        for a, b in zip(per_depth[DEEP[0].name], wide, strict=True)
    ]
    worst = max(float(np.mean([run["least_loss"] for run in found])) for found in per_depth.values())
    return {
        "least attacked loss, worst mean over H = 1, 2, 3": statistics.exactly(worst, len(wide)),
        "robust accuracy at the end": statistics.mean([run["robust_accuracy"] for run in runs]),
        "move times sqrt(m), m = 256 over m = 64, H = 1, paired": statistics.mean(ratio),
        "largest left minus right side of 6(a)": statistics.exactly(
            max(run["violation"] for run in runs), len(runs)
        ),
    }


C1_DEEP = Claim(
    id="convergence/C1-deep",
    statement="Deep ReLU networks converge too, every layer within a ball of radius of order 1/sqrt(m)",
    mark="[recalled]",
    scenario=DEEP[0].name,
    criteria=(
        Criterion("least attacked loss, worst mean over H = 1, 2, 3", at_most(0.1), "small"),
        Criterion("robust accuracy at the end", at_least(1.0), "1"),
        Criterion(
            "move times sqrt(m), m = 256 over m = 64, H = 1, paired", between(0.7, 1.4), "independent of m"
        ),
        Criterion("largest left minus right side of 6(a)", at_most(1e-10), "<= 0 exactly"),
    ),
    cases=_deep_cases,
    analyse=_deep,
)

CLAIMS = (C12, C12_GROWTH, C13, TRAP, C1_DEEP)
