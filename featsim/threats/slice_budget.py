"""Budget on a slice of the sphere: caps around each input."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from featsim.threats.budget import Budget
from featsim.validation import FloatArray

if TYPE_CHECKING:
    from featsim.threats.threat import Threat

_SMALL = 1e-14
_ROUNDING = 1e-12  # of a radius computed from an angle


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SliceBudget(Budget):
    r"""Caps :math:`\{x' : |x'| = |x|,\ x'_d = x_d,\ |x'-x|_2 \le \delta\}` around given inputs.

    The cap is no ball around 0, so that the budget knows its inputs; there is no dual norm.

    Attributes
    ----------
    points : ndarray, shape (n, d)
        The inputs x; d >= 2, and no input is zero in its first d - 1 coordinates.
    """

    points: FloatArray

    @classmethod
    def around(cls, threat: Threat, X: Any) -> SliceBudget:
        """Return the caps around inputs of shape (n, d), none of them on the axis."""
        points = np.asarray(X, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] < 2:
            raise ValueError(f"X must have shape (n, d) with d >= 2 for caps, got {points.shape}")
        if not np.any(points[:, :-1], axis=1).all():
            raise ValueError("X must not lie on the axis of the slice: there is no cap around such a point")
        diameter = 2.0 * float(np.linalg.norm(points[:, :-1], axis=1).max(initial=0.0))
        if len(points) and threat.radius > diameter * (1.0 + _ROUNDING):
            raise ValueError(
                f"radius must be <= {diameter:.6g}, the diameter of the slice, got {threat.radius:g}; "
                "at the diameter the cap is the whole slice"
            )
        return cls(threat=threat, points=points)

    @cached_property
    def half_angle(self) -> FloatArray:
        r"""Angle :math:`\psi` of each cap, shape (n,): :math:`\delta = 2 s \sin(\psi/2)`."""
        return np.asarray(2.0 * np.arcsin(np.minimum(self.radius / (2.0 * self._lengths), 1.0)))

    @cached_property
    def _lengths(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self.points[:, :-1], axis=1))

    @cached_property
    def _units(self) -> FloatArray:
        return np.asarray(self.points[:, :-1] / self._lengths[:, None])

    def select(self, index: Any) -> SliceBudget:
        """Return the budget of some of the inputs."""
        return dataclasses.replace(self, points=self.points[index])

    def restrict(self, gradient: FloatArray) -> FloatArray:
        """Return the gradient without its last coordinate, which does not move."""
        allowed = np.array(self._checked(gradient), dtype=np.float64)
        allowed[:, -1] = 0.0
        return allowed

    def steepest(self, gradient: FloatArray) -> FloatArray:
        """Return the unit step along the gradient in the first d - 1 coordinates; 0 where that is 0."""
        allowed = self.restrict(gradient)
        # Dividing by the largest entry first keeps tiny gradients from vanishing.
        largest = np.abs(allowed).max(axis=1, keepdims=True)
        scaled = allowed / np.where(largest > 0.0, largest, 1.0)
        size = np.sqrt(np.sum(scaled * scaled, axis=1, keepdims=True))
        return np.asarray(scaled / np.where(size > 0.0, size, 1.0))

    def extreme(self, gradient: FloatArray) -> FloatArray:
        r"""Return the allowed perturbation with the largest inner product, shape of `gradient`.

        The point turns from x towards the gradient, by their angle or by :math:`\psi`.
        """
        _, across, turn = self._parts(gradient)
        width = np.linalg.norm(across, axis=1, keepdims=True)
        # A gradient that points away from x has no nearest direction: any orthogonal one is as good.
        spare = np.zeros_like(across)
        spare[np.arange(len(spare)), np.argmin(np.abs(self._units), axis=1)] = 1.0
        spare -= np.sum(spare * self._units, axis=1, keepdims=True) * self._units
        size = np.linalg.norm(spare, axis=1, keepdims=True)
        spare /= np.where(size > 0.0, size, 1.0)
        direction = np.where(width > 0.0, across / np.where(width > 0.0, width, 1.0), spare)
        return self._turned(turn, direction)

    def support(self, gradient: FloatArray) -> FloatArray:
        """Return that inner product, shape (n,)."""
        along, across, turn = self._parts(gradient)
        width = np.linalg.norm(across, axis=1, keepdims=True)
        gain = np.sin(turn) * width - 2.0 * np.sin(0.5 * turn) ** 2 * along
        return np.asarray(self._lengths * gain[:, 0])

    def _parts(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Parts of a gradient along x, (n, 1), and across, (n, d - 1), and the best turn, (n, 1)."""
        here = self.restrict(gradient)[:, :-1]
        along = np.sum(here * self._units, axis=1, keepdims=True)
        across = here - along * self._units
        width = np.linalg.norm(across, axis=1, keepdims=True)
        across = np.where(width > _SMALL * np.abs(along), across, 0.0)
        angle = np.arctan2(np.linalg.norm(across, axis=1, keepdims=True), along)
        return along, across, np.minimum(angle, self.half_angle[:, None])

    def _turned(self, turn: FloatArray, direction: FloatArray) -> FloatArray:
        """Return x' - x of the points turned by angles (n, 1) towards unit vectors (n, d - 1) across x.

        For d = 2 there is no such vector, and nowhere to turn.
        """
        # x' - x = s((cos - 1) u + sin p), with 1 - cos = 2 sin^2(turn / 2) free of cancellation.
        step = np.sin(turn) * direction - 2.0 * np.sin(0.5 * turn) ** 2 * self._units
        if step.shape[1] == 1:
            step = np.zeros_like(step)
        return np.concatenate([self._lengths[:, None] * step, np.zeros((len(step), 1))], axis=1)

    def project(self, delta: FloatArray) -> FloatArray:
        """Return the nearest allowed perturbation; 0 where no direction is nearest."""
        unit = self._units
        here = self.points[:, :-1] + self._checked(delta)[:, :-1]
        along = np.sum(here * unit, axis=1, keepdims=True)
        across = here - along * unit
        width = np.sqrt(np.sum(across * across, axis=1, keepdims=True))
        angle = np.arctan2(width, along)
        limit = self.half_angle[:, None]
        # The opposite point has no nearest direction, and rounding must not choose one.
        known = width > _SMALL * np.abs(along)
        direction = across / np.where(known, width, 1.0)
        turn = np.minimum(angle, limit)
        return np.where(known, self._turned(turn, direction), 0.0)

    def random(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Draw allowed perturbations: a uniform direction, an angle of density like a flat disc's."""
        unit = self._units
        direction = rng.standard_normal(unit.shape)
        direction -= np.sum(direction * unit, axis=1, keepdims=True) * unit
        width = np.linalg.norm(direction, axis=1, keepdims=True)
        direction /= np.where(width > 0.0, width, 1.0)
        level = rng.uniform(size=(len(unit), 1)) ** (1.0 / max(unit.shape[1] - 1, 1))
        turn = level * self.half_angle[:, None]
        return self._turned(turn, direction)

    def contains(self, delta: FloatArray, tol: float = 1e-9) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return, per sample, whether a perturbation is allowed, to a relative `tol`."""
        delta = self._checked(delta)
        slack = tol * max(1.0, float(self._lengths.max()))
        length = np.linalg.norm((self.points + delta)[:, :-1], axis=1)
        on_slice = (np.abs(length - self._lengths) <= slack) & (np.abs(delta[:, -1]) <= slack)
        inside: np.ndarray[Any, np.dtype[np.bool_]] = on_slice & (self.norm(delta) <= self.radius + slack)
        return inside

    def dual_norm(self, gradient: FloatArray) -> NoReturn:
        """Raise: a cap is no ball, so that its :meth:`support` is no norm."""
        raise ValueError("subspace 'slice' has no dual norm: a cap is no ball; attack it instead")

    def reach(self, directions: FloatArray) -> NoReturn:
        """Raise: see :meth:`dual_norm`."""
        self.dual_norm(directions)

    def _checked(self, values: FloatArray) -> FloatArray:
        values = np.asarray(values, dtype=np.float64)
        if values.shape != self.points.shape:
            wanted = self.points.shape
            raise ValueError(f"arrays must have the shape of the inputs, {wanted}, got {values.shape}")
        return values
