"""Evaluation: attacks and certificates on one model, robust accuracy as an interval."""

from featsim.certificates import certify_model
from featsim.evaluation.constructed import (
    MatchedImages,
    image_gradients,
    match_scores,
    other_class_images,
    perturbation_images,
    random_targets,
    targeted_perturbation,
)
from featsim.evaluation.evaluate import Evaluation, RobustAccuracy, evaluate
from featsim.evaluation.feature_population import FeaturePopulation, feature_population
from featsim.evaluation.flatness import (
    Flatness,
    ball_flatness,
    companion_ratio,
    line_flatness,
    line_flip_distance,
    line_profile,
)
from featsim.evaluation.gram_population import LinePopulation, Share, line_population
from featsim.evaluation.masking import MaskingReport, ScaledScores, masking_report
from featsim.evaluation.parts import PartAccuracy, clean_accuracy, part_accuracy
from featsim.evaluation.population import Population, PopulationAccuracy, population
from featsim.evaluation.robustness import Robustness, robustness
from featsim.evaluation.strongest import robust_interval, strongest_attack
from featsim.evaluation.suite import default_suite

__all__ = [
    "Evaluation",
    "FeaturePopulation",
    "Flatness",
    "LinePopulation",
    "MaskingReport",
    "MatchedImages",
    "PartAccuracy",
    "Population",
    "PopulationAccuracy",
    "RobustAccuracy",
    "Robustness",
    "ScaledScores",
    "Share",
    "ball_flatness",
    "certify_model",
    "clean_accuracy",
    "companion_ratio",
    "default_suite",
    "evaluate",
    "feature_population",
    "image_gradients",
    "line_flatness",
    "line_flip_distance",
    "line_population",
    "line_profile",
    "masking_report",
    "match_scores",
    "other_class_images",
    "part_accuracy",
    "perturbation_images",
    "population",
    "random_targets",
    "robust_interval",
    "robustness",
    "strongest_attack",
    "targeted_perturbation",
]
