"""Linear scores: the model whose worst case is known exactly."""

from __future__ import annotations

import dataclasses

import numpy as np

from featsim.validation import FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class LinearModel:
    r"""Scores :math:`F_i(X) = \langle W_i, X \rangle + b_i`.

    Parameters
    ----------
    weights : array_like, shape (c, ...)
        One weight array of the shape of an input per score; c = 1 gives a
        single score whose sign decides.
    bias : array_like, shape (c,), optional
        Constants, zero by default.

    Raises
    ------
    ValueError
        If a shape is wrong or an entry is not finite.
    """

    weights: FloatArray
    bias: FloatArray | None = None

    def __post_init__(self) -> None:
        weights = np.ascontiguousarray(self.weights, dtype=np.float64)
        if weights.ndim < 2 or weights.size == 0:
            raise ValueError(f"weights must have shape (c, *input_shape), got {weights.shape}")
        bias = np.zeros(len(weights)) if self.bias is None else np.array(self.bias, dtype=np.float64)
        if bias.shape != (len(weights),):
            raise ValueError(f"bias must have shape ({len(weights)},), one per score, got {bias.shape}")
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError("weights and bias must be finite, got nan or infinity")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", bias)

    def scores(self, X: FloatArray, counts: FloatArray | None = None) -> FloatArray:
        """Return the scores.

        Parameters
        ----------
        X : ndarray, shape (n, ...)
            Inputs.
        counts : ndarray, shape (n, P), optional
            Multiplicity of each patch, for inputs of shape (n, P, d).

        Returns
        -------
        ndarray, shape (n, c)
            Scores.

        Raises
        ------
        ValueError
            If the inputs have another shape than the weights.
        """
        if X.shape[1:] != self.weights.shape[1:]:
            raise ValueError(f"X must have shape (n, *{self.weights.shape[1:]}), got {X.shape}")
        if counts is not None:
            X = X * counts[:, :, None]
        scores: FloatArray = X.reshape(len(X), -1) @ self.weights.reshape(len(self.weights), -1).T
        return scores if self.bias is None else scores + self.bias

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient of the scores combined by `cotangent`, shape of `X`."""
        combined = cotangent @ self.weights.reshape(len(self.weights), -1)
        return combined.reshape(X.shape)
