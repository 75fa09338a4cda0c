"""What the filters have learned: coefficients along features, and what they add up to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.models.two_layer import smoothed_relu
from featsim.validation import FloatArray, check_array, check_integer, check_real

_ORTHONORMAL_TOLERANCE = 1e-8


def feature_coefficients(weights: npt.ArrayLike, features: npt.ArrayLike) -> FloatArray:
    r"""Return all inner products of filters with features.

    Parameters
    ----------
    weights : array_like, shape (..., k, m, d)
        Filters of k classes with m neurons each; leading axes such as time are kept.
    features : array_like, shape (J, d)
        Features, for example the u_j alone or u stacked over v (``data.features``).

    Returns
    -------
    ndarray, shape (..., k, m, J)
        :math:`\langle w_{i,r}, e_j \rangle`: the tables M (features u) and N (v).

    Raises
    ------
    TypeError, ValueError
        If the arrays are not of these shapes.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What is tracked" [derived].
    """
    w, e = _weights_and_features(weights, features)
    return np.asarray(w @ e.T)


def rest_norm(weights: npt.ArrayLike, features: npt.ArrayLike) -> FloatArray:
    r"""Return the norm of each filter's part outside the span of the features.

    Parameters
    ----------
    weights : array_like, shape (..., k, m, d)
        Filters.
    features : array_like, shape (J, d)
        Orthonormal features; give all of them (``data.features``).

    Returns
    -------
    ndarray, shape (..., k, m)
        :math:`\|w_\perp\|` with
        :math:`w = \sum_j \langle w, e_j\rangle e_j + w_\perp`.

    Raises
    ------
    TypeError, ValueError
        If the arrays are not of these shapes or the features are not orthonormal to 1e-8.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What is tracked" [derived].
    """
    w, e = _weights_and_features(weights, features)
    error = float(np.abs(e @ e.T - np.eye(len(e))).max()) if len(e) else 0.0
    if error > _ORTHONORMAL_TOLERANCE:
        raise ValueError(
            f"features must be orthonormal to {_ORTHONORMAL_TOLERANCE:g}, "
            f"got a Gram matrix off by {error:.3g}; orthonormalise their rows with np.linalg.qr"
        )
    # Not sqrt(|w|^2 - |coefficients|^2), which loses half the digits of a small rest.
    return np.asarray(np.linalg.norm(w - (w @ e.T) @ e, axis=-1))


def own_coefficients(table: npt.ArrayLike) -> FloatArray:
    """Return each neuron's coefficient on the feature of its own class.

    Parameters
    ----------
    table : array_like, shape (..., k, m, k)
        Coefficients of every neuron on the k features of one kind.

    Returns
    -------
    ndarray, shape (..., k, m)
        The entries ``table[..., i, r, i]``: A from M, B from N.

    Raises
    ------
    TypeError, ValueError
        If `table` does not have such a shape.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What is tracked" [derived].
    """
    array = _real("table", table)
    if array.ndim < 3 or array.shape[-1] != array.shape[-3]:
        raise ValueError(
            f"table must have shape (..., k, m, k), got {array.shape}; "
            "give the features of one kind, one per class"
        )
    # diagonal() moves the class axis to the end: (..., m, k).
    return np.ascontiguousarray(np.swapaxes(np.diagonal(array, axis1=-3, axis2=-1), -1, -2))


def feature_logits(
    own_coef: npt.ArrayLike, strength: float, n_patches: int, power: float, smoothing: float
) -> FloatArray:
    r"""Return what one kind of feature adds to the noise-free logit of its class.

    Parameters
    ----------
    own_coef : array_like, shape (..., k, m)
        Own-class coefficients A or B; leading axes such as time are kept.
    strength : float
        Size alpha or beta of the feature in a patch, at least 0.
    n_patches : int
        Patches that carry it, P_R or P_NR, at least 0.
    power, smoothing : float
        Exponent q and width of the smoothed ReLU.

    Returns
    -------
    ndarray, shape (..., k)
        :math:`\Phi_i = P_R \sum_r s(\alpha A_{i,r})`, or
        :math:`\Psi_i = P_{NR} \sum_r s(\beta B_{i,r})`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong shape or out of range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What is tracked" [derived].
    """
    coef = _real("own_coef", own_coef)
    if coef.ndim < 2:
        raise ValueError(f"own_coef must have shape (..., k, m), got {coef.shape}")
    strength = check_real("strength", strength, minimum=0.0)
    n_patches = check_integer("n_patches", n_patches, minimum=0)
    return np.asarray(n_patches * smoothed_relu(strength * coef, power, smoothing).sum(axis=-1))


def nonrobust_share(robust_logit: npt.ArrayLike, nonrobust_logit: npt.ArrayLike) -> FloatArray:
    r"""Return the share of the decision that rests on the non-robust feature.

    Parameters
    ----------
    robust_logit, nonrobust_logit : array_like, same shape
        Phi and Psi from :func:`feature_logits`, at least 0.

    Returns
    -------
    ndarray, same shape
        :math:`\Psi / (\Phi + \Psi)`, in [0, 1]. Where both are 0 the class uses
        neither feature, and the share is 1/2 [choice], never nan; a logit that is nan
        (a diverged run) gives nan.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ or a logit is negative.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What is tracked" [derived].
    """
    phi, psi = _real("robust_logit", robust_logit), _real("nonrobust_logit", nonrobust_logit)
    if phi.shape != psi.shape:
        raise ValueError(f"nonrobust_logit must have the shape of robust_logit {phi.shape}, got {psi.shape}")
    for name, logit in (("robust_logit", phi), ("nonrobust_logit", psi)):
        if (logit < 0).any():
            raise ValueError(f"{name} must be >= 0, got {float(np.nanmin(logit))}")
    total = phi + psi
    share = np.full(total.shape, 0.5)
    with np.errstate(invalid="ignore"):  # inf / inf in a diverged run is an honest nan
        np.divide(psi, total, out=share, where=total != 0)
    return share


def _weights_and_features(weights: npt.ArrayLike, features: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    w = _real("weights", weights)
    if w.ndim < 3:
        raise ValueError(f"weights must have shape (..., k, m, d), got {w.shape}")
    e = np.asarray(features)
    # No features known, shape (0, d), is a valid and empty family.
    return w, np.zeros((0, w.shape[-1])) if e.shape == (0, w.shape[-1]) else check_array(
        "features", e, ("J", w.shape[-1])
    )


def _real(name: str, value: Any) -> FloatArray:
    """Return `value` as float64; non-finite entries pass, as diverged runs are analysed too."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array.astype(np.float64, copy=False)
