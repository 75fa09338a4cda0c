"""Reading files that may be anything: whole, of limited size, with their checksums."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from featsim.images.published import MIB

FILE_CAP = 512 * MIB
"""Largest file that is read: the largest published one has 182 MB."""
UNPACKED_CAP = 512 * MIB
"""Most that a compressed file may unpack to: the largest published one gives 225 MB."""
BATCH_CAP = 64 * MIB
"""Largest CIFAR-10 batch: a published one has 31 MB."""
_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_TAR_ERRORS = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, MemoryError)


class ImageFileError(ValueError):
    """A file of images is damaged, or is not what it should be."""


@dataclass(frozen=True)
class Content:
    """A file in memory.

    Attributes
    ----------
    path : Path
        Where it was.
    data : bytes
        All of it.
    """

    path: Path
    data: bytes

    @property
    def sha256(self) -> str:
        """Checksum."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def md5(self) -> str:
        """The older checksum, under which some files are published."""
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()

    def damaged(self, reason: str) -> ImageFileError:
        """Return the error that says what is wrong with the file."""
        return ImageFileError(f"{self.path} cannot be read: {reason}; replace it by an intact copy")


def read_content(path: Path, cap: int = FILE_CAP) -> Content:
    """Read a regular file of at most `cap` bytes.

    Parameters
    ----------
    path : Path
        The file.
    cap : int
        Largest size, looked at before reading.

    Returns
    -------
    Content
        The file.

    Raises
    ------
    ImageFileError
        If it is no regular file, or larger.
    OSError
        If it cannot be opened.
    """
    # Not blocking, so that a named pipe in the file's place is refused instead of waited for.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ImageFileError(f"{path} must be a regular file; put the data file there")
        if found.st_size > cap:
            raise _too_large(path, cap)
        data = file.read(found.st_size + 1)  # Python makes room for as many as it is asked for
    if len(data) > found.st_size:
        raise ImageFileError(f"{path} must not change while it is read; try again")
    return Content(path, data)


def unpacked_start(content: Content, length: int) -> tuple[bytes, zlib._Decompress]:
    """Return the first bytes of a gzip file, and the decompressor as it stands after them."""
    if not content.data.startswith(_GZIP_MAGIC):
        raise content.damaged("its name ends in .gz and it is not a gzip file")
    engine = zlib.decompressobj(wbits=31)
    try:
        return engine.decompress(content.data, length), engine
    except zlib.error as error:
        raise content.damaged(f"damaged gzip data ({error})") from None


def unpacked_rest(content: Content, engine: zlib._Decompress, length: int) -> bytes:
    """Return the next `length` bytes of a gzip file, which must be its last."""
    try:
        rest = engine.decompress(engine.unconsumed_tail, length) if length else b""
        if len(rest) == length and not engine.eof and engine.decompress(engine.unconsumed_tail, 1):
            raise content.damaged(f"it unpacks to more than the {length} bytes that its header announces")
    except zlib.error as error:
        raise content.damaged(f"damaged gzip data ({error})") from None
    if not engine.eof:
        raise content.damaged("its gzip data end early; the file is truncated")
    if len(rest) < length:
        raise content.damaged(f"it unpacks to {len(rest)} bytes where its header announces {length}")
    if engine.unused_data:
        raise content.damaged(f"{len(engine.unused_data)} bytes follow after the end of its gzip data")
    return rest


class _CappedGzip(io.RawIOBase):
    """The unpacked bytes of a gzip file, an error once there are more than the cap."""

    def __init__(self, content: Content, cap: int) -> None:
        self._content, self._left = content, cap
        self._engine = zlib.decompressobj(wbits=31)
        self._input, self._position = memoryview(content.data), 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; a tar reader never asks for all."""
        size = _CHUNK if size < 0 else min(size, self._left + 1)
        parts: list[bytes] = []
        missing = size
        while missing > 0 and not self._engine.eof:
            data = self._engine.unconsumed_tail
            if not data:
                data = bytes(self._input[self._position : self._position + _CHUNK])
                self._position += len(data)
                if not data:
                    raise self._content.damaged("its gzip data end early; the file is truncated")
            part = self._engine.decompress(data, missing)
            parts.append(part)
            missing -= len(part)
        found = b"".join(parts)
        self._left -= len(found)
        if self._left < 0:
            raise self._content.damaged(f"it unpacks to more than {UNPACKED_CAP // MIB} MiB")
        return found


def tar_members(content: Content, names: tuple[str, ...]) -> dict[str, Content]:
    """Read named members of a compressed tar archive into memory; nothing is written.

    Parameters
    ----------
    content : Content
        The archive.
    names : tuple of str
        Full names of the members, all others are skipped over.

    Returns
    -------
    dict of str to Content
        The members that are there, each a regular file of at most `BATCH_CAP` bytes.

    Raises
    ------
    ImageFileError
        If the archive is damaged or too large unpacked, or a member is.
    """
    if not content.data.startswith(_GZIP_MAGIC):
        raise content.damaged("its name ends in .gz and it is not a gzip file")
    found: dict[str, Content] = {}
    try:
        with tarfile.open(fileobj=_CappedGzip(content, UNPACKED_CAP), mode="r|") as archive:
            for member in archive:
                if member.name not in names:
                    continue
                where = Path(f"{content.path}/{member.name}")
                if not member.isreg() or member.name in found:
                    raise content.damaged(f"its member {member.name} is not one regular file")
                if member.size > BATCH_CAP:
                    raise _too_large(where, BATCH_CAP)
                file = archive.extractfile(member)
                data = b"" if file is None else file.read(member.size)
                if len(data) != member.size:
                    raise content.damaged(f"its member {member.name} ends early")
                found[member.name] = Content(where, data)
    except ImageFileError:
        raise
    except _TAR_ERRORS as error:
        raise content.damaged(f"not an intact tar archive ({error or type(error).__name__})") from None
    return found


def _too_large(path: Path, cap: int) -> ImageFileError:
    return ImageFileError(
        f"{path} must have at most {cap // MIB} MiB, which no published file exceeds; "
        "put the published file there"
    )
