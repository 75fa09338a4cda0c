"""Cutting images into patches and putting them together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.data import PatchDataSpec
from featsim.images import Patching, load, mean_image, patch_images, unstandardise
from featsim.specs import spec_from_dict


@st.composite
def cuts(draw):
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.sampled_from([1, 3])))
    size = (draw(st.integers(1, shape[0])), draw(st.integers(1, shape[1])))
    stride = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return shape, Patching(size=size, stride=draw(st.sampled_from([stride, None])))


@given(cuts(), st.integers(0, 1000))
def test_fold_is_the_transpose_of_extract(cut, seed):
    shape, patching = cut
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((2, *shape))
    patches = patching.extract(images)
    assert patches.flags.c_contiguous
    cotangent = rng.standard_normal(patches.shape)
    folded = patching.fold(cotangent, shape)
    np.testing.assert_allclose((patches * cotangent).sum(), (images * folded).sum(), rtol=1e-10, atol=1e-12)


@given(cuts(), st.integers(0, 1000))
def test_assemble_undoes_extract_where_patches_reach(cut, seed):
    shape, patching = cut
    images = np.random.default_rng(seed).standard_normal((2, *shape))
    covered = np.zeros(np.prod(shape), dtype=bool)
    covered[patching.indices(shape).ravel()] = True
    expected = np.where(covered.reshape(shape), images, 0.0)
    np.testing.assert_allclose(patching.assemble(patching.extract(images), shape), expected, rtol=1e-14)


@given(cuts())
def test_patches_are_rows_of_the_image(cut):
    shape, patching = cut
    image = np.arange(np.prod(shape), dtype=float).reshape(1, *shape)
    size, stride = patching.size, patching.stride or patching.size
    rows = range(0, shape[0] - size[0] + 1, stride[0])
    columns = range(0, shape[1] - size[1] + 1, stride[1])
    expected = [image[0, i : i + size[0], j : j + size[1]].ravel() for i in rows for j in columns]
    np.testing.assert_array_equal(patching.extract(image)[0], expected)
    np.testing.assert_array_equal(patching.indices(shape), expected)


@given(cuts())
def test_patches_reach_the_last_pixel_they_hold(cut):
    shape, patching = cut
    rows, columns, _ = np.unravel_index(patching.indices(shape), shape)
    assert patching.reach(shape) == (rows.max() + 1, columns.max() + 1)


@pytest.mark.parametrize(
    ("shape", "size", "stride", "patches"),
    [
        ((8, 8, 1), 4, 2, (9, 16)),
        ((8, 8, 1), None, None, (1, 64)),
        ((14, 14, 1), 10, 2, (9, 100)),
        ((16, 16, 1), 8, 4, (9, 64)),
        ((8, 8, 1), 4, None, (4, 16)),
        ((28, 28, 1), 7, None, (16, 49)),
        ((32, 32, 3), 8, None, (16, 192)),
    ],
)
def test_settings_of_the_notes(shape, size, stride, patches):
    assert Patching(size=size, stride=stride).indices(shape).shape == patches


def test_patching_is_written_and_read_back():
    for patching in (Patching(size=4, stride=2), Patching(size=(4, 3)), Patching()):
        assert spec_from_dict(patching.to_dict()) == patching
    assert Patching(size=4) == Patching(size=(4, 4))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"size": 0}, ValueError, "size must be >= 1"),
        ({"size": 4.0}, TypeError, "size must be an integer"),
        ({"size": (4, 4, 1)}, ValueError, "size must be one length or two"),
        ({"size": 4, "stride": 0}, ValueError, "stride must be >= 1"),
    ],
)
def test_impossible_patchings_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        Patching(**fields)


def test_arrays_that_do_not_fit_are_refused():
    patching = Patching(size=4, stride=2)
    with pytest.raises(ValueError, match=r"size must be at most the image's \(3, 8\), got \(4, 4\)"):
        patching.extract(np.zeros((1, 3, 8, 1)))
    with pytest.raises(ValueError, match=r"images must have shape \(n, H, W, C\)"):
        patching.extract(np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match=r"patches must have shape \(n, 9, 16\)"):
        patching.fold(np.zeros((1, 9, 15)), (8, 8, 1))
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width, channels\)"):
        patching.indices((8, 8))


def test_data_of_patches_records_the_mean_and_the_origin():
    images, test_images = load("digits"), load("digits", "test")
    patching = Patching(size=4, stride=2)
    train = patch_images(images, patching)
    test = patch_images(test_images, patching, mean=mean_image(train))
    assert train.X.shape == (1300, 9, 16)
    assert train.n_classes == 10
    assert (train.roles == -1).all()
    np.testing.assert_array_equal(mean_image(train), images.X.mean(axis=0))
    np.testing.assert_array_equal(mean_image(test), mean_image(train))
    flat = (test_images.X - images.X.mean(axis=0)).reshape(497, -1)
    np.testing.assert_array_equal(test.X, flat[:, test.pixel_map])
    np.testing.assert_allclose(unstandardise(test), test_images.X, atol=1e-15)
    shifted = unstandardise(train, train.X + 0.25)
    np.testing.assert_allclose(shifted, images.X + 0.25, atol=1e-14)
    assert spec_from_dict(train.spec.to_dict()) == train.spec
    np.testing.assert_array_equal(mean_image(train.select([5, 6])), mean_image(train))


def test_the_whole_image_is_one_patch():
    images = load("digits", n=20)
    data = patch_images(images, Patching(), mean=np.zeros((8, 8, 1)))
    np.testing.assert_array_equal(data.X[:, 0], images.X.reshape(20, 64))


def test_wrong_arguments_are_refused(rng):
    images = load("digits", n=5)
    with pytest.raises(TypeError, match="image_set must be an ImageSet, got ndarray"):
        patch_images(images.X, Patching())
    with pytest.raises(TypeError, match="patching must be a Patching, got int"):
        patch_images(images, 4)
    with pytest.raises(ValueError, match=r"mean must have shape \(8, 8, 1\)"):
        patch_images(images, Patching(), mean=np.zeros((8, 8)))
    with pytest.raises(ValueError, match="data must be made by patch_images"):
        mean_image(PatchDataSpec().sample(4, rng))
