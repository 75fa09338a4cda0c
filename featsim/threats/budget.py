"""A threat on given samples: projection, steepest step, norm, dual norm."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from featsim.validation import FloatArray, IntArray

if TYPE_CHECKING:
    from featsim.threats.threat import Threat


def _stable_norm(values: FloatArray, axes: tuple[int, ...], weights: FloatArray | None = None) -> FloatArray:
    """Weighted l2 norm over `axes`, axes kept, without under- or overflow of the squares."""
    largest = np.max(np.abs(values), axis=axes, keepdims=True, initial=0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    squares = (values / scale) ** 2
    if weights is not None:
        squares = squares * weights
    norm: FloatArray = scale * np.sqrt(np.sum(squares, axis=axes, keepdims=True))
    return norm


@dataclasses.dataclass(frozen=True, eq=False)
class PixelFold:
    """Patches cut from one image: which patch entries are the same pixel.

    Attributes
    ----------
    shape : tuple of int
        (P, d), the shape of one sample's patches.
    inverse : ndarray, shape (P * d,)
        Position of each entry's pixel among the pixels that occur.
    order, first : ndarray
        Entries sorted by pixel, and where each pixel's run starts.
    coverage : ndarray, shape (n_pixels,)
        Number of entries of each pixel.
    """

    shape: tuple[int, ...]
    inverse: IntArray
    order: IntArray
    first: IntArray
    coverage: FloatArray

    @classmethod
    def from_map(cls, pixel_map: IntArray) -> Self:
        """Build from a (P, d) table of pixel indices."""
        if any(len(np.unique(row)) != len(row) for row in pixel_map):
            raise ValueError("pixel_map must name a pixel at most once within a patch")
        _, inverse, coverage = np.unique(pixel_map.ravel(), return_inverse=True, return_counts=True)
        first = np.concatenate([[0], np.cumsum(coverage)[:-1]])
        order = np.argsort(inverse, kind="stable")
        return cls(pixel_map.shape, inverse, order, first, coverage.astype(np.float64))

    def fold(self, rows: FloatArray) -> FloatArray:
        """Sum the entries of each pixel: (n, P, d) to (n, n_pixels)."""
        if rows.shape[1:] != self.shape:
            raise ValueError(f"arrays must have shape (n, *{self.shape}) like pixel_map, got {rows.shape}")
        flat = rows.reshape(len(rows), -1)[:, self.order]
        folded: FloatArray = np.add.reduceat(flat, self.first, axis=1)
        return folded

    def gather(self, pixels: FloatArray) -> FloatArray:
        """Copy each pixel to its entries: (n, n_pixels) to (n, P, d)."""
        return pixels[:, self.inverse].reshape(len(pixels), *self.shape)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Budget:
    r"""Allowed perturbations of given samples.

    Made by :meth:`featsim.threats.Threat.bind`. Arrays have shape (n, P, d),
    or any shape (n, ...) when the scope is the whole input. The pairing of a
    gradient with a perturbation is :math:`\sum_p c_p \langle g_p, \delta_p
    \rangle`: a patch with count :math:`c_p` stands for that many equal
    patches, `g` is the gradient in ONE of them, and all of them move alike.

    Attributes
    ----------
    threat : Threat
        Norm, radius, scope and subspace.
    counts : ndarray, shape (n, P), or None
        Multiplicity of each patch; None means 1.
    basis : ndarray, shape (r, d), or None
        Orthonormal directions of the subspace; None means all of space.
    role_mask : ndarray of bool, shape (2, r), or None
        Rows of `basis` allowed on a robust patch (0) and on any other (1).
    role_index : ndarray, shape (n, P), or None
        Row of `role_mask` that holds for each patch.
    pixels : PixelFold or None
        Set where patches share pixels; the ball is then that of the image.

    Raises
    ------
    ValueError
        If a count is not > 0.
    """

    threat: Threat
    counts: FloatArray | None = None
    basis: FloatArray | None = None
    role_mask: npt.NDArray[np.bool_] | None = None
    role_index: IntArray | None = None
    pixels: PixelFold | None = None

    def __post_init__(self) -> None:
        if self.counts is not None and not np.all(self.counts > 0):
            raise ValueError(f"counts must be > 0, got {np.min(self.counts):g}")

    @property
    def radius(self) -> float:
        """Radius of the ball."""
        return self.threat.radius

    def select(self, index: Any) -> Budget:
        """Return the budget of some of the samples."""
        return dataclasses.replace(
            self,
            counts=None if self.counts is None else self.counts[index],
            role_index=None if self.role_index is None else self.role_index[index],
        )

    def restrict(self, gradient: FloatArray) -> FloatArray:
        """Return the part of a gradient along which the input may move.

        Parameters
        ----------
        gradient : ndarray, shape (n, P, d) or (n, ...)
            Gradient with respect to the entries of X.

        Returns
        -------
        ndarray, shape of `gradient`
            Orthogonal projection on the subspace of each patch. Where patches
            share pixels: the gradient in each pixel, at all its entries (so
            apply it once: a second call would sum again).
        """
        return self._spread(self._pull(self._checked(gradient)))

    def project(self, delta: FloatArray) -> FloatArray:
        """Return the nearest allowed perturbation.

        Parameters
        ----------
        delta : ndarray, shape (n, P, d) or (n, ...)
            Any perturbation.

        Returns
        -------
        ndarray, shape of `delta`
            Nearest in the l2 norm (of the pixels where patches share them,
            after averaging entries of one pixel that disagree).
        """
        free = self._nearest(self._checked(delta))
        if self.threat.norm == "linf":
            return self._spread(np.clip(free, -self.radius, self.radius))
        size = self._size(free)
        # The division is skipped inside the ball, so that such points do not move by a rounding.
        factor = np.where(size > self.radius, self.radius / np.where(size > 0, size, 1.0), 1.0)
        return self._spread(free * factor)

    def steepest(self, gradient: FloatArray) -> FloatArray:
        """Return the perturbation of norm 1 with the largest inner product.

        Parameters
        ----------
        gradient : ndarray, shape (n, P, d) or (n, ...)
            Gradient with respect to the entries of X, not yet restricted.

        Returns
        -------
        ndarray, shape of `gradient`
            Unit step, of every patch or of the whole input as the scope says;
            zero where the restricted gradient is zero.
        """
        pulled = self._pull(self._checked(gradient))
        if self.threat.norm == "linf":
            return self._spread(np.sign(pulled))
        # Dividing by the largest entry first keeps tiny gradients from vanishing.
        largest = np.max(np.abs(pulled), axis=self._axes(pulled), keepdims=True, initial=0.0)
        scaled = pulled / np.where(largest > 0, largest, 1.0)
        size = self._size(scaled)
        return self._spread(scaled / np.where(size > 0, size, 1.0))

    def norm(self, delta: FloatArray) -> FloatArray:
        """Return the norm the budget bounds: (n, P) per patch, (n,) for the whole input."""
        delta = self._checked(delta)
        free = delta if self.pixels is None else self._nearest(delta)
        axes = self._axes(free)
        if self.threat.norm == "linf":
            largest: FloatArray = np.max(np.abs(free), axis=axes, initial=0.0)
            return largest
        return np.squeeze(self._size(free), axis=axes)

    def dual_norm(self, gradient: FloatArray) -> FloatArray:
        """Return the largest inner product over perturbations of radius 1.

        Parameters
        ----------
        gradient : ndarray, shape (n, P, d) or (n, ...)
            Gradient with respect to the entries of X, not yet restricted.

        Returns
        -------
        ndarray, shape (n,)
            Summed over patches (with counts) when each has its own ball.
        """
        pulled = self._pull(self._checked(gradient))
        weights = self._weights(pulled)
        everything = tuple(range(1, pulled.ndim))
        if self.threat.norm == "linf":
            sizes = np.abs(pulled)
            total: FloatArray = np.sum(sizes if weights is None else sizes * weights, axis=everything)
            return total
        sizes = self._size(pulled)
        if weights is not None and self.threat.scope == "patch":
            sizes = sizes * weights
        total = np.sum(sizes, axis=everything)
        return total

    def extreme(self, gradient: FloatArray) -> FloatArray:
        """Return the allowed perturbation with the largest inner product, shape of `gradient`."""
        return self.radius * self.steepest(gradient)

    def support(self, gradient: FloatArray) -> FloatArray:
        """Return that inner product, shape (n,)."""
        return self.radius * self.dual_norm(gradient)

    def contains(self, delta: FloatArray, tol: float = 1e-9) -> npt.NDArray[np.bool_]:
        """Return, per sample, whether a perturbation is allowed, to a relative `tol`."""
        delta = self._checked(delta)
        slack = tol * max(self.radius, float(np.finfo(np.float64).tiny))
        rest = tuple(range(1, delta.ndim))
        allowed = self._spread(self._nearest(delta))
        inside = np.max(np.abs(delta - allowed), axis=rest, initial=0.0) <= slack
        size = self.norm(delta).reshape(len(delta), -1)
        ok: npt.NDArray[np.bool_] = inside & np.all(size <= self.radius + slack, axis=1)
        return ok

    def random(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Draw allowed perturbations, uniform in the ball (for equal counts)."""
        if self.threat.norm == "linf":
            size = shape if self.pixels is None else (shape[0], len(self.pixels.coverage))
            return self._spread(rng.uniform(-self.radius, self.radius, size))
        if self.pixels is None:
            direction = self._nearest(rng.standard_normal(shape))
        else:
            direction = rng.standard_normal((shape[0], len(self.pixels.coverage)))
        size_now = self._size(direction)
        # A patch that may not move at all has a ball of dimension 0; its direction is 0 already.
        level = rng.uniform(size=size_now.shape) ** (1.0 / np.maximum(self._degrees(direction), 1.0))
        return self._spread(direction * (self.radius * level / np.where(size_now > 0, size_now, 1.0)))

    def reach(self, directions: FloatArray) -> FloatArray:
        r"""Return how far one patch can move along given directions at radius 1.

        Parameters
        ----------
        directions : ndarray, shape (K, d)
            For instance the filters of a network.

        Returns
        -------
        ndarray, broadcastable to (n, P, K)
            Largest inner product of each direction with the perturbation of a
            single patch (which may take the whole budget of the input). In a whole-input
            l2 ball a patch of count :math:`c < 1` moves by up to :math:`1/\sqrt{c}`.
        """
        reach: FloatArray
        if self.threat.norm == "linf":
            reach = np.sum(np.abs(directions), axis=1)[None, None, :]
        elif self.basis is None or self.role_mask is None or self.role_index is None:
            reach = _stable_norm(directions, (1,)).T[None]
        else:
            inside = directions @ self.basis.T
            by_role = np.stack([_stable_norm(inside * mask, (1,))[:, 0] for mask in self.role_mask])
            reach = by_role[self.role_index]
        if self.counts is not None and self.threat.norm == "l2" and self.threat.scope == "input":
            reach = reach / np.sqrt(np.minimum(self.counts, 1.0))[:, :, None]
        return reach

    def _checked(self, values: FloatArray) -> FloatArray:
        values = np.asarray(values, dtype=np.float64)
        if self.threat.scope == "patch" and values.ndim != 3:
            raise ValueError(
                f"arrays must have shape (n, P, d) when scope is 'patch', got {values.shape}; "
                "use scope='input'"
            )
        if values.ndim < 2:
            raise ValueError(f"arrays must have shape (n, ...), got {values.shape}")
        per_patch = self.counts if self.counts is not None else self.role_index
        if per_patch is not None and values.shape[:2] != per_patch.shape:
            raise ValueError(
                f"arrays must have shape {(*per_patch.shape, 'd')} like the budget's data, got {values.shape}"
            )
        return values

    def _within(self, values: FloatArray) -> FloatArray:
        if self.basis is None or self.role_mask is None or self.role_index is None:
            return values
        return ((values @ self.basis.T) * self.role_mask[self.role_index]) @ self.basis

    def _nearest(self, delta: FloatArray) -> FloatArray:
        """Coordinates in which the budget is a plain ball: of the nearest movable point."""
        if self.pixels is None:
            return self._within(delta)
        return self.pixels.fold(delta) / self.pixels.coverage

    def _pull(self, gradient: FloatArray) -> FloatArray:
        """Gradient in those coordinates (chain rule)."""
        return self._within(gradient) if self.pixels is None else self.pixels.fold(gradient)

    def _spread(self, free: FloatArray) -> FloatArray:
        return free if self.pixels is None else self.pixels.gather(free)

    def _axes(self, free: FloatArray) -> tuple[int, ...]:
        return (2,) if self.threat.scope == "patch" else tuple(range(1, free.ndim))

    def _weights(self, free: FloatArray) -> FloatArray | None:
        if self.counts is None:
            return None
        return self.counts.reshape(self.counts.shape + (1,) * (free.ndim - 2))

    def _size(self, free: FloatArray) -> FloatArray:
        weights = self._weights(free) if self.threat.scope == "input" else None
        return _stable_norm(free, self._axes(free), weights)

    def _degrees(self, free: FloatArray) -> FloatArray | float:
        """Dimension of each ball."""
        if self.role_mask is None or self.role_index is None:
            return float(np.prod([free.shape[axis] for axis in self._axes(free)]))
        ranks: FloatArray = np.sum(self.role_mask, axis=1)[self.role_index].astype(np.float64)[:, :, None]
        return ranks if self.threat.scope == "patch" else np.sum(ranks, axis=1, keepdims=True)
