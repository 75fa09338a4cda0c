"""The training kernel against the slow loops of ``reference.py``, number for number."""

import dataclasses
import math

import numba
import numpy as np
import pytest

import reference
from featsim.attacks import fgm, margin_step, pgd, raw_step
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.kernels import patch_network as kernel
from featsim.models import TwoLayerSpec
from featsim.threats import Threat
from featsim.training import Recording, Schedule, patch_stepper, train

N_STEPS = 20
STEP_SIZE = 0.4
SMOOTHING = 0.5
TABLES = ("robust_table", "nonrobust_table")
COEFFICIENTS = ("robust_coef", "nonrobust_coef", "rest_norm", *TABLES)
ATTACKED = {"attacked_loss", "attacked_accuracy", "perturbation_cosine", "attacked_nonrobust",
            "attacked_robust", "dead_gradients"}  # fmt: skip

THREATS = {
    "l2 per patch": Threat(radius=0.35),
    "l2 whole input": Threat(radius=0.6, scope="input"),
    "linf": Threat(radius=0.12, norm="linf"),
    "own": Threat(radius=0.35, subspace="own"),
    "own, whole input": Threat(radius=0.6, scope="input", subspace="own"),
    "nonrobust": Threat(radius=0.35, subspace="nonrobust"),
    "features": Threat(radius=0.35, subspace="features"),
    "features, whole input": Threat(radius=0.6, scope="input", subspace="features"),
}
ATTACKS = {
    "A-raw": lambda t: (raw_step(t, 0.5), reference.a_raw, (0.5,)),
    "A-margin": lambda t: (margin_step(t, 0.3), reference.a_margin, (0.3,)),
    "A-margin x3": lambda t: (margin_step(t, 0.15, n_steps=3), reference.a_margin, (0.15, 3)),
    "A-unit": lambda t: (fgm(t), reference.a_unit, ()),
    "A-pgd": lambda t: (pgd(t, 4, keep="last"), reference.a_pgd, (4,)),
    "A-pgd loss": lambda t: (pgd(t, 3, objective="loss", keep="last"), loss_pgd, ()),
}


def loss_pgd(budget):
    return reference.Attack(budget, "loss", "unit", 2.5 * budget.radius / 3, 3)


def make_data(rng, *, counts=False):
    """Six noisy samples of three classes; one patch of each is of unknown role."""
    spec = PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8, noise_std=0.15, roles="permuted",
                         nonrobust_strength=0.7, strength_spread=0.2)  # fmt: skip
    data = sample_patches(spec, 6, rng)
    roles = data.roles.copy()
    roles[:, 0] = -1
    roles[0, 0] = 0  # so that the samples differ in it
    return dataclasses.replace(
        data,
        roles=roles,
        counts=rng.integers(1, 4, roles.shape) + (0.5 if counts else 0.0) if counts else data.counts,
    )


def slow_budget(threat, data):
    u, v = data.robust_features, data.nonrobust_features
    bases = {
        None: None,
        "own": {0: u, 1: v, -1: v},
        "nonrobust": dict.fromkeys((0, 1, -1), v),
        "features": dict.fromkeys((0, 1, -1), data.features),
    }[threat.subspace]
    return reference.Budget(radius=threat.radius, norm=threat.norm, scope=threat.scope, bases=bases)


def correct_without(role, weights, x, y, power, counts, roles):
    """Whether the sample is right with the patches of one role zeroed; a tie is not."""
    blanked = np.array(
        [np.zeros_like(patch) if r == role else patch for patch, r in zip(x, roles, strict=True)]
    )
    return reference.hard_margin(reference.scores(weights, blanked, power, SMOOTHING, counts), y) > 0.0


def is_dead(attack, weights, x, y, power, counts, roles):
    """Whether the attack's gradient at the clean point is zero in every allowed direction."""
    values = reference.scores(weights, x, power, SMOOTHING, counts)
    residual = reference.attack_residual(attack, values, y, None)
    gradient = reference.input_gradient(weights, x, residual, power, SMOOTHING)
    return not reference.restrict(attack.budget, gradient, roles).any()


