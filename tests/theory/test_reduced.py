"""The exact reduced recursions, standard and adversarial, against the slow reference."""

import numpy as np
import pytest

import reference
from featsim.data import PatchDataSpec, patch_data
from featsim.theory import reduced_adversarial, reduced_from_weights, reduced_standard

K, DIM, STRENGTHS = 4, 20, (1.0, 0.4)
RECORDED = (
    "robust_table",
    "nonrobust_table",
    "robust_coef",
    "nonrobust_coef",
    "clean_loss",
    "clean_accuracy",
    "error_probability",
    "attacked_loss",
    "attacked_accuracy",
)


def s1(seed, counts=(1, 40), width=8, init_std=0.02):
    """Setting S1: features, weights, counted data as the reference takes them, and the reduced start."""
    rng = np.random.default_rng(seed)
    features = reference.random_features(2 * K, DIM, rng)
    weights = init_std * rng.standard_normal((K, width, DIM))
    X, y, roles, n = reference.counted_data(features, *counts, *STRENGTHS)
    data = patch_data(
        X,
        np.array(y),
        n_classes=K,
        robust_features=features[:K],
        nonrobust_features=features[K:],
        roles=roles,
        counts=n,
    )
    return features, weights, (X, y, roles, n), reduced_from_weights(weights, data)


def run_reference(features, weights, samples, n_steps, attack=None, power=3.0):
    X, y, roles, counts = samples
    return reference.trajectory(
        weights,
        X,
        y,
        power=power,
        smoothing=0.5,
        step_size=1.0,
        n_steps=n_steps,
        robust_features=features[:K],
        nonrobust_features=features[K:],
        attack=attack,
        counts=counts,
        roles=roles,
    )


def assert_same(trace, expected, atol):
    for name in RECORDED:
        np.testing.assert_allclose(getattr(trace, name), expected[name], rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("power", [1.0, 2.0, 2.5, 3.0, 4.0])
def test_standard_training_is_exact(power):
    features, weights, samples, start = s1(1, width=3)
    n_steps = 300 if power == 3.0 else 60
    trace = start.standard(power=power, smoothing=0.5, step_size=1.0, n_steps=n_steps)
    assert_same(trace, run_reference(features, weights, samples, n_steps, power=power), 1e-12)


@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_t8_s1_adversarial_training_is_exact_over_300_steps(seed):
    features, weights, samples, start = s1(seed)
    attack = reference.a_margin(reference.Budget(0.35), 100.0)
    trace = start.adversarial(
        power=3.0, smoothing=0.5, step_size=1.0, n_steps=300, radius=0.35, attack_step_size=100.0
    )
    assert_same(trace, run_reference(features, weights, samples, 300, attack), 1e-12)


@pytest.mark.parametrize("scope", ["patch", "input"])
@pytest.mark.parametrize("subspace", [None, "own", "nonrobust", "features"])
@pytest.mark.parametrize("rule", ["margin", "loss", "unit"])
def test_every_one_step_attack_is_exact(scope, subspace, rule):
    # large initial weights: all phases of the activation and the clip are met within few steps
    features, weights, samples, start = s1(2, counts=(2, 6), width=3, init_std=0.3)
    U, V = features[:K], features[K:]
    bases = {"own": {0: U, 1: V}, "nonrobust": {0: V, 1: V}, "features": {0: features, 1: features}}
    budget = reference.Budget(0.35, scope=scope, bases=bases.get(subspace))
    attack = {
        "margin": reference.a_margin(budget, 0.5),
        "loss": reference.a_raw(budget, 0.5),
        "unit": reference.a_unit(budget),
    }[rule]
    trace = start.adversarial(
        power=3.0,
        smoothing=0.5,
        step_size=1.0,
        n_steps=15,
        radius=0.35,
        attack_step_size=np.inf if rule == "unit" else 0.5,
        objective="loss" if rule == "loss" else "margin",
        scope=scope,
        subspace=subspace,
    )
    assert_same(trace, run_reference(features, weights, samples, 15, attack), 1e-11)


def test_written_out_patches_and_unequal_classes():
    rng = np.random.default_rng(3)
    features = reference.random_features(2 * K, DIM, rng)
    X, y, roles = reference.noise_free_data(features, 1, 5, *STRENGTHS)
    pick = [0, 0, 0, 1, 2, 2, 3, 0]
    weights = 0.3 * rng.standard_normal((K, 2, DIM))
    X, y, roles = X[pick], [y[s] for s in pick], roles[pick]
    data = patch_data(
        X,
        np.array(y),
        n_classes=K,
        robust_features=features[:K],
        nonrobust_features=features[K:],
        roles=roles,
    )
    start = reduced_from_weights(weights, data)
    np.testing.assert_array_equal(start.class_fractions, [0.5, 0.125, 0.25, 0.125])
    assert (start.n_robust_patches, start.n_nonrobust_patches) == (1, 5)
    trace = start.adversarial(
        power=3.0, smoothing=0.5, step_size=1.0, n_steps=10, radius=0.35, attack_step_size=100.0
    )
    attack = reference.a_margin(reference.Budget(0.35), 100.0)
    assert_same(trace, run_reference(features, weights, (X, y, roles, None), 10, attack), 1e-12)


def test_radius_zero_and_step_zero_are_standard_training():
    *_, start = s1(4)
    common = {"power": 3.0, "smoothing": 0.5, "step_size": 1.0, "n_steps": 60}
    standard = start.standard(**common)
    for radius, step in ((0.0, 100.0), (0.35, 0.0), (0.0, np.inf)):
        trace = start.adversarial(**common, radius=radius, attack_step_size=step)
        assert_same(trace, vars(standard), 1e-13)


def test_off_diagonal_and_negative_coefficients_never_grow():
    *_, start = s1(5)
    trace = start.standard(power=3.0, smoothing=0.5, step_size=1.0, n_steps=200)
    off = ~np.eye(K, dtype=bool)[:, None, :].repeat(8, axis=1)
    assert (np.diff(trace.nonrobust_table[:, off], axis=0) <= 0.0).all()
    negative = trace.nonrobust_coef[0] < 0.0
    assert negative.any()
    np.testing.assert_array_equal(trace.nonrobust_coef[-1][negative], trace.nonrobust_coef[0][negative])


def test_recorded_steps_shares_and_final_state():
    *_, start = s1(6)
    common = {"power": 3.0, "smoothing": 0.5, "step_size": 1.0, "n_steps": 50}
    full = start.standard(**common)
    assert full.steps.tolist() == list(range(51))
    thinned = start.standard(**common, record_every=20)
    assert thinned.steps.tolist() == [0, 20, 40, 50]
    given = start.standard(**common, record_at=[3, 1])
    assert given.steps.tolist() == [1, 3, 50]
    np.testing.assert_array_equal(given.robust_table, full.robust_table[[1, 3, 50]])
    own = reference.own_logit(full.nonrobust_coef[-1], 40, 0.4, 3.0, 0.5)
    np.testing.assert_allclose(full.nonrobust_logit[-1], own, rtol=1e-13)
    share = full.nonrobust_logit / (full.robust_logit + full.nonrobust_logit)
    np.testing.assert_allclose(full.nonrobust_share, share)


def test_share_of_silent_network_is_a_half():
    zero = np.zeros((2, 1, 2))
    trace = reduced_standard(zero, zero, **population(), step_size=1.0, n_steps=1)
    assert np.all(trace.nonrobust_share == 0.5)  # as featsim.decomposition.nonrobust_share
    assert trace.clean_accuracy[0] == 0.0  # a tie is an error
    np.testing.assert_allclose(trace.clean_loss[0], np.log(2.0))


def population(**changes):
    return {
        "class_fractions": [0.5, 0.5],
        "n_robust_patches": 1,
        "n_nonrobust_patches": 4,
        "robust_strength": 1.0,
        "nonrobust_strength": 0.4,
        "power": 3.0,
        "smoothing": 0.5,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_fractions": [0.5, 0.6]}, "class_fractions must be >= 0 and sum to 1"),
        ({"n_robust_patches": -1}, "n_robust_patches must be >= 0"),
        ({"nonrobust_strength": -0.1}, "nonrobust_strength must be >= 0"),
        ({"power": 0.5}, "power must be >= 1"),
        ({"smoothing": 0.0}, "smoothing must be > 0"),
        ({"step_size": np.nan}, "step_size must be a number, not nan"),
        ({"n_steps": -1}, "n_steps must be >= 0"),
        ({"record_every": 0}, "record_every must be >= 1"),
        ({"record_at": [9]}, "record_at must be <= 2"),
    ],
)
def test_impossible_input_is_refused(changes, message):
    table = np.full((2, 1, 2), 0.1)
    with pytest.raises(ValueError, match=message):
        reduced_standard(table, table, **{"step_size": 1.0, "n_steps": 2, **population(**changes)})


