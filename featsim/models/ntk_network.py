"""Two-layer network in the tangent-kernel scaling, and its linearisation at initialisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from featsim.machine import check_room
from featsim.models.activations import Activation
from featsim.models.blocks import blocks
from featsim.models.losses import Loss
from featsim.specs import Spec
from featsim.validation import FloatArray, check_array, check_bool, check_generator, check_integer

_QUADRATIC, _HUBER = Activation(), Loss()

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NtkSpec(Spec):
    r"""Two-layer network :math:`f(x) = m^{-1/2}\sum_r a_r\,\sigma(\langle w_r, x\rangle)`; W is trained.

    The fixed signs :math:`a_r` are +1 for the first half of the neurons and -1 for the second.

    Parameters
    ----------
    width : int
        Neurons m >= 2, even.
    activation : Activation
        :math:`\sigma`.
    paired : bool
        Whether the second half starts as a copy of the first, so that f(W_0, .) = 0 exactly.
    tangent : bool
        Whether the linearisation at W_0 is the model, not the network.
    loss : Loss
        Training loss.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916: fixed signs, paired Gaussian start [recalled]; scaling by
       1/sqrt(m) [choice]. Which signs are + is immaterial.
    """

    kind: ClassVar[str] = "ntk-network"

    width: int = 256
    activation: Activation = _QUADRATIC
    paired: bool = True
    tangent: bool = False
    loss: Loss = _HUBER

    def __post_init__(self) -> None:
        width = check_integer("width", self.width, minimum=2)
        if width % 2:
            raise ValueError(f"width must be even, half of the signs are -1, got {width}")
        object.__setattr__(self, "width", width)
        check_spec("activation", self.activation, Activation)
        check_spec("loss", self.loss, Loss)
        object.__setattr__(self, "paired", check_bool("paired", self.paired))
        object.__setattr__(self, "tangent", check_bool("tangent", self.tangent))

    @property
    def ball_scale(self) -> float:
        """Unit in which the radius of the training ball is given: 1."""
        return 1.0

    def initial_weights(self, dim: int, rng: np.random.Generator) -> FloatArray:
        """Draw W_0 with standard normal entries, shape (1, width, dim)."""
        check_generator("rng", rng)
        check_integer("dim", dim, minimum=1)
        check_room("initial weights", width=self.width, dim=dim)
        if not self.paired:
            return rng.standard_normal((1, self.width, dim))
        half = rng.standard_normal((1, self.width // 2, dim))
        return np.concatenate([half, half], axis=1)

    def start(self, dim: int, rng: np.random.Generator | None, weights: Any = None) -> Arrays:
        """Return the arrays a run starts from: drawn, or checked if given."""
        if weights is None:
            weights = self.initial_weights(dim, needed(rng))
        return {"weights": check_array("initial_weights", weights, (1, self.width, dim))}

    def build(self, weights: FloatArray, start: Mapping[str, Any]) -> NtkNetwork | TangentNetwork:
        """Return the model with these weights in a run that began with `start`."""
        return self.network(weights, start["weights"])

    def restore(self, weights: FloatArray, arrays: Mapping[str, Any]) -> NtkNetwork | TangentNetwork:
        """Return the model with weights from a trace, whose arrays hold the start of a tangent model."""
        return self.network(weights, arrays.get("initial_weights"))

    def network(self, weights: Any, initial: Any = None) -> NtkNetwork | TangentNetwork:
        """Return the model with given weights.

        Parameters
        ----------
        weights : array_like, shape (1, width, dim)
            W.
        initial : array_like, shape of `weights`, optional
            W_0; needed for the tangent model only.

        Returns
        -------
        NtkNetwork or TangentNetwork
            Its linearisation where `tangent` is set.

        Raises
        ------
        ValueError
            If a shape is wrong, or the tangent model lacks its W_0.
        """
        array = check_array("weights", weights, (1, self.width, "dim"), finite=False)
        if not self.tangent:
            return NtkNetwork(array, self.activation)
        if initial is None:
            raise ValueError("initial must be given for the tangent model; keep the weights of step 0")
        return TangentNetwork(array, check_array("initial", initial, array.shape), self.activation)


def check_spec(name: str, value: object, kind: type[Spec]) -> None:
    """Raise a TypeError unless `value` is a spec of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, got {value!r}")