def slow_statistics(weights, data, delta, attack, power):
    """Every entry of STATISTICS, from their definitions."""
    n, k = data.n_samples, data.n_classes
    total = dict.fromkeys(kernel.STATISTICS, 0.0)
    cosine = nonrobust = robust = 0.0
    nonrobust_weight = robust_weight = 0.0
    for s in range(n):
        x, y, counts, roles = data.X[s], int(data.y[s]), data.counts[s], data.roles[s]
        clean = reference.scores(weights, x, power, SMOOTHING, counts)
        attacked = reference.scores(weights, x + delta[s], power, SMOOTHING, counts)
        total["clean_loss"] += reference.cross_entropy(clean, y) / n
        total["clean_accuracy"] += (reference.hard_margin(clean, y) > 0.0) / n
        total["error_probability"] += reference.error_probability(clean, y) / n
        total["attacked_loss"] += reference.cross_entropy(attacked, y) / n
        total["attacked_accuracy"] += (reference.hard_margin(attacked, y) > 0.0) / n
        total["robust_only_accuracy"] += correct_without(1, weights, x, y, power, counts, roles) / n
        total["nonrobust_only_accuracy"] += correct_without(0, weights, x, y, power, counts, roles) / n
        if attack is not None:
            total["dead_gradients"] += is_dead(attack, weights, x, y, power, counts, roles)
        for p in range(data.n_patches):
            if roles[p] == 1:
                size = float(np.linalg.norm(delta[s, p]))
                if size > 0.0:
                    cosine -= counts[p] * float(delta[s, p] @ data.nonrobust_features[y]) / size
                nonrobust += counts[p] * float((x + delta[s])[p] @ data.nonrobust_features[y])
                nonrobust_weight += counts[p]
            elif roles[p] == 0:
                robust += counts[p] * float((x + delta[s])[p] @ data.robust_features[y])
                robust_weight += counts[p]
    assert k == 3
    total["perturbation_cosine"] = cosine / nonrobust_weight
    total["attacked_nonrobust"] = nonrobust / nonrobust_weight
    total["attacked_robust"] = robust / robust_weight
    return total


def compare(trace, data, weights, power, *, slow_attack=None, batches=None, perturb=None, n_steps=N_STEPS):
    """Follow `trace` in slow loops, state by state; return the perturbations met."""
    arguments = dict(counts=data.counts, roles=data.roles)
    perturb = perturb or (
        lambda W: reference.perturb_all(slow_attack, W, data.X, data.y, power, SMOOTHING, **arguments)
    )
    slow = {name: [] for name in (*COEFFICIENTS, *kernel.STATISTICS)}
    attacked = slow_attack is not None
    deltas, W = [], weights.copy()
    for t in range(n_steps + 1):
        delta = perturb(W) if attacked else np.zeros_like(data.X)
        deltas.append(delta)
        slow["robust_table"].append(reference.coefficient_table(W, data.robust_features))
        slow["nonrobust_table"].append(reference.coefficient_table(W, data.nonrobust_features))
        slow["robust_coef"].append(reference.own_coefficients(slow["robust_table"][-1]))
        slow["nonrobust_coef"].append(reference.own_coefficients(slow["nonrobust_table"][-1]))
        slow["rest_norm"].append(reference.rest_norm(W, data.robust_features, data.nonrobust_features))
        for name, value in slow_statistics(W, data, delta, slow_attack, power).items():
            slow[name].append(value)
        if t < n_steps:
            batch = np.arange(data.n_samples) if batches is None else batches[t]
            W = W - STEP_SIZE * reference.weight_gradient(
                W, (data.X + delta)[batch], data.y[batch], power, SMOOTHING, data.counts[batch]
            )
    for name, values in slow.items():
        if attacked or name not in ATTACKED:
            np.testing.assert_allclose(trace[name], values, rtol=1e-10, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(trace.final_weights, W, rtol=1e-10, atol=1e-12)
    return np.array(deltas)


def everything(attacked):
    names = tuple(name for name in kernel.STATISTICS if attacked or name not in ATTACKED)
    return Recording(quantities=(*COEFFICIENTS, *names))


def run(data, weights, power, attack=None, batches=None, n_steps=N_STEPS):
    return train(
        TwoLayerSpec(width=weights.shape[1], power=power, smoothing=SMOOTHING),
        data,
        schedule=Schedule(n_steps=n_steps, step_size=STEP_SIZE),
        attack=attack,
        recording=everything(attack is not None),
        initial_weights=weights,
        batches=batches,
    )


@pytest.fixture
def force(monkeypatch):
    """Make the kernel hold perturbations in the given representation."""
    plan_attack = patch_stepper.plan_attack

    def apply(mode):
        def planned(*arguments):
            return dataclasses.replace(plan_attack(*arguments), mode=mode)

        monkeypatch.setattr(patch_stepper, "plan_attack", planned)

    return apply


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0, 4.0, 2.6])
@pytest.mark.parametrize("counts", [False, True])
def test_standard_training(power, counts, rng):
    data = make_data(rng, counts=counts)
    weights = 0.4 * rng.standard_normal((3, 2, 8))
    compare(run(data, weights, power), data, weights, power)


