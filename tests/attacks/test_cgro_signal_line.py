"""Attacks on the signal line: exact, inside the budget, and only with data that have a signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.attacks import SignalAttack, pgd, run_attack
from featsim.data import SignalNoiseSpec, patch_data
from featsim.models import LinearModel, PowerNetworkSpec
from featsim.threats import Threat

MODELS = [
    PowerNetworkSpec(width=4, power=q, activation=a) for q, a in ((3.0, "odd"), (3.0, "relu"), (2.0, "relu"))
]


def problem(seed, model):
    rng = np.random.default_rng(seed)
    data = SignalNoiseSpec(dim=6, n_fresh=0, signal="random").sample(12, rng)
    return data, model.replace(init_std=1.0).network(model.replace(init_std=1.0).initial_weights(6, rng))


@given(st.integers(0, 500), st.sampled_from(MODELS), st.floats(0.0, 4.0))
def test_worst_is_exact(seed, model, radius):
    data, net = problem(seed, model)
    result = run_attack(SignalAttack(radius=radius, rule="worst"), net, data)
    assert np.all(Threat(radius=radius, subspace="signal").bind(data).contains(result.perturbation))
    place = np.arange(12), data.signal_patch
    grid = np.linspace(-radius, radius, 401)
    lowest = np.full(12, np.inf)
    for shift in grid:
        X = data.X.copy()
        X[place] += shift * data.signal
        lowest = np.minimum(lowest, data.signs * net.scores(X)[:, 0])
    scale = 1e-9 * np.maximum(1.0, np.abs(lowest))
    assert np.all(result.margin <= lowest + scale)
    # No lower than the grid by more than what lies between two of its points.
    assert np.all(result.margin >= lowest - 0.05 * np.maximum(1.0, np.abs(lowest)))
    fixed = run_attack(SignalAttack(radius=radius), net, data)
    assert np.all(result.margin <= fixed.margin + scale)
    assert np.all(result.margin <= result.clean_margin + scale)


def test_fixed_is_worst_for_an_odd_net_that_learned_the_signal(rng):
    data = SignalNoiseSpec(dim=6, n_fresh=0).sample(12, rng)
    weights = 0.1 * rng.standard_normal((1, 4, 6))
    weights[0, :, 0] = 1.0
    net = PowerNetworkSpec(width=4).network(weights)
    both = [run_attack(SignalAttack(radius=1.9, rule=rule), net, data).margin for rule in ("fixed", "worst")]
    np.testing.assert_array_equal(*both)


def test_pgd_on_the_line_never_beats_the_exact_attack(rng):
    data, net = problem(3, MODELS[1])
    threat = Threat(radius=1.0, subspace="signal")
    ascent = run_attack(pgd(threat, n_steps=30, n_random=3), net, data, rng)
    exact = run_attack(SignalAttack(radius=1.0, rule="worst"), net, data)
    assert np.all(exact.margin <= ascent.margin + 1e-12)
    moved = np.abs(ascent.perturbation).sum(axis=2)
    assert np.all(moved[data.roles != 0] == 0.0)


def test_fixed_attacks_any_model(rng):
    data, _ = problem(0, MODELS[0])
    model = LinearModel(np.broadcast_to(data.signal, (1, 3, 6)).copy())
    result = run_attack(SignalAttack(radius=1.5), model, data)
    np.testing.assert_allclose(result.margin, 0.5, rtol=1e-12)
    assert result.settings["subspace"] == "signal"
    with pytest.raises(TypeError, match="'worst' must have a PowerNetwork"):
        run_attack(SignalAttack(radius=1.5, rule="worst"), model, data)


def test_bad_requests_are_refused(rng):
    plain = patch_data(rng.standard_normal((4, 2, 6)), [0, 1, 0, 1])
    _, net = problem(0, MODELS[0])
    with pytest.raises(ValueError, match="signal-plus-noise data"):
        run_attack(SignalAttack(radius=1.0), net, plain)
    with pytest.raises(ValueError, match="signal-plus-noise data"):
        Threat(radius=1.0, subspace="signal").bind(plain)
    with pytest.raises(ValueError, match="radius must be >= 0"):
        SignalAttack(radius=-1.0)
    with pytest.raises(ValueError, match="rule must be one of"):
        SignalAttack(radius=1.0, rule="best")
