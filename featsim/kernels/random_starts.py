r"""Random starts of an attack, drawn inside the kernel: uniform in the ball of a patch, a sample, or the box.

The numbers are a function of (key, step, sample, patch, coordinate) alone, by the counter-based generator
Philox4x32-10 [1]_, so they do not depend on the order in which blocks, batches or records ask for them, and
none need be stored. A Gaussian comes from two 32-bit words by Box and Muller, at most 6.7 in size.

References
----------
.. [1] J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
   SC 2011 [recalled]; checked with the known answers of its library.
"""

from __future__ import annotations

import math

from featsim.kernels._elementary import log1p_nonnegative
from featsim.kernels._jit import inner, jit

_WORD = 0xFFFFFFFF
_STEP = 2.0**-32
_LENGTH = _WORD  # in place of a coordinate: the counter of a length


@inner
def _philox(c0, c1, c2, c3, k0, k1):
    """Four words of 32 bits, as int64, from a counter of four and a key of two."""
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1 = ((p1 >> 32) & _WORD) ^ c1 ^ k0, p1 & _WORD
        c2, c3 = ((p0 >> 32) & _WORD) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return c0, c1, c2, c3


@inner
def _make_gaussian(words):
    """Replace pairs of words, one of either half each, by pairs of independent standard normal numbers."""
    half = words.shape[0] // 2
    for c in range(half):
        u = (words[c] + 0.5) * _STEP
        size = math.sqrt(2.0 * log1p_nonnegative((1.0 - u) / u))
        # Sine and cosine of a quarter of an angle in (-pi, pi), by Taylor to 2e-14, doubled twice.
        t = (words[c + half] * _STEP - 0.5) * (0.5 * math.pi)
        z = t * t
        sine = z * (1.0 / 362880 + z * (-1.0 / 39916800 + z / 6227020800))
        sine = t * (1.0 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + sine))))
        cosine = z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600 - z / 87178291200)))
        cosine = 1.0 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + cosine)))
        sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
        words[c] = size * (1.0 - 2.0 * sine * sine)
        words[c + half] = size * (2.0 * sine * cosine)


@inner
def _draw_row(k0, k1, step, sample, patch, linf, row):
    """Fill `row`, whose length is a multiple of 4, with uniform numbers in (-1, 1), or normal ones."""
    quarter = row.shape[0] // 4
    for c in range(quarter):
        a, b, g, h = _philox(c, patch, sample, step, k0, k1)
        row[c], row[c + quarter], row[c + 2 * quarter], row[c + 3 * quarter] = a, b, g, h
    # Apart from the integers, so that this is vectorised: a third of the time.
    if linf:
        for c in range(row.shape[0]):
            row[c] = (row[c] + 0.5) * (2.0 * _STEP) - 1.0
    else:
        _make_gaussian(row[: 2 * quarter])
        _make_gaussian(row[2 * quarter :])


@inner
def _relative_length(k0, k1, step, sample, patch, degrees):
    """Length, relative to the radius, of a uniform point in a ball of that many dimensions."""
    a, b, _, _ = _philox(_LENGTH, patch, sample, step, k0, k1)
    u = ((a >> 5) * 67108864.0 + (b >> 6) + 0.5) * 2.0**-53
    return u ** (1.0 / degrees)


@inner
def draw_starts(key, step, index, P, counts, roles, row0, mask, whole, linf, radius, row, Y, norms):
    """Fill Y (rows, r) with a random start of every patch of the samples `index` in this step.

    key (2,): words of 32 bits. mask (2, r): coordinates a robust patch, and any other, may move in; (0, r)
    for all. `whole`: one ball for the sample, whose square is the sum of counts times squares of patches.
    norms (2, rows): their squares, and in the first entries those of the samples. row: scratch, see
    `_draw_row`.
    """
    k0, k1, r = int(key[0]), int(key[1]), Y.shape[1]  # as plain Python, these integers have no end
    for s in range(index.shape[0]):
        sample, total, degrees = int(index[s]), 0.0, 0.0
        for p in range(s * P, (s + 1) * P):
            _draw_row(k0, k1, step, sample, p - s * P, linf, row)
            free, square = 1.0 * r, 0.0
            if mask.shape[0] > 0:
                allowed, free = 0 if roles[row0 + p] == 0 else 1, 0.0
                for c in range(r):
                    free += mask[allowed, c]
                    row[c] *= mask[allowed, c]
            for c in range(r):
                square += row[c] * row[c]
            factor = radius
            if not (linf or whole):
                length = _relative_length(k0, k1, step, sample, p - s * P, free if free > 0.0 else 1.0)
                factor = radius * length / math.sqrt(square) if square > 0.0 else 0.0
            elif whole and not linf:
                factor = 1.0
            for c in range(r):
                Y[p, c] = factor * row[c]
            norms[0, p] = factor * factor * square
            total += counts[row0 + p] * norms[0, p]
            degrees += free
        if whole and not linf:
            length = _relative_length(k0, k1, step, sample, 0, degrees if degrees > 0.0 else 1.0)
            factor = radius * length / math.sqrt(total) if total > 0.0 else 0.0
            for p in range(s * P, (s + 1) * P):
                norms[0, p] *= factor * factor
                for c in range(r):
                    Y[p, c] *= factor
            total *= factor * factor
        norms[1, s] = total


@jit
def starts_of_step(key, step, P, counts, roles, mask, whole, linf, radius, index, row, Y, norms):
    """`draw_starts` of all samples `index`, for tests and diagnostics; counts and roles (n*P,)."""
    draw_starts(key, step, index, P, counts, roles, 0, mask, whole, linf, radius, row, Y, norms)
