r"""Training on the symmetric manifold: two numbers, with or without adversary.

With label weights of size 1 and n copies of each class of neurons, the weights
:math:`w_j = \mathrm{sign}(w^*_j) c M_j + \beta \sum_{l \ne j} w^*_l M_l` keep this form under gradient
descent on the population (permutation symmetry), so that c and beta are all there is to follow. The
expectations come from a :class:`CodeSource`: given samples, or the exact sums of
:class:`featsim.theory.purification.Population`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from featsim.models import symmetric_activation, symmetric_slope
from featsim.validation import FloatArray, check_array, check_integer, check_real

if TYPE_CHECKING:
    from featsim.data import SparseCodingData


@dataclasses.dataclass(frozen=True, kw_only=True)
class SymmetricState:
    """A network on the symmetric manifold.

    Parameters
    ----------
    pure : float
        Coefficient c along the own feature.
    dense : float
        Coefficient beta along each other feature.
    bias, smoothing : float
        b and s of the activation.
    copies : int
        Number n of neurons per feature.
    """

    pure: float
    dense: float
    bias: float
    smoothing: float
    copies: int = 1


class CodeSource(Protocol):
    """Where expectations over codes come from; coordinates are signed so that every label is +1."""

    @property
    def dim(self) -> int:
        """Number d of features."""
        ...

    def moments(self, state: SymmetricState, radius: float) -> tuple[float, float]:
        """Return the gradients of the mean logistic loss in c and beta at FGM points, sign reversed."""
        ...

    def accuracy(self, state: SymmetricState, radius: float) -> float:
        """Return the accuracy at FGM points."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class SampledCodes:
    """Codes of given samples, :math:`Z = (M^T x) * w^*`, label folded in by the oddness of the net.

    Parameters
    ----------
    codes : ndarray, shape (N, d)
        y Z for each sample, noise included.
    """

    codes: FloatArray

    @classmethod
    def of(cls, data: SparseCodingData) -> SampledCodes:
        """Return the codes of a data set.

        Parameters
        ----------
        data : SparseCodingData
            Samples with label weights of size 1 and as many atoms as dimensions.

        Returns
        -------
        SampledCodes
            For :func:`symmetric_path`.

        Raises
        ------
        ValueError
            If the data are not of that kind.
        """
        weights = data.label_weights
        if not np.allclose(np.abs(weights), 1.0) or len(weights) != data.dim:
            raise ValueError(
                "data must have label weights of size 1 and D = d; the manifold is not kept else"
            )
        return cls(data.signs[:, None] * (data.inputs @ data.dictionary) * weights)

    @property
    def dim(self) -> int:
        """Number d of features."""
        return int(self.codes.shape[1])

    def moments(self, state: SymmetricState, radius: float) -> tuple[float, float]:
        """Return the mean over samples; see :class:`CodeSource`."""
        z, d = self._attacked(state, radius), self.dim
        slope, score = _response(z, z.sum(axis=1, keepdims=True), np.ones_like(z), state)
        own = (slope * z).sum(axis=1)
        cross = slope.sum(axis=1) * z.sum(axis=1) - own
        q = _falling(score)
        return float(np.mean(q * own)) / d, float(np.mean(q * cross)) / (d * (d - 1))

    def accuracy(self, state: SymmetricState, radius: float) -> float:
        """Return the share of samples that stay right; see :class:`CodeSource`."""
        z = self._attacked(state, radius)
        score = _response(z, z.sum(axis=1, keepdims=True), np.ones_like(z), state)[1]
        return float(np.mean(score > 0.0))

    def _attacked(self, state: SymmetricState, radius: float) -> FloatArray:
        z = self.codes
        if radius == 0.0:
            return z
        slope, _ = _response(z, z.sum(axis=1, keepdims=True), np.ones_like(z), state)
        gradient = (state.pure - state.dense) * slope + state.dense * slope.sum(axis=1, keepdims=True)
        size = np.linalg.norm(gradient, axis=1, keepdims=True)
        attacked: FloatArray = z - radius * gradient / np.where(size > 0.0, size, 1.0)
        return attacked


def _response(
    z: FloatArray, total: FloatArray, counts: FloatArray, state: SymmetricState
) -> tuple[FloatArray, FloatArray]:
    """Return the slope of each neuron class and the score of each row."""
    u = (state.pure - state.dense) * z + state.dense * total
    slope = symmetric_slope(u, state.bias, state.smoothing)
    value = symmetric_activation(u, state.bias, state.smoothing)
    score: FloatArray = state.copies * (counts * value).sum(axis=1)
    return slope, score


