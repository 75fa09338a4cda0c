"""Files that are either whole or refused: atomic writes, and npz files that describe themselves.

Every npz written here is an uncompressed zip of plain arrays plus one JSON text,
kept as an array of UTF-8 bytes under the reserved name `HEADER`. The JSON says
what the file is, which schema it follows, and the dtype, shape and CRC-32 of
every array, so that a reader can refuse a file that was cut, changed or put
together from parts of others. Nothing is ever pickled.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import re
import secrets
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SCHEMA = 1
"""Version of the layout of trace files and run folders."""

READS_SCHEMAS = (1,)
"""Schema versions that this version of featsim reads."""

HEADER = "__featsim__"
"""Reserved array name under which an npz keeps its JSON."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS = "biufU"
_TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]+\.tmp")
# What zipfile and the npy header parser raise on bytes that are not what they should be.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError, ValueError, TypeError,
    KeyError, IndexError, AttributeError, RuntimeError, OverflowError, MemoryError, SyntaxError, OSError,
)  # fmt: skip


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


def remove_temporary_files(folder: Path) -> None:
    """Remove what interrupted writes left in `folder`. Only for the one process that writes there."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


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


def check_name(name: object) -> str:
    """Return `name` if an array can be stored under it."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == HEADER:
        raise TraceError(f"an array name must be letters, digits and underscores, got {name!r}")
    return name


def check_dtype(name: str, array: Array) -> None:
    """Refuse an array that cannot be stored without pickle."""
    if array.dtype.kind not in _KINDS:
        raise TraceError(f"{name} must hold numbers, booleans or text, got dtype {array.dtype}")


