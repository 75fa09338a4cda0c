"""The embedded digits and what can be done with a set of images."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from featsim.images import digits as digits_module
from featsim.images import load
from featsim.images.digits import verified_digits


def test_the_splits_are_those_of_the_note():
    train, test = load("digits"), load("digits", "test")
    assert train.X.shape == (1300, 8, 8, 1)
    assert test.X.shape == (497, 8, 8, 1)
    order = np.random.default_rng(12345).permutation(1797)
    np.testing.assert_array_equal(np.concatenate([train.index, test.index]), order)
    # Class counts of the published test part (UCI data set 80).
    counts = np.bincount(np.concatenate([train.y, test.y]))
    np.testing.assert_array_equal(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert train.X.dtype == np.float64
    assert train.y.dtype == np.int64
    assert train.X.min() == 0.0
    assert train.X.max() == 1.0
    np.testing.assert_array_equal(train.X * 16, np.round(train.X * 16))
    assert train.official is True
    assert "CC BY 4.0" in train.licence
    assert "Alpaydin" in train.citation
    assert not train.X.flags.writeable


def test_pixels_are_the_published_ones():
    # First line of the published file: a zero.
    pixels, labels = verified_digits(digits_module._embedded_bytes())
    np.testing.assert_array_equal(pixels[0, 0], [0, 0, 5, 13, 9, 1, 0, 0])
    np.testing.assert_array_equal(labels[:10], np.arange(10))


def test_the_notice_travels_with_the_file():
    with np.load(io.BytesIO(digits_module._embedded_bytes()), allow_pickle=False) as archive:
        assert "CC BY 4.0" in str(archive["notice"])


def test_damaged_files_are_refused(monkeypatch):
    content = digits_module._embedded_bytes()
    for damaged in (content[:-7], content[:-1] + bytes([content[-1] ^ 1]), b""):
        with pytest.raises(
            ValueError, match=r"digits.npz is damaged: sha256 of the file must be .*; reinstall featsim"
        ):
            verified_digits(damaged)
    monkeypatch.setattr(digits_module, "_check_digest", lambda part, *_: None)
    with pytest.raises(ValueError, match=r"digits.npz cannot be read"):
        verified_digits(b"not an archive at all")
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w"):
        pass
    with pytest.raises(ValueError, match=r"digits.npz cannot be read"):
        verified_digits(empty.getvalue())


def test_changed_pixels_or_labels_are_refused(monkeypatch):
    content = digits_module._embedded_bytes()
    for name in ("DIGITS_PIXELS_SHA256", "DIGITS_LABELS_SHA256"):
        with monkeypatch.context() as patch:
            patch.setattr(digits_module, name, "0" * 64)
            with pytest.raises(ValueError, match="sha256 of its (pixels|labels) must be 000"):
                verified_digits(content)


def test_a_missing_file_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(digits_module.resources, "files", lambda _: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"digits.npz is missing.*reinstall featsim"):
        load("digits")


def test_classes_and_subsets():
    some = load("digits", classes=(3, 8), n=50, seed=4)
    assert set(some.y) == {3, 8}
    assert some.n_images == 50
    np.testing.assert_array_equal(some.X, load("digits", classes=(3, 8), n=50, seed=4).X)
    assert not np.array_equal(some.index, load("digits", classes=(3, 8), n=50, seed=5).index)
    pool = load("digits")
    order = np.random.default_rng(7).permutation(1300)[:600]
    np.testing.assert_array_equal(load("digits", n=600, seed=7).index, pool.index[order])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist1"}, "name must be one of 'digits'"),
        ({"name": "digits", "split": "validation"}, "split must be one of 'train', 'test'"),
        ({"name": "digits", "n": 0}, "n must be >= 1, got 0"),
        ({"name": "digits", "n": 1301}, r"n must be <= 1300, got 1301; the split has no more"),
        ({"name": "digits", "classes": (10,)}, "classes must be <= 9, got 10"),
        ({"name": "digits", "classes": ()}, "classes must name at least one label"),
        ({"name": "digits", "n": 5, "seed": -1}, "seed must be >= 0"),
    ],
)
def test_impossible_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


def test_relabel_merges_classes_in_the_order_given():
    images = load("digits", "test")
    parity = images.relabel([range(0, 10, 2), range(1, 10, 2)])
    np.testing.assert_array_equal(parity.y, images.y % 2)
    assert parity.n_classes == 2
    pair = images.relabel([(8,), (3,)])
    np.testing.assert_array_equal(np.where(pair.y == 0, 8, 3), images.y[np.isin(images.y, (3, 8))])
    for groups, message in (
        ([(1,)], "at least 2 groups"),
        ([(1,), (1, 2)], "each label at most once, got 1"),
        ([(1,), (10,)], "groups must be <= 9"),
    ):
        with pytest.raises(ValueError, match=message):
            images.relabel(groups)


def test_select_refuses_nothing_and_matrices():
    images = load("digits", "test")
    np.testing.assert_array_equal(images.select([4, 2]).y, images.y[[4, 2]])
    assert images.select(3).n_images == 1
    with pytest.raises(ValueError, match="at least one of the 497 images"):
        images.select([])
    with pytest.raises(IndexError, match="along one axis"):
        images.select([[0], [1]])
