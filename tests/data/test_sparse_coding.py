"""Sparse-coding data: every option of the law, the leak of the label, refusals."""

import numpy as np
import pytest

from featsim.data import SparseCodingData, SparseCodingSpec, sample_like, sparse_coding_data
from featsim.theory import label_leak, linear_rule_radius, measured_label_leak

QUIET = SparseCodingSpec(dim=60, sparsity=3.0, noise_norm=0.0)


def codes(data: SparseCodingData) -> np.ndarray:
    return data.inputs @ data.dictionary


def test_codes_have_the_stated_law(rng):
    data = QUIET.replace(big_probability=0.02).sample(40_000, rng)
    z = np.abs(codes(data)).round(9)
    share = {value: np.mean(z == value) for value in np.unique(z)}
    assert set(share) == {0.0, round(1 / np.sqrt(3), 9), 1.0}
    # Redrawn ties favour more active codes: compare with the law before, weighted by the margin.
    assert share[1.0] == pytest.approx(0.02, rel=0.1)
    assert share[round(1 / np.sqrt(3), 9)] == pytest.approx(0.05, rel=0.1)


def test_label_is_the_rule_and_ties_are_redrawn(rng):
    data = QUIET.replace(label_spread=0.3, margin=0.2).sample(2000, rng)
    margin = codes(data) @ data.label_weights
    np.testing.assert_array_equal(np.sign(margin), data.signs)
    assert np.abs(margin).min() > 0.2
    assert ((np.abs(data.label_weights) >= 0.7) & (np.abs(data.label_weights) <= 1.3)).all()
    assert np.abs(QUIET.sample(2000, rng).signs).min() == 1.0


def test_noise_and_dictionary(rng):
    data = QUIET.replace(noise_norm=0.5, label_signs="positive").sample(4000, rng)
    np.testing.assert_allclose(data.dictionary.T @ data.dictionary, np.eye(60), atol=1e-12)
    assert (data.label_weights == 1.0).all()
    silent = codes(data)[np.abs(codes(data)) < 0.2]
    assert silent.std() == pytest.approx(0.5 / np.sqrt(60), rel=0.02)
    few = QUIET.replace(n_atoms=20).sample(100, rng)
    assert few.dictionary.shape == (60, 20)
    assert np.linalg.matrix_rank(few.inputs) <= 20


def test_identity_dictionary_gives_the_codes_themselves(rng):
    data = QUIET.replace(dictionary="identity").sample(50, rng)
    assert data.identity_dictionary
    np.testing.assert_array_equal(codes(data), data.inputs)
    assert not QUIET.sample(5, rng).identity_dictionary


def test_fresh_samples_share_dictionary_and_rule(rng):
    data = QUIET.replace(n_fresh=7).sample(5, rng)
    assert data.fresh.n_samples == 7
    for other in (data.fresh, sample_like(data, 9, rng), data.select([1, 3])):
        np.testing.assert_array_equal(other.dictionary, data.dictionary)
        np.testing.assert_array_equal(other.label_weights, data.label_weights)


def test_same_seed_same_data():
    first, second = (QUIET.sample(20, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.X, second.X)


@pytest.mark.parametrize("k", [1.0, 3.0, 8.0])
def test_label_leak_is_the_bessel_formula(k, rng):
    data = QUIET.replace(dim=120, sparsity=k).sample(20_000, rng)
    leak = measured_label_leak(data)
    assert leak.mean() == pytest.approx(label_leak(120, k), rel=0.02)


def test_label_leak_is_flat_in_large_sparsity():
    assert 1000 * label_leak(1000, 400.0) == pytest.approx(np.sqrt(2 / np.pi), rel=0.03)
    assert label_leak(80, 3.0) == pytest.approx(0.0126, abs=5e-5)


def test_linear_rule_radius_is_a_median(rng):
    data = QUIET.replace(dim=100, sparsity=2.0).sample(4001, rng)
    margin = np.abs(codes(data) @ data.label_weights)
    assert linear_rule_radius(data) == pytest.approx(np.median(margin) / 10.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 1}, "dim must be >= 2"),
        ({"n_atoms": 61}, "n_atoms must be <= 60"),
        ({"sparsity": 0.0}, "sparsity must be > 0"),
        ({"sparsity": 61.0}, "must be <= 1"),
        ({"big_probability": 0.99}, "must be <= 1"),
        ({"noise_norm": -0.1}, "noise_norm must be >= 0"),
        ({"label_spread": 1.0}, "label_spread must be < 1"),
        ({"label_signs": "negative"}, "label_signs must be one of"),
        ({"margin": -1.0}, "margin must be >= 0"),
        ({"dictionary": "fourier"}, "dictionary must be one of"),
        ({"n_fresh": -1}, "n_fresh must be >= 0"),
    ],
)
def test_impossible_requests_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        QUIET.replace(**change)


def test_hopeless_margin_is_refused(rng):
    with pytest.raises(ValueError, match="margin must leave enough codes"):
        QUIET.replace(margin=50.0).sample(3, rng)


def test_own_arrays_are_checked(rng):
    X, y = rng.standard_normal((4, 3)), np.array([0, 1, 1, 0])
    data = sparse_coding_data(X, y, dictionary=np.eye(3), label_weights=[1.0, -1.0, 2.0])
    assert data.X.shape == (4, 1, 3)
    with pytest.raises(ValueError, match="orthonormal"):
        sparse_coding_data(X, y, dictionary=np.ones((3, 2)), label_weights=[1.0, 1.0])
    with pytest.raises(ValueError, match="label_weights must not be 0"):
        sparse_coding_data(X, y, dictionary=np.eye(3), label_weights=[1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="label_weights must have shape"):
        sparse_coding_data(X, y, dictionary=np.eye(3), label_weights=[1.0])
    with pytest.raises(ValueError, match="X must be finite"):
        sparse_coding_data(np.full((1, 3), np.nan), [0], dictionary=np.eye(3), label_weights=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="y must lie in 0..1"):
        sparse_coding_data(X, [0, 1, 2, 0], dictionary=np.eye(3), label_weights=[1.0, 1.0, 1.0])
