"""Claims on attacks of the whole input: setting G, and digits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Measure, Outcome
from featsim.claims.cgro.measures import accuracy_over, attacked, ended, flat_in_balls
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import as_measured, at_least, at_most, between
from featsim.claims.structured_data.study import by_seed, of_trainings, study
from featsim.scenarios import get_scenario
from featsim.training import Recording
from featsim.validation import FloatArray

G, DIGITS = get_scenario("cgro/G"), get_scenario("cgro/digits")
_PGD, _LINE = (Measure(attacked, (attack,)) for attack in (G.evaluations[0], G.evaluations[2]))
_ENDED = Measure(ended)
_LAST = Recording(at=(7000,))


def _table(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    pgd, line, last = (by_seed(outcomes, measure) for measure in (_PGD, _LINE, _ENDED))
    return {
        "clean training accuracy": accuracy_over(pgd, "train_clean"),
        "clean accuracy on fresh samples": accuracy_over(pgd, "test_clean"),
        "PGD-20 training accuracy": accuracy_over(pgd, "train_robust"),
        "PGD-20 accuracy on fresh samples": accuracy_over(pgd, "test_robust"),
        "worst line accuracy on fresh samples": accuracy_over(line, "test_robust"),
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
_BOTH = ("adversarial", "standard")
_EARLY, _LATE = 500, 4000
_END = Recording(at=(_LATE,), weights_at=(_EARLY, _LATE))
_BALLS = (0.3, 0.6, 0.9, 1.2)
_INSIDE, _BEYOND = _BALLS.index(0.6), _BALLS.index(0.9)
_FLAT = Measure(flat_in_balls, (_BALLS, (_EARLY, _LATE), 200))
_DIGIT_CASES = of_trainings(DIGITS, _BOTH, (5, 2), _IMAGES, recording=_END)
_FLAT_CASES = of_trainings(DIGITS, _BOTH, (5, 2), _FLAT, recording=_END)


def _digits(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    robust, plain = (by_seed(outcomes, _IMAGES, training) for training in _BOTH)
    gaps = {
        name: [f["train_robust"] - f["test_robust"] for f in runs]
        for name, runs in (("adversarial", robust), ("standard", plain))
    }
    return {
        "clean accuracy on test images": accuracy_over(robust, "test_clean"),
        "robust training accuracy": accuracy_over(robust, "train_robust"),
        "robust gap, training less test": statistics.mean(gaps["adversarial"]),
        "robust accuracy on test images": accuracy_over(robust, "test_robust"),
        "the same gap of standard training": statistics.mean(gaps["standard"]),
        "robust training accuracy of standard training": accuracy_over(plain, "train_robust"),
        "clean accuracy of standard training on test images": accuracy_over(plain, "test_clean"),
    }


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
    cases=_DIGIT_CASES,
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
    cases=_DIGIT_CASES,
    analyse=_digits,
    control=True,
)


def _flatness(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    robust, plain = (by_seed(outcomes, _FLAT, training) for training in _BOTH)

    def at(key: str, radius: int, step: int = -1) -> FloatArray:
        return np.array([f[key][step][radius] for f in robust])

    inside = at("G_train", _INSIDE)
    found = {
        "G on training images at the radius / on test images": inside / at("G_test", _INSIDE),
        "C on training images at the radius / on test images": at("C_train", _INSIDE) / at("C_test", _INSIDE),
        "G on training images at 0.9 / at the radius 0.6": at("G_train", _BEYOND) / inside,
        "G on training images at the radius, end / step 500": inside / at("G_train", _INSIDE, 0),
        "G on training images at half the radius, end / step 500": at("G_train", 0) / at("G_train", 0, 0),
        "C on training images at the radius, end / step 500": at("C_train", _INSIDE)
        / at("C_train", _INSIDE, 0),
        "G on test images at the radius, end / step 500": at("G_test", _INSIDE) / at("G_test", _INSIDE, 0),
        "standard training: G on training images / on test images": np.array(
            [f["G_train"][-1][_INSIDE] / f["G_test"][-1][_INSIDE] for f in plain]
        ),
    }
    return {name: statistics.mean(values) for name, values in found.items()}


IMAGES_FLAT = Claim(
    id="cgro/F1-digits",
    statement="On images too the loss is flat at training images within the radius, and not beyond it",
    mark="[source]",
    scenario=DIGITS.name,
    criteria=(
        Criterion("G on training images at the radius / on test images", at_most(0.4), "small"),
        Criterion("C on training images at the radius / on test images", at_most(0.3), "small"),
        Criterion("G on training images at 0.9 / at the radius 0.6", at_least(4.0), "rises sharply"),
        Criterion(
            "standard training: G on training images / on test images", at_least(0.7), "control: not flat"
        ),
    ),
    cases=_FLAT_CASES,
    analyse=_flatness,
)
IMAGES_FLATTER = Claim(
    id="cgro/F2-digits",
    statement="On images flatness within the radius improves at training images and worsens at others",
    mark="[source]",
    scenario=DIGITS.name,
    criteria=(
        Criterion("G on training images at the radius, end / step 500", at_most(1.0), "falls"),
        Criterion("G on training images at half the radius, end / step 500", at_most(1.0), "falls"),
        Criterion("C on training images at the radius, end / step 500", at_most(1.0), "falls"),
        Criterion(
            "G on test images at the radius, end / step 500",
            at_least(1.0),
            "rises with robust overfitting (paper: so on CIFAR-10, not on MNIST)",
        ),
    ),
    cases=_FLAT_CASES,
    analyse=_flatness,
    found=Verdict.PARTLY,
    explanation=(
        "The largest slope on the whole ball sits at its rim, where the flat region of a training image "
        "ends, and does not fall. At half the radius it falls, and so does the largest increase of the loss."
    ),
)

CLAIMS = (TABLE, IMAGES, IMAGES_STANDARD, IMAGES_FLAT, IMAGES_FLATTER)
