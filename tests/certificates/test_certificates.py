"""Certificates are sound, exact where they can be, and never sure of nan."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.attacks import exact_linear, fgm, pgd, run_attack
from featsim.certificates import certify_linear, convex_bound, tangent_chord
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import LinearModel, TwoLayerNetwork, margins
from featsim.threats import Threat

SPEC = PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8, noise_std=0.05, roles="permuted")
KINDS = [
    {"norm": "l2", "scope": "patch"},
    {"norm": "l2", "scope": "input"},
    {"norm": "linf", "scope": "patch"},
    {"norm": "linf", "scope": "input"},
    {"norm": "l2", "scope": "patch", "subspace": "own"},
    {"norm": "l2", "scope": "patch", "subspace": "nonrobust"},
    {"norm": "l2", "scope": "input", "subspace": "features"},
]


def net_and_data(seed, power=3.0, smoothing=0.5, scale=1.0):
    rng = np.random.default_rng(seed)
    data = sample_patches(SPEC, 6, rng)
    weights = np.stack([3.0 * data.robust_features, 2.0 * data.nonrobust_features], axis=1)
    weights = np.concatenate([weights + 0.2 * rng.standard_normal(weights.shape)] * 2, axis=1)
    return TwoLayerNetwork(scale * weights, power=power, smoothing=smoothing), data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("power", "smoothing"), [(1.0, 0.5), (2.0, 0.5), (2.7, 0.1), (3.0, 0.5), (4.0, 5.0)])
def test_tangent_chord_is_below_everything_that_can_be_found(kind, power, smoothing):
    rng = np.random.default_rng(1)
    net, data = net_and_data(0, power, smoothing)
    for radius in (0.0, 0.05, 0.2, 0.6):
        threat = Threat(radius=radius, **kind)
        budget = threat.bind(data)
        bound = tangent_chord(net, data, threat)
        strong = pgd(threat, 10, objective="targeted", starts=("clean", "filters", "features"))
        found = run_attack(strong, net, data).margin
        for _ in range(20):
            delta = budget.random(data.X.shape, rng)
            found = np.minimum(found, margins(net.scores(data.X + delta), data.y))
        assert np.all(bound.lower_margin <= found)
        if radius == 0.0:
            np.testing.assert_allclose(bound.lower_margin, found, rtol=1e-9, atol=1e-11)
        if radius == 0.05:  # not only sound: it says something
            assert bound.lower_margin.mean() > found.mean() - 0.5 * np.abs(found).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_patches_that_count_for_less_than_one(kind):
    rng = np.random.default_rng(2)
    net, data = net_and_data(0, 3.0, 2.0)
    data = dataclasses.replace(data, counts=rng.choice([0.05, 0.3, 1.0, 3.0], data.counts.shape))
    model = LinearModel(rng.standard_normal((3, *data.X.shape[1:])))
    for radius in (0.05, 0.3):
        threat = Threat(radius=radius, **kind)
        budget = threat.bind(data)
        strong = pgd(threat, 10, objective="targeted", starts=("clean", "filters", "features"))
        found = run_attack(strong, net, data).margin
        for patch in range(data.n_patches):  # the whole budget on one patch
            delta = np.zeros(data.X.shape)
            delta[:, patch] = 100 * rng.standard_normal((len(data.y), data.dim))
            moved = data.X + budget.project(delta)
            found = np.minimum(found, margins(net.scores(moved, data.counts), data.y))
        assert np.all(tangent_chord(net, data, threat).lower_margin <= found)
    plain = dataclasses.replace(data, counts=np.ones(data.counts.shape))
    threat = Threat(radius=0.2, **kind)
    exact = exact_linear(model, plain, threat).margin
    assert np.all(certify_linear(model, plain, threat).lower_margin <= exact)


def test_the_rounding_of_a_linear_certificate_grows_with_the_terms():
    rng = np.random.default_rng(0)
    gaps = []
    for dim in (10, 100_000):
        X = rng.choice([-1.0, 1.0], (2, dim))
        model = LinearModel(rng.choice([-1.0, 1.0], (2, dim)))
        bound = certify_linear(model, (X, [0, 1]), Threat(radius=0.0, scope="input"))
        gaps.append(np.max(margins(model.scores(X), np.array([0, 1])) - bound.lower_margin) / dim)
    assert gaps[0] > 0 and gaps[1] > 1000 * gaps[0]


@given(seed=st.integers(0, 10_000), log_scale=st.floats(-150, 150), radius=st.floats(0, 1))
def test_never_certified_and_broken_at_any_scale(seed, log_scale, radius):
    net, data = net_and_data(seed % 7, scale=1.0)
    net = TwoLayerNetwork(10.0**log_scale * net.weights, smoothing=0.5 * 10.0 ** min(log_scale, 100))
    threat = Threat(radius=radius, scope=("patch", "input")[seed % 2])
    budget, rng = threat.bind(data), np.random.default_rng(seed)
    bound = tangent_chord(net, data, threat)
    for _ in range(3):
        delta = budget.random(data.X.shape, rng)
        with np.errstate(over="ignore", invalid="ignore"):
            margin = margins(net.scores(data.X + delta), data.y)
        assert not np.any(bound.certified & ~(margin > 0))
        assert np.all(~(bound.lower_margin > margin))


def test_bound_is_the_formula():
    # One patch, one filter per class, linear region: the margin is linear, the bound exact.
    weights = np.array([[[2.0, 0.0]], [[0.0, 2.0]]])
    net = TwoLayerNetwork(weights, power=2.0, smoothing=0.1)
    X = np.array([[[2.0, 1.0]]])
    bound = tangent_chord(net, (X, [0]), Threat(radius=0.25))
    expected = 2.0 * (2.0 - 1.0) - 0.25 * np.linalg.norm([2.0, -2.0])
    np.testing.assert_allclose(bound.lower_margin, [expected], rtol=1e-12)
    # Slow loop over taus and neurons at one random case.
    rng = np.random.default_rng(3)
    weights, x, eps = rng.standard_normal((2, 2, 3)), rng.standard_normal((2, 3)), 0.2

    def s(z):
        return max(z, 0.0) ** 3

    def slope(z):
        return 3.0 * max(z, 0.0) ** 2

    values = []
    for tau in (0.0, 0.25, 0.5, 0.75, 1.0):
        constant, linear = 0.0, np.zeros((2, 3))
        for p in range(2):
            for r in range(2):
                z, reach = weights[0, r] @ x[p], eps * np.linalg.norm(weights[0, r])
                a = z - tau * reach
                constant += s(a) + slope(a) * (z - a)
                linear[p] += slope(a) * weights[0, r]
                z, reach = weights[1, r] @ x[p], eps * np.linalg.norm(weights[1, r])
                chord = (s(z + reach) - s(z - reach)) / (2 * reach)
                constant -= s(z - reach) + chord * reach
                linear[p] -= chord * weights[1, r]
        values.append(constant - eps * sum(np.linalg.norm(row) for row in linear))
    interval = sum(
        s(weights[0, r] @ x[p] - eps * np.linalg.norm(weights[0, r]))
        - s(weights[1, r] @ x[p] + eps * np.linalg.norm(weights[1, r]))
        for p in range(2)
        for r in range(2)
    )
    found = convex_bound(
        weights,
        lambda z: np.maximum(z, 0.0) ** 3,
        lambda z: 3.0 * np.maximum(z, 0.0) ** 2,
        (x[None], [0]),
        Threat(radius=eps),
    )
    np.testing.assert_allclose(found.lower_margin, [max(*values, interval)], rtol=1e-10)


def test_counts_and_pixels(rng):
    data = sample_patches(SPEC.replace(noise_std=0.0, roles="fixed"), 6, rng)
    net, _ = net_and_data(0)
    for kind in KINDS:
        threat = Threat(radius=0.2, **kind)
        many, few = tangent_chord(net, data, threat), tangent_chord(net, data.merge_repeats(), threat)
        np.testing.assert_allclose(many.lower_margin, few.lower_margin, rtol=1e-9, atol=1e-11)
    pixel_map = np.array([[0, 1, 3, 4], [1, 2, 4, 5]])
    images = patch_data(rng.standard_normal((9, 6))[:, pixel_map], np.arange(9) % 3, pixel_map=pixel_map)
    net = TwoLayerNetwork(rng.standard_normal((3, 2, 4)))
    for norm in ("l2", "linf"):
        threat = Threat(radius=0.1, norm=norm, scope="input")
        bound = tangent_chord(net, images, threat)
        found = run_attack(pgd(threat, objective="targeted"), net, images)
        assert np.all(bound.lower_margin <= found.margin)
        assert np.all(bound.lower_margin > found.margin - 2.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_scores", [1, 3])
def test_linear_certificate_is_the_exact_answer(kind, n_scores, rng):
    data = sample_patches(SPEC.replace(classes="random"), 10, rng)
    if n_scores == 1:
        data = data.select(data.y < 2)
    model = LinearModel(rng.standard_normal((n_scores, 4, 8)), bias=rng.standard_normal(n_scores))
    threat = Threat(radius=0.3, **kind)
    bound, exact = certify_linear(model, data, threat), exact_linear(model, data, threat)
    assert np.all(bound.lower_margin <= exact.margin)
    np.testing.assert_allclose(bound.lower_margin, exact.margin, rtol=1e-9, atol=1e-10)


def test_single_score_network(rng):
    net = TwoLayerNetwork(rng.standard_normal((1, 4, 8)))
    X, y = rng.standard_normal((8, 3, 8)), np.array([1, 1, 1, 1, -1, -1, -1, -1])
    threat = Threat(radius=0.1)
    bound = tangent_chord(net, (X, y), threat)
    found = run_attack(pgd(threat), net, (X, y))
    assert np.all(bound.lower_margin <= found.margin)
    assert bound.certified[:4].any()
    assert not bound.certified[4:].any()  # the scores of this network are never negative


def test_nan_and_infinity_are_never_certified(rng):
    X, y = rng.standard_normal((4, 2, 3)), np.array([0, 1, 0, 1])
    for value in (np.nan, np.inf):
        bound = convex_bound(
            rng.standard_normal((2, 2, 3)),
            lambda z, value=value: np.where(z > 1.0, value, np.maximum(z, 0.0)),
            lambda z: (z > 0) * 1.0,
            (X, y),
            Threat(radius=2.0),
        )
        assert np.isnan(bound.lower_margin).any()
        assert bound.certified_accuracy == 0.0
    huge = TwoLayerNetwork(1e300 * rng.standard_normal((2, 2, 3)))
    assert tangent_chord(huge, (1e10 * X, y), Threat(radius=1.0)).certified_accuracy == 0.0
    silent = TwoLayerNetwork(np.zeros((2, 2, 3)))
    assert tangent_chord(silent, (X, y), Threat(radius=0.0)).certified_accuracy == 0.0


def test_summary_and_wrong_models(rng):
    net, data = net_and_data(0)
    bound = tangent_chord(net, data, Threat(radius=0.05))
    text = bound.summary()
    for part in ("tangent/chord", "certified accuracy", "radius: 0.05", "n_samples: 6", "per patch"):
        assert part in text
    with pytest.raises(TypeError, match="network must be a TwoLayerNetwork"):
        tangent_chord(LinearModel(np.ones((2, 3))), data, Threat(radius=0.1))
    with pytest.raises(TypeError, match="model must be a LinearModel"):
        certify_linear(net, data, Threat(radius=0.1))
    with pytest.raises(ValueError, match=r"X must have shape \(n, P, 8\)"):
        tangent_chord(net, (np.ones((2, 3)), [0, 1]), Threat(radius=0.1))


def test_reference_nets(shared_data):
    # A prototype of the same bound, written apart from this one, certifies 100, 100, 95, 30 %.
    stored = np.load(shared_data / "attack_nets.npz")
    net = TwoLayerNetwork(stored["srelu_q3_k3_W"], power=3.0, smoothing=1.0)
    samples = (stored["srelu_q3_k3_X"], stored["srelu_q3_k3_y"])
    for radius, share, mean in (
        (0.2, 1.0, 1.553),
        (0.3, 1.0, 1.021),
        (0.4, 0.95, 0.465),
        (0.5, 0.30, -0.125),
    ):
        threat = Threat(radius=radius, scope="input")
        bound = tangent_chord(net, samples, threat)
        assert bound.certified_accuracy >= share
        # The prototype's tangent points are not recorded; a finer grid raises the mean by 0.001.
        assert bound.lower_margin.mean() >= mean - 2e-3
        assert np.all(bound.lower_margin <= run_attack(fgm(threat), net, samples).margin)
