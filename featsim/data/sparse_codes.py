"""Codes of the sparse-coding model: few active atoms of either sign, past a margin of the label's rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from featsim.validation import FloatArray

if TYPE_CHECKING:
    from featsim.data.sparse_coding import SparseCodingSpec

_TIE = 1e-9
_HOPELESS = 1000  # codes drawn per sample wanted, without enough of them past the margin


def draw_codes(
    spec: SparseCodingSpec, label_weights: FloatArray, n_samples: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw codes past the margin.

    Parameters
    ----------
    spec : SparseCodingSpec
        The distribution.
    label_weights : ndarray, shape (D,)
        Rule w*.
    n_samples : int
        Number of codes.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    codes : ndarray, shape (n, D)
        Codes z.
    margin : ndarray, shape (n,)
        <w*, z>, larger in modulus than the margin.

    Raises
    ------
    ValueError
        If hardly any code passes the margin.
    """
    kept: list[FloatArray] = []
    margins: list[FloatArray] = []
    missing, drawn, share = n_samples, 0, 0.5
    while missing > 0:
        size = int(missing / share * 1.1) + 16
        codes = _bernoulli_codes(spec, size, rng)
        margin = codes @ label_weights
        good = np.flatnonzero(np.abs(margin) > max(spec.margin, _TIE))[:missing]
        kept.append(codes[good])
        margins.append(margin[good])
        missing -= len(good)
        drawn += size
        share = max((n_samples - missing) / drawn, 0.01)
        if drawn > _HOPELESS * (n_samples - missing + 16):
            raise ValueError(f"margin must leave enough codes, got {spec.margin:g}; lower it")
    return (kept[0], margins[0]) if len(kept) == 1 else (np.concatenate(kept), np.concatenate(margins))


def _bernoulli_codes(spec: SparseCodingSpec, n: int, rng: np.random.Generator) -> FloatArray:
    """Draw n codes before the margin; the gaps between active cells are geometric."""
    p, cells = spec.active_probability, n * spec.atoms
    active = np.empty(0, np.int64)
    last = -1
    while last < cells:
        expected = (cells - last) * p
        gaps = rng.geometric(p, int(expected + 4.0 * np.sqrt(expected)) + 8)
        places = last + np.cumsum(gaps)
        active = np.concatenate([active, places])
        last = int(places[-1])
    active = active[active < cells]
    sizes = np.full(len(active), 1.0 / np.sqrt(spec.sparsity))
    if spec.big_probability > 0.0:
        sizes[rng.random(len(active)) * p < spec.big_probability] = 1.0
    codes = np.zeros(cells)
    codes[active] = np.where(rng.random(len(active)) < 0.5, -sizes, sizes)
    return codes.reshape(n, spec.atoms)
