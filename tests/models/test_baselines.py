"""Polynomial and frozen-gate baselines: values, gradients, surrogates, training against slow gradients."""

import numpy as np
import pytest
import reference_purification as slow

from featsim.attacks import exact_linear, fgm, pgd, run_attack
from featsim.data import SparseCodingSpec
from featsim.models import FrozenGateSpec, LinearModel, PolynomialSpec, oracle_polynomial
from featsim.threats import Threat
from featsim.training import RampSchedule, Recording, Schedule, train

DATA = SparseCodingSpec(dim=8, sparsity=2.0, noise_norm=0.3)
SPECS = {
    "cubic": PolynomialSpec(width=5, init_std=0.3),
    "quintic": PolynomialSpec(width=5, power=5, init_std=0.3),
    "seventh": PolynomialSpec(width=3, power=7, init_std=0.3),
    "linear": PolynomialSpec(width=0),
    "smooth": FrozenGateSpec(width=6),
    "smooth, s = 0": FrozenGateSpec(width=6, smoothing=0.0),
    "hard": FrozenGateSpec(width=6, gates="hard"),
}


def weights_of(spec, rng, dim=8):
    weights = spec.initial_weights(dim, rng)
    weights[0] = weights[0] + 0.2 * rng.standard_normal(weights[0].shape)
    return weights


def by_hand(spec, weights, x):
    if isinstance(spec, PolynomialSpec):
        return slow.polynomial(weights[0, 0], weights[0, 1:], x, spec.power)
    if spec.gates == "hard":
        gates = weights[1] @ x + spec.shift >= 0
        return float(gates @ (weights[0] @ x))
    return slow.frozen_gates(weights[0], weights[1], x, spec.bias, spec.smoothing)


@pytest.mark.parametrize("name", SPECS)
def test_values_are_those_of_the_slow_loops(name, rng):
    spec, X = SPECS[name], rng.standard_normal((20, 1, 8))
    weights = weights_of(spec, rng)
    expected = [by_hand(spec, weights, x[0]) for x in X]
    np.testing.assert_allclose(spec.network(weights).scores(X)[:, 0], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ["cubic", "quintic", "seventh", "linear", "smooth"])
def test_input_gradients_by_central_differences(name, rng):
    spec, X, h = SPECS[name], rng.standard_normal((10, 1, 8)), 1e-5
    network, move = spec.network(weights_of(spec, rng)), rng.standard_normal((10, 1, 8))
    gradient = (network.input_gradient(X, np.full((10, 1), 2.0)) * move).sum(axis=(1, 2))
    difference = (network.scores(X + h * move) - network.scores(X - h * move))[:, 0] / h
    np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-7)


def test_hard_gates_are_attacked_through_sigmoids(rng):
    spec, data = SPECS["hard"], DATA.sample(30, rng)
    network = spec.network(weights_of(spec, rng))
    surrogates = network.surrogates
    assert len(surrogates) == 3
    assert all(not surrogate.surrogates for surrogate in surrogates)
    attack = pgd(Threat(radius=0.2), n_steps=5)
    worst = run_attack(attack, network, data)
    each = [run_attack(attack, surrogate, data).margin for surrogate in surrogates]
    np.testing.assert_array_equal(worst.margin, np.min(each, axis=0))
    np.testing.assert_allclose(
        network.scores(data.X + worst.perturbation)[:, 0] * data.signs, worst.margin, atol=1e-12
    )
    assert worst.settings["n_surrogates"] == 3
    assert SPECS["smooth"].network(weights_of(SPECS["smooth"], rng)).surrogates == ()


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("attacked", [False, True])
def test_one_step_is_the_gradient_of_the_loss(name, attacked, rng):
    """The update against central differences of the loss at the attacked points."""
    spec, data = SPECS[name], DATA.sample(12, rng)
    weights = weights_of(spec, rng)
    attack = fgm(Threat(radius=0.1)) if attacked else None
    trace = train(
        spec, data, schedule=Schedule(n_steps=1, step_size=1.0), attack=attack, initial_weights=weights
    )
    X = data.X
    if attacked:
        # Training uses one sharpness, evaluation all.
        model = spec.network(weights)
        model = model if not getattr(model, "surrogates", ()) else model.surrogates[1]
        X = X + run_attack(attack, model, data).perturbation
    towards = np.zeros_like(weights)
    towards[0] = rng.standard_normal(weights[0].shape)

    def loss(w):
        margin = data.signs * np.array([by_hand(spec, w, x[0]) for x in X])
        return np.logaddexp(0.0, -margin).mean()

    h = 1e-5
    slope = (loss(weights + h * towards) - loss(weights - h * towards)) / (2 * h)
    assert -((trace.final_weights - weights) * towards).sum() == pytest.approx(slope, rel=1e-6)
    if weights.shape[0] == 2:
        np.testing.assert_array_equal(trace.final_weights[1], weights[1])


def test_linear_training_on_fgm_is_exact(rng):
    data, threat = DATA.sample(50, rng), Threat(radius=0.1)
    network = SPECS["linear"].network(rng.standard_normal((1, 1, 8)))
    assert isinstance(network, LinearModel)
    np.testing.assert_allclose(
        run_attack(fgm(threat), network, data).margin, exact_linear(network, data, threat).margin, atol=1e-14
    )


def test_recording_and_cutting_change_nothing(rng):
    data, spec = DATA.sample(40, rng), SPECS["cubic"]
    schedule = Schedule(n_steps=6, step_size=0.1, batch_size=10)
    kept = Recording(every=1, weights_at=(0, 3))
    first = train(spec, data, schedule=schedule, rng=np.random.default_rng(1), recording=kept)
    second = train(spec, data, schedule=schedule, rng=np.random.default_rng(1), recording=Recording(at=()))
    np.testing.assert_array_equal(first.final_weights, second.final_weights)
    assert first["clean_loss"].shape == (7,)
    assert first.weights_at(3).shape == (1, 6, 8)


def test_oracle_is_the_stated_polynomial(rng):
    data = DATA.sample(5, rng)
    z = data.inputs @ data.dictionary
    oracle = oracle_polynomial(data.dictionary, data.label_weights, 30.0)
    expected = (data.label_weights * (z + 30.0 * z**3)).sum(axis=1)
    np.testing.assert_allclose(oracle.scores(data.X)[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PolynomialSpec(power=4), "power must be odd"),
        (lambda: PolynomialSpec(power=1), "power must be >= 3"),
        (lambda: PolynomialSpec(width=-1), "width must be >= 0"),
        (lambda: FrozenGateSpec(gates="soft"), "gates must be one of"),
        (lambda: FrozenGateSpec(width=3).network(np.zeros((1, 3, 2))), "weights must have shape"),
        (lambda: oracle_polynomial(np.eye(3), np.ones(2), 1.0), "label_weights must have shape"),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_settings_of_the_symmetric_net_are_refused(rng):
    data = DATA.sample(10, rng)
    with pytest.raises(ValueError, match="are for the symmetric network"):
        train(SPECS["cubic"], data, schedule=RampSchedule(n_steps=2, rank=1), rng=rng)
    with pytest.raises(TypeError, match="data must be SparseCodingData"):
        train(SPECS["cubic"], (data.X, data.y), schedule=Schedule(n_steps=2), rng=rng)
    with pytest.raises(ValueError, match="rng must be given"):
        train(SPECS["cubic"], data, schedule=Schedule(n_steps=2))
