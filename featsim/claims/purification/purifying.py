"""Claims on dense mixtures and their removal: E3 to E9, E11, E12, E14, with controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.purification import measures
from featsim.claims.purification.measures import ENDS
from featsim.claims.rules import as_measured, at_least, at_most, between
from featsim.claims.statistics import Estimate
from featsim.claims.structured_data.study import Cases, both, by_seed, seeds, study
from featsim.scenarios import Scenario, get_scenario

REGIMES = {name: get_scenario(f"purification/{name}") for name in ("A", "B", "C")}
A, B, C = REGIMES.values()
HEADLINE = get_scenario("purification/headline")
COLLAPSE = get_scenario("purification/collapse")
N_SEEDS = (5, 2)

ATTACKED = Measure(measures.attacked)
MIXTURE = Measure(measures.mixture)
OTHERS = Measure(measures.other_threats)
SURGERY = Measure(measures.surgery)
CERTIFIED = Measure(measures.certified)
COSINES = Measure(measures.cosines)
LOTTERY = Measure(measures.lottery)

Analysis = Callable[[Sequence[Outcome]], dict[str, Estimate]]


def runs(training: str, *wanted: Measure, regimes: Sequence[Scenario] = (A, B, C)) -> Cases:
    """Return the cases of one training in several regimes."""
    return both(*(study(regime, training, N_SEEDS, *wanted, recording=ENDS) for regime in regimes))


def values(
    outcomes: Sequence[Outcome], measure: Measure, training: str, regime: Scenario, key: str
) -> list[float]:
    """Return one entry of what a measure gave, seed by seed."""
    return [found[key] for found in by_seed(outcomes, measure, training, regime)]


def _e3(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    return {
        f"{label}, {name}": statistics.accuracy(values(outcomes, ATTACKED, "standard", regime, key))
        for name, regime in REGIMES.items()
        for label, key in (("clean accuracy", "clean"), ("PGD accuracy", "pgd"))
    }


_FRAGILE = {"A": 0.35, "B": 0.35, "C": 0.45}

E3 = Claim(
    id="purification/E3",
    statement="The clean-trained net generalises and is not robust",
    mark="[source]",
    scenario="purification/A",
    criteria=(
        *(Criterion(f"PGD accuracy, {n}", at_most(limit), "near 0") for n, limit in _FRAGILE.items()),
        *(Criterion(f"clean accuracy, {n}", at_least(0.97), "near 1") for n in REGIMES),
    ),
    cases=runs("standard", ATTACKED),
    analyse=_e3,
)


def _e4(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    dense, pgd, random = (values(outcomes, ATTACKED, "standard", A, k) for k in ("dense", "pgd", "random"))
    return {
        "dense-direction accuracy - PGD accuracy": statistics.paired_difference(dense, pgd),
        "random-direction accuracy": statistics.accuracy(random),
    }


E4 = Claim(
    id="purification/E4",
    statement="One direction that looks at neither input nor net, -y M w*, breaks it as well as PGD does",
    mark="[recalled]",
    scenario=A.name,
    criteria=(
        Criterion("dense-direction accuracy - PGD accuracy", at_most(0.05), "0: dense is as good as PGD"),
        Criterion("random-direction accuracy", at_least(0.95), "1: a random direction is harmless"),
    ),
    cases=runs("standard", ATTACKED, regimes=(A,)),
    analyse=_e4,
)


def _e5(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {}
    for name, regime in REGIMES.items():
        before = values(outcomes, ATTACKED, "standard", regime, "pgd")
        after, fgm = (values(outcomes, ATTACKED, "adversarial", regime, key) for key in ("pgd", "fgm"))
        inside = values(outcomes, OTHERS, "adversarial", regime, "linf")
        found[f"gain in PGD accuracy, {name}"] = statistics.paired_difference(after, before)
        found[f"FGM accuracy - PGD accuracy, {name}"] = statistics.paired_difference(fgm, after)
        found[f"linf accuracy inside the ball - PGD accuracy, {name}"] = statistics.paired_difference(
            inside, after
        )
    return found


E5 = Claim(
    id="purification/E5",
    statement="Adversarial training on one-step FGM makes the net robust to every attack of that size tried",
    mark="[source]",
    scenario="purification/A",
    criteria=tuple(
        Criterion(f"{quantity}, {name}", rule, prediction)
        for quantity, rule, prediction in (
            ("gain in PGD accuracy", at_least(0.4), "from near 0 to near 1"),
            ("FGM accuracy - PGD accuracy", at_most(0.05), "0: no overfitting to FGM"),
            ("linf accuracy inside the ball - PGD accuracy", at_least(0.0), "the linf ball lies inside"),
        )
        for name in REGIMES
    ),
    cases=both(runs("standard", ATTACKED), runs("adversarial", ATTACKED, OTHERS)),
    analyse=_e5,
)


def _e6(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {}
    for name, regime in REGIMES.items():
        q, p = (
            [values(outcomes, MIXTURE, training, regime, key) for training in ("standard", "adversarial")]
            for key in ("dense_share", "pure_share")
        )
        found[f"dense share before / after, {name}"] = statistics.mean(
            [a / b for a, b in zip(*q, strict=True)]
        )
        found[f"rise of the pure share, {name}"] = statistics.paired_difference(p[1], p[0])
    return found


E6 = Claim(
    id="purification/E6",
    statement="Adversarial training purifies: the dense mixture goes, the pure part stays",
    mark="[source]",
    scenario="purification/A",
    criteria=tuple(
        Criterion(f"{quantity}, {name}", rule, prediction)
        for quantity, rule, prediction in (
            ("dense share before / after", at_least(10.0), "Q -> 0"),
            ("rise of the pure share", at_least(0.3), "P -> 1"),
        )
        for name in REGIMES
    ),
    cases=both(runs("standard", MIXTURE), runs("adversarial", MIXTURE)),
    analyse=_e6,
)


def _e7(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {}
    for name, regime in REGIMES.items():
        before, after = (values(outcomes, ATTACKED, t, regime, "pgd") for t in ("standard", "control"))
        found[f"PGD accuracy after - before, {name}"] = statistics.paired_difference(after, before)
        shares = values(outcomes, MIXTURE, "control", regime, "dense_share")
        found[f"dense share, {name}"] = statistics.accuracy(shares)
    return found


E7 = Claim(
    id="purification/E7",
    statement="As many more clean steps, at the same step size, leave the net mixed and fragile",
    mark="[derived]",
    scenario="purification/A",
    criteria=tuple(
        Criterion(f"{quantity}, {name}", rule, prediction)
        for quantity, rule, prediction in (
            ("PGD accuracy after - before", between(-0.1, 0.1), "0"),
            ("dense share", at_least(0.1), "stays"),
        )
        for name in REGIMES
    ),
    cases=both(runs("standard", ATTACKED), runs("control", ATTACKED, MIXTURE)),
    analyse=_e7,
    control=True,
)


def _e8(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, regime in (("A", A), ("B", B)):
        w0w, ww, w0w1 = (
            values(outcomes, COSINES, "adversarial", regime, key)
            for key in ("initial_clean", "clean_robust", "initial_robust")
        )
        found[f"cos(w, w'), {name}"] = statistics.mean(ww)
        found[f"cos(w0, w), {name}"] = statistics.mean(w0w)
        found[f"cos(w, w') - larger of the other two, {name}"] = statistics.mean(
            [x - max(y, z) for x, y, z in zip(ww, w0w, w0w1, strict=True)]
        )
    return found


E8 = Claim(
    id="purification/E8",
    statement="w = beta w' + v with the first part larger: purified neurons stay close to the clean ones",
    mark="[source]",
    scenario=B.name,
    criteria=(
        Criterion("cos(w, w'), B", at_least(0.7071), "> 1/sqrt 2"),
        Criterion("cos(w, w') - larger of the other two, B", at_least(0.0), "w and w' are the closest pair"),
    ),
    cases=runs("adversarial", COSINES, regimes=(A, B)),
    analyse=_e8,
)
E8_START = Claim(
    id="purification/E8-start",
    statement="Clean-trained neurons are almost uncorrelated with their initial weights",
    mark="[source]",
    scenario="purification/A",
    criteria=tuple(
        Criterion(f"cos(w0, w), {name}", at_most(0.4), "near its floor sqrt(2 log d / d) = 0.33 at d = 80")
        for name in ("A", "B")
    ),
    cases=runs("adversarial", COSINES, regimes=(A, B)),
    analyse=_e8,
    expected=Verdict.NOT_REPRODUCED,
)


def _e9(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    get: Callable[[str], list[float]] = lambda key: values(outcomes, SURGERY, "standard", A, key)  # noqa: E731
    return {
        "gain in dense-direction accuracy, mixture removed": statistics.paired_difference(
            get("removed_dense"), get("before_dense")
        ),
        "gain in PGD accuracy, mixture removed": statistics.paired_difference(
            get("removed_pgd"), get("before_pgd")
        ),
        "gain in PGD accuracy, pure part kept": statistics.paired_difference(
            get("pure_pgd"), get("before_pgd")
        ),
    }


E9 = Claim(
    id="purification/E9",
    statement="Surgery without training takes the dense direction's power and raises robust accuracy",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion("gain in dense-direction accuracy, mixture removed", at_least(0.4), "loses its power"),
        Criterion("gain in PGD accuracy, mixture removed", at_least(0.05), "rises"),
        Criterion("gain in PGD accuracy, pure part kept", at_least(0.05), "rises further"),
    ),
    cases=runs("standard", SURGERY, regimes=(A,)),
    analyse=_e9,
)


def _e11(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, training in (("clean", "standard"), ("adversarial", "adversarial")):
        for label, key in (("tau", "certified"), ("tau/2", "half")):
            found[f"certified at {label}, {name} net"] = statistics.accuracy(
                values(outcomes, CERTIFIED, training, A, key)
            )
    gaps = values(outcomes, CERTIFIED, "adversarial", A, "pure_gap")
    found["PGD - separable certificate, pure part of the adversarial net"] = statistics.mean(gaps)
    broken = [o.value["violations"] for o in outcomes]
    found["samples whose certificate exceeds the attack"] = statistics.exactly(sum(broken), len(broken))
    return found


E11 = Claim(
    id="purification/E11",
    statement="Robustness is provable, sample by sample, and the proofs never exceed what attacks reach",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion("certified at tau, adversarial net", as_measured(0.550, 0.070, 5), "> 0"),
        Criterion("certified at tau, clean net", as_measured(0.022, 0.015, 5), "about 0"),
        Criterion("certified at tau/2, adversarial net", as_measured(0.946, 0.030, 5), "near the attack"),
        Criterion("certified at tau/2, clean net", as_measured(0.262, 0.029, 5), "below"),
        Criterion(
            "PGD - separable certificate, pure part of the adversarial net", between(0.0, 0.05), "tight"
        ),
        Criterion("samples whose certificate exceeds the attack", at_most(0.0), "0"),
    ),
    cases=both(runs("standard", CERTIFIED, regimes=(A,)), runs("adversarial", CERTIFIED, regimes=(A,))),
    analyse=_e11,
)

RANKS = (1, 4, 16, 40)
_BY_RANK = {rank: A.with_settings({"low-rank.schedule.rank": rank}) for rank in RANKS}


def _e12_cases(quick: bool) -> list[Case]:
    chosen = [(scenario, "low-rank") for scenario in _BY_RANK.values()]
    return [
        Case(scenario, training, seed, ATTACKED, ENDS)
        for scenario, training in [*chosen, (A, "low-rank-scratch")]
        for seed in seeds(N_SEEDS, quick)
    ]


def _e12(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    by_rank = [values(outcomes, ATTACKED, "low-rank", s, "pgd") for s in _BY_RANK.values()]
    means = [sum(found) / len(found) for found in by_rank]
    scratch = values(outcomes, ATTACKED, "low-rank-scratch", A, "pgd")
    return {
        "smallest rise of PGD accuracy from rank to rank": statistics.exactly(
            min(b - a for a, b in pairwise(means)), len(by_rank[0])
        ),
        "rank 16 from clean - from initial weights": statistics.paired_difference(
            by_rank[RANKS.index(16)], scratch
        ),
    }


E12 = Claim(
    id="purification/E12",
    statement="Low-rank updates of the clean weights buy robustness by rank; from initial weights they fail",
    mark="[recalled]",
    scenario=A.name,
    criteria=(
        Criterion(
            "smallest rise of PGD accuracy from rank to rank", at_least(0.0), "monotone, ranks 1 to 40"
        ),
        Criterion("rank 16 from clean - from initial weights", at_least(0.2), "the clean start is needed"),
    ),
    cases=_e12_cases,
    analyse=_e12,
)


def _e14(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    get: Callable[[str], list[float]] = lambda key: values(outcomes, LOTTERY, "standard", A, key)  # noqa: E731
    return {
        "share of neurons won by their largest signed initial coordinate": statistics.mean(get("kept")),
        "mean size of a potential set / expectation": statistics.mean(get("potential")),
        "mean size of a sure set": statistics.mean(get("sure")),
    }


E14 = Claim(
    id="purification/E14",
    statement="Which feature a neuron learns is largely decided by its initial weights",
    mark="[recalled]",
    scenario=A.name,
    criteria=(
        Criterion(
            "share of neurons won by their largest signed initial coordinate",
            as_measured(0.508, 0.049, 5),
            f"far above chance, 1/d = {1 / 80:.4f}",
        ),
        Criterion("mean size of a potential set / expectation", between(0.9, 1.1), "2 m Phi(-sqrt(c log d))"),
    ),
    cases=runs("standard", LOTTERY, regimes=(A,)),
    analyse=_e14,
)
E14_SURE = Claim(
    id="purification/E14-sure",
    statement="Every feature has a neuron that is sure to win it from the start",
    mark="[recalled]",
    scenario=A.name,
    criteria=(Criterion("mean size of a sure set", at_least(1.0), "at least one neuron per feature"),),
    cases=runs("standard", LOTTERY, regimes=(A,)),
    analyse=_e14,
    expected=Verdict.NOT_REPRODUCED,
)


def _collapse(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    def of(measure: Measure, key: str) -> list[float]:
        return values(outcomes, measure, "adversarial", COLLAPSE, key)

    return {
        "largest norm of a neuron": statistics.mean(of(MIXTURE, "largest_norm")),
        "PGD accuracy": statistics.accuracy(of(ATTACKED, "pgd")),
        "clean accuracy": statistics.accuracy(of(ATTACKED, "clean")),
    }


COLLAPSED = Claim(
    id="purification/collapse",
    statement="With too much decay against too large a bias adversarial training collapses to a linear net",
    mark="[measured]",
    scenario=COLLAPSE.name,
    criteria=(
        Criterion("largest norm of a neuron", at_most(0.01), "far below b sqrt k = 0.35"),
        Criterion("PGD accuracy", at_most(0.2), "that of the linear rule"),
        Criterion("clean accuracy", at_least(0.95), "unharmed"),
    ),
    cases=study(COLLAPSE, "adversarial", (3, 1), ATTACKED, MIXTURE, recording=ENDS),
    analyse=_collapse,
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

CLAIMS = (E3, E4, E5, E6, E7, E8, E8_START, E9, E11, E12, E14, E14_SURE, COLLAPSED, SHARPENED)