CASES = [
    (threat, attack, mode)
    for threat, budget in THREATS.items()
    for attack in ATTACKS
    for mode in (
        (kernel.COEFFICIENT, kernel.DIRECT) if budget.norm == "l2" and not budget.subspace else (None,)
    )
]


@pytest.mark.parametrize(("threat", "attack", "mode"), CASES)
@pytest.mark.parametrize("variant", ["full batch", "counts and minibatches"])
def test_adversarial_training(threat, attack, mode, variant, rng, force):
    plain = variant == "full batch"
    data = make_data(rng, counts=not plain)
    weights = 0.4 * rng.standard_normal((3, 2, 8))
    weights[:, 0] += 0.5 * (data.robust_features + data.nonrobust_features)
    batches = None if plain else np.array([rng.permutation(6)[:4] for _ in range(N_STEPS)])
    power = 3.0 if plain else 2.6
    spec, make_slow, settings = ATTACKS[attack](THREATS[threat])
    if mode is not None:
        force(mode)
    trace = run(data, weights, power, spec, batches)
    slow = make_slow(slow_budget(THREATS[threat], data), *settings)
    deltas = compare(trace, data, weights, power, slow_attack=slow, batches=batches)
    assert np.abs(deltas).max() > 0.05
    if attack in ("A-margin", "A-raw") and THREATS[threat].norm == "l2":
        sizes = np.linalg.norm(deltas, axis=-1 if THREATS[threat].scope == "patch" else (-2, -1))
        assert (
            plain is False or (sizes < 0.99 * THREATS[threat].radius).any()
        )  # a step inside the ball was met


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("mode", [kernel.COEFFICIENT, kernel.DIRECT])
def test_the_other_powers_under_attack(power, mode, rng, force):
    data = make_data(rng)
    weights = 0.4 * rng.standard_normal((3, 2, 8))
    force(mode)
    spec, make_slow, settings = ATTACKS["A-margin"](THREATS["l2 per patch"])
    slow = make_slow(slow_budget(spec.threat, data), *settings)
    compare(run(data, weights, power, spec), data, weights, power, slow_attack=slow)


@pytest.mark.parametrize("scope", ["patch", "input"])
@pytest.mark.parametrize("n_samples, n_patches", [(3, 300), (90, 6), (9, 64)])
@pytest.mark.parametrize("mode", [kernel.COEFFICIENT, kernel.DIRECT])
def test_blocks_of_samples(scope, n_samples, n_patches, mode, rng, force):
    """A sample larger than a block, a last block that is not full, and blocks that are."""
    assert n_samples * n_patches > kernel.BLOCK_ROWS
    spec = PatchDataSpec(n_classes=3, n_nonrobust_patches=n_patches - 1, dim=6, noise_std=0.1)
    data = sample_patches(spec, n_samples, rng)
    weights = 0.3 * rng.standard_normal((3, 1, 6))
    force(mode)
    threat = Threat(radius=0.3, scope=scope)
    slow = reference.a_margin(slow_budget(threat, data), 0.3)
    trace = run(data, weights, 3.0, margin_step(threat, 0.3), n_steps=2)
    compare(trace, data, weights, 3.0, slow_attack=slow, n_steps=2)