def test_gram_matrix_is_checked():
    table = np.full((2, 1, 2), 0.1)
    rest = {**population(), "step_size": 1.0, "n_steps": 1, "radius": 0.1, "attack_step_size": 1.0}
    for gram, message in (
        (None, "gram0 must be given unless a subspace"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "gram0 must be symmetric"),
        (np.zeros((2, 2)), "gram0 must exceed the Gram matrix of the tables"),
        (np.eye(3), r"gram0 must have shape \(2, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            reduced_adversarial(table, table, gram0=gram, **rest)
    for name, value in (("objective", "x"), ("scope", "x"), ("subspace", "x"), ("radius", -1.0)):
        with pytest.raises(ValueError, match=name):
            reduced_adversarial(table, table, gram0=np.eye(2), **{**rest, name: value})
    with pytest.raises(ValueError, match=r"robust_table0 must have shape \(k, m, k\)"):
        reduced_standard(np.ones((2, 1, 3)), table, **population(), step_size=1.0, n_steps=1)


def test_divergence_is_one_clear_error():
    table = np.full((2, 1, 2), 0.1)
    with pytest.raises(ValueError, match="stay finite, got nan or inf at step .*smaller step_size"):
        reduced_standard(table, table, **population(n_nonrobust_patches=10**9), step_size=1e308, n_steps=5)


def test_data_that_the_reduction_does_not_describe_is_refused(rng):
    weights = rng.standard_normal((K, 2, DIM))
    base = PatchDataSpec(n_classes=K, dim=DIM, n_nonrobust_patches=5)
    start = reduced_from_weights(weights, base.sample(8, rng))
    assert start.nonrobust_strength == pytest.approx(0.4)
    for changes in ({"noise_std": 0.01}, {"strength_spread": 0.2}):
        with pytest.raises(ValueError, match="noise-free with one strength"):
            reduced_from_weights(weights, base.replace(**changes).sample(8, rng))
    unknown = patch_data(rng.standard_normal((4, 3, DIM)), np.arange(4), n_classes=K)
    with pytest.raises(ValueError, match="data must know its features"):
        reduced_from_weights(weights, unknown)
    with pytest.raises(ValueError, match="weights must have shape"):
        reduced_from_weights(weights[..., :5], base.sample(8, rng))
