"""The patch-separable attack: closed-form radii, brute force, certificates, joint attacks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.attacks import SeparableAttack, pgd, run_attack
from featsim.attacks.separable_search import Objective, plain_search, search
from featsim.certificates import tangent_chord
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.evaluation import robust_interval, strongest_attack
from featsim.models import LinearModel, TwoLayerNetwork, smoothed_relu, smoothed_relu_slope
from featsim.specs import spec_from_dict
from featsim.theory import (
    linf_nonrobust_radius,
    linf_robust_radius,
    own_feature_radii,
    patch_l2_radius,
)
from featsim.threats import Threat

S1 = PatchDataSpec()
BOX = PatchDataSpec(dim=68, features="localised-spread")
PATCH_THREATS = [
    Threat(radius=0.3),
    Threat(radius=0.35, subspace="own"),
    Threat(radius=0.3, subspace="nonrobust"),
    Threat(radius=0.3, subspace="features"),
    Threat(radius=0.1, norm="linf"),
]


def pure_network(data, feature, coef, **shape):
    """One neuron per class along its own feature."""
    return TwoLayerNetwork(coef * getattr(data, f"{feature}_features")[:, None, :], **shape)


def noisy_problem(rng, width=3, noise_std=0.1):
    data = sample_patches(PatchDataSpec(n_nonrobust_patches=6, noise_std=noise_std), 8, rng)
    u, v = data.robust_features, data.nonrobust_features
    weights = 0.3 * rng.standard_normal((4, width, 20)) + 2 * u[:, None] + 1.5 * v[:, None]
    return TwoLayerNetwork(weights), data


def flips_at(network, data, radius, threat):
    """Whether the found margin changes sign within 1e-3 of the radius, relatively."""
    margins = [
        run_attack(SeparableAttack(threat=threat.replace(radius=radius * factor)), network, data).margin
        for factor in (1 - 1e-3, 1 + 1e-3)
    ]
    return bool(np.all(margins[0] > 0) and np.all(margins[1] < 0))


@pytest.mark.parametrize("coef", [0.2, 2.0, 6.0])
@pytest.mark.parametrize("feature", ["robust", "nonrobust"])
def test_pure_networks_flip_at_the_own_feature_radii(rng, feature, coef):
    data = sample_patches(S1, 4, rng).merge_repeats()
    radius = getattr(own_feature_radii(1.0, 0.4), feature)
    assert flips_at(pure_network(data, feature, coef), data, radius, Threat(radius=1.0, subspace="own"))


@pytest.mark.parametrize("coef", [0.2, 2.0, 6.0])
@pytest.mark.parametrize("subspace", [None, "features"])
@pytest.mark.parametrize(("feature", "n_carriers"), [("robust", 1), ("nonrobust", 40)])
def test_pure_networks_flip_at_the_radii_of_the_full_ball(rng, feature, n_carriers, subspace, coef):
    data = sample_patches(S1, 4, rng).merge_repeats()
    strength = 1.0 if feature == "robust" else 0.4
    radius = patch_l2_radius(coef, strength, n_carriers, 41 - n_carriers, 3.0, 0.5)
    network = pure_network(data, feature, coef)
    assert flips_at(network, data, radius, Threat(radius=1.0, subspace=subspace))


def test_a_pure_robust_network_does_not_feel_perturbations_of_nonrobust_features(rng):
    data = sample_patches(S1, 4, rng)
    result = run_attack(
        SeparableAttack(threat=Threat(radius=5.0, subspace="nonrobust")),
        pure_network(data, "robust", 2.0),
        data,
    )
    np.testing.assert_allclose(result.margin, result.clean_margin, rtol=1e-9)


@pytest.mark.parametrize("coef", [0.2, 2.0, 6.0])
def test_pure_networks_flip_at_the_radii_of_the_box(rng, coef):
    data = sample_patches(BOX, 4, rng).merge_repeats()
    box = Threat(radius=1.0, norm="linf")
    shape = {"n_patches": 41, "power": 3.0, "smoothing": 0.5}
    robust = linf_robust_radius(coef, coef, robust_strength=1.0, n_robust_patches=1, **shape)
    assert flips_at(pure_network(data, "robust", coef), data, robust, box)
    nonrobust = linf_nonrobust_radius(
        coef, coef, nonrobust_strength=0.4, n_nonrobust_patches=40, spread_dim=64, **shape
    )
    assert flips_at(pure_network(data, "nonrobust", coef), data, nonrobust, box)


@pytest.mark.parametrize("threat", PATCH_THREATS, ids=lambda threat: threat.describe())
def test_order_of_certificate_attacks_and_clean_margin(rng, threat):
    network, data = noisy_problem(rng)
    found = run_attack(SeparableAttack(threat=threat), network, data)
    starts = ("clean", "filters", "features")
    joint = run_attack(
        pgd(threat, n_steps=40, objective="targeted", starts=starts, n_random=3), network, data, rng
    )
    lower = tangent_chord(network, data, threat).lower_margin
    assert np.all(lower <= found.margin)
    assert np.all(found.margin <= joint.margin + 1e-4 * np.abs(joint.margin))
    assert np.all(joint.margin <= joint.clean_margin)
    assert threat.bind(data).contains(found.perturbation).all()


@pytest.mark.parametrize("subspace", ["own", "nonrobust", "features"])
def test_restricted_perturbations_lie_in_the_span(rng, subspace):
    network, data = noisy_problem(rng)
    delta = run_attack(
        SeparableAttack(threat=Threat(radius=0.4, subspace=subspace)), network, data
    ).perturbation
    u, v = data.robust_features, data.nonrobust_features
    inside_u, inside_v = delta @ u.T @ u, delta @ v.T @ v
    robust = (data.roles == 0)[:, :, None]
    allowed = {
        "own": np.where(robust, inside_u, inside_v),
        "nonrobust": inside_v,
        "features": inside_u + inside_v,
    }[subspace]
    assert np.abs(delta - allowed).max() <= 1e-12
    assert np.linalg.norm(delta, axis=2).max() <= 0.4 * (1 + 1e-12)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_brute_force_in_two_dimensions(rng, norm):
    X, radius = rng.standard_normal((6, 2, 2)), 0.4
    y = np.arange(6) % 3
    network = TwoLayerNetwork(rng.standard_normal((3, 2, 2)))
    found = run_attack(SeparableAttack(threat=Threat(radius=radius, norm=norm)), network, (X, y))
    line = np.linspace(-radius, radius, 161)
    grid = np.array(list(itertools.product(line, line)))
    if norm == "l2":
        grid = grid[np.linalg.norm(grid, axis=1) <= radius]
        angles = np.linspace(0, 2 * np.pi, 721)
        grid = np.concatenate([grid, radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)])
    exact = np.full(6, np.inf)
    for target_offset in (1, 2):
        total = np.zeros(6)
        for p in range(2):
            z = np.einsum("ngd,kmd->ngkm", X[:, p, None] + grid, network.weights)
            by_class = smoothed_relu(z, 3.0, 0.5).sum(axis=3)
            rows = np.arange(6)
            total += (by_class[rows, :, y] - by_class[rows, :, (y + target_offset) % 3]).min(axis=1)
        exact = np.minimum(exact, total)
    # The grid misses the optimum by less than its mesh; the attack misses nothing else.
    assert np.all(found.margin <= exact + 1e-6)
    assert np.all(found.margin >= exact - 0.02 * (1 + np.abs(exact)))


def test_counts_stand_for_equal_patches(rng):
    data = sample_patches(S1, 8, rng)
    weights = TwoLayerNetwork(rng.standard_normal((4, 3, 20)))
    attack = SeparableAttack(threat=Threat(radius=0.2))
    whole, merged = (run_attack(attack, weights, d) for d in (data, data.merge_repeats()))
    np.testing.assert_allclose(whole.margin, merged.margin, rtol=1e-10)
    assert whole.notes["n_distinct_patches"] == merged.notes["n_distinct_patches"] == 8


@given(st.integers(0, 2**32 - 1))
def test_samples_and_patches_may_be_permuted(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((5, 3, 4)), rng.integers(3, size=5)
    network = TwoLayerNetwork(rng.standard_normal((3, 2, 4)), power=2.5)
    attack = SeparableAttack(threat=Threat(radius=0.3), n_steps=10)
    samples, patches = rng.permutation(5), rng.permutation(3)
    one = run_attack(attack, network, (X, y)).margin
    other = run_attack(attack, network, (X[samples][:, patches], y[samples])).margin
    np.testing.assert_allclose(one[samples], other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_kernel_agrees_with_whole_arrays(rng, power, norm):
    filters, signs = rng.standard_normal((6, 4)), np.array([1.0] * 3 + [-1.0] * 3)
    z, directions = rng.standard_normal((50, 6)), rng.standard_normal((9, 4))
    shape = {"power": power, "smoothing": 0.5}
    attack = SeparableAttack(threat=Threat(radius=0.3, norm=norm), n_steps=12, n_climbs=4)
    arguments = (
        filters,
        signs,
        lambda z: smoothed_relu(z, **shape),
        lambda z: smoothed_relu_slope(z, **shape),
    )
    fast = search(attack, Objective(*arguments, (power, 0.5)), z, directions)
    slow = search(attack, Objective(*arguments), z, directions)
    np.testing.assert_allclose(fast.gain, slow.gain, rtol=1e-9, atol=1e-12)
    found = smoothed_relu(z + fast.point @ filters.T, **shape) @ signs - smoothed_relu(z, **shape) @ signs
    np.testing.assert_allclose(found, fast.gain, rtol=1e-9, atol=1e-12)
    assert np.all(fast.gain >= 0)
    zero = plain_search(attack.replace(n_steps=0), Objective(*arguments), z, np.zeros((1, 4)))
    np.testing.assert_allclose(zero.gain, 0, atol=1e-12)


class SoftplusNetwork:
    """A user's own patch network."""

    def __init__(self, weights):
        self.weights = weights

    def activation(self, z):
        return np.logaddexp(0.0, z)

    def activation_slope(self, z):
        return 1.0 / (1.0 + np.exp(-z))

    def scores(self, X):
        return self.activation(np.einsum("npd,kmd->npkm", X, self.weights)).sum(axis=(1, 3))

    def input_gradient(self, X, cotangent):
        slope = self.activation_slope(np.einsum("npd,kmd->npkm", X, self.weights))
        return np.einsum("nk,npkm,kmd->npd", cotangent, slope, self.weights)


