"""Data sets from a user's arrays, and what can be done with a data set."""

from __future__ import annotations

import numpy as np
import pytest

from featsim.data import PatchDataSpec, patch_data, sample_like


@pytest.fixture
def arrays(rng):
    return rng.standard_normal((6, 3, 5)), np.array([0, 1, 0, 1, 1, 0])


def test_user_arrays_are_checked_copied_and_locked(arrays):
    X, y = arrays
    data = patch_data(X.astype(np.float32)[:, ::-1], y.astype(np.uint8))
    assert data.X.dtype == np.float64
    assert data.y.dtype == np.int64
    assert data.roles.dtype == np.int8
    assert data.X.flags.c_contiguous
    assert data.n_classes == 2
    assert data.features.shape == (0, 5)
    assert data.n_robust_patches is None
    assert (data.roles == -1).all()
    assert (data.counts == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        data.X[0, 0, 0] = 1.0
    own = patch_data(X, y)
    X[0, 0, 0] = 99.0  # the caller's array stays writeable and separate
    assert own.X[0, 0, 0] != 99.0


def test_roles_and_counts_give_patch_numbers(arrays):
    X, y = arrays
    data = patch_data(X, y, roles=[0, 1, 1], counts=[1, 20, 20], robust_features=np.eye(2, 5))
    assert (data.n_robust_patches, data.n_nonrobust_patches) == (1, 40)
    assert data.features.shape == (2, 5)
    uneven = np.array([[0, 1, 1]] * 5 + [[0, 0, 1]])
    assert patch_data(X, y, roles=uneven).n_robust_patches is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": np.zeros((6, 5))}, ValueError, r"X must have shape \(n, P, d\), got \(6, 5\)"),
        ({"X": np.zeros((0, 3, 5)), "y": []}, ValueError, r"X must have shape"),
        ({"X": np.full((6, 3, 5), "a")}, TypeError, "X must hold real numbers"),
        ({"X": np.full((6, 3, 5), 1j)}, TypeError, "X must hold real numbers"),
        ({"X": np.full((6, 3, 5), np.nan)}, ValueError, r"X must be finite, got nan at index \(0, 0, 0\)"),
        ({"X": np.full((6, 3, 5), np.inf)}, ValueError, "X must be finite, got inf"),
        ({"y": [0, 1]}, ValueError, r"y must have shape \(6,\)"),
        ({"y": [0, 1, 0, 1, 1, -1]}, ValueError, r"y must lie in 0..1, got -1 at index 5"),
        ({"y": [0, 1, 0, 1, 1, 2], "n_classes": 2}, ValueError, r"y must lie in 0..1, got 2"),
        ({"y": [0, 1, 0, 1, 1, 0.5]}, TypeError, "y must hold integers"),
        ({"y": [0, 1, 0, 1, 1, np.nan]}, ValueError, "y must be finite"),
        ({"n_classes": 1}, ValueError, "n_classes must be >= 2, got 1"),
        ({"robust_features": np.eye(3, 5)}, ValueError, r"robust_features must have shape \(2, 5\)"),
        ({"robust_features": 2 * np.eye(2, 5)}, ValueError, "must be orthonormal to 1e-08"),
        (
            {"robust_features": np.eye(2, 5), "nonrobust_features": np.eye(2, 5)},
            ValueError,
            "must be orthonormal.*np.linalg.qr",
        ),
        ({"roles": [0, 1]}, ValueError, r"roles must have shape \(6, 3\) or \(3,\), got \(2,\)"),
        ({"roles": [0, 1, 2]}, ValueError, "roles must be 0"),
        ({"roles": [0.0, 1.0, 1.0]}, TypeError, "roles must hold integers"),
        ({"counts": [0, 1, 1]}, ValueError, "counts must be > 0, got 0"),
        ({"counts": 3.0}, ValueError, "counts must have shape"),
        ({"counts": np.ones((1, 6, 3))}, ValueError, "counts must have shape"),
        ({"robust_strength": -1.0}, ValueError, "robust_strength must be >= 0"),
        ({"pixel_map": np.zeros((2, 5), int)}, ValueError, r"pixel_map must have shape \(P, d\) = \(3, 5\)"),
        ({"pixel_map": np.full((3, 5), -1)}, ValueError, "pixel_map must be >= 0"),
        ({"pixel_map": np.zeros((3, 5), int)}, ValueError, "X must hold one value per pixel"),
    ],
)
def test_impossible_arrays_are_refused(arrays, change, error, message):
    given = {"X": arrays[0], "y": arrays[1], **change}
    with pytest.raises(error, match=message):
        patch_data(given.pop("X"), given.pop("y"), **given)


