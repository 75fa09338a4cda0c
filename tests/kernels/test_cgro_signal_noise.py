"""The kernel of the power network against slow loops that read like the equations."""

import math

import numpy as np
import pytest

from featsim.attacks import SignalAttack, fgm, pgd
from featsim.data import SignalNoiseSpec, patch_data
from featsim.models import PowerNetworkSpec
from featsim.threats import Threat
from featsim.training import Mixture, Recording, Schedule, train


def phi(z, q, odd):
    return math.copysign(abs(z) ** q, z) if odd else max(z, 0.0) ** q


def phi_slope(z, q, odd):
    return q * abs(z) ** (q - 1) if odd else q * max(z, 0.0) ** (q - 1)


def score(W, a, X, q, odd):
    return sum(a[r] * phi(W[r] @ X[p], q, odd) for r in range(len(W)) for p in range(len(X)))


def gradient_in_weights(W, a, X, q, odd):
    gradient = np.zeros_like(W)
    for r in range(len(W)):
        for p in range(len(X)):
            gradient[r] += a[r] * phi_slope(W[r] @ X[p], q, odd) * X[p]
    return gradient


def gradient_in_input(W, a, X, q, odd):
    gradient = np.zeros_like(X)
    for r in range(len(W)):
        for p in range(len(X)):
            gradient[p] += a[r] * phi_slope(W[r] @ X[p], q, odd) * W[r]
    return gradient


def psi(z):
    return 1.0 / (1.0 + math.exp(z))


def on_line(W, a, X, y, place, signal, q, odd, radius, rule):
    """Both rules, the worst by trying every end point."""
    shifts = [-radius * y]
    if rule == "worst":
        shifts.append(radius * y)
        here = X[place] @ signal
        if abs(here) <= radius:
            shifts.append(-here)
    best = None
    for shift in shifts:
        moved = X.copy()
        moved[place] += shift * signal
        margin = y * score(W, a, moved, q, odd)
        if best is None or margin < best[0]:
            best = margin, moved
    return best[1]


def ascent(W, a, X, y, q, odd, attack):
    threat, delta = attack.threat, np.zeros_like(X)
    for _ in range(attack.n_steps):
        g = -y * gradient_in_input(W, a, X + delta, q, odd)
        if threat.norm == "linf":
            delta = np.clip(delta + attack.step_size * np.sign(g), -threat.radius, threat.radius)
            continue
        axis = None if threat.scope == "input" else 1
        size = np.linalg.norm(g, axis=axis, keepdims=True)
        delta = delta + attack.step_size * np.divide(g, size, out=np.zeros_like(g), where=size > 0)
        size = np.linalg.norm(delta, axis=axis, keepdims=True)
        delta = delta * np.minimum(1.0, threat.radius / np.maximum(size, 1e-300))
    return X + delta


def slow_training(model, data, W, attack, weight, step_size, n_steps):
    a, q, odd = model.output_signs, model.power, model.activation == "odd"
    W = W.copy()
    for _ in range(n_steps):
        update = np.zeros_like(W)
        for i in range(data.n_samples):
            X, y = data.X[i], (1.0 if data.y[i] == 1 else -1.0)
            if attack is None:
                points = [(1.0, X)]
            else:
                if isinstance(attack, SignalAttack):
                    place = int(data.signal_patch[i])
                    moved = on_line(W, a, X, y, place, data.signal, q, odd, attack.radius, attack.rule)
                else:
                    moved = ascent(W, a, X, y, q, odd, attack)
                points = [(1.0 - weight, X), (weight, moved)]
            for share, point in points:
                pull = share * y * psi(y * score(W, a, point, q, odd))
                update += pull * gradient_in_weights(W, a, point, q, odd)
        W += step_size / data.n_samples * update
    return W


WHOLE, PATCH = Threat(radius=0.5, scope="input"), Threat(radius=0.3)
BOX = Threat(radius=0.1, norm="linf", scope="input")
ATTACKS = {
    "standard": None,
    "fixed": SignalAttack(radius=1.4),
    "worst": SignalAttack(radius=1.4, rule="worst"),
    "beyond zero": SignalAttack(radius=1.8, rule="worst"),
    "fgm": fgm(WHOLE),
    "pgd": pgd(WHOLE, n_steps=3, keep="last"),
    "pgd per patch": pgd(PATCH, n_steps=3, keep="last"),
    "linf": pgd(BOX, n_steps=3, keep="last"),
}
MODELS = {
    "cubic": PowerNetworkSpec(width=4, power=3.0, init_std=0.4),
    "quintic": PowerNetworkSpec(width=3, power=5.0, init_std=0.4),
    "relu2": PowerNetworkSpec(width=4, power=2.0, activation="relu", init_std=0.4),
    "relu, any power": PowerNetworkSpec(
        width=3, power=2.5, activation="relu", signs=(1, -1, 1), init_std=0.5
    ),
}


