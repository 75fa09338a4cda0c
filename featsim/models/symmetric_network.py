"""Symmetric two-layer network with Gaussian-smoothed ReLU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from featsim.kernels import symmetric as kernel
from featsim.machine import check_room
from featsim.models.protocol import cross_entropy, signs
from featsim.specs import Spec
from featsim.validation import FloatArray, IntArray, check_array, check_generator, check_integer, check_real


def locked(array: Any, dtype: Any = np.float64) -> Any:
    """Return a contiguous read-only view: kernels are compiled for one kind of array only."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.setflags(write=False)
    return view


def _elementwise(function: Callable[..., None], values: Any, *parameters: float) -> FloatArray:
    # A copy is writable: the type of array that training has compiled these functions for.
    given = np.array(values, dtype=np.float64, order="C")
    out = np.empty(given.size)
    function(given.reshape(-1), *parameters, out)
    return out.reshape(given.shape)


def _check_bias(bias: Any, smoothing: Any) -> tuple[float, float]:
    b = check_real("bias", bias, minimum=0.0, hint="a negative bias would make silent neurons fire")
    return b, check_real("smoothing", smoothing, minimum=0.0)


def gaussian_relu(v: FloatArray, smoothing: float) -> FloatArray:
    r"""Mean of ReLU(v + rho) over Gaussian noise rho.

    Parameters
    ----------
    v : ndarray, any shape
        Arguments.
    smoothing : float
        Standard deviation s of the noise, at least 0; 0 is the ReLU itself.

    Returns
    -------
    ndarray, shape of `v`
        :math:`h(v) = v\,\Phi(v/s) + s\,\phi(v/s)`, to about 1e-15 relative in both tails.

    Raises
    ------
    ValueError
        If `smoothing` is negative.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190, smoothed ReLU [recalled]; closed form [derived].
    """
    return _elementwise(kernel.gaussian_relu, v, check_real("smoothing", smoothing, minimum=0.0))


def symmetric_activation(u: FloatArray, bias: float, smoothing: float) -> FloatArray:
    r"""Odd activation :math:`\psi(u) = h(u - b) - h(-u - b)` of a symmetric pair of neurons.

    Parameters
    ----------
    u : ndarray, any shape
        Preactivations <w, x>.
    bias : float
        b >= 0.
    smoothing : float
        s >= 0.

    Returns
    -------
    ndarray, shape of `u`
        Odd, increasing, convex for u >= 0.

    Raises
    ------
    ValueError
        If a parameter is negative.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190, network definition [recalled].
    """
    return _elementwise(kernel.activation, u, *_check_bias(bias, smoothing))


def symmetric_slope(u: FloatArray, bias: float, smoothing: float) -> FloatArray:
    r"""Return :math:`\psi'(u) = \Phi((u-b)/s) + \Phi((-u-b)/s)`, in (0, 1].

    Parameters
    ----------
    u : ndarray, any shape
        Preactivations.
    bias, smoothing : float
        b >= 0 and s >= 0; for s = 0 the mean of both sides at the kinks.

    Returns
    -------
    ndarray, shape of `u`
        Even, increasing in \|u\|; at u = 0 the leak :math:`2\Phi(-b/s)` of a silent neuron.

    Raises
    ------
    ValueError
        If a parameter is negative.

    References
    ----------
    .. [1] docs/purification, "The setting" [derived].
    """
    return _elementwise(kernel.activation_slope, u, *_check_bias(bias, smoothing))


def symmetric_curvature(u: FloatArray, bias: float, smoothing: float) -> FloatArray:
    r"""Return :math:`\psi''(u) = [\phi((u-b)/s) - \phi((u+b)/s)]/s`.

    Parameters
    ----------
    u : ndarray, any shape
        Preactivations.
    bias, smoothing : float
        b >= 0 and s >= 0.

    Returns
    -------
    ndarray, shape of `u`
        Odd; for s = 0 zero, which leaves out the two kinks.

    Raises
    ------
    ValueError
        If a parameter is negative.

    References
    ----------
    .. [1] docs/purification, "The setting" [derived].
    """
    b, s = _check_bias(bias, smoothing)
    if s == 0.0:
        return np.asarray(u, dtype=np.float64) * 0.0
    return _elementwise(kernel.activation_curvature, u, b, s)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SymmetricNetworkSpec(Spec):
    r"""Shape, activation and initialisation of a :class:`SymmetricNetwork`.

    Parameters
    ----------
    width : int
        Neurons m, at least 1.
    bias, smoothing : float
        b and s at the end of training, at least 0; a `RampSchedule` may lead there.
    init_std : float
        Standard deviation :math:`\sigma_0` of the initial weights, greater than 0.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190 [recalled]; the numbers are the simulator's [choice].
    """

    kind: ClassVar[str] = "symmetric-network"

    width: int = 160
    bias: float = 0.12
    smoothing: float = 0.05
    init_std: float = 0.02

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_integer("width", self.width, minimum=1))
        bias, smoothing = _check_bias(self.bias, self.smoothing)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "smoothing", smoothing)
        object.__setattr__(self, "init_std", check_real("init_std", self.init_std, above=0.0))

    def initial_weights(self, dim: int, rng: np.random.Generator) -> FloatArray:
        """Draw weights of shape (1, m, d)."""
        check_generator("rng", rng)
        check_room("initial weights", width=self.width, dim=dim)
        return self.init_std * rng.standard_normal((1, self.width, dim))

    def network(self, weights: Any) -> SymmetricNetwork:
        """Return the network with these weights."""
        return SymmetricNetwork(weights, bias=self.bias, smoothing=self.smoothing)


