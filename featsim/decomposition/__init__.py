"""Decomposition of weights and perturbations into features."""

from __future__ import annotations

from featsim.decomposition.perturbations import PerturbationParts, perturbation_parts
from featsim.decomposition.weights import (
    feature_coefficients,
    feature_logits,
    nonrobust_share,
    own_coefficients,
    rest_norm,
)

__all__ = [
    "PerturbationParts",
    "feature_coefficients",
    "feature_logits",
    "nonrobust_share",
    "own_coefficients",
    "perturbation_parts",
    "rest_norm",
]
