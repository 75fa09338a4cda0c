"""Writing a run folder: numbered chunks, checkpoints, and going on after a kill.

A writer that comes back drops the chunks beyond its checkpoint and makes them
again, so that a resumed run has each record once, and the same bits.
:mod:`featsim.traces.run_reader` lists the files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from featsim.traces.axes import RECORD_AXES
from featsim.traces.files import TraceError, plain_json, remove_temporary_files
from featsim.traces.lock import WriterLock
from featsim.traces.manifest import MANIFEST, STATUSES, read_manifest, write_manifest
from featsim.traces.merge import chunk_names, chunk_path, last_step, merge_chunks
from featsim.traces.npz import Array, read_npz, write_npz
from featsim.traces.run_reader import RunReader
from featsim.traces.run_start import lock_new, new_manifest, start_run
from featsim.traces.trace import Trace


class RunFolder(RunReader):
    """A run on disk. Make one with :meth:`create` (to write) or :meth:`open`.

    Parameters
    ----------
    path : Path
        Folder of a run.
    lock : WriterLock or None
        Held while writing.

    Raises
    ------
    TraceError
        If this is not a run folder, or its manifest is damaged.
    """

    def __init__(self, path: Path, lock: WriterLock | None = None) -> None:
        super().__init__(path)
        self._lock = lock
        self._n_chunks = 0
        self._last_step: int | None = None

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        spec: Any,
        axes: Mapping[str, Any] | Iterable[str],
        inputs: Mapping[str, Any],
        meta: Mapping[str, Any] | None = None,
        versions: Mapping[str, Any] | None = None,
    ) -> Self:
        """Start a run in a new or empty folder, or return to the same run.

        A folder that holds this very run is opened as by ``open(path, write=True)``:
        look at :attr:`status` and :meth:`last_checkpoint`.

        Parameters
        ----------
        path : path-like
            Folder.
        spec : Spec or dict
            Full configuration.
        axes : mapping of str to tuple of str, or names in `STANDARD_AXES`
            Axes of every array to be recorded, and of those given to :meth:`finish`.
        inputs : mapping of str to array_like
            What the run starts from.
        meta, versions : mapping, optional
            JSON data for the trace; `versions` is `version_report()` by default.

        Returns
        -------
        RunFolder
            Open for writing.

        Raises
        ------
        TraceError
            If the folder holds something else, another run, or a run being written.
        OSError
            If the folder cannot be written in.
        """
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        manifest = new_manifest(spec, axes, arrays, meta, versions)
        folder, lock = lock_new(path)
        try:
            start_run(folder, manifest, arrays)
            return cls._writer(folder, lock)
        except BaseException:
            lock.release(remove=not (folder / MANIFEST).exists())
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, write: bool = False) -> Self:
        """Open a run to read it, at any time, or to go on with it.

        Parameters
        ----------
        path : path-like
            Folder.
        write : bool
            Whether to go on: checks every part, removes what an interrupted write
            left, and drops chunks beyond the checkpoint and the end of an
            interrupted run. A completed or diverged run is left as it is.

        Returns
        -------
        RunFolder

        Raises
        ------
        TraceError
            If this is not a run folder, a part of it is damaged, or, with `write`,
            another writer has it.
        """
        folder = Path(path)
        if not write:
            return cls(folder)
        read_manifest(folder)
        lock = WriterLock(folder)
        try:
            return cls._writer(folder, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _writer(cls, folder: Path, lock: WriterLock) -> Self:
        remove_temporary_files(folder)
        run = cls(folder, lock)
        run._rewind()
        return run

    def _rewind(self) -> None:
        """Go back to the checkpoint, or to the start where there is none."""
        chunks = chunk_names(self.path)
        if self.status in ("completed", "diverged"):
            self._n_chunks = len(chunks)
            self._last_step = last_step(self.path, len(chunks))
            return
        covered = 0
        if (self.path / "checkpoint.npz").exists():
            covered = read_npz(self.path / "checkpoint.npz", "checkpoint")[0]["n_chunks"]
        if covered > len(chunks):
            raise TraceError(
                f"{chunk_path(self.path, len(chunks) + 1)} is missing, but the checkpoint covers it"
            )
        self._set_status("running", "")
        (self.path / "final.npz").unlink(missing_ok=True)
        for name in reversed(chunks[covered:]):  # from the end, so that no gap appears
            (self.path / name).unlink(missing_ok=True)
        for number in range(1, covered + 1):
            read_npz(chunk_path(self.path, number), "chunk")
        self._n_chunks = covered
        self._last_step = last_step(self.path, covered)

    def append(self, arrays: Mapping[str, Any]) -> None:
        """Write the next records as one chunk.

        Parameters
        ----------
        arrays : mapping of str to array_like
            Every array with the axis "step" first, ``"steps"`` included, and those
            with the axis "weight_step" first where there are any.

        Raises
        ------
        TraceError
            If arrays are missing, or the steps do not go on from the last.
        OSError
            If writing fails; the run is as before the call then.
        """
        self._check_writer()
        chunk = self._checked_chunk(arrays)
        if not any(len(array) for array in chunk.values()):  # weights may be kept where nothing is recorded
            return
        path = chunk_path(self.path, self._n_chunks + 1)
        write_npz(path, "chunk", chunk, {})
        self._n_chunks += 1
        if chunk["steps"].size:
            self._last_step = int(chunk["steps"][-1])

    def _checked_chunk(self, arrays: Mapping[str, Any]) -> dict[str, Array]:
        axes = self.axes
        recorded = [name for name, words in axes.items() if words[:1] in RECORD_AXES]
        unknown = [name for name in arrays if name not in recorded]
        missing = [name for name, words in axes.items() if words[:1] == ("step",) and name not in arrays]
        if unknown or missing:
            what = f"has no record axis in {unknown[0]}" if unknown else f"lacks {missing[0]}"
            raise TraceError(
                f"a chunk of this run must hold the recorded arrays of its axes; this one {what}"
            )
        chunk = {name: np.asarray(value) for name, value in arrays.items()}
        Trace(chunk, {name: axes[name] for name in chunk})  # shapes and increasing steps
        steps = chunk["steps"]
        if steps.size and self._last_step is not None and steps[0] <= self._last_step:
            raise TraceError(f"steps must go on after {self._last_step}, got {steps[0]}")
        return chunk

    def checkpoint(self, step: int, state: Mapping[str, Any], info: Mapping[str, Any] | None = None) -> None:
        """Replace the checkpoint: all that was appended so far lies before it.

        Parameters
        ----------
        step : int
            Step at which the run goes on.
        state : mapping of str to array_like
            Arrays needed to go on.
        info : mapping, optional
            JSON data needed to go on.

        Raises
        ------
        TraceError
            If the run was opened for reading.
        OSError
            If writing fails; the previous checkpoint is kept then.
        """
        self._check_writer()
        header = {"step": int(step), "n_chunks": self._n_chunks, "info": plain_json(info or {}, "info")}
        write_npz(self.path / "checkpoint.npz", "checkpoint", state, header)

    def merge(
        self,
        status: str = "interrupted",
        message: str = "",
        arrays: Mapping[str, Any] | None = None,
        tail: Mapping[str, Any] | None = None,
    ) -> Trace:
        """Return the trace so far with a status and final arrays, all in memory, writing nothing.

        Parameters
        ----------
        status, message : str
            For the trace.
        arrays : mapping of str to array_like, optional
            Final arrays, without a record axis.
        tail : mapping of str to array_like, optional
            Records not yet on disk, as for :meth:`append`: what a full disk refused.

        Returns
        -------
        Trace
            Everything recorded so far.

        Raises
        ------
        TraceError
            If a part of the run is damaged, or the arrays do not fit it.
        """
        last = None if tail is None else self._checked_chunk(tail)
        merged = merge_chunks(self.path, self.axes, last)
        return self._as_trace({**merged, **(arrays or {})}, self.manifest, status=status, message=message)

    def seal(self, status: str, message: str = "", arrays: Mapping[str, Any] | None = None) -> None:
        """End the run: store its final arrays and status.

        Parameters
        ----------
        status : {"completed", "diverged", "interrupted"}
            How it ended; an interrupted run can be resumed.
        message : str
            What to know about it.
        arrays : mapping of str to array_like, optional
            Final arrays, such as ``"final_weights"``.

        Raises
        ------
        TraceError
            If the status or an array does not fit, or the run was opened for reading.
        OSError
            If writing fails; :meth:`merge` gives the trace without writing.
        """
        if status == "running" or status not in STATUSES:
            raise TraceError(f"status must be one of {', '.join(STATUSES[1:])}, got {status!r}")
        self._check_writer()
        final = {name: np.asarray(value) for name, value in (arrays or {}).items()}
        grown = [name for name in final if self.axes.get(name, ())[:1] in RECORD_AXES]
        if grown:
            raise TraceError(f"{grown[0]} is recorded along the run: give it to append, not to finish")
        self._as_trace(
            {"steps": np.empty(0, np.int64), **final}, self.manifest, status=status, message=message
        )
        write_npz(self.path / "final.npz", "final", final, {})
        self._set_status(status, message)

    def finish(
        self,
        status: str,
        message: str = "",
        arrays: Mapping[str, Any] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Trace:
        """End the run as :meth:`seal` does, stop writing, and return the trace.

        Parameters
        ----------
        status, message, arrays : str, str, mapping
            As for :meth:`seal`.
        path : path-like, optional
            Where to save the finished trace as one npz.

        Returns
        -------
        Trace
            The whole run, as :meth:`RunReader.read` gives it.

        Raises
        ------
        TraceError
            If the status or an array does not fit, or the run was opened for reading.
        OSError
            If writing fails; :meth:`merge` gives the trace without writing.
        """
        self.seal(status, message, arrays)
        if path is not None:
            self.save(path)
        self.close()
        return self.read()

    def close(self) -> None:
        """Stop writing, so that another process may go on; the run can still be read."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Delete the run's own files, and the folder if nothing else is in it.

        Raises
        ------
        TraceError
            If another writer has the run.
        OSError
            If a file cannot be deleted.
        """
        lock = self._lock or WriterLock(self.path)
        self._lock = None
        try:
            for name in (
                *("final.npz", "checkpoint.npz"),
                *reversed(chunk_names(self.path)),
                *("inputs.npz", MANIFEST),
            ):
                (self.path / name).unlink(missing_ok=True)
            remove_temporary_files(self.path)  # of readers that were killed
        except BaseException:
            lock.release()
            raise
        lock.release(remove=True)  # last: until here nobody may start anew in the folder
        with contextlib.suppress(OSError):  # something else is in it, perhaps the next run already
            self.path.rmdir()

    def _set_status(self, status: str, message: str) -> None:
        changed = {**self.manifest, "status": status, "message": message}
        if changed != self.manifest:
            write_manifest(self.path, changed)
            self.manifest = changed

    def _check_writer(self) -> None:
        if self._lock is None:
            raise TraceError(
                f"{self.path} was opened for reading; open it with write=True to go on with the run"
            )
