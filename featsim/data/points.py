"""Two-class points in d dimensions: on a circle, on a slice of the sphere, or a user's own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.specs import Spec
from featsim.validation import FloatArray, IntArray, check_array, check_real

_SLICE_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PointData:
    """Labelled points, each a single input vector.

    Make one with a spec's ``sample`` or with :func:`point_data`. Arrays are C-contiguous and read-only.

    Parameters
    ----------
    X : ndarray of float64, shape (n, d)
        Inputs.
    y : ndarray of int64, shape (n,)
        Labels 0 and 1, for the signs -1 and +1.
    constant : float or None
        Value c of the last coordinate of every input on the slice of the unit sphere; None elsewhere.
    spec : Spec or None
        Specification the points were drawn from.
    """

    X: FloatArray
    y: IntArray
    constant: float | None = None
    spec: Spec | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("X", np.float64), ("y", np.int64)):
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype).view()
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_samples(self) -> int:
        """Number n of points."""
        return len(self.X)

    @property
    def dim(self) -> int:
        """Dimension d, a constant coordinate included."""
        return int(self.X.shape[1])

    @property
    def n_classes(self) -> int:
        """Two."""
        return 2

    @property
    def signs(self) -> FloatArray:
        """Labels as +1 and -1, shape (n,)."""
        return np.where(self.y == 1, 1.0, -1.0)

    @property
    def counts(self) -> FloatArray:
        """Every input counts once, shape (n,); attacks ask this of all data."""
        return np.ones(self.n_samples)

    @property
    def pixel_map(self) -> None:
        """No entry is shared between patches."""
        return None

    @property
    def separation(self) -> float:
        """Smallest l2 distance between points of different label; inf if there is one label only."""
        distance = pairwise_distances(self.X)[self.y[:, None] != self.y[None, :]]
        return float(distance.min()) if distance.size else float("inf")

    def select(self, index: Any) -> PointData:
        """Return some of the points, in the order asked for; selecting nothing is an error."""
        rows = np.atleast_1d(np.arange(self.n_samples)[index])
        if rows.size == 0:
            raise ValueError(f"index must select at least one of the {self.n_samples} points, got none")
        return dataclasses.replace(self, X=self.X[rows], y=self.y[rows])


def pairwise_distances(X: FloatArray) -> FloatArray:
    """Return the l2 distances between all rows, shape (n, n)."""
    squares = np.sum(X**2, axis=1)
    distance: FloatArray = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2.0 * X @ X.T, 0.0))
    return distance


def point_data(X: npt.ArrayLike, y: npt.ArrayLike, *, constant: float | None = None) -> PointData:
    """Make a data set of points from your own arrays, which are checked and copied.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, finite; d at least 2.
    y : array_like of int, shape (n,)
        Labels 0 and 1, or -1 and +1.
    constant : float, optional
        Last coordinate of inputs on the slice of the unit sphere; every input is checked to lie there.

    Returns
    -------
    PointData
        The checked data set.

    Raises
    ------
    TypeError, ValueError
        If shapes, labels or the place of an input are impossible.
    """
    points = check_array("X", X, ("n", "d")).copy()
    if points.shape[1] < 2:
        raise ValueError("X must have at least 2 coordinates, got 1; append a constant one with on_slice")
    given = np.asarray(y)
    if given.shape != (len(points),):
        raise ValueError(f"y must have shape ({len(points)},), one label per point, got {given.shape}")
    if not (np.isin(given, (0, 1)).all() or np.isin(given, (-1, 1)).all()):
        raise ValueError(f"y must hold 0 and 1, or -1 and 1, got {np.unique(given)[:5]}")
    if constant is not None:
        constant = check_constant(constant)
        off = np.abs(points[:, -1] - constant) + np.abs(np.sum(points**2, axis=1) - 1.0)
        away = float(off.max())
        if away > _SLICE_TOLERANCE:
            raise ValueError(
                f"X must lie on the unit sphere with last coordinate {constant:g}, got one {away:.3g} off; "
                "bring inputs there with on_slice, or leave constant out"
            )
    return PointData(X=points, y=(given == 1).astype(np.int64), constant=constant)


def check_constant(constant: Any) -> float:
    """Return the constant coordinate as a float in [0, 1)."""
    value = check_real("constant", constant, minimum=0.0)
    if value >= 1.0:
        raise ValueError(f"constant must be < 1, got {value}; the slice of the unit sphere would be empty")
    return value


def on_slice(X: npt.ArrayLike, constant: float = 0.5) -> FloatArray:
    r"""Bring inputs such as flattened images to the slice of the unit sphere.

    Parameters
    ----------
    X : array_like, shape (n, ...)
        Inputs; all axes but the first are flattened.
    constant : float
        Last coordinate c in [0, 1).

    Returns
    -------
    ndarray, shape (n, d + 1)
        Inputs less their mean over the samples, scaled to norm :math:`\sqrt{1-c^2}`, with c appended.

    Raises
    ------
    ValueError
        If an input equals the mean, or is not finite.
    """
    array = np.asarray(X)
    flat = check_array("X", array.reshape(len(array), -1) if array.ndim > 1 else array, ("n", "d"))
    value = check_constant(constant)
    centred = flat - flat.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    if np.any(norms == 0.0):
        raise ValueError(
            f"X must not hold the mean of all inputs, got it at index {int(np.argmin(norms))}; remove it"
        )
    scaled = centred / norms * np.sqrt(1.0 - value**2)
    return np.concatenate([scaled, np.full((len(flat), 1), value)], axis=1)


def circle_points(angles: npt.ArrayLike, constant: float = 0.5) -> FloatArray:
    r"""Return the points of the d = 3 slice at given angles.

    Parameters
    ----------
    angles : array_like, any shape
        Angles :math:`\varphi`.
    constant : float
        Last coordinate c in [0, 1).

    Returns
    -------
    ndarray, shape (..., 3)
        :math:`(s\cos\varphi, s\sin\varphi, c)` with :math:`s = \sqrt{1-c^2}`.
    """
    value = check_constant(constant)
    phi = np.asarray(angles, dtype=np.float64)
    s = np.sqrt(1.0 - value**2)
    return np.stack([s * np.cos(phi), s * np.sin(phi), np.full(phi.shape, value)], axis=-1)
