"""Power network, explicit ReLU networks: gradients, guarantees, parameter counts, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.models import (
    Memoriser,
    MemoriserSpec,
    PowerNetwork,
    PowerNetworkSpec,
    ReluNetwork,
    cross_entropy,
    loss_cotangent,
    memoriser_parameters,
    memorising_rule,
    power_activation,
    power_activation_slope,
    sawtooth_square,
    separation,
)

NETS = [("odd", 3.0), ("odd", 5.0), ("relu", 3.0), ("relu", 4.0), ("odd", 2.5)]


def network(rng, activation, power, m=6, d=5):
    return PowerNetwork(rng.standard_normal((1, m, d)), power=power, activation=activation)


def central(function, point, h=1e-5):
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        step = np.zeros_like(point)
        step[index] = h
        gradient[index] = (function(point + step) - function(point - step)) / (2 * h)
    return gradient


@pytest.mark.parametrize(("activation", "power"), NETS)
def test_gradients_against_central_differences(activation, power, rng):
    net = network(rng, activation, power)
    X, y = 0.5 * rng.standard_normal((4, 3, 5)), np.array([0, 1, 1, 0])

    def loss_of_weights(weights):
        return PowerNetwork(weights, power=power, activation=activation, signs=net.signs).loss(X, y)

    def loss_of_input(inputs):
        return float(cross_entropy(net.scores(inputs), y).sum())

    found = net.weight_gradient(X, y)
    np.testing.assert_allclose(found, central(loss_of_weights, net.weights), rtol=1e-6, atol=1e-8)
    found = net.input_gradient(X, loss_cotangent(net.scores(X), y))
    np.testing.assert_allclose(found, central(loss_of_input, X), rtol=1e-6, atol=1e-8)


def test_tied_branches_are_the_odd_network(rng):
    half = rng.standard_normal((1, 3, 5))
    odd = PowerNetwork(half, power=3.0)
    relu = PowerNetwork(np.concatenate([half, -half], axis=1), power=3.0, activation="relu")
    X = rng.standard_normal((6, 2, 5))
    np.testing.assert_allclose(relu.scores(X), odd.scores(X), rtol=1e-12)


def test_counts_are_repeated_patches(rng):
    net = network(rng, "odd", 3.0)
    X, y = rng.standard_normal((4, 2, 5)), np.array([0, 1, 1, 0])
    counts = np.array([[2.0, 1.0]] * 4)
    repeated = np.concatenate([X[:, :1], X], axis=1)
    np.testing.assert_allclose(net.scores(X, counts), net.scores(repeated), rtol=1e-12)
    np.testing.assert_allclose(
        net.weight_gradient(X, y, counts), net.weight_gradient(repeated, y), rtol=1e-10
    )


@given(st.floats(-50, 50), st.sampled_from([2.0, 3.0, 4.0, 2.5]))
def test_activation_is_odd_or_one_sided(z, power):
    value = float(power_activation(z, power))
    assert value == -float(power_activation(-z, power))
    assert float(power_activation(z, power, "relu")) == (value if z > 0 else 0.0)
    assert float(power_activation_slope(z, power)) >= 0.0


def test_line_score_is_the_score_of_a_signal_patch(rng):
    net = network(rng, "relu", 3.0)
    signal = np.eye(5)[2]
    positions = np.array([-1.5, 0.0, 2.0])
    X = positions[:, None, None] * signal
    np.testing.assert_allclose(net.line_score(signal, positions), net.scores(X)[:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: PowerNetworkSpec(power=1.0), "power must be > 1"),
        (lambda: PowerNetworkSpec(width=3, activation="relu"), "width must be even"),
        (lambda: PowerNetworkSpec(width=3, signs=(1, 2, 1)), "signs must be 3 numbers"),
        (lambda: PowerNetworkSpec(activation="tanh"), "activation must be one of"),
        (lambda: PowerNetworkSpec(init_std=-0.1), "init_std must be >= 0"),
        (lambda: PowerNetwork(np.zeros((2, 3, 4))), "weights must have shape"),
        (lambda: PowerNetwork(np.full((1, 2, 2), np.nan)), "weights must be finite"),
        (lambda: PowerNetwork(np.ones((1, 2, 3))).scores(np.ones((1, 2, 4))), "X must have shape"),
        (lambda: ReluNetwork([]), "layers must hold"),
        (lambda: ReluNetwork([(np.ones((2, 3)), np.ones(2))]), "last layer must have one row"),
        (lambda: ReluNetwork([(np.eye(2), np.ones(2)), (np.ones((1, 3)), [0.0])]), "must take 2 inputs"),
        (lambda: memorising_rule([1.0, 0.0], [[0.0, 0.0]], [1.0], 0.4), "noise must have no zero row"),
        (lambda: MemoriserSpec(radius=0.3, outer_radius=0.2), "outer_radius must be > 0.3"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


# --- Networks written down ---


@pytest.mark.parametrize(("n", "d"), [(10, 10), (100, 100)])
def test_parameter_counts_of_the_closed_form(n, d, rng):
    X, y = rng.uniform(size=(n, d)), np.arange(n) % 2
    wanted = {("l1", 10): 688, ("l1", 100): 60628, ("linf", 10): 1066, ("linf", 100): 100442}
    for norm in ("l1", "linf"):
        m = Memoriser(
            centres=X, labels=y, clean_weights=rng.standard_normal(d), clean_bias=0.1, norm=norm,
            radius=0.3 * separation(X, y, norm),
        )  # fmt: skip
        assert m.network().n_parameters == wanted[norm, n] == memoriser_parameters(n, d, norm)
    m = Memoriser(
        centres=X, labels=y, clean_weights=rng.standard_normal(d), clean_bias=0.1, norm="l2",
        radius=0.3 * separation(X, y, "l2"),
    )  # fmt: skip
    assert m.network().n_parameters == memoriser_parameters(n, d, "l2", n_tents=m.n_tents)
    assert memoriser_parameters(1000, 1000, "l1") == 6006028
    assert memoriser_parameters(1000, 1000, "linf") == 10003048


@given(st.integers(2, 9), st.integers(1, 9), st.sampled_from(["l1", "linf"]))
def test_closed_form_count_is_that_of_the_network(n, d, norm):
    rng = np.random.default_rng((n, d))
    X, y = rng.uniform(size=(n, d)), np.arange(n) % 2
    m = Memoriser(
        centres=X, labels=y, clean_weights=rng.standard_normal(d), clean_bias=0.1, norm=norm,
        radius=0.3 * separation(X, y, norm),
    )  # fmt: skip
    assert m.network().n_parameters == memoriser_parameters(n, d, norm)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_memoriser_is_right_on_every_ball_and_clean_elsewhere(norm, rng):
    X, y = rng.uniform(size=(15, 6)), rng.integers(2, size=15)
    m = Memoriser(centres=X, labels=y, clean_weights=rng.standard_normal(6), norm=norm,
                  radius=0.45 * separation(X, y, norm))  # fmt: skip
    net = m.network()
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    for scale in (0.0, 0.5, 1.0):
        free = rng.standard_normal((15, 6))
        moved = X + scale * m.radius * free / np.linalg.norm(free, order, axis=1, keepdims=True)
        np.testing.assert_allclose(net.scores(moved)[:, 0], m.signs, atol=1e-10)
    far = np.concatenate([rng.uniform(size=(500, 6)), 20.0 * rng.standard_normal((50, 6))])
    np.testing.assert_allclose(net.scores(far), m.scores(far), atol=1e-10)
    outside = np.min(np.linalg.norm(far[:, None] - X, order, axis=2), axis=1) > m.outer_radius
    clean = np.clip(far @ m.clean_weights, -1, 1)
    assert outside.sum() > 50
    np.testing.assert_allclose(net.scores(far)[outside, 0], clean[outside], atol=1e-10)


def test_relu_network_gradient_against_central_differences(rng):
    X, y = rng.uniform(size=(6, 4)), np.arange(6) % 2
    net = Memoriser(centres=X, labels=y, clean_weights=rng.standard_normal(4), norm="linf",
                    radius=0.2 * separation(X, y, "linf")).network()  # fmt: skip
    points = rng.uniform(size=(8, 1, 4))
    found = net.input_gradient(points, np.ones((8, 1)))
    expected = central(lambda z: float(net.scores(z).sum()), points, h=1e-7)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_sawtooth_error_is_attained_and_never_negative(n):
    t = np.arange(2 ** (n + 4) + 1) / 2 ** (n + 4)
    error = sawtooth_square(t, n) - t**2
    assert error.min() >= 0.0
    assert error.max() == 2.0 ** -(2 * n + 2)


def test_sawtooth_beyond_one_is_at_least_one():
    t = np.linspace(1.0, 5.0, 401)
    for n in (1, 2, 5):
        assert sawtooth_square(t, n).min() >= 1.0


def test_tent_maps_are_for_l2_alone():
    with pytest.raises(ValueError, match="n_tents must be given for l2"):
        memoriser_parameters(10, 10, "l2")
    with pytest.raises(ValueError, match="n_tents must be given for l2"):
        memoriser_parameters(10, 10, "l1", n_tents=3)


def test_overlapping_balls_are_refused(rng):
    X, y = rng.uniform(size=(4, 3)), np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="their balls would overlap"):
        Memoriser(centres=X, labels=y, clean_weights=np.ones(3), radius=0.6 * separation(X, y, "linf"))
