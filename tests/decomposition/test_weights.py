"""Coefficients of weights against the slow reference."""

from __future__ import annotations

import numpy as np
import pytest

import reference
from featsim.data import feature_basis
from featsim.decomposition import (
    feature_coefficients,
    feature_logits,
    nonrobust_share,
    own_coefficients,
    rest_norm,
)


@pytest.fixture
def weights(rng):
    return rng.standard_normal((5, 3, 4, 9))  # time, k, m, d


@pytest.fixture
def features(rng):
    return feature_basis("random", 3, 9, rng)


def test_coefficients_and_rest_agree_with_the_reference(weights, features):
    u, v = features
    both = np.concatenate([u, v])
    table, rest = feature_coefficients(weights, both), rest_norm(weights, both)
    own = own_coefficients(table[..., :3])
    for t, w in enumerate(weights):  # reference.coefficient_table, rest_norm, own_coefficients
        np.testing.assert_allclose(table[t], reference.coefficient_table(w, both), rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(rest[t], reference.rest_norm(w, u, v), rtol=1e-10)
        np.testing.assert_allclose(own[t], reference.own_coefficients(table[t][..., :3]), rtol=0)


def test_coefficients_and_rest_rebuild_the_weights(weights, features):
    both = np.concatenate(features)
    table = feature_coefficients(weights, both)
    rest = weights - table @ both
    np.testing.assert_allclose(np.linalg.norm(rest, axis=-1), rest_norm(weights, both), rtol=1e-12)
    squared = (table**2).sum(axis=-1) + rest_norm(weights, both) ** 2
    np.testing.assert_allclose(squared, (weights**2).sum(axis=-1), rtol=1e-12)


def test_no_features_leave_all_of_the_weights(weights):
    assert feature_coefficients(weights, np.zeros((0, 9))).shape == (5, 3, 4, 0)
    np.testing.assert_allclose(rest_norm(weights, np.zeros((0, 9))), np.linalg.norm(weights, axis=-1))


@pytest.mark.parametrize("power", [1, 2, 3, 4, 2.5])
def test_logits_agree_with_the_reference(rng, power):
    own = rng.standard_normal((6, 3, 4))
    logit = feature_logits(own, 0.4, 40, power, 0.5)
    assert logit.shape == (6, 3)
    for t, row in enumerate(own):  # reference.own_logit
        np.testing.assert_allclose(logit[t], reference.own_logit(row, 40, 0.4, power, 0.5), rtol=1e-10)


def test_shares_are_between_0_and_1_and_never_nan():
    share = nonrobust_share([0.0, 1.0, 0.0, 3.0, 5e-324], [0.0, 0.0, 2.0, 1.0, 0.0])
    np.testing.assert_array_equal(share, [0.5, 0.0, 1.0, 0.25, 0.0])
    assert np.isnan(nonrobust_share([np.nan, np.inf], [1.0, np.inf])).all()


def test_impossible_arguments_are_refused(weights, features):
    u, v = features
    with pytest.raises(ValueError, match=r"weights must have shape \(\.\.\., k, m, d\), got \(9,\)"):
        feature_coefficients(np.zeros(9), u)
    with pytest.raises(ValueError, match=r"features must have shape \(J, 9\), got \(3, 8\)"):
        feature_coefficients(weights, u[:, :8])
    with pytest.raises(TypeError, match="weights must hold real numbers"):
        feature_coefficients(weights * 1j, u)
    with pytest.raises(ValueError, match="features must be orthonormal"):
        rest_norm(weights, np.concatenate([u, 2 * v]))
    with pytest.raises(ValueError, match=r"table must have shape \(\.\.\., k, m, k\), got \(5, 3, 4, 6\)"):
        own_coefficients(np.zeros((5, 3, 4, 6)))
    with pytest.raises(ValueError, match="own_coef must have shape"):
        feature_logits(np.zeros(3), 1.0, 1, 3, 0.5)
    with pytest.raises(ValueError, match="strength must be >= 0"):
        feature_logits(np.zeros((3, 2)), -1.0, 1, 3, 0.5)
    with pytest.raises(ValueError, match="n_patches must be >= 0"):
        feature_logits(np.zeros((3, 2)), 1.0, -1, 3, 0.5)
    with pytest.raises(ValueError, match="must have the shape of robust_logit"):
        nonrobust_share(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"robust_logit must be >= 0, got -1.0"):
        nonrobust_share([-1.0], [0.0])
