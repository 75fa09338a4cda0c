"""Deep fully connected network whose hidden layers are trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from featsim.machine import check_room
from featsim.models.activations import Activation
from featsim.models.blocks import blocks
from featsim.models.losses import Loss
from featsim.models.ntk_network import Arrays, check_points, check_spec, needed
from featsim.specs import Spec
from featsim.validation import FloatArray, check_array, check_integer

_RELU, _HUBER = Activation(name="relu"), Loss()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepNtkSpec(Spec):
    r"""Network :math:`h_0 = Ax,\ h_k = \sigma(W_k h_{k-1}),\ f = b^\top h_H`; W_1..W_H are trained.

    Parameters
    ----------
    width : int
        m >= 1.
    depth : int
        Trained layers H >= 1.
    activation : Activation
        :math:`\sigma`, ReLU by default.
    loss : Loss
        Training loss.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916 [recalled form]; the variances 1/m, 2/m and 1 of A, W
       and b are a [choice].
    """

    kind: ClassVar[str] = "deep-ntk-network"

    width: int = 64
    depth: int = 1
    activation: Activation = _RELU
    loss: Loss = _HUBER

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_integer("width", self.width, minimum=1))
        object.__setattr__(self, "depth", check_integer("depth", self.depth, minimum=1))
        check_spec("activation", self.activation, Activation)
        check_spec("loss", self.loss, Loss)

    @property
    def ball_scale(self) -> float:
        r"""Unit of the radius of the training ball, :math:`1/\sqrt m`: gradients grow like sqrt(m)."""
        return float(1.0 / np.sqrt(self.width))

    def start(self, dim: int, rng: np.random.Generator | None, weights: Any = None) -> Arrays:
        """Draw A, then W, then b; given `weights` (depth, width, width) replace W after the draw."""
        generator, m = needed(rng), self.width
        count = m * (dim + self.depth * m + 1)
        check_room("initial weights", n_numbers=count, width=m, depth=self.depth, dim=dim)
        drawn = {
            "input_weights": generator.standard_normal((m, dim)) / np.sqrt(m),
            "weights": generator.standard_normal((self.depth, m, m)) * np.sqrt(2.0 / m),
            "output_weights": generator.standard_normal(m),
        }
        if weights is not None:
            drawn["weights"] = check_array("initial_weights", weights, (self.depth, m, m))
        return drawn

    def build(self, weights: FloatArray, start: Mapping[str, Any]) -> DeepNetwork:
        """Return the model with these weights in a run that began with `start`."""
        return DeepNetwork(start["input_weights"], weights, start["output_weights"], self.activation)

    def restore(self, weights: FloatArray, arrays: Mapping[str, Any]) -> DeepNetwork:
        """Return the model with weights from a trace, whose arrays hold A and b."""
        return self.build(weights, arrays)


@dataclasses.dataclass(frozen=True, eq=False)
class DeepNetwork:
    r"""The network of :class:`DeepNtkSpec` with given weights.

    Parameters
    ----------
    input_weights : ndarray, shape (m, d)
        A.
    weights : ndarray, shape (H, m, m)
        W_1 to W_H.
    output_weights : ndarray, shape (m,)
        b.
    activation : Activation
        :math:`\sigma`.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """

    input_weights: FloatArray
    weights: FloatArray
    output_weights: FloatArray
    activation: Activation = _RELU

    def __post_init__(self) -> None:
        m = len(self.output_weights)
        if self.weights.ndim != 3 or self.weights.shape[1:] != (m, m) or self.input_weights.shape[:1] != (m,):
            raise ValueError(
                "input_weights, weights and output_weights must have shapes (m, d), (H, m, m) and (m,), got "
                f"{self.input_weights.shape}, {self.weights.shape} and {self.output_weights.shape}"
            )

    @property
    def dim(self) -> int:
        """Dimension d of an input."""
        return int(self.input_weights.shape[1])

    def scores(self, X: FloatArray) -> FloatArray:
        """Return f(X), shape (n, 1)."""
        _, hidden = self._forward(X)
        return (hidden[-1] @ self.output_weights)[:, None]

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient of the scores combined by `cotangent` (n, 1), shape (n, d)."""
        back = self._backward(self._forward(X)[0])
        return np.asarray(cotangent * (back[0] @ self.weights[0] @ self.input_weights))

    def weight_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient in W of the scores combined by `cotangent`, shape (H, m, m)."""
        pre, hidden = self._forward(X)
        back = self._backward(pre)
        return np.stack([(cotangent * q).T @ h for q, h in zip(back, hidden[:-1], strict=True)])

    def directional(self, X: FloatArray, direction: FloatArray) -> FloatArray:
        """Return the derivative of f(X) along `direction` (H, m, m) in W, shape (n,)."""
        pre, hidden = self._forward(X)
        moved = np.zeros_like(hidden[0])
        for z, h, weights, change in zip(pre, hidden, self.weights, direction, strict=False):
            moved = self.activation.slope(z) * (h @ change.T + moved @ weights.T)
        return np.asarray(moved @ self.output_weights)

    def kernel(self, X: FloatArray, Z: FloatArray | None = None) -> FloatArray:
        """Return the empirical tangent kernel over m, sum over layers, shape (n, n'), built by blocks."""
        X = check_points(X, self.dim)
        Z = X if Z is None else check_points(Z, self.dim)
        m = len(self.output_weights)
        # Activations, preactivations and backward vectors of both sides, each (rows, m) per layer.
        per_row = 8 * m * 6 * (len(self.weights) + 1)
        gram = np.empty((len(X), len(Z)))
        for rows in blocks(len(X), per_row):
            left = self._factors(X[rows])
            for columns in blocks(len(Z), per_row):
                right = left if Z is X and rows == columns else self._factors(Z[columns])
                parts = [(q @ r.T) * (h @ k.T) for (q, h), (r, k) in zip(left, right, strict=True)]
                gram[rows, columns] = np.sum(parts, axis=0) / m
        return gram

    def kernel_gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray) -> FloatArray:
        r"""Return :math:`\sum_j \beta_j \nabla_x K(x_i, z_j)` of the empirical kernel, shape (n, d).

        K is a sum over layers of :math:`\langle q(x), q(z)\rangle\langle h(x), h(z)\rangle`. One sweep up
        collects what a change of every q means for the preactivations, one sweep down takes that and the
        change of every h to the input.
        """
        (pre, hidden), others = self._forward(X), self._factors(Z)
        back, slopes = self._backward(pre), [self.activation.slope(z) for z in pre]
        curvatures = [self.activation.curvature(z) for z in pre]
        depth, changes = len(self.weights), []
        adjoint = np.zeros_like(pre[0])
        for k in range(depth):  # adjoints of q_1, q_2, ..., q_H
            if k:
                adjoint = (adjoint * slopes[k - 1]) @ self.weights[k].T
            adjoint = adjoint + ((hidden[k] @ others[k][1].T) * coefficients) @ others[k][0]
            after = back[k + 1] @ self.weights[k + 1] if k + 1 < depth else self.output_weights
            changes.append(adjoint * after * curvatures[k])
        moved = np.zeros_like(pre[0])  # adjoint of the hidden vector below, going down
        for k in range(depth - 1, -1, -1):
            moved = (changes[k] + moved * slopes[k]) @ self.weights[k]
            moved = moved + ((back[k] @ others[k][0].T) * coefficients) @ others[k][1]
        return np.asarray(moved @ self.input_weights / len(self.output_weights))

    def _factors(self, X: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Gradient of f in each layer as a product: vectors q and h per input."""
        pre, hidden = self._forward(X)
        return list(zip(self._backward(pre), hidden[:-1], strict=True))

    def _forward(self, X: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
        hidden = [check_points(X, self.dim) @ self.input_weights.T]
        pre = []
        for weights in self.weights:
            pre.append(hidden[-1] @ weights.T)
            hidden.append(self.activation.value(pre[-1]))
        return pre, hidden

    def _backward(self, pre: list[FloatArray]) -> list[FloatArray]:
        """Return dF/dz of each trained layer, first layer first, each (n, m)."""
        back = [self.output_weights * self.activation.slope(pre[-1])]
        for z, weights in zip(pre[-2::-1], self.weights[:0:-1], strict=True):
            back.append((back[-1] @ weights) * self.activation.slope(z))
        return back[::-1]
