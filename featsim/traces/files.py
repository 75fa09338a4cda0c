"""Errors of this room, output folders, JSON data, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

SCHEMA = 1
"""Version of the layout of trace files and run folders."""

READS_SCHEMAS = (1,)
"""Schema versions that this version of featsim reads."""

_TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]+\.tmp")


class TraceError(ValueError):
    """A trace, or a file of one, that cannot be used as asked."""


class TraceKeyError(TraceError, KeyError):
    """A name, step, class or neuron that a trace does not hold."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class MissingFileError(TraceError):
    """A trace file or run folder that is not there."""


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Make the folder `path` if needed and check that files can be written in it.

    Call this before a long computation, so that an unusable output folder is one
    error at the start.

    Parameters
    ----------
    path : path-like
        Folder for the results; missing parents are made.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OSError
        If the folder cannot be made or written in; the message names it.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _temporary(folder / "probe")
        try:
            probe.write_bytes(b"\0")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        reason = "a file of that name is in the way" if isinstance(error, FileExistsError) else error.strerror
        raise OSError(
            error.errno, f"cannot write in the output folder ({reason}); choose another folder", str(folder)
        ) from error
    return folder


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def is_temporary(path: Path) -> bool:
    """Say whether this is a file that is being written, or was left by an interrupted write."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporary_files(folder: Path) -> None:
    """Remove what interrupted writes and reads left in `folder`. Only for the process that writes there."""
    for path in folder.iterdir():
        if is_temporary(path):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Make a folder that goes away at the end, or after a kill with :func:`remove_temporary_files`.

    Parameters
    ----------
    folder : Path
        Where to make it.

    Yields
    ------
    Path
        The new folder.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    made = _temporary(folder / "joined")
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when it is complete.

    The bytes go to a temporary file in the same folder, which is flushed to disk
    and renamed on success and removed on any failure; what was at `path` before
    stays until the rename.

    Parameters
    ----------
    path : path-like
        Final name.
    sync : bool
        Whether to wait until the disk has the bytes, which survives a power cut
        and not only a killed process.

    Yields
    ------
    binary file

    Raises
    ------
    OSError
        If writing fails, with `path` in the message.
    """
    final = Path(path)
    temporary = _temporary(final)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, final)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        cause = _os_error(error)
        if cause is None:
            raise
        raise OSError(cause.errno, f"could not write the file ({cause.strerror})", str(final)) from cause
    if sync:
        _sync_folder(final.parent)


def _os_error(error: BaseException | None) -> OSError | None:
    """Return the OSError behind an exception: zipfile can bury a full disk under a ValueError."""
    if isinstance(error, Exception):
        while error is not None:
            if isinstance(error, OSError):
                return error
            error = error.__context__
    return None


def _sync_folder(folder: Path) -> None:
    # A rename is on disk once its folder is. Windows cannot open a folder.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def plain_json(value: Any, where: str = "meta") -> Any:
    """Return `value` as JSON-ready data: specs, tuples and NumPy scalars become plain ones.

    Parameters
    ----------
    value : object
        Data, specs included.
    where : str
        What to call it in a message.

    Returns
    -------
    object
        The same as plain JSON data.

    Raises
    ------
    TypeError
        If a part is not JSON data; the message says which.
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain_json(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"{where} must be JSON data (numbers, text, lists, dicts), got {type(value).__name__}")


def canonical(value: Any) -> str:
    """Return plain JSON data as one line of text, the same for equal data."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def check_schema(header: Mapping[str, Any], path: Path) -> None:
    """Refuse a file of a schema version that this featsim does not read."""
    schema = header.get("schema")
    if isinstance(schema, bool) or schema not in READS_SCHEMAS:
        known = ", ".join(str(version) for version in READS_SCHEMAS)
        raise TraceError(
            f"{path} has trace schema version {schema!r}; this featsim reads version {known}: "
            "read it with the featsim that wrote it"
        )
