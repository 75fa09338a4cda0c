"""Drawing training data from the pool of an image set, as from a distribution."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featsim.data import PatchData, SparseCodingData, sparse_coding_data
from featsim.images.folders import data_root
from featsim.images.image_set import ImageSet
from featsim.images.loading import SETS, load
from featsim.images.patching import Patching, patch_images
from featsim.specs import Spec
from featsim.validation import FloatArray, check_bool, check_choice, check_generator, check_integer

_SPLITS = {"first": 0, "second": 1}
LOW_OR_HIGH = (tuple(range(5)), tuple(range(5, 10)))
"""Classes 0-4 against 5-9."""
EVEN_OR_ODD = (tuple(range(0, 10, 2)), tuple(range(1, 10, 2)))
"""Even against odd classes."""


@dataclass(frozen=True, kw_only=True)
class _ImageSpec(Spec):
    """What the distributions of images share: set, size of the images, splits, classes."""

    images: str = "digits"
    block: int = 1
    grey: bool = False
    split: str = "second"
    groups: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        check_choice("images", self.images, SETS)
        check_choice("split", self.split, _SPLITS)
        object.__setattr__(self, "block", check_integer("block", self.block, minimum=1))
        object.__setattr__(self, "grey", check_bool("grey", self.grey))
        if self.groups is not None:
            merged = tuple(
                tuple(check_integer("groups", label, minimum=0) for label in group) for group in self.groups
            )
            object.__setattr__(self, "groups", merged)

    def pool(self) -> ImageSet:
        """Return all training images, at the size and with the classes that are asked for.

        Returns
        -------
        ImageSet
            The pool.

        Raises
        ------
        FileNotFoundError
            If the files of the set are missing; the message says what to put where.
        """
        return self._prepared("train")

    def test_images(self, n_samples: int | None = None) -> ImageSet:
        """Return the first test images.

        Parameters
        ----------
        n_samples : int, optional
            How many; all by default.

        Returns
        -------
        ImageSet
            In the order of the split.

        Raises
        ------
        ValueError
            If there are fewer.
        """
        images = self._prepared("test")
        if n_samples is None:
            return images
        n = check_integer("n_samples", n_samples, minimum=1, maximum=images.n_images)
        return images.select(slice(n))

    def chosen(self, n_samples: int, rng: np.random.Generator) -> ImageSet:
        """Draw the images of the split from the pool.

        Parameters
        ----------
        n_samples : int
            Images n per split; for split B the pool must hold both.
        rng : numpy.random.Generator
            Permutes the pool, and nothing else.

        Returns
        -------
        ImageSet
            The images.

        Raises
        ------
        ValueError
            If the pool is too small.
        """
        check_generator("rng", rng)
        pool = self.pool()
        before = _SPLITS[self.split]
        hint = f"the pool has {pool.n_images} images" + (", and split A comes first" if before else "")
        largest = pool.n_images // (1 + before)
        n = check_integer("n_samples", n_samples, minimum=1, maximum=largest, hint=hint)
        first = n * before
        return pool.select(rng.permutation(pool.n_images)[first : first + n])

    def _prepared(self, part: str) -> ImageSet:
        return _prepare(self.images, part, self.block, self.grey, self.groups, str(data_root()))


@functools.lru_cache(maxsize=4)
def _prepare(
    name: str, part: str, block: int, grey: bool, groups: tuple[tuple[int, ...], ...] | None, root: str
) -> ImageSet:
    """Load a part and bring it to size; kept, because every seed asks for it."""
    images = load(name, part, root=root)
    if groups is not None:
        images = images.relabel(groups)
    if grey:
        images = images.grey()
    return images.averaged(block) if block > 1 else images


@functools.lru_cache(maxsize=4)
def _mean_of(
    name: str, block: int, grey: bool, groups: tuple[tuple[int, ...], ...] | None, root: str
) -> FloatArray:
    mean: FloatArray = _prepare(name, "train", block, grey, groups, root).X.mean(axis=0)
    return mean


@dataclass(frozen=True, kw_only=True)
class ImageDataSpec(_ImageSpec):
    """Images without replacement from the training pool of a set, cut into patches.

    One generator permutes the pool; the first n images are split A, which builds reference models and
    constructed data sets, and the next n are split B, on which the measured runs train. The mean image of the
    whole pool is subtracted.

    Parameters
    ----------
    images : str
        Name for :func:`featsim.images.load`; files are looked for in :func:`featsim.images.data_root`.
    block : int
        Side of the square blocks of pixels that are averaged first; 1 for the images as they are.
    grey : bool
        Whether the channels are averaged.
    split : {"second", "first"}
        Split B or split A.
    groups : tuple of tuples of int or None
        Classes to merge, see :meth:`featsim.images.ImageSet.relabel`; None keeps those of the set.
    patching : Patching
        How images are cut.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or unknown.

    References
    ----------
    .. [1] E. Alpaydin and C. Kaynak (1998), https://doi.org/10.24432/C50P49, for the digits; splits A
       and B are the simulator's [choice]; documentation, page "Images".
    """

    kind: ClassVar[str] = "image-data"

    patching: Patching

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.patching, Patching):
            raise TypeError(f"patching must be a Patching, got {type(self.patching).__name__}")

    def sample(self, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw a split of `n_samples` training images.

        Parameters
        ----------
        n_samples : int
            Images n per split; the pool must hold both splits.
        rng : numpy.random.Generator
            Permutes the pool, and nothing else.

        Returns
        -------
        PatchData
            The images' patches, with `pixel_map`.

        Raises
        ------
        ValueError
            If the pool is too small.
        """
        return self.patches(self.chosen(n_samples, rng))

    def test(self, n_samples: int | None = None) -> PatchData:
        """Return the first test images, standardised like the training images.

        Parameters
        ----------
        n_samples : int, optional
            How many; all by default.

        Returns
        -------
        PatchData
            Their patches.

        Raises
        ------
        ValueError
            If there are fewer.
        """
        return self.patches(self.test_images(n_samples))

    def patches(self, images: ImageSet) -> PatchData:
        """Cut images, the pool's mean image subtracted.

        Parameters
        ----------
        images : ImageSet
            Of the size of the pool's.

        Returns
        -------
        PatchData
            Their patches.

        Raises
        ------
        ValueError
            If they are of another size.
        """
        return patch_images(images, self.patching, mean=self.mean)

    @property
    def mean(self) -> FloatArray:
        """Mean image of the pool, shape (H, W, C)."""
        return _mean_of(self.images, self.block, self.grey, self.groups, str(data_root()))