def needed(rng: np.random.Generator | None) -> np.random.Generator:
    """Return the generator, or say that initial weights need one."""
    if rng is None:
        raise ValueError("rng must be given when initial_weights is not; use np.random.default_rng(0)")
    return check_generator("rng", rng)


def check_points(X: Any, dim: int) -> FloatArray:
    """Return inputs as a float array of shape (n, dim)."""
    points = np.asarray(X, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != dim:
        raise ValueError(f"X must have shape (n, {dim}), got {points.shape}")
    return points


class _Halves:
    """Sums over neurons as a difference of two halves: exactly 0 for halves that are equal."""

    weights: FloatArray

    @property
    def dim(self) -> int:
        """Dimension d of an input."""
        return int(self.weights.shape[2])

    @property
    def width(self) -> int:
        """Number m of neurons."""
        return int(self.weights.shape[1])

    def _split(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        half = self.width // 2
        return np.ascontiguousarray(weights[0, :half]), np.ascontiguousarray(weights[0, half:])


def _check_even(weights: FloatArray) -> None:
    if weights.ndim != 3 or len(weights) != 1 or weights.shape[1] % 2 or not weights.size:
        raise ValueError(f"weights must have shape (1, m, d) with even m, got {weights.shape}")


@dataclasses.dataclass(frozen=True, eq=False)
class NtkNetwork(_Halves):
    r"""The network of :class:`NtkSpec` with given weights.

    Parameters
    ----------
    weights : ndarray, shape (1, m, d)
        W, m even; the first half of the neurons has sign +1.
    activation : Activation
        :math:`\sigma`.

    Raises
    ------
    ValueError
        If the shape is wrong.
    """

    weights: FloatArray
    activation: Activation = _QUADRATIC

    def __post_init__(self) -> None:
        _check_even(self.weights)

    def scores(self, X: FloatArray) -> FloatArray:
        """Return f(X), shape (n, 1)."""
        X = check_points(X, self.dim)
        plus, minus = (self.activation.value(X @ part.T) for part in self._split(self.weights))
        return np.asarray((plus - minus).sum(axis=1, keepdims=True) / np.sqrt(self.width))

    def pullback(self, X: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return f(X), and the input gradient as a function of the cotangent, with shared preactivations."""
        X, halves = check_points(X, self.dim), self._split(self.weights)
        z = [X @ part.T for part in halves]
        plus, minus = (self.activation.value(here) for here in z)
        root = np.sqrt(self.width)

        def pull(cotangent: FloatArray) -> FloatArray:
            up, down = (self.activation.slope(here) @ part for here, part in zip(z, halves, strict=True))
            return np.asarray(cotangent * (up - down) / root)

        return np.asarray((plus - minus).sum(axis=1, keepdims=True) / root), pull

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        r"""Return :math:`c_i m^{-1/2}\sum_r a_r\sigma'(z_{ir})w_r` for `cotangent` c (n, 1), shape (n, d)."""
        return self.pullback(X)[1](cotangent)

    def weight_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient in W of the scores combined by `cotangent` (n, 1), shape (1, m, d)."""
        X = check_points(X, self.dim)
        return _weight_gradient(self.activation, self._split(self.weights), X, cotangent)

    def kernel(self, X: FloatArray, Z: FloatArray | None = None) -> FloatArray:
        """Return the empirical tangent kernel at W, shape (n, n') of inputs (n, d) and (n', d)."""
        X = check_points(X, self.dim)
        Z = X if Z is None else check_points(Z, self.dim)
        return empirical_kernel(self.activation, self.weights[0], X, Z)


@dataclasses.dataclass(frozen=True, eq=False)
class TangentNetwork(_Halves):
    r"""Linearisation in W at W_0 of the network of :class:`NtkSpec`.

    Parameters
    ----------
    weights, initial : ndarray, shape (1, m, d)
        W and W_0, m even.
    activation : Activation
        :math:`\sigma`; for ReLU, f_lin jumps in x.

    Raises
    ------
    ValueError
        If the shapes are wrong.
    """

    weights: FloatArray
    initial: FloatArray
    activation: Activation = _QUADRATIC

    def __post_init__(self) -> None:
        _check_even(self.weights)
        if self.initial.shape != self.weights.shape:
            shapes = f"{self.weights.shape}, got {self.initial.shape}"
            raise ValueError(f"initial must have the shape of weights, {shapes}")

    def scores(self, X: FloatArray) -> FloatArray:
        """Return f_lin(X), shape (n, 1)."""
        X, parts = check_points(X, self.dim), []
        for start, move in self._halves():
            z = X @ start.T
            parts.append(self.activation.value(z) + self.activation.slope(z) * (X @ move.T))
        return np.asarray((parts[0] - parts[1]).sum(axis=1, keepdims=True) / np.sqrt(self.width))

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        r"""Return the gradient of the scores combined by `cotangent`, shape (n, d).

        :math:`m^{-1/2}\sum_r a_r[\sigma'(z^0_r) w_r + \sigma''(z^0_r)\langle w_r - w^0_r, x\rangle w^0_r]`.
        """
        X, parts = check_points(X, self.dim), []
        for start, move in self._halves():
            z = X @ start.T
            bent = self.activation.curvature(z) * (X @ move.T)
            parts.append(self.activation.slope(z) @ (start + move) + bent @ start)
        return np.asarray(cotangent * (parts[0] - parts[1]) / np.sqrt(self.width))

    def weight_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient in W of the scores combined by `cotangent`, shape (1, m, d)."""
        X = check_points(X, self.dim)
        return _weight_gradient(self.activation, self._split(self.initial), X, cotangent)

    def kernel(self, X: FloatArray, Z: FloatArray | None = None) -> FloatArray:
        """Return the empirical tangent kernel, that of W_0, shape (n, n')."""
        X = check_points(X, self.dim)
        Z = X if Z is None else check_points(Z, self.dim)
        return empirical_kernel(self.activation, self.initial[0], X, Z)

    def _halves(self) -> list[tuple[FloatArray, FloatArray]]:
        moves = self._split(self.weights - self.initial)
        return list(zip(self._split(self.initial), moves, strict=True))


def _weight_gradient(
    activation: Activation, halves: tuple[FloatArray, FloatArray], X: FloatArray, cotangent: FloatArray
) -> FloatArray:
    rows = [
        sign * ((activation.slope(X @ part.T) * cotangent).T @ X)
        for sign, part in zip((1.0, -1.0), halves, strict=True)
    ]
    return np.asarray(np.concatenate(rows)[None] / np.sqrt(2 * len(halves[0])))


def empirical_kernel(activation: Activation, filters: FloatArray, X: FloatArray, Z: FloatArray) -> FloatArray:
    r"""Return :math:`\langle x,z\rangle\,m^{-1}\sum_r\sigma'(w_r^\top x)\,\sigma'(w_r^\top z)`.

    Parameters
    ----------
    activation : Activation
        :math:`\sigma`.
    filters : ndarray, shape (m, d)
        W.
    X, Z : ndarray, shape (n, d) and (n', d)
        Inputs.

    Returns
    -------
    ndarray, shape (n, n')
        Tangent kernel of the first layer, summed over blocks of neurons.
    """
    total = np.zeros((len(X), len(Z)))
    for neurons in blocks(len(filters), 24 * (len(X) + len(Z))):
        left = activation.slope(X @ filters[neurons].T)
        right = left if Z is X else activation.slope(Z @ filters[neurons].T)
        total += left @ right.T
    return np.asarray((X @ Z.T) * total / len(filters))
