"""Orthonormal feature bases: coordinate axes, random rotations, and localised against spread."""

from __future__ import annotations

import numpy as np

from featsim.validation import FloatArray, check_choice, check_generator, check_integer

FEATURE_BASES = ("random", "axis", "localised-spread")


def check_basis(features: str, n_classes: int, dim: int) -> None:
    """Raise unless `dim` leaves room for `2 n_classes` features of this basis.

    Parameters
    ----------
    features : {"random", "axis", "localised-spread"}
        Name of the basis.
    n_classes, dim : int
        Number of classes and dimension of a patch.

    Raises
    ------
    ValueError
        If `dim` < 2 `n_classes`, or if the localised-spread basis gets a `dim`
        for which `dim - n_classes` is not a power of two >= `n_classes`.
    """
    check_choice("features", features, FEATURE_BASES)
    if dim < 2 * n_classes:
        raise ValueError(
            f"dim must be >= 2 n_classes = {2 * n_classes}, got {dim}; "
            "each class needs a robust and a non-robust feature of its own"
        )
    spread_dim = dim - n_classes
    if features == "localised-spread" and spread_dim & (spread_dim - 1):
        below = 1 << (spread_dim.bit_length() - 1)
        near = [n_classes + size for size in (below, 2 * below) if size >= n_classes]
        raise ValueError(
            "dim must be n_classes plus a power of two for features='localised-spread', "
            f"got {dim} with n_classes={n_classes}; try {' or '.join(map(str, near))}"
        )


def hadamard_columns(size: int, columns: np.ndarray) -> FloatArray:
    """Return columns of Sylvester's Hadamard matrix as rows.

    Parameters
    ----------
    size : int
        Order of the matrix, a power of two.
    columns : ndarray of int, shape (c,)
        Column numbers in 0..size-1.

    Returns
    -------
    ndarray, shape (c, size)
        Entries (-1)^popcount(i & j), that is +1 or -1; the rows are orthogonal.

    Raises
    ------
    ValueError
        If `size` is not a power of two or a column number is out of range.
    """
    size = check_integer("size", size, minimum=1)
    if size & (size - 1):
        raise ValueError(f"size must be a power of two, got {size}")
    chosen = np.asarray(columns, dtype=np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= size):
        raise ValueError(f"columns must lie in 0..{size - 1}, got {chosen.tolist()}")
    common = chosen[:, None] & np.arange(size, dtype=np.int64)[None, :]
    parity = np.zeros_like(common)
    while common.any():
        parity ^= common & 1
        common >>= 1
    return np.asarray(1.0 - 2.0 * parity, dtype=np.float64)


def feature_basis(
    features: str, n_classes: int, dim: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    r"""Draw robust features u and non-robust features v, 2k orthonormal vectors.

    Parameters
    ----------
    features : {"random", "axis", "localised-spread"}
        ``"random"``: Haar-distributed, by QR of a Gaussian matrix with the signs of
        the triangular factor moved into Q. ``"axis"``: u are the first k coordinate
        axes, v the next k; draws nothing. ``"localised-spread"``: u are the first k
        axes; each v_j is another column of a Hadamard matrix over
        :math:`\sqrt{d-k}` on the other coordinates, with random columns and one
        random sign per coordinate, so that :math:`\|u\|_1 = 1` and
        :math:`\|v\|_1 = \sqrt{d-k}`.
    n_classes, dim : int
        Number of classes k and dimension d of a patch.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    robust_features, nonrobust_features : ndarray, shape (n_classes, dim)
        The two halves of the orthonormal family.

    Raises
    ------
    ValueError
        If `dim` does not fit the basis, see :func:`check_basis`.

    References
    ----------
    .. [1] Documentation, page "Structured data", sections "Data" (bases, [choice]) and "Threat
       models: B and R, the box" (localised u and spread v).
    """
    n_classes = check_integer("n_classes", n_classes, minimum=2)
    dim = check_integer("dim", dim, minimum=1)
    check_basis(features, n_classes, dim)
    check_generator("rng", rng)
    both = np.zeros((2 * n_classes, dim))
    if features == "axis":
        both[np.arange(2 * n_classes), np.arange(2 * n_classes)] = 1.0
    elif features == "random":
        q, r = np.linalg.qr(rng.standard_normal((dim, 2 * n_classes)))
        # Without the signs of R the distribution would depend on the QR routine.
        both[:] = (q * np.where(np.diag(r) < 0, -1.0, 1.0)).T
    else:
        spread_dim = dim - n_classes
        both[np.arange(n_classes), np.arange(n_classes)] = 1.0
        columns = rng.choice(spread_dim, size=n_classes, replace=False)
        signs = np.where(rng.random(spread_dim) < 0.5, -1.0, 1.0)
        both[n_classes:, n_classes:] = hadamard_columns(spread_dim, columns) * signs / np.sqrt(spread_dim)
    return both[:n_classes].copy(), both[n_classes:].copy()
