"""Npz files that describe themselves.

Every npz written here is an uncompressed zip of plain arrays plus one JSON text,
kept as an array of UTF-8 bytes under the reserved name `HEADER`. The JSON says
what the file is, which schema it follows, and the dtype, shape and CRC-32 of
every array, so that a reader can refuse a file that was cut, changed or put
together from parts of others. Nothing is ever pickled.
"""

from __future__ import annotations

import io
import json
import math
import mmap
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from featsim.traces.files import SCHEMA, MissingFileError, TraceError, atomic_write, canonical, check_schema

Array = npt.NDArray[Any]

HEADER = "__featsim__"
"""Reserved array name under which an npz keeps its JSON."""

_PREFIX = 16384  # bytes in which an npy header ends
_SMALL = 1 << 16  # arrays below this are read at once
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS = "biufU"
# What zipfile and the npy header parser raise on bytes that are not what they should be.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError, ValueError, TypeError,
    KeyError, IndexError, AttributeError, RuntimeError, OverflowError, MemoryError, SyntaxError, OSError,
)  # fmt: skip


class Parts(NamedTuple):
    """An array given piece by piece along its first axis, so that it is never whole in memory.

    Attributes
    ----------
    dtype : numpy.dtype
        Type of the entries.
    shape : tuple of int
        Shape of the whole.
    pieces : callable
        Returns the pieces, in order.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[Array]]

    @property
    def n_bytes(self) -> int:
        """Size of the whole."""
        return math.prod(self.shape) * self.dtype.itemsize


def check_name(name: object) -> str:
    """Return `name` if an array can be stored under it."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == HEADER:
        raise TraceError(f"an array name must be letters, digits and underscores, got {name!r}")
    return name


def check_dtype(name: str, array: Array | Parts) -> None:
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
    arrays : mapping of str to array_like or Parts
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
    stored = {
        check_name(name): value if isinstance(value, Parts) else np.asarray(value, order="C")
        for name, value in arrays.items()
    }
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


def _write_member(archive: zipfile.ZipFile, name: str, array: Array | Parts) -> None:
    pieces = array.pieces() if isinstance(array, Parts) else (array,)
    with archive.open(name + ".npy", "w", force_zip64=True) as member:
        prefix = io.BytesIO()
        described = {
            "descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape,
        }  # fmt: skip
        np.lib.format.write_array_header_1_0(prefix, described)
        member.write(prefix.getvalue())
        for piece in pieces:
            if piece.nbytes:
                member.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)


def read_npz(
    path: Path, kind: str, names: Collection[str] | None = None, *, mapped: bool = False
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
    mapped : bool
        Whether to check large arrays on disk and leave them there: parts are read when they are used. The
        file may be deleted then, but must not be written into.

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
            return _read_open(file, path, kind, names, mapped)
    except TraceError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} does not exist") from error
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error


def _damaged(path: Path, reason: object) -> TraceError:
    return TraceError(f"{path} is damaged or cut off ({reason}); restore it from a copy or run again")


def _foreign(path: Path, kind: str, reason: str) -> TraceError:
    return TraceError(f"{path} is not a featsim {kind}: {reason}")


def _read_open(
    file: BinaryIO, path: Path, kind: str, names: Collection[str] | None, mapped: bool
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
        # The JSON sorts its keys; the archive has the order in which the arrays were given.
        header["arrays"] = described = {m[:-4]: described[m[:-4]] for m in members if m[:-4] != HEADER}
        wanted = [name for name in described if names is None or name in names]
        return header, {
            name: _read_member(archive, path, name, described[name], file if mapped else None)
            for name in wanted
        }


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


def _read_member(
    archive: zipfile.ZipFile,
    path: Path,
    name: str,
    described: Mapping[str, Any] | None,
    file: BinaryIO | None = None,
) -> Array:
    """Read and check one array; from `file`, where it is given, a large one is only mapped."""
    try:
        info = archive.getinfo(name + ".npy")
        size = path.stat().st_size
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
            raise _damaged(path, f"{name} is compressed or larger than the file")
        mapped = file is not None and info.file_size > _SMALL
        raw = _checked_start(archive, info) if mapped else archive.read(info)  # either checks the CRC
        prefix = io.BytesIO(raw[:_PREFIX])
        version = np.lib.format.read_magic(prefix)
        if version != (1, 0):
            raise _damaged(path, f"{name} has npy version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(prefix)
        if dtype.kind not in _KINDS:
            raise TraceError(f"{path} holds {name} of dtype {dtype}; a trace holds only plain arrays")
        count = math.prod(shape)
        n_bytes = info.file_size - prefix.tell()
        if fortran or count * dtype.itemsize != n_bytes:
            raise _damaged(path, f"{name} has shape {shape} but {n_bytes} bytes")
        if described is not None and described != {"dtype": dtype.str, "shape": list(shape), "crc": info.CRC}:
            raise _damaged(path, f"{name} is not the array that the header describes")
        if not count:
            return _frozen(np.empty(shape, dtype))
        if mapped and file is not None:
            return _mapped(file, _data_offset(file, info) + prefix.tell(), shape, dtype)
        return np.frombuffer(raw, dtype, count, prefix.tell()).reshape(shape)
    except TraceError:
        raise
    except _UNREADABLE as error:
        raise _damaged(path, f"{name}: {error}") from error


def _checked_start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read a member to its end, block by block, which checks its CRC; return how it starts."""
    with archive.open(info) as member:
        start = member.read(_PREFIX)
        while member.read(1 << 20):
            pass
    return start


def _mapped(file: BinaryIO, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the array whose bytes begin at `start`, on disk.

    No np.memmap: joblib hands those to other processes by the name of the file, which may be gone.
    """
    begin = start - start % mmap.ALLOCATIONGRANULARITY
    n_bytes = math.prod(shape) * dtype.itemsize
    held = mmap.mmap(file.fileno(), start - begin + n_bytes, access=mmap.ACCESS_READ, offset=begin)
    return np.ndarray(shape, dtype, held, start - begin)


def _data_offset(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return where in the file the bytes of a stored member begin."""
    file.seek(info.header_offset)
    fixed = file.read(30)  # of the local header; name and extra field follow, with their lengths at its end
    name_length, extra_length = struct.unpack("<HH", fixed[26:30])
    return info.header_offset + len(fixed) + int(name_length) + int(extra_length)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
