"""Both patch distributions in Gram-space coordinates: exact in law at any dimension."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from featsim.data.dataset import PatchData
from featsim.data.gram_space import GramSpace, check_dimension, filters_of
from featsim.data.patches import PatchDataSpec
from featsim.data.signal_noise import SignalNoiseData, assemble
from featsim.validation import (
    FloatArray,
    check_choice,
    check_generator,
    check_integer,
    check_real,
)

_SHARED = (
    "n_classes",
    "n_robust_patches",
    "n_nonrobust_patches",
    "robust_strength",
    "nonrobust_strength",
    "strength_spread",
    "noise_off_features",
    "roles",
    "classes",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GramPatchSpec(GramSpace):
    r"""Distribution of :class:`PatchDataSpec` at any dimension, by coordinates.

    The same law as sampling vectors: what training and l2 attacks see. Initial weights of a
    :class:`featsim.models.TwoLayerSpec` are drawn with the data, see :meth:`initial_weights`.

    Parameters
    ----------
    n_classes, n_robust_patches, n_nonrobust_patches : int
        As for :class:`PatchDataSpec`.
    dim : float
        Dimension d of a patch, at least 2 `n_classes` + 1; up to 1e15, or inf for the limit.
    robust_strength, nonrobust_strength, strength_spread : float
        As for :class:`PatchDataSpec`.
    noise_norm : float
        :math:`\sigma_n\sqrt d`, about the norm of a patch's noise, at least 0.
    noise_off_features : bool
        As for :class:`PatchDataSpec`.
    roles, classes : str
        As for :class:`PatchDataSpec`.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Li & Li, arXiv:2410.08503, data distribution [recalled]; the coordinates: documentation, page
       "Gram space" [derived].
    """

    kind: ClassVar[str] = "gram-patch-data"

    n_classes: int = 4
    n_robust_patches: int = 1
    n_nonrobust_patches: int = 40
    dim: float = 1e8
    robust_strength: float = 1.0
    nonrobust_strength: float = 0.4
    strength_spread: float = 0.0
    noise_norm: float = 0.0
    noise_off_features: bool = False
    roles: str = "fixed"
    classes: str = "balanced"

    def __post_init__(self) -> None:
        clean = self._clean
        for name in _SHARED:
            object.__setattr__(self, name, getattr(clean, name))
        object.__setattr__(self, "dim", check_dimension(self.dim, self.n_features))
        object.__setattr__(self, "noise_norm", check_real("noise_norm", self.noise_norm, minimum=0.0))

    @property
    def n_features(self) -> int:
        """Dimension 2k of the feature space."""
        return 2 * self.n_classes

    @property
    def n_patches(self) -> int:
        """Patches per sample, P."""
        return self.n_robust_patches + self.n_nonrobust_patches

    @property
    def _clean(self) -> PatchDataSpec:
        """The same distribution without noise, in the coordinates of the features."""
        k = check_integer("n_classes", self.n_classes, minimum=2)
        own: dict[str, Any] = {name: getattr(self, name) for name in _SHARED}
        return PatchDataSpec(**own, dim=2 * k, features="axis")

    def sample(self, n_samples: int, rng: np.random.Generator, n_filters: int = 0) -> PatchData:
        r"""Draw training samples by their coordinates.

        Random numbers are taken in the order labels, roles, strengths, noise along the features, noise
        outside (chi-squares, then normals).

        Parameters
        ----------
        n_samples : int
            As for :func:`featsim.data.sample_patches`.
        rng : numpy.random.Generator
            The only source of randomness.
        n_filters : int
            Filters K that are to get coordinates of their own, at least 0.

        Returns
        -------
        PatchData
            Of dimension :math:`2k + \min(M + K, d - 2k)` with M noise patches; features are the first axes.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, or `n_samples` does not fit.
        """
        n_filters = check_integer("n_filters", n_filters, minimum=0)
        clean = self._clean.sample(n_samples, rng)
        n_patches = clean.n_samples * clean.n_patches
        n_rows = n_patches if self.noise_norm > 0.0 else 0
        self.check_room(n_patches, n_rows, n_filters)
        along = self._along_features(clean.X.shape, rng)
        outside = self.noise_rows(n_rows, n_filters, rng)
        return self._assembled(clean, along, outside)

    def sample_for(self, model: Any, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw training samples with coordinates for the filters of a model."""
        return self.sample(n_samples, rng, filters_of(model, self.n_classes))

    def sample_like(self, data: PatchData, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw fresh samples: in the coordinates of `data`, all that its filters see of them."""
        clean = self._clean.sample(n_samples, rng)
        scale = self.fresh_scale(data)[self.n_features :]
        along = self._along_features(clean.X.shape, rng)
        shape = (clean.n_samples * clean.n_patches, len(scale))
        outside = scale * rng.standard_normal(shape) if self.noise_norm > 0.0 else np.zeros(shape)
        return self._assembled(clean, along, outside)

    def initial_weights(self, model: Any, data: PatchData, rng: np.random.Generator) -> FloatArray:
        """Draw the initial weights of a model in the coordinates of training data, shape (k, m, r)."""
        check_generator("rng", rng)
        n_filters = filters_of(model, self.n_classes)
        return self.gaussian_filters(data, n_filters, model.init_std, rng).reshape(
            self.n_classes, -1, data.dim
        )

    def _along_features(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray | float:
        if self.noise_std == 0.0 or self.noise_off_features:
            return 0.0
        drawn: FloatArray = self.noise_std * rng.standard_normal(shape)
        return drawn

    def _assembled(self, clean: PatchData, along: FloatArray | float, outside: FloatArray) -> PatchData:
        n, n_patches, f = clean.X.shape
        X = np.zeros((n, n_patches, f + outside.shape[1]))
        X[:, :, :f] = clean.X + along
        if len(outside):
            X[:, :, f:] = outside.reshape(n, n_patches, -1)
        u, v = np.eye(f, X.shape[2]).reshape(2, self.n_classes, -1)
        return dataclasses.replace(clean, X=X, robust_features=u, nonrobust_features=v, spec=self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GramSignalNoiseSpec(GramSpace):
    r"""Distribution of :class:`SignalNoiseSpec` at any dimension, by coordinates.

    Parameters
    ----------
    n_patches : int
        As for :class:`SignalNoiseSpec`.
    dim : float
        Dimension d of a patch, at least 2; up to 1e15, or inf for the limit.
    signal_strength, noise_norm : float
        As for :class:`SignalNoiseSpec`; w* is the first axis of the coordinates.
    position : {"random", "first"}
        Where the signal patch is.
    n_fresh : int
        Test samples drawn with every training set, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271, patch data [source]; the coordinates: documentation, page "Gram
       space" [derived].
    """

    kind: ClassVar[str] = "gram-signal-noise"

    n_patches: int = 3
    dim: float = 1e8
    signal_strength: float = 2.0
    noise_norm: float = 1.0
    position: str = "random"
    n_fresh: int = 1000

    def __post_init__(self) -> None:
        for name, value in {
            "n_patches": check_integer(
                "n_patches", self.n_patches, minimum=2, hint="one for the signal, the rest noise"
            ),
            "dim": check_dimension(self.dim, 1),
            "signal_strength": check_real("signal_strength", self.signal_strength, above=0.0),
            "noise_norm": check_real("noise_norm", self.noise_norm, minimum=0.0),
            "position": check_choice("position", self.position, ("random", "first")),
            "n_fresh": check_integer("n_fresh", self.n_fresh, minimum=0),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def n_features(self) -> int:
        """Dimension 1 of the feature space."""
        return 1

    def sample(self, n_samples: int, rng: np.random.Generator, n_filters: int = 0) -> SignalNoiseData:
        r"""Draw training samples by their coordinates, and `n_fresh` test samples.

        Random numbers are taken in the order labels, positions, noise (chi-squares, then normals), then
        labels, positions and noise of the test samples.

        Parameters
        ----------
        n_samples : int
            Training samples, at least 1.
        rng : numpy.random.Generator
            The only source of randomness.
        n_filters : int
            Filters K that are to get coordinates of their own, at least 0.

        Returns
        -------
        SignalNoiseData
            Of dimension :math:`1 + \min(M + K, d - 1)` with M noise patches.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type or out of range.
        """
        n = check_integer("n_samples", n_samples, minimum=1)
        check_generator("rng", rng)
        room = check_integer("n_filters", n_filters, minimum=0)
        n_rows = n * (self.n_patches - 1)
        n_noise = n_rows if self.noise_norm > 0.0 else 0
        self.check_room(n * self.n_patches, n_noise, room)
        y, place = self._labels(n, rng)
        rows = self.noise_rows(n_noise, room, rng)
        data = self._assembled(rows if len(rows) else np.zeros((n_rows, rows.shape[1])), y, place)
        if self.n_fresh == 0:
            return data
        return dataclasses.replace(data, fresh=self.sample_like(data, self.n_fresh, rng))

    def sample_for(self, model: Any, n_samples: int, rng: np.random.Generator) -> SignalNoiseData:
        """Draw training samples with coordinates for the filters of a model."""
        return self.sample(n_samples, rng, filters_of(model, 1))

    def sample_like(self, data: SignalNoiseData, n_samples: int, rng: np.random.Generator) -> SignalNoiseData:
        """Draw fresh samples: in the coordinates of `data`, all that its filters see of them."""
        n = check_integer("n_samples", n_samples, minimum=1)
        y, place = self._labels(n, rng)
        scale = self.fresh_scale(data)[1:]
        return self._assembled(scale * rng.standard_normal((n * (self.n_patches - 1), len(scale))), y, place)

    def initial_weights(self, model: Any, data: SignalNoiseData, rng: np.random.Generator) -> FloatArray:
        """Draw the initial weights of a model in the coordinates of training data, shape (1, m, r)."""
        check_generator("rng", rng)
        return self.gaussian_filters(data, filters_of(model, 1), model.init_std, rng)[None]

    def _labels(self, n: int, rng: np.random.Generator) -> tuple[Any, Any]:
        y = rng.integers(2, size=n, dtype=np.int64)
        place = rng.integers(self.n_patches, size=n) if self.position == "random" else np.zeros(n, np.int64)
        return y, place

    def _assembled(self, rows: FloatArray, y: Any, place: Any) -> SignalNoiseData:
        n, r = len(y), 1 + rows.shape[1]
        X = np.zeros((n, self.n_patches, r))
        noise = np.ones((n, self.n_patches), dtype=bool)
        noise[np.arange(n), place] = False
        X[noise, 1:] = rows
        X[np.arange(n), place, 0] = self.signal_strength * np.where(y == 1, 1.0, -1.0)
        signal = np.eye(1, r)[0]
        return assemble(X, y, place, signal, self.signal_strength, self)
