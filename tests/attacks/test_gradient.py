"""Gradient attacks: against exact answers, the slow reference, and the ways they can flatter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from featsim.attacks import (
    ExactAttack,
    FeatureAttack,
    GradientAttack,
    exact_linear,
    fgm,
    margin_step,
    pgd,
    raw_step,
    run_attack,
)
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import LinearModel, TwoLayerNetwork, margins
from featsim.specs import spec_from_dict
from featsim.threats import Threat


class PowerNet:
    """A user's own model: ReLU^q patch network, homogeneous of degree q in the weights."""

    def __init__(self, weights, power=3.0):
        self.weights, self.power = weights, power

    def scores(self, X):
        z = np.maximum(np.einsum("npd,kmd->npkm", X, self.weights), 0.0)
        return (z**self.power).sum(axis=(1, 3))

    def input_gradient(self, X, cotangent):
        z = np.maximum(np.einsum("npd,kmd->npkm", X, self.weights), 0.0)
        return np.einsum("nk,npkm,kmd->npd", cotangent, self.power * z ** (self.power - 1), self.weights)


class Bare:
    """A user's own model without weights."""

    def __init__(self, model):
        self.model = model

    def scores(self, X):
        return self.model.scores(X)

    def input_gradient(self, X, cotangent):
        return self.model.input_gradient(X, cotangent)


SPEC = PatchDataSpec(n_classes=3, n_nonrobust_patches=4, dim=8, noise_std=0.05, roles="permuted")


@pytest.fixture
def data(rng):
    return sample_patches(SPEC, 12, rng)


@pytest.fixture
def net(data, rng):
    """Filters near the features, large enough that the clean accuracy is 1."""
    u, v = data.robust_features, data.nonrobust_features
    weights = np.stack([3.0 * u, 2.0 * v], axis=1) + 0.05 * rng.standard_normal((3, 2, 8))
    return TwoLayerNetwork(weights, power=3.0, smoothing=0.5)


THREATS = [
    Threat(radius=0.3),
    Threat(radius=0.5, scope="input"),
    Threat(radius=0.08, norm="linf"),
    Threat(radius=0.3, subspace="own"),
    Threat(radius=0.4, scope="input", subspace="features"),
    Threat(radius=0.3, subspace="nonrobust"),
]


def every_attack(threat):
    return [
        raw_step(threat, 10.0),
        margin_step(threat, 10.0, n_steps=3),
        fgm(threat),
        pgd(threat, 5),
        pgd(threat, 5, objective="targeted", starts=("clean", "filters", "features"), n_random=2),
        pgd(threat, 5, objective="loss", stop_when_broken=True, n_random=1),
    ]


