"""Decomposition of weights and perturbations into features."""

from __future__ import annotations

from featsim.decomposition.filters import filter_statistics, low_frequency_share, matched_cosines
from featsim.decomposition.mixtures import (
    NeuronParts,
    keep_pure,
    part_vectors,
    remove_mixture,
    split_neurons,
)
from featsim.decomposition.perturbations import PerturbationParts, perturbation_parts
from featsim.decomposition.purification import LotterySets, Purification, lottery_sets, purification
from featsim.decomposition.weights import (
    feature_coefficients,
    feature_logits,
    nonrobust_share,
    own_coefficients,
    rest_norm,
)

__all__ = [
    "LotterySets",
    "NeuronParts",
    "PerturbationParts",
    "Purification",
    "feature_coefficients",
    "feature_logits",
    "filter_statistics",
    "keep_pure",
    "lottery_sets",
    "low_frequency_share",
    "matched_cosines",
    "nonrobust_share",
    "own_coefficients",
    "part_vectors",
    "perturbation_parts",
    "purification",
    "remove_mixture",
    "rest_norm",
    "split_neurons",
]
