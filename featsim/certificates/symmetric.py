r"""Certificates of the symmetric network: linear relaxation, curvature, and a separable bound of pure nets.

Samples with label -1 are reflected, x -> -x, since the network is odd: every bound is on f itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.result import CertificateResult
from featsim.models import (
    SymmetricNetwork,
    check_score_labels,
    signs,
    symmetric_activation,
    symmetric_slope,
)
from featsim.threats import Threat, as_samples
from featsim.validation import FloatArray, IntArray, check_array, check_integer

if TYPE_CHECKING:
    from featsim.data import PatchData

_BLOCK_ENTRIES = 1 << 20
_ROUNDING = 64 * float(np.finfo(np.float64).eps)
_PURE_TOLERANCE = 1e-9
_DENSITY_AT_0 = 0.3989422804014327
_MULTIPLIERS = 60


def certify_symmetric(
    network: SymmetricNetwork, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult:
    r"""Bound the margin of a symmetric network over a budget.

    The better of, for each sample: the linear relaxation :math:`\psi(v) \ge q_i v + t_i` on the interval
    neuron i can reach, with the tangent's slope at the clean point and with the chord's; and (l2) the
    curvature bound :math:`f - \tau \|\nabla f\| - \tfrac{\tau^2}{2} \lambda_{max}(\sum_i K_i w_i w_i^T)` with
    :math:`K_i = \max |\psi''|` there.

    Parameters
    ----------
    network : SymmetricNetwork
        Any bias and smoothing.
    data : SparseCodingData or tuple (X, y)
        Samples of one patch, (n, 1, d) or (n, d).
    threat : Threat
        l2 or linf, without subspace.

    Returns
    -------
    CertificateResult
        Sound lower bounds; per-neuron intervals ignore that all features share one budget.

    Raises
    ------
    TypeError, ValueError
        If the network is of another kind or the data or threat do not fit it.

    References
    ----------
    .. [1] docs/purification, "Certificates" [derived].
    """
    X, weights = _reflected(network, data, threat)
    b, s, tau = network.bias, network.smoothing, threat.radius
    order = None if threat.norm == "l2" else 1
    reach = tau * np.linalg.norm(weights, ord=order, axis=1)
    lower = np.empty(len(X))
    for block in _blocks(len(X), len(weights)):
        u = X[block] @ weights.T
        # What rounding may do to u widens the interval.
        slack = _ROUNDING * (np.linalg.norm(X[block], axis=1)[:, None] * np.linalg.norm(weights, axis=1))
        low, high = u - reach - slack, u + reach + slack
        at_low, at_high = symmetric_activation(low, b, s), symmetric_activation(high, b, s)
        bounds = [
            _relaxed(weights, u, low, high, at_low, at_high, slopes, at, tau, order, b, s)
            for slopes, at in (
                (symmetric_slope(u, b, s), np.abs(u)),
                _chord(low, high, at_low, at_high, b, s),
            )
        ]
        if threat.norm == "l2" and s > 0.0:
            bounds.append(_curved(weights, u, low, high, tau, b, s))
        lower[block] = np.max(bounds, axis=0)
    return CertificateResult(lower_margin=lower, method="relaxation/curvature", threat=threat)


def _reflected(
    network: SymmetricNetwork, data: PatchData | tuple[Any, Any], threat: Threat
) -> tuple[FloatArray, FloatArray]:
    """Return samples times their signs as rows, and the neurons, after checking."""
    if not isinstance(network, SymmetricNetwork):
        raise TypeError(f"network must be a SymmetricNetwork, got {type(network).__name__}")
    if threat.subspace is not None:
        raise ValueError(f"subspace must be None for this certificate, got {threat.subspace!r}")
    samples = as_samples(data)
    check_score_labels(samples.y, 1)
    network.scores(samples.X[:1])  # refuses other shapes
    rows = samples.X.reshape(len(samples.X), -1)
    return rows * signs(samples.y)[:, None], network.neurons


def _blocks(n: int, width: int) -> Iterator[slice]:
    size = max(1, _BLOCK_ENTRIES // width)
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _chord(
    low: FloatArray, high: FloatArray, at_low: FloatArray, at_high: FloatArray, b: float, s: float
) -> tuple[FloatArray, FloatArray]:
    """Return the chords' slopes and the points |v| where the activation has that slope, by bisection."""
    width = high - low
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = np.where(width > 0.0, (at_high - at_low) / width, 0.0)
    left, right = np.zeros_like(low), np.maximum(np.abs(low), np.abs(high))
    if s == 0.0:  # the slope jumps at the kink
        return slopes, np.full_like(low, b)
    for _ in range(50):
        middle = 0.5 * (left + right)
        below = symmetric_slope(middle, b, s) < slopes
        left, right = np.where(below, middle, left), np.where(below, right, middle)
    return slopes, 0.5 * (left + right)


