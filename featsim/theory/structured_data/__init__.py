"""Predictions of the structured-data theory: reduced dynamics, race, saturation, limits."""

from featsim.theory.structured_data.barrier import barrier_norm, dead_zone_edge
from featsim.theory.structured_data.gram_recursion import GramStart, GramTrace, gram_from_weights
from featsim.theory.structured_data.limits_input import (
    input_l2_linear_limit,
    input_l2_margin,
    input_l2_power_limit,
    input_l2_radius,
    written_output,
)
from featsim.theory.structured_data.limits_linf import (
    Limits,
    linf_nonrobust_limits,
    linf_nonrobust_radius,
    linf_robust_limits,
    linf_robust_radius,
)
from featsim.theory.structured_data.limits_patch import (
    FeatureRadii,
    RadiusWindow,
    full_l2_window,
    own_feature_radii,
    patch_l2_radius,
)
from featsim.theory.structured_data.population import ReducedTrace
from featsim.theory.structured_data.race import Racer, race_strength, tie_patch_count
from featsim.theory.structured_data.reduced import reduced_adversarial, reduced_standard
from featsim.theory.structured_data.saturation import (
    escape_radius,
    nonrobust_escapes,
    saturation_level,
    saturation_rate,
    writing_attack_wins,
    writing_radius,
)
from featsim.theory.structured_data.start import ReducedStart, reduced_from_weights
from featsim.theory.structured_data.winner import linear_growth_share, predicted_winner, win_probability

__all__ = [
    "FeatureRadii",
    "GramStart",
    "GramTrace",
    "Limits",
    "Racer",
    "RadiusWindow",
    "ReducedStart",
    "ReducedTrace",
    "barrier_norm",
    "dead_zone_edge",
    "escape_radius",
    "full_l2_window",
    "gram_from_weights",
    "input_l2_linear_limit",
    "input_l2_margin",
    "input_l2_power_limit",
    "input_l2_radius",
    "linear_growth_share",
    "linf_nonrobust_limits",
    "linf_nonrobust_radius",
    "linf_robust_limits",
    "linf_robust_radius",
    "nonrobust_escapes",
    "own_feature_radii",
    "patch_l2_radius",
    "predicted_winner",
    "race_strength",
    "reduced_adversarial",
    "reduced_from_weights",
    "reduced_standard",
    "saturation_level",
    "saturation_rate",
    "tie_patch_count",
    "win_probability",
    "writing_attack_wins",
    "writing_radius",
    "written_output",
]
