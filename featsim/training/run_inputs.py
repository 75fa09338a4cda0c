"""What every stepper checks and hands to its kernel: quantities, minibatches, read-only arrays."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from featsim.validation import IntArray

_SQUARE_OVERFLOWS = 1e150  # the kernels' bound


def choose_quantities(
    wanted: tuple[str, ...] | None, available: tuple[str, ...], large: Container[str] = ()
) -> tuple[str, ...]:
    """Return what is to be recorded: by default all but the `large` ones; refuse names not available."""
    if wanted is None:
        return tuple(name for name in available if name not in large)
    for name in wanted:
        if name not in available:
            raise ValueError(
                f"quantities must be among {', '.join(available)} for this data and attack, got {name!r}"
            )
    return wanted


def check_batches(batches: Any, n_steps: int, n_samples: int) -> IntArray:
    """Return minibatches as int64 of shape (n_steps, B); refuse other shapes and indices."""
    array = np.asarray(batches)
    if array.ndim != 2 or len(array) != n_steps or array.dtype.kind not in "iu":
        raise ValueError(
            f"batches must hold integers of shape (n_steps, B) = ({n_steps}, B), "
            f"got dtype {array.dtype} and shape {array.shape}"
        )
    if array.size and (array.min() < 0 or array.max() >= n_samples):
        raise ValueError(
            f"batches must hold sample indices in 0..{n_samples - 1}, got {array.min()}..{array.max()}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def locked(array: Any, dtype: Any = None) -> Any:
    """Return a read-only view: to Numba a writeable array is another type, and compiles anew."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.setflags(write=False)
    return view


def squares_are_finite(*weights: Any) -> bool:
    """Return whether all entries are finite, and their squares too."""
    return all(bool(np.all(np.abs(array) < _SQUARE_OVERFLOWS)) for array in weights)  # nan compares false


def step_flags(steps: IntArray, first: int, last: int) -> np.ndarray[Any, Any]:
    """Return which of the steps first..last-1 are among `steps`, as booleans."""
    flags = np.zeros(last - first, dtype=np.bool_)
    flags[np.asarray(steps, dtype=np.int64) - first] = True
    return flags
