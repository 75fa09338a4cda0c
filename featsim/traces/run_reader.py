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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from featsim.traces.files import MissingFileError, plain_json
from featsim.traces.manifest import check_same_inputs, check_same_setting, describe_inputs, read_manifest
from featsim.traces.merge import merge_chunks
from featsim.traces.npz import Array, read_npz
from featsim.traces.trace import Trace, read_trace_file

_RETRIES = 5  # a reader that meets a writer in the middle of dropping chunks looks again
_PAUSE = 0.02  # seconds


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

    def read(self) -> Trace:
        """Return the trace so far, at any time, also while another process writes.

        Returns
        -------
        Trace
            With status ``"running"`` until the run has ended.

        Raises
        ------
        TraceError
            If a part is damaged or missing.
        """
        for _ in range(_RETRIES):
            try:
                return self._read_once()
            except MissingFileError:
                time.sleep(_PAUSE)
        return self._read_once()

    def _read_once(self) -> Trace:
        manifest = read_manifest(self.path)
        final: dict[str, Array] = {}
        if manifest["status"] != "running":
            _, final = read_npz(self.path / "final.npz", "final")
        return self._assemble(manifest, manifest["status"], manifest["message"], final, None)

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


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace from a finished npz or from a run folder, also of a run that goes on.

    Parameters
    ----------
    path : path-like
        File or folder.

    Returns
    -------
    Trace
        What was recorded, so far or in all.

    Raises
    ------
    TraceError
        If it is missing, damaged, foreign or of an unknown schema; the message
        says which.
    """
    return RunReader(Path(path)).read() if Path(path).is_dir() else read_trace_file(Path(path))
