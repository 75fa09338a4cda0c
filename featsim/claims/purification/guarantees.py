"""Claims on what can be proven (E11), and on the best that a pure net can do."""

from __future__ import annotations

from collections.abc import Sequence

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.purification import measures
from featsim.claims.purification.purifying import ATTACKED, N_SEEDS, A, runs, values
from featsim.claims.rules import as_measured, at_least, at_most, between
from featsim.claims.structured_data.study import both, by_seed, seeds

CERTIFIED = Measure(measures.certified)


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

BIASES = (0.10, 0.15, 0.20, 0.25)
_IDEAL = {bias: Measure(measures.ideal, (bias,)) for bias in BIASES}


def _ideal_cases(quick: bool) -> list[Case]:
    return [Case(A, None, seed, m) for m in _IDEAL.values() for seed in seeds(N_SEEDS, quick)]


def _ideal(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    by_bias = {bias: by_seed(outcomes, measure) for bias, measure in _IDEAL.items()}
    best = by_bias[0.15]
    trained = values(outcomes, ATTACKED, "adversarial", A, "pgd")
    return {
        "PGD accuracy, ideal - adversarially trained": statistics.paired_difference(
            [found["pgd"] for found in best], trained
        ),
        "PGD accuracy at b = 0.15 - at b = 0.25": statistics.paired_difference(
            [found["pgd"] for found in best], [found["pgd"] for found in by_bias[0.25]]
        ),
        "linear relaxation, certified": statistics.accuracy([found["certified"] for found in best]),
        "PGD - separable certificate": statistics.mean([found["gap"] for found in best]),
    }


IDEAL = Claim(
    id="purification/ideal",
    statement="Adversarial training comes near the ideal w_j = sign(w*_j) M_j, which is not wholly robust",
    mark="[measured]",
    scenario=A.name,
    criteria=(
        Criterion("PGD accuracy, ideal - adversarially trained", between(-0.05, 0.15), "0.90 - 0.83"),
        Criterion("PGD accuracy at b = 0.15 - at b = 0.25", at_least(0.05), "a bias window: 0.90 - 0.75"),
        Criterion("linear relaxation, certified", between(0.5, 0.75), "0.55 to 0.65: ignores the one budget"),
        Criterion("PGD - separable certificate", between(0.0, 0.06), "0.93 - 0.87: it knows the budget"),
    ),
    cases=both(runs("adversarial", ATTACKED, regimes=(A,)), _ideal_cases),
    analyse=_ideal,
)

CLAIMS = (E11, IDEAL)
