"""How the kernel of the power network is to attack."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from featsim.attacks import GradientAttack, SignalAttack
from featsim.data import PatchData, SignalNoiseData
from featsim.kernels import signal_noise as kernel
from featsim.training.last_iterate import check_last_iterate
from featsim.training.mixture import Mixture


@dataclasses.dataclass(frozen=True)
class CgroPlan:
    """Mode and numbers of the attack in the kernel, with the weight of the attacked loss."""

    weight: float = 0.0
    mode: int = kernel.CLEAN
    radius: float = 0.0
    n_steps: int = 0
    step_size: float = 0.0
    whole: bool = False

    @property
    def whole_input(self) -> bool:
        """Whether the attack follows gradients on the input, not the signal line."""
        return self.mode in (kernel.COEFFICIENT, kernel.DIRECT)


def plan_objective(attack: Any, data: PatchData) -> CgroPlan:
    """Translate a training's attack for the kernel.

    Parameters
    ----------
    attack : Spec or None
        A Mixture, an attack alone (weight 1), or None for standard training.
    data : PatchData
        Training data.

    Returns
    -------
    CgroPlan
        What the kernel needs to know.

    Raises
    ------
    TypeError, ValueError
        If the kernel cannot train with it on these data; the message names a way out.
    """
    if attack is None:
        return CgroPlan()
    weight = 1.0
    if isinstance(attack, Mixture):
        attack, weight = attack.attack, attack.weight
    if isinstance(attack, SignalAttack):
        if not isinstance(data, SignalNoiseData):
            raise TypeError(
                f"the attack {attack.rule!r} must come with signal-plus-noise data, "
                f"got {type(data).__name__}; use fgm or pgd"
            )
        mode = kernel.FIXED if attack.rule == "fixed" else kernel.WORST
        return CgroPlan(weight=weight, mode=mode, radius=attack.radius)
    if not isinstance(attack, GradientAttack):
        raise TypeError(
            "attack in training must be a Mixture, SignalAttack, GradientAttack or None, "
            f"got {type(attack).__name__}; evaluate other attacks on the trained weights"
        )
    _check_gradient_attack(attack, data)
    threat = attack.threat
    return CgroPlan(
        weight=weight,
        mode=kernel.COEFFICIENT if threat.norm == "l2" else kernel.DIRECT,
        radius=threat.radius,
        n_steps=attack.n_steps,
        step_size=float(attack.step_size),
        whole=threat.scope == "input",
    )


def _check_gradient_attack(attack: GradientAttack, data: PatchData) -> None:
    if attack.n_random or tuple(attack.starts) != ("clean",):
        raise ValueError(
            f"attack in training must start at the clean point alone, got starts={attack.starts} "
            f"and n_random={attack.n_random}; use them in evaluation"
        )
    if attack.objective == "targeted" or attack.rule != "unit":
        raise ValueError(
            "attack in training must take unit steps on the margin or the loss (for one score they are the "
            f"same steps), got objective {attack.objective!r} and rule {attack.rule!r}; use fgm or pgd"
        )
    check_last_iterate(attack)
    threat = attack.threat
    if threat.subspace is not None:
        raise ValueError(
            f"attack in training must have subspace None, got {threat.subspace!r}; for the signal line use "
            "SignalAttack, which is exact"
        )
    threat.bind(data)  # refuses what the data cannot carry
    if data.pixel_map is not None and len(np.unique(data.pixel_map)) < data.pixel_map.size:
        raise ValueError("patches must not share pixels in the training of this network; cut without overlap")
