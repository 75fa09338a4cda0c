"""Pure, dense and rest parts: energies, orthogonality, surgery, lottery sets, cosines."""

import numpy as np
import pytest
import reference_purification as slow
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from featsim.decomposition import (
    keep_pure,
    lottery_sets,
    part_vectors,
    purification,
    remove_mixture,
    split_neurons,
)

FINITE = st.floats(-1e3, 1e3, allow_nan=False)


def basis(rng, d=7, n_atoms=7):
    return np.linalg.qr(rng.standard_normal((d, d)))[0][:, :n_atoms]


@given(
    weights=arrays(np.float64, (4, 7), elements=FINITE), seed=st.integers(0, 50), n_atoms=st.integers(2, 7)
)
def test_energies_sum_to_the_weights_energy(weights, seed, n_atoms):
    rng = np.random.default_rng(seed)
    atoms, rule = basis(rng, 7, n_atoms), rng.uniform(0.5, 1.5, n_atoms) * rng.choice([-1, 1], n_atoms)
    parts = split_neurons(weights, atoms, rule)
    energy = (weights**2).sum(axis=1)
    np.testing.assert_allclose(parts.energy, energy, rtol=1e-11, atol=1e-290)
    pure, dense, rest = part_vectors(weights, atoms, rule)
    scale = energy.max() + 1e-290
    np.testing.assert_allclose(pure + dense + rest, weights, atol=1e-13 * np.sqrt(scale))
    for a, b in ((pure, dense), (pure, rest), (dense, rest)):
        assert np.abs((a * b).sum(axis=1)).max() <= 1e-12 * scale
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), parts.dense_norm, atol=1e-13 * np.sqrt(scale))
    np.testing.assert_allclose(np.linalg.norm(rest, axis=1), parts.rest_norm, atol=1e-6 * np.sqrt(scale))


def test_parts_are_those_of_the_slow_loops(rng):
    weights, atoms, rule = rng.standard_normal((6, 7)), basis(rng), rng.uniform(0.5, 1.5, 7)
    found = part_vectors(weights, atoms, rule)
    for i, w in enumerate(weights):
        for mine, theirs in zip(found, slow.parts(w, atoms, rule), strict=True):
            np.testing.assert_allclose(mine[i], theirs, atol=1e-13)


def test_rotating_everything_changes_nothing(rng):
    weights, rule, rotation = rng.standard_normal((5, 7)), np.ones(7), basis(rng)
    plain = split_neurons(weights, np.eye(7), rule)
    turned = split_neurons(weights @ rotation.T, rotation, rule)
    np.testing.assert_array_equal(plain.winner, turned.winner)
    for name in ("pure_weight", "dense_weight", "rest_norm"):
        np.testing.assert_allclose(getattr(plain, name), getattr(turned, name), atol=1e-13)


def test_statistics_of_a_net_that_is_known(rng):
    """Two neurons: one pure and right, one along the mixture of all features."""
    rule = np.array([1.0, -1.0, 1.0, 1.0])
    weights = np.array([[2.0, 0.0, 0.0, 0.0], [1.0, -1.0, 1.0, 1.0]])
    found = {
        name: float(value) for name, value in split_neurons(weights, np.eye(4), rule).statistics().items()
    }
    assert found["pure_share"] == pytest.approx((4 + 1) / 8)
    assert found["dense_share"] == pytest.approx(3 / 8)
    assert found["rest_share"] == pytest.approx(0.0)
    assert found["dense_to_pure"] == pytest.approx(4 * 1.0 / 8)
    assert found["mean_dense_weight"] == pytest.approx(4 * 1.0 / 8)
    assert found["coverage"] == pytest.approx(1 / 4)
    assert found["sign_agreement"] == pytest.approx(1.0)
    ratio = split_neurons(weights, np.eye(4), rule).mixture_ratio
    np.testing.assert_allclose(ratio, [0.0, np.sqrt(3.0)], atol=1e-15)
    wrong = split_neurons(-weights, np.eye(4), rule).statistics()
    assert float(wrong["sign_agreement"]) == 0.0
    assert float(wrong["coverage"]) == 0.0


def test_surgery(rng):
    weights, atoms, rule = rng.standard_normal((1, 6, 7)), basis(rng), np.ones(7)
    pure, dense, _ = part_vectors(weights, atoms, rule)
    assert remove_mixture(weights, atoms, rule).shape == weights.shape
    np.testing.assert_allclose(remove_mixture(weights, atoms, rule)[0], weights[0] - dense, atol=1e-13)
    np.testing.assert_array_equal(keep_pure(weights, atoms, rule)[0], pure)
    shares = split_neurons(keep_pure(weights, atoms, rule), atoms, rule).shares()
    np.testing.assert_allclose(shares["pure"], 1.0, atol=1e-12)


def test_zero_neurons_do_not_spoil_the_rest():
    parts = split_neurons(np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 0.0]]), np.eye(3), np.ones(3))
    assert np.isnan(parts.shares()["pure"][0])
    assert float(parts.statistics()["pure_share"]) == 1.0
    assert parts.live.tolist() == [False, True]


def test_purification_of_known_states():
    w0, w, w1 = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]), np.array([[0.0, 2.0]])
    found = purification(w0, w, w1)
    assert found.initial_clean[0] == pytest.approx(np.sqrt(0.5))
    assert found.clean_robust[0] == pytest.approx(np.sqrt(0.5))
    assert found.initial_robust[0] == 0.0
    assert found.projection[0] == pytest.approx(0.5)
    residual = w - found.projection[:, None] * w1
    assert abs((residual * w1).sum()) < 1e-14
    same = purification(w0, w, 3.0 * w)
    assert same.holds.all()
    assert same.statistics()["principle"] == 1.0


def test_lottery_sets(rng):
    m, d, std = 4000, 30, 0.1
    initial = std * rng.standard_normal((m, d))
    sets = lottery_sets(initial, np.eye(d), np.ones(d), init_std=std)
    sizes = sets.potential.sum(axis=0)
    assert sizes.mean() == pytest.approx(sets.expected_potential, rel=0.05)
    assert not (sets.sure & ~sets.potential).any()
    assert (sets.potential.sum(axis=1)[sets.sure.any(axis=1)] == 1).all()
    np.testing.assert_array_equal(sets.favourite, initial.argmax(axis=1))
    with pytest.raises(ValueError, match="sure must be > 1"):
        lottery_sets(initial, np.eye(d), np.ones(d), init_std=std, sure=0.5)


def test_impossible_requests_are_refused(rng):
    with pytest.raises(ValueError, match="dictionary must have shape"):
        split_neurons(np.ones((2, 3)), np.eye(4), np.ones(4))
    with pytest.raises(ValueError, match="label_weights must have shape"):
        split_neurons(np.ones((2, 3)), np.eye(3), np.ones(2))
    with pytest.raises(ValueError, match="label_weights must not be 0, got 0 at index 1"):
        split_neurons(np.ones((2, 3)), np.eye(3), [1.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="init_std must be > 0"):
        lottery_sets(np.ones((2, 3)), np.eye(3), np.ones(3), init_std=0.0)
    with pytest.raises(ValueError, match="weights must be finite"):
        split_neurons(np.full((2, 3), np.inf), np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match="robust must have shape"):
        purification(np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 3)))