def test_users_activation_and_single_score(rng):
    X = rng.standard_normal((6, 3, 4))
    network = SoftplusNetwork(rng.standard_normal((3, 2, 4)))
    attack = SeparableAttack(threat=Threat(radius=0.3))
    result = run_attack(attack, network, (X, np.arange(6) % 3))
    joint = run_attack(pgd(attack.threat, objective="targeted"), network, (X, np.arange(6) % 3))
    assert np.all(result.margin <= joint.margin + 1e-4)
    single = TwoLayerNetwork(rng.standard_normal((1, 2, 4)))
    y = np.array([1, 0, 1, 0, 1, 0])
    result = run_attack(attack, single, (X, y))
    joint = run_attack(pgd(attack.threat, starts=("clean", "filters")), single, (X, y))
    assert np.all(result.margin <= joint.margin + 1e-4)
    assert np.all(result.margin <= result.clean_margin)


def test_radius_zero_and_result(rng):
    network, data = noisy_problem(rng)
    attack = SeparableAttack(threat=Threat(radius=0.0))
    result = run_attack(attack, network, data)
    np.testing.assert_array_equal(result.margin, result.clean_margin)
    assert spec_from_dict(attack.to_dict()) == attack
    assert "separable" in result.summary() and "n_climbs: 6" in result.summary()