class SymmetricNetwork:
    r"""One score :math:`f(x) = \sum_i \psi(\langle w_i, x \rangle)`.

    Parameters
    ----------
    weights : array_like, shape (1, m, d)
        Neurons, finite.
    bias, smoothing : float
        b >= 0 and s >= 0, shared by all neurons.

    Raises
    ------
    TypeError, ValueError
        If the weights are not a finite (1, m, d) array or a parameter is negative.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190, network definition [recalled]; output weights are 1, which the
       odd activation makes no loss.
    """

    def __init__(self, weights: Any, *, bias: float = 0.12, smoothing: float = 0.05) -> None:
        self.weights = check_array("weights", weights, (1, "m", "d"))
        self.bias, self.smoothing = _check_bias(bias, smoothing)

    @property
    def neurons(self) -> FloatArray:
        """Weights without the class axis, shape (m, d)."""
        neurons: FloatArray = self.weights[0]
        return neurons

    def with_weights(self, neurons: FloatArray) -> SymmetricNetwork:
        """Return the network with other neurons (m, d), bias and smoothing kept."""
        return SymmetricNetwork(neurons[None], bias=self.bias, smoothing=self.smoothing)

    def scores(self, X: FloatArray) -> FloatArray:
        """Return the scores of samples.

        Parameters
        ----------
        X : ndarray, shape (n, 1, d) or (n, d)
            Inputs.

        Returns
        -------
        ndarray, shape (n, 1)
            Scores f.

        Raises
        ------
        ValueError
            If X does not have inputs of the network's dimension.
        """
        rows = flat_inputs(X, self.weights.shape[2])
        f = np.empty(len(rows))
        kernel.scores(locked(rows), self._transposed, 0, self.bias, self.smoothing, f)
        return f[:, None]

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        r"""Return the gradient of :math:`a_s f(x_s)` in the input.

        Parameters
        ----------
        X : ndarray, shape (n, 1, d) or (n, d)
            Inputs.
        cotangent : ndarray, shape (n, 1)
            Weights a.

        Returns
        -------
        ndarray, shape of `X`
            :math:`a_s \sum_i \psi'(u_i) w_i`.
        """
        rows = flat_inputs(X, self.weights.shape[2])
        gradient = np.empty(rows.shape)
        kernel.input_gradients(locked(rows), self._transposed, 0, self.bias, self.smoothing, gradient)
        gradient *= np.asarray(cotangent)
        shaped: FloatArray = gradient.reshape(X.shape)
        return shaped

    def loss(self, X: FloatArray, y: IntArray) -> float:
        """Return the mean logistic loss."""
        return float(np.mean(cross_entropy(self.scores(X), y)))

    def weight_gradient(self, X: FloatArray, y: IntArray) -> FloatArray:
        r"""Return the gradient of the mean logistic loss in the weights.

        Parameters
        ----------
        X : ndarray, shape (n, 1, d) or (n, d)
            Inputs.
        y : ndarray of int, shape (n,)
            Labels 0 and 1, or -1 and 1.

        Returns
        -------
        ndarray, shape (1, m, d)
            :math:`-\frac1n \sum_s y_s \sigma(-y_s f_s)\, \psi'(u_{s,i})\, x_s`.
        """
        rows = flat_inputs(X, self.weights.shape[2])
        gradient, statistics = np.empty(self._transposed.shape), np.empty(len(kernel.STEP_STATISTICS))
        kernel.weight_gradient(
            locked(rows), locked(signs(y)), locked(np.empty(0), np.int64), self._transposed, False, 0,
            self.bias, self.smoothing, kernel.NONE, 0.0, 0, 0.0, gradient, statistics,
        )  # fmt: skip
        return np.ascontiguousarray(gradient.T)[None]

    @property
    def _transposed(self) -> FloatArray:
        return np.ascontiguousarray(self.neurons.T)


def flat_inputs(X: FloatArray, dim: int) -> FloatArray:
    """Return inputs of one patch, (n, 1, d) or (n, d), as rows (n, d)."""
    X = np.asarray(X, dtype=np.float64)
    if X.ndim not in (2, 3) or X.shape[-1] != dim or (X.ndim == 3 and X.shape[1] != 1):
        raise ValueError(f"X must have shape (n, 1, {dim}) or (n, {dim}), got {X.shape}")
    return X.reshape(len(X), dim)
