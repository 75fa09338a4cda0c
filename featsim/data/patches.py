"""The k-class patch distribution with robust and non-robust features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featsim.data.dataset import NONROBUST, ROBUST, PatchData, RoleArray
from featsim.data.features import FEATURE_BASES, check_basis, feature_basis
from featsim.machine import check_room
from featsim.specs import Spec
from featsim.validation import (
    FloatArray,
    IntArray,
    check_bool,
    check_choice,
    check_generator,
    check_integer,
    check_real,
)


@dataclass(frozen=True, kw_only=True)
class PatchDataSpec(Spec):
    r"""Distribution of samples whose patches carry a robust or a non-robust feature.

    A sample of class y has `n_robust_patches` patches
    :math:`x_p = \alpha_p u_y + \xi_p` and `n_nonrobust_patches` patches
    :math:`x_p = \beta_p v_y + \xi_p`, with u_1..u_k, v_1..v_k orthonormal and
    :math:`\xi_p \sim N(0, \sigma_n^2 I)`.

    Parameters
    ----------
    n_classes : int
        Number of classes k, at least 2.
    n_robust_patches, n_nonrobust_patches : int
        Patches of each role, at least 0, not both 0.
    dim : int
        Dimension of a patch, at least 2 `n_classes`.
    robust_strength, nonrobust_strength : float
        Mean strengths alpha and beta, at least 0.
    strength_spread : float
        s in [0, 1): each patch's strength is uniform on c[1-s, 1+s].
    noise_std : float
        Standard deviation of the noise per coordinate, at least 0.
    noise_off_features : bool
        Whether the noise is projected off all 2k features.
    features : {"random", "axis", "localised-spread"}
        Basis, see :func:`featsim.data.feature_basis`; the last needs `dim - n_classes`
        to be a power of two.
    roles : {"fixed", "permuted"}
        Robust patches first, or patches in random order in every sample.
    classes : {"balanced", "random"}
        Labels 0, 1, .., k-1, 0, 1, .. in turn, or independent and uniform.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Li & Li, arXiv:2410.08503, data distribution (from memory: [recalled]); the
       defaults and the options are ours [choice].
    """

    kind: ClassVar[str] = "patch-data"

    n_classes: int = 4
    n_robust_patches: int = 1
    n_nonrobust_patches: int = 40
    dim: int = 20
    robust_strength: float = 1.0
    nonrobust_strength: float = 0.4
    strength_spread: float = 0.0
    noise_std: float = 0.0
    noise_off_features: bool = False
    features: str = "random"
    roles: str = "fixed"
    classes: str = "balanced"

    def __post_init__(self) -> None:
        checked = {
            "n_classes": check_integer("n_classes", self.n_classes, minimum=2),
            "n_robust_patches": check_integer("n_robust_patches", self.n_robust_patches, minimum=0),
            "n_nonrobust_patches": check_integer("n_nonrobust_patches", self.n_nonrobust_patches, minimum=0),
            "dim": check_integer("dim", self.dim, minimum=1),
            "robust_strength": check_real("robust_strength", self.robust_strength, minimum=0.0),
            "nonrobust_strength": check_real("nonrobust_strength", self.nonrobust_strength, minimum=0.0),
            "strength_spread": check_real("strength_spread", self.strength_spread, minimum=0.0),
            "noise_std": check_real("noise_std", self.noise_std, minimum=0.0),
            "noise_off_features": check_bool("noise_off_features", self.noise_off_features),
            "features": check_choice("features", self.features, FEATURE_BASES),
            "roles": check_choice("roles", self.roles, ("fixed", "permuted")),
            "classes": check_choice("classes", self.classes, ("balanced", "random")),
        }
        for name, value in checked.items():  # so that 1 and 1.0 give one digest
            object.__setattr__(self, name, value)
        if self.strength_spread >= 1.0:
            raise ValueError(
                f"strength_spread must be < 1, got {self.strength_spread}; strengths must stay positive"
            )
        if self.n_patches == 0:
            raise ValueError("n_robust_patches + n_nonrobust_patches must be >= 1, got 0")
        check_basis(self.features, self.n_classes, self.dim)

    @property
    def n_patches(self) -> int:
        """Patches per sample, P."""
        return self.n_robust_patches + self.n_nonrobust_patches

    def sample(self, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw features and samples; see :func:`featsim.data.sample_patches`."""
        return sample_patches(self, n_samples, rng)


