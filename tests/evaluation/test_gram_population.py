"""Fresh accuracies by Gaussians of the filters' dimension against fresh samples of all dimensions."""

import math

import numpy as np
import pytest

from featsim.attacks import FeatureAttack, SignalAttack, line_margins, run_attack
from featsim.data import (
    GramPatchSpec,
    GramSignalNoiseSpec,
    PatchDataSpec,
    SignalNoiseSpec,
    patch_data,
    sample_like,
    signal_noise_data,
)
from featsim.evaluation import feature_population, line_population
from featsim.evaluation.feature_population import _FeatureSampler
from featsim.evaluation.gram_population import rest_coordinates
from featsim.models import PowerNetworkSpec, TwoLayerSpec


def close(share, count, n):
    """Whether a share agrees with another sample of n to four standard errors."""
    other = count / n
    error = math.hypot(share.standard_error, math.sqrt(max(other * (1 - other), 1 / n) / n))
    return abs(share.value - other) < 4 * error


def weights_of(spec, model, data, rng):
    if isinstance(spec, (GramPatchSpec, GramSignalNoiseSpec)):
        return spec.initial_weights(model, data, rng)
    return model.initial_weights(*((2,) if isinstance(model, TwoLayerSpec) else ()), data.dim, rng)


@pytest.mark.parametrize("activation", ["odd", "relu"])
@pytest.mark.parametrize("left", [0.4, -0.3])
def test_line_accuracies_are_those_of_fresh_vectors(activation, left, rng):
    model = PowerNetworkSpec(width=4, init_std=0.6, activation=activation)
    data = SignalNoiseSpec(dim=12, n_fresh=0).sample(6, rng)
    network = model.network(model.initial_weights(12, rng))
    found = line_population(network, data, 2.0 - left, 20000, rng)
    fresh = sample_like(data, 20000, rng)
    direct = line_margins(network, fresh, 2.0 - left)
    for name in ("clean", "fixed", "worst"):
        assert close(getattr(found, name), int(np.sum(direct[name] > 0)), 20000), name
    assert found.noise_sd == pytest.approx(direct["memory"].std(), rel=0.1)
    given = line_population(network, data, 2.0 - left, 500, np.random.default_rng(0), left=left)
    again = line_population(network, data, 2.0 - left, 500, np.random.default_rng(0))
    assert given.fixed.value == pytest.approx(again.fixed.value, abs=0.01)


def test_the_attack_itself_agrees_with_the_formula(rng):
    model = PowerNetworkSpec(width=4, init_std=0.6)
    data = SignalNoiseSpec(dim=12, n_fresh=0).sample(6, rng)
    network = model.network(model.initial_weights(12, rng))
    found = line_population(network, data, 1.6, 4000, rng)
    result = run_attack(SignalAttack(radius=1.6, rule="worst"), network, sample_like(data, 4000, rng))
    assert close(found.worst, round(4000 * result.robust_accuracy), 4000)


def test_near_one_half_the_error_is_far_below_the_binomial_one(rng):
    """1/2 + P(|V| < s)/2 with a tiny s."""
    model = PowerNetworkSpec(width=6, init_std=0.5)
    data = GramSignalNoiseSpec(dim=1e6, n_fresh=0).sample_for(model, 6, rng)
    network = model.network(data.spec.initial_weights(model, data, rng))
    found = line_population(network, data, 2.0, 20000, rng, left=1e-3).fixed
    assert abs(found.value - 0.5) < 1e-3
    assert found.standard_error < 0.2 * math.sqrt(0.25 / 20000)
    many = line_population(network, data, 2.0, 400000, rng, left=0.05)
    whole = line_population(network, data, 2.0, 400000, rng, left=0.6)
    for population in (many, whole):
        plain, excess = population.fixed, population.fixed_excess
        assert excess.standard_error <= plain.standard_error * (1 + 1e-9)
        # The density varies by about 1 % over the window.
        error = 4 * math.hypot(excess.standard_error, plain.standard_error) + 0.01 * abs(excess.value)
        assert abs(plain.value - 0.5 - excess.value) < error


@pytest.mark.parametrize("dim", [30, 400.0, math.inf])
def test_coordinates_give_the_law_of_fresh_coordinates(dim, rng):
    model = PowerNetworkSpec(width=4, init_std=0.6)
    spec = GramSignalNoiseSpec(dim=dim, n_fresh=0)
    data = spec.sample_for(model, 6, rng)
    network = model.network(spec.initial_weights(model, data, rng))
    found = line_population(network, data, 1.8, 20000, rng)
    direct = line_margins(network, sample_like(data, 20000, rng), 1.8)
    for name in ("clean", "fixed", "worst"):
        assert close(getattr(found, name), int(np.sum(direct[name] > 0)), 20000), name


