"""The strongest attack known for a model and a threat, and the interval of robust accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks import ExactAttack, GradientAttack, SeparableAttack, pgd
from featsim.evaluation.evaluate import Evaluation, evaluate
from featsim.models import LinearModel, Model, TwoLayerNetwork
from featsim.threats import Threat, as_samples

if TYPE_CHECKING:
    from featsim.data import PatchData


def strongest_attack(
    model: Model, data: PatchData | tuple[Any, Any], threat: Threat
) -> SeparableAttack | GradientAttack | ExactAttack:
    """Return the strongest attack that fits.

    Parameters
    ----------
    model : Model
        Any model.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        Budget.

    Returns
    -------
    SeparableAttack, GradientAttack or ExactAttack
        For a linear model the exact one; for a two-layer network under a per-patch budget the
        patch-separable one; otherwise A-pgd of 40 steps against every rival in turn, from the clean
        point and along all filters and features that model and data have. None needs random numbers.
    """
    if isinstance(model, LinearModel):
        return ExactAttack(threat=threat)
    if isinstance(model, TwoLayerNetwork) and threat.scope == "patch":
        return SeparableAttack(threat=threat)
    samples = as_samples(data)
    starts = ["clean"]
    if samples.X.ndim == 3 and getattr(getattr(model, "weights", None), "ndim", 0) == 3:
        starts.append("filters")
    if getattr(samples.data, "robust_features", None) is not None:
        starts.append("features")
    return pgd(threat, n_steps=40, objective="targeted", starts=tuple(starts))


def robust_interval(
    model: Model,
    data: PatchData | tuple[Any, Any],
    threat: Threat,
    rng: np.random.Generator | None = None,
) -> Evaluation:
    """Run the strongest attack and the certificate of one threat.

    Parameters
    ----------
    model : Model
        Any model.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        Budget.
    rng : Generator, optional
        Not needed by any of these attacks today.

    Returns
    -------
    Evaluation
        Its ``robust_accuracy()`` is the interval [certified, attacked].
    """
    return evaluate(model, data, strongest_attack(model, data, threat), rng, certify=threat)
