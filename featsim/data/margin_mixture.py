"""Linearly separable points of large and of small margin."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.data.arrays import patch_data
from featsim.data.dataset import PatchData
from featsim.machine import check_room
from featsim.specs import Spec
from featsim.validation import FloatArray, check_generator, check_integer, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarginMixtureSpec(Spec):
    r"""Distribution of :math:`x = c\,y\,w^* + \xi`, w* the first axis, :math:`\xi` Gaussian orthogonal to it.

    Parameters
    ----------
    dim : int
        d, at least 2.
    large_margin, small_margin : float
        :math:`c = \alpha` with probability :math:`1-\mu`, else :math:`c = \beta`; both > 0.
    small_share : float
        :math:`\mu` in [0, 1].
    noise_norm : float
        Norm :math:`\sigma\sqrt d` of :math:`\xi`, about; greater than 0.

    Raises
    ------
    TypeError, ValueError
        If a field is out of range.

    References
    ----------
    .. [1] Linearly separable setting of the ICLR-2023 text of Li & Li, arXiv:2306.01271 [source].
    """

    kind: ClassVar[str] = "margin-mixture"

    dim: int = 100
    large_margin: float = 2.0
    small_margin: float = 0.2
    small_share: float = 0.5
    noise_norm: float = 1.0

    def __post_init__(self) -> None:
        for name, value in {
            "dim": check_integer("dim", self.dim, minimum=2),
            "large_margin": check_real("large_margin", self.large_margin, above=0.0),
            "small_margin": check_real("small_margin", self.small_margin, above=0.0),
            "small_share": check_real("small_share", self.small_share, minimum=0.0, maximum=1.0),
            "noise_norm": check_real("noise_norm", self.noise_norm, above=0.0),
        }.items():
            object.__setattr__(self, name, value)

    def sample(self, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw labels, margins and noise, in this order.

        Parameters
        ----------
        n_samples : int
            Number of samples, at least 1.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        PatchData
            Samples of one patch, X of shape (n, 1, d); labels 0 and 1 stand for -1 and +1.
        """
        count = check_integer("n_samples", n_samples, minimum=1)
        check_generator("rng", rng)
        check_room("samples", change="n_samples or dim", n_samples=count, dim=self.dim)
        y = rng.integers(2, size=count)
        small = rng.random(count) < self.small_share
        X = self.noise_norm / np.sqrt(self.dim) * rng.standard_normal((count, self.dim))
        X[:, 0] = np.where(small, self.small_margin, self.large_margin) * np.where(y == 1, 1.0, -1.0)
        return patch_data(X[:, None, :], y, n_classes=2, spec=self)

    def sample_like(self, data: PatchData, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw more samples; `data` adds nothing to the distribution."""
        return self.sample(n_samples, rng)

    @property
    def clean_rule(self) -> FloatArray:
        """Linear rule that is always right: w*, shape (d,)."""
        return np.asarray(np.eye(self.dim)[0])

    def small(self, data: PatchData) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which samples have the small margin, bool (n,).

        Parameters
        ----------
        data : PatchData
            Samples of this distribution.

        Returns
        -------
        ndarray of bool, shape (n,)
            True for the small margin.
        """
        middle = 0.5 * (self.large_margin + self.small_margin)
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.abs(data.X[:, 0, 0]) < middle
        return found
