r"""Accuracy of patch networks on fresh samples, clean and under the feature attack, without a patch.

As for signal plus noise (:mod:`featsim.evaluation.gram_population`), Gaussians of the filters' dimension
stand for the noise of a patch.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from scipy import stats

from featsim.data import GramPatchSpec, PatchData, PatchDataSpec
from featsim.evaluation.gram_population import BLOCK_NUMBERS, Share, check_network, rest_coordinates
from featsim.kernels import patch_network as kernel
from featsim.models import TwoLayerNetwork, smoothed_relu, smoothed_relu_slope
from featsim.validation import FloatArray, check_generator, check_integer, check_real

_NORMS = 1 << 19  # norms drawn at a time
_RARE = 1e-3  # share of samples with a patch so noisy that its norm alone is not looked at
_ROUNDING = 1e-9  # relative; a bound closer to 0 is not trusted


@dataclasses.dataclass(frozen=True)
class FeaturePopulation:
    """A two-layer patch network on fresh samples.

    Attributes
    ----------
    n_samples : int
        Fresh samples.
    clean, feature_attacked : Share
        Accuracy clean and under A-feat, the worst of its targets.
    """

    n_samples: int
    clean: Share
    feature_attacked: Share


def feature_population(
    network: TwoLayerNetwork,
    data: PatchData,
    radius: float,
    n_samples: int,
    rng: np.random.Generator,
) -> FeaturePopulation:
    r"""Evaluate on fresh samples, clean and under the feature attack, without drawing a patch.

    Where no strength varies, a sample's noise is first drawn as the norms of its Gaussians. Often they are
    so small that every noise of such norms gives the same answer; only the other samples are then given
    directions. The law is the same, and a million samples take seconds where noise is weak.

    Parameters
    ----------
    network : TwoLayerNetwork
        Trained network.
    data : PatchData
        Its training samples, drawn from a PatchDataSpec or a GramPatchSpec.
    radius : float
        Radius of A-feat, per patch.
    n_samples : int
        Fresh samples, at least the number of classes.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    FeaturePopulation
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
    if not _samples_features(spec) or data.nonrobust_features is None:
        raise ValueError("data must be sampled from a specification; use run_attack for your own arrays")
    check_network(network, TwoLayerNetwork, (data.n_classes, "m", data.dim))
    reach = check_real("radius", radius, minimum=0.0)
    n = check_integer("n_samples", n_samples, minimum=data.n_classes)
    check_generator("rng", rng)
    k = data.n_classes
    along, rest = rest_coordinates(network.weights.reshape(-1, data.dim), data.features, spec, data)
    fixed = spec.noise_std == 0.0 and spec.strength_spread == 0.0 and not rest.any()
    noise = 0.0 if spec.noise_off_features else spec.noise_std
    sampler = _FeatureSampler.of(network, spec, along, rest, noise, reach)
    hits, total = np.zeros(2), 0
    n = k if fixed else n
    block = _NORMS // (spec.n_patches * k) * k + k
    while total < n:
        size = min(block, n - total)
        hits += sampler.hits(np.arange(total, total + size) % k, rng).sum(axis=1)
        total += size
    shares = hits / total
    errors = np.zeros(2) if fixed else np.sqrt(shares * (1.0 - shares) / total)
    clean, attacked = (Share(float(a), float(b)) for a, b in zip(shares, errors, strict=True))
    return FeaturePopulation(n_samples=total, clean=clean, feature_attacked=attacked)


def _samples_features(spec: Any) -> bool:
    return isinstance(spec, (PatchDataSpec, GramPatchSpec))


