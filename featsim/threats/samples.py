"""Labelled inputs as attacks and certificates see them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.threats.budget import Budget
from featsim.threats.slice_budget import SliceBudget
from featsim.threats.threat import Threat
from featsim.validation import FloatArray, IntArray

if TYPE_CHECKING:
    from featsim.data import PatchData


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Inputs and labels, with the patch data they come from if any.

    Attributes
    ----------
    X : ndarray, shape (n, ...)
        Inputs.
    y : ndarray, shape (n,)
        Integer labels.
    counts : ndarray, shape (n, P), or None
        Multiplicity of each patch; None means that all are 1.
    data : PatchData or None
        Source, with features and roles.
    """

    X: FloatArray
    y: IntArray
    counts: FloatArray | None = None
    data: PatchData | None = None

    def bind(self, threat: Threat) -> Budget:
        """Return the budget of `threat` on these samples."""
        if self.data is None and threat.subspace == "slice":
            return SliceBudget.around(threat, self.X)
        return threat.bind(self.data)


def as_samples(data: PatchData | tuple[Any, Any]) -> Samples:
    """Return patch data, or a pair (X, y) of arrays, as checked samples.

    Parameters
    ----------
    data : PatchData or tuple of array_like
        X of shape (n, ...) with at least two axes, and n integer labels.

    Returns
    -------
    Samples
        The arrays in float64 and int64.

    Raises
    ------
    TypeError
        If `data` is neither.
    ValueError
        If shapes do not fit, there is no sample, or X is not finite.
    """
    if not isinstance(data, tuple):
        if not hasattr(data, "X") or not hasattr(data, "y"):
            raise TypeError(f"data must be PatchData or a pair (X, y), got {type(data).__name__}")
        counts = None if np.all(data.counts == 1.0) else data.counts
        return Samples(X=data.X, y=data.y, counts=counts, data=data)
    if len(data) != 2:
        raise ValueError(f"data must be PatchData or a pair (X, y), got a tuple of length {len(data)}")
    X, y = np.ascontiguousarray(data[0], dtype=np.float64), np.asarray(data[1])
    if X.ndim < 2 or X.size == 0:
        raise ValueError(f"X must have shape (n, ...) with at least one sample and two axes, got {X.shape}")
    if not np.isfinite(X).all():
        raise ValueError("X must be finite, got nan or infinity; remove those samples")
    if y.shape != (len(X),) or not np.all(y == np.floor(y)):
        raise ValueError(f"y must hold {len(X)} integer labels, one per sample, got shape {y.shape}")
    return Samples(X=X, y=y.astype(np.int64))


def patched(samples: Samples) -> Samples:
    """Return plain inputs (n, d) as inputs of one patch, (n, 1, d); others as they are.

    Parameters
    ----------
    samples : Samples
        Any.

    Returns
    -------
    Samples
        With X of three axes, if it had two.
    """
    if samples.X.ndim != 2:
        return samples
    return dataclasses.replace(samples, X=samples.X[:, None, :])
