"""Small files in the formats of the image sets, for tests."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from featsim.images import ImageFileError, load


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">{array.ndim + 1}I", 2048 + array.ndim, *array.shape) + array.tobytes()


def grey(n: int = 6, seed: int = 0, shape: tuple[int, int] = (28, 28)):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8), (np.arange(n) % 10).astype(np.uint8)


def colour(n: int = 5, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, n).astype(np.uint8)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_idx_pair(folder: Path, images, labels, part: str = "train", packed: bool = True) -> None:
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        data = idx_bytes(array)
        name = f"{part}-{kind}-ubyte"
        write(folder / (f"{name}.gz" if packed else name), gzip.compress(data, mtime=0) if packed else data)


def binary_batch(images, labels) -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels[:, None], planes], axis=1).astype(np.uint8).tobytes()


def short_string(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def python_batch(images, labels, names: bool = True) -> bytes:
    """A batch as Python 2 wrote it: protocol 2, byte strings, numpy.core names."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1).tobytes()
    shape = b"K" + bytes([len(images)]) + b"M" + struct.pack("<H", 3072) + b"\x86"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85" + short_string(b"b")
        + b"\x87Rq\x03(K\x01" + shape + b"cnumpy\ndtype\n" + short_string(b"u1") + b"K\x00K\x01\x87R"
        + b"(K\x03" + short_string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"T" + struct.pack("<i", len(planes)) + planes + b"tb"
    )  # fmt: skip
    listed = b"](" + b"".join(b"K" + bytes([int(label)]) for label in labels) + b"e"
    files = short_string(b"filenames") + b"](" + b"".join(short_string(b"x.png") for _ in labels) + b"e"
    body = short_string(b"data") + array + short_string(b"labels") + listed + (files if names else b"")
    return b"\x80\x02}q\x00(" + body + b"u."


def archive(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = (len(data), kind) if kind == tarfile.REGTYPE else (0, kind)
            info.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            tar.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return buffer.getvalue()


def svhn_bytes(images, labels, compressed: bool = True) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    marked = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(buffer, {"X": images.transpose(1, 2, 3, 0), "y": marked}, do_compression=compressed)
    return buffer.getvalue()


def npz_bytes(packed: bool = True, **arrays) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


class Marker:
    """Unpickled, makes a folder: what a malicious file would do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.folder),)


def hostile_pickle(folder: Path) -> bytes:
    return pickle.dumps({"data": Marker(folder), "labels": [1]}, protocol=2)


def refused(root: Path, name: str, message: str, split: str = "train") -> None:
    """Check that loading fails with one line that names the file, and changes nothing on disk."""
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(ImageFileError, match=message) as caught:
        load(name, split, root=root)
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
