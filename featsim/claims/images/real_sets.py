"""Claims on MNIST, Fashion-MNIST, CIFAR-10 and SVHN; skipped where the files are not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from featsim.attacks import run_attack
from featsim.claims import statistics
from featsim.claims.cases import Measure, Outcome, Run
from featsim.claims.estimates import Estimate
from featsim.claims.images.feature_measures import FeatureStudy, curves
from featsim.claims.images.features import SEEDS, gap_criteria, gaps, values
from featsim.claims.images.purifying import WEIGHTS, gained, sparser
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import at_least, at_most
from featsim.claims.structured_data.study import by_seed, study
from featsim.evaluation import ball_flatness, clean_accuracy
from featsim.images import data_root, is_available
from featsim.kernels.blas import one_thread
from featsim.scenarios.images import FEATURE_SETTINGS, OVERFITTING_MNIST14, PURIFICATION_SETTINGS
from featsim.training import Recording

_N_TEST = 400


def needs(name: str) -> Callable[[], str]:
    """Return the check whether a set of images is there."""

    def missing() -> str:
        if is_available(name):
            return ""
        return (
            f"needs the files of {name}, none in {data_root()}: `featsim data fetch {name}` or FEATSIM_DATA"
        )

    return missing


_MNIST = FEATURE_SETTINGS["mnist14"].scenario
_MNIST_CURVES = Measure(curves, ((1, 5, 12, 20),))
MNIST_SETS = Claim(
    id="images/mnist-sets",
    statement="On MNIST at 14x14 standard training learns the non-robust set, adversarial the robust one",
    mark="[recalled]",
    scenario=_MNIST.name,
    criteria=gap_criteria(),
    cases=study(_MNIST, None, SEEDS, _MNIST_CURVES),
    analyse=gaps(_MNIST_CURVES),
    missing=needs("mnist"),
)
_MNIST_NETS = PURIFICATION_SETTINGS["mnist14"].scenario
MNIST_PURIFICATION = Claim(
    id="images/mnist-purification",
    statement="On MNIST at 14x14 adversarial training makes a clean network robust and its filters sparser",
    mark="[recalled]",
    scenario=_MNIST_NETS.name,
    criteria=(
        Criterion("robust accuracy, adversarial less control", at_least(0.25), ".43 measured, one seed"),
        Criterion("kurtosis, adversarial less control", at_least(0.5), "2.7 measured, one seed"),
        Criterion("total_variation, adversarial less control", at_most(-1.0), "-3.2 measured, one seed"),
    ),
    cases=study(_MNIST_NETS, None, SEEDS, WEIGHTS),
    analyse=lambda outcomes: {**gained(outcomes), **sparser(outcomes)},
    missing=needs("mnist"),
)


def overfitting(run: Run) -> dict[str, float]:
    """Train both ways on a few images; return clean and robust accuracy on them and on test images."""
    found: dict[str, float] = {}
    scenario: Any = run.scenario
    with one_thread():
        sets = {"train": run.data, "test": scenario.data.test(_N_TEST)}
        for training in ("standard", "adversarial"):
            trace = scenario.run(training, run.seed, recording=Recording(at=()))
            network = scenario.model.network(trace.final_weights)
            for name, data in sets.items():
                result = run_attack(scenario.evaluations[0], network, data, run.rng())
                found[f"{training}_{name}_clean"] = result.clean_accuracy
                found[f"{training}_{name}_robust"] = result.robust_accuracy
    return found


def landscape(run: Run, steps: Sequence[int], radii: Sequence[float], n_test: int) -> dict[str, Any]:
    """Train both ways; return accuracies at given steps, and the flatness after adversarial training.

    ``{training}_{train, test}_{clean, robust}`` have one entry per step, ``gradient_train`` and
    ``gradient_test`` one per radius.
    """
    scenario: Any = run.scenario
    found: dict[str, Any] = {}
    with one_thread():
        sets = {"train": run.data, "test": scenario.data.test(n_test)}
        for training in ("standard", "adversarial"):
            trace = scenario.run(training, run.seed, recording=Recording(at=(), weights_at=tuple(steps)))
            networks = [scenario.model.network(trace.weights_at(step)) for step in steps]
            for name, data in sets.items():
                results = [run_attack(scenario.evaluations[0], net, data, run.rng()) for net in networks]
                found[f"{training}_{name}_clean"] = np.array([r.clean_accuracy for r in results])
                found[f"{training}_{name}_robust"] = np.array([r.robust_accuracy for r in results])
                if training == "adversarial":
                    flat = ball_flatness(networks[-1], data, radii, run.rng())
                    found[f"gradient_{name}"] = flat.gradient
    return found


_OVERFITTING = Measure(overfitting)


def _overfitted(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    def of(name: str) -> Any:
        return values(outcomes, _OVERFITTING, name)

    return {
        "clean accuracy on test images": statistics.accuracy(of("adversarial_test_clean")),
        "robust accuracy on training images": statistics.accuracy(of("adversarial_train_robust")),
        "robust accuracy, training less test images": statistics.paired_difference(
            of("adversarial_train_robust"), of("adversarial_test_robust")
        ),
        "the same gap after standard training": statistics.paired_difference(
            of("standard_train_robust"), of("standard_test_robust")
        ),
    }


MNIST_OVERFITTING = Claim(
    id="images/mnist-overfitting",
    statement="Even against odd MNIST digits: clean on test images, robust on the training images only",
    mark="[source]",
    scenario=OVERFITTING_MNIST14.name,
    criteria=(
        Criterion("clean accuracy on test images", at_least(0.92), ".944 measured"),
        Criterion("robust accuracy on training images", at_least(0.95), ".976 measured"),
        Criterion("robust accuracy, training less test images", at_least(0.25), ".39 measured"),
        Criterion("the same gap after standard training", at_most(0.25), ".14 measured: the control"),
    ),
    cases=study(OVERFITTING_MNIST14, None, SEEDS, _OVERFITTING),
    analyse=_overfitted,
    missing=needs("mnist"),
)

_FASHION = FEATURE_SETTINGS["fashion14"].scenario
_FASHION_CURVES = Measure(curves, ((1, 5, 12, 30),))
FASHION_SETS = Claim(
    id="images/fashion-sets",
    statement="On Fashion-MNIST at 14x14 standard training is ahead on the non-robust set, and less robust",
    mark="[recalled]",
    scenario=_FASHION.name,
    criteria=(
        Criterion("non-robust set, standard less adversarial", at_least(0.05), ".10 measured, one seed"),
        Criterion("robust accuracy, adversarial less standard", at_least(0.02), ".06 measured, one seed"),
    ),
    cases=study(_FASHION, None, SEEDS, _FASHION_CURVES),
    analyse=gaps(_FASHION_CURVES),
    found=Verdict.PARTLY,
    explanation="Robustness grows; over five seeds the gap on the non-robust set is .04, not .10 as on one.",
    missing=needs("fashion-mnist"),
)


def colour_accuracy(run: Run) -> dict[str, float]:
    """Train the standard way on colour images; return clean accuracy on test images."""
    study_ = FeatureStudy(run.scenario, run.seed)
    with one_thread():
        network = study_.run("standard", (study_.n_epochs,))[0]
        data: Any = run.scenario.data
        return {"clean": clean_accuracy(network, data.test())}


_COLOUR = Measure(colour_accuracy)


def _colour(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    return {
        "clean accuracy on test images": statistics.accuracy(
            np.array([value["clean"] for value in by_seed(outcomes, _COLOUR)])
        )
    }


def _colour_claim(name: str, title: str, ridge: float) -> Claim:
    scenario = FEATURE_SETTINGS[name].scenario
    return Claim(
        id=f"images/{name}",
        statement=f"Whitened colour patches: {title} above ridge regression on raw pixels",
        mark="[measured]",
        scenario=scenario.name,
        criteria=(
            Criterion(
                "clean accuracy on test images", at_least(ridge, "ridge regression on the subset's pixels")
            ),
        ),
        cases=study(scenario, None, SEEDS, _COLOUR),
        analyse=_colour,
        missing=needs(name),
    )


CIFAR = _colour_claim("cifar10", "CIFAR-10", 0.362)
SVHN = _colour_claim("svhn", "SVHN", 0.196)

CLAIMS = (MNIST_SETS, MNIST_PURIFICATION, MNIST_OVERFITTING, FASHION_SETS, CIFAR, SVHN)
