"""Claims on trends in dimension and sparsity: E15, the headline, and a sparsity that grows with d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.purification import measures, population_measures
from featsim.claims.purification.measures import ENDS
from featsim.claims.purification.purifying import ATTACKED, COSINES, MIXTURE, SURGERY, values
from featsim.claims.rules import as_measured, at_least, at_most, between, covers_within
from featsim.claims.structured_data.study import both, seeds, study
from featsim.scenarios import get_scenario
from featsim.scenarios.purification import large_scenario

HEADLINE = get_scenario("purification/headline")
_SWEEP = {
    **{dim: get_scenario(f"purification/d-{dim}") for dim in (50, 100, 200)},
    400: HEADLINE,  # d-400 under another name: one run for both claims
}
_HALF = Measure(measures.half_radius)


def _e15_cases(quick: bool) -> list[Case]:
    chosen = [s for dim, s in _SWEEP.items() if not (quick and dim == 200)]
    return [
        Case(scenario, training, seed, _HALF, ENDS)
        for scenario in chosen
        for training in ("standard", "adversarial")
        for seed in range(1 if quick or scenario is HEADLINE else 2)
    ]


def _e15(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, training, key in (
        ("linear rule", "standard", "linear"),
        ("clean net", "standard", "network"),
        ("adversarial net", "adversarial", "network"),
    ):
        chosen = [o for o in outcomes if o.case.training == training]
        dims = [float(o.case.scenario.data.dim) for o in chosen]  # type: ignore[attr-defined]
        found[f"slope in d, {name}"] = statistics.log_slope(dims, [o.value[key] for o in chosen])
    return found


E15 = Claim(
    id="purification/E15",
    statement="The radius that halves accuracy falls like 1/sqrt d for linear and clean net, not after AT",
    mark="[derived]",
    scenario="purification/d-50",
    criteria=(
        Criterion("slope in d, linear rule", covers_within(-0.5, 0.05), "-1/2"),
        Criterion("slope in d, clean net", covers_within(-0.5, 0.1), "-1/2"),
        Criterion("slope in d, adversarial net", covers_within(0.0, 0.08), "0"),
    ),
    cases=_e15_cases,
    analyse=_e15,
)

_TRAINED = {
    k: large_scenario(f"k-{k:g}", f"d = 100 at k = {k:g}", dim=100, sparsity=k, ratio=0.34)
    for k in (2.0, 3.0, 4.0, 6.0)
}
_PURE = {k: Measure(population_measures.by_sparsity, (k, 0.2)) for k in (2.0, 4.0, 8.0, 16.0, 64.0, 256.0)}
_LARGE = 16.0


def _sparsity_cases(quick: bool) -> list[Case]:
    exact = [Case(HEADLINE, None, 0, measure) for measure in _PURE.values()]
    return exact + [
        Case(scenario, "adversarial", seed, _HALF, ENDS)
        for scenario in _TRAINED.values()
        for seed in seeds((2, 1), quick)
    ]


def _sparsity(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {o.case.measure.arguments[0]: o.value for o in outcomes if o.case.training is None}
    trained = [o for o in outcomes if o.case.training]
    ks = [o.case.scenario.data.sparsity for o in trained]  # type: ignore[attr-defined]
    few, many = ([k for k in found if side * (k - _LARGE) >= 0.0] for side in (-1, 1))
    return {
        "slope in k, pure net, k = 16 to 256": statistics.log_slope(many, [found[k] for k in many]),
        "slope in k, adversarial net, k = 2 to 6": statistics.log_slope(
            ks, [o.value["network"] for o in trained]
        ),
        "slope in k, pure net, k = 2 to 16": statistics.log_slope(few, [found[k] for k in few]),
    }


E15_SPARSITY = Claim(
    id="purification/E15-k",
    statement="After adversarial training the radius that halves accuracy falls like 1/sqrt k",
    mark="[derived]",
    scenario="purification/d-100",
    criteria=(
        Criterion("slope in k, adversarial net, k = 2 to 6", covers_within(-0.5, 0.15), "-1/2"),
        Criterion("slope in k, pure net, k = 2 to 16", covers_within(-0.5, 0.15), "-1/2, exact sums"),
        Criterion("slope in k, pure net, k = 16 to 256", covers_within(-0.5, 0.05), "-1/2, exact sums"),
    ),
    cases=_sparsity_cases,
    analyse=_sparsity,
    found=Verdict.PARTLY,
    explanation=(
        "The score's margin is a whole number J of features, worth J/sqrt k, and the adversary spreads over "
        "the k active ones, so the radius is of order J/k. Half of the samples have J = 1 or 2 up to k of "
        "about 10, which makes the slope nearly -1; only beyond does J grow like sqrt k and the slope reach "
        "-1/2, in the exact sums. Trained nets at d = 100 end at k = 6 or so."
    ),
)

# k = d^0.3, with the reference's accuracy and shares: mean, sd, seeds.
_GROWING = {
    dim: large_scenario(f"d-{dim}-k-{k:g}", f"d = {dim} at k = d^0.3", dim=dim, sparsity=k)
    for dim, k in ((50, 3.2), (100, 4.0), (200, 4.9))
}
_REFERENCE: dict[str, tuple[str, Measure, str, dict[int, tuple[float, float]]]] = {
    "pure share, clean net": (
        "standard", MIXTURE, "pure_share", {50: (0.299, 0.009), 100: (0.260, 0.009), 200: (0.200, 0.006)},
    ),
    "PGD accuracy, adversarial net": (
        "adversarial", ATTACKED, "pgd", {50: (0.802, 0.008), 100: (0.747, 0.040), 200: (0.675, 0.039)},
    ),
}  # fmt: skip


def _growing_cases(quick: bool) -> list[Case]:
    return [
        Case(scenario, training, seed, measure, ENDS)
        for scenario in _GROWING.values()
        for training, measure, *_ in _REFERENCE.values()
        for seed in seeds((2, 1), quick)
    ]


def _growing(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, (training, measure, key, _) in _REFERENCE.items():
        shares = {dim: values(outcomes, measure, training, s, key) for dim, s in _GROWING.items()}
        found |= {f"{name}, d = {dim}": statistics.accuracy(share) for dim, share in shares.items()}
        found[f"{name}, d = 200 - d = 50"] = statistics.exactly(
            sum(shares[200]) / len(shares[200]) - sum(shares[50]) / len(shares[50]), len(shares[50])
        )
    return found


GROWING = Claim(
    id="purification/growing-k",
    statement="With k = d^0.3 and a leak that does not shrink the picture does not sharpen with d",
    mark="[measured]",
    scenario="purification/d-50",
    criteria=(
        *(
            Criterion(f"{name}, d = 200 - d = 50", at_most(0.0), "falls: the opposite of sharpening")
            for name in _REFERENCE
        ),
        *(
            Criterion(f"{name}, d = {dim}", as_measured(*reference, 3), "falls with d")
            for name, (*_, table) in _REFERENCE.items()
            for dim, reference in table.items()
        ),
    ),
    cases=_growing_cases,
    analyse=_growing,
    control=True,
)


def _headline(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    def of(measure: Measure, training: str, key: str) -> Estimate:
        return statistics.mean(values(outcomes, measure, training, HEADLINE, key))

    return {
        "clean net: clean accuracy": of(ATTACKED, "standard", "clean"),
        "clean net: PGD accuracy": of(ATTACKED, "standard", "pgd"),
        "clean net: pure share": of(MIXTURE, "standard", "pure_share"),
        "clean net: dense share": of(MIXTURE, "standard", "dense_share"),
        "mixture removed: PGD accuracy": of(SURGERY, "standard", "removed_pgd"),
        "adversarial net: PGD accuracy": of(ATTACKED, "adversarial", "pgd"),
        "adversarial net: dense share": of(MIXTURE, "adversarial", "dense_share"),
        "share of live neurons with cos(w, w') > 0.707": of(COSINES, "adversarial", "principle"),
    }


_BANDS: dict[str, Any] = {
    "clean net: PGD accuracy": between(0.05, 0.18),
    "clean net: clean accuracy": at_least(0.99),
    "clean net: pure share": between(0.50, 0.56),
    "clean net: dense share": between(0.22, 0.28),
    "mixture removed: PGD accuracy": at_least(0.75),
    "adversarial net: PGD accuracy": at_least(0.88),
    "adversarial net: dense share": at_most(0.005),
    "share of live neurons with cos(w, w') > 0.707": at_least(0.95),
}
SHARPENED = Claim(
    id="purification/headline",
    statement="At d = 400, k = 2 the picture is sharp: accurate but fragile, then robust by the same neurons",
    mark="[measured]",
    scenario=HEADLINE.name,
    criteria=tuple(Criterion(quantity, rule) for quantity, rule in _BANDS.items()),
    cases=both(
        study(HEADLINE, "standard", (2, 1), ATTACKED, MIXTURE, SURGERY, recording=ENDS),
        study(HEADLINE, "adversarial", (2, 1), ATTACKED, MIXTURE, COSINES, recording=ENDS),
    ),
    analyse=_headline,
)

CLAIMS = (E15, E15_SPARSITY, GROWING, SHARPENED)
