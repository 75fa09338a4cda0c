"""Images: readers, patching, and data sets of image patches."""

from __future__ import annotations

from featsim.images.contents import ImageFileError
from featsim.images.fetch import fetch
from featsim.images.folders import data_root
from featsim.images.image_set import ImageSet
from featsim.images.inventory import SplitReport, is_available, verify
from featsim.images.loading import SETS, load
from featsim.images.patching import ImagePatchSpec, Patching, mean_image, patch_images, unstandardise
from featsim.images.sampling import EVEN_OR_ODD, LOW_OR_HIGH, ImageCodeSpec, ImageDataSpec
from featsim.images.slice_sampling import SliceImageSpec

__all__ = [
    "EVEN_OR_ODD",
    "LOW_OR_HIGH",
    "SETS",
    "ImageCodeSpec",
    "ImageDataSpec",
    "ImageFileError",
    "ImagePatchSpec",
    "ImageSet",
    "Patching",
    "SliceImageSpec",
    "SplitReport",
    "data_root",
    "fetch",
    "is_available",
    "load",
    "mean_image",
    "patch_images",
    "unstandardise",
    "verify",
]
