"""Settings of the clean-generalisation theory (Li & Li 2023): where adversarial training memorises.

A is the headline, with its controls as trainings: lambda = 0 (``standard``), lambda = 1 (``pure``) and
the exact attack (``worst``). B has the paper's exponents [source] with polylog d = log d [choice]; C the
two-branch network of the paper's last version; D another power; E another size; G an attack on the whole
input. In ``cube`` and ``separable`` networks are written down step by step. All other numbers are the
simulator's [choice]: measured to show the effect at these sizes.
"""

from __future__ import annotations

import math
from typing import Any

from featsim.attacks import SignalAttack, fgm, pgd
from featsim.data import HardCubeSpec, MarginMixtureSpec, SignalNoiseSpec
from featsim.images import ImageDataSpec, Patching
from featsim.models import MemoriserSpec, MemorisingRuleSpec, PowerNetworkSpec
from featsim.scenarios.scenario import Scenario, Training
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training import Mixture, Schedule


def _trainings(
    attack: Spec, weight: float, n_steps: int, step_size: float, *, controls: bool = False
) -> dict[str, Training]:
    """Adversarial training and the same with weight 0; with `controls` also weight 1 and the exact attack."""
    schedule = Schedule(n_steps=n_steps, step_size=step_size)
    chosen: dict[str, tuple[Spec, float]] = {"standard": (attack, 0.0), "adversarial": (attack, weight)}
    if controls and isinstance(attack, SignalAttack):
        chosen["worst"] = (attack.replace(rule="worst"), weight)
        chosen["pure"] = (attack, 1.0)
    return {
        name: Training(schedule=schedule, attack=Mixture(attack=kind, weight=share))
        for name, (kind, share) in chosen.items()
    }


def _on_line(radius: float) -> tuple[Spec, ...]:
    """Both line attacks, and gradient ascent on the whole input, about which they say nothing."""
    whole = Threat(radius=0.25, scope="input")
    return (SignalAttack(radius=radius), SignalAttack(radius=radius, rule="worst"), pgd(whole, n_steps=20))


def _line_scenario(
    name: str,
    title: str,
    *,
    n_samples: int = 20,
    ratio: float = 0.95,
    rule: str = "fixed",
    data: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    n_steps: int = 8000,
    step_size: float = 0.02,
    controls: bool = False,
    mark: str = "choice",
) -> Scenario:
    spec = SignalNoiseSpec(**(data or {}))
    radius = ratio * spec.signal_strength
    return Scenario(
        name=f"cgro/{name}",
        title=title,
        data=spec,
        n_samples=n_samples,
        model=PowerNetworkSpec(**(model or {})),
        trainings=_trainings(
            SignalAttack(radius=radius, rule=rule), 0.5, n_steps, step_size, controls=controls
        ),
        evaluations=_on_line(radius),
        mark=mark,
    )


A = _line_scenario(
    "A",
    "Clean generalisation with robust overfitting: the signal is learned, then every sample memorised",
    controls=True,
)

_B_ALPHA = 100.0**0.249
B = _line_scenario(
    "B",
    "The paper's exponents at d = 100: alpha = d^0.249, noise norm d^-0.009, rho = 1 - 1/(sqrt d log d)",
    ratio=1.0 - 1.0 / (10.0 * math.log(100.0)),
    data={"signal_strength": _B_ALPHA, "noise_norm": 100.0**-0.009},
    n_steps=12000,
    step_size=0.01,
)
C = _line_scenario(
    "C",
    "A with the two-branch ReLU^3 network, 10 filters a branch, trained against the exact attack",
    rule="worst",
    model={"width": 20, "activation": "relu"},
)
D = _line_scenario("D", "A with the fifth power", model={"power": 5.0, "init_std": 0.4}, step_size=0.01)
E = _line_scenario(
    "E",
    "A at d = 400 with 50 samples",
    n_samples=50,
    ratio=0.97,
    data={"dim": 400},
    model={"width": 12},
    n_steps=9000,
)

_G_THREAT = Threat(radius=0.8, scope="input")
G = Scenario(
    name="cgro/G",
    title="Trained and tested against gradient ascent on the whole input: the table of the paper's shape",
    data=SignalNoiseSpec(n_patches=2, dim=300, signal_strength=1.0, noise_norm=4.0),
    n_samples=100,
    model=PowerNetworkSpec(width=10, init_std=0.05),
    trainings=_trainings(pgd(_G_THREAT, n_steps=2, step_size=0.8 / 1.5, keep="last"), 0.7, 7000, 0.01),
    evaluations=(
        pgd(_G_THREAT, n_steps=20),
        SignalAttack(radius=0.8),
        SignalAttack(radius=0.8, rule="worst"),
    ),
)

_IMAGE_THREAT = Threat(radius=0.6, scope="input")
_IMAGE_SCHEDULE = Schedule(n_steps=4000, step_size=0.05)
DIGITS = Scenario(
    name="cgro/digits",
    title="Even against odd 8x8 digits, whole images: robust on the training images, much less on others",
    data=ImageDataSpec(
        images="digits", patching=Patching(), groups=(tuple(range(0, 10, 2)), tuple(range(1, 10, 2)))
    ),
    n_samples=200,
    model=PowerNetworkSpec(width=120, power=2.0, activation="relu", init_std=0.05),
    trainings={
        "standard": Training(schedule=_IMAGE_SCHEDULE),
        "adversarial": Training(
            schedule=_IMAGE_SCHEDULE,
            attack=Mixture(attack=pgd(_IMAGE_THREAT, n_steps=3, keep="last"), weight=1.0),
        ),
    },
    evaluations=(pgd(_IMAGE_THREAT, n_steps=20, n_random=2),),
)

CUBE = Scenario(
    name="cgro/cube",
    title="Vertices of a cube whose label is tagged within reach of the attack: one ball stored per step",
    data=HardCubeSpec(bits=6, tag=0.05),
    n_samples=64,
    model=MemoriserSpec(radius=0.3, norm="linf", outer_radius=0.4, clean_scale=10.0),
    trainings={"construction": Training(schedule=Schedule(n_steps=64))},
    evaluations=(pgd(Threat(radius=0.3, norm="linf", scope="input"), n_steps=20),),
)
_SEPARABLE_THREAT = Threat(radius=0.4, scope="input")
SEPARABLE = Scenario(
    name="cgro/separable",
    title="Linearly separable points: a linear rule from those of large margin, the others memorised",
    data=MarginMixtureSpec(dim=100, large_margin=2.0, small_margin=0.2, small_share=0.5),
    n_samples=60,
    model=MemorisingRuleSpec(bias=0.4),
    trainings={
        "adversarial": Training(
            schedule=Schedule(n_steps=1000, step_size=0.05), attack=fgm(_SEPARABLE_THREAT)
        )
    },
    evaluations=(pgd(_SEPARABLE_THREAT, n_steps=20),),
)

SCENARIOS = (A, B, C, D, E, G, DIGITS, CUBE, SEPARABLE)