@pytest.mark.parametrize("threat", THREATS)
def test_perturbations_are_allowed_and_margins_are_theirs(threat, data, net, rng):
    for attack in every_attack(threat):
        result = run_attack(attack, net, data, rng)
        assert threat.bind(data).contains(result.perturbation).all()
        attacked = margins(net.scores(data.X + result.perturbation), data.y)
        np.testing.assert_allclose(result.margin, attacked, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(result.clean_margin, margins(net.scores(data.X), data.y), rtol=1e-12)
        if attack.keep == "best":
            assert np.all(result.margin <= result.clean_margin)


@pytest.mark.parametrize("threat", THREATS)
def test_one_step_attacks_agree_with_the_slow_reference(threat, data, net):
    u, v = data.robust_features, data.nonrobust_features
    bases = {
        None: None,
        "own": {0: u, 1: v},
        "nonrobust": {0: v, 1: v},
        "features": {0: data.features, 1: data.features},
    }[threat.subspace]
    slow = reference.Budget(radius=threat.radius, norm=threat.norm, scope=threat.scope, bases=bases)
    for attack, slow_attack in (
        (raw_step(threat, 0.5), reference.a_raw(slow, 0.5)),
        (margin_step(threat, 0.2), reference.a_margin(slow, 0.2)),
        (fgm(threat), reference.a_unit(slow)),
        (pgd(threat, 4, keep="last"), reference.a_pgd(slow, 4)),
    ):
        expected = reference.perturb_all(slow_attack, net.weights, data.X, data.y, 3.0, 0.5, roles=data.roles)
        found = run_attack(attack, net, data).perturbation
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def linear_case(seed, n_scores):
    rng = np.random.default_rng(seed)
    model = LinearModel(rng.standard_normal((n_scores, 5, 8)), bias=0.1 * rng.standard_normal(n_scores))
    spec = SPEC if n_scores != 1 else SPEC.replace(n_classes=2)
    return model, sample_patches(spec.replace(classes="random"), 9, rng)


@pytest.mark.parametrize("n_scores", [1, 2, 3])
@pytest.mark.parametrize("threat", THREATS)
def test_attacks_on_linear_models_against_the_exact_answer(threat, n_scores):
    model, data = linear_case(5, n_scores)
    if n_scores == 2:
        data = patch_data(
            data.X,
            data.y % 2,
            n_classes=3,
            roles=data.roles,
            robust_features=data.robust_features,
            nonrobust_features=data.nonrobust_features,
        )
    exact = exact_linear(model, data, threat)
    budget = threat.bind(data)
    assert budget.contains(exact.perturbation).all()
    # Dual norm, rival by rival.
    scores = model.scores(data.X)
    for s in range(data.n_samples):
        lower = []
        for t in range(n_scores):
            if n_scores == 1:
                sign = 1.0 if data.y[s] == 1 else -1.0
                gap, difference = sign * scores[s, 0], model.weights[0]
            elif t != data.y[s]:
                y = data.y[s]
                gap, difference = scores[s, y] - scores[s, t], model.weights[y] - model.weights[t]
            else:
                continue
            lower.append(gap - threat.radius * budget.dual_norm(np.repeat(difference[None], 9, axis=0))[s])
        np.testing.assert_allclose(exact.margin[s], min(lower), rtol=1e-10, atol=1e-12)
    rng = np.random.default_rng(0)
    for attack in every_attack(threat):
        if "features" in attack.starts and n_scores == 2:
            continue
        result = run_attack(attack, model, data, rng)
        assert np.all(exact.margin <= result.margin + 1e-9)
    strong = run_attack(pgd(threat, 20, objective="targeted"), model, data)
    np.testing.assert_allclose(strong.margin, exact.margin, atol=1e-9)  # its gap is a rounding
    assert run_attack(ExactAttack(threat=threat), model, data).robust_accuracy == exact.robust_accuracy


@given(seed=st.integers(0, 500), radius=st.floats(0.0, 2.0))
def test_order_holds_for_every_sample(seed, radius):
    model, data = linear_case(seed, 3)
    threat = Threat(radius=radius)
    exact = exact_linear(model, data, threat)
    attacked = run_attack(pgd(threat, 3), model, data)
    assert np.all(exact.margin <= attacked.margin + 1e-9)
    assert np.all(attacked.margin <= attacked.clean_margin)


def test_plain_arrays_of_any_shape(rng):
    X, y = rng.standard_normal((6, 2, 2, 3)), np.array([0, 1, 2, 0, 1, 2])
    model = LinearModel(rng.standard_normal((3, 2, 2, 3)))
    threat = Threat(radius=0.3, scope="input")
    exact = exact_linear(model, (X, y), threat)
    found = run_attack(pgd(threat, objective="targeted"), Bare(model), (X, y))
    np.testing.assert_allclose(found.margin, exact.margin, atol=1e-9)
    signed = run_attack(pgd(threat), LinearModel(model.weights[:1]), (X, np.where(y > 0, 1, -1)))
    assert signed.n_samples == 6


def test_counts_stand_for_repeated_patches(rng):
    spec = SPEC.replace(noise_std=0.0, roles="fixed")
    data = sample_patches(spec, 6, rng)
    merged = data.merge_repeats()
    net = TwoLayerNetwork(rng.standard_normal((3, 4, 8)))
    for threat in (Threat(radius=0.3), Threat(radius=0.5, scope="input"), Threat(radius=0.1, norm="linf")):
        for attack in (margin_step(threat, 0.1), fgm(threat), pgd(threat, 5)):
            many, few = run_attack(attack, net, data), run_attack(attack, net, merged)
            np.testing.assert_allclose(many.margin, few.margin, rtol=1e-9)
            assert threat.bind(merged).contains(few.perturbation).all()
    with pytest.raises(TypeError, match="must take counts"):
        run_attack(fgm(Threat(radius=0.1)), PowerNet(net.weights), merged)


def test_scale_of_a_homogeneous_net_does_not_move_margin_attacks(data, net, rng):
    threat = Threat(radius=0.3)
    for attack in (
        fgm(threat),
        pgd(threat, 10, objective="targeted", starts=("clean", "filters")),
    ):
        small, large = (run_attack(attack, PowerNet(scale * net.weights), data) for scale in (1.0, 8.0))
        np.testing.assert_array_equal(small.robust, large.robust)
        if attack.objective == "targeted":
            np.testing.assert_allclose(large.margin, 8.0**3 * small.margin, rtol=1e-6)
    # The trap: the loss gradient is gone, the result says so, and the accuracy flatters.
    fragile = PowerNet(8.0 * (3.0 * data.nonrobust_features[:, None, :] + 0.01))
    threat = Threat(radius=0.35)
    masked = run_attack(pgd(threat, 10, objective="loss"), fragile, data)
    honest = run_attack(pgd(threat, 10, starts=("clean", "filters")), fragile, data)
    assert masked.n_dead > 0
    assert masked.robust_accuracy > honest.robust_accuracy
    assert "zero gradient at" in masked.summary()
    assert honest.n_dead == 0
    assert "zero gradient at" not in honest.summary()


def test_no_gradient_means_dead_and_ties_mean_errors(data):
    silent = TwoLayerNetwork(np.zeros((3, 2, 8)))
    for attack in every_attack(Threat(radius=0.3)):
        result = run_attack(attack, silent, data, np.random.default_rng(0))
        assert result.clean_accuracy == result.robust_accuracy == 0.0
        assert result.n_dead == data.n_samples


def test_non_finite_scores_and_gradients_are_errors_not_crashes(data, net):
    class Broken(Bare):
        # Stands for a model that fails on some inputs, known here by their position.
        def scores(self, X):
            scores = self.model.scores(X)
            scores[:1] = np.nan
            scores[1:2, 0] = np.inf
            return scores

        def input_gradient(self, X, cotangent):
            gradient = self.model.input_gradient(X, cotangent)
            gradient[2:3] = np.nan
            return gradient

    threat = Threat(radius=0.3)
    for attack in every_attack(threat):
        if "filters" in attack.starts or attack.stop_when_broken:
            continue
        result = run_attack(attack, Broken(net), data, np.random.default_rng(0))
        assert np.isnan(result.margin[:2]).all()
        assert not result.robust[:2].any()
        assert result.dead_gradient[:3].all()
        assert threat.bind(data).contains(result.perturbation).all()


def test_endless_raw_step_is_the_unit_step(data, net):
    threat = Threat(radius=0.3)
    endless = run_attack(margin_step(threat, 1e308), TwoLayerNetwork(10.0 * net.weights), data)
    unit = run_attack(fgm(threat), TwoLayerNetwork(10.0 * net.weights), data)
    np.testing.assert_allclose(endless.perturbation, unit.perturbation, atol=1e-12)


def test_radius_zero_changes_nothing(data, net):
    for attack in every_attack(Threat(radius=0.0)):
        result = run_attack(attack, net, data, np.random.default_rng(0))
        assert not result.perturbation.any()
        np.testing.assert_allclose(result.margin, result.clean_margin)


def test_user_model_and_permuted_samples(data, net):
    attack = pgd(Threat(radius=0.3), 5, objective="targeted")
    own = run_attack(attack, net, data)
    users = run_attack(attack, Bare(net), data)
    np.testing.assert_array_equal(own.margin, users.margin)
    order = np.random.default_rng(1).permutation(data.n_samples)
    np.testing.assert_allclose(
        run_attack(attack, net, data.select(order)).margin, own.margin[order], rtol=1e-10
    )


def test_filter_starts_find_what_the_clean_start_misses():
    # Two patches, one per class feature; the rival's filter is silent at the clean point.
    weights = np.eye(3)[:2, None, :]
    X = np.array([[[0.6, -0.1, 0.0], [0.6, -0.1, 0.0]]])
    net = TwoLayerNetwork(weights, power=3.0, smoothing=0.5)
    threat = Threat(radius=1.1, scope="input")
    plain = run_attack(pgd(threat, 20), net, (X, [0]))
    started = run_attack(pgd(threat, 20, starts=("clean", "filters")), net, (X, [0]))
    assert started.margin[0] < plain.margin[0]
    assert started.start[0].startswith("filters")
    assert started.target[0] == 1


def test_random_starts_follow_the_generator(data, net):
    attack = pgd(Threat(radius=0.3), 3, n_random=3, starts=("random",))
    first, again = (run_attack(attack, net, data, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first.perturbation, again.perturbation)
    with pytest.raises(ValueError, match="rng must be given for random starts"):
        run_attack(attack, net, data)


def test_stopping_when_broken_does_not_change_the_accuracy(data, net):
    attack = pgd(Threat(radius=0.35), 10, starts=("clean", "filters"))
    full = run_attack(attack, net, data)
    quick = run_attack(attack.replace(stop_when_broken=True), net, data)
    np.testing.assert_array_equal(full.robust, quick.robust)
    assert np.all(full.margin <= quick.margin + 1e-12)


def test_last_iterate_is_kept_even_if_the_clean_point_is_worse():
    # An ascent direction that overshoots: one huge raw step leaves a concave valley.
    class Valley:
        def scores(self, X):
            return np.concatenate([(X**2).sum(axis=1, keepdims=True), np.full((len(X), 1), 0.1)], axis=1)

        def input_gradient(self, X, cotangent):
            return 2.0 * cotangent[:, :1] * X

    threat = Threat(radius=5.0, scope="input")
    X, y = np.array([[0.5]]), np.array([0])
    last = run_attack(margin_step(threat, 5.0), Valley(), (X, y))
    best = run_attack(margin_step(threat, 5.0).replace(keep="best"), Valley(), (X, y))
    assert last.margin[0] > last.clean_margin[0] == best.margin[0]
    assert (best.start[0], best.step[0], last.step[0]) == ("clean", 0, 1)


def test_summary_names_every_setting(data, net):
    attack = pgd(Threat(radius=0.3), 7, n_random=2, starts=("clean", "filters"))
    result = run_attack(attack, net, data, np.random.default_rng(0))
    text = result.summary()
    for part in (
        "A-pgd", "l2", "per patch", "radius: 0.3", "n_steps: 7", "step_size: 0.107", "n_random: 2",
        "clean, filters, random", "objective: margin", "rule: unit", "n_samples: 12", "n_dead: 0",
        "clean accuracy 1.0000 [", "robust accuracy", "keep: best",
    ):  # fmt: skip
        assert part in text, part
    assert set(result.settings) >= {"attack", "norm", "radius", "budget", "starts", "keep", "n_dead"}


def test_labels_and_json():
    threat = Threat(radius=0.3)
    attacks = [
        raw_step(threat, 1.0),
        margin_step(threat, 1.0),
        fgm(threat),
        pgd(threat),
        FeatureAttack(radius=1),
    ]
    assert [a.label for a in attacks] == ["A-raw", "A-margin", "A-unit", "A-pgd", "A-feat"]
    assert pgd(threat, n_random=1, objective="targeted").label == "targeted unit x20+random"
    for attack in [*attacks, ExactAttack(threat=threat), pgd(threat, n_random=2)]:
        assert spec_from_dict(attack.to_dict()) == attack


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objective": "dlr"}, "objective must be one of"),
        ({"rule": "sign"}, "rule must be one of"),
        ({"keep": "first"}, "keep must be one of"),
        ({"step_size": -1.0}, "step_size must be >= 0"),
        ({"step_size": np.nan}, "step_size must be a number"),
        ({"n_steps": 0}, "n_steps must be >= 1"),
        ({"starts": ()}, "starts must name at least one start"),
        ({"starts": ("clean", "clean")}, "each once"),
        ({"starts": "filter"}, "starts must be one of"),
        ({"n_random": 2}, "if and only if starts has 'random'"),
        ({"starts": ("random",)}, "if and only if starts has 'random'"),
    ],
)
def test_impossible_attacks(fields, message):
    with pytest.raises(ValueError, match=message):
        GradientAttack(**{"threat": Threat(radius=0.1), "step_size": 0.1, **fields})
    with pytest.raises(TypeError, match="threat must be a Threat"):
        GradientAttack(threat=0.1, step_size=0.1)


def test_missing_pieces_are_named(data, net):
    threat = Threat(radius=0.1)
    with pytest.raises(ValueError, match=r"leave 'filters' out or give the model that attribute"):
        run_attack(pgd(threat, starts=("filters",)), Bare(net), data)
    with pytest.raises(ValueError, match=r"leave 'features' out or give the features"):
        run_attack(pgd(threat, starts=("features",)), net, (data.X, data.y))
    with pytest.raises(TypeError, match="attack must be a GradientAttack"):
        run_attack("pgd", net, data)
    with pytest.raises(TypeError, match="must have a LinearModel"):
        run_attack(ExactAttack(threat=threat), net, data)
    with pytest.raises(TypeError, match="must be a LinearModel"):
        exact_linear(net, data, threat)
    with pytest.raises(ValueError, match=r"y must lie in 0\.\.1 for a model with 2 scores"):
        run_attack(fgm(threat), TwoLayerNetwork(net.weights[:2]), data)
