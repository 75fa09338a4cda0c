r"""Certificate of networks with a convex activation: tangent below, chord above.

On the interval a neuron can reach, its activation lies above any tangent and
below the chord. With tangents for the label's neurons and chords for a rival's,
the margin is at least an affine function of the perturbation, whose minimum over
the budget is given by the dual norm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.result import CertificateResult
from featsim.models import TwoLayerNetwork, check_score_labels, signs, smoothed_relu, smoothed_relu_slope
from featsim.threats import Budget, Samples, Threat, as_samples
from featsim.validation import FloatArray, IntArray

if TYPE_CHECKING:
    from featsim.data import PatchData

TANGENT_POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)

_EPS = float(np.finfo(np.float64).eps)
_SMALLEST = 1e-290  # what underflows may be lost, and is allowed for
_BLOCK_ENTRIES = 1 << 18

Activation = Callable[[FloatArray], FloatArray]


@dataclasses.dataclass(frozen=True, eq=False)
class AffineBound:
    """Per sample and class: constant + sum over patches of <linear, delta_p>.

    Attributes
    ----------
    constant : ndarray, shape (n, k)
        Value at zero perturbation, patches counted, rounding allowed for.
    linear : ndarray, shape (n, k, P, d)
        Coefficients, for one copy of each patch.
    """

    constant: FloatArray
    linear: FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class Reach:
    """What the neurons of one block of samples can do.

    Attributes
    ----------
    z, range : ndarray, shape (n, P, k, m)
        Preactivation and how far the budget moves it.
    rounding : ndarray, shape (n, P, k, m)
        Bound on the rounding error of z.
    counts : ndarray, shape (n, P, 1, 1)
        Multiplicity of patches.
    """

    z: FloatArray
    range: FloatArray
    rounding: FloatArray
    counts: FloatArray


def tangent_chord(
    network: TwoLayerNetwork, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult:
    r"""Bound the margin of a smoothed-ReLU network over a budget.

    For every rival t the bound is the best over tangent points :math:`z - \tau
    r`, :math:`\tau \in \{0, 1/4, 1/2, 3/4, 1\}` (one for all of the label's
    neurons), and the interval bound; the smallest over rivals counts.

    Parameters
    ----------
    network : TwoLayerNetwork
        Its activation is convex for every power >= 1; one score or more.
    data : PatchData or tuple (X, y)
        Samples of shape (n, P, d).
    threat : Threat
        Budget: l2 or linf, per patch or whole input, with or without subspace.

    Returns
    -------
    CertificateResult
        Sound lower bounds, usually loose near the edge of robustness.

    Raises
    ------
    TypeError
        If the network is not a TwoLayerNetwork.
    ValueError
        If the data do not fit it.

    References
    ----------
    .. [1] Own derivation [derived]; documentation, page "Evaluating a model", section "Certificates".
    """
    if not isinstance(network, TwoLayerNetwork):
        raise TypeError(
            f"network must be a TwoLayerNetwork, got {type(network).__name__}; for other convex "
            "activations use convex_bound"
        )
    power, smoothing = network.power, network.smoothing
    return convex_bound(
        network.weights,
        partial(smoothed_relu, power=power, smoothing=smoothing),
        partial(smoothed_relu_slope, power=power, smoothing=smoothing),
        data,
        threat,
    )


def convex_bound(
    weights: FloatArray,
    activation: Activation,
    slope: Activation,
    data: PatchData | tuple[Any, Any],
    threat: Threat,
) -> CertificateResult:
    r"""Bound the margin of :math:`F_i = \sum_{r,p} s(\langle w_{ir}, x_p \rangle)` with convex s.

    Parameters
    ----------
    weights : ndarray, shape (k, m, d)
        Filters; k = 1 for a single score.
    activation, slope : callable
        Convex, non-decreasing s and a subgradient of it, element by element.
    data : PatchData or tuple (X, y)
        Samples of shape (n, P, d).
    threat : Threat
        Budget.

    Returns
    -------
    CertificateResult
        Sound lower bounds; nan where a bound is not finite.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    .. [1] Own derivation [derived]; documentation, page "Evaluating a model", section "Certificates".
    """
    samples = as_samples(data)
    if samples.X.ndim != 3 or weights.ndim != 3 or samples.X.shape[2] != weights.shape[2]:
        raise ValueError(
            f"X must have shape (n, P, {weights.shape[-1]}) like the filters, got {samples.X.shape}"
        )
    check_score_labels(samples.y, len(weights))
    budget = samples.bind(threat)
    lower = np.empty(len(samples.y))
    # Large weights may overflow on the way; what is not finite at the end is not certified.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for block in _blocks(samples, weights):
            part = _reach(weights, samples, budget.select(block), block)
            lower[block] = _lower_margin(
                part, weights, activation, slope, samples.y[block], budget.select(block)
            )
    lower[~np.isfinite(lower)] = np.nan
    return CertificateResult(lower_margin=lower, method="tangent/chord", threat=threat)


def _blocks(samples: Samples, weights: FloatArray) -> Iterator[slice]:
    """Cut the samples so that the arrays of one block stay within the processor's cache."""
    k, m, d = weights.shape
    size = max(1, _BLOCK_ENTRIES // (samples.X.shape[1] * k * max(m, d)))
    for start in range(0, len(samples.y), size):
        yield slice(start, start + size)


def _reach(weights: FloatArray, samples: Samples, budget: Budget, block: slice) -> Reach:
    k, m, d = weights.shape
    filters, X = weights.reshape(k * m, d), samples.X[block]
    shape = (*X.shape[:2], k, m)
    z = (X @ filters.T).reshape(shape)
    # Standard bound on the error of an inner product of length d, with room to spare.
    rounding = 2 * (d + 2) * _EPS * (np.abs(X) @ np.abs(filters).T).reshape(shape)
    reach = np.broadcast_to(budget.radius * budget.reach(filters), (*X.shape[:2], k * m)).reshape(shape)
    counts = np.ones(X.shape[:2]) if samples.counts is None else samples.counts[block]
    moved = reach * (1 + 4 * (d + 2) * _EPS)
    return Reach(z, moved, rounding, counts[:, :, None, None])


def _lower_margin(
    part: Reach,
    weights: FloatArray,
    activation: Activation,
    slope: Activation,
    y: IntArray,
    budget: Budget,
) -> FloatArray:
    rows, k = np.arange(len(y)), len(weights)
    above = _chords(part, weights, activation, slope)
    low, high = _intervals(part, activation)
    if k == 1:
        best = _one_score(part, weights, activation, slope, signs(y), above, (low, high), budget)
        return np.where(np.isfinite(high[:, 0]), best, np.nan)
    best = low[rows, y][:, None] - high  # interval bound, (n, k)
    label = _of_label(part, y)
    for tau in TANGENT_POINTS:
        below = _tangents(label, weights[y], activation, slope, tau)
        for offset in range(1, k):
            target = (y + offset) % k
            linear = below.linear[:, 0] - above.linear[rows, target]
            bound = below.constant[:, 0] - above.constant[rows, target] - _most(linear, budget)
            best[rows, target] = np.fmax(best[rows, target], bound)
    best[rows, y] = np.inf
    # Where a score may overflow there is no margin to speak of.
    return np.where(np.isfinite(high).all(axis=1), np.min(best, axis=1), np.nan)


def _one_score(
    part: Reach,
    weights: FloatArray,
    activation: Activation,
    slope: Activation,
    sign: FloatArray,
    above: AffineBound,
    interval: tuple[FloatArray, FloatArray],
    budget: Budget,
) -> FloatArray:
    """Margin of a single score f: a lower bound of f for positive labels, of -f for the others."""
    low, high = interval
    best = np.where(sign > 0, low[:, 0], -high[:, 0])
    negative = -above.constant[:, 0] - _most(above.linear[:, 0], budget)
    filters = np.broadcast_to(weights, (len(sign), *weights.shape[1:]))
    for tau in TANGENT_POINTS:
        below = _tangents(part, filters, activation, slope, tau)
        positive = below.constant[:, 0] - _most(below.linear[:, 0], budget)
        best = np.fmax(best, np.where(sign > 0, positive, negative))
    return best


def _of_label(part: Reach, y: IntArray) -> Reach:
    """Return the reach of the label's own neurons, class axis of length 1."""
    rows = np.arange(len(y))
    z, moved, rounding = (a[rows, :, y][:, :, None] for a in (part.z, part.range, part.rounding))
    return Reach(z, moved, rounding, part.counts)


def _most(linear: FloatArray, budget: Budget) -> FloatArray:
    """Largest value of a linear form over the budget, rounded up."""
    rounding_up = 1 + 4 * (linear.shape[1] * linear.shape[2] + 4) * _EPS
    most: FloatArray = budget.radius * rounding_up * budget.dual_norm(linear)
    return most


def _total(values: FloatArray, counts: FloatArray) -> FloatArray:
    """Sum over patches (with counts) and neurons: (n, P, k, m) to (n, k)."""
    total: FloatArray = np.sum(values * counts, axis=(1, 3))
    return total


def _allowance(part: Reach, height: FloatArray, steep: FloatArray) -> FloatArray:
    """Bound on the rounding of a sum of values up to `height` and slopes up to `steep`."""
    terms = part.z.shape[1] * part.z.shape[3] + 64
    size = np.abs(height) + steep * (np.abs(part.z) + part.range) + _SMALLEST
    return _total(steep * part.rounding + terms * _EPS * size, part.counts)


def _intervals(part: Reach, activation: Activation) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest scores neuron by neuron, each (n, k)."""
    wide = part.range + part.rounding
    bottom, top = activation(part.z - wide), activation(part.z + wide)
    terms = (part.z.shape[1] * part.z.shape[3] + 64) * _EPS
    low = _total(bottom - terms * (np.abs(bottom) + _SMALLEST), part.counts)
    return low, _total(top + terms * (np.abs(top) + _SMALLEST), part.counts)


def _chords(part: Reach, weights: FloatArray, activation: Activation, slope: Activation) -> AffineBound:
    """Upper bound of every class: s(z + t) <= s(lo) + (s(hi) - s(lo)) / (hi - lo) (z + t - lo)."""
    wide = part.range + part.rounding
    low, high = part.z - wide, part.z + wide
    bottom, top, steep = activation(low), activation(high), slope(high)
    width = high - low
    # On an interval too short for a quotient the end slope bounds a convex function from above too.
    chord = np.where(width > 0, (top - bottom) / np.where(width > 0, width, 1.0), steep)
    chord = np.clip(chord, 0.0, steep)
    constant = _total(bottom + chord * (part.z - low), part.counts) + _allowance(part, top, steep)
    return AffineBound(constant, np.einsum("npkm,kmd->nkpd", chord, weights, optimize=True))


def _tangents(
    label: Reach, filters: FloatArray, activation: Activation, slope: Activation, tau: float
) -> AffineBound:
    """Lower bound of one class per sample: s(z + t) >= s(a) + s'(a) (z + t - a) with a = z - tau r."""
    at = label.z - tau * label.range
    value, steep = activation(at), slope(at)
    constant = _total(value + steep * (label.z - at), label.counts) - _allowance(label, value, steep)
    return AffineBound(constant, np.einsum("npm,nmd->npd", steep[:, :, 0], filters, optimize=True)[:, None])
