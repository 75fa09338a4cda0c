"""Damaged, truncated, oversized, mislabelled and malicious files: one clear error, nothing left behind."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import image_files as files

from featsim.images import ImageFileError, contents, load
from featsim.images.batch_pickle import _ArrayType

IMAGES, LABELS = files.grey(5)
COLOURS, COLOUR_LABELS = files.colour(3)
IDX = files.idx_bytes(IMAGES)
PACKED = gzip.compress(IDX, mtime=0)


def refused(root: Path, name: str, message: str, split: str = "train") -> None:
    """Check that loading fails with one line that names the file, and changes nothing on disk."""
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(ImageFileError, match=message) as caught:
        load(name, split, root=root)
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


# ---------------------------------------------------------------- IDX

BAD_IMAGES = {
    "truncated gzip": (".gz", PACKED[:-20], "gzip data end early"),
    "cut in the header": (".gz", PACKED[:12], "not an IDX file of images|end early"),
    "damaged gzip": (".gz", flipped(PACKED, len(PACKED) // 2), "damaged gzip data|unpacks to"),
    "wrong checksum": (".gz", flipped(PACKED, len(PACKED) - 6), "damaged gzip data"),
    "something after it": (".gz", PACKED + b"more", "4 bytes follow after the end"),
    "not gzip": (".gz", IDX, "not a gzip file"),
    "empty": ("", b"", "not an IDX file of images"),
    "empty gz": (".gz", b"", "not a gzip file"),
    "gzip under a plain name": ("", PACKED, "its name does not end in .gz"),
    "labels in the place of images": ("", files.idx_bytes(LABELS), "an IDX file of labels, not of images"),
    "wrong magic": ("", b"\x00\x00\x0d\x03" + IDX[4:], "not an IDX file of images"),
    "too short": ("", IDX[:-1], "header announces 3920 bytes and 3919 follow"),
    "too long": ("", IDX + b"x", "header announces 3920 bytes and 3921 follow"),
    "packed too long": (".gz", gzip.compress(IDX + b"x"), "unpacks to more than the 3920 bytes"),
    "packed too short": (".gz", gzip.compress(IDX[:-1]), "unpacks to 3919 bytes where its header"),
    "huge header": ("", struct.pack(">IIII", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1), "more than the 512 MiB"),
    "other size": ("", files.idx_bytes(files.grey(5, shape=(8, 8))[0]), r"images have shape \(8, 8, 1\)"),
    "no image": (
        "",
        files.idx_bytes(np.zeros((0, 28, 28), np.uint8)),
        "4 labels|holds no image|has 5 labels",
    ),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_idx_images(tmp_path, case):
    ending, data, message = BAD_IMAGES[case]
    files.write(tmp_path / f"mnist/train-images-idx3-ubyte{ending}", data)
    files.write(tmp_path / "mnist/train-labels-idx1-ubyte", files.idx_bytes(LABELS))
    refused(tmp_path, "mnist", message)


def test_idx_labels_must_fit(tmp_path):
    files.write_idx_pair(tmp_path / "mnist", IMAGES, LABELS[:3])
    refused(tmp_path, "mnist", "3 labels, and train-images-idx3-ubyte.gz has 5 images")
    files.write_idx_pair(tmp_path / "mnist", IMAGES, LABELS + 7)
    refused(tmp_path, "mnist", r"labels must lie in 0..9, and one is 11")


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    import tracemalloc

    # Announces five images and unpacks to 200 MB.
    bomb = gzip.compress(IDX + bytes(200_000_000), compresslevel=1)
    files.write(tmp_path / "mnist/train-images-idx3-ubyte.gz", bomb)
    files.write(tmp_path / "mnist/train-labels-idx1-ubyte", files.idx_bytes(LABELS))
    del bomb
    tracemalloc.start()
    refused(tmp_path, "mnist", "unpacks to more than the 3920 bytes")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


# ---------------------------------------------------------------- npz

NPZ = files.npz_bytes(x_train=IMAGES, y_train=LABELS)
OBJECTS = np.array([{}, 1, 2, 3, 4], dtype=object)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


BAD_NPZ = {
    "empty": (b"", "no intact zip file"),
    "no zip": (IDX, "no intact zip file"),
    "cut": (NPZ[:-40], "no intact zip file"),
    "cut at the front": (NPZ[40:], "x_train|no intact zip file"),
    "damaged": (flipped(NPZ, len(NPZ) // 2), "x_train"),
    "other arrays": (files.npz_bytes(X=IMAGES, y=LABELS), "must hold one array x_train, and holds 0"),
    "objects": (files.npz_bytes(x_train=IMAGES, y_train=OBJECTS), "y_train: it must hold bytes row by row"),
    "floats": (
        files.npz_bytes(x_train=IMAGES / 1.0, y_train=LABELS),
        "must hold bytes row by row, got float64",
    ),
    "columns": (files.npz_bytes(x_train=np.asfortranarray(IMAGES), y_train=LABELS), "by columns"),
    "too few labels": (
        files.npz_bytes(x_train=IMAGES, y_train=LABELS[:3]),
        r"got shapes \(5, 28, 28\) and \(3,\)",
    ),
    "flat images": (files.npz_bytes(x_train=IMAGES.reshape(5, -1), y_train=LABELS), "got shapes"),
    "other size": (files.npz_bytes(x_train=files.grey(5, shape=(8, 8))[0], y_train=LABELS), r"\(8, 8, 1\)"),
    "no image": (files.npz_bytes(x_train=IMAGES[:0], y_train=LABELS[:0]), "holds no image"),
    "labels above 9": (files.npz_bytes(x_train=IMAGES, y_train=LABELS + 7), "labels must lie in 0..9"),
    "no header": (zipped(x_train=b"PK", y_train=npy(LABELS)), "x_train"),
    "header cut": (zipped(x_train=npy(IMAGES)[:50], y_train=npy(LABELS)), "x_train"),
    "bytes missing": (zipped(x_train=npy(IMAGES)[:-1], y_train=npy(LABELS)), "3919 bytes"),
    "bytes too many": (zipped(x_train=npy(IMAGES) + b"x", y_train=npy(LABELS)), "3921 bytes"),
    "huge shape": (
        zipped(x_train=npy(IMAGES).replace(b"(5, 28, 28)", b"(2**60,99)"), y_train=npy(LABELS)),
        "x_train",
    ),
    "code for a header": (
        zipped(x_train=npy(IMAGES).replace(b"(5, 28, 28)", b"exit(3)    "), y_train=npy(LABELS)),
        "x_train",
    ),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_npz(tmp_path, case):
    data, message = BAD_NPZ[case]
    files.write(tmp_path / "mnist/mnist.npz", data)
    refused(tmp_path, "mnist", message)


def test_two_arrays_of_one_name_are_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for data in (npy(IMAGES), npy(IMAGES), npy(LABELS)):
            archive.writestr("y_train.npy" if data == npy(LABELS) else "x_train.npy", data)
    files.write(tmp_path / "mnist/mnist.npz", buffer.getvalue())
    refused(tmp_path, "mnist", "must hold one array x_train, and holds 2")


def test_a_pickle_in_an_npz_is_not_run(tmp_path):
    marker = tmp_path / "made"
    hostile = np.empty(5, dtype=object)
    hostile[:] = [files.Marker(marker)] * 5
    files.write(tmp_path / "mnist/mnist.npz", files.npz_bytes(x_train=IMAGES, y_train=hostile))
    refused(tmp_path, "mnist", "must hold bytes")
    # Nor where the bytes of a pickle stand in place of an array.
    files.write(
        tmp_path / "mnist/mnist.npz", zipped(x_train=files.hostile_pickle(marker), y_train=npy(LABELS))
    )
    refused(tmp_path, "mnist", "x_train")
    assert not marker.exists()


def test_an_npz_bomb_is_not_unpacked(tmp_path):
    import tracemalloc

    bomb = zipped(x_train=npy(IMAGES) + bytes(40_000_000), y_train=npy(LABELS))
    announced = struct.pack("<I", len(npy(IMAGES)) + 40_000_000)
    assert bomb.count(announced) == 2  # in the member's own header and in the directory
    lying = bomb.replace(announced, struct.pack("<I", len(npy(IMAGES))))
    large = bomb.replace(announced, struct.pack("<I", 600 << 20))
    del bomb
    for data, message in ((lying, "x_train"), (large, "more than the 512 MiB")):
        files.write(tmp_path / "mnist/mnist.npz", data)
        tracemalloc.start()
        refused(tmp_path, "mnist", message)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()


def test_random_damage_to_an_npz_is_an_error_or_seen(tmp_path):
    """A checksum guards the arrays; a changed name or date of a member may do no harm."""
    rng = np.random.default_rng(0)
    path = tmp_path / "mnist/mnist.npz"
    for at in rng.integers(0, len(NPZ), 200):
        files.write(path, flipped(NPZ, int(at)))
        try:
            found = load("mnist", root=tmp_path)
        except ImageFileError:
            continue
        np.testing.assert_array_equal(found.X[..., 0] * 255.0, IMAGES)
        np.testing.assert_array_equal(found.y, LABELS)


def test_published_files_of_another_set_are_refused(tmp_path, monkeypatch):
    import dataclasses
    import hashlib

    from featsim.images import loading

    files.write_idx_pair(tmp_path / "fashion-mnist", IMAGES, LABELS)
    path = tmp_path / "fashion-mnist/train-images-idx3-ubyte.gz"
    mnist = loading.PUBLISHED["mnist"]
    known = dataclasses.replace(mnist.downloads[0], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    changed = dataclasses.replace(mnist, downloads=(known, *mnist.downloads[1:]))
    monkeypatch.setitem(loading.PUBLISHED, "mnist", changed)
    refused(tmp_path, "fashion-mnist", "it is train-images-idx3-ubyte.gz of MNIST, not of Fashion-MNIST")


# ---------------------------------------------------------------- what is no file


def test_oversized_files_are_refused_before_they_are_read(tmp_path):
    path = files.write(tmp_path / "svhn/train_32x32.mat", b"")
    with path.open("wb") as file:
        file.truncate(contents.FILE_CAP + 1)  # sparse: no disk is used
    refused(tmp_path, "svhn", "at most 512 MiB")
    path = files.write(tmp_path / "cifar10/cifar-10-batches-py/test_batch", b"")
    with path.open("wb") as file:
        file.truncate(contents.BATCH_CAP + 1)
    refused(tmp_path, "cifar10", "at most 64 MiB", "test")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_folders_are_not_read(tmp_path):
    (tmp_path / "svhn").mkdir()
    os.mkfifo(tmp_path / "svhn/train_32x32.mat")
    refused(tmp_path, "svhn", "must be a regular file")
    (tmp_path / "svhn/test_32x32.mat").mkdir()
    with pytest.raises((ImageFileError, IsADirectoryError)):
        load("svhn", "test", root=tmp_path)


def test_a_broken_link_is_no_file(tmp_path):
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn/train_32x32.mat").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="train_32x32"):
        load("svhn", root=tmp_path)


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
    refused(tmp_path, "cifar10", message)


def test_archives(tmp_path):
    path = tmp_path / "cifar10/cifar-10-binary.tar.gz"
    member = "cifar-10-batches-bin/data_batch_1.bin"
    good = files.archive({member: BINARY})
    for data, message in (
        (good[:-30], "end early|not an intact tar"),
        (flipped(good, len(good) // 2), "not an intact tar"),
        (b"nothing", "not a gzip file"),
        (gzip.compress(b"no tar at all" * 100), "not an intact tar|has no train batch"),
        (files.archive({"other": b"x"}), "it has no train batch"),
        (files.archive({"../../evil": b"x", "/tmp/evil": b"y"}), "it has no train batch"),
        (files.archive({member: b""}, tarfile.SYMTYPE), "is not one regular file"),
        (files.archive({member: b""}, tarfile.LNKTYPE), "is not one regular file"),
        (files.archive({member: BINARY[:-1]}), "no whole number of records"),
    ):
        files.write(path, data)
        refused(tmp_path, "cifar10", message)
    assert not list(tmp_path.parent.rglob("*evil*"))


def test_an_archive_bomb_stops_at_the_cap(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "UNPACKED_CAP", 1 << 20)
    files.write(tmp_path / "cifar-10-binary.tar.gz", files.archive({"filler": bytes(5_000_000)}))
    refused(tmp_path, "cifar10", "unpacks to more than")
    monkeypatch.setattr(contents, "UNPACKED_CAP", 1 << 30)
    monkeypatch.setattr(contents, "BATCH_CAP", 1 << 20)
    large = files.archive({"cifar-10-batches-bin/data_batch_1.bin": bytes(2_000_000)})
    files.write(tmp_path / "cifar-10-binary.tar.gz", large)
    refused(tmp_path, "cifar10", "must have at most 1 MiB")


# ---------------------------------------------------------------- pickles


def as_batch(root: Path, data: bytes) -> None:
    files.write(root / "cifar10/cifar-10-batches-py/data_batch_1", data)


def test_a_malicious_pickle_is_not_run(tmp_path):
    marker = tmp_path / "run"
    as_batch(tmp_path, files.hostile_pickle(marker))
    refused(tmp_path, "cifar10", "nothing in it was run .*mkdir")
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
    refused(tmp_path, "cifar10", "not a CIFAR-10 batch, and nothing in it was run")


def test_the_readers_own_classes_cannot_be_changed(tmp_path):
    before = dict(vars(_ArrayType))
    as_batch(tmp_path, b"\x80\x02" + PUT + b"(N}U\x01xK\x07stb.")  # a state for the class itself
    refused(tmp_path, "cifar10", "nothing in it was run")
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
        (flipped(MAT, 400), "cannot be read"),
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
    refused(tmp_path, "svhn", message)


def test_matlab_objects_are_not_read(tmp_path):
    import io

    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"X": np.array([{"a": 1}], dtype=object), "y": np.ones((1, 1))})
    files.write(tmp_path / "svhn/train_32x32.mat", buffer.getvalue())
    refused(tmp_path, "svhn", "not an array of real numbers")


def test_a_matlab_bomb_stops_at_the_cap(tmp_path, monkeypatch):
    from featsim.images import matlab

    monkeypatch.setattr(matlab, "UNPACKED_CAP", 1 << 20)
    images = np.zeros((600, 32, 32, 3), np.uint8)
    files.write(tmp_path / "svhn/train_32x32.mat", files.svhn_bytes(images, np.ones(600)))
    refused(tmp_path, "svhn", "unpacks to more than")


def test_random_damage_to_a_matlab_file_is_an_error_or_seen(tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(PLAIN)
        for at in rng.integers(128, 220, 2):
            damaged[at] = rng.integers(0, 256)
        files.write(tmp_path / "svhn/train_32x32.mat", bytes(damaged))
        with contextlib.suppress(ImageFileError):
            assert load("svhn", root=tmp_path).image_shape == (32, 32, 3)