def test_random_starts_need_a_generator(rng):
    network, data = noisy_problem(rng)
    attack = SeparableAttack(threat=Threat(radius=0.2), n_random=2)
    with pytest.raises(ValueError, match="rng must be given"):
        run_attack(attack, network, data)
    assert np.all(run_attack(attack, network, data, rng).margin < 100)


def test_refusals(rng):
    network, data = noisy_problem(rng)
    with pytest.raises(ValueError, match="scope 'patch'"):
        SeparableAttack(threat=Threat(radius=0.1, scope="input"))
    with pytest.raises(TypeError, match="must be a Threat"):
        SeparableAttack(threat=0.1)
    with pytest.raises(ValueError, match="n_climbs must be >= 1"):
        SeparableAttack(threat=Threat(radius=0.1), n_climbs=0)
    attack = SeparableAttack(threat=Threat(radius=0.1))
    with pytest.raises(TypeError, match="got LinearModel; use pgd"):
        run_attack(attack, LinearModel(rng.standard_normal((4, 7, 20))), data)
    with pytest.raises(ValueError, match="X must have shape"):
        run_attack(attack, network, (np.zeros((2, 3)), np.zeros(2, int)))

    class Shifted(TwoLayerNetwork):
        def scores(self, X, counts=None):
            return super().scores(X, counts) ** 2

    with pytest.raises(ValueError, match="sums of its activation"):
        run_attack(attack, Shifted(network.weights), data)


