"""Signal-plus-noise patches: one patch carries the label's sign, all others are noise."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from featsim.data.dataset import NONROBUST, ROBUST, PatchData
from featsim.machine import check_room
from featsim.specs import Spec
from featsim.validation import (
    FloatArray,
    IntArray,
    check_array,
    check_choice,
    check_generator,
    check_integer,
    check_labels,
    check_real,
)

_UNIT_TOLERANCE = 1e-8


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SignalNoiseData(PatchData):
    r"""Two-class samples with one signal patch :math:`c\,w^*` among noise patches.

    Labels are 0 and 1 and stand for the signs -1 and +1. Role 0 marks the signal patch, role 1
    the noise. Everything that takes a :class:`PatchData` takes these too.

    Attributes
    ----------
    signal : ndarray, shape (d,)
        Unit vector w*; +w* and -w* are no orthonormal family, so `robust_features` stays None.
    fresh : SignalNoiseData or None
        Test samples of the same distribution, on which traces report next to the training samples.
    robust_strength : float
        Size alpha of the signal.
    """

    signal: FloatArray
    fresh: SignalNoiseData | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        signal = np.ascontiguousarray(self.signal, dtype=np.float64).view()
        signal.setflags(write=False)
        object.__setattr__(self, "signal", signal)

    @cached_property
    def signal_patch(self) -> IntArray:
        """Position of the signal patch of each sample, shape (n,)."""
        place: IntArray = np.argmax(self.roles == ROBUST, axis=1).astype(np.int64)
        return place

    @cached_property
    def signs(self) -> FloatArray:
        """Labels as +1 and -1, shape (n,)."""
        return np.where(self.y == 1, 1.0, -1.0)

    @cached_property
    def noise(self) -> FloatArray:
        """Noise patches in order of position, shape (n, P - 1, d)."""
        others: FloatArray = self.X[self.roles != ROBUST]
        return others.reshape(self.n_samples, self.n_patches - 1, self.dim)

    @cached_property
    def signal_positions(self) -> FloatArray:
        """Position c of each signal patch c w* on the line, shape (n,)."""
        own = self.X[np.arange(self.n_samples), self.signal_patch]
        positions: FloatArray = own @ self.signal
        return positions

    @property
    def signal_strength(self) -> float:
        """Size alpha of the signal."""
        return float(self.robust_strength or 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalNoiseSpec(Spec):
    r"""Distribution of samples with one signal patch and P - 1 noise patches.

    y is a random sign, the signal patch is :math:`\alpha y w^*`, and every other patch is
    :math:`N(0, \sigma^2 (I - w^* w^{*\top}))`, independent: exactly orthogonal to w*.

    Parameters
    ----------
    n_patches : int
        Patches P per sample, at least 2.
    dim : int
        Dimension d of a patch, at least 2.
    signal_strength : float
        :math:`\alpha > 0`.
    noise_norm : float
        :math:`\sigma\sqrt d`, about the norm of a noise patch, at least 0.
    signal : {"axis", "random"}
        w* is the first unit vector, or uniform on the sphere.
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
    .. [1] Li & Li, arXiv:2306.01271, patch data [source]; a uniform position [recalled];
       w* on the first axis by default [choice].
    """

    kind: ClassVar[str] = "signal-noise"

    n_patches: int = 3
    dim: int = 100
    signal_strength: float = 2.0
    noise_norm: float = 1.0
    signal: str = "axis"
    position: str = "random"
    n_fresh: int = 1000

    def __post_init__(self) -> None:
        for name, value in {
            "n_patches": check_integer(
                "n_patches", self.n_patches, minimum=2, hint="one for the signal, the rest noise"
            ),
            "dim": check_integer("dim", self.dim, minimum=2),
            "signal_strength": check_real("signal_strength", self.signal_strength, above=0.0),
            "noise_norm": check_real("noise_norm", self.noise_norm, minimum=0.0),
            "signal": check_choice("signal", self.signal, ("axis", "random")),
            "position": check_choice("position", self.position, ("random", "first")),
            "n_fresh": check_integer("n_fresh", self.n_fresh, minimum=0),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def noise_std(self) -> float:
        """Standard deviation sigma of the noise per coordinate."""
        return float(self.noise_norm / np.sqrt(self.dim))

    def sample(self, n_samples: int, rng: np.random.Generator) -> SignalNoiseData:
        """Draw training samples and `n_fresh` test samples; see :func:`sample_signal_noise`."""
        return sample_signal_noise(self, n_samples, rng)

    def sample_like(self, data: SignalNoiseData, n_samples: int, rng: np.random.Generator) -> SignalNoiseData:
        """Draw samples with the same w* as `data`, without test samples of their own."""
        return _draw(self, check_integer("n_samples", n_samples, minimum=1), data.signal, rng)


def sample_signal_noise(spec: SignalNoiseSpec, n_samples: int, rng: np.random.Generator) -> SignalNoiseData:
    """Draw training samples with their test samples.

    Random numbers are taken in the order w*, then labels, positions and noise of the training
    samples, then the same of the test samples, and none for what is not random.

    Parameters
    ----------
    spec : SignalNoiseSpec
        The distribution.
    n_samples : int
        Training samples, at least 1.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    SignalNoiseData
        Training samples; ``.fresh`` holds the test samples, or None.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range.
    TooLargeError
        If the samples do not fit into memory; nothing has been drawn then.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271, patch data: one signal patch, Gaussian noise patches [source].
    """
    if not isinstance(spec, SignalNoiseSpec):
        raise TypeError(f"spec must be a SignalNoiseSpec, got {type(spec).__name__}")
    n_samples = check_integer("n_samples", n_samples, minimum=1)
    check_generator("rng", rng)
    count = max(n_samples, spec.n_fresh)
    check_room("samples", change="n_samples or dim", n_samples=count, n_patches=spec.n_patches, dim=spec.dim)
    signal = np.zeros(spec.dim)
    if spec.signal == "axis":
        signal[0] = 1.0
    else:
        signal = rng.standard_normal(spec.dim)
        signal /= np.linalg.norm(signal)
    data = _draw(spec, n_samples, signal, rng)
    if spec.n_fresh == 0:
        return data
    return dataclasses.replace(data, fresh=_draw(spec, spec.n_fresh, signal, rng))


def _draw(spec: SignalNoiseSpec, n: int, signal: FloatArray, rng: np.random.Generator) -> SignalNoiseData:
    y = rng.integers(2, size=n, dtype=np.int64)
    place = rng.integers(spec.n_patches, size=n) if spec.position == "random" else np.zeros(n, np.int64)
    patches = spec.noise_std * rng.standard_normal((n, spec.n_patches, spec.dim))
    if spec.signal == "axis":
        patches[:, :, 0] = 0.0
    else:
        for _ in range(2):  # the second pass removes the rounding of the first
            patches -= (patches @ signal)[:, :, None] * signal
    patches[np.arange(n), place] = spec.signal_strength * np.where(y == 1, 1.0, -1.0)[:, None] * signal
    return assemble(patches, y, place, signal, spec.signal_strength, spec)


def assemble(
    X: FloatArray, y: IntArray, place: IntArray, signal: FloatArray, strength: float, spec: Spec | None
) -> SignalNoiseData:
    """Return samples from arrays of the right kind: patches, labels, signal positions and w*."""
    roles = np.full(X.shape[:2], NONROBUST, dtype=np.int8)
    roles[np.arange(len(X)), place] = ROBUST
    return SignalNoiseData(
        X=X,
        y=y,
        n_classes=2,
        robust_features=None,
        nonrobust_features=None,
        roles=roles,
        counts=np.ones(roles.shape),
        robust_strength=strength,
        n_robust_patches=1,
        n_nonrobust_patches=X.shape[1] - 1,
        spec=spec,
        signal=signal,
    )


def signal_noise_data(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    signal: npt.ArrayLike,
    signal_patch: npt.ArrayLike,
    fresh: SignalNoiseData | None = None,
) -> SignalNoiseData:
    r"""Make a signal-plus-noise data set from your own arrays, which are checked and copied.

    Parameters
    ----------
    X : array_like, shape (n, P, d)
        Patches, finite; P at least 2.
    y : array_like of int, shape (n,)
        Labels 0 and 1, for the signs -1 and +1.
    signal : array_like, shape (d,)
        Unit vector w*.
    signal_patch : array_like of int, shape (n,)
        Position of each sample's signal patch, which must be a multiple :math:`c\,w^*`.
    fresh : SignalNoiseData, optional
        Test samples.

    Returns
    -------
    SignalNoiseData
        The checked data set; its strength alpha is the mean of :math:`|c|`.

    Raises
    ------
    TypeError, ValueError
        If an array is impossible, w* is not a unit vector, or a signal patch is no multiple of it.
    """
    patches = check_array("X", X, ("n", "P", "d")).copy()
    n, n_patches, dim = patches.shape
    if n_patches < 2:
        raise ValueError("X must have at least 2 patches per sample, one of them noise, got 1")
    labels = check_labels("y", y, n, 2).copy()
    direction = check_array("signal", signal, (dim,)).copy()
    if abs(float(np.linalg.norm(direction)) - 1.0) > _UNIT_TOLERANCE:
        raise ValueError(f"signal must be a unit vector, got norm {np.linalg.norm(direction):.6g}")
    place = check_labels("signal_patch", signal_patch, n, n_patches)
    own = patches[np.arange(n), place]
    along = own @ direction
    rest = float(np.abs(own - along[:, None] * direction).max())
    if rest > _UNIT_TOLERANCE * max(1.0, float(np.abs(along).max())):
        raise ValueError(f"signal patches must be multiples of signal, got one {rest:.3g} away from it")
    if fresh is not None and (fresh.dim != dim or not np.array_equal(fresh.signal, direction)):
        raise ValueError("fresh must have the same dimension and signal as the training samples")
    strength = float(np.mean(np.abs(along)))
    return dataclasses.replace(assemble(patches, labels, place, direction, strength, None), fresh=fresh)
