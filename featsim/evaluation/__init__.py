"""Evaluation: attacks and certificates on one model, robust accuracy as an interval."""

from featsim.certificates import certify_model
from featsim.evaluation.evaluate import Evaluation, RobustAccuracy, evaluate
from featsim.evaluation.flatness import (
    Flatness,
    ball_flatness,
    companion_ratio,
    line_flatness,
    line_flip_distance,
    line_profile,
)
from featsim.evaluation.gram_population import (
    FeaturePopulation,
    LinePopulation,
    Share,
    feature_population,
    line_population,
)
from featsim.evaluation.parts import PartAccuracy, clean_accuracy, part_accuracy
from featsim.evaluation.population import Population, PopulationAccuracy, population
from featsim.evaluation.strongest import robust_interval, strongest_attack

__all__ = [
    "Evaluation",
    "FeaturePopulation",
    "Flatness",
    "LinePopulation",
    "PartAccuracy",
    "Population",
    "PopulationAccuracy",
    "RobustAccuracy",
    "Share",
    "ball_flatness",
    "certify_model",
    "clean_accuracy",
    "companion_ratio",
    "evaluate",
    "feature_population",
    "line_flatness",
    "line_flip_distance",
    "line_population",
    "line_profile",
    "part_accuracy",
    "population",
    "robust_interval",
    "strongest_attack",
]
