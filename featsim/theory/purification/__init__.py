"""Closed forms and reduced dynamics of feature purification (Allen-Zhu & Li 2020)."""

from featsim.theory.purification.closed_forms import (
    label_leak,
    linear_rule_radius,
    measured_label_leak,
    pure_window,
)
from featsim.theory.purification.population import Population
from featsim.theory.purification.symmetric_path import (
    SampledCodes,
    SymmetricPath,
    SymmetricState,
    half_accuracy_radius,
    symmetric_path,
    symmetric_weights,
)

__all__ = [
    "Population",
    "SampledCodes",
    "SymmetricPath",
    "SymmetricState",
    "half_accuracy_radius",
    "label_leak",
    "linear_rule_radius",
    "measured_label_leak",
    "pure_window",
    "symmetric_path",
    "symmetric_weights",
]