def sample_patches(spec: PatchDataSpec, n_samples: int, rng: np.random.Generator) -> PatchData:
    """Draw features and then samples from the patch distribution.

    Random numbers are taken from `rng` in the order features, labels, roles,
    strengths, noise, and none are taken for what is not random: the axis basis,
    balanced labels, fixed roles, `strength_spread` 0, `noise_std` 0.

    Parameters
    ----------
    spec : PatchDataSpec
        The distribution.
    n_samples : int
        Number of samples, at least 1; with balanced classes a multiple of their number.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    PatchData
        Samples with their features, roles and `spec`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, or `n_samples` does not fit.
    TooLargeError
        If the samples do not fit into memory; nothing has been drawn then.

    References
    ----------
    .. [1] Li & Li, arXiv:2410.08503 [recalled]; documentation, page "Structured data", section
       "Data".
    """
    _check_request(spec, n_samples, rng)
    sizes = {"n_samples": n_samples, "n_patches": spec.n_patches, "dim": spec.dim}
    check_room("samples", change="n_samples or dim", **sizes)
    u, v = feature_basis(spec.features, spec.n_classes, spec.dim, rng)
    return _draw(spec, n_samples, u, v, rng)


def sample_like(data: PatchData, n_samples: int, rng: np.random.Generator) -> PatchData:
    """Draw fresh samples with the same features, such as a test set.

    Parameters
    ----------
    data : PatchData
        Samples drawn from a :class:`PatchDataSpec` or another theory's distribution.
    n_samples : int
        Number of new samples, as in :func:`sample_patches`.
    rng : numpy.random.Generator
        Source of randomness: labels, roles, strengths, noise, in this order.

    Returns
    -------
    PatchData
        Independent samples given the features of `data`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, `data` was not sampled from a
        specification, or `n_samples` does not fit.
    """
    if not isinstance(data, PatchData):
        raise TypeError(f"data must be a PatchData, got {type(data).__name__}")
    other = getattr(data.spec, "sample_like", None)
    if other is not None:  # another theory's distribution
        fresh: PatchData = other(data, n_samples, check_generator("rng", rng))
        return fresh
    spec, u, v = data.spec, data.robust_features, data.nonrobust_features
    if not isinstance(spec, PatchDataSpec) or u is None or v is None:
        raise ValueError(
            "data must be sampled from a PatchDataSpec, got a data set made from arrays; "
            "hold out some of its samples with data.select instead"
        )
    _check_request(spec, n_samples, rng)
    return _draw(spec, n_samples, u, v, rng)


def _check_request(spec: PatchDataSpec, n_samples: int, rng: np.random.Generator) -> None:
    if not isinstance(spec, PatchDataSpec):
        raise TypeError(f"spec must be a PatchDataSpec, got {type(spec).__name__}")
    n_samples = check_integer("n_samples", n_samples, minimum=1)
    check_generator("rng", rng)
    if spec.classes == "balanced" and n_samples % spec.n_classes:
        raise ValueError(
            f"n_samples must be a multiple of n_classes = {spec.n_classes} for balanced classes, "
            f"got {n_samples}; use a multiple or classes='random'"
        )


def _draw(
    spec: PatchDataSpec, n_samples: int, u: FloatArray, v: FloatArray, rng: np.random.Generator
) -> PatchData:
    y = _draw_labels(spec, n_samples, rng)
    roles = _draw_roles(spec, n_samples, rng)
    strength = np.where(roles == ROBUST, spec.robust_strength, spec.nonrobust_strength)
    if spec.strength_spread > 0:
        strength = strength * (1.0 + spec.strength_spread * (2.0 * rng.random(roles.shape) - 1.0))
    own = np.where((roles == ROBUST)[:, :, None], u[y][:, None, :], v[y][:, None, :])
    patches = strength[:, :, None] * own
    if spec.noise_std > 0:
        patches += _draw_noise(spec, patches.shape, np.concatenate([u, v]), rng)
    return PatchData(
        X=patches,
        y=y,
        n_classes=spec.n_classes,
        robust_features=u,
        nonrobust_features=v,
        roles=roles,
        counts=np.ones(roles.shape),
        robust_strength=spec.robust_strength,
        nonrobust_strength=spec.nonrobust_strength,
        n_robust_patches=spec.n_robust_patches,
        n_nonrobust_patches=spec.n_nonrobust_patches,
        spec=spec,
    )


def _draw_labels(spec: PatchDataSpec, n_samples: int, rng: np.random.Generator) -> IntArray:
    if spec.classes == "random":
        return rng.integers(spec.n_classes, size=n_samples, dtype=np.int64)
    return np.arange(n_samples, dtype=np.int64) % spec.n_classes


def _draw_roles(spec: PatchDataSpec, n_samples: int, rng: np.random.Generator) -> RoleArray:
    row = np.full(spec.n_patches, NONROBUST, dtype=np.int8)
    row[: spec.n_robust_patches] = ROBUST
    roles = np.tile(row, (n_samples, 1))
    return rng.permuted(roles, axis=1) if spec.roles == "permuted" else roles


def _draw_noise(
    spec: PatchDataSpec, shape: tuple[int, ...], features: FloatArray, rng: np.random.Generator
) -> FloatArray:
    noise = spec.noise_std * rng.standard_normal(shape)
    if spec.noise_off_features:
        for _ in range(2):  # the second pass removes the rounding of the first
            noise -= (noise @ features.T) @ features
    return noise
