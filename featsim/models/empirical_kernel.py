"""The tangent kernel of a network at given weights, as a kernel like the closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np

from featsim.models.activations import Activation
from featsim.models.blocks import blocks
from featsim.models.deep_network import DeepNetwork
from featsim.models.ntk_network import NtkNetwork, TangentNetwork
from featsim.validation import FloatArray, check_array


@dataclasses.dataclass(frozen=True, eq=False)
class EmpiricalKernel:
    r"""Inner products of weight gradients, :math:`K(x, z) = \langle\nabla_W f(x), \nabla_W f(z)\rangle`.

    Use it where a :class:`TangentKernel` fits, such as in :func:`featsim.training.kernel_ridge`.

    Parameters
    ----------
    network : NtkNetwork, TangentNetwork or DeepNetwork
        At any weights, such as those of a trace; K of a deep network is divided by its width.

    Raises
    ------
    TypeError
        If it is no such network.

    References
    ----------
    .. [1] Jacot et al., arXiv:1806.07572, kernel of a finite network [recalled]; gradients in the input by
       one more sweep through the network [derived].
    """

    network: NtkNetwork | TangentNetwork | DeepNetwork

    def __post_init__(self) -> None:
        if not isinstance(self.network, NtkNetwork | TangentNetwork | DeepNetwork):
            raise TypeError(
                "network must be an NtkNetwork, a TangentNetwork or a DeepNetwork, got "
                f"{type(self.network).__name__}"
            )

    def matrix(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return K(x_i, z_j), shape (n, n'), in bounded memory."""
        return self.network.kernel(X, Z)

    def input_gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray) -> FloatArray:
        r"""Return :math:`\sum_j \beta_j \nabla_x K(x_i, z_j)`, shape (n, d), where slopes have one."""
        X = check_array("X", X, ("n", self.network.dim))
        Z = check_array("Z", Z, ("n'", self.network.dim))
        beta = check_array("coefficients", coefficients, (len(Z),))
        if isinstance(self.network, DeepNetwork):
            network = self.network
            gradient = np.empty_like(X)
            # Activations, backward vectors and adjoints, each (rows, m) per layer.
            for rows in blocks(len(X), 8 * len(network.output_weights) * 8 * (len(network.weights) + 1)):
                gradient[rows] = network.kernel_gradient(X[rows], Z, beta)
            return gradient
        filters = self.network.initial if isinstance(self.network, TangentNetwork) else self.network.weights
        return _two_layer_gradient(self.network.activation, filters[0], X, Z, beta)


def _two_layer_gradient(
    activation: Activation, filters: FloatArray, X: FloatArray, Z: FloatArray, beta: FloatArray
) -> FloatArray:
    """Sum over blocks of neurons: z E s'(w x) s'(w z) + <x, z> E s''(w x) s'(w z) w."""
    gates, gradient = np.zeros((len(X), len(Z))), np.zeros_like(X)
    inner = (X @ Z.T) * beta
    for neurons in blocks(len(filters), 32 * (len(X) + len(Z))):
        part = filters[neurons]
        before, right = X @ part.T, activation.slope(Z @ part.T)
        gates += activation.slope(before) @ right.T
        gradient += (activation.curvature(before) * (inner @ right)) @ part
    return np.asarray(((gates * beta) @ Z + gradient) / len(filters))
