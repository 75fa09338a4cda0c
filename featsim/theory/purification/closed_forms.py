"""Closed forms of the purification theory: the leak of the label, and the radius of the linear rule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.validation import FloatArray, check_array, check_integer, check_real

if TYPE_CHECKING:
    from featsim.data import SparseCodingData


def label_leak(n_atoms: int, sparsity: float) -> float:
    r"""Part of the label that every feature carries, E[y z_j w*_j].

    Parameters
    ----------
    n_atoms : int
        Number D of features, at least 2.
    sparsity : float
        k, greater than 0.

    Returns
    -------
    float
        :math:`\frac{\sqrt k}{D} \frac{e^{-k}(I_0(k) + I_1(k))}{1 - e^{-k} I_0(k)}` with modified Bessel
        functions I, for weights of size 1, one scale of codes, and only ties drawn again; the number of
        active features is taken as Poisson. About :math:`\sqrt{2/\pi}/D` for large k, whatever k.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] docs/purification, "The seed of the dense mixture" [derived].
    """
    from scipy.special import ive

    n = check_integer("n_atoms", n_atoms, minimum=2)
    k = check_real("sparsity", sparsity, above=0.0)
    even, odd = float(ive(0, k)), float(ive(1, k))  # with the factor e^-k
    return math.sqrt(k) / n * (even + odd) / (1.0 - even)


def measured_label_leak(data: SparseCodingData) -> FloatArray:
    """Return the mean of y <x, M_j> sign(w*_j) over samples, one number per feature.

    Parameters
    ----------
    data : SparseCodingData
        Samples.

    Returns
    -------
    ndarray, shape (D,)
        Measured leaks.

    References
    ----------
    .. [1] docs/purification, "The seed of the dense mixture" [derived].
    """
    leak: FloatArray = (data.signs @ data.inputs / data.n_samples) @ data.dictionary
    return leak * np.sign(data.label_weights)


def linear_rule_radius(data: SparseCodingData) -> float:
    r"""Radius, l2, at which the linear rule v = M w* keeps half of its samples.

    Parameters
    ----------
    data : SparseCodingData
        Samples.

    Returns
    -------
    float
        The median of :math:`y \langle v, x \rangle / \|v\|` over samples: exact, no attack enters.

    References
    ----------
    .. [1] docs/purification, "Radii" [derived]: the norm of v grows like the root of d.
    """
    return float(np.median(data.signs * (data.inputs @ data.dense_direction)))


def pure_window(weight_norm: Any, radius: float, sparsity: float) -> tuple[FloatArray, FloatArray]:
    r"""Return the biases between which a pure neuron neither wakes under attack nor sleeps when active.

    Parameters
    ----------
    weight_norm : array_like
        Norms of neurons, at least 0.
    radius : float
        Attack radius, l2.
    sparsity : float
        k.

    Returns
    -------
    low, high : ndarray
        :math:`\tau\|w\|` and :math:`\|w\|/\sqrt k`.

    References
    ----------
    .. [1] docs/purification, "Limits" [derived]: at small d a slightly smaller bias is better.
    """
    norm = np.asarray(weight_norm, dtype=np.float64)
    check_array("weight_norm", norm.reshape(-1), ("m",))
    k = check_real("sparsity", sparsity, above=0.0)
    return check_real("radius", radius, minimum=0.0) * norm, norm / math.sqrt(k)
