"""Starts for one l2 budget of the whole input: spread over some patches, neither one nor all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from featsim.models import Model, model_scores
from featsim.threats import Budget, Samples
from featsim.validation import FloatArray, IntArray

_SPLITS = np.linspace(0.0, 1.0, 9)


def spread_starts(
    model: Model, samples: Samples, budget: Budget, target: IntArray
) -> Iterator[tuple[str, FloatArray]]:
    r"""Yield, for each pair of directions, the best split between removing and writing.

    With a convex activation that ends in a line the output per squared budget has a peak, so that the
    worst case writes the rival's direction on n patches, n between 1 and all, and spends the rest of the
    budget on removing the label's direction from the patches that carry it. Candidates: n = 1, 2, 3, 4,
    6, 8, ... and all, the patches ranked by what they already carry of the rival's direction; nine splits
    of the squared budget, no more being removed than is there. The candidate of smallest
    :math:`F_y - F_t` is kept sample by sample.

    Parameters
    ----------
    model : Model
        Judge of the candidates, and source of filters if its weights have shape (k, m, d).
    samples : Samples
        Inputs, and features if they are known.
    budget : Budget
        Whole-input l2.
    target : ndarray, shape (n,)
        Rival of each sample.

    Yields
    ------
    name : str
        Name of the start.
    delta : ndarray, shape (n, P, d)
        Perturbation inside the budget.

    Raises
    ------
    ValueError
        If the inputs have no patches, there is one score only, or no direction is known.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: F, why whole-input l2 is a no-go" [derived].
    """
    pairs = dict(_pairs(model, samples))
    if samples.X.ndim != 3 or np.any(target < 0) or not pairs:
        raise ValueError(
            "starts 'spread' must come with patches (n, P, d), a score per class, and features of the data "
            "or `weights` of shape (k, m, d) of the model; leave 'spread' out"
        )
    for name, table in pairs.items():
        best, least = np.zeros(samples.X.shape), np.full(len(samples.y), np.inf)
        for delta in _candidates(table, samples, budget, target):
            scores = model_scores(model, samples.X + delta, samples.counts)
            rows = np.arange(len(samples.y))
            margin = scores[rows, samples.y] - scores[rows, target]
            better = margin < least
            best[better], least[better] = delta[better], margin[better]
        yield f"spread {name}", best


def _pairs(model: Model, samples: Samples) -> Iterator[tuple[str, FloatArray]]:
    """Yield tables (k, d) of unit directions, one row per class."""
    data, weights = samples.data, np.asarray(getattr(model, "weights", None))
    for name, field in (("u", "robust_features"), ("v", "nonrobust_features")):
        if getattr(data, field, None) is not None:
            yield name, np.asarray(getattr(data, field))
    if weights.ndim == 3 and weights.shape[2] == samples.X.shape[-1]:
        mean = weights.mean(axis=1)
        norms = np.linalg.norm(mean, axis=1, keepdims=True)
        yield "filters", np.divide(mean, norms, out=np.zeros_like(mean), where=norms > 0.0)


def _candidates(
    table: FloatArray, samples: Samples, budget: Budget, target: IntArray
) -> Iterator[FloatArray]:
    X, radius = samples.X, budget.radius
    n_patches = X.shape[1]
    write, remove = table[target], table[samples.y]
    there = np.einsum("npd,nd->np", X, remove)
    carries = (there > 0.5 * there.max(axis=1, keepdims=True)) & (there > 0.0)
    n_carriers = np.maximum(carries.sum(axis=1), 1)
    rank = np.argsort(np.argsort(-np.einsum("npd,nd->np", X, write), axis=1, kind="stable"), axis=1)
    for count, split in itertools.product(_counts(n_patches), _SPLITS):
        taken = np.minimum(there, np.sqrt(split / n_carriers)[:, None] * radius) * carries
        left = np.sqrt(np.maximum(radius**2 - np.sum(taken**2, axis=1), 0.0))
        written = (rank < count) * (left / np.sqrt(count))[:, None]
        delta = written[:, :, None] * write[:, None, :] - taken[:, :, None] * remove[:, None, :]
        yield budget.project(delta)


def _counts(n_patches: int) -> list[int]:
    """Return 1, 2, 3, 4, 6, 8, 12, ... below `n_patches`, and that."""
    powers = (2**i for i in range(n_patches.bit_length()))
    return sorted({n for p in powers for n in (p, 3 * p // 2) if n < n_patches} | {n_patches})
