"""Coordinates of the directions in which a patch can move filters: few, however large the patch."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
import numpy.typing as npt

from featsim.threats.budget import Budget
from featsim.validation import FloatArray, IntArray

_EPS = float(np.finfo(np.float64).eps)


class Terms(Protocol):
    """One difference of scores as a sum of neurons; see ``featsim.models.NeuronSum``."""

    @property
    def filters(self) -> FloatArray:
        """Shape (K, d)."""
        ...

    @property
    def shift(self) -> FloatArray:
        """Shape (K,)."""
        ...

    @property
    def output(self) -> FloatArray:
        """Shape (1, K)."""
        ...

    @property
    def linear(self) -> FloatArray:
        """Shape (1, d)."""
        ...

    @property
    def constant(self) -> FloatArray:
        """Shape (1,)."""
        ...

    @property
    def odd(self) -> bool:
        """Whether the activation is an odd power."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class PatchProblem:
    r"""Least value of one difference of scores at one sample, as kernels take it.

    Attributes
    ----------
    outer : ndarray, shape (P, K)
        Second layer times counts, A.
    z, slack : ndarray, shape (P, K)
        Preactivations, and what rounding may do to them.
    filters : ndarray, shape (P, K, R)
        V.
    tilt : ndarray, shape (P, R)
        Linear part in the coordinates.
    offset : ndarray, shape (P,)
        Its value at the sample, the constant with the first patch.
    lost : float
        Bound on the rounding of linear part and constant.
    """

    outer: FloatArray
    z: FloatArray
    slack: FloatArray
    filters: FloatArray
    tilt: FloatArray
    offset: FloatArray
    lost: float


