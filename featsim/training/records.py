"""Records of a run in progress: in memory in their final place, or waiting for the next chunk on disk."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featsim.traces.axes import RECORD_AXES
from featsim.training.stepper import Arrays


class RecordStore:
    """The records of a whole run, which every stretch is copied into.

    Arrays are made once for all records to come, so that a run takes the size of its trace, not twice that.

    Parameters
    ----------
    axes : mapping of str to tuple of str
        Axes of the arrays that may come.
    n_records, n_kept : int
        How many steps are to be recorded, and how many times the weights are to be kept.
    """

    def __init__(self, axes: Mapping[str, tuple[str, ...]], n_records: int, n_kept: int) -> None:
        self._lengths = {"step": n_records, "weight_step": n_kept}
        self._axes = {name: words[0] for name, words in axes.items() if words[:1] in RECORD_AXES}
        self._arrays: Arrays | None = None
        self._filled = {"step": 0, "weight_step": 0}

    def add(self, records: Arrays) -> None:
        """Copy the records of a stretch behind those before."""
        if self._arrays is None:
            self._arrays = {
                name: np.empty((self._lengths[axis], *records[name].shape[1:]), records[name].dtype)
                for name, axis in self._axes.items()
                if name in records
            }
        counts = {"step": len(records["steps"]), "weight_step": len(records.get("weight_steps", ()))}
        for name, array in self._arrays.items():
            first = self._filled[self._axes[name]]
            array[first : first + counts[self._axes[name]]] = records[name]
        for axis, count in counts.items():
            self._filled[axis] += count

    def arrays(self) -> Arrays:
        """Return what has been recorded so far, without copying; empty steps where there was nothing."""
        if self._arrays is None:
            return {"steps": np.empty(0, dtype=np.int64)}
        return {name: array[: self._filled[self._axes[name]]] for name, array in self._arrays.items()}


class PendingRecords:
    """The records that are not on disk yet.

    Parameters
    ----------
    axes : mapping of str to tuple of str
        Axes of the arrays that may come.
    """

    def __init__(self, axes: Mapping[str, tuple[str, ...]]) -> None:
        self._names = [name for name, words in axes.items() if words[:1] in RECORD_AXES]
        self._stretches: list[Arrays] = []
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._stretches)

    def add(self, records: Arrays) -> None:
        """Keep the records of a stretch until they are written."""
        self._stretches.append(records)
        self.n_bytes += sum(array.nbytes for array in records.values())

    def joined(self) -> Arrays:
        """Return all that is waiting as one chunk; there must be something."""
        return {
            name: np.concatenate([stretch[name] for stretch in self._stretches])
            for name in self._names
            if all(name in stretch for stretch in self._stretches)
        }

    def clear(self) -> None:
        """Forget what has been written."""
        self._stretches.clear()
        self.n_bytes = 0
