r"""Accuracy on fresh samples by Gaussians of the filters' dimension, at any dimension of the data.

A fresh noise patch acts on a network only through :math:`W\xi \sim N(0, \sigma^2 W \Pi W^\top)`. With
:math:`W = [\text{feature part} \mid R^\top]`, R from a QR factorisation of the rest, fresh patches are drawn
in dimension f + K instead of d: the exact law of every accuracy, for millions of samples.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from featsim.data import GramSpace, PatchData, SignalNoiseData, SignalNoiseSpec
from featsim.models import PowerNetwork, TwoLayerNetwork, power_activation
from featsim.validation import FloatArray, check_array, check_generator, check_integer, check_real

BLOCK_NUMBERS = 1 << 18  # a block's arrays stay in cache
_WINDOW = 0.03  # of the standard deviation of V: its density is flat within 1 % from .0003 to .1


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of fresh samples.

    Attributes
    ----------
    value : float
        Share with a positive margin.
    standard_error : float
        Its standard error; 0 where every fresh sample of a class is the same.
    """

    value: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class LinePopulation:
    """A power network on fresh signal-plus-noise samples.

    Attributes
    ----------
    n_samples : int
        Fresh samples, each taken with both labels.
    clean, fixed, worst : Share
        Accuracy clean and under both line attacks.
    fixed_excess : Share
        Accuracy under the fixed attack above 1/2, for the odd network: :math:`P(|V| < s)/2`. Where s is below
        3 % of the standard deviation of V it is read off the density at 0, s times the share within 3 %,
        which resolves what would hold no sample. nan for another network.
    noise_sd : float
        Standard deviation of the noise part V of the score.
    """

    n_samples: int
    clean: Share
    fixed: Share
    worst: Share
    fixed_excess: Share
    noise_sd: float


