"""Claims on dense mixtures and their removal: E3 to E9, with the control."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featsim.claims import statistics
from featsim.claims.cases import Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.purification import measures
from featsim.claims.purification.measures import ENDS
from featsim.claims.rules import at_least, at_most, between
from featsim.claims.structured_data.study import Cases, both, by_seed, study
from featsim.scenarios import Scenario, get_scenario

REGIMES = {name: get_scenario(f"purification/{name}") for name in ("A", "B", "C")}
A, B, C = REGIMES.values()
N_SEEDS = (5, 2)

ATTACKED = Measure(measures.attacked)
MIXTURE = Measure(measures.mixture)
OTHERS = Measure(measures.other_threats)
SURGERY = Measure(measures.surgery)
COSINES = Measure(measures.cosines)

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
    explanation=(
        "At d = 80 a clean neuron amplifies several of its initial features at once, so most of its initial "
        "direction survives; even a pure winner keeps its own initial coordinate, sqrt(2 log d / d) = 0.33. "
        "Weighted by energy the cosine falls with d, from 0.56 at d = 50 to 0.33 at d = 400 at k = 2."
    ),
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


CLAIMS = (E3, E4, E5, E6, E7, E8, E8_START, E9)
