"""Predictions of the clean-generalisation theory: closure, stage laws, phases."""

from featsim.theory.cgro.closure import ClosureStart, ClosureTrace, closure_from_weights
from featsim.theory.cgro.laws import StageLaws, attacked_power, blow_up_time, largest_start
from featsim.theory.cgro.phases import Phases, detect_phases

__all__ = [
    "ClosureStart",
    "ClosureTrace",
    "Phases",
    "StageLaws",
    "attacked_power",
    "blow_up_time",
    "closure_from_weights",
    "detect_phases",
    "largest_start",
]
