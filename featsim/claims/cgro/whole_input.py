"""Claims on attacks of the whole input: setting G, and digits."""

from __future__ import annotations

from collections.abc import Sequence

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.cgro.measures import attacked, ended
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import as_measured, at_least, at_most, between
from featsim.claims.statistics import Estimate
from featsim.claims.structured_data.study import by_seed, study
from featsim.scenarios import get_scenario
from featsim.training import Recording

G, DIGITS = get_scenario("cgro/G"), get_scenario("cgro/digits")
_PGD, _LINE = (Measure(attacked, (attack,)) for attack in (G.evaluations[0], G.evaluations[2]))
_ENDED = Measure(ended)
_LAST = Recording(at=(7000,))


def _table(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    pgd, line, last = (by_seed(outcomes, measure) for measure in (_PGD, _LINE, _ENDED))
    return {
        "clean training accuracy": statistics.accuracy([f["train_clean"] for f in pgd]),
        "clean accuracy on fresh samples": statistics.accuracy([f["test_clean"] for f in pgd]),
        "PGD-20 training accuracy": statistics.accuracy([f["train_robust"] for f in pgd]),
        "PGD-20 accuracy on fresh samples": statistics.accuracy([f["test_robust"] for f in pgd]),
        "worst line accuracy on fresh samples": statistics.accuracy([f["test_robust"] for f in line]),
        "mean V": statistics.mean([f["memorisation"] for f in last]),
    }


TABLE = Claim(
    id="cgro/G",
    statement="On the whole input too: clean and robust on training samples, clean but not robust on others",
    mark="[source]",
    scenario=G.name,
    criteria=(
        Criterion("clean training accuracy", at_least(0.98), "paper: 1 (its own threat model and data)"),
        Criterion("clean accuracy on fresh samples", at_least(0.98), "paper: 0.985"),
        Criterion("PGD-20 training accuracy", as_measured(0.994, 0.008, 5), "paper: 1"),
        Criterion("PGD-20 accuracy on fresh samples", as_measured(0.157, 0.033, 5), "paper: 0.175"),
        Criterion("worst line accuracy on fresh samples", as_measured(0.66, 0.041, 5), "another attack"),
    ),
    cases=study(G, "adversarial", (5, 2), _PGD, _LINE, _ENDED, recording=_LAST),
    analyse=_table,
)

_IMAGES = Measure(attacked, (DIGITS.evaluations[0],))
_END = Recording(at=(4000,))


def _digits(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    robust, plain = (by_seed(outcomes, _IMAGES, training) for training in ("adversarial", "standard"))
    gaps = {
        name: [f["train_robust"] - f["test_robust"] for f in runs]
        for name, runs in (("adversarial", robust), ("standard", plain))
    }
    return {
        "clean accuracy on test images": statistics.accuracy([f["test_clean"] for f in robust]),
        "robust training accuracy": statistics.accuracy([f["train_robust"] for f in robust]),
        "robust gap, training less test": statistics.mean(gaps["adversarial"]),
        "robust accuracy on test images": statistics.accuracy([f["test_robust"] for f in robust]),
        "the same gap of standard training": statistics.mean(gaps["standard"]),
        "robust training accuracy of standard training": statistics.accuracy(
            [f["train_robust"] for f in plain]
        ),
        "clean accuracy of standard training on test images": statistics.accuracy(
            [f["test_clean"] for f in plain]
        ),
    }


def _digit_cases(quick: bool) -> list[Case]:
    return [
        case
        for training in ("adversarial", "standard")
        for case in study(DIGITS, training, (5, 2), _IMAGES, recording=_END)(quick)
    ]


IMAGES = Claim(
    id="cgro/digits",
    statement="Digits: robust on the training images; clean, but far less robust, on others",
    mark="[choice]",
    scenario=DIGITS.name,
    criteria=(
        Criterion("robust gap, training less test", at_least(0.2), "large: 0.31 measured on another split"),
        Criterion("clean accuracy on test images", at_least(0.95), "high"),
        Criterion("robust training accuracy", at_least(0.95), "near 1"),
        Criterion("robust accuracy on test images", between(0.55, 0.8), "much lower"),
    ),
    cases=_digit_cases,
    analyse=_digits,
)
IMAGES_STANDARD = Claim(
    id="cgro/digits-standard",
    statement="Control: standard training on digits does not become robust on its training images",
    mark="[choice]",
    scenario=DIGITS.name,
    criteria=(
        Criterion("robust training accuracy of standard training", at_most(0.75), "0.58 measured"),
        Criterion("the same gap of standard training", at_most(0.15), "no memorised balls"),
        Criterion("clean accuracy of standard training on test images", at_least(0.93), "high"),
    ),
    cases=_digit_cases,
    analyse=_digits,
    control=True,
)

CLAIMS = (TABLE, IMAGES, IMAGES_STANDARD)
