"""The instance on which a robust rule must know a whole table: vertices of a cube with a tagged label."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.data.arrays import patch_data
from featsim.data.dataset import PatchData
from featsim.specs import Spec
from featsim.validation import FloatArray, IntArray, check_generator, check_integer, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class HardCubeSpec(Spec):
    r"""Distribution of :math:`x = (z, \epsilon_0 h(z))`, z a vertex of a cube, h a random table of signs.

    z is uniform on :math:`\{0,1\}^k`. The sign of the last coordinate is a clean rule. A rule that is
    robust beyond :math:`\epsilon_0` in l_inf cannot use it and must know h, all :math:`2^k` entries of it.

    Parameters
    ----------
    bits : int
        k, from 1 to 20.
    tag : float
        :math:`\epsilon_0`, greater than 0.
    table_seed : int
        Seed of the table h, at least 0: samples drawn at different times share it.

    Raises
    ------
    TypeError, ValueError
        If a field is out of range.

    References
    ----------
    .. [1] Mechanism behind the exponential lower bound of Li & Li, arXiv:2306.01271, Theorem 4.7 [choice].
    """

    kind: ClassVar[str] = "hard-cube"

    bits: int = 6
    tag: float = 0.05
    table_seed: int = 0

    def __post_init__(self) -> None:
        for name, value in {
            "bits": check_integer("bits", self.bits, minimum=1, maximum=20),
            "tag": check_real("tag", self.tag, above=0.0),
            "table_seed": check_integer("table_seed", self.table_seed, minimum=0),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def table(self) -> IntArray:
        """Labels 0 and 1 of all vertices, shape (2^k,)."""
        return np.random.default_rng((self.table_seed, self.bits)).integers(2, size=1 << self.bits)

    def points(self, cells: IntArray) -> PatchData:
        """Return the vertices of given numbers, each one patch of dimension k + 1.

        Parameters
        ----------
        cells : ndarray of int, shape (n,)
            Numbers in 0..2^k - 1.

        Returns
        -------
        PatchData
            X of shape (n, 1, k + 1).
        """
        z = (cells[:, None] >> np.arange(self.bits)) & 1
        y = self.table[cells]
        last = self.tag * np.where(y == 1, 1.0, -1.0)
        X = np.concatenate([z.astype(np.float64), last[:, None]], axis=1)
        return patch_data(X[:, None, :], y, n_classes=2, spec=self)

    def sample(self, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw vertices, uniformly and independently.

        Parameters
        ----------
        n_samples : int
            Number of samples, at least 1.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        PatchData
            Samples of one patch.
        """
        count = check_integer("n_samples", n_samples, minimum=1)
        return self.points(check_generator("rng", rng).integers(1 << self.bits, size=count))

    def sample_like(self, data: PatchData, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw more vertices; `data` adds nothing to the table."""
        return self.sample(n_samples, rng)

    @property
    def clean_rule(self) -> FloatArray:
        """Linear rule that is always right: the tagged coordinate, shape (k + 1,)."""
        return np.asarray(np.eye(self.bits + 1)[-1])

    def coverage(self, n_samples: int) -> float:
        r"""Return the expected share of vertices that n samples hit, :math:`1-(1-2^{-k})^n`."""
        return float(-np.expm1(n_samples * np.log1p(-(2.0**-self.bits)))) if n_samples else 0.0
