"""The closure against training, the stage laws, the phases."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from featsim.attacks import SignalAttack
from featsim.data import SignalNoiseSpec, signal_noise_data
from featsim.models import PowerNetworkSpec
from featsim.theory.cgro import (
    ClosureStart,
    StageLaws,
    blow_up_time,
    closure_from_weights,
    detect_phases,
    largest_start,
    power_growth,
)
from featsim.traces import Trace
from featsim.training import Mixture, Recording, Schedule, train

CASES = {
    "cubic, fixed": (PowerNetworkSpec(width=10), "fixed", 0.5, 0.02),
    "cubic, worst": (PowerNetworkSpec(width=10), "worst", 0.5, 0.02),
    "cubic, clean only": (PowerNetworkSpec(width=10), "fixed", 0.0, 0.02),
    "cubic, attacked only": (PowerNetworkSpec(width=10), "fixed", 1.0, 0.02),
    "quintic": (PowerNetworkSpec(width=10, power=5.0, init_std=0.4), "fixed", 0.5, 0.01),
    "relu": (PowerNetworkSpec(width=20, activation="relu"), "worst", 0.5, 0.02),
    "any power": (PowerNetworkSpec(width=6, power=2.5), "fixed", 0.5, 0.02),
}


@pytest.mark.parametrize(("model", "rule", "weight", "step"), CASES.values(), ids=CASES)
def test_closure_is_training_over_2000_steps(model, rule, weight, step):
    rng = np.random.default_rng(1)
    data = SignalNoiseSpec(n_fresh=0, signal="random").sample(20, rng)
    start = model.initial_weights(data.dim, rng)
    attack = SignalAttack(radius=1.9, rule=rule)
    trace = train(
        model, data, schedule=Schedule(n_steps=2000, step_size=step), initial_weights=start,
        attack=Mixture(attack=attack, weight=weight),
        recording=Recording(
            every=100, quantities=("signal_coef", "signal_score", "memorisation", "noise_coef")
        ),
    )  # fmt: skip
    closure = closure_from_weights(start, data).run(
        model, weight=weight, radius=1.9, rule=rule, step_size=step, n_steps=2000, record_at=trace.steps
    )
    assert np.array_equal(closure.steps, trace.steps)
    for found, expected in (
        (closure.signal_coef, trace["signal_coef"][:, 0]),
        (closure.signal_score, trace["signal_score"]),
        (closure.memorisation, trace["memorisation"]),
        (closure.noise_coef, trace["noise_coef"][-1]),
    ):
        assert np.abs(found - expected).max() < 1e-12


def slow_closure(u, v, K, y, alpha, radius, weight, eta, q, n_steps):
    """The closure term by term: the odd network against the fixed attack."""
    u, v = u.copy(), v.copy()
    n, J, m = v.shape
    K = K.reshape(n, J, n, J)

    def phi(z):
        return math.copysign(abs(z) ** q, z)

    def psi(z):
        return 1.0 / (1.0 + math.exp(z))

    left = alpha - radius
    for _ in range(n_steps):
        U = sum(phi(z) for z in u)
        V = [y[i] * sum(phi(v[i, j, r]) for j in range(J) for r in range(m)) for i in range(n)]
        clean = [psi(alpha**q * U + V[i]) for i in range(n)]
        attacked = [psi(phi(left) * U + V[i]) for i in range(n)]
        g = [(1 - weight) * clean[i] + weight * attacked[i] for i in range(n)]
        drive = (1 - weight) * alpha**q * np.mean(clean) + weight * phi(left) * np.mean(attacked)
        du = [eta * q * abs(u[r]) ** (q - 1) * drive for r in range(m)]
        dv = np.zeros_like(v)
        for i in range(n):
            for j in range(J):
                for r in range(m):
                    dv[i, j, r] = eta / n * q * sum(
                        y[k] * g[k] * abs(v[k, el, r]) ** (q - 1) * K[k, el, i, j]
                        for k in range(n) for el in range(J)
                    )  # fmt: skip
        u, v = u + du, v + dv
    return u, v


def small_start(rng):
    data = SignalNoiseSpec(dim=10, n_fresh=0).sample(4, rng)
    model = PowerNetworkSpec(width=3)
    return model, closure_from_weights(model.initial_weights(10, rng), data)


def test_closure_against_slow_loops(rng):
    model, start = small_start(rng)
    found = start.run(model, weight=0.4, radius=1.7, step_size=0.05, n_steps=15)
    u, v = slow_closure(
        start.signal_coef, start.noise_coef, start.gram, start.labels, 2.0, 1.7, 0.4, 0.05, 3.0, 15
    )
    np.testing.assert_allclose(found.signal_coef[-1], u, rtol=1e-10)
    np.testing.assert_allclose(found.noise_coef, v, rtol=1e-10)


def test_first_passages_are_those_of_every_step(rng):
    data = SignalNoiseSpec(n_fresh=0).sample(10, rng)
    model = PowerNetworkSpec()
    start = closure_from_weights(model.initial_weights(100, rng), data)
    settings = {"weight": 0.5, "radius": 1.9, "step_size": 0.05, "n_steps": 3000}
    coarse = start.run(model, **settings)
    every = start.run(model, **settings, record_at=np.arange(3001))
    reached = every.memorisation >= 1.0
    first = np.where(reached.any(axis=0), reached.argmax(axis=0), -1)
    np.testing.assert_array_equal(coarse.memorised_at, first)
    assert coarse.signal_at == int(np.argmax(every.signal_score >= 1.0))
    assert coarse.mean_memorised_at == int(np.argmax(every.memorisation.mean(axis=1) >= 1.0))
    assert coarse.memorisation_step == np.median(np.where(first < 0, np.inf, first))


def test_decoupled_patches_do_not_interact(rng):
    model, start = small_start(rng)
    alone = start.decoupled()
    assert alone.noise_power == pytest.approx(start.noise_power)
    found = alone.run(model, weight=0.5, radius=1.9, step_size=0.01, n_steps=1)
    change = found.noise_coef - start.noise_coef
    signs = start.labels[:, None, None]
    assert np.all(signs * change >= 0.0)


def test_closure_refuses_data_it_is_not_exact_for(rng):
    X = rng.standard_normal((3, 2, 5))
    X[:, 0] = np.array([1.0, -1.0, 2.0])[:, None] * np.eye(5)[0]
    own = {"signal": np.eye(5)[0], "signal_patch": [0, 0, 0]}
    weights = rng.standard_normal((1, 2, 5))
    with pytest.raises(ValueError, match="noise must be orthogonal"):
        closure_from_weights(weights, signal_noise_data(X, [1, 0, 1], **own))
    X[:, 1, 0] = 0.0
    with pytest.raises(ValueError, match="one alpha"):
        closure_from_weights(weights, signal_noise_data(X, [1, 0, 1], **own))


@pytest.mark.parametrize("width", [2, 8])
def test_closure_refuses_a_model_of_another_width(rng, width):
    """The kernel would read second-layer signs outside the array."""
    _, start = small_start(rng)
    settings = {"weight": 0.5, "radius": 1.9, "step_size": 0.01, "n_steps": 2}
    with pytest.raises(ValueError, match=f"model must have the width 3 of the start, got {width}"):
        start.run(PowerNetworkSpec(width=width), **settings)


def test_closure_records_whole_steps_only(rng):
    model, start = small_start(rng)
    settings = {"weight": 0.5, "radius": 1.9, "step_size": 0.01, "n_steps": 4}
    with pytest.raises(ValueError, match="record_at must hold integer steps"):
        start.run(model, **settings, record_at=np.array([0.5, 2.7]))
    assert start.run(model, **settings, record_at=np.array([2])).steps.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"labels": [1.0, 0.0]}, "labels must be"),
        ({"gram": np.triu(np.ones((2, 2)))}, "gram must be symmetric"),
        ({"gram": np.eye(3)}, "gram must have shape"),
        ({"signal_coef": [1.0]}, "signal_coef must have shape"),
    ],
)
def test_impossible_starts_are_refused(changes, match):
    given = {
        "signal_coef": [0.1, 0.2], "noise_coef": np.ones((2, 1, 2)), "gram": np.eye(2), "labels": [1.0, -1.0],
        "signal_strength": 1.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=match):
        ClosureStart(**{**given, **changes})


LAWS = StageLaws(
    n_samples=20, signal_strength=2.0, radius=1.9, noise_norm=1.0, power=3.0, step_size=0.02, weight=0.5
)


def test_blow_up_time_is_that_of_the_equation():
    assert blow_up_time(0.1, 0.5, 3.0) == pytest.approx(1.0 / (0.5 * 0.1))
    assert math.isinf(blow_up_time(-0.1, 0.5, 3.0))
    assert math.isinf(blow_up_time(0.1, 0.0, 3.0))
    with pytest.raises(ValueError, match="power must be > 2"):
        blow_up_time(0.1, 0.5, 2.0)


@pytest.mark.parametrize("power", [2.5, 3.0, 5.0])
def test_power_growth_solves_its_equation(power):
    start, rate = np.array([0.3, -0.4, 0.0]), 0.7
    end = float(blow_up_time(0.3, rate, power))
    times = np.linspace(0.0, 0.9 * end, 5)
    exact = power_growth(start, rate, power, times)
    assert exact.shape == (5, 3) and np.array_equal(exact[0], start)
    integrated = solve_ivp(
        lambda _, z: rate * np.abs(z) ** (power - 1.0),
        (0.0, times[-1]),
        start,
        t_eval=times,
        rtol=1e-10,
        atol=1e-12,
    )
    # The blow-up magnifies the integrator's error: 1e-10 a step to about 1e-8 of z at 0.9 of the time.
    np.testing.assert_allclose(exact, integrated.y.T, rtol=1e-7, atol=1e-12)
    assert (
        np.isinf(power_growth(0.3, rate, power, 1.0001 * end)) and power_growth(-0.3, rate, power, end) < 0.0
    )
    with pytest.raises(ValueError, match="time must be >= 0"):
        power_growth(start, rate, power, -1.0)


def test_growth_of_the_stages_blows_up_at_their_times(rng):
    u, v, y = (
        0.1 * rng.standard_normal(6),
        0.2 * rng.standard_normal((4, 2, 6)),
        np.array([1.0, -1.0, 1.0, -1.0]),
    )
    end = LAWS.signal_time(u)
    score = LAWS.growing_score(u, np.array([0.0, 0.999 * end, 1.001 * end]))
    assert score[0] == pytest.approx(8.0 * np.sum(u**3)) and score[1] > 1e3 and np.isinf(score[2])
    ends = LAWS.memorisation_time(v, y)
    memory = LAWS.growing_memorisation(v, y, np.concatenate([[0.0], 0.999 * ends, 1.001 * ends]))
    np.testing.assert_allclose(memory[0], y * (v**3).sum(axis=(1, 2)), rtol=1e-12)
    assert np.all(np.diagonal(memory[1:5]) > 1e3) and np.all(np.isinf(np.diagonal(memory[5:])))


def test_stage_laws_are_the_closure_while_the_loss_is_at_log_2(rng):
    """Small scores: psi is 1/2 to 2e-4. Euler's steps grow u by up to 3e-3: cubes lag by up to 1e-2."""
    n, m, at = 4, 5, np.array([0, 200, 400])
    start = ClosureStart(
        signal_coef=0.02 * rng.standard_normal(m), noise_coef=0.02 * rng.standard_normal((n, 2, m)),
        gram=np.eye(2 * n), labels=np.array([1.0, -1.0, 1.0, -1.0]), signal_strength=1.0,
    )  # fmt: skip
    settings = {"radius": 0.9, "step_size": 0.05}
    model = PowerNetworkSpec(width=m)
    sizes = {"n_samples": n, "signal_strength": 1.0, "noise_norm": 1.0, "power": 3.0}
    # Weight 1: stage III has no clean loss left. Then weight 0.5, for both terms of the signal's rate.
    found = start.run(model, **settings, weight=1.0, n_steps=400, record_at=at).memorisation
    law = StageLaws(**settings, **sizes, weight=1.0).growing_memorisation(start.noise_coef, start.labels, at)
    assert np.abs(found - law).max() < 1e-2 * np.abs(law[-1] - law[0]).max()
    score = start.run(model, **settings, weight=0.5, n_steps=400, record_at=at).signal_score
    law = StageLaws(**settings, **sizes, weight=0.5).growing_score(start.signal_coef, at)
    assert np.abs(score - law).max() < 1e-2 * abs(law[-1] - law[0])


