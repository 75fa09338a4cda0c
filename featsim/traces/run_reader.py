"""Reading a run folder, at any time.

=================  ====================================================================
manifest.json      spec, axes, status and fingerprints of what the run was started with
inputs.npz         arrays the run starts from: data, initial weights, minibatches
chunk-000001.npz   records, in order; written once each
checkpoint.npz     state to go on from, and how many chunks lie before it
final.npz          arrays of the end (final weights), once the run has stopped
writer.lock        held by the process that writes
=================  ====================================================================

Every file appears under its name complete or not at all, so readers take all chunks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from featsim.machine import available_memory, in_words
from featsim.traces.files import MissingFileError, TraceError, TraceKeyError, plain_json, temporary_folder
from featsim.traces.manifest import check_same_inputs, check_same_setting, describe_inputs, read_manifest
from featsim.traces.merge import merge_chunks, recorded_parts
from featsim.traces.npz import Array, read_npz
from featsim.traces.trace import MAPPED_BYTES, Trace, read_trace_file

Result = TypeVar("Result")

_RETRIES = 5  # a reader that meets a writer in the middle of dropping chunks looks again
_PAUSE = 0.02  # seconds
_LABELS = ("steps", "weight_steps")


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


class RunReader:
    """A run on disk, to be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = read_manifest(path)

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
        return Checkpoint(header["step"], state, header["info"])

    def check_same_run(self, spec: Any) -> None:
        """Refuse a configuration that is not the one of this run.

        Parameters
        ----------
        spec : Spec or dict
            Configuration asked for.

        Raises
        ------
        TraceError
            Naming the first setting that differs, with both values.
        """
        check_same_setting(self.path, self.manifest["spec"], plain_json(spec, "spec"))

    def read(self, names: Collection[str] | None = None) -> Trace:
        """Return the trace so far, at any time, also while another process writes.

        Records of more than 256 MB are joined in a file beside the run that has no name any more, and
        stay on disk: parts of them are read when they are used. Where there is no room for it they are
        joined in memory.

        Parameters
        ----------
        names : collection of str, optional
            Recorded arrays to read, beside ``"steps"``; all by default.

        Returns
        -------
        Trace
            With status ``"running"`` until the run has ended.

        Raises
        ------
        TraceError
            If a part is damaged or missing, a name is unknown, or the records fit neither on disk once more
            nor into memory.
        """
        return self._retried(lambda: self._read_once(names))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the trace so far as one npz, array by array and chunk by chunk.

        Parameters
        ----------
        path : path-like
            File to make or replace; the bytes are those of :meth:`Trace.save`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        TraceError
            If a part is damaged or missing.
        OSError
            If writing fails; a file that was at `path` is untouched then.
        """
        return self._retried(lambda: self._save_once(Path(path), None))

    def _retried(self, function: Callable[[], Result]) -> Result:
        for _ in range(_RETRIES):
            try:
                return function()
            except MissingFileError:
                time.sleep(_PAUSE)
        return function()

    def _read_once(self, names: Collection[str] | None) -> Trace:
        manifest, final = self._end()
        parts = recorded_parts(self.path, self.axes)
        wanted = None if names is None else _with_labels(names, (*parts, *final))
        n_bytes = sum(part.n_bytes for name, part in parts.items() if wanted is None or name in wanted)
        if n_bytes > MAPPED_BYTES:
            try:
                return self._read_mapped(wanted)
            except OSError as error:
                _check_memory(self.path, n_bytes, error)
        merged = merge_chunks(self.path, self.axes, names=wanted)
        return self._as_trace({**merged, **final}, manifest)

    def _read_mapped(self, names: Collection[str] | None) -> Trace:
        """Join the records in a file that goes away with the trace."""
        with temporary_folder(self.path) as folder:
            return read_trace_file(self._save_once(folder / "trace.npz", names))

    def _save_once(self, target: Path, names: Collection[str] | None) -> Path:
        manifest, final = self._end()
        parts = recorded_parts(self.path, self.axes)
        if sum(part.n_bytes for part in parts.values()) <= MAPPED_BYTES:
            merged = merge_chunks(self.path, self.axes, names=names)
            return self._as_trace({**merged, **final}, manifest).save(target)
        labels = merge_chunks(self.path, self.axes, names=[name for name in _LABELS if name in parts])
        parts = {name: part for name, part in parts.items() if names is None or name in names}
        # Zeros of the right shapes take no memory: they check the whole, and give its header.
        hollow = {name: np.broadcast_to(np.zeros((), part.dtype), part.shape) for name, part in parts.items()}
        known = {name: labels.get(name, array) for name, array in hollow.items()}
        return self._as_trace({**known, **final}, manifest).save(target, parts=parts)

    def _end(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the manifest as it is now, and the arrays of the end where it has come."""
        manifest = read_manifest(self.path)
        if manifest["status"] == "running":
            return manifest, {}
        return manifest, read_npz(self.path / "final.npz", "final")[1]

    def _as_trace(self, arrays: Mapping[str, Any], described: Mapping[str, Any], **changes: str) -> Trace:
        """Return a trace with the texts of the manifest, or of `changes`."""
        axes = {name: tuple(words) for name, words in described["axes"].items()}
        texts = {name: described[name] for name in ("spec", "meta", "versions", "status", "message")}
        return Trace(arrays, {name: axes[name] for name in arrays if name in axes}, **{**texts, **changes})


def _with_labels(names: Collection[str], known: Collection[str]) -> set[str]:
    """Return the names with those of what labels their records; refuse what there is not."""
    for name in names:
        if name not in known:
            raise TraceKeyError(f"this run has no {name!r}; it holds {', '.join(known)}")
    return {*names, *(name for name in _LABELS if name in known)}


def _check_memory(path: Path, n_bytes: int, error: OSError) -> None:
    """Refuse to join in memory what does not fit there."""
    available = available_memory()
    if available is not None and n_bytes > available:
        raise TraceError(
            f"the run in {path} is whole, but its records take {in_words(n_bytes)}: no room to join them on "
            f"disk ({error.strerror}), and memory has {in_words(available)}; read parts, "
            "load_trace(path, names=...), or free space"
        ) from error


def load_trace(path: str | os.PathLike[str], names: str | Collection[str] | None = None) -> Trace:
    """Read a trace from a finished npz or from a run folder, also of a run that goes on.

    Of a file of more than 256 MB, and of as much in a run folder, the arrays stay on disk, and parts are read
    when they are used: do not write into the file meanwhile.

    Parameters
    ----------
    path : path-like
        File or folder.
    names : str or collection of str, optional
        Arrays to read, with those that label their axes; all by default.

    Returns
    -------
    Trace
        What was recorded, so far or in all.

    Raises
    ------
    TraceError
        If it is missing, damaged, foreign or of an unknown schema, or holds no array of a name; the message
        says which.
    """
    wanted = [names] if isinstance(names, str) else names
    trace = RunReader(Path(path)).read(wanted) if Path(path).is_dir() else read_trace_file(Path(path))
    return trace if wanted is None else trace.select(list(wanted))
