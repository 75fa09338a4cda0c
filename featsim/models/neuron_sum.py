"""Networks of two layers as sums of neurons: what bounds and compiled attacks need to know of a model."""

from __future__ import annotations

import dataclasses
from functools import singledispatch

import numpy as np
import numpy.typing as npt

from featsim.kernels import neuron_sums as kernel
from featsim.models.activations import Activation
from featsim.models.biased_network import BiasedReluNetwork
from featsim.models.ntk_network import NtkNetwork
from featsim.models.polynomial import PolynomialNetwork
from featsim.models.power_network import PowerNetwork, power_activation, power_activation_slope
from featsim.models.symmetric_network import SymmetricNetwork, gaussian_relu
from featsim.models.two_layer import TwoLayerNetwork, smoothed_relu, smoothed_relu_slope
from featsim.validation import FloatArray


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class NeuronSum:
    r"""Scores that are sums of a linear part and of neurons, over all patches.

    .. math:: F_i(X) = c_i + \sum_p \Big[ \langle v_i, x_p\rangle
        + \sum_r C_{ir}\,\phi(\langle w_r, x_p\rangle + t_r) \Big]

    Attributes
    ----------
    filters : ndarray, shape (N, d)
        Filters w of all neurons.
    shift : ndarray, shape (N,)
        Constants t inside the activation.
    output : ndarray, shape (k, N)
        Second layer C; one row for a single score.
    linear : ndarray, shape (k, d)
        Linear part v.
    constant : ndarray, shape (k,)
        Constants c.
    kind : int
        Activation, one of the constants of ``featsim.kernels.neuron_sums``: all but the odd power are
        convex.
    power, smoothing : float
        Its parameters; 1 where it has none.
    """

    filters: FloatArray
    shift: FloatArray
    output: FloatArray
    linear: FloatArray
    constant: FloatArray
    kind: int
    power: float = 1.0
    smoothing: float = 1.0

    @property
    def n_scores(self) -> int:
        """Number of scores k."""
        return len(self.output)

    @property
    def odd(self) -> bool:
        """Whether the activation is an odd power, neither convex nor concave."""
        return self.kind == kernel.ODD

    def value(self, z: FloatArray) -> FloatArray:
        """Return the activation, element by element."""
        if self.kind == kernel.SMOOTHED:
            return smoothed_relu(z, self.power, self.smoothing)
        if self.kind == kernel.GAUSSIAN:
            return gaussian_relu(z, self.smoothing)
        if self.kind == kernel.SOFTPLUS:
            return Activation(name="softplus", sharpness=self.smoothing).value(z)
        if self.power == 1.0:
            return np.maximum(z, 0.0)
        return power_activation(z, self.power, "odd" if self.odd else "relu")

    def slope(self, z: FloatArray) -> FloatArray:
        """Return its derivative, a subgradient at a kink."""
        if self.kind == kernel.SMOOTHED:
            return smoothed_relu_slope(z, self.power, self.smoothing)
        if self.kind == kernel.GAUSSIAN:
            from scipy.special import ndtr

            if self.smoothing == 0.0:
                return np.asarray((z > 0.0).astype(np.float64))
            return np.asarray(ndtr(z / self.smoothing))
        if self.kind == kernel.SOFTPLUS:
            return Activation(name="softplus", sharpness=self.smoothing).slope(z)
        if self.power == 1.0:
            return np.asarray((z > 0.0).astype(np.float64))
        return power_activation_slope(z, self.power, "odd" if self.odd else "relu")

    def against(self, label: int, rival: int) -> NeuronSum:
        """Return the sum F_label - F_rival as a single score, silent neurons left out.

        Parameters
        ----------
        label : int
            The label's class; for a single score 1 or another number.
        rival : int
            The rival's class, not used for a single score.

        Returns
        -------
        NeuronSum
            With one output row, which is positive for odd activations.
        """
        if self.n_scores == 1:
            sign = 1.0 if label == 1 else -1.0
            row, linear, constant = sign * self.output[0], sign * self.linear, sign * self.constant
        else:
            row = self.output[label] - self.output[rival]
            linear = (self.linear[label] - self.linear[rival])[None]
            constant = (self.constant[label] - self.constant[rival])[None]
        used = row != 0.0
        row, filters, shift = row[used], self.filters[used], self.shift[used]
        if self.odd:  # -phi(z) = phi(-z)
            turn = np.sign(row)
            row, filters, shift = row * turn, filters * turn[:, None], shift * turn
        return dataclasses.replace(
            self, filters=filters, shift=shift, output=row[None], linear=linear, constant=constant
        )


