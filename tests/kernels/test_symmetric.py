"""Kernel of the symmetric network against slow loops: every attack, ramp, path and factorisation."""

import numpy as np
import pytest
import reference_purification as slow

from featsim.attacks import fgm, pgd
from featsim.data import SparseCodingSpec, sparse_coding_data
from featsim.models import SymmetricNetworkSpec
from featsim.threats import Threat
from featsim.training import RampSchedule, Recording, train

MODEL = SymmetricNetworkSpec(width=7, bias=0.12, smoothing=0.05, init_std=0.3)
N_STEPS = 4


def problem(rng, *, dim=9, n=11, identity=False):
    spec = SparseCodingSpec(
        dim=dim,
        sparsity=1.0 if identity else 2.0,
        noise_norm=0.0 if identity else 0.3,
        dictionary="identity" if identity else "random",
    )
    data = spec.sample(n, rng)
    return data, MODEL.initial_weights(dim, rng)


ATTACKS = {
    "clean": (None, None),
    "fgm": (fgm(Threat(radius=0.2)), {"norm": "l2", "radius": 0.2, "n_steps": 1, "step": 0.2}),
    "fgm linf": (
        fgm(Threat(radius=0.05, norm="linf")),
        {"norm": "linf", "radius": 0.05, "n_steps": 1, "step": 0.05},
    ),
    "pgd": (
        pgd(Threat(radius=0.2), n_steps=3, step_size=0.1, keep="last"),
        {"norm": "l2", "radius": 0.2, "n_steps": 3, "step": 0.1},
    ),
    "pgd linf": (
        pgd(Threat(radius=0.05, norm="linf"), n_steps=3, step_size=0.03, keep="last"),
        {"norm": "linf", "radius": 0.05, "n_steps": 3, "step": 0.03},
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("identity", [False, True])
def test_trajectory_is_that_of_the_slow_loops(name, identity, rng):
    attack, description = ATTACKS[name]
    data, weights = problem(rng, identity=identity)
    schedule = RampSchedule(
        n_steps=N_STEPS,
        step_size=0.7,
        batch_size=5,
        ramp_steps=3,
        bias_start=0.03,
        smoothing_start=0.02,
        weight_decay=0.01,
    )
    batches = rng.integers(data.n_samples, size=(N_STEPS, 5))
    trace = train(MODEL, data, schedule=schedule, attack=attack, initial_weights=weights, batches=batches)
    along = np.minimum(np.arange(N_STEPS) / 3, 1.0)
    expected = slow.train(
        weights[0],
        data.inputs,
        data.signs,
        n_steps=N_STEPS,
        step_size=0.7,
        bias=0.03 + along * (0.12 - 0.03),
        smoothing=0.02 + along * (0.05 - 0.02),
        decay=0.01,
        attack=description,
        batches=batches,
    )
    np.testing.assert_allclose(trace.final_weights[0], expected, rtol=1e-10, atol=1e-13)
    assert np.linalg.norm(expected - weights[0]) > 1e-2


def test_hard_relu(rng):
    data, weights = problem(rng)
    model = MODEL.replace(smoothing=0.0)
    trace = train(model, data, schedule=RampSchedule(n_steps=3, step_size=0.5), initial_weights=weights)
    expected = slow.train(
        weights[0],
        data.inputs,
        data.signs,
        n_steps=3,
        step_size=0.5,
        bias=np.full(3, 0.12),
        smoothing=np.zeros(3),
    )
    np.testing.assert_allclose(trace.final_weights[0], expected, rtol=1e-10, atol=1e-13)


def test_sparse_inputs_give_the_dense_result(rng):
    """The same samples, summed from rows of the weights or multiplied; also across several blocks."""
    spec = SparseCodingSpec(dim=32, sparsity=2.0, noise_norm=0.0, dictionary="identity")
    data = spec.sample(600, rng)
    weights = MODEL.initial_weights(32, rng)
    schedule = RampSchedule(n_steps=2, step_size=0.5)
    results = [
        train(MODEL, given, schedule=schedule, initial_weights=weights).final_weights
        for given in (data, _full(data))
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12, atol=1e-14)


def _full(data):
    """The same samples with a value too small to matter in every entry, so that they count as dense."""
    inputs = np.where(data.inputs == 0.0, 1e-300, data.inputs)
    return sparse_coding_data(inputs, data.y, dictionary=data.dictionary, label_weights=data.label_weights)


def test_low_rank_updates_move_only_the_factors(rng):
    data, weights = problem(rng)
    schedule = RampSchedule(n_steps=3, step_size=0.5, rank=2)
    trace = train(MODEL, data, schedule=schedule, rng=np.random.default_rng(5), initial_weights=weights)
    right = np.random.default_rng(5).standard_normal((9, 2)) / 3.0
    left, w = np.zeros((7, 2)), weights[0].copy()
    for _ in range(3):
        gradient = slow.weight_gradient(w, data.inputs, data.signs, 0.12, 0.05)
        left, right = left - 0.5 * gradient @ right, right - 0.5 * gradient.T @ left
        w = weights[0] + left @ right.T
    np.testing.assert_allclose(trace.final_weights[0], w, rtol=1e-10, atol=1e-13)
    assert np.linalg.matrix_rank(trace.final_weights[0] - weights[0], tol=1e-10) == 2


def _fewer_atoms(rng):
    return SparseCodingSpec(dim=9, n_atoms=6, sparsity=2.0).sample(11, rng)


def _own_atoms(rng):
    """Orthonormal to 1e-9 only, which no rotation of the inputs may use."""
    data = problem(rng)[0]
    atoms = data.dictionary + 1e-9 * rng.standard_normal((9, 9))
    return sparse_coding_data(data.inputs, data.y, dictionary=atoms, label_weights=data.label_weights)


PROBLEMS = {
    "random": (lambda rng: problem(rng)[0], "clean"),
    "identity": (lambda rng: problem(rng, identity=True)[0], "clean"),
    "linf": (lambda rng: problem(rng)[0], "fgm linf"),
    "fewer atoms": (_fewer_atoms, "fgm"),
    "own atoms": (_own_atoms, "fgm"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_recorded_parts_are_those_of_the_slow_loops(name, rng):
    make, attack = PROBLEMS[name]
    data, weights = make(rng), MODEL.initial_weights(9, rng)
    schedule = RampSchedule(n_steps=2, step_size=0.5)
    trace = train(
        MODEL, data, schedule=schedule, attack=ATTACKS[attack][0], initial_weights=weights,
        recording=Recording(weights_at=(0, 1)),
    )  # fmt: skip
    np.testing.assert_array_equal(trace.weights_at(0), weights)
    # Parts of atoms that are orthonormal to 1e-9 add up no better.
    tolerance = 1e-7 if name == "own atoms" else 1e-12
    for step, net in enumerate((weights, trace.weights_at(1), trace.final_weights)):
        _check_parts(trace, step, net[0], data, tolerance)


def _check_parts(trace, step, weights, data, tolerance):
    for i, w in enumerate(weights):
        pure, dense, rest = slow.parts(w, data.dictionary, data.label_weights)
        winner = int(trace["winner"][step, 0, i])
        assert abs(trace["pure_weight"][step, 0, i]) == pytest.approx(np.linalg.norm(pure), rel=tolerance)
        rule = data.label_weights
        mixture = data.dictionary @ np.where(np.arange(len(rule)) == winner, 0.0, rule)
        np.testing.assert_allclose(trace["dense_weight"][step, 0, i] * mixture, dense, atol=0.1 * tolerance)
        assert trace["rest_norm"][step, 0, i] == pytest.approx(np.linalg.norm(rest), rel=tolerance)


def test_recorded_losses_are_those_of_the_step(rng):
    data, weights = problem(rng)
    attack = ATTACKS["fgm"][0]
    trace = train(
        MODEL, data, schedule=RampSchedule(n_steps=2, step_size=0.3), attack=attack, initial_weights=weights,
        recording=Recording(weights_at=(0, 1)),
    )  # fmt: skip
    for step in (0, 1, 2):
        w = trace.weights_at(step)[0] if step < 2 else trace.final_weights[0]
        for name, move in (("clean", False), ("attacked", True)):
            f = [
                slow.score(
                    w, slow.attacked(w, x, y, 0.12, 0.05, "l2", 0.2, 1, 0.2) if move else x, 0.12, 0.05
                )
                for x, y in zip(data.inputs, data.signs, strict=True)
            ]
            margin = data.signs * np.array(f)
            assert trace[f"{name}_loss"][step] == pytest.approx(np.logaddexp(0, -margin).mean(), rel=1e-11)
            assert trace[f"{name}_accuracy"][step] == pytest.approx((margin > 0).mean())
