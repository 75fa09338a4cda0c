r"""Lines below sums of neurons, and the bound that they give over a whole budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.result import CertificateResult
from featsim.models import Model, NeuronSum, check_score_labels, margins, model_scores, neuron_sum
from featsim.threats import Budget, Samples, Threat, as_samples, patched
from featsim.validation import FloatArray, IntArray

if TYPE_CHECKING:
    from featsim.data import PatchData

TANGENT_POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)

_EPS = float(np.finfo(np.float64).eps)
_SMALLEST = 1e-290  # what underflows may be lost, and is allowed for
_BLOCK_ENTRIES = 1 << 18


def certify_neurons(model: Model, data: PatchData | tuple[Any, Any], threat: Threat) -> CertificateResult:
    r"""Bound the margin of a network of one hidden layer over a budget by lines and the dual norm.

    On the interval that a neuron can reach, its term is above a line: a tangent where it is convex, the
    chord where it is concave; for an odd power on an interval of both signs, the line from the left end
    that touches the convex part. The sum of lines has its least value by the dual norm. The best over five
    tangent points, and the interval bound, count; the smallest over rivals.

    Parameters
    ----------
    model : Model
        Any that :func:`featsim.models.neuron_sum` knows.
    data : PatchData or tuple (X, y)
        Samples, (n, P, d) or (n, d).
    threat : Threat
        Any but the cap, whose dual norm is unknown.

    Returns
    -------
    CertificateResult
        Sound lower bounds; nan where a score or bound is not finite.

    Raises
    ------
    TypeError, ValueError
        If the model is no such network, or the data do not fit it.

    References
    ----------
    .. [1] Own derivation [derived]; documentation, page "Evaluating a model", section "Certificates".
    """
    neurons = neuron_sum(model)
    if neurons is None:
        raise TypeError(f"model must be a sum of neurons, got {type(model).__name__}; use certify_model")
    samples = patched(as_samples(data))
    check_score_labels(samples.y, neurons.n_scores)
    if samples.X.ndim != 3 or samples.X.shape[2] != neurons.filters.shape[1]:
        raise ValueError(
            f"X must have shape (n, P, {neurons.filters.shape[1]}) like the filters, got {samples.X.shape}"
        )
    budget = samples.bind(threat)
    lower = np.full(len(samples.y), np.inf)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for label in np.unique(samples.y):
            rows = np.flatnonzero(samples.y == label)
            for offset in range(1, max(neurons.n_scores, 2)):
                pair = neurons.against(int(label), int((label + offset) % neurons.n_scores))
                for block in _blocks(rows, samples, pair):
                    bound = _least(pair, samples, budget.select(block), block)
                    lower[block] = np.minimum(lower[block], bound)  # nan stays
        clean = margins(model_scores(model, np.asarray(as_samples(data).X), samples.counts), samples.y)
    lower[~np.isfinite(lower) | np.isnan(clean)] = np.nan
    return CertificateResult(lower_margin=lower, method="tangent/chord lines", threat=threat)


def _blocks(rows: IntArray, samples: Samples, pair: NeuronSum) -> list[IntArray]:
    entries = samples.X.shape[1] * max(*pair.filters.shape, 1)
    size = max(1, _BLOCK_ENTRIES // entries)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _least(pair: NeuronSum, samples: Samples, budget: Budget, block: IntArray) -> FloatArray:
    """Lower bound of one difference of scores on some samples."""
    X, filters = samples.X[block], pair.filters
    P, d = X.shape[1:]
    a, counts = pair.output[0], np.ones(X.shape[:2])
    if samples.counts is not None:
        counts = samples.counts[block]
    z = X @ filters.T + pair.shift
    sizes = np.abs(X) @ np.abs(filters).T + np.abs(pair.shift)
    reach = np.broadcast_to(budget.radius * budget.reach(filters), z.shape) * (1 + 4 * (d + 2) * _EPS)
    wide = reach + 2 * (d + 2) * _EPS * sizes
    low, high = z - wide, z + wide
    ends = pair.value(low), pair.value(high)
    linear = np.sum(counts * (X @ pair.linear[0]), axis=1) + pair.constant[0]
    linear_size = np.sum(counts * (np.abs(X) @ np.abs(pair.linear[0])), axis=1) + abs(pair.constant[0])
    tilt = np.broadcast_to(pair.linear[0], X.shape)
    rounding_up = 1 + 4 * (P * d + 4) * _EPS
    # Rounding of the sums: as many terms as there are, as large as they may be.
    steepest = np.maximum(np.abs(pair.slope(low)), np.abs(pair.slope(high)))
    term = np.maximum(np.abs(ends[0]), np.abs(ends[1])) + 2 * steepest * (np.abs(z) + wide) + _SMALLEST
    terms = 4 * (P * len(a) + d + 64) * _EPS
    allowance = terms * (np.sum(counts[:, :, None] * np.abs(a) * term, axis=(1, 2)) + linear_size)
    lost = np.sum(counts[:, :, None] * np.abs(a) * steepest * (wide - reach), axis=(1, 2))
    flat = np.sum(counts[:, :, None] * np.where(a > 0.0, a * ends[0], a * ends[1]), axis=(1, 2))
    best = flat + linear - budget.radius * rounding_up * budget.dual_norm(tilt) - allowance
    for tau in TANGENT_POINTS:
        steep, intercept = lines(pair, z - tau * reach, low, high, *ends)
        constant = np.sum(counts[:, :, None] * (intercept + steep * z), axis=(1, 2)) + linear
        most = budget.radius * rounding_up * budget.dual_norm(tilt + steep @ filters)
        best = np.fmax(best, constant - most - allowance - lost)
    return np.where(np.isfinite(allowance), best, np.nan)


def lines(
    pair: NeuronSum,
    at: FloatArray,
    low: FloatArray,
    high: FloatArray,
    at_low: FloatArray,
    at_high: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    r"""Return slope and intercept of a line below each term on its interval.

    Parameters
    ----------
    pair : NeuronSum
        One output row a, positive for odd activations.
    at : ndarray, shape (..., K)
        Where lines should be close to convex pieces.
    low, high : ndarray, shape of `at`
        Ends of the intervals.
    at_low, at_high : ndarray, shape of `at`
        Activation there.

    Returns
    -------
    steep, intercept : ndarray, shape of `at`
        :math:`a\,\phi(z) \ge \mathrm{steep}\, z + \mathrm{intercept}` on the interval.
    """
    a, point = pair.output[0], np.clip(at, low, high)
    steep = pair.slope(point)
    tangent = pair.value(point) - steep * point
    width = high - low
    chord = np.where(width > 0.0, (at_high - at_low) / np.where(width > 0.0, width, 1.0), 0.0)
    if not pair.odd:
        above = np.maximum(at_low - chord * low, at_high - chord * high)
        return a * np.where(a > 0.0, steep, chord), a * np.where(a > 0.0, tangent, above)
    # Odd powers, a > 0: concave below 0 and convex above.
    below = np.minimum(at_low - chord * low, at_high - chord * high)
    touch = np.maximum(-tangent_ratio(pair.power) * low, point)
    mixed = pair.slope(touch)
    # Any slope will do: from 0 on the line's height is least where the activation has that slope.
    joined = np.minimum(at_low - mixed * low, pair.value(touch) - mixed * touch)
    reaches = touch <= high  # elsewhere: the chord below 0, and the interval bound
    chord_slope = np.where(high <= 0.0, chord, 0.0)
    mixed_slope = np.where(reaches, mixed, chord_slope)
    mixed_line = np.where(reaches, joined, np.where(high <= 0.0, below, at_low))
    convex = low >= 0.0
    return a * np.where(convex, steep, mixed_slope), a * np.where(convex, tangent, mixed_line)


def tangent_ratio(power: float) -> float:
    r"""Return t/\|l\| where the line from (l, -\|l\|^q), l < 0, touches :math:`z^q`.

    Parameters
    ----------
    power : float
        q > 1.

    Returns
    -------
    float
        The t in (0, 1) with :math:`q t^{q-1} (t + 1) = t^q + 1`, rounded up; 1/2 for q = 3.
    """
    low, high = 0.0, 1.0
    for _ in range(80):
        t = 0.5 * (low + high)
        low, high = (t, high) if power * t ** (power - 1) * (t + 1) < t**power + 1 else (low, t)
    return high
