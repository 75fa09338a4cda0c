"""Sparse coding: an input is a few atoms of a dictionary plus noise, its label a linear rule on the code."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from featsim.data.dataset import UNKNOWN, PatchData
from featsim.data.sparse_codes import draw_codes
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

_ORTHONORMAL_TOLERANCE = 1e-8


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SparseCodingData(PatchData):
    r"""Two-class samples :math:`x = M z + \xi`, one patch each.

    Labels are 0 and 1 and stand for the signs -1 and +1. Everything that takes a
    :class:`PatchData` takes these too.

    Parameters
    ----------
    X : ndarray, shape (n, 1, d)
        Inputs, a single patch each.
    y : ndarray, shape (n,)
        Labels 0 and 1.
    n_classes : int
        2.
    robust_features, nonrobust_features : None
        Unused: the dictionary's columns are the features.
    roles, counts : ndarray, shape (n, 1)
        Unknown roles, and ones.
    robust_strength, nonrobust_strength, n_robust_patches, n_nonrobust_patches, pixel_map : None
        Unused.
    spec : SparseCodingSpec or None
        Distribution the samples were drawn from.
    dictionary : ndarray, shape (d, D)
        M, with orthonormal columns.
    label_weights : ndarray, shape (D,)
        Weights w* of the rule :math:`y = \mathrm{sign}\langle w^*, z \rangle`, without zeros.
    fresh : SparseCodingData or None
        Test samples of the same distribution.
    """

    dictionary: FloatArray
    label_weights: FloatArray
    fresh: SparseCodingData | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dictionary", "label_weights"):
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float64).view()
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def inputs(self) -> FloatArray:
        """Inputs without the patch axis, shape (n, d)."""
        return self.X[:, 0]

    @property
    def signs(self) -> FloatArray:
        """Labels as +1 and -1, shape (n,)."""
        return np.where(self.y == 1, 1.0, -1.0)

    @property
    def dense_direction(self) -> FloatArray:
        """Unit vector along ``M w*``, shape (d,): all features at once, each by its part in the label."""
        direction = self.dictionary @ self.label_weights
        unit: FloatArray = direction / np.linalg.norm(direction)
        return unit

    @property
    def identity_dictionary(self) -> bool:
        """Whether M is the identity."""
        d, n_atoms = self.dictionary.shape
        return d == n_atoms and bool(np.array_equal(self.dictionary, np.eye(d)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseCodingSpec(Spec):
    r"""Distribution :math:`x = M z + \xi`, :math:`y = \mathrm{sign}\langle w^*, z \rangle`.

    Coordinates of z are independent and symmetric: :math:`|z_j| = 1/\sqrt k` with probability k/D, 1 with
    probability `big_probability`, else 0. Codes with :math:`|\langle w^*, z \rangle|` at most `margin` (ties
    always) are drawn again. :math:`\xi \sim N(0, (\sigma_x^2/d) I)`.

    Parameters
    ----------
    dim : int
        Dimension d of an input, at least 2.
    n_atoms : int or None
        Columns D of the dictionary, at most `dim`; None for `dim`.
    sparsity : float
        k, about the number of active coordinates; greater than 0.
    big_probability : float
        Probability of a coordinate of size 1, for the two-scale law; at least 0.
    noise_norm : float
        :math:`\sigma_x`, about the norm of the noise, at least 0.
    label_spread : float
        :math:`|w^*_j|` is uniform in [1 - spread, 1 + spread]; in [0, 1).
    label_signs : {"random", "positive"}
        Signs of w*.
    margin : float
        Codes at or below it are redrawn, at least 0.
    dictionary : {"random", "identity"}
        Columns of a random rotation (QR with signs fixed), or the first D unit vectors.
    n_fresh : int
        Test samples drawn with every training set, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190, sparse coding model [recalled]; the law of the nonzero
       coordinates and the margin are the simulator's [choice].
    """

    kind: ClassVar[str] = "sparse-coding"

    dim: int = 80
    n_atoms: int | None = None
    sparsity: float = 3.0
    big_probability: float = 0.0
    noise_norm: float = 0.3
    label_spread: float = 0.0
    label_signs: str = "random"
    margin: float = 0.0
    dictionary: str = "random"
    n_fresh: int = 0

    def __post_init__(self) -> None:
        d = check_integer("dim", self.dim, minimum=2)
        if self.n_atoms is not None:
            hint = "the parts of a neuron are orthogonal only for orthonormal atoms"
            check_integer("n_atoms", self.n_atoms, minimum=2, maximum=d, hint=hint)
        for name, value in {
            "dim": d,
            "sparsity": check_real("sparsity", self.sparsity, above=0.0),
            "big_probability": check_real("big_probability", self.big_probability, minimum=0.0),
            "noise_norm": check_real("noise_norm", self.noise_norm, minimum=0.0),
            "label_spread": check_real("label_spread", self.label_spread, minimum=0.0),
            "label_signs": check_choice("label_signs", self.label_signs, ("random", "positive")),
            "margin": check_real("margin", self.margin, minimum=0.0),
            "dictionary": check_choice("dictionary", self.dictionary, ("random", "identity")),
            "n_fresh": check_integer("n_fresh", self.n_fresh, minimum=0),
        }.items():
            object.__setattr__(self, name, value)
        if self.label_spread >= 1.0:
            raise ValueError(f"label_spread must be < 1, got {self.label_spread:g}; weights must not vanish")
        if self.active_probability > 1.0:
            raise ValueError(
                f"sparsity / n_atoms + big_probability must be <= 1, got {self.active_probability:g}"
            )

    @property
    def atoms(self) -> int:
        """Number D of dictionary columns."""
        return self.dim if self.n_atoms is None else self.n_atoms

    @property
    def active_probability(self) -> float:
        """Probability that a coordinate of z is not 0."""
        return self.sparsity / self.atoms + self.big_probability

    def sample(self, n_samples: int, rng: np.random.Generator) -> SparseCodingData:
        """Draw training samples and `n_fresh` test samples; see :func:`sample_sparse_coding`."""
        return sample_sparse_coding(self, n_samples, rng)

    def sample_like(
        self, data: SparseCodingData, n_samples: int, rng: np.random.Generator
    ) -> SparseCodingData:
        """Draw samples with the dictionary and the rule of `data`, without test samples of their own."""
        n = check_integer("n_samples", n_samples, minimum=1)
        X, y = draw_samples(self, data.dictionary, data.label_weights, n, rng)
        return _assemble(X, y, data.dictionary, data.label_weights, self)


def sample_sparse_coding(
    spec: SparseCodingSpec, n_samples: int, rng: np.random.Generator
) -> SparseCodingData:
    """Draw training samples with their test samples.

    Random numbers are taken in the order dictionary, label weights, then codes and noise of the training
    samples, then of the test samples, and none for what is not random.

    Parameters
    ----------
    spec : SparseCodingSpec
        The distribution.
    n_samples : int
        Training samples, at least 1.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    SparseCodingData
        Training samples; ``.fresh`` holds the test samples, or None.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range, or hardly any code passes the margin.
    TooLargeError
        If the samples do not fit into memory; nothing has been drawn then.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190 [recalled]; docs/purification, "The setting".
    """
    if not isinstance(spec, SparseCodingSpec):
        raise TypeError(f"spec must be a SparseCodingSpec, got {type(spec).__name__}")
    n_samples = check_integer("n_samples", n_samples, minimum=1)
    check_generator("rng", rng)
    check_room("atoms of the dictionary", change="dim", dim=spec.dim, atoms=spec.atoms)
    check_room("samples", change="n_samples or dim", n_samples=max(n_samples, spec.n_fresh), dim=spec.dim)
    dictionary = np.eye(spec.dim, spec.atoms)
    if spec.dictionary == "random":
        basis, triangle = np.linalg.qr(rng.standard_normal((spec.dim, spec.dim)))
        # Signs fixed: the columns are then uniform on the orthogonal group.
        dictionary = np.ascontiguousarray((basis * np.sign(np.diag(triangle)))[:, : spec.atoms])
    weights = np.ones(spec.atoms)
    if spec.label_spread > 0.0:
        weights = rng.uniform(1.0 - spec.label_spread, 1.0 + spec.label_spread, spec.atoms)
    if spec.label_signs == "random":
        weights = weights * rng.choice([-1.0, 1.0], spec.atoms)
    data = _assemble(*draw_samples(spec, dictionary, weights, n_samples, rng), dictionary, weights, spec)
    if spec.n_fresh == 0:
        return data
    test = _assemble(*draw_samples(spec, dictionary, weights, spec.n_fresh, rng), dictionary, weights, spec)
    return dataclasses.replace(data, fresh=test)


def draw_samples(
    spec: SparseCodingSpec,
    dictionary: FloatArray,
    label_weights: FloatArray,
    n_samples: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, IntArray]:
    """Draw inputs and labels for a given dictionary and rule.

    Parameters
    ----------
    spec : SparseCodingSpec
        The distribution.
    dictionary : ndarray, shape (d, D)
        M.
    label_weights : ndarray, shape (D,)
        Rule w*.
    n_samples : int
        Number of samples.
    rng : numpy.random.Generator
        Source of codes, then noise.

    Returns
    -------
    X : ndarray, shape (n, d)
        Inputs.
    y : ndarray, shape (n,)
        Labels 0 and 1.

    Raises
    ------
    ValueError
        If hardly any code passes the margin.
    """
    codes, margin = draw_codes(spec, label_weights, n_samples, rng)
    if spec.dictionary == "identity":
        X = codes if spec.atoms == spec.dim else np.pad(codes, ((0, 0), (0, spec.dim - spec.atoms)))
    else:
        X = codes @ dictionary.T
    if spec.noise_norm > 0.0:
        X = X + spec.noise_norm / np.sqrt(spec.dim) * rng.standard_normal(X.shape)
    return X, (margin > 0.0).astype(np.int64)


def _assemble(
    X: FloatArray, y: IntArray, dictionary: FloatArray, label_weights: FloatArray, spec: Spec | None
) -> SparseCodingData:
    return SparseCodingData(
        X=X[:, None, :],
        y=y,
        n_classes=2,
        robust_features=None,
        nonrobust_features=None,
        roles=np.full((len(X), 1), UNKNOWN, dtype=np.int8),
        counts=np.ones((len(X), 1)),
        spec=spec,
        dictionary=dictionary,
        label_weights=label_weights,
    )


def sparse_coding_data(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    dictionary: npt.ArrayLike,
    label_weights: npt.ArrayLike,
    fresh: SparseCodingData | None = None,
) -> SparseCodingData:
    r"""Make a sparse-coding data set from your own arrays, which are checked and copied.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, finite.
    y : array_like of int, shape (n,)
        Labels 0 and 1, for the signs -1 and +1.
    dictionary : array_like, shape (d, D)
        Atoms as columns, orthonormal to 1e-8.
    label_weights : array_like, shape (D,)
        w*, none zero.
    fresh : SparseCodingData, optional
        Test samples with the same dictionary.

    Returns
    -------
    SparseCodingData
        The checked data set.

    Raises
    ------
    TypeError, ValueError
        If an array is impossible.
    """
    inputs = check_array("X", X, ("n", "d")).copy()
    labels = check_labels("y", y, len(inputs), 2).copy()
    atoms: Any = check_array("dictionary", dictionary, (inputs.shape[1], "D")).copy()
    error = float(np.abs(atoms.T @ atoms - np.eye(atoms.shape[1])).max())
    if error > _ORTHONORMAL_TOLERANCE:
        raise ValueError(
            f"dictionary must have orthonormal columns to {_ORTHONORMAL_TOLERANCE:g}, got a Gram matrix off "
            f"by {error:.3g}; orthonormalise them with np.linalg.qr"
        )
    weights = check_array("label_weights", label_weights, (atoms.shape[1],)).copy()
    if (weights == 0.0).any():
        raise ValueError(f"label_weights must not be 0, got 0 at index {int(np.argmin(np.abs(weights)))}")
    if fresh is not None and not np.array_equal(fresh.dictionary, atoms):
        raise ValueError("fresh must have the same dictionary as the training samples")
    return dataclasses.replace(_assemble(inputs, labels, atoms, weights, None), fresh=fresh)
