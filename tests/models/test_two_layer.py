"""The two-layer network: activation, scores and closed-form gradients."""

import numpy as np
import pytest

import reference
from featsim.kernels import patch_network as kernel
from featsim.models import (
    TwoLayerNetwork,
    TwoLayerSpec,
    cross_entropy,
    loss_cotangent,
    margin_cotangent,
    smoothed_relu,
    smoothed_relu_slope,
)

POWERS = (1.0, 2.0, 3.0, 4.0, 2.6)
SMOOTHING = 0.5


def points():
    """Both sides of both joints, the joints themselves, and the extremes of float64."""
    return np.array(
        [-1e308, -1.0, -1e-300, -0.0, 0.0, 1e-300, 1e-9, 0.1, 0.25, 0.5, 0.5 + 1e-12, 0.7, 3.0, 1e300]
    )


@pytest.mark.parametrize("power", [*POWERS, 1.3, 17.0])
@pytest.mark.parametrize("smoothing", [SMOOTHING, 1e-3, 40.0])
def test_activation_and_slope_are_the_equations(power, smoothing):
    z = points()
    shape = kernel.activation_shape(power, smoothing)
    for function, compiled, slow in (
        (smoothed_relu, kernel.activation, reference.smoothed_relu),
        (smoothed_relu_slope, kernel.activation_slope, reference.smoothed_relu_slope),
    ):
        expected = [slow(float(value), power, smoothing) for value in z]
        np.testing.assert_allclose(function(z, power, smoothing), expected, rtol=1e-13, atol=1e-300)
        found = np.empty((1, len(z)))
        compiled(z[None], shape, found)
        np.testing.assert_allclose(found[0], expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("power", POWERS)
def test_nan_stays_nan_and_infinity_keeps_its_side(power):
    z = np.array([np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(smoothed_relu(z, power, SMOOTHING), [np.nan, np.inf, 0.0])
    np.testing.assert_array_equal(smoothed_relu_slope(z, power, SMOOTHING), [np.nan, 1.0, 0.0])
    shape = kernel.activation_shape(power, SMOOTHING)
    value, slope = np.empty((1, 3)), np.empty((1, 3))
    kernel.activation(z[None], shape, value)
    kernel.activation_slope(z[None], shape, slope)
    np.testing.assert_array_equal(value[0], [np.nan, np.inf, 0.0])
    np.testing.assert_array_equal(slope[0], [np.nan, 1.0, 0.0])


@pytest.mark.parametrize("power", POWERS)
def test_central_difference_at_the_joint_misses_by_what_the_second_derivative_jumps(power):
    """At z = rho, (s(z+h) - s(z-h)) / 2h = 1 - h (q-1) / (4 rho) + O(h^2): the bound used below."""
    h = 1e-4
    z = np.array([SMOOTHING - h, SMOOTHING + h])
    low, high = smoothed_relu(z, power, SMOOTHING)
    found = 1.0 - (high - low) / (2 * h)
    # Left out: the third derivative, h^2 (q-1)(q-2) / (12 rho^2) from one side; and rounding.
    left_out = h**2 * abs((power - 1) * (power - 2)) / (6 * SMOOTHING**2) + 4e-16 / h
    assert abs(found - h * (power - 1) / (4 * SMOOTHING)) <= left_out


def make(rng, power):
    """Preactivations on both sides of both joints, none within 1e-3 of the kink that q = 1 has at 0."""
    k, m, n, n_patches, dim = 3, 2, 4, 5, 6
    while True:
        weights = 0.4 * rng.standard_normal((k, m, dim))
        X = rng.standard_normal((n, n_patches, dim))
        z = np.einsum("kmd,npd->npkm", weights, X)
        if np.abs(z).min() > 1e-3:
            break
    assert (z < 0).any() and ((z > 0) & (z < SMOOTHING)).any() and (z > SMOOTHING).any()
    X[0, 0] *= SMOOTHING / z[0, 0, 0, 0]  # exactly at the joint
    counts = rng.integers(1, 4, (n, n_patches)).astype(float)
    return TwoLayerNetwork(weights, power=power, smoothing=SMOOTHING), X, np.array([0, 1, 2, 1]), counts


STEP = 1e-6


def slope_error(power, move):
    """How far a central difference of s may be off when z moves by `move` to either side.

    At the joint by move (q-1) / (4 rho) (above); elsewhere by move^2 sup|s'''| / 6, where for
    2 < q < 3 s''' = (q-1)(q-2) z^(q-3) / rho^(q-1) is unbounded at 0 and the error is at most
    move^(q-1) / rho^(q-1).
    """
    smooth = move**2 * (power - 1) * abs(power - 2) / (6 * SMOOTHING**2)
    near_zero = (move / SMOOTHING) ** (power - 1) if 2 < power < 3 else 0.0
    return move * (power - 1) / (4 * SMOOTHING) + smooth + near_zero


def differences(function, at):
    """Central differences of a function of one array."""
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        shifted = at.copy()
        shifted[index] = at[index] + STEP
        high = function(shifted)
        shifted[index] = at[index] - STEP
        gradient[index] = (high - function(shifted)) / (2 * STEP)
    return gradient


# Rounding of the loss (a few ulp of at most about 20) over 2 h; curvature of log-sum-exp: h^2 |grad|^3.
ROUNDING = 20 * 2e-16 * 8 / STEP + STEP**2 * 20**3


@pytest.mark.parametrize("power", POWERS)
def test_weight_gradient_against_central_differences(power, rng):
    net, X, y, counts = make(rng, power)

    def loss(weights):
        return TwoLayerNetwork(weights, power=power, smoothing=SMOOTHING).loss(X, y, counts)

    found = net.weight_gradient(X, y, counts)
    # z of each of the patches moves by h |x_c|, and the error enters times count |x_c| |e|, |e| <= 1.
    largest = np.abs(X).max()
    tolerance = counts.sum(axis=1).max() * largest * slope_error(power, STEP * largest) + ROUNDING
    assert tolerance < 1e-3 * np.abs(found).max()
    np.testing.assert_allclose(found, differences(loss, net.weights), rtol=0, atol=tolerance)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("form", ["loss", "margin"])
def test_input_gradient_against_central_differences(power, form, rng):
    net, X, y, _ = make(rng, power)

    def objective(inputs):
        scores = net.scores(inputs)
        if form == "loss":
            return float(cross_entropy(scores, y).sum())
        return float(
            sum(reference.soft_margin(row, label) for row, label in zip(scores.tolist(), y, strict=True))
        )

    cotangent = {"loss": loss_cotangent, "margin": margin_cotangent}[form](net.scores(X), y)
    found = net.input_gradient(X, cotangent)
    # Each of the k m neurons moves by h |w_c|, and enters times |w_c| |e|; the |e| sum to at most 2.
    largest = np.abs(net.weights).max()
    tolerance = 2 * net.weights.shape[1] * largest * slope_error(power, STEP * largest) + 4 * ROUNDING
    assert tolerance < 1e-3 * np.abs(found).max()
    np.testing.assert_allclose(found, differences(objective, X), rtol=0, atol=tolerance)


@pytest.mark.parametrize("power", POWERS)
def test_scores_and_gradients_agree_with_the_slow_reference(power, rng):
    net, X, y, counts = make(rng, power)
    arguments = (net.weights, X, list(y), power, SMOOTHING, counts)
    np.testing.assert_allclose(
        net.weight_gradient(X, y, counts), reference.weight_gradient(*arguments), rtol=1e-11, atol=1e-14
    )
    np.testing.assert_allclose(net.loss(X, y, counts), reference.mean_loss(*arguments), rtol=1e-13)
    for s in range(len(X)):
        values = reference.scores(net.weights, X[s], power, SMOOTHING, counts[s])
        np.testing.assert_allclose(net.scores(X, counts)[s], values, rtol=1e-13)
    cotangent = rng.standard_normal((len(X), 3))
    slow = [
        reference.input_gradient(net.weights, X[s], cotangent[s], power, SMOOTHING) for s in range(len(X))
    ]
    np.testing.assert_allclose(net.input_gradient(X, cotangent), slow, rtol=1e-12, atol=1e-14)


def test_margin_gradient_has_the_direction_of_the_loss_gradient_and_does_not_underflow(rng):
    net, X, y, _ = make(rng, 3.0)
    scores = net.scores(X)
    loss, margin = (net.input_gradient(X, form(scores, y)) for form in (loss_cotangent, margin_cotangent))
    wrong = [reference.error_probability(row, label) for row, label in zip(scores.tolist(), y, strict=True)]
    np.testing.assert_allclose(loss, margin * np.array(wrong)[:, None, None], rtol=1e-12, atol=1e-15)
    sure = TwoLayerNetwork(1e5 * net.weights, power=3.0, smoothing=SMOOTHING)
    own = np.argmax(sure.scores(X), axis=1)
    assert np.all(sure.input_gradient(X, loss_cotangent(sure.scores(X), own)) == 0.0)
    assert np.abs(sure.input_gradient(X, margin_cotangent(sure.scores(X), own))).max() > 1.0


def test_blocks_of_samples_do_not_change_the_result(rng, monkeypatch):
    net, X, y, counts = make(rng, 3.0)
    whole = net.scores(X, counts), net.weight_gradient(X, y, counts), net.input_gradient(X, np.ones((4, 3)))
    monkeypatch.setattr("featsim.models.two_layer._BLOCK_ENTRIES", 1)
    cut = net.scores(X, counts), net.weight_gradient(X, y, counts), net.input_gradient(X, np.ones((4, 3)))
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_initial_weights_have_the_asked_for_size_and_shape(rng):
    weights = TwoLayerSpec(width=40, init_std=0.02).initial_weights(5, 50, rng)
    assert weights.shape == (5, 40, 50)
    # 10000 draws: the standard error of the standard deviation is 0.02 / sqrt(20000).
    assert abs(weights.std() - 0.02) < 4 * 0.02 / np.sqrt(20000)
    assert np.all(TwoLayerSpec(init_std=0.0).initial_weights(2, 3, rng) == 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be >= 1"),
        ({"width": 2.5}, "width must be an integer"),
        ({"power": 0.9}, "power must be >= 1"),
        ({"power": float("nan")}, "power must be a number, not nan"),
        ({"smoothing": 0.0}, "smoothing must be > 0"),
        ({"smoothing": float("inf")}, "smoothing must be finite"),
        ({"init_std": -0.1}, "init_std must be >= 0"),
    ],
)
def test_impossible_shapes_are_refused(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        TwoLayerSpec(**change)


def test_weights_and_inputs_are_checked(rng):
    with pytest.raises(ValueError, match=r"weights must have shape \(k, m, d\), got \(2, 3\)"):
        TwoLayerNetwork(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"weights must be finite, got nan at index \(0, 1, 0\)"):
        TwoLayerNetwork([[[1.0], [np.nan]]])
    with pytest.raises(ValueError, match="like the network's filters"):
        TwoLayerNetwork(np.zeros((2, 1, 4))).scores(np.zeros((3, 2, 5)))
    with pytest.raises(ValueError, match="power must be >= 1"):
        smoothed_relu(np.zeros(2), 0.5, 1.0)
    with pytest.raises(ValueError, match="smoothing must be > 0"):
        smoothed_relu_slope(np.zeros(2), 2.0, -1.0)
