"""Certificate of linear models: the exact worst margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.result import CertificateResult
from featsim.models import LinearModel, check_score_labels, margins, model_scores, target_cotangent
from featsim.threats import Threat, as_samples

if TYPE_CHECKING:
    from featsim.data import PatchData

_EPS = float(np.finfo(np.float64).eps)


def certify_linear(
    model: LinearModel, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult:
    r"""Bound the margin of a linear model over a budget, exactly up to rounding.

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
    CertificateResult
        :math:`\min_t F_y - F_t - \epsilon \|W_y - W_t\|_*` (on a cap the support function in
        the norm's place), less an allowance for rounding that is proportional to the number of
        terms and to their sizes.

    Raises
    ------
    TypeError
        If the model is not linear.
    ValueError
        If labels or shapes do not fit it.

    References
    ----------
    .. [1] Own derivation by the dual norm [derived]; documentation, page "Evaluating a model",
       section "Certificates".
    """
    if not isinstance(model, LinearModel):
        raise TypeError(f"model must be a LinearModel, got {type(model).__name__}; use tangent_chord")
    samples = as_samples(data)
    budget = samples.bind(threat)
    X, y = samples.X, samples.y
    scores = model_scores(model, X, samples.counts)
    n_scores = scores.shape[1]
    check_score_labels(y, n_scores)
    sizes = model_scores(_absolute(model), np.abs(X), samples.counts)
    # Sums of that many products, and a few operations more.
    allowance = 2 * (X[0].size + 32) * _EPS
    lower = np.full(len(y), np.inf)
    for offset in range(1, max(n_scores, 2)):
        target = (y + offset) % n_scores if n_scores > 1 else np.zeros_like(y)
        cotangent = target_cotangent(y, target, n_scores)
        reach = budget.support(model.input_gradient(X, cotangent))
        rounding = allowance * (np.sum(np.abs(cotangent) * sizes, axis=1) + reach)
        lower = np.minimum(lower, -np.sum(cotangent * scores, axis=1) - reach - rounding)
    # A non-finite score has no margin, and then nothing is certified.
    lower = np.where(np.isnan(margins(scores, y)), np.nan, lower)
    return CertificateResult(lower_margin=lower, method="linear", threat=threat)


def _absolute(model: LinearModel) -> LinearModel:
    bias = None if model.bias is None else np.abs(model.bias)
    return LinearModel(np.abs(model.weights), bias)
