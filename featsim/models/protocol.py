r"""What a model offers, and what follows from its scores.

A model is any object with two methods, so a user's own takes part everywhere:

``scores(X) -> ndarray (n, c)``
    One score per class, or c = 1: a single score f, decision by its sign.
``input_gradient(X, cotangent) -> ndarray, shape of X``
    Gradient in X of :math:`\sum_i a_{si} F_i(X_s)` for each sample s, with
    `cotangent` the (n, c) array a.

A model of patches may also take ``scores(X, counts=counts)``, where a patch
counts several times. Its input gradient is still that of ONE copy of the patch.

Labels are 0..c-1; for a single score 1 is positive, and 0 or -1 negative.
"""

from __future__ import annotations

import inspect
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from featsim.validation import FloatArray, IntArray


@runtime_checkable
class Model(Protocol):
    """Scores and input gradients; see the module's text for the rules."""

    def scores(self, X: FloatArray, /) -> FloatArray:
        """Return the (n, c) scores."""
        ...

    def input_gradient(self, X: FloatArray, cotangent: FloatArray, /) -> FloatArray:
        """Return the gradient of the scores combined by `cotangent`."""
        ...


def model_scores(model: Model, X: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """Call a model's `scores` and check what comes back.

    Parameters
    ----------
    model : Model
        Ours or the user's.
    X : ndarray, shape (n, ...)
        Inputs.
    counts : ndarray, shape (n, P), optional
        Multiplicity of each patch.

    Returns
    -------
    ndarray, shape (n, c)
        Scores; they may be non-finite.

    Raises
    ------
    TypeError
        If the model lacks the method, or cannot count patches.
    ValueError
        If the shape is wrong.
    """
    if not callable(getattr(model, "scores", None)) or not callable(getattr(model, "input_gradient", None)):
        raise TypeError(
            f"model must offer scores(X) and input_gradient(X, cotangent), got {type(model).__name__}"
        )
    if counts is None:
        scores = np.asarray(model.scores(X), dtype=np.float64)
    else:
        if "counts" not in inspect.signature(model.scores).parameters:
            raise TypeError(
                f"{type(model).__name__}.scores must take counts for data with repeated patches; "
                "give it the data before merge_repeats()"
            )
        scores = np.asarray(model.scores(X, counts=counts), dtype=np.float64)  # type: ignore[call-arg]
    if scores.ndim != 2 or scores.shape[0] != len(X) or scores.shape[1] < 1:
        raise ValueError(
            f"{type(model).__name__}.scores must return shape ({len(X)}, c), one row per sample, "
            f"got {scores.shape}; a single score per sample has c = 1"
        )
    return scores


def model_input_gradient(model: Model, X: FloatArray, cotangent: FloatArray) -> FloatArray:
    """Call a model's `input_gradient` and check what comes back.

    Parameters
    ----------
    model : Model
        Ours or the user's.
    X : ndarray, shape (n, ...)
        Inputs.
    cotangent : ndarray, shape (n, c)
        Weight of each score.

    Returns
    -------
    ndarray, shape of `X`
        Gradient; it may be non-finite.

    Raises
    ------
    ValueError
        If the shape is not that of X.
    """
    gradient = np.asarray(model.input_gradient(X, cotangent), dtype=np.float64)
    if gradient.shape != X.shape:
        raise ValueError(
            f"{type(model).__name__}.input_gradient must return the shape of X, {X.shape}, "
            f"got {gradient.shape}"
        )
    return gradient


def check_score_labels(y: IntArray, n_scores: int) -> None:
    """Check that labels fit a model.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Labels.
    n_scores : int
        Number of scores c of the model.

    Raises
    ------
    ValueError
        If a label is outside 0..c-1; for c = 1, unless they are 0 and 1, or -1 and 1.
    """
    if n_scores > 1:
        outside = (y < 0) | (y >= n_scores)
        if outside.any():
            raise ValueError(
                f"y must lie in 0..{n_scores - 1} for a model with {n_scores} scores, "
                f"got {int(y[np.argmax(outside)])}"
            )
    elif not (np.all(np.isin(y, (0, 1))) or np.all(np.isin(y, (-1, 1)))):
        raise ValueError(f"y must hold 0 and 1, or -1 and 1, for a model with one score, got {np.unique(y)}")


def signs(y: IntArray) -> FloatArray:
    """Return the signs that a one-score model should have.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Labels.

    Returns
    -------
    ndarray, shape (n,)
        +1 for label 1 and -1 for the other label.
    """
    return np.where(np.asarray(y) == 1, 1.0, -1.0)


def _rivals(scores: FloatArray, y: IntArray) -> FloatArray:
    """Scores with the label's own entry at minus infinity."""
    rivals = np.array(scores, dtype=np.float64)
    rivals[np.arange(len(y)), y] = -np.inf
    return rivals


def _log_sum_exp(values: FloatArray) -> FloatArray:
    top = np.max(values, axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        total: FloatArray = top[:, 0] + np.log(np.sum(np.exp(values - top), axis=1))
    return total


def _softmax(values: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.exp(values - np.max(values, axis=1, keepdims=True))
        shares: FloatArray = powers / np.sum(powers, axis=1, keepdims=True)
    return shares


def margins(scores: FloatArray, y: IntArray) -> FloatArray:
    r"""Hard margin, the quantity by which every attack is judged.

    Parameters
    ----------
    scores : ndarray, shape (n, c)
        Scores of the model.
    y : ndarray, shape (n,)
        Labels.

    Returns
    -------
    ndarray, shape (n,)
        :math:`F_y - \max_{i \ne y} F_i`, or :math:`\pm f` for a single score.
        A sample is correct if and only if it is > 0: a tie (0) is an error,
        and so is nan, which stands for any non-finite score.
    """
    scores = np.asarray(scores, dtype=np.float64)
    finite: npt.NDArray[np.bool_] = np.all(np.isfinite(scores), axis=1)
    safe = np.where(finite[:, None], scores, 0.0)
    if scores.shape[1] == 1:
        margin = signs(y) * safe[:, 0]
    else:
        margin = safe[np.arange(len(y)), y] - np.max(_rivals(safe, y), axis=1)
    return np.where(finite, margin, np.nan)


def soft_margin(scores: FloatArray, y: IntArray) -> FloatArray:
    r"""Return the soft margin, which attacks increase.

    Parameters
    ----------
    scores : ndarray, shape (n, c)
        Scores of the model.
    y : ndarray, shape (n,)
        Labels.

    Returns
    -------
    ndarray, shape (n,)
        :math:`\log\sum_{i \ne y} e^{F_i} - F_y`, or :math:`\mp f` for a single score.
    """
    if scores.shape[1] == 1:
        return -signs(y) * scores[:, 0]
    return _log_sum_exp(_rivals(scores, y)) - scores[np.arange(len(y)), y]


def cross_entropy(scores: FloatArray, y: IntArray) -> FloatArray:
    """Return the softmax cross-entropy, or the logistic loss of a single score.

    Parameters
    ----------
    scores : ndarray, shape (n, c)
        Scores of the model.
    y : ndarray, shape (n,)
        Labels.

    Returns
    -------
    ndarray, shape (n,)
        Loss of each sample.
    """
    # log(1 + e^s) of the soft margin s keeps losses that F-differences would round to zero.
    loss: FloatArray = np.logaddexp(0.0, soft_margin(scores, y))
    return loss


def loss_cotangent(scores: FloatArray, y: IntArray) -> FloatArray:
    r"""Return the gradient of the cross-entropy in the scores.

    Parameters
    ----------
    scores : ndarray, shape (n, c)
        Scores of the model.
    y : ndarray, shape (n,)
        Labels.

    Returns
    -------
    ndarray, shape (n, c)
        :math:`p - 1_y` with p the softmax.
    """
    if scores.shape[1] == 1:
        sign = signs(y)[:, None]
        with np.errstate(over="ignore"):
            slope: FloatArray = -sign / (1.0 + np.exp(sign * scores))
        return slope
    residual = _softmax(scores)
    rows = np.arange(len(y))
    # Minus the sum of the other probabilities, not p_y - 1, which rounds to 0 early.
    residual[rows, y] = 0.0
    residual[rows, y] = -np.sum(residual, axis=1)
    return residual


def margin_cotangent(scores: FloatArray, y: IntArray) -> FloatArray:
    """Return the gradient of the soft margin in the scores.

    Parameters
    ----------
    scores : ndarray, shape (n, c)
        Scores of the model.
    y : ndarray, shape (n,)
        Labels.

    Returns
    -------
    ndarray, shape (n, c)
        -1 at the label and the softmax of the other scores elsewhere: the
        cross-entropy gradient over 1 - p_y, computed directly so that it does
        not underflow. For a single score: minus the sign of the label.

    References
    ----------
    .. [1] Margin form of the input gradient on the model of Li & Li, arXiv:2410.08503; documentation,
       page "Structured data", section "Network" [derived].
    """
    if scores.shape[1] == 1:
        return -signs(y)[:, None]
    cotangent = _softmax(_rivals(scores, y))
    cotangent[np.arange(len(y)), y] = -1.0
    return cotangent


def target_cotangent(y: IntArray, targets: IntArray, n_scores: int) -> FloatArray:
    """Return the gradient of F_target - F_label in the scores.

    Parameters
    ----------
    y, targets : ndarray, shape (n,)
        Labels, and one rival of each.
    n_scores : int
        Number of scores c.

    Returns
    -------
    ndarray, shape (n, n_scores)
        1 at the target and -1 at the label. For a single score: minus the sign of the label.
    """
    if n_scores == 1:
        return -signs(y)[:, None]
    cotangent = np.zeros((len(y), n_scores))
    rows = np.arange(len(y))
    cotangent[rows, targets] = 1.0
    cotangent[rows, y] = -1.0
    return cotangent


def accuracy(scores: FloatArray, y: IntArray) -> float:
    """Return the share of samples with positive hard margin.

    Parameters
    ----------
    scores : ndarray, shape (n, c)
        Scores of the model.
    y : ndarray, shape (n,)
        Labels.

    Returns
    -------
    float
        Accuracy; ties and non-finite scores are errors.
    """
    return float(np.mean(margins(scores, y) > 0))


def wilson_interval(n_correct: int, n_samples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson interval of a proportion.

    Parameters
    ----------
    n_correct, n_samples : int
        Successes and trials.
    confidence : float
        Coverage.

    Returns
    -------
    low, high : float
        End points in [0, 1].
    """
    from scipy.stats import binomtest

    interval = binomtest(n_correct, n_samples).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