def test_stalled_score_solves_its_law():
    t = np.array([100.0, 1000.0, 1e6])
    S = LAWS.stalled_score(t)
    np.testing.assert_allclose(S, np.log(0.02 * 9 * 0.5 * 4 * t) + (4 / 3) * np.log(S), rtol=1e-12)
    assert np.isnan(LAWS.stalled_score(1e-6))
    # At the time of memorisation an independent program has 9.73 +- 0.16.
    assert float(LAWS.stalled_score(2272.0)) == pytest.approx(9.73, abs=0.16)


def test_at_the_critical_ratio_both_times_are_equal():
    v0, u1 = 0.35, 1.09
    ratio = LAWS.critical_ratio(v0, u1)
    assert ratio == pytest.approx(0.87, abs=0.005)
    import dataclasses

    there = dataclasses.replace(LAWS, radius=2.0 * ratio)
    start = np.full((1, 1, 1), v0)
    assert there.robust_time(u1) == pytest.approx(
        float(there.memorisation_time(start, np.ones(1))[0]), rel=1e-9
    )


def test_a_sample_that_starts_backwards_is_never_memorised():
    v = np.array([[[0.2, -0.1]], [[-0.3, -0.1]]])
    assert largest_start(v, np.ones(2)).tolist() == [0.2, -0.1]
    assert np.isinf(LAWS.memorisation_time(v, np.ones(2)))[1]