@dataclasses.dataclass(frozen=True)
class _FeatureSampler:
    """Fresh samples as preactivations, and which of them have a positive margin."""

    network: TwoLayerNetwork
    spec: Any
    along: FloatArray  # (K, 2k)
    parts: FloatArray  # (K, K'): products with noise are parts @ standard normals
    feature_noise: float
    removed: float  # of v_y on a patch of the mean strength, by A-feat
    radius: float
    bounds: NormBounds | None

    @classmethod
    def of(
        cls,
        network: TwoLayerNetwork,
        spec: Any,
        along: FloatArray,
        rest: FloatArray,
        noise: float,
        reach: float,
    ) -> _FeatureSampler:
        """Return the sampler of a network given by feature coefficients and rest."""
        parts = np.concatenate([noise * along, rest], axis=1)
        removed = min(reach / math.sqrt(2.0), spec.nonrobust_strength)
        bounds = None
        if not spec.strength_spread:  # the products alone are needed: as many normals as filters
            parts = np.ascontiguousarray(np.linalg.qr(parts.T)[1].T)
            bounds = NormBounds.of(network, spec, along, parts, _swap(reach, removed))
        return cls(network, spec, along, parts, noise, removed, reach, bounds)

    def hits(self, y: Any, rng: np.random.Generator) -> FloatArray:
        """Return (2, n): whether a sample is correct, clean and under the worst target of A-feat."""
        if self.bounds is None:
            return self._drawn(y, None, rng)
        norms = np.sqrt(rng.chisquare(self.parts.shape[1], (len(y), self.spec.n_patches)))
        known, found = self.bounds.decide(y, norms)
        rest = np.flatnonzero(~known)
        found[:, rest] = self._drawn(y[rest], norms[rest], rng)
        return found

    def _drawn(self, y: Any, norms: FloatArray | None, rng: np.random.Generator) -> FloatArray:
        """Draw the noise of samples, of given norms if there are any, and evaluate them block by block."""
        P, size = self.spec.n_patches, max(self.parts.shape)
        block = max(1, BLOCK_NUMBERS // (P * size))
        found = np.empty((2, len(y)))
        for start in range(0, len(y), block):
            rows = slice(start, start + block)
            drawn = rng.standard_normal((len(y[rows]), P, self.parts.shape[1]))
            if norms is not None:
                drawn *= (norms[rows] / np.linalg.norm(drawn, axis=2))[:, :, None]
            found[:, rows] = self.margins(y[rows], drawn, rng) > 0.0
        return found

    def margins(self, y: Any, drawn: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return hard margins (2, n), clean and attacked, of samples with given normals (n, P, K')."""
        spec, k = self.spec, self.spec.n_classes
        n, P = drawn.shape[:2]
        robust = np.arange(P) < spec.n_robust_patches
        strength = np.where(robust, spec.robust_strength, spec.nonrobust_strength) * np.ones((n, 1))
        if spec.strength_spread:
            strength = strength * (1.0 + spec.strength_spread * (2.0 * rng.random((n, P)) - 1.0))
        Z = (drawn.reshape(n * P, -1) @ np.ascontiguousarray(self.parts.T)).reshape(n, P, -1)
        own = np.where(robust, y[:, None], k + y[:, None])
        Z += strength[:, :, None] * self.along.T[own]
        removed = np.full((n, P), self.removed)
        if spec.strength_spread:  # A-feat measures what there is of v_y
            there = strength + self.feature_noise * drawn[np.arange(n), :, k + y]
            removed = np.minimum(self.radius / math.sqrt(2.0), np.maximum(there, 0.0))
        margins = np.empty((2, n))
        shape = kernel.activation_shape(self.network.power, self.network.smoothing)
        kernel.feature_margins(
            Z.reshape(n * P, -1), robust, y, np.ascontiguousarray(self.along.T[k:]), removed.ravel(),
            _swap(self.radius, removed)[1].ravel(), k, len(self.along) // k, shape, *margins,
        )  # fmt: skip
        return margins


def _swap(radius: float, removed: Any) -> tuple[Any, Any]:
    """Return how much of v_y A-feat removes, and how much of another it writes."""
    return removed, np.sqrt(radius - removed) * np.sqrt(radius + removed)


@dataclasses.dataclass(frozen=True)
class NormBounds:
    r"""What the norms of the noise say about margins, where every sample of a class is else the same.

    Noise of norm :math:`\rho_p` moves the preactivation of a filter by at most :math:`c_r \rho_p`, with
    :math:`c_r` the norm of its row of products. The activation is convex and not decreasing, so a
    logit moves by at most :math:`\sum_p \rho_p \sum_r c_r s'(z_r + c_r M)` while no norm exceeds M.

    Attributes
    ----------
    limit : float
        M: samples with a larger norm are left open.
    n_robust : int
        The first patches, which carry the robust feature.
    margins : ndarray, shape (k, k, k)
        Without noise, of label y (first axis), clean (second axis at y) or with target t, against rival i;
        inf at i = y.
    robust_rates, nonrobust_rates : ndarray, shape (k, k, k)
        What a margin loses at most per unit of norm on a patch of that role.
    """

    limit: float
    n_robust: int
    margins: FloatArray
    robust_rates: FloatArray
    nonrobust_rates: FloatArray

    @classmethod
    def of(
        cls,
        network: TwoLayerNetwork,
        spec: Any,
        along: FloatArray,
        parts: FloatArray,
        swap: tuple[float, float],
    ) -> NormBounds:
        """Return the bounds of a network given by its filters' coefficients and products with noise."""
        k, P = spec.n_classes, spec.n_patches
        q, rho = network.power, network.smoothing
        limit = float(np.sqrt(stats.chi2.isf(_RARE / P, parts.shape[1])))
        size = np.linalg.norm(parts, axis=1)
        u, v = along[:, :k].T, along[:, k:].T  # (k, K)
        robust = np.broadcast_to((spec.robust_strength * u)[:, None], (k, k, len(along)))
        # Label, target, filter: the clean point stands at target = label.
        shift = swap[1] * v[None] - swap[0] * v[:, None]
        shift[np.arange(k), np.arange(k)] = 0.0
        nonrobust = spec.nonrobust_strength * v[:, None] + shift

        def per_class(values: FloatArray) -> FloatArray:
            return np.asarray(values.reshape(k, k, k, -1).sum(axis=3))

        def rate(z: FloatArray) -> FloatArray:
            moved = per_class(size * smoothed_relu_slope(z + limit * size, q, rho))
            return moved + moved[np.arange(k), :, np.arange(k)][:, :, None]

        n_robust = spec.n_robust_patches
        logits = n_robust * per_class(smoothed_relu(robust, q, rho))
        logits += (P - n_robust) * per_class(smoothed_relu(nonrobust, q, rho))
        margins = logits[np.arange(k), :, np.arange(k)][:, :, None] - logits
        margins[np.arange(k), :, np.arange(k)] = np.inf
        return cls(limit, n_robust, margins, rate(robust), rate(nonrobust))

    def decide(self, y: Any, norms: FloatArray) -> tuple[Any, FloatArray]:
        """Say for which samples the norms (n, P) decide, and whether these are correct, (2, n)."""
        known, found = np.zeros(len(y), dtype=bool), np.zeros((2, len(y)))
        calm = norms.max(axis=1) <= self.limit
        sums = norms[:, : self.n_robust].sum(axis=1), norms[:, self.n_robust :].sum(axis=1)
        k = len(self.margins)
        for label in range(k):
            rows = np.flatnonzero(calm & (y == label))
            off, on = sums[0][rows, None, None], sums[1][rows, None, None]
            move = self.robust_rates[label] * off + self.nonrobust_rates[label] * on
            middle = self.margins[label]
            slack = _ROUNDING * (np.abs(middle[np.isfinite(middle)]).max() + move)
            stands, falls = middle - move > slack, middle + move < -slack
            others = np.arange(k) != label
            decided = np.ones(len(rows), dtype=bool)
            for row, points in enumerate((~others, others)):
                up, down = stands[:, points].all(axis=(1, 2)), falls[:, points].any(axis=(1, 2))
                decided &= up | down
                found[row, rows] = up
            known[rows] = decided
        return known, found
