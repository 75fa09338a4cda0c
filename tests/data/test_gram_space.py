"""Gaussian vectors by coordinates: moments of the factor, the law of data and filters, refusals."""

import math

import numpy as np
import pytest

from featsim.attacks import fgm, pgd, run_attack
from featsim.certificates import tangent_chord
from featsim.data import (
    GramPatchSpec,
    GramSignalNoiseSpec,
    PatchDataSpec,
    SignalNoiseSpec,
    normal_factor,
    sample_like,
)
from featsim.models import NtkSpec, PowerNetworkSpec, TwoLayerSpec
from featsim.specs import spec_from_dict
from featsim.threats import Threat


@pytest.mark.parametrize(("n_rows", "dim"), [(22, 9), (22, 99), (5, 1e6)])
def test_factor_has_the_moments_of_a_wishart_matrix(n_rows, dim, rng):
    n = 1500
    gram = np.empty((n, n_rows, n_rows))
    for i in range(n):
        factor = normal_factor(n_rows, dim, rng)
        assert factor.shape == (n_rows, min(n_rows, dim))
        gram[i] = factor @ factor.T
    diagonal = np.einsum("nii->ni", gram)
    pairs = gram[:, *np.triu_indices(n_rows, 1)]
    # Four standard errors: of a mean of n chi-squares, of n variances of them, of n squares of products.
    several = n * n_rows
    assert abs(diagonal.mean() / dim - 1.0) < 4 * math.sqrt(2.0 / dim / several)
    assert abs(diagonal.var(axis=0).mean() / (2 * dim) - 1.0) < 4 * math.sqrt((2.0 + 12.0 / dim) / several)
    assert abs((pairs**2).mean() / dim - 1.0) < 4 * math.sqrt((2.0 + 6.0 / dim) / n)
    assert abs(pairs.mean() / math.sqrt(dim)) < 4 / math.sqrt(pairs.size)


def test_rows_after_others_are_the_rows_of_one_factor():
    whole = normal_factor(7, 30, np.random.default_rng(0))
    assert np.all(np.triu(whole, 1) == 0.0)
    after = normal_factor(4, 30, np.random.default_rng(0), n_used=3)
    assert after.shape == (4, 7)
    assert np.all(np.triu(after[:, 3:], 1) == 0.0)
    assert normal_factor(4, 5, np.random.default_rng(0), n_used=5).shape == (4, 5)


def test_filters_have_the_law_of_gaussian_vectors(rng):
    """Products of filters among each other and with noise, also with more vectors than dimensions."""
    model = PowerNetworkSpec(width=6, init_std=0.3)
    for dim in (10, 60):
        spec = GramSignalNoiseSpec(dim=dim, n_fresh=0)
        norms, products = [], []
        for _ in range(800):
            data = spec.sample_for(model, 8, rng)
            assert data.dim == min(1 + 16 + 6, dim)
            weights = spec.initial_weights(model, data, rng)[0]
            norms.append((weights**2).sum(axis=1))
            products.append(data.noise.reshape(16, -1) @ weights.T)
        norms, products = np.array(norms), np.array(products)
        assert abs(norms.mean() / (0.09 * dim) - 1) < 4 * math.sqrt(2 / dim / norms.size)
        variance = 0.09 * (dim - 1) / dim
        # Products share noise patches and filters: about 6 independent squares a draw.
        assert abs((products**2).mean() / variance - 1) < 4 * math.sqrt((2 + 6 / dim) / 4800)


def test_dimension_enters_only_through_degrees_of_freedom(rng):
    for dim in (1e3, 1e8, 1e12):
        data = GramPatchSpec(dim=dim, n_nonrobust_patches=4, noise_norm=0.3).sample(4, rng, n_filters=5)
        assert data.dim == 8 + 20 + 5
        noise = data.X[:, :, 8:].reshape(20, -1)
        np.testing.assert_allclose((noise**2).sum(axis=1), 0.09, rtol=6 * math.sqrt(2 / dim))
    np.testing.assert_array_equal(data.features, np.eye(8, data.dim))