@dataclass(frozen=True, kw_only=True)
class ImageCodeSpec(_ImageSpec):
    """Whole images as inputs of the purification theory, two classes, the mean image subtracted.

    The dictionary is the pixel basis and the rule has a one for every pixel: nothing is known about features
    of images, so nothing of a neuron's parts should be read from a trace. The other parameters are those of
    :class:`ImageDataSpec`.

    Parameters
    ----------
    images, block, grey, split : str, int, bool, str
        As for :class:`ImageDataSpec`.
    groups : tuple of tuples of int
        Two groups of labels.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type, or there are not two groups.

    References
    ----------
    .. [1] documentation, page "Images" [choice].
    """

    kind: ClassVar[str] = "image-codes"

    split: str = "first"
    groups: tuple[tuple[int, ...], ...] | None = LOW_OR_HIGH

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups is None or len(self.groups) != 2:
            raise ValueError(f"groups must be two groups of labels, got {self.groups}")

    def sample(self, n_samples: int, rng: np.random.Generator) -> SparseCodingData:
        """Draw a split of training images; see :meth:`ImageDataSpec.sample`."""
        return self._codes(self.chosen(n_samples, rng))

    def test(self, n_samples: int | None = None) -> SparseCodingData:
        """Return the first test images; see :meth:`ImageDataSpec.test`."""
        return self._codes(self.test_images(n_samples))

    def _codes(self, images: ImageSet) -> SparseCodingData:
        mean = _mean_of(self.images, self.block, self.grey, self.groups, str(data_root()))
        flat = (images.X - mean).reshape(images.n_images, -1)
        size = flat.shape[1]
        data = sparse_coding_data(flat, images.y, dictionary=np.eye(size), label_weights=np.ones(size))
        return dataclasses.replace(data, spec=self)
