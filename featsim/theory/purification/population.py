r"""Exact expectations over noise-free codes at any dimension: finite sums over numbers of active features.

Without noise and with label weights of size 1, a sample is described by the numbers (p, q) of positive and
negative active features: all positive coordinates behave alike, so do all negative and all silent ones,
and the FGM step keeps that. A step costs O(k^2), whatever d.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from featsim.models import symmetric_activation, symmetric_slope
from featsim.theory.purification.symmetric_path import SymmetricState
from featsim.validation import FloatArray, check_integer, check_real

_NEGLIGIBLE = 1e-16


@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    r"""All codes of the sparse-coding law with one scale and without noise, ties left out.

    Parameters
    ----------
    dim : int
        Number d of features, at least 2.
    sparsity : float
        k in (0, d]: a feature is active with probability k/d, with values :math:`\pm 1/\sqrt k`.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] docs/purification, "Reduced dynamics" [derived].
    """

    dim: int
    sparsity: float
    weights: FloatArray = dataclasses.field(init=False, repr=False)
    counts: FloatArray = dataclasses.field(init=False, repr=False)
    values: FloatArray = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        from scipy.stats import binom

        d = check_integer("dim", self.dim, minimum=2)
        k = check_real("sparsity", self.sparsity, above=0.0, maximum=float(d))
        largest = int(min(d, binom.isf(_NEGLIGIBLE, d, k / d) + 1))
        total, plus = np.meshgrid(np.arange(largest + 1), np.arange(largest + 1), indexing="ij")
        wins = (plus <= total) & (2 * plus > total)  # the label is +1
        total, plus = total[wins], plus[wins]
        weights = binom.pmf(total, d, k / d) * binom.pmf(plus, total, 0.5)
        minus = total - plus
        size = 1.0 / math.sqrt(k)
        for name, value in {
            "weights": weights / weights.sum(),
            "counts": np.stack([plus, minus, d - total], axis=1).astype(np.float64),
            "values": np.tile([size, -size, 0.0], (len(total), 1)),
        }.items():
            object.__setattr__(self, name, value)

    def moments(self, state: SymmetricState, radius: float) -> tuple[float, float]:
        """Return the gradients in c and beta, sign reversed, at FGM points; exact sums."""
        x, counts, d = self._attacked(state, radius), self.counts, self.dim
        total = (counts * x).sum(axis=1)
        u = (state.pure - state.dense) * x + state.dense * total[:, None]
        slope = symmetric_slope(u, state.bias, state.smoothing)
        score = state.copies * (counts * symmetric_activation(u, state.bias, state.smoothing)).sum(axis=1)
        own = (counts * slope * x).sum(axis=1)
        cross = (counts * slope).sum(axis=1) * total - own
        q = self.weights * np.exp(-np.logaddexp(0.0, score))
        return float(q @ own) / d, float(q @ cross) / (d * (d - 1))

    def scores(self, state: SymmetricState, radius: float = 0.0) -> FloatArray:
        """Return the score of each class (p, q) at its FGM point."""
        x = self._attacked(state, radius)
        u = (state.pure - state.dense) * x + state.dense * (self.counts * x).sum(axis=1, keepdims=True)
        value = symmetric_activation(u, state.bias, state.smoothing)
        score: FloatArray = state.copies * (self.counts * value).sum(axis=1)
        return score

    def accuracy(self, state: SymmetricState, radius: float) -> float:
        """Return the FGM accuracy, a step function of the radius with few steps."""
        return float(self.weights[self.scores(state, radius) > 0.0].sum())

    def _attacked(self, state: SymmetricState, radius: float) -> FloatArray:
        x, counts = self.values, self.counts
        if radius == 0.0:
            return x
        u = (state.pure - state.dense) * x + state.dense * (counts * x).sum(axis=1, keepdims=True)
        slope = symmetric_slope(u, state.bias, state.smoothing)
        gradient = (state.pure - state.dense) * slope + state.dense * (counts * slope).sum(
            axis=1, keepdims=True
        )
        size = np.sqrt((counts * gradient**2).sum(axis=1, keepdims=True))
        attacked: FloatArray = x - radius * gradient / np.where(size > 0.0, size, 1.0)
        return attacked
