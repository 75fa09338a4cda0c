"""A function in the space of a kernel, as a model that can be attacked like any other."""

from __future__ import annotations

import dataclasses

import numpy as np

from featsim.models.tangent_kernel import Kernel
from featsim.validation import FloatArray, check_array


@dataclasses.dataclass(frozen=True, eq=False)
class KernelMachine:
    r"""Score :math:`f(x) = \sum_j \beta_j K(x, z_j)`.

    Parameters
    ----------
    kernel : Kernel
        Such as :class:`TangentKernel`; offers ``matrix`` and ``input_gradient``.
    points : array_like, shape (N, d)
        The dictionary z.
    coefficients : array_like, shape (N,)
        beta.

    Raises
    ------
    ValueError
        If the shapes do not fit together or an entry is not finite.
    """

    kernel: Kernel
    points: FloatArray
    coefficients: FloatArray

    def __post_init__(self) -> None:
        points = check_array("points", self.points, ("N", "d"))
        object.__setattr__(self, "points", points)
        coefficients = check_array("coefficients", self.coefficients, (len(points),))
        object.__setattr__(self, "coefficients", coefficients)

    def scores(self, X: FloatArray) -> FloatArray:
        """Return f(X), shape (n, 1)."""
        return (self.kernel.matrix(X, self.points) @ self.coefficients)[:, None]

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient of the scores combined by `cotangent` (n, 1), shape (n, d)."""
        return cotangent * self.kernel.input_gradient(X, self.points, self.coefficients)

    @property
    def norm(self) -> float:
        r"""Norm :math:`\sqrt{\beta^\top K \beta}` in the kernel's space."""
        square = self.coefficients @ self.kernel.matrix(self.points, self.points) @ self.coefficients
        return float(np.sqrt(max(float(square), 0.0)))
