"""Real images: small settings, all of them [choice]."""

from __future__ import annotations

from featsim.attacks import fgm, pgd
from featsim.images import ImageDataSpec, Patching
from featsim.models import TwoLayerSpec
from featsim.scenarios.scenario import Scenario, Training
from featsim.threats import Threat
from featsim.training import Schedule

_N_SAMPLES, _BATCH, _EPOCHS = 600, 50, 40
_THREAT = Threat(radius=0.5, norm="l2", scope="input")
_SCHEDULE = Schedule(n_steps=_EPOCHS * _N_SAMPLES // _BATCH, step_size=0.3, batch_size=_BATCH)

DIGITS = Scenario(
    name="images/digits",
    title="8x8 digits in overlapping patches: adversarial training gains robustness and loses no accuracy",
    data=ImageDataSpec(images="digits", patching=Patching(size=4, stride=2)),
    n_samples=_N_SAMPLES,
    model=TwoLayerSpec(width=12, power=3.0, smoothing=0.5, init_std=0.1),
    trainings={
        "standard": Training(schedule=_SCHEDULE),
        "adversarial": Training(schedule=_SCHEDULE, attack=pgd(_THREAT, n_steps=3, keep="last")),
    },
    evaluations=(pgd(_THREAT, n_steps=20, n_random=2), fgm(_THREAT)),
)

SCENARIOS = (DIGITS,)
