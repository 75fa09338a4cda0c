"""Threat models: what an adversary may do to an input."""

from featsim.threats.budget import Budget
from featsim.threats.samples import Samples, as_samples
from featsim.threats.slice_budget import SliceBudget
from featsim.threats.threat import Threat

__all__ = ["Budget", "Samples", "SliceBudget", "Threat", "as_samples"]
