"""Losses of a single score against a sign."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.specs import Spec
from featsim.validation import FloatArray, check_choice, check_real

LOSSES = ("huber", "logistic", "square")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Spec):
    r"""Loss l(f, y) of a score f against a target y, usually -1 or +1.

    Parameters
    ----------
    name : {"huber", "logistic", "square"}
        With e = f - y: ``"huber"``: :math:`e^2/(2k)` for :math:`|e| \le k`, :math:`|e| - k/2` beyond.
        ``"logistic"``: :math:`\log(1+e^{-yf})`. ``"square"``: :math:`e^2/2`.
    width : float
        k of the Huber loss, greater than 0.

    Raises
    ------
    ValueError
        If the name is unknown or the width is not positive.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916: convex, Lipschitz and smooth in f with l(y, y) = 0 [recalled];
       Huber with k = 1/2 [choice]. The logistic loss has no zero, the square is not Lipschitz.
    """

    kind: ClassVar[str] = "loss"

    name: str = "huber"
    width: float = 0.5

    def __post_init__(self) -> None:
        check_choice("name", self.name, LOSSES)
        object.__setattr__(self, "width", check_real("width", self.width, above=0.0))

    def value(self, scores: FloatArray, targets: FloatArray) -> FloatArray:
        """Return l(f, y), element by element."""
        if self.name == "logistic":
            loss: FloatArray = np.logaddexp(0.0, -targets * scores)
            return loss
        error = scores - targets
        if self.name == "square":
            return np.asarray(0.5 * error**2)
        size = np.abs(error)
        # The quadratic part is computed where it applies only: far away it may overflow.
        inside = np.minimum(size, self.width)
        return np.asarray(inside * inside / (2.0 * self.width) + (size - inside))

    def slope(self, scores: FloatArray, targets: FloatArray) -> FloatArray:
        """Return the derivative of l in f, element by element."""
        if self.name == "logistic":
            with np.errstate(over="ignore"):
                slope: FloatArray = -targets / (1.0 + np.exp(targets * scores))
            return slope
        error = scores - targets
        return error if self.name == "square" else np.clip(error / self.width, -1.0, 1.0)
