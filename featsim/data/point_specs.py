"""Distributions of points: circle, sphere slice, rescaled sphere."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from featsim.data.points import PointData, check_constant, circle_points, pairwise_distances
from featsim.machine import check_room
from featsim.specs import Spec
from featsim.validation import (
    FloatArray,
    IntArray,
    check_choice,
    check_generator,
    check_integer,
    check_real,
)

_MOST_TRIES = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class CircleSpec(Spec):
    r"""Points of the d = 3 slice, :math:`x = (s\cos\varphi, s\sin\varphi, c)`.

    Angles are :math:`\varphi_i = 2\pi(i+u_i)/n` with :math:`u_i` uniform on
    :math:`(-\mathrm{jitter}, \mathrm{jitter})`, labels half and half in random order.

    Parameters
    ----------
    constant : float
        Last coordinate c in [0, 1).
    jitter : float
        In [0, 1/2]: below that the angles keep their order.
    labels : {"shuffled", "alternating"}
        Random order of n/2 labels of each kind, or alternating around the circle.
    angles : tuple of float or None
        These angles instead; n must be their number. Nothing is random then but shuffled labels.
    signs : tuple of {-1, 1} or None
        These labels instead.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916: unit sphere with a constant coordinate [recalled]; the circle
       family is a [choice].
    """

    kind: ClassVar[str] = "circle"

    constant: float = 0.5
    jitter: float = 0.1
    labels: str = "shuffled"
    angles: tuple[float, ...] | None = None
    signs: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "constant", check_constant(self.constant))
        object.__setattr__(self, "jitter", check_real("jitter", self.jitter, minimum=0.0, maximum=0.5))
        check_choice("labels", self.labels, ("shuffled", "alternating"))
        if self.angles is not None:
            found = tuple(check_real("angles", angle) for angle in self.angles)
            object.__setattr__(self, "angles", found)
        if self.signs is not None:
            if not all(sign in (-1, 1) for sign in self.signs):
                raise ValueError(f"signs must hold -1 and 1, got {self.signs}")
            object.__setattr__(self, "signs", tuple(int(sign) for sign in self.signs))

    def sample(self, n_samples: int, rng: np.random.Generator) -> PointData:
        """Draw points: jitters first, then the order of labels, and nothing for what is fixed."""
        n = check_integer("n_samples", n_samples, minimum=1)
        check_generator("rng", rng)
        for name in ("angles", "signs"):
            given = getattr(self, name)
            if given is not None and len(given) != n:
                raise ValueError(f"n_samples must be {len(given)}, the number of given {name}, got {n}")
        if self.angles is None:
            angles = 2.0 * np.pi * (np.arange(n) + rng.uniform(-self.jitter, self.jitter, n)) / n
        else:
            angles = np.array(self.angles)
        if self.signs is not None:
            y = (np.array(self.signs) == 1).astype(np.int64)
        else:
            y = _halves(n, rng) if self.labels == "shuffled" else 1 - np.arange(n, dtype=np.int64) % 2
        return PointData(X=circle_points(angles, self.constant), y=y, constant=self.constant, spec=self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SphereSliceSpec(Spec):
    """Points of the slice in d dimensions with a least distance between any two.

    Parameters
    ----------
    dim : int
        Dimension d >= 3, the constant coordinate included.
    constant : float
        Last coordinate c in [0, 1).
    separation : float
        Least pairwise l2 distance; points are drawn until they keep it.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916: unit sphere with a constant coordinate [recalled]; points at a
       least distance are a [choice].
    """

    kind: ClassVar[str] = "sphere-slice"

    dim: int = 10
    constant: float = 0.5
    separation: float = 0.612

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", check_integer("dim", self.dim, minimum=3))
        object.__setattr__(self, "constant", check_constant(self.constant))
        object.__setattr__(self, "separation", check_real("separation", self.separation, minimum=0.0))

    def sample(self, n_samples: int, rng: np.random.Generator) -> PointData:
        """Draw points one by one, each until it keeps its distance, then the order of labels."""
        n = check_integer("n_samples", n_samples, minimum=1)
        check_generator("rng", rng)
        check_room("samples", change="n_samples or dim", n_samples=n, dim=self.dim)
        s = np.sqrt(1.0 - self.constant**2)
        points: list[FloatArray] = []
        for _ in range(_MOST_TRIES):
            if len(points) == n:
                break
            point = rng.standard_normal(self.dim - 1)
            point *= s / np.linalg.norm(point)
            if all(float(np.linalg.norm(point - other)) >= self.separation for other in points):
                points.append(point)
        if len(points) < n:
            raise ValueError(
                f"separation must leave room for {n} points, got {self.separation:g} in dimension "
                f"{self.dim}: only {len(points)} were placed in {_MOST_TRIES} draws; reduce it, or n_samples"
            )
        X = np.concatenate([np.array(points), np.full((n, 1), self.constant)], axis=1)
        return PointData(X=X, y=_halves(n, rng), constant=self.constant, spec=self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeparatedSphereSpec(Spec):
    """Random points of a sphere that is scaled so that half the least opposite-label distance is 1.

    Parameters
    ----------
    dim : int
        Dimension d >= 2.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, capacity theorem: radii relative to half the separation [source in
       words]; random points of a sphere are a [choice].
    """

    kind: ClassVar[str] = "separated-sphere"

    dim: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", check_integer("dim", self.dim, minimum=2))

    def sample(self, n_samples: int, rng: np.random.Generator) -> PointData:
        """Draw points, then the order of labels."""
        n = check_integer("n_samples", n_samples, minimum=2)
        check_generator("rng", rng)
        check_room("samples", change="n_samples or dim", n_samples=n, dim=self.dim)
        X = rng.standard_normal((n, self.dim))
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        y = _halves(n, rng)
        least = float(pairwise_distances(X)[y[:, None] != y[None, :]].min())
        return PointData(X=X * (2.0 / least), y=y, spec=self)


def _halves(n: int, rng: np.random.Generator) -> IntArray:
    if n % 2:
        raise ValueError(f"n_samples must be even for two equal halves of labels, got {n}")
    order: Any = rng.permutation(np.repeat(np.array([1, 0], dtype=np.int64), n // 2))
    return np.asarray(order, dtype=np.int64)
