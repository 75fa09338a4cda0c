"""How the kernel of the patch network is to attack, and whether its numbers are in range."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from featsim.attacks import GradientAttack
from featsim.data import GramSpace, PatchData
from featsim.kernels import patch_network as kernel
from featsim.models import TwoLayerSpec
from featsim.training.last_iterate import check_last_iterate
from featsim.validation import FloatArray

_LARGEST, _LONGEST = 1e15, 1e8  # in float32: sums of squares, and a step over a gradient, stay below 3e38


@dataclasses.dataclass(frozen=True)
class AttackPlan:
    """How the kernel is to attack: the representation of delta and the step rule."""

    mode: int = kernel.CLEAN
    n_steps: int = 0
    margin: bool = True
    step_size: float = 0.0
    unit: bool = True
    radius: float = 0.0
    whole: bool = False
    linf: bool = False
    started: bool = False
    basis: FloatArray = dataclasses.field(default_factory=lambda: np.empty((0, 1)))
    role_mask: FloatArray = dataclasses.field(default_factory=lambda: np.ones((2, 1)))


def plan_attack(attack: Any, data: PatchData, n_filters: int) -> AttackPlan:
    """Choose the cheapest exact representation of the perturbation.

    An l2 attack on K filters costs one K x K product per inner step in coefficient space, and
    two K x d products directly; the choice depends on the sizes alone.

    Parameters
    ----------
    attack : GradientAttack or None
        Attack in training.
    data : PatchData
        Training data.
    n_filters : int
        Number K of filters.

    Returns
    -------
    AttackPlan
        Representation and step rule for the kernel.

    Raises
    ------
    TypeError, ValueError
        If the attack is not a gradient attack from one start, the clean point or a random one, judged at its
        last iterate.
    """
    if attack is None:
        return AttackPlan()
    if not isinstance(attack, GradientAttack):
        raise TypeError(
            f"attack in training must be a GradientAttack or None, got {type(attack).__name__}; "
            "evaluate other attacks on the trained weights"
        )
    _check_start(attack, data)
    if attack.objective not in ("margin", "loss"):
        raise ValueError(f"objective in training must be 'margin' or 'loss', got {attack.objective!r}")
    check_last_iterate(attack)
    threat = attack.threat
    budget = threat.bind(data)
    plan = AttackPlan(
        mode=kernel.DIRECT,
        n_steps=attack.n_steps,
        margin=attack.objective == "margin",
        step_size=float(attack.step_size),
        unit=attack.rule == "unit",
        radius=threat.radius,
        whole=threat.scope == "input",
        linf=threat.norm == "linf",
        started=attack.n_random > 0,
    )
    if budget.basis is not None and budget.role_mask is not None:
        return dataclasses.replace(
            plan,
            mode=kernel.SUBSPACE,
            basis=np.ascontiguousarray(budget.basis),
            role_mask=np.ascontiguousarray(budget.role_mask, dtype=np.float64),
        )
    cheaper = n_filters * (attack.n_steps + 1) < 2 * data.dim * attack.n_steps
    if threat.norm == "l2" and data.pixel_map is None and cheaper:
        return dataclasses.replace(plan, mode=kernel.COEFFICIENT)
    return plan


def _check_start(attack: GradientAttack, data: PatchData) -> None:
    """Refuse more than one start, and a random one where the data do not hold what it adds."""
    if attack.n_random > 1 or attack.starts not in (("clean",), ("random",)):
        raise ValueError(
            "attack in training of this model must have one start, ('clean',) or ('random',) with "
            f"n_random=1, got starts={attack.starts} and n_random={attack.n_random}; use more in evaluation"
        )
    if attack.n_random and data.pixel_map is not None:
        raise ValueError(
            "starts must be ('clean',) for patches that share pixels, got ('random',): the kernel draws a "
            "start of every patch by itself"
        )
    if attack.n_random and isinstance(data.spec, GramSpace) and attack.threat.subspace is None:
        raise ValueError(
            "starts must be ('clean',) for data given by coordinates in their span, got ('random',): a "
            "random start leaves the span; give the threat a subspace, or draw the data in all dimensions"
        )


def check_fits(data: PatchData, weights: FloatArray, model: TwoLayerSpec, plan: AttackPlan) -> None:
    """Refuse numbers that float32 cannot square, sum or divide by; the run itself is watched for the same.

    Parameters
    ----------
    data : PatchData
        Training data.
    weights : ndarray, shape (k, m, d)
        Initial weights.
    model : TwoLayerSpec
        Its smoothing is divided by.
    plan : AttackPlan
        Attack.

    Raises
    ------
    ValueError
        Naming the first that is too large or too small.
    """
    sizes = {
        "data": np.abs(data.X).max(initial=0.0),
        "initial_weights": np.abs(weights).max(initial=0.0),
        "model.smoothing": max(model.smoothing, 1.0 / model.smoothing),
        "attack.threat.radius": plan.radius,
        "attack.step_size": plan.step_size * (_LARGEST / _LONGEST),
    }
    for name, size in sizes.items():
        if size > _LARGEST:
            limit = _LONGEST if name == "attack.step_size" else _LARGEST
            raise ValueError(
                f"{name} must be within {limit:g} in size (smoothing: and its inverse) with precision "
                f"'float32', got {size * (limit / _LARGEST):g}; use schedule.replace(precision='float64')"
            )
