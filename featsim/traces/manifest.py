"""The manifest of a run folder: what the run is, guarded by a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from featsim.specs import with_defaults
from featsim.traces.files import SCHEMA, MissingFileError, TraceError, atomic_write, canonical, check_schema
from featsim.traces.npz import Array, check_name

STATUSES = ("running", "completed", "diverged", "interrupted")
"""What a trace can say of its run."""

MANIFEST = "manifest.json"
_FIELDS = {
    "spec": dict, "axes": dict, "inputs": dict, "meta": dict, "versions": dict, "status": str, "message": str,
    "digest": str,
}  # fmt: skip


def describe_inputs(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Return type, shape and SHA-256 of every array."""
    result = {}
    for name, array in arrays.items():
        data = np.ascontiguousarray(array)
        fingerprint = hashlib.sha256(data.reshape(-1).view(np.uint8).data if data.size else b"").hexdigest()
        result[check_name(name)] = {
            "dtype": array.dtype.str, "shape": list(array.shape), "sha256": fingerprint
        }  # fmt: skip
    return result


def run_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all in the manifest that decides what the run computes."""
    text = canonical({name: manifest[name] for name in ("spec", "axes", "inputs")})
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(manifest: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(canonical(rest).encode()).hexdigest()


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, atomically."""
    whole = {**manifest, "featsim": "run", "schema": SCHEMA}
    whole["checksum"] = _checksum(whole)
    text = json.dumps(whole, indent=1, allow_nan=False)
    with atomic_write(folder / MANIFEST) as file:
        file.write(text.encode() + b"\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest.

    Parameters
    ----------
    folder : Path
        Run folder.

    Returns
    -------
    dict
        What the manifest holds.

    Raises
    ------
    TraceError
        If the folder holds no run, the manifest is damaged or of an unknown schema,
        or its settings were changed after the run started.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise MissingFileError(
            f"{folder} does not exist" if not folder.exists() else f"{folder} is not a folder"
        )
    try:
        manifest = json.loads(path.read_bytes().decode())
    except FileNotFoundError as error:
        raise MissingFileError(f"{folder} is not a featsim run folder: it has no {MANIFEST}") from error
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{path} is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("featsim") != "run":
        raise TraceError(f"{path} is not the manifest of a featsim run")
    check_schema(manifest, path)
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise TraceError(f"{path} is damaged: it has no usable {name!r}")
    if manifest["digest"] != run_digest(manifest):
        raise TraceError(
            f"{path} was changed after the run started: its settings do not match its digest; "
            "undo the change, or start a new run in another folder"
        )
    if manifest.get("checksum") != _checksum(manifest) or manifest["status"] not in STATUSES:
        raise TraceError(f"{path} is damaged: its content does not match its checksum")
    return manifest


def check_same_setting(folder: Path, stored: Any, asked: Any, where: str = "") -> None:
    """Refuse a setting that differs from the stored one.

    A field of a spec that only one of them mentions is at its default in the other: a run written before
    the field existed goes on.

    Parameters
    ----------
    folder : Path
        Run folder, for the message.
    stored, asked : JSON data
        Setting of the run, and setting asked for.
    where : str
        Dotted name of the setting.

    Raises
    ------
    TraceError
        Naming the first difference and both values.
    """
    if not where:
        stored, asked = with_defaults(stored), with_defaults(asked)
    if isinstance(stored, dict) and isinstance(asked, dict):
        for name in [*stored, *(key for key in asked if key not in stored)]:
            below = f"{where}.{name}" if where else str(name)
            check_same_setting(folder, stored.get(name, _ABSENT), asked.get(name, _ABSENT), below)
    elif isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked):
        for i, (one, other) in enumerate(zip(stored, asked, strict=True)):
            check_same_setting(folder, one, other, f"{where}[{i}]")
    elif type(stored) is not type(asked) or stored != asked:
        raise TraceError(
            f"{folder} holds a run with other settings: {where} is {stored!r} there, and {asked!r} now; "
            "go on with the same settings, or choose another folder"
        )


class _Absent:
    def __repr__(self) -> str:
        return "not set"


_ABSENT = _Absent()


def check_same_inputs(folder: Path, stored: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse input arrays that are not those the run started from."""
    for name in [*stored, *(key for key in found if key not in stored)]:
        if stored.get(name) != found.get(name):
            raise TraceError(
                f"{folder} holds a run with other input arrays: {name} differs; "
                "go on with the same arrays (and seed), or choose another folder"
            )