def _falling(score: FloatArray) -> FloatArray:
    """sigmoid(-f)."""
    falling: FloatArray = np.exp(-np.logaddexp(0.0, score))
    return falling


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SymmetricPath:
    r"""The two numbers over training.

    Attributes
    ----------
    pure, dense : ndarray, shape (T + 1,)
        c and beta before each step and at the end.
    dim : int
        Number d of features.
    """

    pure: FloatArray
    dense: FloatArray
    dim: int

    @property
    def dense_to_pure(self) -> FloatArray:
        """Ratio beta/c."""
        return np.asarray(self.dense / self.pure)

    @property
    def mixture_ratio(self) -> FloatArray:
        r"""Norm of the dense part over that of the pure one, :math:`\mu = \sqrt{d-1}\,|\beta|/c`."""
        return np.asarray(math.sqrt(self.dim - 1) * np.abs(self.dense_to_pure))

    @property
    def dense_share(self) -> FloatArray:
        r"""Dense share of the energy, :math:`Q = \mu^2/(1 + \mu^2)`."""
        square = self.mixture_ratio**2
        return np.asarray(square / (1.0 + square))


def symmetric_path(
    source: CodeSource,
    *,
    pure: float,
    dense: float = 0.0,
    bias: npt.ArrayLike,
    smoothing: npt.ArrayLike,
    step_size: float,
    weight_decay: float = 0.0,
    radius: float = 0.0,
    copies: int = 1,
) -> SymmetricPath:
    r"""Follow training on the symmetric manifold.

    .. math::
        c \leftarrow c + \eta \{ E[q \tfrac1d \textstyle\sum_j A_j Z_j] - \lambda (1 + \nu) c \}, \quad
        \beta \leftarrow \beta + \eta \{ E[q \tfrac1{d(d-1)} \textstyle\sum_j A_j \sum_{l \ne j} Z_l]
        - \lambda (1 + \nu) \beta \}

    with :math:`q = \sigma(-f)`, :math:`\nu = \sqrt{c^2 + (d-1)\beta^2}` and Z at its FGM point.

    Parameters
    ----------
    source : CodeSource
        Samples or the population.
    pure, dense : float
        c and beta at the start.
    bias, smoothing : array_like, shape (T,)
        b and s of every step.
    step_size : float
        eta, greater than 0.
    weight_decay : float
        lambda, at least 0.
    radius : float
        FGM radius, l2; 0 for clean training.
    copies : int
        Neurons n per feature; each moves as one neuron of the network does.

    Returns
    -------
    SymmetricPath
        T + 1 states.

    Raises
    ------
    ValueError
        If an argument is impossible.

    References
    ----------
    .. [1] docs/purification, "Reduced dynamics" [derived, checked against the network].
    """
    biases = check_array("bias", np.atleast_1d(bias), ("T",))
    widths = check_array("smoothing", np.atleast_1d(smoothing), (len(biases),))
    eta = check_real("step_size", step_size, above=0.0)
    decay = check_real("weight_decay", weight_decay, minimum=0.0)
    tau = check_real("radius", radius, minimum=0.0)
    n = check_integer("copies", copies, minimum=1)
    c, beta = np.empty(len(biases) + 1), np.empty(len(biases) + 1)
    c[0], beta[0] = check_real("pure", pure), check_real("dense", dense)
    for t in range(len(biases)):
        state = SymmetricState(pure=c[t], dense=beta[t], bias=biases[t], smoothing=widths[t], copies=n)
        own, cross = source.moments(state, tau)
        shrink = decay * (1.0 + math.sqrt(c[t] ** 2 + (source.dim - 1) * beta[t] ** 2))
        c[t + 1] = c[t] + eta * (own - shrink * c[t])
        beta[t + 1] = beta[t] + eta * (cross - shrink * beta[t])
    return SymmetricPath(pure=c, dense=beta, dim=source.dim)


def symmetric_weights(
    state: SymmetricState, dictionary: npt.ArrayLike, label_weights: npt.ArrayLike
) -> FloatArray:
    """Return the weights of a network on the symmetric manifold.

    Parameters
    ----------
    state : SymmetricState
        c, beta and the number of copies.
    dictionary : array_like, shape (d, D)
        Atoms as columns.
    label_weights : array_like, shape (D,)
        w*, of size 1.

    Returns
    -------
    ndarray, shape (1, copies D, d)
        Neurons, feature by feature within each copy.

    References
    ----------
    .. [1] docs/purification, "Reduced dynamics" [derived].
    """
    rule = check_array("label_weights", label_weights, ("D",))
    atoms = check_array("dictionary", dictionary, ("d", len(rule)))
    table = np.tile(state.dense * rule, (len(rule), 1))
    np.fill_diagonal(table, state.pure * np.sign(rule))
    return np.tile(table @ atoms.T, (state.copies, 1))[None]


def half_accuracy_radius(source: CodeSource, state: SymmetricState, largest: float = 1.0) -> float:
    """Return the FGM radius at which half of the samples fall, by bisection.

    Parameters
    ----------
    source : CodeSource
        Samples or the population.
    state : SymmetricState
        The network.
    largest : float
        Upper end of the search.

    Returns
    -------
    float
        The radius; `largest` if more than half still stand there.

    References
    ----------
    .. [1] docs/purification, "Radii" [derived].
    """
    low, high = 0.0, check_real("largest", largest, above=0.0)
    if source.accuracy(state, high) > 0.5:
        return high
    for _ in range(40):
        middle = 0.5 * (low + high)
        if source.accuracy(state, middle) > 0.5:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
