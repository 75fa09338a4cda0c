"""Damaged and malicious batches: CIFAR-10's binaries, archives and pickles, MATLAB files of SVHN."""

from __future__ import annotations

import contextlib
import gzip
import pickle
import struct
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import image_files as files

from featsim.images import ImageFileError, contents, load
from featsim.images.batch_pickle import _ArrayType

COLOURS, COLOUR_LABELS = files.colour(3)


# ---------------------------------------------------------------- CIFAR-10

BINARY = files.binary_batch(COLOURS, COLOUR_LABELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BINARY[:-1], "no whole number of records"),
        (b"", "no whole number of records"),
        (bytes([10]) + BINARY[1:], "labels must lie in 0..9, and one is 10"),
    ],
)
def test_binary_batches(tmp_path, data, message):
    files.write(tmp_path / "cifar10/cifar-10-batches-bin/data_batch_1.bin", data)
    files.refused(tmp_path, "cifar10", message)


def test_archives(tmp_path):
    path = tmp_path / "cifar10/cifar-10-binary.tar.gz"
    member = "cifar-10-batches-bin/data_batch_1.bin"
    good = files.archive({member: BINARY})
    for data, message in (
        (good[:-30], "end early|not an intact tar"),
        (files.flipped(good, len(good) // 2), "not an intact tar"),
        (b"nothing", "not a gzip file"),
        (gzip.compress(b"no tar at all" * 100), "not an intact tar|has no train batch"),
        (files.archive({"other": b"x"}), "it has no train batch"),
        (files.archive({"../../evil": b"x", "/tmp/evil": b"y"}), "it has no train batch"),
        (files.archive({member: b""}, tarfile.SYMTYPE), "is not one regular file"),
        (files.archive({member: b""}, tarfile.LNKTYPE), "is not one regular file"),
        (files.archive({member: BINARY[:-1]}), "no whole number of records"),
    ):
        files.write(path, data)
        files.refused(tmp_path, "cifar10", message)
    assert not list(tmp_path.parent.rglob("*evil*"))


def test_an_archive_bomb_stops_at_the_cap(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "UNPACKED_CAP", 1 << 20)
    files.write(tmp_path / "cifar-10-binary.tar.gz", files.archive({"filler": bytes(5_000_000)}))
    files.refused(tmp_path, "cifar10", "unpacks to more than")
    monkeypatch.setattr(contents, "UNPACKED_CAP", 1 << 30)
    monkeypatch.setattr(contents, "BATCH_CAP", 1 << 20)
    large = files.archive({"cifar-10-batches-bin/data_batch_1.bin": bytes(2_000_000)})
    files.write(tmp_path / "cifar-10-binary.tar.gz", large)
    files.refused(tmp_path, "cifar10", "must have at most 1 MiB")


# ---------------------------------------------------------------- pickles


def as_batch(root: Path, data: bytes) -> None:
    files.write(root / "cifar10/cifar-10-batches-py/data_batch_1", data)


def test_a_malicious_pickle_is_not_run(tmp_path):
    marker = tmp_path / "run"
    as_batch(tmp_path, files.hostile_pickle(marker))
    files.refused(tmp_path, "cifar10", "nothing in it was run .*mkdir")
    assert not marker.exists()
    # The danger is real: pickle itself runs it.
    pickle.loads(files.hostile_pickle(marker))
    assert marker.is_dir()


GOOD = files.python_batch(COLOURS, COLOUR_LABELS)
PUT = b"cnumpy\nndarray\n"
BAD_PICKLES = {
    "empty": b"",
    "text": b"hello",
    "truncated": GOOD[: len(GOOD) // 2],
    "no end": GOOD[:-1],
    "a list": b"\x80\x02].",
    "a number": b"\x80\x02K\x01.",
    "no data": b"\x80\x02}(U\x06labels](K\x01eu.",
    "not numpy": GOOD.replace(b"numpy.core.multiarray\n_reconstruct", b"os\nsystem"),
    "another of numpy's": GOOD.replace(b"cnumpy\ndtype", b"cnumpy\nload"),
    "numpy's test runner": b"\x80\x02cnumpy.testing._private.utils\nrunstring\n(U\x01xU\x01ytR.",
    "builtins": b"\x80\x02c__builtin__\neval\n(U\x031+1tR.",
    "by inst": b"(S'1'\nios\nsystem\n.",
    "by extension": b"\x80\x02\x82\x01.",
    "by stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "from outside": b"\x80\x02U\x01xQ.",
    "an array that is called": b"\x80\x02" + PUT + b"K\x01\x85R.",
    "a memory bomb": b"\x80\x02}r\xff\xff\xff\x7f.",
    "bytes that are not there": b"\x80\x02T\xff\xff\xff\x7fxx.",
    "many calls": b"\x80\x02" + (PUT + b")R") * 20 + b".",
    "other type": GOOD.replace(b"U\x02u1", b"U\x02O8"),
    "float data": GOOD.replace(b"U\x02u1", b"U\x02f8"),
    "other shape": GOOD.replace(b"M\x00\x0c\x86", b"M\x01\x0c\x86"),
    "fewer labels": files.python_batch(COLOURS, COLOUR_LABELS[:-1]),
    "label 10": files.python_batch(COLOURS, COLOUR_LABELS * 0 + 10),
    "no array": GOOD[: GOOD.index(b"cnumpy.core")] + b"]" + GOOD[GOOD.index(b"U\x06labels") :],
    "nothing on the stack": b"\x80\x02R.",
}


@pytest.mark.parametrize("case", BAD_PICKLES)
def test_pickles_that_are_no_batches(tmp_path, case):
    as_batch(tmp_path, BAD_PICKLES[case])
    files.refused(tmp_path, "cifar10", "not a CIFAR-10 batch, and nothing in it was run")


def test_the_readers_own_classes_cannot_be_changed(tmp_path):
    before = dict(vars(_ArrayType))
    as_batch(tmp_path, b"\x80\x02" + PUT + b"(N}U\x01xK\x07stb.")  # a state for the class itself
    files.refused(tmp_path, "cifar10", "nothing in it was run")
    assert dict(vars(_ArrayType)) == before


def test_random_damage_to_a_pickle_is_an_error_or_harmless(tmp_path):
    rng = np.random.default_rng(0)
    head = GOOD.index(b"T")  # instructions before the pixels
    for _ in range(300):
        damaged = bytearray(GOOD)
        for at in rng.integers(0, head, 2):
            damaged[at] = rng.integers(0, 256)
        as_batch(tmp_path, bytes(damaged))
        try:
            assert load("cifar10", root=tmp_path).n_images == 3
        except ImageFileError as error:
            assert "nothing in it was run" in str(error)


# ---------------------------------------------------------------- MATLAB

MAT = files.svhn_bytes(COLOURS, COLOUR_LABELS)
PLAIN = files.svhn_bytes(COLOURS, COLOUR_LABELS, compressed=False)


def mat_bomb(sides: tuple[int, ...], n_bytes: int, compressed: bool = True, name: bytes = b"X") -> bytes:
    """A matrix of given announced size, with fewer bytes in it."""
    body = struct.pack("<IIII", 6, 8, 9, 0) + struct.pack("<II", 5, 4 * len(sides))
    body += struct.pack(f"<{len(sides)}i", *sides) + struct.pack("<HH4s", 1, 1, name)
    body += struct.pack("<II", 2, n_bytes)
    element = struct.pack("<II", 14, len(body) + n_bytes) + body
    if compressed:
        packed = zlib.compress(element)
        element = struct.pack("<II", 15, len(packed)) + packed
    return PLAIN[:128] + element


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a MATLAB 5 file"),
        (b"MATLAB 7.3 MAT-file" + bytes(200), "not a MATLAB 5 file"),
        (MAT[:-50], "truncated"),
        (PLAIN[:-50], "truncated"),
        (files.flipped(MAT, 400), "cannot be read"),
        (mat_bomb((32, 32, 3, 2**20), 2**32 - 2000), "longer than what holds it|truncated"),
        (mat_bomb((2**30, 2**30, 3, 2**30), 16), "longer than what holds it"),
        (mat_bomb((32, 32, 3, -1), 0), r"shape \(32, 32, 3, -1\)"),
        (mat_bomb((2, 2), 0, name=b"Z"), "it has no variable X"),
        (files.svhn_bytes(COLOURS[:, :16], COLOUR_LABELS), r"images have shape \(16, 32, 3\)"),
        (files.svhn_bytes(COLOURS, COLOUR_LABELS + 20), "labels must be the numbers 1..10"),
        (files.svhn_bytes(COLOURS, COLOUR_LABELS[:-1]), "y .N, 1. numbers"),
        (files.svhn_bytes(COLOURS / 2, COLOUR_LABELS), "X must hold bytes"),
        (files.svhn_bytes(COLOURS * 1j, COLOUR_LABELS), "not an array of real numbers"),
    ],
)
def test_matlab(tmp_path, data, message):
    files.write(tmp_path / "svhn/train_32x32.mat", data)
    files.refused(tmp_path, "svhn", message)


def test_matlab_objects_are_not_read(tmp_path):
    import io

    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"X": np.array([{"a": 1}], dtype=object), "y": np.ones((1, 1))})
    files.write(tmp_path / "svhn/train_32x32.mat", buffer.getvalue())
    files.refused(tmp_path, "svhn", "not an array of real numbers")


def test_a_matlab_bomb_stops_at_the_cap(tmp_path, monkeypatch):
    from featsim.images import matlab

    monkeypatch.setattr(matlab, "UNPACKED_CAP", 1 << 20)
    images = np.zeros((600, 32, 32, 3), np.uint8)
    files.write(tmp_path / "svhn/train_32x32.mat", files.svhn_bytes(images, np.ones(600)))
    files.refused(tmp_path, "svhn", "unpacks to more than")


def test_random_damage_to_a_matlab_file_is_an_error_or_seen(tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(PLAIN)
        for at in rng.integers(128, 220, 2):
            damaged[at] = rng.integers(0, 256)
        files.write(tmp_path / "svhn/train_32x32.mat", bytes(damaged))
        with contextlib.suppress(ImageFileError):
            assert load("svhn", root=tmp_path).image_shape == (32, 32, 3)