def write_npz(path: Path, kind: str, arrays: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Write arrays and a JSON header as one self-describing npz, atomically.

    Parameters
    ----------
    path : Path
        File to make or replace.
    kind : str
        What the file is: ``"trace"``, ``"chunk"``, ...
    arrays : mapping of str to array_like
        Numbers, booleans or text.
    header : mapping
        Plain JSON data.

    Raises
    ------
    TraceError
        If an array cannot be stored.
    OSError
        If writing fails; the previous file is untouched then.
    """
    stored = {check_name(name): np.asarray(value, order="C") for name, value in arrays.items()}
    for name, array in stored.items():
        check_dtype(name, array)
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        described = {}
        for name, array in stored.items():
            _write_member(archive, name, array)
            crc = archive.getinfo(name + ".npy").CRC  # zipfile has computed it anyway
            described[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "crc": crc}
        text = canonical({**header, "featsim": kind, "schema": SCHEMA, "arrays": described})
        _write_member(archive, HEADER, np.frombuffer(text.encode(), dtype=np.uint8))


def _write_member(archive: zipfile.ZipFile, name: str, array: Array) -> None:
    with archive.open(name + ".npy", "w", force_zip64=True) as member:
        prefix = io.BytesIO()
        np.lib.format.write_array_header_1_0(prefix, np.lib.format.header_data_from_array_1_0(array))
        member.write(prefix.getvalue())
        if array.nbytes:
            member.write(array.reshape(-1).view(np.uint8).data)


def read_npz(
    path: Path, kind: str, names: Collection[str] | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read a file written by :func:`write_npz`, checking all that is read.

    Parameters
    ----------
    path : Path
        File to read.
    kind : str
        What the file must be.
    names : collection of str, optional
        Which arrays to read; all by default, none if empty.

    Returns
    -------
    header : dict
        The JSON.
    arrays : dict of str to ndarray
        Read-only arrays.

    Raises
    ------
    TraceError
        If the file is missing, damaged, foreign or of an unknown schema.
    """
    try:
        with open(path, "rb") as file:
            return _read_open(file, path, kind, names)
    except TraceError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise TraceError(f"{path} is a folder, not a file") from error
    except OSError as error:
        if error.errno in (errno.EINVAL, None):  # a seek to a place that a damaged directory names
            raise _damaged(path, error) from error
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error


def _damaged(path: Path, reason: object) -> TraceError:
    return TraceError(f"{path} is damaged or cut off ({reason}); restore it from a copy or run again")


def _foreign(path: Path, kind: str, reason: str) -> TraceError:
    return TraceError(f"{path} is not a featsim {kind}: {reason}")


def _read_open(
    file: BinaryIO, path: Path, kind: str, names: Collection[str] | None
) -> tuple[dict[str, Any], dict[str, Array]]:
    start = file.read(4)
    if not start:
        raise _damaged(path, "the file is empty")
    if start[:2] != b"PK"[: len(start)]:
        raise _foreign(path, kind, "it is not an npz file")
    try:
        archive = zipfile.ZipFile(file)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    with archive:
        members = archive.namelist()
        if HEADER + ".npy" not in members:
            raise _foreign(path, kind, f"it is an archive without the member {HEADER}.npy")
        header = _read_header(archive, path, kind)
        described: dict[str, Any] = header["arrays"]
        expected = sorted([HEADER + ".npy", *(name + ".npy" for name in described)])
        if sorted(members) != expected:
            raise _damaged(path, "its arrays are not those that its header lists")
        names = described if names is None else names
        wanted = [name for name in (member[:-4] for member in members) if name in described and name in names]
        return header, {name: _read_member(archive, path, name, described[name]) for name in wanted}


def _read_header(archive: zipfile.ZipFile, path: Path, kind: str) -> dict[str, Any]:
    raw = _read_member(archive, path, HEADER, None)
    try:
        header = json.loads(raw.tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its JSON is unreadable: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("featsim"), str):
        raise _foreign(path, kind, "its JSON does not say what it is")
    check_schema(header, path)
    if header["featsim"] != kind:
        raise _foreign(path, kind, f"it is a featsim {header['featsim']}")
    arrays = header.get("arrays")
    keys = {"dtype", "shape", "crc"}
    if not isinstance(arrays, dict) or not all(
        isinstance(a, dict) and set(a) == keys for a in arrays.values()
    ):
        raise _damaged(path, "its JSON does not describe its arrays")
    return header


def check_schema(header: Mapping[str, Any], path: Path) -> None:
    """Refuse a file of a schema version that this featsim does not read."""
    schema = header.get("schema")
    if isinstance(schema, bool) or schema not in READS_SCHEMAS:
        known = ", ".join(str(version) for version in READS_SCHEMAS)
        raise TraceError(
            f"{path} has trace schema version {schema!r}; this featsim reads version {known}: "
            "read it with the featsim that wrote it"
        )


def _read_member(
    archive: zipfile.ZipFile, path: Path, name: str, described: Mapping[str, Any] | None
) -> Array:
    try:
        info = archive.getinfo(name + ".npy")
        size = path.stat().st_size
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
            raise _damaged(path, f"{name} is compressed or larger than the file")
        raw = archive.read(info)  # checks the CRC of the whole member
        prefix = io.BytesIO(raw[:16384])
        version = np.lib.format.read_magic(prefix)
        if version != (1, 0):
            raise _damaged(path, f"{name} has npy version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(prefix)
        if dtype.kind not in _KINDS:
            raise TraceError(f"{path} holds {name} of dtype {dtype}; a trace holds only plain arrays")
        count = math.prod(shape)
        if fortran or count * dtype.itemsize != len(raw) - prefix.tell():
            raise _damaged(path, f"{name} has shape {shape} but {len(raw) - prefix.tell()} bytes")
        if described is not None and described != {"dtype": dtype.str, "shape": list(shape), "crc": info.CRC}:
            raise _damaged(path, f"{name} is not the array that the header describes")
        if not count:
            return _frozen(np.empty(shape, dtype))
        return np.frombuffer(raw, dtype, count, prefix.tell()).reshape(shape)
    except TraceError:
        raise
    except _UNREADABLE as error:
        raise _damaged(path, f"{name}: {error}") from error


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