def filter_coordinates(
    filters: FloatArray, features: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    r"""Return filters in the smallest coordinates in which fresh noise is standard normal.

    Parameters
    ----------
    filters : ndarray, shape (K, r)
        W.
    features : ndarray, shape (f, r)
        Orthonormal features.
    scale : ndarray, shape (r,)
        Standard deviation of fresh noise along each axis; the same on the features' span.

    Returns
    -------
    along : ndarray, shape (K, f)
        Feature coefficients :math:`W F^\top`.
    rest : ndarray, shape (K, min(K, r))
        :math:`R^\top` with :math:`R^\top R` the covariance of the rest's products with noise.
    """
    along = filters @ features.T
    outside = (filters - along @ features) * scale
    factor: FloatArray = np.linalg.qr(outside.T)[1]
    return along, np.ascontiguousarray(factor.T)


def check_network(
    network: Any, kind: type[PowerNetwork] | type[TwoLayerNetwork], shape: tuple[int | str, ...]
) -> None:
    """Refuse another network, and one whose classes or dimension are not those of the data."""
    if not isinstance(network, kind):
        raise TypeError(f"network must be a {kind.__name__}, got {type(network).__name__}")
    check_array("network.weights", network.weights, shape)


def rest_coordinates(
    filters: FloatArray, features: FloatArray, spec: Any, data: PatchData
) -> tuple[FloatArray, FloatArray]:
    """Return feature coefficients and the filters' rest, scaled so that fresh noise is standard normal."""
    scale = spec.fresh_scale(data) if isinstance(spec, GramSpace) else np.full(data.dim, spec.noise_std)
    return filter_coordinates(filters, features, scale)


# ------------------------------------------------------------------------------ signal plus noise


def line_population(
    network: PowerNetwork,
    data: SignalNoiseData,
    radius: float,
    n_samples: int,
    rng: np.random.Generator,
    *,
    left: float | None = None,
) -> LinePopulation:
    r"""Evaluate on fresh samples, clean and on the signal line, without drawing a patch.

    Every noise part is taken with both labels. For the odd network that is
    :math:`P(V > -s) = 1/2 + P(|V| < s)/2`, whose error near 1/2 is far below the binomial one.

    Parameters
    ----------
    network : PowerNetwork
        Trained network.
    data : SignalNoiseData
        Its training samples, drawn from a SignalNoiseSpec or a GramSignalNoiseSpec.
    radius : float
        :math:`\delta \ge 0`.
    n_samples : int
        Fresh samples, at least 2.
    rng : numpy.random.Generator
        Source of randomness.
    left : float, optional
        :math:`\alpha - \delta` by itself, where the difference would lose digits.

    Returns
    -------
    LinePopulation
        Accuracies with their standard errors.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the data do not say how they were drawn.

    References
    ----------
    .. [1] Documentation, page "Gram space", section "Fresh samples" [derived].
    """
    spec: Any = data.spec
    if not isinstance(spec, (SignalNoiseSpec, GramSpace)) or not isinstance(data, SignalNoiseData):
        raise ValueError("data must be sampled from a specification; use population() for your own arrays")
    check_network(network, PowerNetwork, (1, "m", data.dim))
    delta = check_real("radius", radius, minimum=0.0)
    n = check_integer("n_samples", n_samples, minimum=2)
    check_generator("rng", rng)
    alpha = data.signal_strength
    place = alpha - delta if left is None else check_real("left", left, maximum=alpha)
    rest = rest_coordinates(network.filters, data.signal[None], spec, data)[1]
    noise = _noise_scores(network, rest, data.n_patches - 1, n, rng)
    positions = {"clean": (alpha,), "fixed": (place,), "worst": _worst_places(alpha, place)}
    found = {name: _both_labels(network, data.signal, where, noise) for name, where in positions.items()}
    sd = float(noise.std())
    left_score = float(network.line_score(data.signal, np.array([place]))[0])
    excess = _excess(network, left_score, noise, sd)
    return LinePopulation(n_samples=n, noise_sd=sd, fixed_excess=excess, **found)


def _excess(network: PowerNetwork, score: float, noise: FloatArray, sd: float) -> Share:
    """Return P(V > -score) - 1/2 of a symmetric V, from its density at 0 where the score is tiny."""
    if network.activation != "odd":
        return Share(math.nan, math.nan)
    window = max(abs(score), _WINDOW * sd)
    if window == 0.0:
        return Share(0.0, 0.0)
    share = float(np.mean(np.abs(noise) < window))
    scale = 0.5 * score / window
    return Share(scale * share, abs(scale) * math.sqrt(share * (1.0 - share) / len(noise)))


def _worst_places(alpha: float, left: float) -> tuple[float, ...]:
    """Where the exact attack may put a signal patch of label +1: both ends, and 0 if inside."""
    ends = (left, 2.0 * alpha - left)
    return (*ends, 0.0) if left <= 0.0 else ends


def _both_labels(
    network: PowerNetwork, signal: FloatArray, places: tuple[float, ...], noise: FloatArray
) -> Share:
    """Share of y f > 0 over noise and both labels, at the worst of the places (times y)."""
    hits = np.zeros(len(noise))
    for y in (1.0, -1.0):
        score = float(np.min(y * network.line_score(signal, y * np.array(places))))
        hits += 0.5 * (score + y * noise > 0.0)
    return Share(float(hits.mean()), float(hits.std()) / math.sqrt(len(noise)))


def _noise_scores(
    network: PowerNetwork, rest: FloatArray, n_patches: int, n: int, rng: np.random.Generator
) -> FloatArray:
    scores = np.empty(n)
    block = max(1, BLOCK_NUMBERS // (n_patches * rest.shape[1]))
    for start in range(0, n, block):
        size = min(block, n - start)
        z = rng.standard_normal((size * n_patches, rest.shape[1])) @ rest.T
        values = power_activation(z, network.power, network.activation) @ network.signs
        scores[start : start + size] = values.reshape(size, n_patches).sum(axis=1)
    return scores
