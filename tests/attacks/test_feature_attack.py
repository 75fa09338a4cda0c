"""A-feat against a slow loop, and the radius at which it flips pure networks."""

import numpy as np
import pytest

import reference
from featsim.attacks import FeatureAttack, nonrobust_strengths, run_attack
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import TwoLayerNetwork
from featsim.threats import Threat

SPEC = PatchDataSpec(n_classes=3, n_nonrobust_patches=6, dim=8, roles="permuted")


@pytest.mark.parametrize("radius", [0.0, 0.2, 0.5, 1.5])
@pytest.mark.parametrize("noise_std", [0.0, 0.1])
def test_agrees_with_the_slow_reference(radius, noise_std, rng):
    data = sample_patches(SPEC.replace(noise_std=noise_std), 6, rng)
    net = TwoLayerNetwork(0.7 * rng.standard_normal((3, 4, 8)))
    result = run_attack(FeatureAttack(radius=radius), net, data)
    for s in range(6):
        expected = reference.feature_attack_margin(
            net.weights,
            data.X[s],
            data.y[s],
            data.roles[s],
            data.nonrobust_features,
            [0.4] * 7,
            radius,
            3.0,
            0.5,
        )
        np.testing.assert_allclose(result.margin[s], expected, rtol=1e-10, atol=1e-14)
        delta = reference.feature_attack(
            data.X[s], data.y[s], result.target[s], data.roles[s], data.nonrobust_features, [0.4] * 7, radius
        )
        np.testing.assert_allclose(result.perturbation[s], delta, atol=1e-14)
    assert Threat(radius=radius).bind(data).contains(result.perturbation).all()
    assert not result.perturbation[data.roles == 0].any()
    if noise_std == 0.0:
        merged = run_attack(FeatureAttack(radius=radius), net, data.merge_repeats())
        np.testing.assert_allclose(merged.margin, result.margin, rtol=1e-10, atol=1e-14)


def test_pure_nonrobust_network_flips_at_beta_over_root_two(rng):
    # The smallest radius is beta / sqrt 2 for equal classes.
    data = sample_patches(SPEC, 6, rng)
    net = TwoLayerNetwork(2.0 * data.nonrobust_features[:, None, :])
    edge = 0.4 / np.sqrt(2.0)
    assert run_attack(FeatureAttack(radius=edge * 0.999), net, data).robust_accuracy == 1.0
    assert run_attack(FeatureAttack(radius=edge * 1.001), net, data).robust_accuracy == 0.0
    robust = TwoLayerNetwork(2.0 * data.robust_features[:, None, :])
    assert run_attack(FeatureAttack(radius=5.0), robust, data).robust_accuracy == 1.0


def test_where_strengths_come_from(rng):
    constant = sample_patches(SPEC, 3, rng)
    strengths, source = nonrobust_strengths(constant)
    assert (strengths == 0.4).all()
    assert source == "as given"
    spread = sample_patches(SPEC.replace(strength_spread=0.5), 3, rng)
    strengths, source = nonrobust_strengths(spread)
    along = np.einsum("npd,nd->np", spread.X, spread.nonrobust_features[spread.y])
    np.testing.assert_allclose(strengths, np.maximum(along, 0.0))
    assert "measured" in source
    result = run_attack(FeatureAttack(radius=0.3), TwoLayerNetwork(np.ones((3, 1, 8))), spread)
    assert result.settings["strengths"] == source


def test_single_score_with_two_classes(rng):
    data = sample_patches(SPEC.replace(n_classes=2), 6, rng)

    class Score:
        def __init__(self, data):
            self.direction = data.nonrobust_features[1] - data.nonrobust_features[0]

        def scores(self, X):
            return (X @ self.direction).sum(axis=1, keepdims=True)

        def input_gradient(self, X, cotangent):
            return cotangent[:, :, None] * np.broadcast_to(self.direction, X.shape)

    assert run_attack(FeatureAttack(radius=0.2), Score(data), data).robust_accuracy == 1.0
    assert run_attack(FeatureAttack(radius=0.3), Score(data), data).robust_accuracy == 0.0


def test_needs_roles_and_features(rng):
    data = sample_patches(SPEC, 3, rng)
    net = TwoLayerNetwork(np.ones((3, 1, 8)))
    for bare in ((data.X, data.y), patch_data(data.X, data.y, n_classes=3)):
        with pytest.raises(ValueError, match="A-feat must be run on data with nonrobust_features"):
            run_attack(FeatureAttack(radius=0.1), net, bare)
    with pytest.raises(ValueError, match="radius must be >= 0"):
        FeatureAttack(radius=-1)
