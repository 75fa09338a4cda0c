"""Predictions of the convergence theory: regret, function-space dynamics, planting, spectra, capacity."""

from featsim.theory.convergence.dual import DualTrace, dual_recursion
from featsim.theory.convergence.interpolant import Interpolant, robust_interpolant
from featsim.theory.convergence.lazy import tangent_gap_bound
from featsim.theory.convergence.mirror import mirror_flow, mirror_margins
from featsim.theory.convergence.planting import plant, plant_targets
from featsim.theory.convergence.regret import comparator_terms, regret_rate, regret_sides, theorem_width
from featsim.theory.convergence.shattering import Gadget, shattering_gadget
from featsim.theory.convergence.spectrum import alternating_residual, circle_spectrum

__all__ = [
    "DualTrace",
    "Gadget",
    "Interpolant",
    "alternating_residual",
    "circle_spectrum",
    "comparator_terms",
    "dual_recursion",
    "mirror_flow",
    "mirror_margins",
    "plant",
    "plant_targets",
    "regret_rate",
    "regret_sides",
    "robust_interpolant",
    "shattering_gadget",
    "tangent_gap_bound",
    "theorem_width",
]
