"""Labelled images with their origin."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featsim.validation import FloatArray, IntArray, check_integer

SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageSet:
    """Labelled images with their origin.

    Parameters
    ----------
    X : ndarray of float64, shape (N, H, W, C)
        Pixels in [0, 1]; C is 1 (grey) or 3 (colour). Read-only.
    y : ndarray of int64, shape (N,)
        Labels in 0..n_classes-1. Read-only.
    name, split : str
        Which set, and ``"train"`` or ``"test"``.
    official : bool or None
        True: the source files have the published checksums (for the embedded digits, the
        one recorded in the package); False: one has another, such as a subset's, or is missing;
        None: no checksum is published for this form, such as unpacked binary batches.
    n_classes : int
        Number of classes of the labels, present or not.
    licence, citation : str
        Terms of use and whom to cite.
    index : ndarray of int64, shape (N,)
        Row of each image in the source file, files of one split counted on. Read-only.
    sha256 : str
        Checksum of the source file; of several, the SHA-256 of their checksums, one a line.
    source : str
        Where the files were found.
    """

    X: FloatArray
    y: IntArray
    name: str
    split: str
    official: bool | None
    n_classes: int
    licence: str
    citation: str
    index: IntArray
    sha256: str
    source: str

    def __post_init__(self) -> None:
        for name in ("X", "y", "index"):
            array = np.ascontiguousarray(getattr(self, name)).view()
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_images(self) -> int:
        """Number N of images."""
        return len(self.X)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        _, height, width, channels = self.X.shape
        return height, width, channels

    def select(self, index: Any) -> ImageSet:
        """Return some of the images, in the order asked for.

        Parameters
        ----------
        index : int, slice, bool mask of shape (N,), or array_like of int
            Which images.

        Returns
        -------
        ImageSet
            The selected images.

        Raises
        ------
        IndexError
            If an index is out of range or the mask has another length.
        ValueError
            If nothing is selected.
        """
        if not isinstance(index, slice) and np.size(index) == 0:
            index = np.zeros(0, dtype=np.int64)
        rows = np.atleast_1d(np.arange(self.n_images)[index])
        if rows.ndim != 1:
            raise IndexError(f"index must select images along one axis, got shape {rows.shape}")
        if rows.size == 0:
            raise ValueError(f"index must select at least one of the {self.n_images} images, got none")
        return dataclasses.replace(self, X=self.X[rows], y=self.y[rows], index=self.index[rows])

    def averaged(self, block: int) -> ImageSet:
        """Return smaller images: means over square blocks of pixels.

        Parameters
        ----------
        block : int
            Side of a block, at least 1; must divide height and width.

        Returns
        -------
        ImageSet
            Images of 1/`block` the height and width.

        Raises
        ------
        ValueError
            If `block` does not divide the sides.
        """
        block = check_integer("block", block, minimum=1)
        height, width, channels = self.image_shape
        if height % block or width % block:
            raise ValueError(f"block must divide height and width {(height, width)}, got {block}")
        cut = self.X.reshape(-1, height // block, block, width // block, block, channels)
        return dataclasses.replace(self, X=cut.mean(axis=(2, 4)))

    def grey(self) -> ImageSet:
        """Return grey images: the mean of the channels."""
        return dataclasses.replace(self, X=self.X.mean(axis=3, keepdims=True))

    def relabel(self, groups: Sequence[Sequence[int]]) -> ImageSet:
        """Merge classes into new ones, numbered 0, 1, .. in the order given.

        Parameters
        ----------
        groups : sequence of sequences of int
            Old labels of each new class; images of other classes are left out. For
            example ``[(3,), (8,)]``, or even against odd digits
            ``[(0, 2, 4, 6, 8), (1, 3, 5, 7, 9)]``.

        Returns
        -------
        ImageSet
            The images of the named classes with their new labels.

        Raises
        ------
        ValueError
            If there are fewer than two groups, a label is out of range or named twice,
            or no image is left.
        """
        if len(groups) < 2:
            raise ValueError(f"groups must hold at least 2 groups of labels, got {len(groups)}")
        new_label = np.full(self.n_classes, -1, dtype=np.int64)
        for number, group in enumerate(groups):
            for label in group:
                old = check_integer("groups", label, minimum=0, maximum=self.n_classes - 1)
                if new_label[old] >= 0:
                    raise ValueError(f"groups must name each label at most once, got {old} twice")
                new_label[old] = number
        renumbered = dataclasses.replace(self, y=new_label[self.y], n_classes=len(groups))
        return renumbered.select(renumbered.y >= 0)
