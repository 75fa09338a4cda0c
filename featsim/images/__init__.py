"""Images: readers, patching, and data sets of image patches."""

from __future__ import annotations

from featsim.images.image_set import ImageSet, load
from featsim.images.patching import ImagePatchSpec, Patching, mean_image, patch_images, unstandardise
from featsim.images.sampling import ImageDataSpec

__all__ = [
    "ImageDataSpec",
    "ImagePatchSpec",
    "ImageSet",
    "Patching",
    "load",
    "mean_image",
    "patch_images",
    "unstandardise",
]
