"""Labelled images, and the one function that loads a named set."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featsim.images.digits import DIGITS_CITATION, DIGITS_LICENCE, DIGITS_SHA256, read_digits
from featsim.validation import FloatArray, IntArray, check_choice, check_integer

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
        True: the source file has the published checksum (for the embedded digits, the
        one recorded in the package); False: it has another one, such as a subset's;
        None: no checksum is known for this form of the file.
    n_classes : int
        Number of classes of the labels, present or not.
    licence, citation : str
        Terms of use and whom to cite.
    index : ndarray of int64, shape (N,)
        Row of each image in the source file. Read-only.
    sha256 : str
        Checksum of the source file.
    source : str
        Where the file was found.
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


def load(
    name: str,
    split: str = "train",
    *,
    root: str | os.PathLike[str] | None = None,
    classes: Sequence[int] | None = None,
    n: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Load a named set of images.

    Parameters
    ----------
    name : {"digits"}
        Which set; the digits ship in the package.
    split : {"train", "test"}
        Which part. The digits have 1,300 training and 497 test images.
    root : path, optional
        Folder of data files; the embedded digits need none and ignore it.
    classes : sequence of int, optional
        Keep only images with these labels. Labels are not renumbered, see
        :meth:`ImageSet.relabel`.
    n : int, optional
        Number of images; the first `n` of a permutation of the (kept) split by
        ``numpy.random.default_rng(seed)``. By default all, in the order of the split.
    seed : int
        Seed of that permutation; used only with `n`.

    Returns
    -------
    ImageSet
        The images.

    Raises
    ------
    ValueError
        If the set, split or classes do not exist, `n` is more than there is, or the
        data are damaged.
    FileNotFoundError
        If the data are missing.
    """
    check_choice("name", name, _READERS, hint="these are the image sets this version can read")
    check_choice("split", split, SPLITS)
    images = _READERS[name](split, root)
    if classes is not None:
        wanted = [check_integer("classes", c, minimum=0, maximum=images.n_classes - 1) for c in classes]
        kept = np.isin(images.y, wanted)
        if not kept.any():
            raise ValueError(f"classes must name at least one label of the images, got {tuple(classes)}")
        images = images.select(kept)
    if n is None:
        return images
    seed = check_integer("seed", seed, minimum=0)
    n = check_integer("n", n, minimum=1, maximum=images.n_images, hint="the split has no more such images")
    return images.select(np.random.default_rng(seed).permutation(images.n_images)[:n])


def _load_digits(split: str, root: str | os.PathLike[str] | None) -> ImageSet:
    pixels, labels, index = read_digits(split)
    return ImageSet(
        X=pixels,
        y=labels,
        name="digits",
        split=split,
        official=True,
        n_classes=10,
        licence=DIGITS_LICENCE,
        citation=DIGITS_CITATION,
        index=index,
        sha256=DIGITS_SHA256,
        source="featsim/images/digits.npz",
    )


# A new set is one more reader (split, root) -> ImageSet here.
_READERS: dict[str, Callable[[str, str | os.PathLike[str] | None], ImageSet]] = {"digits": _load_digits}
