"""Random starts: the generator's known answers, their distribution, and training from them in slow loops."""

import math

import numpy as np
import pytest
from kernels import test_patch_network as slow

import reference
from featsim.attacks import margin_step, pgd, raw_step
from featsim.kernels import patch_network as kernel
from featsim.kernels import random_starts
from featsim.models import TwoLayerSpec
from featsim.threats import Threat
from featsim.training import Schedule, patch_stepper, train

WORD = 0xFFFFFFFF
force = slow.force


def philox(counter, key):
    """Philox4x32-10 in Python's integers."""
    c, k = [int(word) for word in counter], [int(word) for word in key]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & WORD, (p0 >> 32) ^ c[3] ^ k[1], p0 & WORD]
        k = [(k[0] + 0x9E3779B9) & WORD, (k[1] + 0xBB67AE85) & WORD]
    return c


@pytest.mark.parametrize(
    "counter, key, words",
    [  # the known answers of the Random123 library
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_the_generator(counter, key, words):
    assert tuple(philox(counter, key)) == words
    assert tuple(getattr(random_starts._philox, "py_func", random_starts._philox)(*counter, *key)) == words


def drawn(key, step, sample, patch, r, linf):
    """The numbers of one patch, r of them: uniform in (-1, 1) or normal, from the words of their counters."""
    quarter = -(-r // 4)
    words = np.array([philox((c, patch, sample, step), key) for c in range(quarter)], dtype=np.float64).T
    if linf:
        return (2.0 * (words + 0.5) / 2.0**32 - 1.0).ravel()[:r]
    size = np.sqrt(-2.0 * np.log((words[[0, 2]] + 0.5) / 2.0**32))
    angle = 2.0 * math.pi * (words[[1, 3]] / 2.0**32 - 0.5)
    pairs = np.stack([size * np.cos(angle), size * np.sin(angle)], axis=1)  # (half, which, quarter)
    return pairs.reshape(-1)[:r]


def length(key, step, sample, patch, degrees):
    a, b, _, _ = philox((WORD, patch, sample, step), key)
    return (((a >> 5) * 2.0**26 + (b >> 6) + 0.5) / 2.0**53) ** (1.0 / degrees)


def slow_starts(seed, step, data, threat):
    """delta_0 (n, P, d) of a step, from the words of the generator."""
    key, budget = (seed & WORD, seed >> 32), threat.bind(data)
    basis = np.eye(data.dim) if budget.basis is None else budget.basis
    delta = np.zeros(data.X.shape)
    for s in range(data.n_samples):
        degrees = []
        for p in range(data.n_patches):
            free = drawn(key, step, s, p, len(basis), threat.norm == "linf")
            mask = (
                np.ones(len(basis)) if budget.basis is None else budget.role_mask[int(data.roles[s, p] != 0)]
            )
            delta[s, p] = (free * mask) @ basis
            degrees.append(np.sum(mask))
        if threat.norm == "linf":
            delta[s] *= threat.radius
        elif threat.scope == "input":
            size = reference.whole_norm(delta[s], data.counts[s])
            delta[s] *= threat.radius * length(key, step, s, 0, np.sum(degrees)) / size
        else:
            for p in range(data.n_patches):
                size = np.linalg.norm(delta[s, p])
                delta[s, p] *= threat.radius * length(key, step, s, p, degrees[p]) / size
    return delta


def perturbations(attack, spec, seed, data, power):
    """The attack in slow loops, step by step from that step's starts: a function of the weights alone."""
    step = iter(range(10**6))

    def perturb(W):
        start = slow_starts(seed, next(step), data, spec.threat)
        return np.array(
            [
                reference.perturb(
                    attack, W, data.X[s], int(data.y[s]), power, slow.SMOOTHING,
                    counts=data.counts[s], roles=data.roles[s], start=start[s],
                )
                for s in range(data.n_samples)
            ]
        )  # fmt: skip

    return perturb


def with_start(attack):
    return attack.replace(starts=("random",), n_random=1)


def run(data, weights, power, attack, batches=None, n_steps=slow.N_STEPS, seed=7, **settings):
    """Train, and return the trace and the seed of its starts: the only number drawn."""
    trace = train(
        TwoLayerSpec(width=weights.shape[1], power=power, smoothing=slow.SMOOTHING),
        data,
        schedule=Schedule(n_steps=n_steps, step_size=slow.STEP_SIZE),
        attack=attack,
        recording=slow.everything(True),
        initial_weights=weights,
        batches=batches,
        rng=np.random.default_rng(seed),
        **settings,
    )
    return trace, int(np.random.default_rng(seed).integers(2**62))


MODES = {kernel.COEFFICIENT: "coefficients", kernel.DIRECT: "direct"}
CASES = [
    pytest.param(threat, attack, mode, id=f"{threat}, {attack}, {MODES.get(mode, 'as planned')}")
    for threat, budget in slow.THREATS.items()
    for attack in (
        ("A-raw", "A-margin x3", "A-pgd") if threat == "l2 per patch" else ("A-margin x3", "A-pgd")
    )
    for mode in (MODES if budget.norm == "l2" and not budget.subspace else (None,))
]


@pytest.mark.parametrize(("threat", "attack", "mode"), CASES)
@pytest.mark.parametrize("variant", ["full batch", "counts and minibatches"])
def test_training_from_random_starts(threat, attack, mode, variant, rng, force):
    """Every record and the weights, in every representation: coefficients and direct are the same run."""
    plain = variant == "full batch"
    data = slow.make_data(rng, counts=not plain)
    weights = 0.4 * rng.standard_normal((3, 2, 8))
    n_steps = 3
    batches = None if plain else np.array([rng.permutation(6)[:4] for _ in range(n_steps)])
    spec, make_slow, settings = slow.ATTACKS[attack](slow.THREATS[threat])
    spec = with_start(spec)
    if mode is not None:
        force(mode)
    trace, seed = run(data, weights, 3.0, spec, batches, n_steps=n_steps)
    attacker = make_slow(slow.slow_budget(spec.threat, data), *settings)
    perturb = perturbations(attacker, spec, seed, data, 3.0)
    deltas = slow.compare(
        trace, data, weights, 3.0, slow_attack=attacker, batches=batches, perturb=perturb, n_steps=n_steps
    )
    assert (
        spec.threat.bind(data).contains(deltas[0]).all() and spec.threat.bind(data).contains(deltas[-1]).all()
    )


@pytest.mark.parametrize("mode", [kernel.COEFFICIENT, kernel.DIRECT])
def test_several_blocks_and_samples_larger_than_one(mode, rng, force):
    data = slow.sample_patches(slow.PatchDataSpec(n_classes=3, n_nonrobust_patches=149, dim=6), 3, rng)
    weights = 0.3 * rng.standard_normal((3, 1, 6))
    force(mode)
    spec = with_start(margin_step(Threat(radius=0.3, scope="input"), 0.3))
    trace, seed = run(data, weights, 3.0, spec, n_steps=2)
    attacker = reference.a_margin(slow.slow_budget(spec.threat, data), 0.3)
    slow.compare(trace, data, weights, 3.0, slow_attack=attacker, n_steps=2,
                 perturb=perturbations(attacker, spec, seed, data, 3.0))  # fmt: skip


def all_starts(threat, data, n_steps, seed=3):
    """delta_0 (n_steps, n, P, d) as the kernel draws them."""
    budget = threat.bind(data)
    basis = np.eye(data.dim) if budget.basis is None else budget.basis
    mask = np.empty((0, 1)) if budget.basis is None else np.array(budget.role_mask, dtype=np.float64)
    n, P, r = data.n_samples, data.n_patches, len(basis)
    row, Y, norms = np.empty(-(-r // 4) * 4), np.empty((n * P, r)), np.empty((2, n * P))
    found = []
    for step in range(n_steps):
        random_starts.starts_of_step(
            np.array([seed, 1]), step, P, data.counts.ravel(), data.roles.ravel(), mask,
            threat.scope == "input", threat.norm == "linf", threat.radius, np.arange(n), row, Y, norms,
        )  # fmt: skip
        found.append((Y @ basis).reshape(n, P, -1))
        np.testing.assert_allclose(norms[0], np.sum(Y**2, axis=1), rtol=1e-12)
        squares = np.sum(norms[0].reshape(n, P) * data.counts, axis=1)
        np.testing.assert_allclose(norms[1, :n], squares, rtol=1e-12)
    return np.array(found)


@pytest.mark.parametrize("threat", slow.THREATS.values(), ids=slow.THREATS)
def test_they_are_distributed_as_in_evaluation(threat, rng):
    """Moments of entries and norms as those of ``Budget.random``, to 5 standard errors of the difference."""
    data = slow.make_data(rng)
    budget = threat.bind(data)
    n_steps = 400
    ours = all_starts(threat, data, n_steps)
    theirs = np.array([budget.random(data.X.shape, rng) for _ in range(n_steps)])
    assert all(budget.contains(delta).all() for delta in ours)
    for power in (1, 2, 4):
        one, other = ((delta / threat.radius) ** power for delta in (ours, theirs))
        error = np.sqrt((np.var(one, axis=0) + np.var(other, axis=0)) / n_steps)
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) <= 5.0 * error + 1e-12)
    sizes = np.array([[budget.norm(delta) for delta in deltas] for deltas in (ours, theirs)])
    error = np.sqrt(np.var(sizes, axis=1).sum(axis=0) / n_steps)
    assert np.all(np.abs(sizes[0].mean(axis=0) - sizes[1].mean(axis=0)) <= 5.0 * error + 1e-12)
    # Steps and entries are independent: no correlation beyond 5 standard errors.
    flat = ours.reshape(n_steps, -1)
    flat = (flat - flat.mean(axis=0))[:, flat.std(axis=0) > 0]
    lagged = np.mean(flat[1:] * flat[:-1], axis=0) / np.var(flat, axis=0)
    assert np.all(np.abs(lagged) < 5.0 / math.sqrt(n_steps))


def test_one_step_from_a_start_at_which_there_is_no_gradient(rng, force):
    """Weights of zero: the start stays, its records are its own, and no sample has a gradient."""
    data = slow.make_data(rng)
    spec = with_start(pgd(Threat(radius=0.35), 2, keep="last"))
    for mode in (kernel.COEFFICIENT, kernel.DIRECT):
        force(mode)
        trace, seed = run(data, np.zeros((3, 2, 8)), 3.0, spec, n_steps=2)
        np.testing.assert_array_equal(trace["dead_gradients"], data.n_samples)
        delta = slow_starts(seed, 1, data, spec.threat)
        samples, patches = np.nonzero(data.roles == 1)
        own = np.einsum(
            "rd,rd->r", (data.X + delta)[samples, patches], data.nonrobust_features[data.y[samples]]
        )
        np.testing.assert_allclose(trace["attacked_nonrobust"][1], own.mean(), rtol=1e-10)


def test_the_plan_says_so(rng):
    data = slow.make_data(rng)
    plan = patch_stepper.plan_attack(with_start(raw_step(Threat(radius=0.3), 1.0)), data, 6)
    assert plan.started and plan.mode == kernel.COEFFICIENT
    assert not patch_stepper.plan_attack(raw_step(Threat(radius=0.3), 1.0), data, 6).started
