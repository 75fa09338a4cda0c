"""``mnist.npz``, the form in which Keras distributes MNIST: four plain arrays in one zip file."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib

import numpy as np

from featsim.images.contents import UNPACKED_CAP, Content
from featsim.images.idx import ByteArray
from featsim.images.published import MIB

KERAS_FILE = "mnist.npz"
"""Its name."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_VERSIONS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_HEAD = 4096
"""A header of a plain array has 128 bytes."""
# What zipfile and the header's parser raise on bytes that are not what they should be.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError, ValueError, TypeError,
    KeyError, IndexError, AttributeError, RuntimeError, OverflowError, MemoryError, SyntaxError, OSError,
)  # fmt: skip


def read_keras(content: Content, names: tuple[str, str]) -> tuple[ByteArray, ByteArray]:
    """Return images and labels of one split.

    Nothing is ever unpickled: a member is the header of an array of bytes, and as many bytes as it
    announces; arrays of objects are refused by their header.

    Parameters
    ----------
    content : Content
        The file.
    names : (str, str)
        Names of the two arrays, such as ``("x_train", "y_train")``.

    Returns
    -------
    images : ndarray of uint8, shape (n, height, width)
        Pixels.
    labels : ndarray of uint8, shape (n,)
        Labels.

    Raises
    ------
    ImageFileError
        If it is damaged, truncated, of other arrays, or larger unpacked than the cap, which is known before
        anything is unpacked.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content.data))
    except _UNREADABLE as error:
        raise content.damaged(f"it is no intact zip file ({error or type(error).__name__})") from None
    with archive:
        images, labels = (_member(content, archive, name) for name in names)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise content.damaged(
            f"{names[0]} must hold images of shape (n, height, width) and {names[1]} as many labels, "
            f"got shapes {images.shape} and {labels.shape}"
        )
    return images, labels


def _member(content: Content, archive: zipfile.ZipFile, name: str) -> ByteArray:
    """Return one array; the archive's own sizes are checked before a byte is unpacked."""
    found = [info for info in archive.infolist() if info.filename == f"{name}.npy"]
    if len(found) != 1:
        raise content.damaged(f"it must hold one array {name}, and holds {len(found)}")
    info = found[0]
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        raise content.damaged(f"{name} is encrypted, or packed by a method that numpy does not write")
    if info.file_size > UNPACKED_CAP:
        raise content.damaged(
            f"{name} announces {info.file_size} bytes, more than the {UNPACKED_CAP // MIB} MiB "
            "that are unpacked"
        )
    try:
        with archive.open(info) as file:
            # Never more than announced, whatever the packed data would give; the end checks the CRC.
            raw = file.read(info.file_size)
        shape, start = _header(raw)
    except _UNREADABLE as error:
        raise content.damaged(f"{name}: {error or type(error).__name__}") from None
    size = int(np.prod(shape, dtype=object))
    if len(raw) != info.file_size or size != len(raw) - start:
        raise content.damaged(f"{name} has shape {shape} and {len(raw) - start} bytes")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def _header(raw: bytes) -> tuple[tuple[int, ...], int]:
    """Return the shape of an array of bytes and where its entries begin."""
    file = io.BytesIO(raw[:_HEAD])
    version = np.lib.format.read_magic(file)
    if version not in _VERSIONS:
        raise ValueError(f"its npy version is {version}")
    shape, fortran, dtype = _VERSIONS[version](file)
    if dtype != np.uint8 or fortran:
        raise ValueError(f"it must hold bytes row by row, got {dtype}{' by columns' if fortran else ''}")
    return shape, file.tell()
