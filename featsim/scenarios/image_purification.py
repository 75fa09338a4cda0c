"""Purification on real images: clean training, adversarial training of what it learned, and simpler rivals.

All settings [choice]; the data are those of :mod:`featsim.scenarios.images`, as codes without a dictionary.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from featsim.attacks import fgm, pgd
from featsim.images import EVEN_OR_ODD, ImageCodeSpec
from featsim.models import FrozenGateSpec, PolynomialSpec, SymmetricNetworkSpec
from featsim.scenarios.scenario import Scenario, Training
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training import RampSchedule, Schedule


@dataclasses.dataclass(frozen=True)
class PurificationSetting:
    """A scenario of purification on images with what its measurements need.

    Attributes
    ----------
    scenario : Scenario
        Network and its trainings.
    n_test : int
        Test images that are attacked.
    """

    scenario: Scenario
    n_test: int = 300

    def rival(self, name: str) -> Scenario:
        """Return the scenario of a simpler model on the same data.

        It is ``"linear"``, ``"ntk"`` or ``"ntk-clean"``.
        ``"ntk-clean"`` has the gates of the network's own bias and smoothing, to be started at its clean
        weights; its trainings, like those of ``"ntk"``, are FGM and five steps of PGD.
        """
        threat = self.scenario.trainings["adversarial"].attack.threat  # type: ignore[union-attr]
        net: Any = self.scenario.model
        n_steps = self.scenario.trainings["adversarial"].schedule.n_steps
        strong = pgd(threat, n_steps=5, keep="last")
        if name == "linear":
            schedule = Schedule(n_steps=n_steps, step_size=0.3, batch_size=100)
            model: Spec = PolynomialSpec(width=0)
            trainings = {
                "standard": Training(schedule=schedule),
                "adversarial": Training(schedule=schedule, attack=fgm(threat)),
            }
        else:
            own = {"bias": net.bias, "smoothing": net.smoothing} if name == "ntk-clean" else {}
            # The sum over m gates has slope of order m in every weight.
            step = 0.3 if name == "ntk-clean" else 3.0 / net.width
            model = FrozenGateSpec(width=net.width, **own)
            trainings = {
                "adversarial": Training(
                    schedule=Schedule(n_steps=n_steps, step_size=step, batch_size=100), attack=fgm(threat)
                ),
                "pgd": Training(
                    schedule=Schedule(n_steps=min(800, n_steps), step_size=step, batch_size=100),
                    attack=strong,
                ),
            }
        return Scenario(
            name=f"{self.scenario.name}-{name}",
            title=f"{name} on the data of {self.scenario.name}",
            data=self.scenario.data,
            n_samples=self.scenario.n_samples,
            model=model,
            trainings=trainings,
            evaluations=self.scenario.evaluations,
        )


def _purification(
    name: str,
    title: str,
    data: ImageCodeSpec,
    *,
    n_samples: int,
    radius: float,
    bias: float = 0.1,
) -> Scenario:
    threat = Threat(radius=radius, scope="input")
    shared: dict[str, Any] = {"step_size": 0.1, "batch_size": 100}
    decay = 0.002
    clean = RampSchedule(n_steps=1000, ramp_steps=500, bias_start=0.0, weight_decay=decay, **shared)
    later = RampSchedule(n_steps=1500, weight_decay=decay, **shared)
    attack = fgm(threat)
    trainings = {
        "standard": Training(schedule=clean),
        "adversarial": Training(schedule=later, attack=attack, start_from="standard"),
        "control": Training(schedule=later, start_from="standard"),
        "scratch-ramp": Training(schedule=clean, attack=attack),
        "scratch": Training(schedule=later, attack=attack, start_from="scratch-ramp"),
    }
    for rank in (1, 4, 16):
        low = RampSchedule(n_steps=1500, rank=rank, **shared)
        trainings[f"rank-{rank}"] = Training(schedule=low, attack=attack, start_from="standard")
        trainings[f"rank-{rank}-scratch"] = Training(schedule=low, attack=attack)
    return Scenario(
        name=f"images/{name}",
        title=title,
        data=data,
        n_samples=n_samples,
        model=SymmetricNetworkSpec(width=100, bias=bias, smoothing=0.05, init_std=0.05),
        trainings=trainings,
        evaluations=(
            pgd(threat, n_steps=20, starts=("clean", "steepest"), n_random=1, stop_when_broken=True),
            fgm(threat),
        ),
    )


PURIFICATION_DIGITS = _purification(
    "purification-digits",
    "8x8 digits, 0-4 against 5-9: adversarial training changes the filters of a clean network",
    ImageCodeSpec(images="digits"),
    n_samples=1000,
    radius=0.5,
)
PURIFICATION_MNIST14 = _purification(
    "purification-mnist14",
    "MNIST at 14x14, 0-4 against 5-9: filters before and after adversarial training, to look at",
    ImageCodeSpec(images="mnist", block=2),
    n_samples=2000,
    radius=0.8,
    bias=0.2,
)
PURIFICATION_MNIST14_PARITY = _purification(
    "purification-mnist14-parity",
    "MNIST at 14x14, even against odd",
    ImageCodeSpec(images="mnist", block=2, groups=EVEN_OR_ODD),
    n_samples=2000,
    radius=0.8,
    bias=0.2,
)
PURIFICATION_FASHION14 = _purification(
    "purification-fashion14",
    "Fashion-MNIST at 14x14, classes 0-4 against 5-9",
    ImageCodeSpec(images="fashion-mnist", block=2),
    n_samples=2000,
    radius=0.8,
    bias=0.2,
)
PURIFICATION_SETTINGS: dict[str, PurificationSetting] = {
    "digits": PurificationSetting(PURIFICATION_DIGITS),
    "mnist14": PurificationSetting(PURIFICATION_MNIST14),
    "mnist14-parity": PurificationSetting(PURIFICATION_MNIST14_PARITY),
    "fashion14": PurificationSetting(PURIFICATION_FASHION14),
}
"""Settings of the purification figures by name."""
