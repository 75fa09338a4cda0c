"""Two classes of images as points of a sphere slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featsim.data import PointData, on_slice, point_data
from featsim.images.image_set import ImageSet
from featsim.images.loading import load
from featsim.specs import Spec
from featsim.validation import check_generator, check_integer, check_real


@dataclass(frozen=True, kw_only=True)
class SliceImageSpec(Spec):
    r"""A handful of whole images of two classes, brought to the slice :math:`x_d = c` of the unit sphere.

    Images are drawn from the training pool without replacement, half of each class, flattened, centred by
    their mean and scaled to norm :math:`\sqrt{1-c^2}`; the constant c is appended.

    Parameters
    ----------
    images : str
        Name for :func:`featsim.images.load`.
    classes : tuple of two ints
        Labels in the image set of the points with sign -1 and +1.
    constant : float
        Last coordinate c in [0, 1).
    block : int
        Side of the square blocks of pixels that are averaged first.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916: inputs on the unit sphere with a constant coordinate [recalled];
       images as such inputs are a [choice].
    """

    kind: ClassVar[str] = "slice-images"

    images: str = "digits"
    classes: tuple[int, int] = (3, 8)
    constant: float = 0.5
    block: int = 1

    def __post_init__(self) -> None:
        classes = tuple(check_integer("classes", label, minimum=0) for label in self.classes)
        if len(classes) != 2 or classes[0] == classes[1]:
            raise ValueError(f"classes must be two different labels, got {self.classes}")
        object.__setattr__(self, "classes", classes)
        constant = check_real("constant", self.constant, minimum=0.0)
        if constant >= 1.0:
            raise ValueError(f"constant must be < 1, got {constant:g}")
        object.__setattr__(self, "constant", constant)
        object.__setattr__(self, "block", check_integer("block", self.block, minimum=1))

    def pool(self) -> ImageSet:
        """Return the training images, at the size that is asked for."""
        images = load(self.images, "train")
        return images.averaged(self.block) if self.block > 1 else images

    def sample(self, n_samples: int, rng: np.random.Generator) -> PointData:
        """Draw images.

        Parameters
        ----------
        n_samples : int
            Number n, even; n/2 of each class.
        rng : numpy.random.Generator
            Permutes the pool of each class, and nothing else.

        Returns
        -------
        PointData
            Points of dimension H W C + 1.

        Raises
        ------
        ValueError
            If n is odd, or a class has too few images.
        """
        check_generator("rng", rng)
        n = check_integer("n_samples", n_samples, minimum=2)
        if n % 2:
            raise ValueError(f"n_samples must be even for two equal halves of labels, got {n}")
        pool, chosen = self.pool(), []
        for label in self.classes:
            own = np.flatnonzero(pool.y == label)
            if len(own) < n // 2:
                raise ValueError(
                    f"n_samples must be <= {2 * len(own)}, got {n}: {self.images} has {len(own)} training "
                    f"images of class {label}"
                )
            chosen.append(rng.permutation(own)[: n // 2])
        X = on_slice(pool.X[np.concatenate(chosen)], self.constant)
        points = point_data(X, np.repeat([0, 1], n // 2), constant=self.constant)
        return PointData(X=points.X, y=points.y, constant=points.constant, spec=self)