def _relaxed(
    weights: FloatArray,
    u: FloatArray,
    low: FloatArray,
    high: FloatArray,
    at_low: FloatArray,
    at_high: FloatArray,
    slopes: FloatArray,
    at: FloatArray,
    tau: float,
    order: int | None,
    b: float,
    s: float,
) -> FloatArray:
    """Lower bound by psi(v) >= q v + t; `at` is near the point where psi has slope q."""
    # Up to 0, psi - q v is concave: its minimum is at an end. From 0 on it is convex: any tangent bounds
    # it, best at v* where psi has the slope q, so that v* need not be exact.
    least = np.minimum(at_low - slopes * low, at_high - slopes * high)
    if s == 0.0:
        least = np.where((low < b) & (b < high), np.minimum(least, -slopes * b), least)
    else:
        positive = np.maximum(low, 0.0)
        inside = np.clip(at, positive, np.maximum(high, 0.0))
        value = symmetric_activation(inside, b, s) - slopes * inside
        value -= np.abs(symmetric_slope(inside, b, s) - slopes) * np.maximum(high - positive, 0.0)
        least = np.where(high > 0.0, np.minimum(least, value), least)
    constant = (slopes * u + least).sum(axis=1)
    size = np.abs(slopes * u).sum(axis=1) + np.abs(least).sum(axis=1)
    combined = slopes @ weights
    bound: FloatArray = constant - tau * np.linalg.norm(combined, ord=order, axis=1)
    bound -= _ROUNDING * u.shape[1] ** 0.5 * size
    return bound


def _curved(
    weights: FloatArray, u: FloatArray, low: FloatArray, high: FloatArray, tau: float, b: float, s: float
) -> FloatArray:
    """Lower bound by Taylor's theorem to second order."""
    value = symmetric_activation(u, b, s)
    gradient = symmetric_slope(u, b, s) @ weights
    first = value.sum(axis=1) - tau * np.linalg.norm(gradient, axis=1)
    # |psi''| <= phi(distance of the interval to the nearer of +-b)/s.
    far = np.minimum(_distance(low, high, b), _distance(low, high, -b))
    bends = _DENSITY_AT_0 * np.exp(-0.5 * (far / s) ** 2) / s
    size = np.abs(value).sum(axis=1)
    bound = np.empty(len(u))
    for r, bend in enumerate(bends):
        scaled = np.sqrt(bend)[:, None] * weights
        gram = scaled.T @ scaled if scaled.shape[1] <= scaled.shape[0] else scaled @ scaled.T
        largest = float(np.linalg.eigvalsh(gram)[-1]) * (1.0 + _ROUNDING * len(gram))
        bound[r] = first[r] - 0.5 * tau * tau * largest
    bound -= _ROUNDING * u.shape[1] ** 0.5 * size
    return bound


def _distance(low: FloatArray, high: FloatArray, point: float) -> FloatArray:
    distance: FloatArray = np.maximum(np.maximum(low - point, point - high), 0.0)
    return distance


