"""Image sets in the formats of their authors."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import image_files as files

from featsim.images import data_root, is_available, load, patch_images, verify
from featsim.images.patching import Patching


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("mnist", "."),
        ("fashion-mnist", "fashion-mnist"),
        ("fashion-mnist", "FashionMNIST/raw"),
    ],
)
def test_idx_in_every_place(tmp_path, no_network, name, folder, packed):
    images, labels = files.grey()
    files.write_idx_pair(tmp_path / folder, images, labels, packed=packed)
    files.write_idx_pair(tmp_path / folder, images[:4], labels[:4], "t10k", packed=packed)
    found = load(name, root=tmp_path)
    np.testing.assert_array_equal(found.X, images[..., None] / 255.0)
    np.testing.assert_array_equal(found.y, labels)
    np.testing.assert_array_equal(found.index, np.arange(6))
    assert found.X.dtype == np.float64 and found.y.dtype == np.int64 and not found.X.flags.writeable
    assert found.official is (False if packed else None)  # a checksum is published for the packed form only
    assert load(name, "test", root=tmp_path).n_images == 4
    assert is_available(name, tmp_path) and not is_available("svhn", tmp_path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folder", ["mnist", "."])
def test_the_npz_file_of_keras(tmp_path, no_network, folder, packed):
    images, labels = files.grey()
    splits = {"x_train": images, "y_train": labels, "x_test": images[:4], "y_test": labels[:4]}
    files.write(tmp_path / folder / "mnist.npz", files.npz_bytes(packed, **splits))
    for split, n in (("train", 6), ("test", 4)):
        found = load("mnist", split, root=tmp_path)
        np.testing.assert_array_equal(found.X, images[:n, ..., None] / 255.0)
        np.testing.assert_array_equal(found.y, labels[:n])
        assert found.official is False and found.source.endswith("mnist.npz")
    assert is_available("mnist", tmp_path) and not is_available("fashion-mnist", tmp_path)
    # The published IDX files come before it.
    files.write_idx_pair(tmp_path / folder, images[:2], labels[:2])
    assert load("mnist", root=tmp_path).n_images == 2


def test_own_folder_comes_first(tmp_path):
    images, labels = files.grey()
    files.write_idx_pair(tmp_path / "MNIST/raw", images[:2], labels[:2])
    files.write_idx_pair(tmp_path / "mnist", images, labels)
    assert load("mnist", root=tmp_path).n_images == 6


@pytest.mark.parametrize("folder", ["cifar10", "."])
def test_cifar_binary_python_and_archives_agree(tmp_path, no_network, folder):
    (first, y1), (second, y2) = files.colour(5, 0), files.colour(3, 1)
    binary = {1: files.binary_batch(first, y1), 2: files.binary_batch(second, y2)}
    python = {1: files.python_batch(first, y1), 2: files.python_batch(second, y2, names=False)}
    forms = {
        "bin": {f"cifar-10-batches-bin/data_batch_{i}.bin": data for i, data in binary.items()},
        "py": {f"cifar-10-batches-py/data_batch_{i}": data for i, data in python.items()},
    }
    forms["bin.tar"] = {"cifar-10-binary.tar.gz": files.archive(forms["bin"])}
    forms["py.tar"] = {"cifar-10-python.tar.gz": files.archive({**forms["py"], "../outside": b"x"})}
    for form, contents in forms.items():
        root = tmp_path / form
        for name, data in contents.items():
            files.write(root / folder / name, data)
        before = sorted(root.rglob("*"))
        found = load("cifar10", root=root)
        np.testing.assert_array_equal(found.X, np.concatenate([first, second]) / 255.0)
        np.testing.assert_array_equal(found.y, np.concatenate([y1, y2]))
        assert found.official is (None if form == "bin" else False)
        assert sorted(root.rglob("*")) == before  # nothing was unpacked


def test_python_batches_are_what_pickle_would_read(tmp_path):
    import pickle

    images, labels = files.colour(4)
    plain = pickle.loads(files.python_batch(images, labels), encoding="bytes")
    files.write(tmp_path / "cifar-10-batches-py/test_batch", files.python_batch(images, labels))
    found = load("cifar10", "test", root=tmp_path)
    np.testing.assert_array_equal(found.X, plain[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) / 255)
    np.testing.assert_array_equal(found.y, plain[b"labels"])


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("n", [2, 30])
def test_svhn(tmp_path, no_network, compressed, n):
    images, _ = files.colour(n)
    labels = np.arange(n) % 10
    files.write(tmp_path / "svhn/train_32x32.mat", files.svhn_bytes(images, labels, compressed))
    found = load("svhn", root=tmp_path)
    np.testing.assert_array_equal(found.X, images / 255.0)
    np.testing.assert_array_equal(found.y, labels)  # 10 in the file is the digit 0
    assert found.official is False and found.image_shape == (32, 32, 3)


def test_classes_n_and_index(tmp_path):
    images, labels = files.grey(40)
    files.write_idx_pair(tmp_path, images, labels)
    some = load("mnist", root=tmp_path, classes=(3, 8), n=5, seed=2)
    np.testing.assert_array_equal(some.X[..., 0] * 255, images[some.index])
    np.testing.assert_array_equal(some.y, labels[some.index])
    assert set(some.y) <= {3, 8} and some.n_images == 5
    with pytest.raises(ValueError, match="n must be <= 8"):
        load("mnist", root=tmp_path, classes=(3, 8), n=9)
    order = np.random.default_rng(4).permutation(40)[:7]
    np.testing.assert_array_equal(load("mnist", root=tmp_path, n=7, seed=4).index, order)


def test_roots(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATSIM_DATA", str(tmp_path / "here"))
    assert data_root() == tmp_path / "here" and data_root(tmp_path) == tmp_path
    monkeypatch.delenv("FEATSIM_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert data_root() == tmp_path / "featsim"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert data_root() == Path.home() / "Library/Caches/featsim"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert data_root() == tmp_path / "local/featsim"


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "svhn"])
def test_what_is_missing_is_one_message(tmp_path, no_network, name):
    with pytest.raises(FileNotFoundError) as caught:
        load(name, "test", root=tmp_path)
    text = str(caught.value)
    assert str(tmp_path / name) in text and "sha256" in text and "http" in text
    assert f"featsim data fetch {name}" in text and "\n" not in text
    assert list(tmp_path.iterdir()) == []


def test_verify_reports_every_split(tmp_path):
    images, labels = files.grey()
    files.write_idx_pair(tmp_path / "mnist", images, labels)
    files.write(tmp_path / "svhn/test_32x32.mat", b"no such thing")
    states = {(report.name, report.split): report for report in verify(tmp_path)}
    assert states["digits", "train"].state == states["mnist", "train"].state == "intact"
    assert states["mnist", "train"].words == "a subset or changed"
    assert states["mnist", "test"].state == states["cifar10", "train"].state == "absent"
    assert states["svhn", "test"].state == "damaged" and "MATLAB" in states["svhn", "test"].source


# ---------------------------------------------------------------- the real files, where they are


def test_mnist_training_pair_is_official(shared_data):
    found = load("mnist", root=shared_data, n=100)
    assert found.official is True
    assert found.index.max() > 1000 and found.X.shape == (100, 28, 28, 1)


@pytest.mark.parametrize(
    ("name", "split", "n", "counts"),
    [
        ("mnist", "test", 8000, [801, 882, 814, 821, 790, 738, 771, 822, 758, 803]),
        ("fashion-mnist", "train", 5000, None),
        ("fashion-mnist", "test", 1062, None),
        ("cifar10", "train", 7135, None),
        ("cifar10", "test", 611, None),
        ("svhn", "train", 700, None),
        ("svhn", "test", 179, None),
    ],
)
def test_subsets_load_and_say_so(shared_data, name, split, n, counts):
    found = load(name, split, root=shared_data, n=n)
    assert found.official is (None if name == "cifar10" else False)
    if counts:
        np.testing.assert_array_equal(np.bincount(found.y), counts)
    assert set(found.y) <= set(range(10))


def test_python_and_binary_batches_agree(shared_data, tmp_path):
    (tmp_path / "cifar-10-batches-py").symlink_to(shared_data / "cifar10/cifar-10-batches-py")
    python = load("cifar10", root=tmp_path)
    binary = load("cifar10", root=shared_data)
    assert python.n_images == 1500
    np.testing.assert_array_equal(python.X[:1000], binary.X[:1000])
    np.testing.assert_array_equal(python.X[1000:], binary.X[4000:4500])
    np.testing.assert_array_equal(python.y[1000:], binary.y[4000:4500])


def test_svhn_is_what_scipy_reads(shared_data):
    from scipy.io import loadmat

    expected = loadmat(shared_data / "svhn/test_32x32.mat", variable_names=["X", "y"])
    found = load("svhn", "test", root=shared_data)
    np.testing.assert_array_equal(found.X, expected["X"].transpose(3, 0, 1, 2) / 255.0)
    np.testing.assert_array_equal(found.y, expected["y"].ravel() % 10)


def ridge(train, test, strength):
    """Accuracy of ridge regression on one-hot labels."""
    X = train.X.reshape(train.n_images, -1)
    mean = X.mean(axis=0)
    X = X - mean
    targets = np.eye(10)[train.y] - 0.1
    weights = np.linalg.solve(X.T @ X + strength * np.eye(X.shape[1]), X.T @ targets)
    scores = (test.X.reshape(test.n_images, -1) - mean) @ weights
    return float(np.mean(scores.argmax(axis=1) == test.y))


def test_labels_belong_to_their_images(shared_data):
    fashion = [load("fashion-mnist", split, root=shared_data) for split in ("train", "test")]
    assert ridge(*fashion, 10.0) == pytest.approx(0.806, abs=0.0006)


@pytest.mark.slow
def test_labels_belong_to_their_images_everywhere(shared_data):
    for name, strength, expected in (("mnist", 10.0, 0.859), ("cifar10", 300.0, 0.362)):
        sets = [load(name, split, root=shared_data) for split in ("train", "test")]
        assert ridge(*sets, strength) == pytest.approx(expected, abs=0.0006)


def test_colour_patches(shared_data):
    images = load("cifar10", "test", root=shared_data, n=4)
    data = patch_images(images, Patching(size=8))
    assert data.X.shape == (4, 16, 192)
