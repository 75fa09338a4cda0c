"""Symmetric network: closed forms in the tails, derivatives, oddness, refusals."""

import numpy as np
import pytest
import reference_purification as slow
from scipy.special import erfcx, log_ndtr

from featsim.models import (
    SymmetricNetworkSpec,
    gaussian_relu,
    symmetric_activation,
    symmetric_curvature,
    symmetric_slope,
)
from featsim.models.protocol import signs

B, S = 0.25, 0.1
ONES = SymmetricNetworkSpec().network(np.ones((1, 2, 3)))


def test_values_are_those_of_the_definition(rng):
    u = rng.uniform(-2, 2, 300)
    for b, s in ((B, S), (0.0, 0.3), (0.4, 0.02)):
        np.testing.assert_allclose(symmetric_activation(u, b, s), [slow.psi(x, b, s) for x in u], atol=1e-15)
        np.testing.assert_allclose(symmetric_slope(u, b, s), [slow.psi_slope(x, b, s) for x in u], rtol=1e-13)


def test_tails_keep_their_digits():
    """h and the leak far below the bias, against scipy's scaled functions."""
    x = np.linspace(-30.0, -6.0, 25)
    # h(xs)/s = phi(x) - |x| Phi(-|x|); in the tail by its continued fraction.
    h = gaussian_relu(x * S, S) / S
    a = -x
    fraction = np.zeros_like(a)
    for n in range(60, 0, -1):
        fraction = n / (a + fraction)
    mills = 1.0 / (a + fraction)  # (1 - Phi(a))/phi(a)
    second = (1.0 - a * mills) / mills  # loses digits: only for a moderate
    density = np.exp(-0.5 * a * a) / np.sqrt(2 * np.pi)
    moderate = a < 12
    np.testing.assert_allclose(h[moderate], (second * mills * density)[moderate], rtol=1e-11)
    far = a > 9
    np.testing.assert_allclose(h[far], (density / a**2 * series(a))[far], rtol=1e-8)
    leak = [symmetric_slope(np.zeros(1), y, 1.0)[0] for y in a]
    np.testing.assert_allclose(np.log(leak), np.log(2.0) + log_ndtr(x), rtol=1e-14)
    np.testing.assert_allclose(mills, np.sqrt(np.pi / 2) * erfcx(a / np.sqrt(2)), rtol=1e-13)


def series(a: np.ndarray) -> np.ndarray:
    """a^2 (1 - a M(a)) in inverse powers, M the Mills ratio."""
    terms, total = np.ones_like(a), np.zeros_like(a)
    for n in range(1, 12):
        total += terms
        terms = -terms * (2 * n + 1) / a**2
    return total


def test_small_arguments_keep_their_digits():
    u = np.geomspace(1e-12, 0.3, 60)
    slope, ahead = symmetric_slope(np.zeros(1), B, S)[0], symmetric_activation(u, B, S)
    np.testing.assert_allclose(ahead[:20] / u[:20], slope, rtol=1e-9)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    integral = [0.5 * x * np.dot(weights, symmetric_slope(0.5 * x * (nodes + 1.0), B, S)) for x in u]
    np.testing.assert_allclose(ahead, integral, rtol=1e-12)


def test_hard_relu_is_the_limit():
    u = np.array([-0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5])
    np.testing.assert_allclose(symmetric_activation(u, B, 0.0), [-0.25, 0, 0, 0, 0, 0, 0.25])
    np.testing.assert_allclose(symmetric_slope(u, B, 0.0), [1, 0.5, 0, 0, 0, 0.5, 1])
    np.testing.assert_allclose(symmetric_slope(u, 0.0, 0.0), np.ones(7))
    np.testing.assert_allclose(symmetric_curvature(u, B, 0.0), np.zeros(7))
    np.testing.assert_allclose(gaussian_relu(u, 0.0), np.maximum(u, 0.0))


def test_monte_carlo(rng):
    noise = S * rng.standard_normal(400_000)
    for v in (-0.2, 0.0, 0.15):
        draws = np.maximum(v + noise, 0.0)
        error = draws.std() / np.sqrt(noise.size)
        assert abs(draws.mean() - gaussian_relu(np.array([v]), S)[0]) < 4 * error


def test_derivatives_by_central_differences(rng):
    u, h = rng.uniform(-1, 1, 50), 1e-5
    difference = (symmetric_activation(u + h, B, S) - symmetric_activation(u - h, B, S)) / (2 * h)
    np.testing.assert_allclose(symmetric_slope(u, B, S), difference, rtol=1e-6)
    difference = (symmetric_slope(u + h, B, S) - symmetric_slope(u - h, B, S)) / (2 * h)
    np.testing.assert_allclose(symmetric_curvature(u, B, S), difference, rtol=1e-5, atol=1e-6)


def test_gradients_by_central_differences(rng):
    spec = SymmetricNetworkSpec(width=6, bias=0.1, smoothing=0.05)
    weights, X, y = (
        rng.standard_normal((1, 6, 5)) * 0.3,
        rng.standard_normal((8, 1, 5)),
        rng.integers(2, size=8),
    )
    network, h = spec.network(weights), 1e-5
    for _ in range(3):
        towards, move = rng.standard_normal(weights.shape), rng.standard_normal(X.shape)
        difference = (
            spec.network(weights + h * towards).loss(X, y) - spec.network(weights - h * towards).loss(X, y)
        ) / (2 * h)
        assert (network.weight_gradient(X, y) * towards).sum() == pytest.approx(difference, rel=1e-6)
        gradient = (network.input_gradient(X, np.ones((8, 1))) * move).sum(axis=(1, 2))
        difference = (network.scores(X + h * move) - network.scores(X - h * move))[:, 0] / (2 * h)
        np.testing.assert_allclose(gradient, difference, rtol=1e-6)


def test_network_is_odd_and_slow_loops_agree(rng):
    network = SymmetricNetworkSpec(width=4, bias=0.1, smoothing=0.05).network(rng.standard_normal((1, 4, 3)))
    X = rng.standard_normal((600, 3))
    np.testing.assert_allclose(network.scores(-X), -network.scores(X), atol=1e-14)
    expected = [slow.score(network.neurons, x, 0.1, 0.05) for x in X]
    np.testing.assert_allclose(network.scores(X)[:, 0], expected, rtol=1e-11, atol=1e-13)
    assert network.loss(X, np.where(network.scores(X)[:, 0] > 0, 1, 0)) < np.log(2)
    assert signs(np.array([0, 1])).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SymmetricNetworkSpec(width=0), "width must be >= 1"),
        (lambda: SymmetricNetworkSpec(bias=-0.1), "bias must be >= 0"),
        (lambda: SymmetricNetworkSpec(smoothing=-0.1), "smoothing must be >= 0"),
        (lambda: SymmetricNetworkSpec(init_std=0.0), "init_std must be > 0"),
        (lambda: SymmetricNetworkSpec().network(np.ones((2, 3, 4))), "weights must have shape"),
        (lambda: SymmetricNetworkSpec().network(np.full((1, 2, 2), np.nan)), "weights must be finite"),
        (lambda: ONES.scores(np.ones((2, 4))), "X must have shape"),
        (lambda: ONES.scores(np.ones((2, 2, 3))), "X must have shape"),
        (lambda: symmetric_slope(np.zeros(1), -1.0, 0.1), "bias must be >= 0"),
    ],
)  # fmt: skip
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
