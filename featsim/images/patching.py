"""Cutting images into patches, putting them together again, and data sets of patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from featsim.data import PatchData, patch_data
from featsim.images.image_set import ImageSet
from featsim.specs import Spec
from featsim.validation import FloatArray, IntArray, check_array, check_integer


@dataclass(frozen=True, kw_only=True)
class Patching(Spec):
    """How images are cut into patches.

    Patches run row by row over the image, and a patch lists its pixels row by row
    with all channels of a pixel together. Pixels that no patch reaches (the edge, if
    the stride does not divide it; gaps, if the stride exceeds the size) are left out.

    Parameters
    ----------
    size : int, (int, int), or None
        Height and width of a patch; one number for squares; None for the whole image
        as one patch.
    stride : int, (int, int), or None
        Steps down and across from patch to patch; None for `size`, that is no overlap.

    Raises
    ------
    TypeError, ValueError
        If a length is not an integer of at least 1.
    """

    kind: ClassVar[str] = "patching"

    size: int | tuple[int, int] | None = None
    stride: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _pair("size", self.size))
        object.__setattr__(self, "stride", _pair("stride", self.stride))

    def indices(self, image_shape: tuple[int, int, int]) -> IntArray:
        """Return the pixel behind each entry of a sample.

        Parameters
        ----------
        image_shape : (int, int, int)
            Height, width, channels.

        Returns
        -------
        ndarray of int64, shape (P, d)
            Flat indices into an image of that shape; d is the patch's height times
            width times channels.

        Raises
        ------
        ValueError
            If a patch is larger than the image.
        """
        height, width, channels = _checked_shape(image_shape)
        size = _pair("size", self.size) or (height, width)
        stride = _pair("stride", self.stride) or size
        if size[0] > height or size[1] > width:
            raise ValueError(f"size must be at most the image's {(height, width)}, got {size}")
        pixel = np.arange(height * width * channels, dtype=np.int64).reshape(height, width, channels)
        windows = np.lib.stride_tricks.sliding_window_view(pixel, size, axis=(0, 1))
        kept = windows[:: stride[0], :: stride[1]]  # (rows, columns, channels, size 0, size 1)
        patches = kept.transpose(0, 1, 3, 4, 2).reshape(-1, size[0] * size[1] * channels)
        return np.ascontiguousarray(patches)

    def reach(self, image_shape: tuple[int, int, int]) -> tuple[int, int]:
        """Return how far down and across the image the patches reach.

        Pictures of patches are best cut there: beyond, there is nothing to show.

        Parameters
        ----------
        image_shape : (int, int, int)
            Height, width, channels.

        Returns
        -------
        (int, int)
            Rows from the top and columns from the left; no patch holds a pixel beyond them.

        Raises
        ------
        ValueError
            If a patch is larger than the image.
        """
        _, width, channels = _checked_shape(image_shape)
        last = int(self.indices(image_shape)[-1, -1]) // channels  # patches and their pixels run row by row
        return last // width + 1, last % width + 1

    def extract(self, images: npt.ArrayLike) -> FloatArray:
        """Cut images into patches.

        Parameters
        ----------
        images : array_like, shape (n, H, W, C)
            Images.

        Returns
        -------
        ndarray, shape (n, P, d)
            C-contiguous patches.

        Raises
        ------
        TypeError, ValueError
            If `images` is not such an array, or a patch is larger than an image.
        """
        array = check_array("images", images, ("n", "H", "W", "C"))
        n, height, width, channels = array.shape
        return np.take(array.reshape(n, -1), self.indices((height, width, channels)), axis=1)

    def fold(self, patches: npt.ArrayLike, image_shape: tuple[int, int, int]) -> FloatArray:
        """Add patches up into images: the transpose of :meth:`extract`.

        Gradients of patches become gradients of images this way; overlaps add up.

        Parameters
        ----------
        patches : array_like, shape (n, P, d)
            Patches as cut by this patching.
        image_shape : (int, int, int)
            Height, width, channels.

        Returns
        -------
        ndarray, shape (n, H, W, C)
            Sums over patches; 0 at pixels no patch reaches.

        Raises
        ------
        TypeError, ValueError
            If `patches` does not fit `image_shape`.
        """
        index = self.indices(image_shape)
        array = check_array("patches", patches, ("n", *index.shape))
        images = np.zeros((len(array), int(np.prod(image_shape))))
        for p, pixels in enumerate(index):  # a patch holds a pixel once, so += is safe
            images[:, pixels] += array[:, p]
        return images.reshape(len(array), *image_shape)

    def assemble(self, patches: npt.ArrayLike, image_shape: tuple[int, int, int]) -> FloatArray:
        """Put patches back into images, averaging overlaps: the inverse of :meth:`extract`.

        Parameters
        ----------
        patches : array_like, shape (n, P, d)
            Patches as cut by this patching.
        image_shape : (int, int, int)
            Height, width, channels.

        Returns
        -------
        ndarray, shape (n, H, W, C)
            Images; 0 at pixels no patch reaches.

        Raises
        ------
        TypeError, ValueError
            If `patches` does not fit `image_shape`.
        """
        total = self.fold(patches, image_shape)
        cover = np.bincount(self.indices(image_shape).ravel(), minlength=int(np.prod(image_shape)))
        return np.asarray(total / np.maximum(cover, 1).reshape(image_shape))


@dataclass(frozen=True, kw_only=True)
class ImagePatchSpec(Spec):
    """Where a data set of image patches came from and how it was standardised.

    Parameters
    ----------
    name, split : str
        Image set and part.
    n_images : int
        Number of images.
    official : bool or None
        As in :class:`ImageSet`.
    sha256 : str
        Checksum of the source file.
    image_shape : (int, int, int)
        Height, width, channels.
    patching : Patching
        How the images were cut.
    mean : tuple of float
        Mean image that was subtracted, flat.
    """

    kind: ClassVar[str] = "image-patches"

    name: str
    split: str
    n_images: int
    official: bool | None
    sha256: str
    image_shape: tuple[int, int, int]
    patching: Patching
    mean: tuple[float, ...]


def patch_images(image_set: ImageSet, patching: Patching, mean: npt.ArrayLike | None = None) -> PatchData:
    """Make the data set of an image set's patches, mean image subtracted.

    Parameters
    ----------
    image_set : ImageSet
        Images.
    patching : Patching
        How to cut them; ``Patching()`` keeps the whole image as one patch.
    mean : array_like, shape (H, W, C), optional
        Mean image to subtract; by default that of `image_set`. Give a test set the
        mean of its training set: ``mean=mean_image(train_data)``.

    Returns
    -------
    PatchData
        Patches with `pixel_map`; its `spec` is an :class:`ImagePatchSpec`, which
        records the mean. Patch roles and features are unknown.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape.
    """
    if not isinstance(image_set, ImageSet):
        raise TypeError(f"image_set must be an ImageSet, got {type(image_set).__name__}")
    if not isinstance(patching, Patching):
        raise TypeError(f"patching must be a Patching, got {type(patching).__name__}")
    shape = image_set.image_shape
    centre = image_set.X.mean(axis=0) if mean is None else check_array("mean", mean, shape)
    spec = ImagePatchSpec(
        name=image_set.name,
        split=image_set.split,
        n_images=image_set.n_images,
        official=image_set.official,
        sha256=image_set.sha256,
        image_shape=shape,
        patching=patching,
        mean=tuple(float(value) for value in centre.ravel()),
    )
    return patch_data(
        patching.extract(image_set.X - centre),
        image_set.y,
        n_classes=image_set.n_classes,
        pixel_map=patching.indices(shape),
        spec=spec,
    )


def mean_image(data: PatchData) -> FloatArray:
    """Return the mean image that was subtracted from a data set of image patches.

    Parameters
    ----------
    data : PatchData
        Made by :func:`patch_images`.

    Returns
    -------
    ndarray, shape (H, W, C)
        Mean image.

    Raises
    ------
    ValueError
        If `data` was not made from images.
    """
    spec = _image_spec(data)
    return np.array(spec.mean).reshape(spec.image_shape)


def unstandardise(data: PatchData, patches: npt.ArrayLike | None = None) -> FloatArray:
    """Return the pictures behind a data set of image patches, mean image added back.

    Parameters
    ----------
    data : PatchData
        Made by :func:`patch_images`.
    patches : array_like, shape (n, P, d), optional
        Patches to show instead of ``data.X``, such as perturbed ones; overlapping
        patches are averaged.

    Returns
    -------
    ndarray, shape (n, H, W, C)
        Images on the original scale; the mean image at pixels no patch reaches.

    Raises
    ------
    ValueError
        If `data` was not made from images or `patches` does not fit.
    """
    spec = _image_spec(data)
    shown = data.X if patches is None else patches
    return spec.patching.assemble(shown, spec.image_shape) + mean_image(data)


def _image_spec(data: PatchData) -> ImagePatchSpec:
    if not isinstance(data.spec, ImagePatchSpec):
        raise ValueError("data must be made by patch_images, got a data set that does not come from images")
    return data.spec


def _pair(name: str, value: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, (tuple, list)):
        length = check_integer(name, value, minimum=1)
        return length, length
    if len(value) != 2:
        raise ValueError(f"{name} must be one length or two, got {value!r}")
    return check_integer(name, value[0], minimum=1), check_integer(name, value[1], minimum=1)


def _checked_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    if len(image_shape) != 3:
        raise ValueError(f"image_shape must be (height, width, channels), got {tuple(image_shape)}")
    height, width, channels = (check_integer("image_shape", length, minimum=1) for length in image_shape)
    return height, width, channels
