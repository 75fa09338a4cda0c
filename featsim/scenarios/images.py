"""Real images: the theories' networks on small images, all settings [choice].

``digits`` ships in the package; all others need files, see :func:`featsim.images.load`. The trainings
``standard`` and ``adversarial`` of a feature setting share start and minibatches, and differ in the attack.
``purification-*`` have the phases of the purification theory, ``lazy-*`` a handful of images as points.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from featsim.attacks import fgm, pgd
from featsim.images import EVEN_OR_ODD, LOW_OR_HIGH, ImageDataSpec, Patching, SliceImageSpec
from featsim.models import NtkSpec, PowerNetworkSpec, TwoLayerSpec
from featsim.scenarios.image_purification import (
    PURIFICATION_DIGITS,
    PURIFICATION_FASHION14,
    PURIFICATION_MNIST14,
    PURIFICATION_MNIST14_PARITY,
    PURIFICATION_SETTINGS,
    PurificationSetting,
)
from featsim.scenarios.scenario import Scenario, Training
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training import Mixture, ProjectedDescent, Schedule, WhiteningSchedule

_BATCH = 50


def image_attacks(threat: Threat, n_random: int = 2) -> tuple[Spec, ...]:
    """Return the attacks behind robust accuracies of images: 20 steps from clean and random points, and FGM.

    Parameters
    ----------
    threat : Threat
        Budget of the whole image.
    n_random : int
        Random starts.

    Returns
    -------
    tuple of GradientAttack
        A sample leaves once an iterate of any start errs.
    """
    return (pgd(threat, n_steps=20, n_random=n_random, stop_when_broken=True), fgm(threat))


@dataclasses.dataclass(frozen=True)
class FeatureSetting:
    """A scenario of robust and non-robust features with what its measurements need.

    Attributes
    ----------
    scenario : Scenario
        Data, network, trainings.
    n_test : int
        Test images that are attacked.
    match_step : float
        First step of the matching of scores.
    other_threat : Threat or None
        Budget in the other norm.
    targets_radius : float
        Radius of the attacks behind the non-robust set, over that of training.
    """

    scenario: Scenario
    n_test: int = 300
    match_step: float = 0.2
    other_threat: Threat | None = None
    targets_radius: float = 1.5


def _features(
    name: str,
    title: str,
    data: ImageDataSpec,
    *,
    n_samples: int,
    width: int,
    epochs: int,
    radius: float,
    norm: str = "l2",
    step_size: float = 0.3,
    floor: float | None = None,
) -> Scenario:
    threat = Threat(radius=radius, norm=norm, scope="input")
    n_steps = epochs * (n_samples // _BATCH)
    plain: dict[str, Any] = {"n_steps": n_steps, "step_size": step_size, "batch_size": _BATCH}
    schedule = Schedule(**plain) if floor is None else WhiteningSchedule(**plain, floor=floor)
    return Scenario(
        name=f"images/{name}",
        title=title,
        data=data,
        n_samples=n_samples,
        model=TwoLayerSpec(width=width, power=3.0, smoothing=0.5, init_std=0.1),
        trainings={
            "standard": Training(schedule=schedule),
            "adversarial": Training(schedule=schedule, attack=pgd(threat, n_steps=3, keep="last")),
        },
        evaluations=image_attacks(threat),
    )


def _l2(radius: float) -> Threat:
    return Threat(radius=radius, norm="l2", scope="input")


def _linf(radius: float) -> Threat:
    return Threat(radius=radius, norm="linf", scope="input")


_SMALL = Patching(size=4, stride=2)
_WIDE = Patching(size=10, stride=2)

DIGITS = _features(
    "digits",
    "8x8 digits in overlapping patches: adversarial training gains robustness and loses no accuracy",
    ImageDataSpec(images="digits", patching=_SMALL),
    n_samples=600,
    width=12,
    epochs=40,
    radius=0.5,
)
DIGITS_LINF = _features(
    "digits-linf",
    "8x8 digits in overlapping patches, trained against l_inf perturbations",
    ImageDataSpec(images="digits", patching=_SMALL),
    n_samples=600,
    width=12,
    epochs=40,
    radius=0.1,
    norm="linf",
)
DIGITS_WHOLE = _features(
    "digits-whole",
    "8x8 digits as one patch: perturbations lie in the span of the class means, features do not separate",
    ImageDataSpec(images="digits", patching=Patching()),
    n_samples=600,
    width=10,
    epochs=40,
    radius=0.8,
)
MNIST14 = _features(
    "mnist14",
    "MNIST averaged to 14x14 in overlapping patches: standard training never learns the robust set",
    ImageDataSpec(images="mnist", block=2, patching=_WIDE),
    n_samples=1000,
    width=10,
    epochs=20,
    radius=0.8,
)
FASHION14 = _features(
    "fashion14",
    "Fashion-MNIST averaged to 14x14: directions move as on digits, adversarial training underfits",
    ImageDataSpec(images="fashion-mnist", block=2, patching=_WIDE),
    n_samples=1000,
    width=10,
    epochs=30,
    radius=0.5,
)
CIFARG16 = _features(
    "cifarg16",
    "CIFAR-10 in grey at 16x16: near chance at this size, a check of the loader",
    ImageDataSpec(images="cifar10", block=2, grey=True, patching=Patching(size=8, stride=4)),
    n_samples=3000,
    width=10,
    epochs=20,
    radius=0.25,
    step_size=0.1,
)
CIFAR10 = _features(
    "cifar10",
    "CIFAR-10, whitened colour patches: above ridge regression on raw pixels",
    ImageDataSpec(images="cifar10", patching=Patching(size=6, stride=3)),
    n_samples=3000,
    width=20,
    epochs=12,
    radius=0.25,
    step_size=0.1,
    floor=0.1,
)
SVHN = _features(
    "svhn",
    "SVHN, whitened colour patches, 350 training images: above ridge regression on raw pixels",
    ImageDataSpec(images="svhn", patching=Patching(size=16, stride=4)),
    n_samples=350,
    width=20,
    epochs=40,
    radius=0.25,
    step_size=0.1,
    floor=0.3,
)
FEATURE_SETTINGS: dict[str, FeatureSetting] = {
    "digits": FeatureSetting(DIGITS, match_step=0.1, other_threat=_linf(0.1)),
    "digits-linf": FeatureSetting(DIGITS_LINF, match_step=0.1, other_threat=_l2(0.5)),
    "digits-whole": FeatureSetting(DIGITS_WHOLE, match_step=0.1, other_threat=_linf(0.15)),
    "mnist14": FeatureSetting(MNIST14, other_threat=_linf(0.1)),
    "fashion14": FeatureSetting(FASHION14),
    "cifarg16": FeatureSetting(CIFARG16, n_test=400),
    "cifar10": FeatureSetting(CIFAR10, n_test=400),
    "svhn": FeatureSetting(SVHN, n_test=179),
}
"""Settings of the feature figures by name."""


def _overfitting(name: str, title: str, data: ImageDataSpec, n_samples: int, n_steps: int) -> Scenario:
    threat = Threat(radius=0.6, scope="input")
    schedule = Schedule(n_steps=n_steps, step_size=0.05)
    attack = Mixture(attack=pgd(threat, n_steps=3, keep="last"), weight=1.0)
    return Scenario(
        name=f"images/{name}",
        title=title,
        data=data,
        n_samples=n_samples,
        model=PowerNetworkSpec(width=120, power=2.0, activation="relu", init_std=0.05),
        trainings={
            "standard": Training(schedule=schedule),
            "adversarial": Training(schedule=schedule, attack=attack),
        },
        evaluations=(pgd(threat, n_steps=20, n_random=2),),
    )


OVERFITTING_MNIST14 = _overfitting(
    "overfitting-mnist14",
    "MNIST at 14x14, even against odd, 300 images: robust on them, much less on others",
    ImageDataSpec(images="mnist", block=2, patching=Patching(), groups=EVEN_OR_ODD),
    300,
    2000,
)
OVERFITTING_FASHION14 = _overfitting(
    "overfitting-fashion14",
    "Fashion-MNIST at 14x14, classes 0-4 against 5-9, 300 images",
    ImageDataSpec(images="fashion-mnist", block=2, patching=Patching(), groups=LOW_OR_HIGH),
    300,
    2000,
)


def _lazy(name: str, title: str, data: SliceImageSpec) -> Scenario:
    # Caps of chordal radius 0.1 around each image; the net of an exhaustive adversary is out of reach here.
    cap = Threat(radius=0.1, scope="input", subspace="slice")
    attack = pgd(cap, n_steps=5, objective="loss")
    schedule = ProjectedDescent(n_steps=100, step_size=0.5, judge=attack)
    return Scenario(
        name=f"images/{name}",
        title=title,
        data=data,
        n_samples=8,
        model=NtkSpec(width=256),
        trainings={
            "standard": Training(schedule=schedule),
            "adversarial": Training(schedule=schedule, attack=attack),
        },
        evaluations=(attack,),
    )


LAZY_DIGITS = _lazy(
    "lazy-digits",
    "Eight 8x8 digits, threes and eights, as points of the slice: the wider the network, the lazier",
    SliceImageSpec(),
)
LAZY_MNIST14 = _lazy(
    "lazy-mnist14",
    "Eight MNIST digits at 14x14 as points of the slice",
    SliceImageSpec(images="mnist", block=2),
)

SCENARIOS = (
    *(setting.scenario for setting in FEATURE_SETTINGS.values()),
    *(setting.scenario for setting in PURIFICATION_SETTINGS.values()),
    OVERFITTING_MNIST14,
    OVERFITTING_FASHION14,
    LAZY_DIGITS,
    LAZY_MNIST14,
)

__all__ = [
    "CIFAR10",
    "CIFARG16",
    "DIGITS",
    "DIGITS_LINF",
    "DIGITS_WHOLE",
    "FASHION14",
    "FEATURE_SETTINGS",
    "LAZY_DIGITS",
    "LAZY_MNIST14",
    "MNIST14",
    "OVERFITTING_FASHION14",
    "OVERFITTING_MNIST14",
    "PURIFICATION_DIGITS",
    "PURIFICATION_FASHION14",
    "PURIFICATION_MNIST14",
    "PURIFICATION_MNIST14_PARITY",
    "PURIFICATION_SETTINGS",
    "SCENARIOS",
    "SVHN",
    "FeatureSetting",
    "PurificationSetting",
    "image_attacks",
]
