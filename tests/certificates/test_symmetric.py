"""Certificates of the symmetric network: never above an attack, tight where they should be."""

import numpy as np
import pytest

from featsim.attacks import DirectionAttack, fgm, pgd, run_attack
from featsim.certificates import certify_pure, certify_symmetric
from featsim.data import SparseCodingSpec, sparse_coding_data
from featsim.evaluation import evaluate
from featsim.models import SymmetricNetworkSpec, TwoLayerNetwork
from featsim.threats import Threat

SPEC = SparseCodingSpec(dim=12, sparsity=2.0, noise_norm=0.2)


def net(rng, *, bias=0.15, smoothing=0.05, scale=0.4, m=20, dim=12):
    spec = SymmetricNetworkSpec(width=m, bias=bias, smoothing=smoothing)
    return spec.network(scale * rng.standard_normal((1, m, dim)))


def pure_net(data, *, bias=0.15, smoothing=0.05, size=1.0):
    spec = SymmetricNetworkSpec(width=12, bias=bias, smoothing=smoothing)
    return spec.network(size * (data.dictionary * np.sign(data.label_weights)).T[None])


@pytest.mark.parametrize("smoothing", [0.0, 0.003, 0.05, 0.4])
@pytest.mark.parametrize("threat", [Threat(radius=0.15), Threat(radius=0.05, norm="linf")])
def test_no_attack_goes_below_the_bound(threat, smoothing, rng):
    for bias, scale in ((0.15, 0.4), (0.0, 0.2), (0.3, 2.0)):
        data = SPEC.sample(40, rng)
        network = net(rng, bias=bias, smoothing=smoothing, scale=scale)
        bound = certify_symmetric(network, data, threat).lower_margin
        attack = pgd(threat, n_steps=20, n_random=2, starts=("clean", "steepest", "features"))
        for result in (
            run_attack(attack, network, data, rng),
            run_attack(fgm(threat), network, data),
            run_attack(DirectionAttack(threat=threat), network, data),
        ):
            assert (bound <= result.margin).all()


def test_order_of_all_attacks_sample_by_sample(rng):
    """certified <= PGD <= FGM, and the dense direction <= the clean point where it points downhill."""
    data, threat = SPEC.sample(60, rng), Threat(radius=0.15)
    network = pure_net(data)
    certified = certify_symmetric(network, data, threat).lower_margin
    separable = certify_pure(network, data.dictionary, data, threat).lower_margin
    strong = run_attack(pgd(threat, starts=("clean", "steepest", "features")), network, data)
    one_step, dense = (run_attack(a, network, data) for a in (fgm(threat), DirectionAttack(threat=threat)))
    assert (certified <= strong.margin).all()
    assert (separable <= strong.margin).all()
    assert (strong.margin <= one_step.margin).all()
    assert (strong.margin <= dense.margin).all()
    assert (dense.margin <= dense.clean_margin).all()
    assert (separable >= certified - 1e-9).all()


def test_separable_bound_is_tight(rng):
    data, threat = SPEC.sample(60, rng), Threat(radius=0.2)
    network = pure_net(data)
    bound = certify_pure(network, data.dictionary, data, threat, n_points=401).lower_margin
    attacked = run_attack(pgd(threat, n_steps=60, starts=("clean", "steepest", "features")), network, data)
    gap = attacked.margin - bound
    assert gap.min() >= 0.0
    assert np.median(gap) < 5e-3


def test_radius_zero_is_the_clean_margin(rng):
    data, none = SPEC.sample(20, rng), Threat(radius=0.0)
    for network, bound in (
        (net(rng), lambda n: certify_symmetric(n, data, none)),
        (pure_net(data), lambda n: certify_pure(n, data.dictionary, data, none)),
    ):
        margin = data.signs * network.scores(data.X)[:, 0]
        lower = bound(network).lower_margin
        assert (lower <= margin).all()
        np.testing.assert_allclose(lower, margin, atol=1e-6)


def test_extreme_scales_stay_sound(rng):
    data, threat = SPEC.sample(10, rng), Threat(radius=0.1)
    for scale in (1e-6, 1e4):
        network = net(rng, scale=scale)
        bound = certify_symmetric(network, data, threat).lower_margin
        for _ in range(20):
            move = rng.standard_normal(data.X.shape)
            move *= threat.radius / np.linalg.norm(move, axis=2, keepdims=True)
            margin = data.signs * network.scores(data.X + move)[:, 0]
            assert (bound <= margin).all()


def test_random_perturbations_never_break_a_certified_sample(rng):
    data, threat = SPEC.sample(30, rng), Threat(radius=0.1)
    network = pure_net(data, size=1.5)
    bound = certify_symmetric(network, data, threat)
    assert bound.certified.any()
    for _ in range(200):
        move = rng.standard_normal(data.X.shape)
        move *= threat.radius * rng.random((30, 1, 1)) / np.linalg.norm(move, axis=2, keepdims=True)
        assert (data.signs * network.scores(data.X + move)[:, 0] >= bound.lower_margin).all()


def test_evaluation_reports_the_interval(rng):
    data, threat = SPEC.sample(40, rng), Threat(radius=0.1)
    found = evaluate(pure_net(data, size=1.5), data, (pgd(threat),), certify=threat)
    interval = found.robust_accuracy(threat)
    assert 0.0 < interval.certified <= interval.attacked <= 1.0


def test_refusals(rng):
    data, threat = SPEC.sample(5, rng), Threat(radius=0.1)
    with pytest.raises(TypeError, match="network must be a SymmetricNetwork"):
        certify_symmetric(TwoLayerNetwork(np.ones((2, 3, 12))), data, threat)
    with pytest.raises(ValueError, match="subspace must be None"):
        certify_symmetric(net(rng), data, Threat(radius=0.1, subspace="nonrobust"))
    with pytest.raises(ValueError, match="network must be pure"):
        certify_pure(net(rng), data.dictionary, data, threat)
    with pytest.raises(ValueError, match="norm must be 'l2'"):
        certify_pure(pure_net(data), data.dictionary, data, Threat(radius=0.1, norm="linf"))
    with pytest.raises(ValueError, match="smoothing must be > 0"):
        certify_pure(pure_net(data, smoothing=0.0), data.dictionary, data, threat)
    other = sparse_coding_data(np.ones((2, 5)), [0, 1], dictionary=np.eye(5), label_weights=np.ones(5))
    with pytest.raises(ValueError, match="X must have shape"):
        certify_symmetric(net(rng), other, threat)
