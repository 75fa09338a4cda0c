"""Drawing training data from the pool of an image set, as from a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featsim.data import PatchData
from featsim.images.image_set import ImageSet
from featsim.images.loading import load
from featsim.images.patching import Patching, mean_image, patch_images
from featsim.specs import Spec
from featsim.validation import check_choice, check_generator, check_integer

_SPLITS = {"first": 0, "second": 1}


@dataclass(frozen=True, kw_only=True)
class ImageDataSpec(Spec):
    """Images without replacement from the training pool of a set, cut into patches.

    One generator permutes the pool; the first n images are split A, which builds reference models and
    constructed data sets, and the next n are split B, on which the measured runs train. The mean image of the
    whole pool is subtracted.

    Parameters
    ----------
    images : str
        Name for :func:`featsim.images.load`.
    patching : Patching
        How images are cut.
    split : {"second", "first"}
        Split B or split A.
    groups : tuple of tuples of int or None
        Classes to merge, see :meth:`featsim.images.ImageSet.relabel`; None keeps those of the set.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or unknown.

    References
    ----------
    .. [1] E. Alpaydin and C. Kaynak (1998), https://doi.org/10.24432/C50P49, for the digits; splits A
       and B are the simulator's [choice]; documentation, page "Quickstart".
    """

    kind: ClassVar[str] = "image-data"

    images: str = "digits"
    patching: Patching
    split: str = "second"
    groups: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        check_choice("split", self.split, _SPLITS)
        if not isinstance(self.patching, Patching):
            raise TypeError(f"patching must be a Patching, got {type(self.patching).__name__}")
        if self.groups is not None:
            merged = tuple(
                tuple(check_integer("groups", label, minimum=0) for label in group) for group in self.groups
            )
            object.__setattr__(self, "groups", merged)

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
        check_generator("rng", rng)
        pool = self._pool()
        largest = pool.n_samples // 2
        n = check_integer(
            "n_samples", n_samples, minimum=1, maximum=largest, hint="the pool holds two splits"
        )
        first = n * _SPLITS[self.split]
        return pool.select(rng.permutation(pool.n_samples)[first : first + n])

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
        data = patch_images(self._images("test"), self.patching, mean=mean_image(self._pool()))
        if n_samples is None:
            return data
        return data.select(slice(check_integer("n_samples", n_samples, minimum=1, maximum=data.n_samples)))

    def _pool(self) -> PatchData:
        return patch_images(self._images("train"), self.patching)

    def _images(self, split: str) -> ImageSet:
        images = load(self.images, split)
        return images if self.groups is None else images.relabel(self.groups)
