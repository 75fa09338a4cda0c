"""The folder of a run that goes on: numbered chunks, a manifest and a checkpoint.

=================  ====================================================================
manifest.json      spec, axes, status and fingerprints of what the run was started with
inputs.npz         arrays the run starts from: data, initial weights, minibatches
chunk-000001.npz   records, in order; written once each
checkpoint.npz     state to go on from, and how many chunks lie before it
final.npz          arrays of the end (final weights), once the run has stopped
=================  ====================================================================

Every file appears under its name complete or not at all. Readers take all chunks.
A writer that comes back after a kill drops the chunks beyond its checkpoint and
makes them again, so that a resumed run has each record once, and the same bits.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from featsim.traces.axes import resolve_axes
from featsim.traces.files import (
    Array,
    MissingFileError,
    TraceError,
    check_writable,
    plain_json,
    read_npz,
    remove_temporary_files,
    write_npz,
)
from featsim.traces.lock import WriterLock
from featsim.traces.manifest import (
    MANIFEST,
    check_same_inputs,
    check_same_setting,
    describe_inputs,
    read_manifest,
    run_digest,
    write_manifest,
)
from featsim.traces.merge import chunk_names, chunk_path, last_step, merge_chunks
from featsim.traces.trace import STATUSES, Trace, read_trace_file
from featsim.versions import version_report

_RETRIES = 5  # a reader that meets a writer in the middle of dropping chunks looks again


class Checkpoint(NamedTuple):
    """State from which a run goes on.

    Attributes
    ----------
    step : int
        Step before which the state was taken.
    state : dict of str to ndarray
        Arrays of the state.
    info : dict
        JSON data, for example the state of a random generator.
    """

    step: int
    state: dict[str, Array]
    info: dict[str, Any]


class RunFolder:
    """A run on disk. Make one with :meth:`create` (to write) or :meth:`open`."""

    def __init__(self, path: Path, manifest: dict[str, Any], lock: WriterLock | None) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = lock
        self._n_chunks = 0
        self._last_step: int | None = None

    def __repr__(self) -> str:
        return f"<RunFolder: {self.path}, {self.status}>"

    @property
    def spec(self) -> dict[str, Any]:
        """Full configuration of the run."""
        return dict(self.manifest["spec"])

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """Axes of every array that the run records."""
        return {name: tuple(words) for name, words in self.manifest["axes"].items()}

    @property
    def status(self) -> str:
        """Return ``"running"`` (also after a kill), ``"completed"``, ``"diverged"`` or ``"interrupted"``."""
        return str(self.manifest["status"])

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
        folder = check_writable(path)
        given = axes if isinstance(axes, Mapping) else None
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        manifest = {
            "spec": plain_json(spec, "spec"),
            "axes": {
                name: list(words)
                for name, words in resolve_axes({"steps": 0, **dict.fromkeys(axes)}, given).items()
            },
            "inputs": describe_inputs(arrays),
            "meta": plain_json(meta or {}, "meta"),
            "versions": plain_json(version_report() if versions is None else versions, "versions"),
            "status": "running",
            "message": "",
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        manifest["digest"] = run_digest(manifest)
        if not (folder / MANIFEST).exists():
            remove_temporary_files(folder)
            if any(folder.iterdir()):
                raise TraceError(f"{folder} is not empty and holds no featsim run; choose another folder")
            write_manifest(folder, manifest)
        found = read_manifest(folder)
        check_same_setting(folder, found["spec"], manifest["spec"])
        check_same_setting(folder, found["axes"], manifest["axes"], "axes")
        check_same_inputs(folder, found["inputs"], manifest["inputs"])
        if not (folder / "inputs.npz").exists():  # new, or killed before its inputs were written
            write_npz(folder / "inputs.npz", "inputs", arrays, {})
        return cls.open(folder, write=True)

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
            another process is writing it.
        """
        folder = Path(path)
        if not write:
            return cls(folder, read_manifest(folder), None)
        read_manifest(folder)
        lock = WriterLock(folder)
        try:
            remove_temporary_files(folder)
            run = cls(folder, read_manifest(folder), lock)
            run._rewind()
        except BaseException:
            lock.release()
            raise
        return run

    def _rewind(self) -> None:
        """Go back to the checkpoint, or to the start where there is none."""
        chunks = chunk_names(self.path)
        if self.status in ("completed", "diverged"):
            self._n_chunks = len(chunks)
            self._last_step = last_step(self.path, len(chunks))
            return
        covered = self._covered_chunks()
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

    def _covered_chunks(self) -> int:
        if not (self.path / "checkpoint.npz").exists():
            return 0
        header, _ = read_npz(self.path / "checkpoint.npz", "checkpoint", ())
        return int(header["n_chunks"])

    @property
    def inputs(self) -> dict[str, Array]:
        """Arrays the run starts from, checked against the fingerprints in the manifest."""
        _, arrays = read_npz(self.path / "inputs.npz", "inputs")
        check_same_inputs(self.path, self.manifest["inputs"], describe_inputs(arrays))
        return arrays

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the state to go on from; None if the run has to start from its inputs."""
        if not (self.path / "checkpoint.npz").exists():
            return None
        header, state = read_npz(self.path / "checkpoint.npz", "checkpoint")
        return Checkpoint(int(header["step"]), state, dict(header["info"]))

    def check_same_run(self, spec: Any) -> None:
        """Refuse a configuration that is not the one of this run.

        Raises
        ------
        TraceError
            Naming the first setting that differs, with both values.
        """
        check_same_setting(self.path, self.manifest["spec"], plain_json(spec, "spec"))

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
        if not chunk["steps"].size:
            return
        path = chunk_path(self.path, self._n_chunks + 1)
        write_npz(path, "chunk", chunk, {})
        self._n_chunks += 1
        self._last_step = int(chunk["steps"][-1])

    def _checked_chunk(self, arrays: Mapping[str, Any]) -> dict[str, Array]:
        axes = self.axes
        unknown = [
            name
            for name in arrays
            if name not in axes or not axes[name][:1] or axes[name][0] not in ("step", "weight_step")
        ]
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
        OSError
            If writing fails; the previous checkpoint is kept then.
        """
        self._check_writer()
        header = {"step": int(step), "n_chunks": self._n_chunks, "info": plain_json(info or {}, "info")}
        write_npz(self.path / "checkpoint.npz", "checkpoint", state, header)

    def read(self) -> Trace:
        """Return the trace so far, at any time, also while another process writes.

        Raises
        ------
        TraceError
            If a part is damaged or missing.
        """
        for _ in range(_RETRIES):
            try:
                return self._read_once()
            except MissingFileError:
                continue
        return self._read_once()

    def _read_once(self) -> Trace:
        manifest = read_manifest(self.path)
        final: dict[str, Array] = {}
        if manifest["status"] != "running":
            _, final = read_npz(self.path / "final.npz", "final")
        return self._assemble(manifest, manifest["status"], manifest["message"], final, None)

    def merge(
        self,
        status: str = "interrupted",
        message: str = "",
        arrays: Mapping[str, Any] | None = None,
        tail: Mapping[str, Any] | None = None,
    ) -> Trace:
        """Return the trace so far with a status and final arrays, writing nothing.

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
        """
        last = None if tail is None else self._checked_chunk(tail)
        return self._assemble(self.manifest, status, message, arrays or {}, last)

    def _assemble(
        self,
        manifest: Mapping[str, Any],
        status: str,
        message: str,
        final: Mapping[str, Any],
        tail: Mapping[str, Array] | None,
    ) -> Trace:
        axes = {name: tuple(words) for name, words in manifest["axes"].items()}
        arrays = {**merge_chunks(self.path, axes, tail), **final}
        texts = {name: manifest[name] for name in ("spec", "meta", "versions")}
        return Trace(
            arrays,
            {name: axes[name] for name in arrays if name in axes},
            status=status,
            message=message,
            **texts,
        )

    def finish(
        self,
        status: str,
        message: str = "",
        arrays: Mapping[str, Any] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Trace:
        """End the run: store its final arrays and status, and return the merged trace.

        Parameters
        ----------
        status : {"completed", "diverged", "interrupted"}
            How it ended; an interrupted run can be resumed.
        message : str
            What to know about it.
        arrays : mapping of str to array_like, optional
            Final arrays, such as ``"final_weights"``.
        path : path-like, optional
            Where to save the finished trace as one npz.

        Returns
        -------
        Trace

        Raises
        ------
        OSError
            If writing fails; :meth:`merge` gives the trace without writing.
        """
        if status == "running" or status not in STATUSES:
            raise TraceError(f"status must be one of {', '.join(STATUSES[1:])}, got {status!r}")
        self._check_writer()
        final = dict(arrays or {})
        trace = self.merge(status, message, final)
        write_npz(self.path / "final.npz", "final", final, {})
        self._set_status(status, message)
        if path is not None:
            trace.save(path)
        self.close()
        return trace

    def close(self) -> None:
        """Stop writing, so that another process may go on; the run can still be read."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Delete the run's own files, and the folder if nothing else is in it."""
        self.close()
        names = [
            "final.npz",
            "checkpoint.npz",
            *reversed(chunk_names(self.path)),
            "inputs.npz",
            "writer.lock",
            MANIFEST,
        ]
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        if not any(self.path.iterdir()):
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


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace from a finished npz or from a run folder, also of a run that goes on.

    Parameters
    ----------
    path : path-like
        File or folder.

    Returns
    -------
    Trace

    Raises
    ------
    TraceError
        If it is missing, damaged, foreign or of an unknown schema; the message
        says which.
    """
    return RunFolder.open(path).read() if Path(path).is_dir() else read_trace_file(Path(path))
