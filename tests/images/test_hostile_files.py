"""Damaged, truncated, oversized, mislabelled and malicious files: one clear error, nothing left behind."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import image_files as files

from featsim.images import ImageFileError, contents, load

IMAGES, LABELS = files.grey(5)
COLOURS, COLOUR_LABELS = files.colour(3)
IDX = files.idx_bytes(IMAGES)
PACKED = gzip.compress(IDX, mtime=0)


# ---------------------------------------------------------------- IDX

BAD_IMAGES = {
    "truncated gzip": (".gz", PACKED[:-20], "gzip data end early"),
    "cut in the header": (".gz", PACKED[:12], "not an IDX file of images|end early"),
    "damaged gzip": (".gz", files.flipped(PACKED, len(PACKED) // 2), "damaged gzip data|unpacks to"),
    "wrong checksum": (".gz", files.flipped(PACKED, len(PACKED) - 6), "damaged gzip data"),
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
    files.refused(tmp_path, "mnist", message)


def test_idx_labels_must_fit(tmp_path):
    files.write_idx_pair(tmp_path / "mnist", IMAGES, LABELS[:3])
    files.refused(tmp_path, "mnist", "3 labels, and train-images-idx3-ubyte.gz has 5 images")
    files.write_idx_pair(tmp_path / "mnist", IMAGES, LABELS + 7)
    files.refused(tmp_path, "mnist", r"labels must lie in 0..9, and one is 11")


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    import tracemalloc

    # Announces five images and unpacks to 200 MB.
    bomb = gzip.compress(IDX + bytes(200_000_000), compresslevel=1)
    files.write(tmp_path / "mnist/train-images-idx3-ubyte.gz", bomb)
    files.write(tmp_path / "mnist/train-labels-idx1-ubyte", files.idx_bytes(LABELS))
    del bomb
    tracemalloc.start()
    files.refused(tmp_path, "mnist", "unpacks to more than the 3920 bytes")
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
    "damaged": (files.flipped(NPZ, len(NPZ) // 2), "x_train"),
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
    files.refused(tmp_path, "mnist", message)


def test_two_arrays_of_one_name_are_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for data in (npy(IMAGES), npy(IMAGES), npy(LABELS)):
            archive.writestr("y_train.npy" if data == npy(LABELS) else "x_train.npy", data)
    files.write(tmp_path / "mnist/mnist.npz", buffer.getvalue())
    files.refused(tmp_path, "mnist", "must hold one array x_train, and holds 2")


def test_a_pickle_in_an_npz_is_not_run(tmp_path):
    marker = tmp_path / "made"
    hostile = np.empty(5, dtype=object)
    hostile[:] = [files.Marker(marker)] * 5
    files.write(tmp_path / "mnist/mnist.npz", files.npz_bytes(x_train=IMAGES, y_train=hostile))
    files.refused(tmp_path, "mnist", "must hold bytes")
    # Nor where the bytes of a pickle stand in place of an array.
    files.write(
        tmp_path / "mnist/mnist.npz", zipped(x_train=files.hostile_pickle(marker), y_train=npy(LABELS))
    )
    files.refused(tmp_path, "mnist", "x_train")
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
        files.refused(tmp_path, "mnist", message)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()


def test_random_damage_to_an_npz_is_an_error_or_seen(tmp_path):
    """A checksum guards the arrays; a changed name or date of a member may do no harm."""
    rng = np.random.default_rng(0)
    path = tmp_path / "mnist/mnist.npz"
    for at in rng.integers(0, len(NPZ), 200):
        files.write(path, files.flipped(NPZ, int(at)))
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
    files.refused(
        tmp_path, "fashion-mnist", "it is train-images-idx3-ubyte.gz of MNIST, not of Fashion-MNIST"
    )


# ---------------------------------------------------------------- what is no file


def test_oversized_files_are_refused_before_they_are_read(tmp_path):
    path = files.write(tmp_path / "svhn/train_32x32.mat", b"")
    with path.open("wb") as file:
        file.truncate(contents.FILE_CAP + 1)  # sparse: no disk is used
    files.refused(tmp_path, "svhn", "at most 512 MiB")
    path = files.write(tmp_path / "cifar10/cifar-10-batches-py/test_batch", b"")
    with path.open("wb") as file:
        file.truncate(contents.BATCH_CAP + 1)
    files.refused(tmp_path, "cifar10", "at most 64 MiB", "test")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_folders_are_not_read(tmp_path):
    (tmp_path / "svhn").mkdir()
    os.mkfifo(tmp_path / "svhn/train_32x32.mat")
    files.refused(tmp_path, "svhn", "must be a regular file")
    (tmp_path / "svhn/test_32x32.mat").mkdir()
    with pytest.raises((ImageFileError, IsADirectoryError)):
        load("svhn", "test", root=tmp_path)


def test_a_broken_link_is_no_file(tmp_path):
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn/train_32x32.mat").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="train_32x32"):
        load("svhn", root=tmp_path)
