"""ReLU networks given layer by layer as sparse matrices, with their parameter count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.validation import FloatArray, check_array


class ReluNetwork:
    r"""Fully connected network :math:`x \mapsto A_L\,(\dots(A_1 x + b_1)_+\dots)_+ + b_L` with one score.

    Parameters
    ----------
    layers : sequence of (matrix, array_like)
        :math:`(A_l, b_l)`, dense or scipy sparse; the last has one row.

    Raises
    ------
    ValueError
        If the shapes do not chain or an entry is not finite.
    """

    def __init__(self, layers: Sequence[tuple[Any, Any]]) -> None:
        from scipy import sparse

        if not layers:
            raise ValueError("layers must hold at least one (matrix, bias), got none")
        checked: list[tuple[Any, FloatArray]] = []
        width = None
        for number, (matrix, bias) in enumerate(layers):
            A = sparse.csr_array(matrix, dtype=np.float64)
            A.eliminate_zeros()
            if width is not None and A.shape[1] != width:
                raise ValueError(f"layer {number} must take {width} inputs, got a matrix of shape {A.shape}")
            if not np.isfinite(A.data).all():
                raise ValueError(f"layer {number} must be finite, got nan or infinity")
            checked.append((A, check_array(f"bias of layer {number}", bias, (A.shape[0],))))
            width = A.shape[0]
        if width != 1:
            raise ValueError(f"the last layer must have one row, got {width}")
        self.layers = tuple(checked)

    @property
    def n_inputs(self) -> int:
        """Dimension D of an input."""
        return int(self.layers[0][0].shape[1])

    @property
    def depth(self) -> int:
        """Number of layers, the last linear one included."""
        return len(self.layers)

    @property
    def n_units(self) -> int:
        """Number of ReLU units."""
        return sum(int(A.shape[0]) for A, _ in self.layers[:-1])

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases that are not zero."""
        return sum(int(A.nnz) + int(np.count_nonzero(b)) for A, b in self.layers)

    def scores(self, X: FloatArray) -> FloatArray:
        """Return the scores of inputs of any shape (n, ...) with D entries each, shape (n, 1)."""
        return np.ascontiguousarray(self._forward(X)[-1].T)

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient of the score times `cotangent` (n, 1), shape of `X`; 0 at the kinks."""
        values = self._forward(X)
        A, _ = self.layers[-1]
        back = A.T @ np.asarray(cotangent, dtype=np.float64).T
        for (A, _), value in zip(self.layers[-2::-1], values[-2::-1], strict=True):
            back = A.T @ (back * (value > 0.0))
        return np.ascontiguousarray(back.T).reshape(X.shape)

    def _forward(self, X: FloatArray) -> list[FloatArray]:
        """Return the output of every layer, shapes (units, n)."""
        flat = np.asarray(X, dtype=np.float64).reshape(len(X), -1)
        if flat.shape[1] != self.n_inputs:
            raise ValueError(f"X must have {self.n_inputs} entries per sample, got {flat.shape[1]}")
        values, value = [], flat.T
        for number, (A, b) in enumerate(self.layers):
            value = A @ value + b[:, None]
            if number < len(self.layers) - 1:
                value = np.maximum(value, 0.0)
            values.append(value)
        return values