def test_the_cheaper_representation_is_chosen(rng):
    data = sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8), 3, rng)

    def mode(attack, n_filters=6):
        return patch_stepper.plan_attack(attack, data, n_filters).mode

    assert mode(None) == kernel.CLEAN
    assert mode(margin_step(Threat(radius=0.3), 1.0)) == kernel.COEFFICIENT
    assert mode(pgd(Threat(radius=0.3, scope="input"), 20, keep="last")) == kernel.COEFFICIENT
    assert mode(margin_step(Threat(radius=0.3), 1.0), n_filters=100) == kernel.DIRECT
    assert mode(margin_step(Threat(radius=0.3, norm="linf"), 1.0)) == kernel.DIRECT
    assert mode(margin_step(Threat(radius=0.3, subspace="own"), 1.0)) == kernel.SUBSPACE


PIXELS = np.array([[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 9]])  # pixel 8 is in no patch


def perturb_pixels(budget, attack, W, data, power):
    """The attack on images: one number per pixel, which all its entries share."""
    delta = np.zeros_like(data.X)
    for s in range(data.n_samples):
        image = np.zeros(10)
        for _ in range(attack.n_steps):
            x = data.X[s] + image[PIXELS]
            residual = reference.attack_residual(
                attack, reference.scores(W, x, power, SMOOTHING), int(data.y[s]), None
            )
            gradient = reference.input_gradient(W, x, residual, power, SMOOTHING)
            folded = np.zeros(10)
            for p in range(4):
                for c in range(4):
                    folded[PIXELS[p, c]] += gradient[p, c]
            step = folded[None] if attack.rule == "raw" else reference.steepest(budget, folded[None])
            image = reference.project(budget, image[None] + attack.step_size * step)[0]
        delta[s] = image[PIXELS]
    return delta


@pytest.mark.parametrize("norm, radius", [("l2", 0.3), ("linf", 0.1)])
@pytest.mark.parametrize("attack", ATTACKS)
def test_patches_that_share_pixels(norm, radius, attack, rng):
    images = rng.uniform(size=(5, 10))
    u = reference.random_features(4, 4, rng)
    y = np.array([0, 1, 1, 0, 1])
    data = patch_data(images[:, PIXELS], y, pixel_map=PIXELS, robust_features=u[:2], nonrobust_features=u[2:])
    weights = 0.5 * rng.standard_normal((2, 3, 4))
    threat = Threat(radius=radius, norm=norm, scope="input")
    spec, make_slow, settings = ATTACKS[attack](threat)
    budget = reference.Budget(radius=radius, norm=norm, scope="patch")
    slow = make_slow(budget, *settings)
    trace = train(
        TwoLayerSpec(width=3, smoothing=SMOOTHING), data, initial_weights=weights, attack=spec,
        schedule=Schedule(n_steps=10, step_size=STEP_SIZE),
    )  # fmt: skip
    W = weights.copy()
    for t in range(11):
        delta = perturb_pixels(budget, slow, W, data, 3.0)
        loss, accuracy, _ = reference.measure(W, data.X + delta, y, 3.0, SMOOTHING)
        np.testing.assert_allclose(trace["attacked_loss"][t], loss, rtol=1e-10)
        assert trace["attacked_accuracy"][t] == pytest.approx(accuracy)
        if t < 10:
            W = W - STEP_SIZE * reference.weight_gradient(W, data.X + delta, y, 3.0, SMOOTHING)
    np.testing.assert_allclose(trace.final_weights, W, rtol=1e-10, atol=1e-13)


def test_without_features_the_rest_is_the_norm_of_a_filter(rng):
    data = make_data(rng)
    weights = 0.4 * rng.standard_normal((3, 2, 8))
    trace = train(
        TwoLayerSpec(width=2), patch_data(data.X, data.y), schedule=Schedule(n_steps=3),
        initial_weights=weights, recording=Recording(weights_at=(0, 2)),
    )  # fmt: skip
    assert "robust_coef" not in trace
    np.testing.assert_allclose(
        trace["rest_norm"][[0, 2]], np.linalg.norm(trace["weights"], axis=-1), rtol=1e-14
    )
    np.testing.assert_array_equal(trace.weights_at(0), weights)


def test_all_zero_weights_are_all_errors_with_dead_gradients(rng):
    """All scores tie, which counts as an error; nothing moves, and the record says why."""
    data = make_data(rng)
    weights = np.zeros((3, 2, 8))
    for threat in THREATS.values():
        trace = run(data, weights, 3.0, fgm(threat), n_steps=3)
        for name in (
            "clean_accuracy",
            "attacked_accuracy",
            "robust_only_accuracy",
            "nonrobust_only_accuracy",
        ):
            np.testing.assert_array_equal(trace[name], 0.0)
        np.testing.assert_array_equal(trace["dead_gradients"], data.n_samples)
        np.testing.assert_array_equal(trace["perturbation_cosine"], 0.0)
        np.testing.assert_allclose(trace["clean_loss"], math.log(3), rtol=1e-15)
        np.testing.assert_array_equal(trace.final_weights, weights)


