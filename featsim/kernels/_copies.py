"""Copies written as loops: for ``a[:] = b`` Numba compiles an error message, which takes 4 seconds."""

from __future__ import annotations

from featsim.kernels._jit import inner


@inner
def copy_row(source, out):
    """Write `source` (n,) to `out`."""
    for i in range(out.shape[0]):
        out[i] = source[i]


@inner
def copy_table(source, out):
    """Write `source` (m, n) to `out`."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = source[i, j]
