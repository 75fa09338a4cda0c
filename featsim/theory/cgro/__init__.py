"""Predictions of the clean-generalisation theory: closure, stage laws, phases."""

from featsim.theory.cgro.closure import ClosureStart, ClosureTrace, closure_from_weights
from featsim.theory.cgro.flow import ClosureFlow, FlowTrace, closure_flow
from featsim.theory.cgro.laws import StageLaws, attacked_power, blow_up_time, largest_start, power_growth
from featsim.theory.cgro.phases import REACHED, Phases, detect_phases

__all__ = [
    "REACHED",
    "ClosureFlow",
    "ClosureStart",
    "ClosureTrace",
    "FlowTrace",
    "Phases",
    "StageLaws",
    "attacked_power",
    "blow_up_time",
    "closure_flow",
    "closure_from_weights",
    "detect_phases",
    "largest_start",
    "power_growth",
]
