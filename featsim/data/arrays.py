"""Data sets made from a user's own arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.data.dataset import NONROBUST, ROBUST, UNKNOWN, PatchData, RoleArray
from featsim.specs import Spec
from featsim.validation import FloatArray, IntArray, check_array, check_integer, check_labels, check_real

_ORTHONORMAL_TOLERANCE = 1e-8


def patch_data(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    n_classes: int | None = None,
    robust_features: npt.ArrayLike | None = None,
    nonrobust_features: npt.ArrayLike | None = None,
    roles: npt.ArrayLike | None = None,
    counts: npt.ArrayLike | None = None,
    robust_strength: float | None = None,
    nonrobust_strength: float | None = None,
    pixel_map: npt.ArrayLike | None = None,
    spec: Spec | None = None,
) -> PatchData:
    """Make a data set from your own arrays, which are checked and copied.

    Parameters
    ----------
    X : array_like, shape (n, P, d)
        Patches, finite real numbers.
    y : array_like of int, shape (n,)
        Labels in 0..n_classes-1.
    n_classes : int, optional
        Number of classes, at least 2; default the largest label plus one.
    robust_features, nonrobust_features : array_like, shape (n_classes, d), optional
        Features u and v; all given ones together orthonormal to 1e-8.
    roles : array_like of int, shape (n, P) or (P,), optional
        0 robust, 1 non-robust, -1 unknown (the default).
    counts : array_like, shape (n, P) or (P,), optional
        Multiplicity of each patch, greater than 0; default 1.
    robust_strength, nonrobust_strength : float, optional
        Size of a feature in its patches, at least 0.
    pixel_map : array_like of int, shape (P, d), optional
        Pixel behind each entry; entries of one pixel must agree.
    spec : Spec, optional
        Specification the samples were drawn from.

    Returns
    -------
    PatchData
        The checked data set.

    Raises
    ------
    TypeError
        If an array holds anything but real numbers.
    ValueError
        If a shape or value is impossible; the message names the argument and the rule.
    """
    patches = check_array("X", X, ("n", "P", "d")).copy()
    n, n_patches, dim = patches.shape
    labels = _labels(y, n, n_classes)
    k = max(int(labels.max()) + 1, 2) if n_classes is None else int(n_classes)
    u = _features("robust_features", robust_features, k, dim)
    v = _features("nonrobust_features", nonrobust_features, k, dim)
    _check_orthonormal([f for f in (u, v) if f is not None])
    role_array = _roles(roles, n, n_patches)
    multiplicity = _counts(counts, n, n_patches)
    pixels = None if pixel_map is None else _pixel_map(pixel_map, patches)
    return PatchData(
        X=patches,
        y=labels,
        n_classes=k,
        robust_features=u,
        nonrobust_features=v,
        roles=role_array,
        counts=multiplicity,
        robust_strength=_strength("robust_strength", robust_strength),
        nonrobust_strength=_strength("nonrobust_strength", nonrobust_strength),
        n_robust_patches=_patches_of_role(ROBUST, role_array, multiplicity),
        n_nonrobust_patches=_patches_of_role(NONROBUST, role_array, multiplicity),
        pixel_map=pixels,
        spec=spec,
    )


def _labels(y: npt.ArrayLike, n: int, n_classes: int | None) -> IntArray:
    raw = np.asarray(y)
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise ValueError("y must be finite, got nan or infinity among the labels")
    if n_classes is None:
        largest = int(raw.max()) if raw.size and raw.dtype.kind in "iubf" else 0
        return check_labels("y", raw, n, max(largest + 1, 2)).copy()
    return check_labels("y", raw, n, check_integer("n_classes", n_classes, minimum=2)).copy()


def _strength(name: str, value: float | None) -> float | None:
    return None if value is None else check_real(name, value, minimum=0.0)


def _features(name: str, value: npt.ArrayLike | None, k: int, dim: int) -> FloatArray | None:
    return None if value is None else check_array(name, value, (k, dim), hint="one row per class").copy()


def _check_orthonormal(families: list[FloatArray]) -> None:
    if not families:
        return
    stacked = np.concatenate(families)
    error = float(np.abs(stacked @ stacked.T - np.eye(len(stacked))).max())
    if error > _ORTHONORMAL_TOLERANCE:
        raise ValueError(
            f"robust_features and nonrobust_features must be orthonormal to {_ORTHONORMAL_TOLERANCE:g}, "
            f"got a Gram matrix off by {error:.3g}; orthonormalise their rows with np.linalg.qr"
        )


def _whole_numbers(name: str, value: npt.ArrayLike) -> IntArray:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    return array.astype(np.int64)


def _per_patch(name: str, array: npt.NDArray[Any], n: int, n_patches: int) -> npt.NDArray[Any]:
    if array.shape not in ((n, n_patches), (n_patches,)):
        raise ValueError(f"{name} must have shape {(n, n_patches)} or {(n_patches,)}, got {array.shape}")
    return np.broadcast_to(array, (n, n_patches)).copy()


def _roles(roles: npt.ArrayLike | None, n: int, n_patches: int) -> RoleArray:
    if roles is None:
        return np.full((n, n_patches), UNKNOWN, dtype=np.int8)
    array = _per_patch("roles", _whole_numbers("roles", roles), n, n_patches)
    if (np.abs(array) > 1).any():
        found = np.unique(array).tolist()
        raise ValueError(f"roles must be 0 (robust), 1 (non-robust) or -1 (unknown), got {found}")
    return array.astype(np.int8)


def _counts(counts: npt.ArrayLike | None, n: int, n_patches: int) -> FloatArray:
    if counts is None:
        return np.ones((n, n_patches))
    raw = np.asarray(counts)
    array = _per_patch("counts", check_array("counts", raw, tuple("nP"[-raw.ndim :])), n, n_patches)
    if (array <= 0).any():
        raise ValueError(f"counts must be > 0, got {array.min():g}")
    return array


def _pixel_map(pixel_map: npt.ArrayLike, patches: FloatArray) -> IntArray:
    array = _whole_numbers("pixel_map", pixel_map)
    if array.shape != patches.shape[1:]:
        raise ValueError(f"pixel_map must have shape (P, d) = {patches.shape[1:]}, got {array.shape}")
    if array.min() < 0:
        raise ValueError(f"pixel_map must be >= 0, got {array.min()}")
    seen, place = np.unique(array, return_inverse=True)
    pixels = np.zeros((len(patches), seen.size))
    pixels[:, place.reshape(array.shape)] = patches
    if not np.array_equal(pixels[:, place.reshape(array.shape)], patches):
        raise ValueError("X must hold one value per pixel, got entries of one pixel in pixel_map that differ")
    return array


def _patches_of_role(role: int, roles: RoleArray, counts: FloatArray) -> int | None:
    if (roles == UNKNOWN).any():
        return None
    totals = np.where(roles == role, counts, 0.0).sum(axis=1)
    whole = bool((totals == totals[0]).all()) and float(totals[0]).is_integer()
    return int(totals[0]) if whole else None
