"""Data sets of patches: the structured distribution of the theory, and a user's own arrays."""

from __future__ import annotations

from featsim.data.arrays import patch_data
from featsim.data.dataset import NONROBUST, ROBUST, UNKNOWN, PatchData
from featsim.data.features import feature_basis, hadamard_columns
from featsim.data.gram_patches import GramPatchSpec, GramSignalNoiseSpec
from featsim.data.gram_space import GramSpace, normal_factor
from featsim.data.hard_cube import HardCubeSpec
from featsim.data.margin_mixture import MarginMixtureSpec
from featsim.data.patches import PatchDataSpec, sample_like, sample_patches
from featsim.data.point_specs import CircleSpec, SeparatedSphereSpec, SphereSliceSpec
from featsim.data.points import PointData, circle_points, on_slice, point_data
from featsim.data.signal_noise import (
    SignalNoiseData,
    SignalNoiseSpec,
    sample_signal_noise,
    signal_noise_data,
)
from featsim.data.sparse_coding import (
    SparseCodingData,
    SparseCodingSpec,
    sample_sparse_coding,
    sparse_coding_data,
)

__all__ = [
    "NONROBUST",
    "ROBUST",
    "UNKNOWN",
    "CircleSpec",
    "GramPatchSpec",
    "GramSignalNoiseSpec",
    "GramSpace",
    "HardCubeSpec",
    "MarginMixtureSpec",
    "PatchData",
    "PatchDataSpec",
    "PointData",
    "SeparatedSphereSpec",
    "SignalNoiseData",
    "SignalNoiseSpec",
    "SparseCodingData",
    "SparseCodingSpec",
    "SphereSliceSpec",
    "circle_points",
    "feature_basis",
    "hadamard_columns",
    "normal_factor",
    "on_slice",
    "patch_data",
    "point_data",
    "sample_like",
    "sample_patches",
    "sample_signal_noise",
    "sample_sparse_coding",
    "signal_noise_data",
    "sparse_coding_data",
]
