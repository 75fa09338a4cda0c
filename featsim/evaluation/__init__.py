"""Evaluation: attacks and certificates on one model, robust accuracy as an interval."""

from featsim.evaluation.evaluate import Evaluation, RobustAccuracy, certify_model, evaluate
from featsim.evaluation.parts import PartAccuracy, clean_accuracy, part_accuracy
from featsim.evaluation.population import Population, PopulationAccuracy, population
from featsim.evaluation.strongest import robust_interval, strongest_attack

__all__ = [
    "Evaluation",
    "PartAccuracy",
    "Population",
    "PopulationAccuracy",
    "RobustAccuracy",
    "certify_model",
    "clean_accuracy",
    "evaluate",
    "line_flip_distance",
    "part_accuracy",
    "population",
    "robust_interval",
    "strongest_attack",
]
