"""The data set every theory of patches shares."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.specs import Spec
from featsim.validation import FloatArray, IntArray, check_choice

RoleArray = npt.NDArray[np.int8]

ROBUST, NONROBUST, UNKNOWN = 0, 1, -1
_ROLE_NUMBERS = {"robust": ROBUST, "nonrobust": NONROBUST}


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchData:
    """Labelled samples made of patches, with what is known about their features.

    Make one with :func:`sample_patches`, :func:`patch_data` (which check their
    input) or ``featsim.images.patch_images``. All arrays are C-contiguous and
    read-only.

    Parameters
    ----------
    X : ndarray of float64, shape (n, P, d)
        Patches.
    y : ndarray of int64, shape (n,)
        Labels in 0..n_classes-1.
    n_classes : int
        Number of classes k.
    robust_features, nonrobust_features : ndarray of float64, shape (k, d), or None
        Features u and v, one per class, jointly orthonormal.
    roles : ndarray of int8, shape (n, P)
        Role of each patch: 0 carries the robust feature, 1 the non-robust one, -1 unknown.
    counts : ndarray of float64, shape (n, P)
        Multiplicity of each patch: a patch that occurs c times may be stored once.
    robust_strength, nonrobust_strength : float or None
        Mean size alpha or beta of a feature in its patches.
    n_robust_patches, n_nonrobust_patches : int or None
        Patches per sample of each role, repeats counted; None if unknown or not the
        same in every sample.
    pixel_map : ndarray of int64, shape (P, d), or None
        Pixel behind each entry of a sample; overlapping patches share pixels.
    spec : Spec or None
        Specification the samples were drawn from.
    """

    X: FloatArray
    y: IntArray
    n_classes: int
    robust_features: FloatArray | None
    nonrobust_features: FloatArray | None
    roles: RoleArray
    counts: FloatArray
    robust_strength: float | None = None
    nonrobust_strength: float | None = None
    n_robust_patches: int | None = None
    n_nonrobust_patches: int | None = None
    pixel_map: IntArray | None = None
    spec: Spec | None = None

    def __post_init__(self) -> None:
        dtypes: dict[str, Any] = {
            "X": np.float64,
            "y": np.int64,
            "robust_features": np.float64,
            "nonrobust_features": np.float64,
            "roles": np.int8,
            "counts": np.float64,
            "pixel_map": np.int64,
        }
        for name, dtype in dtypes.items():
            value = getattr(self, name)
            if value is not None:
                # A view, so that locking it leaves the caller's own array writeable.
                array = np.ascontiguousarray(value, dtype=dtype).view()
                array.setflags(write=False)
                object.__setattr__(self, name, array)

    @property
    def n_samples(self) -> int:
        """Number n of samples."""
        return len(self.X)

    @property
    def n_patches(self) -> int:
        """Number P of stored patches per sample (repeats may be merged, see `counts`)."""
        return int(self.X.shape[1])

    @property
    def dim(self) -> int:
        """Dimension d of a patch."""
        return int(self.X.shape[2])

    @property
    def features(self) -> FloatArray:
        """Features u stacked over v, shape (2k, d); (0, d) if none are known."""
        known = [f for f in (self.robust_features, self.nonrobust_features) if f is not None]
        return np.concatenate(known) if known else np.zeros((0, self.dim))

    def select(self, index: Any) -> PatchData:
        """Return the data set of some samples, in the order asked for.

        Parameters
        ----------
        index : int, slice, bool mask of shape (n,), or array_like of int
            Which samples; one integer gives a data set of one sample.

        Returns
        -------
        PatchData
            The selected samples with the same features and settings.

        Raises
        ------
        IndexError
            If an index is out of range or the mask has another length.
        ValueError
            If nothing is selected.
        """
        # An empty list would be float64, which NumPy refuses as an index.
        if not isinstance(index, slice) and np.size(index) == 0:
            index = np.zeros(0, dtype=np.int64)
        rows = np.atleast_1d(np.arange(self.n_samples)[index])
        if rows.ndim != 1:
            raise IndexError(f"index must select samples along one axis, got shape {rows.shape}")
        if rows.size == 0:
            raise ValueError(f"index must select at least one of the {self.n_samples} samples, got none")
        return dataclasses.replace(
            self, X=self.X[rows], y=self.y[rows], roles=self.roles[rows], counts=self.counts[rows]
        )

    def without(self, role: str) -> PatchData:
        """Return the data set with every patch of one role set to zero.

        Parameters
        ----------
        role : {"robust", "nonrobust"}
            Which patches to blank; ``without("nonrobust")`` leaves the robust-only data.

        Returns
        -------
        PatchData
            A copy with those patches zero; a patch of unknown role is left as it is.

        Raises
        ------
        ValueError
            If `role` is not one of the two, or no patch has a known role.
        """
        number = _ROLE_NUMBERS[check_choice("role", role, _ROLE_NUMBERS)]
        if not (self.roles != UNKNOWN).any():
            raise ValueError("without needs data with known patch roles, got none; give patch_data `roles`")
        return dataclasses.replace(self, X=np.where((self.roles == number)[:, :, None], 0.0, self.X))

    def merge_repeats(self) -> PatchData:
        """Store exactly equal patches of a sample once, with their number in `counts`.

        Sums over patches, and attacks with a budget per patch, do not change; for
        noise-free data with constant strengths two patches per sample remain.

        Returns
        -------
        PatchData
            Distinct patches of each sample in order of first occurrence.

        Raises
        ------
        ValueError
            If samples have different numbers of distinct patches, or the patches are
            cut from images (`pixel_map`), where position matters.
        """
        if self.pixel_map is not None:
            raise ValueError(
                "merge_repeats must not be used with a pixel_map: "
                "equal patches of an image cover different pixels"
            )
        groups = [_distinct_rows(x, r) for x, r in zip(self.X, self.roles, strict=True)]
        sizes = {first.size for first, _ in groups}
        if len(sizes) > 1:
            raise ValueError(
                "merge_repeats needs the same number of distinct patches in every sample, "
                f"got between {min(sizes)} and {max(sizes)}; train on the data as they are"
            )
        first = np.array([group[0] for group in groups])
        counts = np.zeros(first.shape)
        for total, (_, inverse), weight in zip(counts, groups, self.counts, strict=True):
            np.add.at(total, inverse, weight)
        return dataclasses.replace(
            self,
            X=np.take_along_axis(self.X, first[:, :, None], axis=1),
            roles=np.take_along_axis(self.roles, first, axis=1),
            counts=counts,
        )


def _distinct_rows(patches: FloatArray, roles: RoleArray) -> tuple[IntArray, IntArray]:
    """Return the first row of each group of equal (role, patch), and each row's group."""
    seen: dict[tuple[int, bytes], int] = {}
    first: list[int] = []
    inverse = np.zeros(len(patches), dtype=np.int64)
    for p, (patch, role) in enumerate(zip(patches + 0.0, roles, strict=True)):  # + 0.0 turns -0 into 0
        key = (int(role), patch.tobytes())
        if key not in seen:
            seen[key] = len(first)
            first.append(p)
        inverse[p] = seen[key]
    return np.array(first, dtype=np.int64), inverse