@pytest.mark.parametrize(
    "spec",
    [
        PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=20, noise_std=0.3),
        PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=20, noise_std=0.3, strength_spread=0.5),
        PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=20, noise_std=0.3, noise_off_features=True),
        GramPatchSpec(n_classes=2, n_nonrobust_patches=3, dim=500, noise_norm=6.0),
    ],
)
def test_feature_attacked_accuracies_are_those_of_fresh_vectors(spec, rng):
    gram = isinstance(spec, GramPatchSpec)
    model = TwoLayerSpec(width=3, init_std=0.1 if gram else 0.5)
    data = spec.sample_for(model, 4, rng) if gram else spec.sample(4, rng)
    weights = np.array(weights_of(spec, model, data, rng))
    for i in range(2):  # some signal to find, and to attack
        weights[i, 0] += 1.5 * data.robust_features[i] + 0.8 * data.nonrobust_features[i]
    network = model.network(weights)
    found = feature_population(network, data, 0.35, 20000, rng)
    result = run_attack(FeatureAttack(radius=0.35), network, sample_like(data, 4000, rng))
    assert 0.55 < found.feature_attacked.value < found.clean.value < 0.999
    assert close(found.clean, round(4000 * result.clean_accuracy), 4000)
    assert close(found.feature_attacked, int(np.sum(result.margin > 0)), 4000)


@pytest.mark.parametrize(("noise", "least"), [(1e-3, 0.95), (0.02, 0.0), (0.1, 0.0)])
@pytest.mark.parametrize("shift", [0.0, -3.0])
def test_what_norms_decide_is_what_the_noise_gives(noise, least, shift, rng):
    """The network stands clean, and against A-feat with shift 0; with the other it falls."""
    k = 3
    spec = PatchDataSpec(n_classes=k, n_nonrobust_patches=4, dim=20, noise_std=noise)
    model = TwoLayerSpec(width=3, init_std=0.05)
    data = spec.sample(6, rng)
    weights = np.array(model.initial_weights(k, 20, rng))
    for i in range(k):
        weights[i, 0] += (4.0 + shift) * data.robust_features[i]
        weights[i, 1] += (0.4 - shift) * data.nonrobust_features[i]
    network = model.network(weights)
    along, rest = rest_coordinates(network.weights.reshape(-1, 20), data.features, spec, data)
    sampler = _FeatureSampler.of(network, spec, along, rest, noise, 0.35)
    y = np.arange(600) % k
    drawn = rng.standard_normal((600, spec.n_patches, sampler.parts.shape[1]))
    norms = np.linalg.norm(drawn, axis=2)
    exact = sampler.margins(y, drawn, rng) > 0.0
    known, found = sampler.bounds.decide(y, norms)
    assert np.array_equal(found[:, known], exact[:, known])
    assert known.mean() >= least and exact[0].mean() > 0.9 and (exact[1].mean() > 0.5) == (shift == 0.0)
    # The rest gets directions at its norms: shares as those of plain draws, four standard errors.
    shares = sampler.hits(np.arange(6000) % k, rng).mean(axis=1)
    error = np.sqrt(np.maximum(shares * (1 - shares), 1e-3) * (1 / 6000 + 1 / 600))
    assert np.all(np.abs(shares - exact.mean(axis=1)) < 4.0 * error)


def test_without_noise_one_sample_of_each_class_is_all(rng):
    model = TwoLayerSpec(width=3, init_std=0.5)
    data = PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=20).sample(4, rng)
    network = model.network(model.initial_weights(2, 20, rng))
    found = feature_population(network, data, 0.35, 10**9, rng)
    result = run_attack(FeatureAttack(radius=0.35), network, data)
    assert found.n_samples == 2
    assert found.clean.standard_error == found.feature_attacked.standard_error == 0.0
    assert (found.clean.value, found.feature_attacked.value) == (
        result.clean_accuracy,
        np.mean(result.margin > 0),
    )


def test_data_of_unknown_origin_are_refused(rng):
    X = np.zeros((2, 2, 3))
    X[:, 0, 0] = (1.0, -1.0)
    data = signal_noise_data(X, [1, 0], signal=[1.0, 0, 0], signal_patch=[0, 0])
    power = PowerNetworkSpec(width=2)
    with pytest.raises(ValueError, match="sampled from a specification"):
        line_population(power.network(power.initial_weights(3, rng)), data, 0.5, 10, rng)
    model = TwoLayerSpec(width=2)
    with pytest.raises(ValueError, match="sampled from a specification"):
        feature_population(
            model.network(model.initial_weights(2, 3, rng)), patch_data(X, [0, 1]), 0.1, 10, rng
        )


def test_networks_that_do_not_fit_the_data_are_refused(rng):
    """Filters of 3 classes on 4 would be read with the wrong number per class."""
    power, model = PowerNetworkSpec(width=2), TwoLayerSpec(width=2)
    line = SignalNoiseSpec(dim=6, n_fresh=0).sample(4, rng)
    patches = PatchDataSpec(dim=20, n_nonrobust_patches=3).sample(4, rng)
    networks = {dim: power.network(power.initial_weights(dim, rng)) for dim in (6, 7, 20)}
    with pytest.raises(TypeError, match="network must be a PowerNetwork"):
        line_population(model.network(model.initial_weights(2, 6, rng)), line, 0.5, 10, rng)
    with pytest.raises(ValueError, match=r"network.weights must have shape \(1, m, 6\)"):
        line_population(networks[7], line, 0.5, 10, rng)
    with pytest.raises(TypeError, match="network must be a TwoLayerNetwork"):
        feature_population(networks[20], patches, 0.5, 10, rng)
    for n_classes, dim in ((3, 20), (4, 19)):
        with pytest.raises(ValueError, match=r"network.weights must have shape \(4, m, 20\)"):
            feature_population(
                model.network(model.initial_weights(n_classes, dim, rng)), patches, 0.5, 10, rng
            )
