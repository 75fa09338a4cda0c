r"""Certificates of deep networks: intervals forward, lines backward."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.result import CertificateResult
from featsim.models import DeepNetwork, ReluNetwork, check_score_labels, model_scores, signs
from featsim.threats import Budget, Threat, as_samples
from featsim.validation import FloatArray

if TYPE_CHECKING:
    from featsim.data import PatchData

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 256

Activation = Callable[[FloatArray], FloatArray]


@dataclasses.dataclass(frozen=True, eq=False)
class Layers:
    """A network as matrices, biases, and one convex, increasing activation between them.

    Attributes
    ----------
    matrices : list of matrix, shapes (m_1, D), (m_2, m_1), ..., (1, m_L)
        Dense or scipy sparse.
    biases : list of ndarray
        One per matrix.
    value, slope : callable
        Activation and a subgradient of it.
    """

    matrices: list[Any]
    biases: list[FloatArray]
    value: Activation
    slope: Activation


def certify_layers(
    network: DeepNetwork | ReluNetwork, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult:
    r"""Bound the margin of a deep network over a budget.

    Preactivations get intervals layer by layer, the first one by the dual norm. Then every activation is
    put between a tangent and its chord, and the score's lower line is carried back to the input, where the
    dual norm gives its least value. The better of both counts.

    Parameters
    ----------
    network : DeepNetwork or ReluNetwork
        One score.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        l2 or linf, with or without subspace, not the cap.

    Returns
    -------
    CertificateResult
        Sound lower bounds, looser with every layer.

    Raises
    ------
    TypeError, ValueError
        If the network is of another kind or the data do not fit it.

    References
    ----------
    .. [1] Own derivation [derived]; lines carried backward are those of Zhang et al. 2018
       (CROWN) [recalled].
    """
    if not isinstance(network, DeepNetwork | ReluNetwork):
        raise TypeError(f"network must be deep, got {type(network).__name__}; use certify_model")
    samples = as_samples(data)
    check_score_labels(samples.y, 1)
    f = model_scores(network, samples.X)
    budget, layers = samples.bind(threat), _layers(network)
    lower = np.empty(len(f))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(f), _BLOCK):
            block = slice(start, start + _BLOCK)
            lower[block] = _least(layers, samples.X[block], signs(samples.y[block]), budget.select(block))
    lower[~np.isfinite(lower) | ~np.isfinite(f[:, 0])] = np.nan
    return CertificateResult(lower_margin=lower, method="intervals and lines", threat=threat)


def _layers(network: DeepNetwork | ReluNetwork) -> Layers:
    if isinstance(network, ReluNetwork):
        return Layers(
            [A for A, _ in network.layers],
            [b for _, b in network.layers],
            lambda z: np.maximum(z, 0.0),
            lambda z: (z > 0.0).astype(np.float64),
        )
    matrices = [
        network.weights[0] @ network.input_weights,
        *network.weights[1:],
        network.output_weights[None],
    ]
    act = network.activation
    return Layers(matrices, [np.zeros(len(A)) for A in matrices], act.value, act.slope)


def _least(layers: Layers, X: FloatArray, sign: FloatArray, budget: Budget) -> FloatArray:
    low, high, steep, tangent, chord, above = [], [], [], [], [], []
    x = X.reshape(len(X), -1)
    first = layers.matrices[0]
    dense = first if isinstance(first, np.ndarray) else first.toarray()
    middle = x @ dense.T + layers.biases[0]
    reach = np.stack(
        [budget.dual_norm(np.broadcast_to(row.reshape(X.shape[1:]), X.shape)) for row in dense], axis=1
    )
    wide = budget.radius * reach * (1 + 1e-12) + 4 * (x.shape[1] + 2) * _EPS * (np.abs(x) @ np.abs(dense).T)
    lo, hi = middle - wide, middle + wide
    for number in range(1, len(layers.matrices)):
        at_lo, at_hi = layers.value(lo), layers.value(hi)
        width = hi - lo
        quotient = np.where(
            width > 0.0, (at_hi - at_lo) / np.where(width > 0.0, width, 1.0), layers.slope(hi)
        )
        point = np.clip(middle, lo, hi)
        low.append(lo)
        high.append(hi)
        steep.append(layers.slope(point))
        tangent.append(layers.value(point) - steep[-1] * point)
        chord.append(quotient)
        above.append(np.maximum(at_lo - quotient * lo, at_hi - quotient * hi))
        A, b = layers.matrices[number], layers.biases[number]
        plus, minus = _parts(A)
        size = _apply(abs(A), np.maximum(np.abs(at_lo), np.abs(at_hi))) + np.abs(b)
        rounding = 4 * (A.shape[1] + 4) * _EPS * size
        lo = _apply(plus, at_lo) + _apply(minus, at_hi) + b - rounding
        hi = _apply(plus, at_hi) + _apply(minus, at_lo) + b + rounding
        middle = _apply(A, layers.value(point)) + b
    interval = np.where(sign > 0, lo[:, 0], -hi[:, 0])
    return np.fmax(interval, _backward(layers, X, sign, budget, low, high, steep, tangent, chord, above))


def _backward(
    layers: Layers,
    X: FloatArray,
    sign: FloatArray,
    budget: Budget,
    low: list[FloatArray],
    high: list[FloatArray],
    steep: list[FloatArray],
    tangent: list[FloatArray],
    chord: list[FloatArray],
    above: list[FloatArray],
) -> FloatArray:
    """Carry the lower line of sign * f back to the input."""
    back = sign[:, None] * _dense_row(layers.matrices[-1])
    constant = sign * layers.biases[-1][0]
    size = np.abs(constant)
    for number in range(len(layers.matrices) - 2, -1, -1):
        # Positive coefficients see the tangent below, negative ones the chord above.
        intercept = back * np.where(back > 0.0, tangent[number], above[number])
        back = back * np.where(back > 0.0, steep[number], chord[number])
        far = np.maximum(np.abs(low[number]), np.abs(high[number]))
        size = size + np.sum(np.abs(intercept) + np.abs(back) * far, axis=1)
        constant = constant + intercept.sum(axis=1) + back @ layers.biases[number]
        back = _apply(layers.matrices[number].T, back)
    x = X.reshape(len(X), -1)
    size = size + np.sum(np.abs(back * x), axis=1)
    width = sum(A.shape[1] for A in layers.matrices)
    most = budget.radius * (1 + 1e-12) * budget.dual_norm(back.reshape(X.shape))
    bound: FloatArray = constant + np.sum(back * x, axis=1) - most - 16 * (width + 64) * _EPS * (size + most)
    return bound


def _apply(A: Any, rows: FloatArray) -> FloatArray:
    """Return A applied to every row, dense or sparse."""
    return np.ascontiguousarray((A @ rows.T).T)


def _parts(A: Any) -> tuple[Any, Any]:
    """Positive and negative part of a matrix."""
    if isinstance(A, np.ndarray):
        return np.maximum(A, 0.0), np.minimum(A, 0.0)
    return A.maximum(0.0), A.minimum(0.0)


def _dense_row(A: Any) -> FloatArray:
    row: FloatArray = A if isinstance(A, np.ndarray) else A.toarray()
    return row