def saturated(rng, size):
    """Weights under which every sample is right by about `size`."""
    data = sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8), 3, rng)
    weights = np.stack([size / 2 * data.robust_features, size * data.nonrobust_features], axis=1)
    return data, np.ascontiguousarray(weights)


@pytest.mark.parametrize("mode", [kernel.COEFFICIENT, kernel.DIRECT])
def test_saturated_samples(mode, rng, force):
    """With margins near 1500 the loss form has no gradient left, and is seen to have none."""
    data, weights = saturated(rng, 1000.0)
    force(mode)
    threat = Threat(radius=0.45)
    raw = run(data, weights, 3.0, raw_step(threat, 1000.0), n_steps=2)
    np.testing.assert_array_equal(raw["dead_gradients"], 3.0)
    np.testing.assert_array_equal(raw["attacked_accuracy"], 1.0)
    np.testing.assert_array_equal(raw["clean_loss"], 0.0)
    np.testing.assert_array_equal(raw.final_weights, weights)
    margin = run(data, weights, 3.0, margin_step(threat, 1000.0), n_steps=2)
    np.testing.assert_array_equal(margin["dead_gradients"], 0.0)
    np.testing.assert_allclose(margin["perturbation_cosine"][0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(margin["attacked_nonrobust"][0], 0.4 - 0.45, rtol=1e-10)


@pytest.mark.parametrize("mode", [kernel.COEFFICIENT, kernel.DIRECT])
@pytest.mark.parametrize("scope", ["patch", "input"])
def test_raw_steps_of_any_length_do_not_overflow(mode, scope, rng, force):
    """A raw step far beyond the ball is the unit step to its edge."""
    data = make_data(rng)
    weights = 0.4 * rng.standard_normal((3, 2, 8))
    force(mode)
    threat = Threat(radius=0.3, scope=scope)
    edge = run(data, weights, 3.0, fgm(threat), n_steps=5)
    for step_size in (1e12, 1e150, 1.7e308):
        raw = run(data, weights, 3.0, margin_step(threat, step_size), n_steps=5)
        np.testing.assert_allclose(raw.final_weights, edge.final_weights, rtol=1e-9)


def test_raw_linf_steps_of_any_length_do_not_overflow(rng):
    data = make_data(rng)
    weights = 0.4 * rng.standard_normal((3, 2, 8))
    threat = Threat(radius=0.1, norm="linf")
    edge = run(data, weights, 3.0, fgm(threat), n_steps=5)
    raw = run(data, weights, 3.0, margin_step(threat, 1.7e308), n_steps=5)
    np.testing.assert_allclose(raw.final_weights, edge.final_weights, rtol=1e-9)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_three_compiled_kernels_serve_every_input(rng):
    """Standard, coefficients, explicit; another type of argument (a read-only array is one) compiles anew."""
    data = make_data(rng)
    for budget in THREATS.values():
        run(data, np.zeros((3, 2, 8)), 3.0, fgm(budget), n_steps=1)
    locked = np.zeros((1, 2), dtype=np.int64)
    locked.setflags(write=False)
    run(data, np.zeros((3, 2, 8)), 3.0, batches=locked, n_steps=1)
    images = patch_data(rng.uniform(size=(2, 10))[:, PIXELS], [0, 1], pixel_map=PIXELS)
    train(
        TwoLayerSpec(),
        images,
        schedule=Schedule(n_steps=1),
        rng=rng,
        attack=fgm(Threat(radius=1.0, scope="input")),
    )
    run(data, np.zeros((3, 2, 8)), 3.0, n_steps=1)
    # Other tests in this process may have trained in float32, from random starts, or more neurons.
    few = [
        given
        for given in kernel.patch_trajectory.signatures
        if given[0].dtype == numba.float64 and given[11] == numba.boolean and given[14] == numba.none
    ]
    assert len(few) == 3
