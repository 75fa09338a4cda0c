"""Threat models: what an adversary may do to an input."""

from featsim.threats.budget import Budget
from featsim.threats.coordinates import Coordinates, PatchProblem, PatchProblems
from featsim.threats.samples import Samples, as_samples, patched
from featsim.threats.slice_budget import SliceBudget
from featsim.threats.threat import Threat

__all__ = [
    "Budget",
    "Coordinates",
    "PatchProblem",
    "PatchProblems",
    "Samples",
    "SliceBudget",
    "Threat",
    "as_samples",
    "patched",
]
