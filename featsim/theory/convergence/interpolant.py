"""Least norm of a function of the kernel's space that fits labels on whole nets."""

from __future__ import annotations

import dataclasses

import numpy as np

from featsim.validation import FloatArray, check_array, check_real

_LOWEST, _HIGHEST, _HALVINGS = 1e-16, 1e6, 100


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Interpolant:
    r"""A ridge fit with a given largest error.

    Attributes
    ----------
    coefficients : ndarray, shape (N,)
        beta.
    norm : float
        :math:`\sqrt{\beta^\top K\beta}`, an upper estimate of the least norm R_{D,B,eps}.
    error : float
        Largest error on the points.
    ridge : float
        Ridge parameter; the smallest one tried, 1e-16 of the mean eigenvalue, where even that misses
        the tolerance.
    reached : bool
        Whether the error is within the tolerance.
    """

    coefficients: FloatArray
    norm: float
    error: float
    ridge: float
    reached: bool


def robust_interpolant(gram: FloatArray, targets: FloatArray, tolerance: float) -> Interpolant:
    """Fit targets within a tolerance with a small norm, by bisecting the ridge parameter.

    Parameters
    ----------
    gram : ndarray, shape (N, N)
        Kernel on all points of all nets.
    targets : ndarray, shape (N,)
        Label of the net that each point belongs to.
    tolerance : float
        Largest error eps > 0.

    Returns
    -------
    Interpolant
        With the largest ridge parameter whose fit is within the tolerance.

    Raises
    ------
    ValueError
        If the shapes do not fit, the tolerance is not positive, or the matrix is no kernel's: not
        symmetric, or zero.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916: R_{D,B,eps} of the theorem on robust networks near its
       start [recalled]; ridge fits as an upper estimate of it [choice].
    """
    targets = check_array("targets", targets, ("N",))
    gram = check_array("gram", gram, (len(targets), len(targets)))
    check_real("tolerance", tolerance, above=0.0)
    # Gram matrices built by blocks are symmetric up to rounding of their entries.
    if not np.allclose(gram, gram.T, rtol=1e-9, atol=1e-12 * float(np.abs(gram).max())):
        raise ValueError(f"gram must be symmetric, got a difference of {np.abs(gram - gram.T).max():.3g}")
    values, vectors = np.linalg.eigh(gram)
    values, rotated = np.maximum(values, 0.0), vectors.T @ targets
    unit = check_real("the mean eigenvalue of gram", float(values.mean()), above=0.0)

    def fit(ridge: float) -> Interpolant:
        beta = rotated / (values + ridge)
        # the residual is ridge * beta, free of cancellation
        error = float(np.abs(vectors @ (ridge * beta)).max())
        norm = float(np.sqrt(np.sum(values * beta**2)))
        return Interpolant(
            coefficients=vectors @ beta, norm=norm, error=error, ridge=ridge, reached=error <= tolerance
        )

    low, high = np.log(_LOWEST * unit), np.log(_HIGHEST * unit)
    best = fit(float(np.exp(low)))
    if not best.reached:
        return best
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        found = fit(float(np.exp(middle)))
        if found.reached:
            low, best = middle, found
        else:
            high = middle
    return best
