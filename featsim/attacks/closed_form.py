"""Attacks in closed form: the feature swap, and the exact worst case of linear models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks.ascent import Incumbent
from featsim.attacks.result import AttackResult
from featsim.attacks.specs import ExactAttack, FeatureAttack
from featsim.attacks.starts import rival_targets
from featsim.models import (
    LinearModel,
    Model,
    check_score_labels,
    margins,
    model_scores,
    target_cotangent,
)
from featsim.threats import Samples, Threat, as_samples
from featsim.validation import FloatArray, IntArray

if TYPE_CHECKING:
    from featsim.data import PatchData


def feature_attack(attack: FeatureAttack, model: Model, samples: Samples) -> AttackResult:
    """Run A-feat; see :class:`featsim.attacks.FeatureAttack`."""
    data = samples.data
    if data is None or data.nonrobust_features is None or np.any(data.roles < 0):
        raise ValueError(
            "A-feat must be run on data with nonrobust_features and the role of every patch; "
            "give both to patch_data, or use pgd"
        )
    strengths, source = nonrobust_strengths(data)
    scores = model_scores(model, data.X, samples.counts)
    check_score_labels(data.y, scores.shape[1])
    best = Incumbent.none(data.X.shape)
    rows = np.arange(data.n_samples)
    for target in rival_targets(data.y, data.n_classes):
        delta = feature_swap(data, target, attack.radius, strengths)
        margin = margins(model_scores(model, data.X + delta, samples.counts), data.y)
        best.offer(rows, margin, delta, "closed form", 1, target)
    return _result(attack, margins(scores, data.y), best, "features", {"strengths": source})


def nonrobust_strengths(data: PatchData) -> tuple[FloatArray, str]:
    r"""Return the strength :math:`\beta_p` of every patch.

    A constant strength is taken as given. Where strengths are spread over an
    interval, or unknown, it is measured as :math:`\max(0, \langle x_p, v_y
    \rangle)`, which includes the noise along that direction [choice].

    Parameters
    ----------
    data : PatchData
        Samples with non-robust features.

    Returns
    -------
    strengths : ndarray, shape (n, P)
        One per patch; it has a meaning on non-robust patches only.
    source : str
        ``"as given"`` or ``"measured along v_y"``.

    Raises
    ------
    ValueError
        If the features are unknown and a measurement is needed.
    """
    spread = float(getattr(data.spec, "strength_spread", 0.0))
    if data.nonrobust_strength is not None and spread == 0.0:
        return np.full(data.roles.shape, data.nonrobust_strength), "as given"
    if data.nonrobust_features is None:
        raise ValueError("nonrobust_features must be known to measure strengths; give them to patch_data")
    along = np.einsum("npd,nd->np", data.X, data.nonrobust_features[data.y])
    return np.maximum(along, 0.0), "measured along v_y"


def feature_swap(data: PatchData, target: IntArray, radius: float, strengths: FloatArray) -> FloatArray:
    """Return A-feat's perturbation towards given targets.

    Parameters
    ----------
    data : PatchData
        Samples with features and roles.
    target : ndarray, shape (n,)
        Class whose non-robust feature is written.
    radius : float
        Radius per patch.
    strengths : ndarray, shape (n, P)
        Strength of the non-robust feature of each patch.

    Returns
    -------
    ndarray, shape (n, P, d)
        Zero on robust patches, of norm `radius` on the others.

    Raises
    ------
    ValueError
        If the features are unknown.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data", section
       "Training and attacks" [derived].
    """
    if data.nonrobust_features is None:
        raise ValueError("nonrobust_features must be known; give them to patch_data")
    removed = np.minimum(radius / np.sqrt(2.0), strengths)
    # (r - c)(r + c) instead of r^2 - c^2: no cancellation and no underflow of the squares.
    written = np.sqrt(radius - removed) * np.sqrt(radius + removed)
    features = data.nonrobust_features
    swap = (
        written[:, :, None] * features[target][:, None, :]
        - removed[:, :, None] * features[data.y][:, None, :]
    )
    return np.where((data.roles == 1)[:, :, None], swap, 0.0)


def exact_linear(model: LinearModel, data: PatchData | tuple[Any, Any], threat: Threat) -> AttackResult:
    r"""Worst perturbation of a linear model, for any threat.

    For each rival t the margin's minimum over the budget is
    :math:`F_y - F_t - \epsilon \|W_y - W_t\|_*`, at the steepest step, and on a cap of the
    sphere slice where the input has turned towards :math:`W_t - W_y`; the smallest over
    rivals is exact.

    Parameters
    ----------
    model : LinearModel
        Any number of scores, or a single one.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        Budget.

    Returns
    -------
    AttackResult
        Exact margins and perturbations that attain them.

    Raises
    ------
    TypeError
        If the model is not linear.
    ValueError
        If labels or shapes do not fit it.

    References
    ----------
    .. [1] Support function of the budget [derived]; documentation, page "Evaluating a model",
       section "What the numbers mean".
    """
    if not isinstance(model, LinearModel):
        raise TypeError(f"model must be a LinearModel, got {type(model).__name__}; use pgd")
    samples = as_samples(data)
    budget = samples.bind(threat)
    scores = model_scores(model, samples.X, samples.counts)
    check_score_labels(samples.y, scores.shape[1])
    best = Incumbent.none(samples.X.shape)
    rows = np.arange(len(samples.y))
    for target in rival_targets(samples.y, scores.shape[1]):
        cotangent = target_cotangent(samples.y, target, scores.shape[1])
        delta = budget.extreme(model.input_gradient(samples.X, cotangent))
        margin = margins(model_scores(model, samples.X + delta, samples.counts), samples.y)
        best.offer(rows, margin, delta, "closed form", 1, target)
    return _result(ExactAttack(threat=threat), margins(scores, samples.y), best, "targeted", {})


def _result(
    attack: FeatureAttack | ExactAttack,
    clean_margin: FloatArray,
    best: Incumbent,
    objective: str,
    notes: dict[str, Any],
) -> AttackResult:
    return AttackResult(
        attack=attack,
        clean_margin=clean_margin,
        margin=best.margin,
        perturbation=best.perturbation,
        objective=np.full(len(best.margin), objective),
        start=best.start.astype(np.str_),
        step=best.step,
        target=best.target,
        dead_gradient=np.zeros(len(best.margin), dtype=bool),
        notes=notes,
    )