def certify_pure(
    network: SymmetricNetwork,
    dictionary: Any,
    data: PatchData | tuple[Any, Any],
    threat: Threat,
    *,
    n_points: int = 161,
) -> CertificateResult:
    r"""Bound the margin of an exactly pure network, :math:`w_i = c_i M_{j(i)}`, over an l2 ball.

    The score then is a sum of functions of one coordinate each, and for every multiplier
    :math:`\mu \ge 0`

    .. math::
        \min_{\|e\| \le \tau} \sum_l F_l(Z_l + e_l) \ge
        \sum_l \min_{|e| \le \tau} [F_l(Z_l + e) + \mu e^2] - \mu \tau^2 .

    Minima are taken on a grid and lowered by what can hide between its points; the best of many
    multipliers counts. Tight in practice, because it knows that all features share one budget.

    Parameters
    ----------
    network : SymmetricNetwork
        Smoothing greater than 0; for instance with :func:`featsim.decomposition.keep_pure` weights.
    dictionary : array_like, shape (d, D)
        Atoms as orthonormal columns.
    data : SparseCodingData or tuple (X, y)
        Samples.
    threat : Threat
        l2, without subspace.
    n_points : int
        Grid points on [-tau, tau], at least 3.

    Returns
    -------
    CertificateResult
        Sound lower bounds.

    Raises
    ------
    TypeError, ValueError
        If the network is not pure or smooth, or data or threat do not fit.

    References
    ----------
    .. [1] docs/purification, "Certificates" [derived].
    """
    X, weights = _reflected(network, data, threat)
    if threat.norm != "l2":
        raise ValueError(f"norm must be 'l2' for the separable bound, got {threat.norm!r}")
    if network.smoothing == 0.0:
        raise ValueError("smoothing must be > 0 for the separable bound, got 0; use certify_symmetric")
    atoms = check_array("dictionary", dictionary, (weights.shape[1], "D"))
    winner, sizes, excess = _pure_neurons(weights, atoms)
    b, s, tau = network.bias, network.smoothing, threat.radius
    e = np.linspace(-tau, tau, check_integer("n_points", n_points, minimum=3))
    spacing = float(e[1] - e[0])
    bends = np.asarray(np.bincount(winner, sizes**2, minlength=atoms.shape[1]), np.float64)
    bends = bends * (_DENSITY_AT_0 / s)
    codes = X @ atoms
    lower = np.empty(len(X))
    per_sample = max(1, _BLOCK_ENTRIES // (len(sizes) * len(e)))
    for start in range(0, len(X), per_sample):
        block = slice(start, start + per_sample)
        table = np.zeros((*codes[block].shape, len(e)))  # F_l(Z_l + e)
        for feature, size in zip(winner, sizes, strict=True):
            at = size * (codes[block, feature, None] + e)
            table[:, feature] += symmetric_activation(at, b, s)
        lower[block] = _dual(table, e, spacing, bends, tau)
        # Neurons that are pure up to rounding only: psi is 1-Lipschitz.
        reach = np.linalg.norm(X[block], axis=1) + tau
        lower[block] -= reach * excess + _ROUNDING * np.abs(table).max(axis=2).sum(axis=1)
    return CertificateResult(lower_margin=lower, method="separable", threat=threat)


def _pure_neurons(weights: FloatArray, atoms: FloatArray) -> tuple[IntArray, FloatArray, float]:
    """Return feature and size of every neuron, and the sum of what else they hold."""
    table = weights @ atoms
    winner: IntArray = np.argmax(np.abs(table), axis=1)
    sizes = table[np.arange(len(table)), winner]
    rest = np.linalg.norm(weights - sizes[:, None] * atoms[:, winner].T, axis=1)
    impure = rest > _PURE_TOLERANCE * np.linalg.norm(weights, axis=1)
    if impure.any():
        raise ValueError(
            f"network must be pure, got {int(impure.sum())} neurons of more than one feature; "
            "use keep_pure on its weights, or certify_symmetric"
        )
    return winner, sizes, float(rest.sum())


def _dual(table: FloatArray, e: FloatArray, spacing: float, bends: FloatArray, tau: float) -> FloatArray:
    """Best bound over multipliers; `table` (n, D, G)."""
    if tau == 0.0:
        return np.asarray(table[:, :, 0].sum(axis=1))
    best = np.full(len(table), -np.inf)
    # Slopes of F are about sum |c| <= a few, so multipliers of interest are around slope/tau.
    steepest = float(np.abs(np.diff(table, axis=2)).max()) / spacing if spacing > 0.0 else 1.0
    top = max(steepest, 1e-300) / tau
    for mu in (0.0, *np.geomspace(1e-3 * top, 2.0 * top, _MULTIPLIERS)):
        minima = (table + mu * e**2).min(axis=2)
        hidden = spacing**2 / 8.0 * (bends + 2.0 * mu)
        best = np.maximum(best, (minima - hidden).sum(axis=1) - mu * tau**2)
    return best
