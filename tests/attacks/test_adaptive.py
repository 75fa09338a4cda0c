"""Adaptive steps, compiled descent and random search: inside the budget, as strong as they should be."""

import numpy as np
import pytest
from model_kinds import cases

from featsim.attacks import (
    AdaptiveAttack,
    NeuronAttack,
    RandomSearch,
    exact_linear,
    pgd,
    run_attack,
)
from featsim.attacks.adaptive import checkpoints
from featsim.certificates import branch_and_bound
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import LinearModel, TwoLayerNetwork, margins
from featsim.threats import Threat

CASES = cases()
INPUT = Threat(radius=0.4, scope="input")


def patches(seed=0):
    rng = np.random.default_rng(seed)
    data = sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8, noise_std=0.05), 9, rng)
    weights = np.stack([1.5 * data.robust_features, data.nonrobust_features], axis=1)
    return TwoLayerNetwork(weights + 0.1 * rng.standard_normal(weights.shape), smoothing=0.5), data


@pytest.mark.parametrize("name", CASES)
def test_margins_belong_to_perturbations_inside_the_budget(name, rng):
    case = CASES[name]
    data = (case.X[:3], case.y[:3])
    n_steps = 3 if name.startswith("kernel") else 12
    for threat in (INPUT, Threat(radius=0.1, norm="linf", scope="input")):
        for attack in (
            AdaptiveAttack(threat=threat, n_steps=n_steps, n_random=1, starts=("clean", "random")),
            RandomSearch(threat=threat, n_queries=n_steps),
        ):
            result = run_attack(attack, case.model, data, rng)
            assert threat.bind().contains(result.perturbation).all()
            again = margins(case.model.scores(data[0] + result.perturbation), data[1])
            np.testing.assert_allclose(result.margin, again, rtol=1e-12)
            assert np.all(result.margin <= result.clean_margin)
            assert result.settings["attack"] == attack.label


@pytest.mark.parametrize(
    "threat",
    [
        INPUT,
        Threat(radius=0.3),
        Threat(radius=0.08, norm="linf", scope="input"),
        Threat(radius=0.3, subspace="own"),
        Threat(radius=0.4, scope="input", subspace="features"),
    ],
)
def test_compiled_is_between_exact_and_generic(threat, rng):
    net, data = patches()
    exact = branch_and_bound(net, data, threat, max_nodes=1000, tolerance=1e-3)
    compiled = run_attack(NeuronAttack(threat=threat, n_random=2), net, data, rng)
    generic = run_attack(
        AdaptiveAttack(threat=threat, starts=("clean", "filters", "features"), n_steps=60), net, data
    )
    for result in (compiled, generic):
        assert np.all(result.margin >= exact.lower_margin)
        assert threat.bind(data).contains(result.perturbation).all()
        np.testing.assert_allclose(
            result.margin, margins(net.scores(data.X + result.perturbation), data.y), atol=1e-12
        )
    # Compiled, from the same kinds of starts, it finds what the generic one finds, to a hundredth.
    assert np.all(compiled.margin <= generic.margin + 0.01)
    assert set(np.unique(compiled.target)) <= {-1, 0, 1, 2}


def test_both_reach_the_exact_worst_case_of_a_linear_model(rng):
    model = LinearModel(rng.standard_normal((3, 2, 4)))
    X = rng.standard_normal((10, 2, 4))
    y = np.argmax(model.scores(X), axis=1)
    exact = exact_linear(model, (X, y), INPUT)
    found = run_attack(AdaptiveAttack(threat=INPUT, n_steps=40), model, (X, y))
    np.testing.assert_allclose(found.margin, exact.margin, atol=1e-9)
    blind = run_attack(RandomSearch(threat=INPUT, n_queries=400), model, (X, y), rng)
    assert np.all(blind.margin >= exact.margin - 1e-12)
    # The stated gap of random search with 400 queries in 8 dimensions: a tenth of the way.
    way = exact.clean_margin - exact.margin
    assert np.all(blind.margin - exact.margin <= 0.1 * way)


def test_stronger_than_plain_steps():
    net, data = patches(3)
    threat = Threat(radius=0.5, scope="input")
    plain = run_attack(pgd(threat, 40), net, data).margin
    starts = ("clean", "filters")
    better = run_attack(AdaptiveAttack(threat=threat, n_steps=40, starts=starts), net, data).margin
    assert np.all(better <= plain + 1e-6)


def test_broken_samples_are_left_alone_and_stay_broken(rng):
    net, data = patches(1)
    threat = Threat(radius=0.8, scope="input")
    for attack in (
        AdaptiveAttack(threat=threat, n_steps=30, starts=("clean", "filters")),
        NeuronAttack(threat=threat),
        RandomSearch(threat=threat, n_queries=50),
    ):
        whole = run_attack(attack, net, data, rng)
        short = run_attack(attack.replace(stop_when_broken=True), net, data, np.random.default_rng(1))
        if not isinstance(attack, RandomSearch):
            np.testing.assert_array_equal(whole.robust, short.robust)
        assert np.all(short.margin >= whole.margin - 1e-9) or isinstance(attack, RandomSearch)


def test_counts_of_repeated_patches():
    net, data = patches()
    merged = patch_data(
        data.X, data.y, counts=np.tile([1.0, 2.0, 3.0, 0.5], (len(data.y), 1))[:, : data.X.shape[1]]
    )
    for threat in (INPUT, Threat(radius=0.3)):
        exact = branch_and_bound(net, merged, threat, max_nodes=500)
        found = run_attack(NeuronAttack(threat=threat), net, merged)
        assert np.all(found.margin >= exact.lower_margin)
        assert threat.bind(merged).contains(found.perturbation).all()


def test_random_numbers_must_be_given_and_decide():
    net, data = patches()
    for attack in (RandomSearch(threat=INPUT), NeuronAttack(threat=INPUT, n_random=1)):
        with pytest.raises(ValueError, match="rng must be given"):
            run_attack(attack, net, data)
        one, two = (run_attack(attack, net, data, np.random.default_rng(5)) for _ in range(2))
        np.testing.assert_array_equal(one.perturbation, two.perturbation)


def test_refusals():
    with pytest.raises(ValueError, match="n_random must be > 0 if and only if"):
        AdaptiveAttack(threat=INPUT, n_random=2)
    with pytest.raises(ValueError, match="momentum must be > 0"):
        AdaptiveAttack(threat=INPUT, momentum=0.0)
    with pytest.raises(ValueError, match="'spread' only with an l2 threat"):
        AdaptiveAttack(threat=Threat(radius=0.1), starts=("spread",))
    with pytest.raises(ValueError, match="n_queries must be >= 1"):
        RandomSearch(threat=INPUT, n_queries=0)
    with pytest.raises(ValueError, match="must not be a cap"):
        NeuronAttack(threat=Threat(radius=0.1, scope="input", subspace="slice"))
    with pytest.raises(TypeError, match="network of one hidden layer"):
        run_attack(NeuronAttack(threat=INPUT), LinearModel(np.ones((2, 1, 3))), (np.ones((1, 1, 3)), [0]))


def test_checkpoints_grow_closer():
    marks = checkpoints(100)
    assert marks[0] == 22 and np.all(np.diff(np.diff([0, *marks])) <= 0)
    assert checkpoints(1) == [1, 2] or checkpoints(1)[0] == 1