@pytest.fixture
def data(rng):
    return SignalNoiseSpec(n_patches=3, dim=7, signal_strength=1.5, noise_norm=1.2, n_fresh=0).sample(5, rng)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_training_against_slow_loops(model, attack, data, rng):
    start = model.initial_weights(data.dim, rng)
    weight = 0.6
    trace = train(
        model,
        data,
        schedule=Schedule(n_steps=6, step_size=0.03),
        attack=None if attack is None else Mixture(attack=attack, weight=weight),
        initial_weights=start,
    )
    expected = slow_training(model, data, start[0], attack, weight, 0.03, 6)
    np.testing.assert_allclose(trace.final_weights[0], expected, rtol=1e-10, atol=1e-13)


def test_records_against_slow_loops(data, rng):
    model, attack = MODELS["cubic"], ATTACKS["worst"]
    W = model.initial_weights(data.dim, rng)
    trace = train(
        model, data, schedule=Schedule(n_steps=1), attack=attack, initial_weights=W,
        recording=Recording(
            quantities=("noise_coef", "memorisation", "signal_sum", "worst_loss", "attacked_loss")
        ),
    )  # fmt: skip
    a, q = model.output_signs, model.power
    losses = []
    for i in range(data.n_samples):
        place, y = int(data.signal_patch[i]), data.signs[i]
        others = [p for p in range(data.n_patches) if p != place]
        coef = np.array([[W[0, r] @ data.X[i, p] for r in range(model.width)] for p in others])
        np.testing.assert_allclose(trace["noise_coef"][0, i], coef, rtol=1e-12)
        memory = y * sum(phi(z, q, True) for z in coef.ravel())
        assert trace["memorisation"][0, i] == pytest.approx(memory, rel=1e-12)
        moved = on_line(W[0], a, data.X[i], y, place, data.signal, q, True, attack.radius, "worst")
        losses.append(math.log1p(math.exp(-y * score(W[0], a, moved, q, True))))
    assert trace["worst_loss"][0] == pytest.approx(np.mean(losses), rel=1e-12)
    assert trace["attacked_loss"][0] == trace["worst_loss"][0]
    expected = sum(phi(float(w @ data.signal), q, True) for w in W[0])
    assert trace["signal_sum"][0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("attack", [fgm(WHOLE), pgd(BOX, n_steps=2, keep="last")], ids=["l2", "linf"])
def test_whole_input_records_are_those_of_the_attack(attack, data, rng):
    from featsim.attacks import run_attack

    model = MODELS["cubic"]
    trace = train(model, data, schedule=Schedule(n_steps=3, step_size=0.1), attack=attack, rng=rng)
    result = run_attack(attack, model.network(trace.final_weights), data)
    loss = np.mean(np.logaddexp(0.0, -result.margin))
    assert trace["attacked_loss"][-1] == pytest.approx(loss, rel=1e-12)


def test_images_of_two_classes_train_without_a_signal(rng):
    data = patch_data(rng.standard_normal((6, 1, 5)), [0, 1, 0, 1, 1, 0])
    model = PowerNetworkSpec(width=4, power=2.0, activation="relu", init_std=0.3)
    start = model.initial_weights(5, rng)
    trace = train(
        model, data, schedule=Schedule(n_steps=4, step_size=0.1), initial_weights=start,
        attack=pgd(WHOLE, n_steps=3, keep="last"),
    )  # fmt: skip
    assert set(trace) >= {"clean_loss", "clean_accuracy", "attacked_loss", "attacked_accuracy"}
    assert "signal_coef" not in trace
    expected = slow_training(model, data, start[0], pgd(WHOLE, n_steps=3, keep="last"), 1.0, 0.1, 4)
    np.testing.assert_allclose(trace.final_weights[0], expected, rtol=1e-10, atol=1e-13)
