"""CIFAR-10's python batches are pickles; this reads them without running anything.

A pickle is a program, and a changed one runs code when loaded. Here the instructions are looked at before any
is carried out: only those that the published files use are accepted, the places they write to in the
unpickler's memory must be small, and of all importable names exactly four. Even these stand-ins are not
NumPy's functions but objects that take notes, so that nothing but bytes, numbers and lists ever comes to
life; the array is then made from the bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, NoReturn

import numpy as np

from featsim.images.contents import Content
from featsim.images.idx import ByteArray

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): "_Array",
    ("numpy._core.multiarray", "_reconstruct"): "_Array",
    ("numpy", "ndarray"): "_ArrayType",
    ("numpy", "dtype"): "_Dtype",
}
_OPCODES = frozenset(
    (
        *("PROTO", "STOP", "MARK", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "NONE", "NEWTRUE", "NEWFALSE"),
        *("BININT", "BININT1", "BININT2", "SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINBYTES"),
        *("BINBYTES", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE", "BUILD"),
    )
)
_MOST_NOTES = 100_000  # the published files need about 20,000
_MOST_CALLS = 8  # and 2 of these
_RECORD = 3072


class _ArrayType:
    """In the place of numpy.ndarray, which the files name as an argument and never call."""

    def __init__(self, *_: Any) -> None:
        raise pickle.UnpicklingError("numpy.ndarray must not be called")

    def __setstate__(self, state: Any) -> None:
        """Be there, so that a state given to the class itself is refused and not written into it."""


class _Dtype:
    """In the place of numpy.dtype: keeps the name of the type."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code.decode("ascii", "replace") if isinstance(code, bytes) else str(code)

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and the like, of which bytes have none."""


class _Array:
    """In the place of an array that is being reconstructed: keeps shape, type and bytes."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def to_numpy(self) -> ByteArray:
        """Return the array, or raise a ValueError."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("its data are not an array")
        _, shape, dtype, fortran, raw = self.state
        if not isinstance(dtype, _Dtype) or dtype.code not in ("u1", "|u1"):
            raise ValueError("its data are not of type uint8")
        good = isinstance(shape, tuple) and len(shape) == 2 and all(type(side) is int for side in shape)
        if not good or fortran or not isinstance(raw, bytes):
            raise ValueError("its data are not a table of bytes, rows first")
        if shape[1] != _RECORD or shape[0] < 1 or len(raw) != shape[0] * _RECORD:
            raise ValueError(f"its data are {len(raw)} bytes of shape {shape}, not n rows of {_RECORD}")
        return np.frombuffer(raw, dtype=np.uint8).reshape(shape)


_STAND_INS: dict[str, Any] = {"_Array": _Array, "_ArrayType": _ArrayType, "_Dtype": _Dtype}


class _Reader(pickle.Unpickler):
    """Finds nothing but the stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _ALLOWED.get((module, name))
        if stand_in is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _STAND_INS[stand_in]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it asks for an object from outside")


def read_batch_pickle(content: Content) -> tuple[ByteArray, ByteArray]:
    """Return pixels and labels of a python batch.

    Parameters
    ----------
    content : Content
        The file.

    Returns
    -------
    pixels : ndarray of uint8, shape (n, 3072)
        Red, green, blue planes, rows first.
    labels : ndarray of uint8, shape (n,)
        0..9.

    Raises
    ------
    ImageFileError
        If it holds anything else, or asks for anything but an array; it is then not carried out.
    """
    try:
        _check_instructions(content.data)
        found = _Reader(io.BytesIO(content.data), encoding="bytes").load()
        return _checked(found)
    # What a broken pickle can raise is not documented; whatever it is, the file is at fault.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise content.damaged(f"not a CIFAR-10 batch, and nothing in it was run ({reason})") from None


def _check_instructions(data: bytes) -> None:
    """Refuse what the published files do not do, before anything is done."""
    calls = 0
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in _OPCODES:
            raise ValueError(f"it has the instruction {opcode.name}")
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            if (module, name) not in _ALLOWED:
                raise ValueError(f"it asks for {module}.{name}")
        elif opcode.name in ("BINPUT", "LONG_BINPUT") and int(argument or 0) > _MOST_NOTES:
            raise ValueError("it asks for too much memory")
        elif opcode.name == "REDUCE":
            calls += 1
            if calls > _MOST_CALLS:
                raise ValueError("it calls too much")


def _checked(found: Any) -> tuple[ByteArray, ByteArray]:
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not a dict")
    pixels, labels = found.get(b"data"), found.get(b"labels")
    if not isinstance(pixels, _Array) or not isinstance(labels, list):
        raise ValueError("it has no data and labels")
    table = pixels.to_numpy()
    if len(labels) != len(table):
        raise ValueError(f"it has {len(table)} images and {len(labels)} labels")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise ValueError("its labels are not all 0..9")
    return table, np.array(labels, dtype=np.uint8)
