"""Claims that compare models: C12, C13, deep networks, and what is not seen at these sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.convergence.baselines import WIDTHS, accuracies, least_widths, loss_trap
from featsim.claims.convergence.descent import at_width, values
from featsim.claims.convergence.measures import course
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import as_measured, at_least, at_most, between
from featsim.claims.structured_data.study import seeds, study
from featsim.scenarios import Scenario, get_scenario
from featsim.scenarios.convergence import capacity

CAPS = get_scenario("convergence/caps")
DEEP = tuple(get_scenario(f"convergence/deep-{depth}") for depth in (1, 2, 3))

SIZES = ((0.8, 8, 4), (0.8, 16, 4), (0.8, 8, 8), (0.8, 16, 8), (0.4, 16, 4))
_QUICK_SIZES = (SIZES[0], SIZES[1], SIZES[4])


def size_name(size: tuple[float, int, int]) -> str:
    """Return rho, n and d in words."""
    return f"rho = {size[0]:g}, n = {size[1]}, d = {size[2]}"


def _capacity_cases(quick: bool) -> list[Case]:
    sizes = _QUICK_SIZES if quick else SIZES
    return [
        Case(capacity(*size), None, seed, Measure(least_widths))
        for size in sizes
        for seed in seeds((8, 4), quick)
    ]


def _by_size(outcomes: Sequence[Outcome]) -> dict[tuple[float, int, int], list[dict[str, float]]]:
    found = {size: values(outcomes, capacity(*size)) for size in SIZES}
    return {size: runs for size, runs in found.items() if runs}


def _ratio(runs: Sequence[dict[str, float]]) -> Estimate:
    """Return the mean ratio of least widths, with a note where it is only a bound."""
    found = statistics.mean([run["ratio"] for run in runs])
    beyond = int(sum(run["beyond"] for run in runs))
    note = f"{beyond} of {len(runs)} adversarial searches ended at width {WIDTHS[-1]}, counted as that"
    return dataclasses.replace(found, note=note) if beyond else found


def _c12(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = _by_size(outcomes)
    ratios = {size: _ratio(runs) for size, runs in found.items()}
    few, many, weak = (found[SIZES[k]] for k in (0, 1, 4))
    grown = {
        name: statistics.ratio_of_means([run[name] for run in many], [run[name] for run in few])
        for name in ("standard", "adversarial")
    }
    return {
        "least width, adversarial over standard, rho = 0.8: least mean over n and d": min(
            (estimate for size, estimate in ratios.items() if size[0] == 0.8),
            key=lambda estimate: estimate.value,
        ),
        f"the same at {size_name(SIZES[1])}": ratios[SIZES[1]],
        "the same at rho = 0.8 less at 0.4, n = 16, d = 4, paired": statistics.paired_difference(
            [run["ratio"] for run in many], [run["ratio"] for run in weak]
        ),
        "standard width at n = 16 over n = 8": grown["standard"],
        "adversarial width at n = 16 over n = 8": grown["adversarial"],
    }


C12 = Claim(
    id="convergence/C12",
    statement="Fitting robustly takes a wider network than fitting, and both widths grow with the samples",
    mark="[source]",
    scenario="convergence/capacity",
    criteria=(
        Criterion(
            "least width, adversarial over standard, rho = 0.8: least mean over n and d",
            at_least(1.3),
            "sqrt(n d) against sqrt(n) parameters; trainable width, so evidence and no proof",
        ),
        Criterion(f"the same at {size_name(SIZES[1])}", as_measured(2.1, 0.7, 5), "> 1"),
        Criterion(
            "the same at rho = 0.8 less at 0.4, n = 16, d = 4, paired",
            at_least(0.0),
            "> 0: the ratio grows with the radius",
        ),
        Criterion("standard width at n = 16 over n = 8", at_least(1.0), "> 1"),
        Criterion("adversarial width at n = 16 over n = 8", at_least(1.0), "> 1"),
    ),
    cases=_capacity_cases,
    analyse=_c12,
)


def _weak(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    name = f"least width, adversarial over standard, {size_name(SIZES[4])}"
    return {name: _ratio([outcome.value for outcome in outcomes])}


C12_WEAK = Claim(
    id="convergence/C12-small-radius",
    statement="At a small radius too, fitting robustly takes a much wider network than fitting",
    mark="[measured]",
    scenario="convergence/capacity",
    criteria=(
        Criterion(
            f"least width, adversarial over standard, {size_name(SIZES[4])}",
            at_least(1.3, "as at rho = 0.8"),
            "the reference has 1.7 +- 0.4 over 5 seeds, which more seeds do not bear out; the capacity bound "
            "is about rho above sqrt(1 - 1/d) = 0.87",
        ),
    ),
    cases=study(capacity(*SIZES[4]), None, (24, 12), Measure(least_widths)),
    analyse=_weak,
    expected=Verdict.NOT_REPRODUCED,
    explanation=(
        "The capacity bound is about radii above sqrt(1 - 1/d) = 0.87. The ratio of 1.7 +- 0.4 over five "
        "seeds, from which the claim comes, does not stand with more seeds."
    ),
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
    return {"adversarial width at d = 8 over d = 4, n = 16": statistics.ratio_of_means(many, few)}


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
    explanation=(
        "At these sizes n <= 2d labels are nearly linearly separable, rho = 0.8 is below sqrt(1 - 1/d), and "
        "a neuron already has d parameters."
    ),
)


_TABLE = {
    "standard": "standard training",
    "adversarial": "adversarial training",
    "kernel ridge": "kernel ridge",
    "kernel logistic": "kernel logistic regression",
    "kernel adversarial": "adversarial training with the kernel",
}


def _c13(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [outcome.value for outcome in outcomes]
    tables = {
        kind: {name: [run[name][place] for run in found] for name in found[0]}
        for place, kind in enumerate(("clean", "robust"))
    }
    estimates = {
        f"{kind} accuracy of {words}": statistics.accuracy(table[name], CAPS.n_samples)
        for kind, table in tables.items()
        for name, words in _TABLE.items()
    }
    gap = statistics.paired_difference(tables["robust"]["adversarial"], tables["robust"]["standard"])
    return {"robust accuracy, adversarial less standard training, paired": gap, **estimates}


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
        Criterion("robust accuracy of standard training", as_measured(0.59, 0.25, 5), "far below 1"),
        Criterion("robust accuracy of adversarial training", as_measured(0.975, 0.03, 5), "near 1"),
        Criterion("robust accuracy of kernel ridge", as_measured(0.63, 0.28, 5), "far below 1"),
        Criterion("robust accuracy of kernel logistic regression", as_measured(0.59, 0.18, 5), "far below 1"),
        Criterion(
            "clean accuracy of adversarial training with the kernel", as_measured(0.975, 0.03, 5), "near 1"
        ),
        Criterion(
            "robust accuracy of adversarial training with the kernel", as_measured(0.90, 0.07, 5), "near 1"
        ),
    ),
    cases=study(CAPS, None, (5, 2), Measure(accuracies)),
    analyse=_c13,
)


_TRAPPED = ("kernel logistic", "linear")
_GAP = "accuracy under the loss attack at .45 less that under the margin attack at .3, {}"


def _trap(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [outcome.value for outcome in outcomes]
    estimates = {}
    for name in _TRAPPED:
        by_loss, by_margin = ([run[name][place] for run in found] for place in (0, 1))
        estimates[_GAP.format(name)] = statistics.paired_difference(by_loss, by_margin)
        for words, shares in (("loss attack at .45", by_loss), ("margin attack at .3", by_margin)):
            estimates[f"accuracy under the {words}, {name}"] = statistics.accuracy(shares, CAPS.n_samples)
    return estimates


TRAP = Claim(
    id="convergence/loss-trap",
    statement="An attack that raises a loss with l(y, y) = 0 overestimates robust accuracy: overshooting y "
    "is a loss too",
    mark="[measured]",
    scenario=CAPS.name,
    criteria=(
        *(
            Criterion(
                _GAP.format(name),
                at_least(0.2),
                f"> 0 although the radius is larger; the reference has {text}",
            )
            for name, text in zip(_TRAPPED, ("1.00 less .59", ".90 less .19"), strict=True)
        ),
        Criterion("accuracy under the loss attack at .45, kernel logistic", at_least(0.95), "1.00"),
        Criterion(
            "accuracy under the margin attack at .3, kernel logistic", as_measured(0.59, 0.18, 5), "0.59"
        ),
        Criterion("accuracy under the margin attack at .3, linear", at_most(0.4), "0.19"),
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
    losses = [statistics.mean([run["least_loss"] for run in found]) for found in per_depth.values()]
    return {
        "least attacked loss, worst mean over H = 1, 2, 3": max(losses, key=lambda estimate: estimate.value),
        "robust accuracy at the end": statistics.accuracy(
            [run["robust_accuracy"] for run in runs], DEEP[0].n_samples
        ),
        "move times sqrt(m), m = 256 over m = 64, H = 1, paired": statistics.mean(ratio),
        "move times sqrt(m) at m = 64, H = 1": statistics.mean(
            [run["largest_distance"] for run in per_depth[DEEP[0].name]]
        ),
        "largest left minus right side of the regret inequality": statistics.exactly(
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
        Criterion("move times sqrt(m) at m = 64, H = 1", at_most(6.0), "O(1), inside the ball R = 6"),
        Criterion("largest left minus right side of the regret inequality", at_most(1e-10), "<= 0 exactly"),
    ),
    cases=_deep_cases,
    analyse=_deep,
)

CLAIMS = (C12, C12_WEAK, C12_GROWTH, C13, TRAP, C1_DEEP)
