"""Planting: weights near the start whose tangent model is a given function of the kernel's space."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from featsim.validation import FloatArray, check_array


class Linearised(Protocol):
    """What planting asks of a network at its initial weights."""

    @property
    def weights(self) -> FloatArray:
        """W."""
        ...

    def scores(self, X: FloatArray, /) -> FloatArray:
        """Return f(X), shape (n, 1)."""
        ...

    def weight_gradient(self, X: FloatArray, cotangent: FloatArray, /) -> FloatArray:
        """Return the gradient in W of the scores combined by `cotangent`."""
        ...


def plant(network: Linearised, points: FloatArray, coefficients: FloatArray) -> FloatArray:
    r"""Plant a function :math:`f = \sum_j \beta_j K(\cdot, z_j)` in a network.

    Parameters
    ----------
    network : NtkNetwork or DeepNetwork
        At its initial weights W_0.
    points : ndarray, shape (N, d)
        z.
    coefficients : ndarray, shape (N,)
        beta.

    Returns
    -------
    ndarray, shape of ``network.weights``
        :math:`W = W_0 + \sum_j\beta_j\nabla_W f(W_0, z_j)`, for two layers :math:`w_r = w^0_r + a_r m^{-1/2}
        \sum_j\beta_j\sigma'(\langle w^0_r, z_j\rangle)z_j`. Its tangent model is f(W_0, .) plus
        the function with the empirical kernel at W_0 in the place of K.

    Raises
    ------
    ValueError
        If there is not one coefficient per point, or points are not of the network's dimension.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, a robust network near the start [recalled]; this construction of its
       weights is [derived].
    """
    beta = check_array("coefficients", coefficients, (len(points),))
    return np.asarray(network.weights + network.weight_gradient(points, beta[:, None]))


def plant_targets(
    network: Linearised, gram: FloatArray, points: FloatArray, targets: FloatArray, ridge: float = 1e-3
) -> FloatArray:
    """Plant the ridge fit of targets by the empirical kernel.

    Parameters
    ----------
    network : NtkNetwork or DeepNetwork
        At its initial weights.
    gram : ndarray, shape (N, N)
        Inner products of its weight gradients at the points.
    points : ndarray, shape (N, d)
        Where to fit.
    targets : ndarray, shape (N,)
        Wanted scores.
    ridge : float
        Ridge parameter, relative to the mean of the diagonal.

    Returns
    -------
    ndarray, shape of ``network.weights``
        Weights whose tangent model fits the targets.
    """
    residual = targets - network.scores(points)[:, 0]
    shift = ridge * float(np.trace(gram)) / len(gram)
    # Least squares, as a small network may have no open gate at all, and then no kernel.
    coefficients = np.linalg.lstsq(gram + shift * np.eye(len(gram)), residual, rcond=None)[0]
    return plant(network, points, np.asarray(coefficients, dtype=np.float64))