def test_the_limit_has_orthogonal_noise_and_filters_that_meet_fresh_noise(rng):
    spec, model = GramSignalNoiseSpec(dim=math.inf, n_fresh=0), PowerNetworkSpec(width=3)
    data = spec.sample_for(model, 4, rng)
    noise = data.noise.reshape(8, -1)
    np.testing.assert_array_equal(noise @ noise.T, np.eye(8))
    weights = spec.initial_weights(model, data, rng)[0]
    fresh = sample_like(data, 4000, rng).noise.reshape(8000, -1)
    spread = (fresh @ weights.T).std(axis=0)
    np.testing.assert_allclose(spread, model.init_std, rtol=4 / math.sqrt(2 * 8000))
    with pytest.raises(ValueError, match="must be the training samples in the limit"):
        sample_like(sample_like(data, 4, rng), 4, rng)


def test_without_noise_only_features_and_filters_remain(rng):
    data = GramPatchSpec(dim=1e6).sample_for(TwoLayerSpec(), 4, rng)
    direct = PatchDataSpec(features="axis").sample(4, np.random.default_rng(0))
    np.testing.assert_array_equal(data.X[:, :, :8], direct.X[:, :, :8])
    assert not data.X[:, :, 8:].any()
    assert data.dim == 8 + 32


def test_noise_off_the_features_stays_off(rng):
    data = GramPatchSpec(dim=1e4, noise_norm=1.0, noise_off_features=True, n_nonrobust_patches=3).sample(
        4, rng
    )
    np.testing.assert_array_equal(data.X[:, :1, :4] @ data.robust_features[:, :4].T, np.eye(4)[:, None])


def test_fresh_noise_has_the_noise_of_the_vectors_it_stands_for(rng):
    for spec in (GramPatchSpec(dim=400, noise_norm=2.0), GramSignalNoiseSpec(dim=400, noise_norm=2.0)):
        data = spec.sample(4, rng, n_filters=3)
        fresh = sample_like(data, 40, rng)
        noise = fresh.X[:, 1:, 10:] if isinstance(spec, GramPatchSpec) else fresh.noise[:, :, 1:]
        # The part outside the span is left out: each coordinate has the variance of one of d.
        np.testing.assert_allclose(noise.std(), 0.1, rtol=4 / math.sqrt(2 * noise.size))


def test_specs_go_through_json_and_share_the_fields_of_the_direct_ones():
    for spec in (GramPatchSpec(dim=1e9, roles="permuted"), GramSignalNoiseSpec(dim=math.inf)):
        assert spec_from_dict(spec.to_dict()) == spec
    assert GramSignalNoiseSpec(dim=100).noise_std == SignalNoiseSpec(dim=100).noise_std


@pytest.mark.parametrize(
    ("spec", "changes", "text"),
    [
        (GramPatchSpec, {"dim": 8}, "dim must be >= 9"),
        (GramPatchSpec, {"dim": 20.5}, "whole number"),
        (GramPatchSpec, {"dim": 1e16}, "use math.inf"),
        (GramPatchSpec, {"n_classes": 1}, "n_classes must be >= 2"),
        (GramSignalNoiseSpec, {"dim": 1.0}, "dim must be >= 2"),
        (GramSignalNoiseSpec, {"noise_norm": -1.0}, "noise_norm must be >= 0"),
    ],
)
def test_impossible_settings_are_refused(spec, changes, text):
    with pytest.raises(ValueError, match=text):
        spec(**changes)


def test_what_coordinates_cannot_describe_is_refused(rng):
    model = TwoLayerSpec(width=2)
    spec = GramPatchSpec(dim=1e5, n_nonrobust_patches=2, noise_norm=0.1)
    data = spec.sample(4, rng)
    with pytest.raises(ValueError, match=r"n_filters >= 8.*sample_for"):
        spec.initial_weights(model, data, rng)
    with pytest.raises(TypeError, match="TwoLayerSpec or a PowerNetworkSpec"):
        spec.sample_for(NtkSpec(width=4), 4, rng)
    with pytest.raises(ValueError, match="depends on the axes"):
        Threat(radius=0.1, norm="linf").bind(data)
    network = model.network(np.zeros((4, 2, data.dim)))
    for attack in (fgm(Threat(radius=0.1, norm="linf")), pgd(Threat(radius=0.1, norm="linf"))):
        with pytest.raises(ValueError, match="depends on the axes"):
            run_attack(attack, network, data, rng)
    with pytest.raises(ValueError, match="depends on the axes"):
        tangent_chord(network, data, Threat(radius=0.1, norm="linf"))
    limit = GramPatchSpec(dim=math.inf, n_nonrobust_patches=2, noise_norm=0.1).sample(4, rng)
    with pytest.raises(ValueError, match="infinite in the limit"):
        Threat(radius=0.1).bind(limit)
    Threat(radius=0.1, subspace="own").bind(limit)