def test_overflow_is_an_error_not_a_success():
    data = patch_data(np.full((2, 1, 2), 1e200), np.array([0, 1]))
    network = TwoLayerNetwork(np.full((2, 1, 2), 1e200))
    with np.errstate(over="ignore", invalid="ignore"):
        result = run_attack(SeparableAttack(threat=Threat(radius=0.1)), network, data)
    assert np.isnan(result.margin).all() and result.robust_accuracy == 0.0


def test_evaluation_uses_the_strongest(rng):
    network, data = noisy_problem(rng)
    threat = Threat(radius=0.3)
    assert strongest_attack(threat, network, data) == SeparableAttack(threat=threat)
    whole = threat.replace(scope="input")
    assert strongest_attack(whole, network, data).starts == ("clean", "features", "spread")
    linear = LinearModel(rng.standard_normal((4, 7, 20)))
    assert strongest_attack(threat, linear, data).label == "exact"
    accuracy = robust_interval(network, data, threat).robust_accuracy()
    assert 0 <= accuracy.certified <= accuracy.attacked <= 1


@pytest.mark.parametrize("shared", [True, False])
def test_the_size_of_a_block_changes_nothing(rng, monkeypatch, shared):
    from featsim.attacks import separable

    network, data = noisy_problem(rng)
    model = network if shared else Squares(network.weights)
    attack = SeparableAttack(threat=Threat(radius=0.3), n_random=1)
    whole = run_attack(attack, model, data, np.random.default_rng(0))
    sizes = []
    real = separable.search

    def watched(spec, objective, z, directions):
        sizes.append(z.size)
        return real(spec, objective, z, directions)

    monkeypatch.setattr(separable, "search", watched)
    monkeypatch.setattr(separable, "_BLOCK_ENTRIES", 64)
    cut = run_attack(attack, model, data, np.random.default_rng(0))
    assert max(sizes) <= 64 and len(sizes) > 6
    np.testing.assert_allclose(cut.margin, whole.margin, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cut.perturbation, whole.perturbation, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(cut.start, whole.start)


class Squares:
    """A network with another activation, which has no compiled search."""

    def __init__(self, weights):
        self.weights = weights

    def activation(self, z):
        return z * z

    def activation_slope(self, z):
        return 2 * z

    def scores(self, X, counts=None):
        z = np.einsum("npd,kmd->npkm", X, self.weights)
        counts = np.ones(X.shape[:2]) if counts is None else counts
        return np.einsum("np,npkm->nk", counts, z * z)

    def input_gradient(self, X, cotangent, counts=None):
        z = np.einsum("npd,kmd->npkm", X, self.weights)
        return np.einsum("nk,npkm,kmd->npd", cotangent, 2 * z, self.weights)
