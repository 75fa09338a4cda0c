"""Blocks of rows, so that Gram matrices take bounded memory beside their result."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_BYTES = 1 << 26
"""Memory that the temporaries of one block may take."""


def blocks(length: int, bytes_each: int) -> Iterator[slice]:
    """Cut 0..length-1 so that a block's temporaries stay within :data:`BLOCK_BYTES`.

    Parameters
    ----------
    length : int
        Rows, or neurons.
    bytes_each : int
        Bytes of temporaries per row.

    Yields
    ------
    slice
        At least one row each, all rows in order.
    """
    size = max(1, BLOCK_BYTES // max(bytes_each, 1))
    for first in range(0, length, size):
        yield slice(first, min(first + size, length))
