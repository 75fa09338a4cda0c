"""How long a run is and what it records, with the room that takes, checked before it starts."""

from __future__ import annotations

import dataclasses
import errno
import math
from pathlib import Path
from typing import Any

import numpy as np

from featsim.machine import TooLargeError, available_memory, free_disk, in_words
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Footprint, Stepper
from featsim.validation import IntArray

BUFFER_BYTES = 1 << 28
"""Records of a streamed run that wait in memory, at most, with their copies while they are written."""

_ITEM = 8  # every recorded array holds numbers of this size
_MANY = 1 << 24  # as many steps are listed in a moment


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """Steps, records and sizes of one run.

    Attributes
    ----------
    spec : dict
        Full configuration, for the trace.
    label : str
        For the progress report.
    n_steps, step_size : int, float
        Of the schedule.
    record, keep : ndarray of int64
        Steps that are recorded, and whose weights are kept.
    footprint : Footprint
        Of the update rule.
    data_bytes : int
        Data, initial weights and minibatches.
    entries : dict of str to int
        Entries of one record of every quantity.
    kept_entries : int
        Entries of one set of kept weights.
    folder : Path or None
        Run folder of a streamed run.
    joined : bool
        Whether that is to become one file.
    """

    spec: dict[str, Any]
    label: str
    n_steps: int
    step_size: float
    record: IntArray
    keep: IntArray
    footprint: Footprint
    data_bytes: int
    entries: dict[str, int]
    kept_entries: int
    folder: Path | None = None
    joined: bool = False

    @classmethod
    def of(cls, stepper: Stepper, spec: RunSpec, *, folder: Path | None = None, joined: bool = False) -> Plan:
        """Return the plan of a run with this stepper and configuration; refuse records beyond number."""
        footprint = stepper.footprint()

        def entries(name: str) -> int:
            return math.prod(footprint.lengths[axis] for axis in stepper.axes[name][1:])

        n_steps = spec.schedule.n_steps
        _check_count(spec.recording.count(n_steps))
        return cls(
            spec=spec.to_dict(),
            label=spec.label,
            n_steps=n_steps,
            step_size=spec.schedule.step_size,
            record=spec.recording.steps(n_steps),
            keep=spec.recording.weight_steps(n_steps),
            footprint=footprint,
            data_bytes=sum(array.nbytes for array in stepper.inputs.values()),
            entries={name: entries(name) for name, words in stepper.axes.items() if words[:1] == ("step",)},
            kept_entries=entries("weights"),
            folder=folder,
            joined=joined,
        )

    @property
    def record_bytes(self) -> int:
        """Size of one record."""
        return _ITEM * sum(self.entries.values())

    @property
    def kept_bytes(self) -> int:
        """Size of one set of kept weights, with its step."""
        return _ITEM * (self.kept_entries + 1)

    @property
    def trace_bytes(self) -> int:
        """Size of everything recorded and kept, with the final weights."""
        return len(self.record) * self.record_bytes + len(self.keep) * self.kept_bytes + self.kept_bytes

    @property
    def memory_bytes(self) -> int:
        """Memory that the run takes beside its data: blocks, and the trace or what waits to be written."""
        held = self.trace_bytes if self.folder is None else min(3 * self.trace_bytes, BUFFER_BYTES)
        scratch = min(len(self.record) * self.footprint.per_record, BUFFER_BYTES)
        return self.footprint.work + scratch + held

    @property
    def disk_bytes(self) -> int:
        """Room that a streamed run takes on disk, while its chunks become one file; 0 for others."""
        if self.folder is None:
            return 0
        return self.data_bytes + self.trace_bytes * (2 if self.joined else 1)

    def fits(self, first: int, last: int, limit: int) -> int:
        """Return the end of a stretch from `first` that records at most `limit` bytes; one step at least."""
        for steps, size in (
            (self.record, self.record_bytes + self.footprint.per_record),
            (self.keep, self.kept_bytes),
        ):
            beyond = int(np.searchsorted(steps, first)) + max(limit // size, 1)
            if beyond < len(steps):
                last = min(last, int(steps[beyond]))
        return max(last, first + 1)

    def check_memory(self) -> None:
        """Refuse a run that does not fit into the memory that is free now.

        Raises
        ------
        TooLargeError
            Naming what is large, how much there is, and the ways out.
        """
        available = available_memory()
        if available is None or self.memory_bytes <= available:
            return
        raise TooLargeError(
            f"this run must fit into memory, where {in_words(available)} are available, but takes "
            f"{in_words(self.memory_bytes)}: {self._parts()}; {self._ways_out()}"
        )

    def check_disk(self) -> None:
        """Refuse a streamed run that does not fit on its disk.

        Raises
        ------
        OSError
            Naming what is large, how much room there is, and the ways out.
        """
        if self.folder is None:
            return
        free = free_disk(self.folder)
        if free is None or self.disk_bytes <= free:
            return
        twice = ", twice while the chunks become one file" if self.joined else ""
        way = ", or a folder as out=, which is written once" if self.joined else ""
        raise OSError(
            errno.ENOSPC,
            f"the trace must fit on the disk, which has {in_words(free)} left, but takes "
            f"{in_words(self.disk_bytes)}: {self._trace_parts()}{twice}; record less, with "
            f"Recording(every=...) or n_log=..., or quantities=...{way}",
            str(self.folder),
        )

    def _parts(self) -> str:
        """Say what takes how much memory."""
        waiting = "" if self.folder is None else f" ({in_words(BUFFER_BYTES)} of it in memory at a time)"
        return f"{in_words(self.footprint.work)} for the steps themselves, and {self._trace_parts()}{waiting}"

    def _trace_parts(self) -> str:
        largest = max(self.entries, key=lambda name: self.entries[name])
        text = (
            f"{len(self.record):,} records of {in_words(self.record_bytes)} (of these "
            f"{in_words(_ITEM * self.entries[largest])} for {largest})"
        )
        if len(self.keep):
            text += f" and weights of {in_words(self.kept_bytes)} at {len(self.keep):,} steps"
        return text

    def _ways_out(self) -> str:
        if self.footprint.work >= self.memory_bytes / 2:
            return "use fewer samples or a smaller network"
        less = "record less, with Recording(every=...) or n_log=..., fewer quantities=... or weights_at=..."
        return less if self.folder is not None else f"{less}; or stream it to disk with out=..."


def _check_count(n_records: int) -> None:
    """Refuse so many records that their steps alone would fill the memory, before they are listed."""
    if n_records < _MANY:
        return
    available, needed = available_memory(), 2 * _ITEM * n_records
    if available is not None and needed > available:
        raise TooLargeError(
            f"the list of recorded steps must fit into memory, where {in_words(available)} are available, "
            f"but {n_records:,} of them take {in_words(needed)}; record less, with Recording(every=...) or "
            "n_log=..."
        )
