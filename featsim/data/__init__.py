"""Data sets of patches: the structured distribution of the theory, and a user's own arrays."""

from __future__ import annotations

from featsim.data.arrays import patch_data
from featsim.data.dataset import NONROBUST, ROBUST, UNKNOWN, PatchData
from featsim.data.features import feature_basis, hadamard_columns
from featsim.data.patches import PatchDataSpec, sample_like, sample_patches
from featsim.data.signal_noise import (
    SignalNoiseData,
    SignalNoiseSpec,
    sample_signal_noise,
    signal_noise_data,
)

__all__ = [
    "NONROBUST",
    "ROBUST",
    "UNKNOWN",
    "PatchData",
    "PatchDataSpec",
    "SignalNoiseData",
    "SignalNoiseSpec",
    "feature_basis",
    "hadamard_columns",
    "patch_data",
    "sample_like",
    "sample_patches",
    "sample_signal_noise",
    "signal_noise_data",
]
