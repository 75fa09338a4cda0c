"""The tie rule: among equal candidates the first, with a tolerance for rounding."""

from __future__ import annotations

import numpy as np

from featsim.validation import FloatArray, IntArray

TIE_TOLERANCE = 1e-10


def first_largest(values: FloatArray) -> IntArray:
    """Return, along the last axis, the first index within 1e-10 of the maximum; nan counts as largest.

    Parameters
    ----------
    values : ndarray, shape (..., g)
        Objective of each candidate.

    Returns
    -------
    ndarray of int, shape (...)
        The chosen candidates.
    """
    known = np.where(np.isnan(values), np.inf, values)
    top = known.max(axis=-1, keepdims=True)
    near = known >= np.where(np.isfinite(top), top - TIE_TOLERANCE, top)
    return np.asarray(np.argmax(near, axis=-1), dtype=np.int64)
