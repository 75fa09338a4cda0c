"""The strongest attack known for a model and a threat, and the interval of robust accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks import ExactAttack, GradientAttack, SeparableAttack, pgd
from featsim.evaluation.evaluate import Evaluation, evaluate
from featsim.models import LinearModel, Model, TwoLayerNetwork, model_scores
from featsim.threats import Threat, as_samples

if TYPE_CHECKING:
    from featsim.data import PatchData


def strongest_attack(
    threat: Threat,
    model: Model | None = None,
    data: PatchData | tuple[Any, Any] | None = None,
) -> SeparableAttack | GradientAttack | ExactAttack:
    """Return the strongest attack that fits: one policy for scenarios, claims, figures and users.

    Parameters
    ----------
    threat : Threat
        Budget.
    model : Model, optional
        Any model; by default a two-layer network of the package.
    data : PatchData or tuple (X, y), optional
        Samples; by default patches with known features.

    Returns
    -------
    SeparableAttack, GradientAttack or ExactAttack
        For a linear model the exact one; for a two-layer network under a per-patch budget the
        patch-separable one; otherwise A-pgd of 40 steps against every rival in turn, from the clean
        point, along all filters and features that model and data have and, where an l2 budget is shared
        by all patches, from the best split between writing on some and removing. With known features that
        split replaces the starts along filters one patch at a time, four times as many: on trained and on
        pure networks of whole-input l2 not one margin changed. None needs random numbers.
    """
    if isinstance(model, LinearModel):
        return ExactAttack(threat=threat)
    if (model is None or isinstance(model, TwoLayerNetwork)) and threat.scope == "patch":
        return SeparableAttack(threat=threat)
    filters = features = classes = True
    if data is not None:
        samples = as_samples(data)
        shape = np.asarray(getattr(model, "weights", None)).shape
        patches = samples.X.ndim == 3
        filters = patches and (model is None or (len(shape) == 3 and shape[2] == samples.X.shape[2]))
        features = getattr(samples.data, "robust_features", None) is not None
        # A single score has no rival whose direction could be written.
        classes = patches and (model is None or model_scores(model, samples.X[:1]).shape[1] > 1)
    spread = classes and (filters or features) and (threat.scope, threat.norm) == ("input", "l2")
    chosen = {"clean": True, "filters": filters and not (spread and features), "features": features}
    starts = tuple(name for name, wanted in {**chosen, "spread": spread}.items() if wanted)
    return pgd(threat, n_steps=40, objective="targeted", starts=starts)


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
    return evaluate(model, data, strongest_attack(threat, model, data), rng, certify=threat)