def _plain(
    filters: FloatArray, output: FloatArray, kind: int, *, shift: npt.ArrayLike = 0.0,
    linear: FloatArray | None = None, constant: float = 0.0, power: float = 1.0, smoothing: float = 1.0,
) -> NeuronSum:  # fmt: skip
    k, (n, d) = len(output), filters.shape
    return NeuronSum(
        filters=np.ascontiguousarray(filters),
        shift=np.array(np.broadcast_to(shift, (n,)), dtype=np.float64),
        output=output,
        linear=np.zeros((k, d)) if linear is None else linear,
        constant=np.full(k, constant),
        kind=kind,
        power=power,
        smoothing=smoothing,
    )


@singledispatch
def neuron_sum(model: object) -> NeuronSum | None:
    """Return a model as a sum of neurons, None if it is none.

    Parameters
    ----------
    model : Model
        Any model.

    Returns
    -------
    NeuronSum or None
        For the networks of the package with one hidden layer: smoothed ReLU, powers, polynomials,
        symmetric, tangent-kernel scaling, biased ReLU.
    """
    return None


@neuron_sum.register
def _(model: TwoLayerNetwork) -> NeuronSum:
    k, m, d = model.weights.shape
    return _plain(
        model.weights.reshape(k * m, d),
        np.repeat(np.eye(k), m, axis=1),
        kernel.SMOOTHED,
        power=model.power,
        smoothing=model.smoothing,
    )


@neuron_sum.register
def _(model: PowerNetwork) -> NeuronSum:
    kind = kernel.ODD if model.activation == "odd" else kernel.POWER
    return _plain(model.filters, model.signs[None], kind, power=model.power)


@neuron_sum.register
def _(model: SymmetricNetwork) -> NeuronSum:
    # psi(u) = h(u - b) - h(-u - b): two neurons with a convex activation each.
    m = len(model.neurons)
    return _plain(
        np.concatenate([model.neurons, -model.neurons]),
        np.concatenate([np.ones(m), -np.ones(m)])[None],
        kernel.GAUSSIAN,
        shift=-model.bias,
        smoothing=model.smoothing,
    )


@neuron_sum.register
def _(model: PolynomialNetwork) -> NeuronSum:
    neurons = model.weights[0, 1:]
    ones = np.ones((1, len(neurons)))
    return _plain(neurons, ones, kernel.ODD, linear=model.weights[0, :1], power=float(model.power))


@neuron_sum.register
def _(model: BiasedReluNetwork) -> NeuronSum:
    rows = model.weights[0]
    return _plain(
        rows[:, : model.dim], rows[None, :, -1], kernel.POWER, shift=rows[:, -2], constant=model.output_bias
    )


@neuron_sum.register
def _(model: NtkNetwork) -> NeuronSum:
    half = np.full(model.width // 2, 1.0 / np.sqrt(model.width))
    kind, power, smoothing = activation_kind(model.activation)
    output = np.concatenate([half, -half])[None]
    return _plain(model.weights[0], output, kind, power=power, smoothing=smoothing)


def activation_kind(activation: Activation) -> tuple[int, float, float]:
    """Return the kernel's kind, power and smoothing of an activation of the tangent-kernel theory.

    Parameters
    ----------
    activation : Activation
        Any of them.

    Returns
    -------
    kind : int
        Constant of ``featsim.kernels.neuron_sums``.
    power, smoothing : float
        Its parameters; for softplus the sharpness takes the place of the smoothing.
    """
    if activation.name == "smoothed-relu":
        return kernel.SMOOTHED, activation.power, activation.smoothing
    if activation.name == "softplus":
        return kernel.SOFTPLUS, 1.0, activation.sharpness
    return kernel.POWER, 2.0 if activation.name == "quadratic-relu" else 1.0, 1.0
