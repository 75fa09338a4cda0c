"""The smoothed ReLU in plain NumPy, for predictions.

The predictions keep their own activation, a few lines, so that a plot of theory
over simulation compares two independent pieces of code.
"""

from __future__ import annotations

import numpy as np

from featsim.validation import FloatArray, check_array, check_real


def activation(z: FloatArray, power: float, smoothing: float) -> FloatArray:
    """Return s(z), the smoothed ReLU of exponent `power` joined to a line at `smoothing`."""
    t = np.clip(z / smoothing, 0.0, 1.0)
    return (smoothing / power) * t**power + np.maximum(z - smoothing, 0.0)


def activation_slope(z: FloatArray, power: float, smoothing: float) -> FloatArray:
    """Return s'(z), with s'(0) = 0 for every `power`, 1 included."""
    t = np.clip(z / smoothing, 0.0, 1.0)
    if power == 3.0:
        return t * t
    # the comparison matters for power 1 only, where t**0 is 1 below zero as well
    return np.where(z > 0.0, t ** (power - 1.0), 0.0)


def response(coefs: FloatArray, z: float, power: float, smoothing: float) -> float:
    """Return S(z) = sum_r s(coef_r z), the output of neurons of one class on one patch."""
    return float(activation(coefs * z, power, smoothing).sum())


def check_activation(power: float, smoothing: float, minimum_power: float = 1.0) -> tuple[float, float]:
    """Return the two parameters of the activation, checked."""
    return check_real("power", power, minimum=minimum_power), check_real("smoothing", smoothing, above=0.0)


def check_coefs(name: str, coefs: FloatArray | float) -> FloatArray:
    """Return coefficients of the neurons of one class as an array (m,), a number as (1,)."""
    if np.ndim(coefs) == 0:
        return np.array([check_real(name, coefs)])
    return check_array(name, coefs, ("neurons",))
