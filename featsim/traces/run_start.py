"""The beginning of a run on disk: its folder, which nobody else may write in, manifest and inputs."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from featsim.traces.axes import resolve_axes
from featsim.traces.files import TraceError, check_writable, is_temporary, plain_json
from featsim.traces.lock import LOCK, WriterLock
from featsim.traces.manifest import (
    MANIFEST,
    check_same_inputs,
    check_same_setting,
    describe_inputs,
    read_manifest,
    run_digest,
    write_manifest,
)
from featsim.traces.npz import Array, write_npz
from featsim.versions import version_report

_ATTEMPTS = 100


def lock_new(path: str | os.PathLike[str]) -> tuple[Path, WriterLock]:
    """Make the folder and hold it, before anything in it is read or changed."""
    for _ in range(_ATTEMPTS - 1):
        # Another writer may be removing its run, and the folder with it.
        with contextlib.suppress(FileNotFoundError):
            folder = check_writable(path)
            return folder, WriterLock(folder)
    folder = check_writable(path)
    return folder, WriterLock(folder)


def start_run(folder: Path, manifest: dict[str, Any], inputs: Mapping[str, Array]) -> None:
    """Write manifest and inputs of a new run, or check those of a run that is there."""
    if not (folder / MANIFEST).exists():
        if any(path.name != LOCK and not is_temporary(path) for path in folder.iterdir()):
            raise TraceError(f"{folder} is not empty and holds no featsim run; choose another folder")
        write_manifest(folder, manifest)
    found = read_manifest(folder)
    check_same_setting(folder, found["spec"], manifest["spec"])
    check_same_setting(folder, found["axes"], manifest["axes"], "axes")
    check_same_inputs(folder, found["inputs"], manifest["inputs"])
    if not (folder / "inputs.npz").exists():  # new, or killed before its inputs were written
        write_npz(folder / "inputs.npz", "inputs", inputs, {})


def new_manifest(
    spec: Any,
    axes: Mapping[str, Any] | Iterable[str],
    inputs: Mapping[str, Array],
    meta: Mapping[str, Any] | None,
    versions: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the manifest of a run that begins, with the digest that tells it from others."""
    given = dict(axes) if isinstance(axes, Mapping) else dict.fromkeys(axes)
    resolved = resolve_axes(
        {"steps": None, **given}, {name: found for name, found in given.items() if found is not None}
    )
    manifest = {
        "spec": plain_json(spec, "spec"),
        "axes": {name: list(words) for name, words in resolved.items()},
        "inputs": describe_inputs(inputs),
        "meta": plain_json(meta or {}, "meta"),
        "versions": plain_json(version_report() if versions is None else versions, "versions"),
        "status": "running",
        "message": "",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    return {**manifest, "digest": run_digest(manifest)}