def test_float_labels_that_are_integers_are_accepted(arrays):
    assert patch_data(arrays[0], arrays[1] * 2.0).n_classes == 3


def test_select_keeps_order_and_features(rng):
    data = PatchDataSpec(noise_std=0.1).sample(8, rng)
    for index in ([3, 1], slice(2, 5), data.y == 2, 7, np.int64(-1)):
        rows = np.atleast_1d(np.arange(8)[index])
        part = data.select(index)
        np.testing.assert_array_equal(part.X, data.X[rows])
        np.testing.assert_array_equal(part.y, data.y[rows])
        assert part.roles.shape == (rows.size, 41)
        assert not part.X.flags.writeable
        assert part.robust_features is not None
    with pytest.raises(ValueError, match="at least one of the 8 samples"):
        data.select([])
    with pytest.raises(ValueError, match="at least one"):
        data.select(data.y == 9)
    with pytest.raises(IndexError):
        data.select([8])
    with pytest.raises(IndexError, match="along one axis"):
        data.select([[0, 1], [2, 3]])


def test_without_blanks_the_patches_of_one_role(rng, arrays):
    data = PatchDataSpec(noise_std=0.1, roles="permuted").sample(8, rng)
    robust_only = data.without("nonrobust")
    assert (robust_only.X[data.roles == 1] == 0).all()
    np.testing.assert_array_equal(robust_only.X[data.roles == 0], data.X[data.roles == 0])
    both = data.without("robust").X + robust_only.X
    np.testing.assert_array_equal(both, data.X)
    with pytest.raises(ValueError, match="role must be one of 'robust', 'nonrobust'"):
        data.without("weak")
    with pytest.raises(ValueError, match="known patch roles"):
        patch_data(*arrays).without("robust")


def test_merged_repeats_leave_sums_over_patches_unchanged(rng):
    data = PatchDataSpec(n_robust_patches=2, n_nonrobust_patches=7, roles="permuted").sample(8, rng)
    merged = data.merge_repeats()
    assert merged.X.shape == (8, 2, 20)
    assert (merged.counts.sum(axis=1) == 9).all()
    np.testing.assert_array_equal(np.sort(merged.counts, axis=1), np.tile([2.0, 7.0], (8, 1)))
    assert (merged.n_robust_patches, merged.n_nonrobust_patches) == (2, 7)
    w = rng.standard_normal(20)
    total = (np.maximum(data.X @ w, 0) ** 3).sum(axis=1)
    np.testing.assert_allclose(
        (merged.counts * np.maximum(merged.X @ w, 0) ** 3).sum(axis=1), total, rtol=1e-13
    )
    np.testing.assert_array_equal(merged.merge_repeats().counts, merged.counts)


def test_merging_needs_equally_many_distinct_patches(arrays):
    X, y = arrays
    X[0, 1] = X[0, 0]
    with pytest.raises(ValueError, match=r"same number of distinct patches.*between 2 and 3"):
        patch_data(X, y).merge_repeats()
    data = patch_data(X[:1], y[:1], roles=[0, 1, 1])
    assert data.merge_repeats().n_patches == 3  # equal patches of different roles stay apart
    with pytest.raises(ValueError, match="must not be used with a pixel_map"):
        patch_data(X, y, pixel_map=np.arange(15).reshape(3, 5)).merge_repeats()


def test_merging_takes_minus_zero_for_zero():
    data = patch_data([[[0.0, 1.0], [-0.0, 1.0]]], [0])
    np.testing.assert_array_equal(data.merge_repeats().counts, [[2.0]])


def test_sample_like_needs_a_specification(arrays, rng):
    with pytest.raises(ValueError, match="data must be sampled from a PatchDataSpec"):
        sample_like(patch_data(*arrays), 4, rng)
    with pytest.raises(TypeError, match="data must be a PatchData, got ndarray"):
        sample_like(arrays[0], 4, rng)