@dataclasses.dataclass(frozen=True, eq=False)
class PatchProblems:
    """All samples of one label against one rival, in the coordinates that move its neurons.

    Attributes
    ----------
    terms : Terms
        The difference of scores.
    coordinates : Coordinates
        Directions in which patches move its filters.
    linear : ndarray, shape (roles, R)
        Linear part in these coordinates.
    lost : float
        Norm of what the coordinates leave out of the linear part.
    """

    terms: Terms
    coordinates: Coordinates
    linear: FloatArray
    lost: float

    @classmethod
    def of(cls, terms: Terms, budget: Budget) -> PatchProblems:
        """Return the problems of one difference of scores; concave terms, which are cut, come first."""
        everything = np.concatenate([terms.linear, terms.filters])
        first = np.concatenate([[False], terms.output[0] < 0.0])
        if terms.odd:
            first = np.ones(len(everything), dtype=bool)
        both = Coordinates.of(budget, everything, first)
        own = dataclasses.replace(both, filters=both.filters[:, 1:], lost=both.lost[:, 1:])
        return cls(terms, own, both.filters[:, 0], float(both.lost[:, 0].max()))

    def at(self, X: FloatArray, sample: int) -> PatchProblem:
        """Return the problem at one of the samples X, shape (n, P, d)."""
        x, n, at, budget = X[sample], self.terms, self.coordinates, self.coordinates.budget
        P, d = x.shape
        counts = np.ones(P) if budget.counts is None else budget.counts[sample]
        stretch, sizes = at.stretch(sample, P), np.abs(x)
        offset = counts * (x @ n.linear[0])
        offset[0] += n.constant[0]
        size = float(np.sum(counts * (sizes @ np.abs(n.linear[0])))) + abs(float(n.constant[0]))
        far = budget.radius * float(np.sum(counts * stretch))
        return PatchProblem(
            outer=np.ascontiguousarray(counts[:, None] * n.output),
            z=x @ n.filters.T + n.shift,
            slack=at.slack(sample, P, sizes @ np.abs(n.filters).T + np.abs(n.shift)),
            filters=at.of_patches(sample, P),
            tilt=self.linear[at.roles(sample, P)] * (stretch * counts)[:, None],
            offset=offset,
            lost=4 * (d + P) * _EPS * size + far * self.lost,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
    r"""Perturbations :math:`\delta_p = B^\top x_p` in the span of some filters.

    In an l2 budget what is orthogonal to all filters changes no preactivation and costs budget, so that
    it is left out. A linf budget keeps the input's own coordinates. A patch of count c of a whole-input
    l2 budget has :math:`x_p` multiplied by :math:`\sqrt c`, so that the ball is plain.

    Attributes
    ----------
    budget : Budget
        Where perturbations lie; not of a cap, and not of patches that share pixels.
    bases : ndarray, shape (roles, R, d)
        Rows B, orthonormal or zero, for each kind of patch.
    filters : ndarray, shape (roles, K, R)
        Filters in these coordinates.
    lost : ndarray, shape (roles, K)
        Norm of what the coordinates leave out of each filter, from rounding.
    """

    budget: Budget
    bases: FloatArray
    filters: FloatArray
    lost: FloatArray

    @classmethod
    def of(
        cls, budget: Budget, filters: FloatArray, first: npt.NDArray[np.bool_] | None = None
    ) -> Coordinates:
        """Return coordinates for filters (K, d); those marked `first` span the first of them."""
        if budget.threat.norm == "linf":
            eye = np.eye(filters.shape[1])
            return cls(budget, eye[None], filters[None].copy(), np.zeros((1, len(filters))))
        allowed = [filters]
        if budget.basis is not None and budget.role_mask is not None:
            allowed = [((filters @ budget.basis.T) * mask) @ budget.basis for mask in budget.role_mask]
        bases = [_basis(rows, first) for rows in allowed]
        rank = max(1, *(len(basis) for basis in bases))
        full = np.zeros((len(bases), rank, filters.shape[1]))
        for place, basis in zip(full, bases, strict=True):
            place[: len(basis)] = basis
        stacked = np.stack(allowed)
        coordinates = np.einsum("lkd,lrd->lkr", stacked, full)
        lost = np.linalg.norm(stacked - np.einsum("lkr,lrd->lkd", coordinates, full), axis=2)
        return cls(budget, full, coordinates, lost)

    @property
    def rank(self) -> int:
        """Number R of coordinates of a patch."""
        return int(self.bases.shape[1])

    def roles(self, sample: int, n_patches: int) -> IntArray:
        """Return which basis holds for each patch of a sample."""
        if len(self.bases) == 1 or self.budget.role_index is None:
            return np.zeros(n_patches, dtype=np.int64)
        roles: IntArray = self.budget.role_index[sample]
        return roles

    def stretch(self, sample: int, n_patches: int) -> FloatArray:
        """Return the factor between coordinates and displacement of each patch, 1/sqrt(c) or 1."""
        threat, counts = self.budget.threat, self.budget.counts
        if counts is None or threat.scope != "input" or threat.norm != "l2":
            return np.ones(n_patches)
        return np.asarray(1.0 / np.sqrt(counts[sample]))

    def of_patches(self, sample: int, n_patches: int) -> FloatArray:
        """Return the filters in the coordinates of each patch of a sample, shape (P, K, R)."""
        rows = self.filters[self.roles(sample, n_patches)]
        return np.ascontiguousarray(rows * self.stretch(sample, n_patches)[:, None, None])

    def slack(self, sample: int, n_patches: int, sizes: FloatArray) -> FloatArray:
        """Bound what rounding does to preactivations: `sizes` is sum |x||w| + |t|, shape (P, K)."""
        d = self.bases.shape[2]
        far = self.budget.radius * self.stretch(sample, n_patches)[:, None]
        norms = np.linalg.norm(self.filters, axis=2)[self.roles(sample, n_patches)]
        if self.budget.threat.norm == "linf":
            far = far * np.sqrt(d)
        lost = self.lost[self.roles(sample, n_patches)] * (1 + 1e-9)
        slack: FloatArray = 4 * (d + self.rank + 2) * _EPS * (sizes + far * norms) + far * lost
        return slack

    def lift(self, sample: int, point: FloatArray) -> FloatArray:
        """Return coordinates (P, R) as a perturbation (P, d)."""
        bases = self.bases[self.roles(sample, len(point))]
        delta: FloatArray = np.einsum("pr,prd->pd", point, bases)
        return delta * self.stretch(sample, len(point))[:, None]


def _basis(filters: FloatArray, first: npt.NDArray[np.bool_] | None) -> FloatArray:
    """Orthonormal rows that span the filters, those of the filters marked `first` before the others'."""
    found = np.zeros((0, filters.shape[1]))
    marked = np.ones(len(filters), dtype=bool) if first is None else first
    for rows in (filters[marked], filters[~marked]):
        rest = rows - (rows @ found.T) @ found
        if not len(rest) or not np.isfinite(rest).all():
            continue
        _, sizes, directions = np.linalg.svd(rest, full_matrices=False)
        new = directions[sizes > 1e-12 * np.linalg.norm(filters, axis=1).max()]
        found = np.concatenate([found, new - (new @ found.T) @ found])  # once more against rounding
    return found
