"""Small ReLU network with biases, both layers trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from featsim.machine import check_room
from featsim.models.losses import Loss
from featsim.models.ntk_network import Arrays, check_points, needed
from featsim.specs import Spec
from featsim.validation import FloatArray, check_array, check_integer


@dataclasses.dataclass(frozen=True, kw_only=True)
class BiasedReluSpec(Spec):
    r"""Network :math:`f(x) = c + \sum_r v_r\,\mathrm{relu}(\langle w_r, x\rangle + b_r)`, logistic loss.

    Parameters
    ----------
    width : int
        Neurons m >= 1.

    Raises
    ------
    TypeError, ValueError
        If the width is impossible.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, capacity theorem [source in words]; the network, its training and
       the start with w of variance 2/d, b and c zero, v of variance 1/m are a [choice].
    """

    kind: ClassVar[str] = "biased-relu-network"

    width: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_integer("width", self.width, minimum=1))

    @property
    def loss(self) -> Loss:
        """Logistic."""
        return Loss(name="logistic")

    def start(self, dim: int, rng: np.random.Generator | None, weights: Any = None) -> Arrays:
        """Return initial weights (1, m, d + 2), rows (w, b, v), and the output bias (1,)."""
        if weights is None:
            generator, m = needed(rng), self.width
            check_room("initial weights", n_numbers=m * (dim + 2), width=m, dim=dim)
            drawn = np.zeros((1, m, dim + 2))
            drawn[0, :, :dim] = generator.standard_normal((m, dim)) * np.sqrt(2.0 / dim)
            drawn[0, :, dim + 1] = generator.standard_normal(m) / np.sqrt(m)
            weights = drawn
        return {
            "weights": check_array("initial_weights", weights, (1, self.width, dim + 2)),
            "output_bias": np.zeros(1),
        }

    def build(self, weights: FloatArray, start: Mapping[str, Any]) -> BiasedReluNetwork:
        """Return the network with given weights and the output bias of `start`."""
        return BiasedReluNetwork(weights, float(start["output_bias"][0]))

    def restore(self, weights: FloatArray, arrays: Mapping[str, Any]) -> BiasedReluNetwork:
        """Return the network at the end of a trace, whose arrays hold the output bias of that moment."""
        if not np.array_equal(weights, arrays["final_weights"]):
            raise ValueError("weights must be the final ones: the output bias is kept for the end only")
        return self.build(weights, arrays)


@dataclasses.dataclass(frozen=True, eq=False)
class BiasedReluNetwork:
    """The network of :class:`BiasedReluSpec` with given weights.

    Parameters
    ----------
    weights : ndarray, shape (1, m, d + 2)
        One row (w, b, v) per neuron.
    output_bias : float
        c.

    Raises
    ------
    ValueError
        If the shape is wrong.
    """

    weights: FloatArray
    output_bias: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "weights", check_array("weights", self.weights, (1, "m", "d + 2"), finite=False)
        )

    @property
    def dim(self) -> int:
        """Dimension d of an input."""
        return int(self.weights.shape[2]) - 2

    def scores(self, X: FloatArray) -> FloatArray:
        """Return f(X), shape (n, 1)."""
        hidden = np.maximum(self._before(X), 0.0)
        return (hidden @ self.weights[0, :, -1] + self.output_bias)[:, None]

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient of the scores combined by `cotangent` (n, 1), shape (n, d)."""
        gates = (self._before(X) > 0.0) * self.weights[0, :, -1]
        return np.asarray(cotangent * (gates @ self.weights[0, :, : self.dim]))

    def weight_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient in the weights of the scores combined by `cotangent`, (1, m, d + 2)."""
        before = self._before(X)
        gates = (before > 0.0) * cotangent
        by_w = (gates * self.weights[0, :, -1]).T @ X
        by_b = np.sum(gates * self.weights[0, :, -1], axis=0)[:, None]
        by_v = np.sum(np.maximum(before, 0.0) * cotangent, axis=0)[:, None]
        return np.concatenate([by_w, by_b, by_v], axis=1)[None]

    def _before(self, X: FloatArray) -> FloatArray:
        filters = self.weights[0]
        return np.asarray(check_points(X, self.dim) @ filters[:, : self.dim].T + filters[:, -2])