def synthetic(score, memory, loss=None):
    steps = np.arange(len(score))
    arrays = {
        "steps": steps,
        "signal_score": np.asarray(score, float),
        "signal_coef": np.asarray(score, float)[:, None, None] ** (1 / 3),
        "memorisation": np.asarray(memory, float),
    }
    axes = {
        "signal_score": ("step",),
        "signal_coef": ("step", "class", "neuron"),
        "memorisation": ("step", "sample"),
    }
    if loss is not None:
        arrays["attacked_loss"], axes["attacked_loss"] = np.asarray(loss, float), ("step",)
    return Trace(arrays, axes)


def test_phases_of_a_synthetic_run():
    steps = np.arange(201)
    score = np.where(steps >= 2, 3.0, 0.0)
    memory = np.stack([np.where(steps >= 100, 2.0, 0.0), np.where(steps >= 150, 2.0, 0.01)], axis=1)
    phases = detect_phases(synthetic(score, memory, np.full(201, math.log(2.0))))
    assert phases.signal_step == 2
    assert phases.memorisation_steps.tolist() == [100.0, 150.0]
    assert phases.memorisation_step == 125.0
    assert phases.separated
    assert phases.order == ("signal", "stall", "memorisation")
    assert phases.stall_loss == pytest.approx(1.0)
    assert phases.stall_growth == pytest.approx(1.0)
    assert phases.stall_memorisation == pytest.approx(0.005)


def test_phases_that_do_not_happen():
    flat = detect_phases(synthetic(np.zeros(50), np.zeros((50, 3))))
    assert flat.order == ()
    assert math.isinf(flat.signal_step)
    assert not flat.separated
    only_memory = detect_phases(synthetic(np.zeros(50), np.linspace(0, 2, 50)[:, None] * np.ones(3)))
    assert only_memory.order == ("memorisation",)
