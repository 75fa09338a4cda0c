"""MATLAB 5 files as far as SVHN needs them: real arrays of numbers, compressed or not.

Every length is checked against a limit before anything of that length is made, which general readers do
not do: a small file can ask them for gigabytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featsim.images.contents import UNPACKED_CAP, Content
from featsim.images.published import MIB

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)  # double to uint64
_COMPLEX = 0x0800
_MOST_AXES = 8
_FLAGS_TYPE, _DIMENSIONS_TYPE, _NAME_TYPE = 6, 5, 1


class _Element(NamedTuple):
    kind: int
    body: memoryview
    end: int


def read_matlab(content: Content, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """Read named arrays of a MATLAB 5 file.

    Parameters
    ----------
    content : Content
        The file.
    names : tuple of str
        Variables to read; all must be there.

    Returns
    -------
    dict of str to ndarray
        Arrays in MATLAB's own (column-major) shape.

    Raises
    ------
    ImageFileError
        If the file is damaged, truncated or too large unpacked, lacks a variable, or one is not an array
        of real numbers.
    """
    data = content.data
    if len(data) < _HEADER or data[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise content.damaged("it is not a MATLAB 5 file")
    order = "<" if data[126:128] == b"IM" else ">"
    found: dict[str, npt.NDArray[Any]] = {}
    try:
        for body in _matrices(content, order):
            name, array = _read_matrix(body, order, names)
            if array is not None:
                found[name] = array
    except (ValueError, struct.error, zlib.error) as error:
        raise content.damaged(str(error)) from None
    for name in names:
        if name not in found:
            raise content.damaged(f"it has no variable {name}")
    return found


def _matrices(content: Content, order: str) -> Iterator[memoryview]:
    """Yield the body of each matrix, one unpacked at a time."""
    view, position, left = memoryview(content.data), _HEADER, UNPACKED_CAP
    while position < len(view):
        # Top-level elements are not padded when compressed.
        kind, length = struct.unpack_from(f"{order}II", view, position)
        body = view[position + 8 : position + 8 + length]
        if len(body) < length:
            raise ValueError("it ends early; the file is truncated")
        position += 8 + length
        if kind == _COMPRESSED:
            engine = zlib.decompressobj()
            unpacked = engine.decompress(body, left + 1)
            if len(unpacked) > left:
                raise ValueError(f"it unpacks to more than {UNPACKED_CAP // MIB} MiB")
            if not engine.eof:
                raise ValueError("its compressed data end early; the file is truncated")
            left -= len(unpacked)
            inner = _element(memoryview(unpacked), 0, order)
            kind, body = inner.kind, inner.body
        if kind == _MATRIX:
            yield body


def _element(view: memoryview, position: int, order: str) -> _Element:
    """Return the element at a position: the long form, or the short one whose data share the tag."""
    word = struct.unpack_from(f"{order}I", view, position)[0]
    if word >> 16:
        kind, length, start = word & 0xFFFF, word >> 16, position + 4
        if length > 4:
            raise ValueError("a short element has more than 4 bytes")
        end = position + 8
    else:
        kind, length = struct.unpack_from(f"{order}II", view, position)
        start = position + 8
        end = start + length + -length % 8
    body = view[start : start + length]
    if len(body) < length:
        raise ValueError("an element is longer than what holds it")
    return _Element(kind, body, end)


def _read_matrix(view: memoryview, order: str, names: tuple[str, ...]) -> tuple[str, npt.NDArray[Any] | None]:
    """Return name and array of a matrix; no array unless it is one of `names`."""
    flags = _element(view, 0, order)
    if flags.kind != _FLAGS_TYPE or len(flags.body) != 8:
        raise ValueError("a matrix has no flags")
    word = struct.unpack_from(f"{order}I", flags.body)[0]
    sides = _element(view, flags.end, order)
    if sides.kind != _DIMENSIONS_TYPE or len(sides.body) % 4 or not 8 <= len(sides.body) <= 4 * _MOST_AXES:
        raise ValueError("a matrix has no dimensions")
    shape = tuple(int(side) for side in np.frombuffer(sides.body, dtype=f"{order}i4"))
    label = _element(view, sides.end, order)
    if label.kind != _NAME_TYPE:
        raise ValueError("a matrix has no name")
    name = bytes(label.body).decode("ascii", "replace")
    if name not in names:
        return name, None
    if word & 0xFF not in _NUMERIC_CLASSES or word & _COMPLEX:
        raise ValueError(f"its variable {name} is not an array of real numbers")
    values = _element(view, label.end, order)
    if values.kind not in _NUMBERS:
        raise ValueError(f"its variable {name} has data of an unknown type")
    dtype = np.dtype(f"{order}{_NUMBERS[values.kind]}")
    if min(shape) < 0 or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(values.body):
        raise ValueError(f"its variable {name} has shape {shape} and {len(values.body)} bytes")
    return name, np.frombuffer(values.body, dtype=dtype).reshape(shape, order="F")
