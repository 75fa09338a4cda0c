"""Gradient attacks of one-score models as the kernels take them: norm, radius, steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from featsim.attacks import GradientAttack
from featsim.kernels import symmetric as kernel
from featsim.training.last_iterate import check_last_iterate

_NORMS = {"l2": kernel.L2, "linf": kernel.LINF}


class Ball(NamedTuple):
    """An attack in training: `norm` is a kernel constant, NONE for standard training."""

    norm: int = kernel.NONE
    radius: float = 0.0
    n_steps: int = 0
    step_size: float = 0.0


def plan_ball(attack: Any) -> Ball:
    """Return an attack as numbers.

    Parameters
    ----------
    attack : GradientAttack or None
        Unit steps from the clean point; the gradient of margin and loss have the same direction in
        models with one score.

    Returns
    -------
    Ball
        For the kernels.

    Raises
    ------
    TypeError, ValueError
        If the attack is of another kind.
    """
    if attack is None:
        return Ball()
    if not isinstance(attack, GradientAttack):
        raise TypeError(
            f"attack in training must be a GradientAttack or None, got {type(attack).__name__}; "
            "evaluate other attacks on the trained weights"
        )
    if attack.n_random or tuple(attack.starts) != ("clean",):
        raise ValueError(
            f"attack in training must start at the clean point alone, got starts={attack.starts}; "
            "use them in evaluation"
        )
    if attack.rule != "unit" or attack.objective == "targeted":
        raise ValueError(
            f"attack in training must have unit steps on margin or loss, got {attack.rule!r} on "
            f"{attack.objective!r}; use fgm(threat) or pgd(threat, keep='last')"
        )
    check_last_iterate(attack)
    if attack.threat.subspace is not None:
        raise ValueError(f"subspace must be None in this theory, got {attack.threat.subspace!r}")
    return Ball(_NORMS[attack.threat.norm], attack.threat.radius, attack.n_steps, float(attack.step_size))
