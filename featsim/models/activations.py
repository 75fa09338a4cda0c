"""Activations of the tangent-kernel theory, with two derivatives."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.models.two_layer import smoothed_relu, smoothed_relu_slope
from featsim.specs import Spec
from featsim.validation import FloatArray, check_choice, check_real

ACTIVATIONS = ("quadratic-relu", "relu", "softplus", "smoothed-relu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activation(Spec):
    r"""Activation :math:`\sigma`, its slope and its curvature.

    Parameters
    ----------
    name : {"quadratic-relu", "relu", "softplus", "smoothed-relu"}
        :math:`\max(z,0)^2`; :math:`\max(z,0)`; :math:`\log(1+e^{bz})/b`; the smoothed ReLU of
        :func:`featsim.models.smoothed_relu`.
    sharpness : float
        b of softplus, greater than 0.
    power, smoothing : float
        Exponent q >= 1 and width of the smoothed ReLU.

    Raises
    ------
    ValueError
        If the name is unknown or a number out of range.

    References
    ----------
    .. [1] Quadratic ReLU: Zhang et al. 2020 on Gao et al., arXiv:1906.07916 [source: the name; the
       factor 1 is ours, choice]. All slopes of ReLU kind are 0 at 0.
    """

    kind: ClassVar[str] = "activation"

    name: str = "quadratic-relu"
    sharpness: float = 4.0
    power: float = 3.0
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        check_choice("name", self.name, ACTIVATIONS)
        object.__setattr__(self, "sharpness", check_real("sharpness", self.sharpness, above=0.0))
        object.__setattr__(self, "power", check_real("power", self.power, minimum=1.0))
        object.__setattr__(self, "smoothing", check_real("smoothing", self.smoothing, above=0.0))

    @property
    def smooth(self) -> bool:
        """Whether the slope is continuous."""
        return self.name != "relu" and not (self.name == "smoothed-relu" and self.power == 1.0)

    @property
    def largest_curvature(self) -> float:
        """Bound of the second derivative; infinite where the slope jumps, or rises infinitely fast."""
        if self.name == "quadratic-relu":
            return 2.0
        if self.name == "softplus":
            return self.sharpness / 4.0
        if self.name == "smoothed-relu" and self.power >= 2.0:
            return (self.power - 1.0) / self.smoothing
        return float("inf")

    @property
    def joints(self) -> tuple[float, ...]:
        """Where derivatives jump, or begin and cease to change fast: between these points it is smooth."""
        if self.name == "softplus":
            return (-8.0 / self.sharpness, 0.0, 8.0 / self.sharpness)
        return (0.0, self.smoothing) if self.name == "smoothed-relu" else (0.0,)

    def value(self, z: FloatArray) -> FloatArray:
        """Return the activation, element by element."""
        if self.name == "quadratic-relu":
            positive = np.maximum(z, 0.0)
            return np.asarray(positive * positive)
        if self.name == "relu":
            return np.maximum(z, 0.0)
        if self.name == "softplus":
            # log(1 + e^t) = max(t, 0) + log(1 + e^-|t|), faster than logaddexp
            small = np.log1p(np.exp(-self.sharpness * np.abs(z)))
            return np.asarray(np.maximum(z, 0.0) + small / self.sharpness)
        return smoothed_relu(z, self.power, self.smoothing)

    def slope(self, z: FloatArray) -> FloatArray:
        """Return the first derivative, 0 at the joint of a ReLU."""
        if self.name == "quadratic-relu":
            return np.asarray(2.0 * np.maximum(z, 0.0))
        if self.name == "relu":
            return np.asarray((z > 0.0).astype(np.float64))
        if self.name == "softplus":
            return _sigmoid(self.sharpness * z)
        return smoothed_relu_slope(z, self.power, self.smoothing)

    def curvature(self, z: FloatArray) -> FloatArray:
        """Return the second derivative where there is one, 0 where the slope jumps or has a kink at 0."""
        if self.name == "quadratic-relu":
            return np.asarray(2.0 * (z > 0.0))
        if self.name == "relu":
            return np.zeros(np.shape(z))
        if self.name == "softplus":
            share = _sigmoid(self.sharpness * z)
            return np.asarray(self.sharpness * share * (1.0 - share))
        inside = (z > 0.0) & (z < self.smoothing)
        ratio = np.where(inside, z / self.smoothing, 1.0)
        return np.where(inside, (self.power - 1.0) / self.smoothing * ratio ** (self.power - 2.0), 0.0)


def _sigmoid(z: FloatArray) -> FloatArray:
    small = np.exp(-np.abs(z))  # never overflows
    share: FloatArray = np.where(z >= 0.0, 1.0, small) / (1.0 + small)
    return share
