"""Networks of the convergence theory: gradients, exact zero at the start, agreement with slow loops."""

import numpy as np
import pytest
import reference_convergence as reference

from featsim.data import circle_points
from featsim.models import (
    Activation,
    BiasedReluNetwork,
    BiasedReluSpec,
    DeepNetwork,
    DeepNtkSpec,
    Loss,
    NtkNetwork,
    NtkSpec,
    TangentNetwork,
)

H = 1e-6
NAMES = ("quadratic-relu", "relu", "softplus", "smoothed-relu")


def networks(rng, width=6, dim=4):
    for name in NAMES:
        spec = NtkSpec(width=width, activation=Activation(name=name), paired=False)
        start = spec.initial_weights(dim, rng)
        moved = start + 0.2 * rng.standard_normal(start.shape)
        yield name, NtkNetwork(moved, spec.activation), lambda w, s=spec: NtkNetwork(w, s.activation)
        yield (
            f"{name} tangent",
            TangentNetwork(moved, start, spec.activation),
            lambda w, s=spec, w0=start: TangentNetwork(w, w0, s.activation),
        )
    for depth in (1, 2, 3):
        for name in ("relu", "softplus"):
            spec = DeepNtkSpec(width=width, depth=depth, activation=Activation(name=name))
            start = spec.start(dim, rng)
            yield (
                f"deep {depth} {name}",
                spec.build(start["weights"], start),
                lambda w, s=spec, a=start: s.build(w, a),
            )
    spec = BiasedReluSpec(width=width)
    start = spec.start(dim, rng)
    weights = start["weights"] + 0.1 * rng.standard_normal(start["weights"].shape)
    yield "biased", BiasedReluNetwork(weights, 0.3), lambda w: BiasedReluNetwork(w, 0.3)


def test_gradients_in_weights_and_input(rng):
    X, cotangent = rng.standard_normal((5, 4)), rng.standard_normal((5, 1))
    for name, network, build in networks(rng):
        weights = network.weights
        numeric = np.zeros_like(weights)
        for index in np.ndindex(weights.shape):
            step = np.zeros_like(weights)
            step[index] = H
            difference = build(weights + step).scores(X) - build(weights - step).scores(X)
            numeric[index] = float(np.sum(difference * cotangent)) / (2 * H)
        np.testing.assert_allclose(network.weight_gradient(X, cotangent), numeric, atol=2e-8, err_msg=name)
        numeric = np.zeros_like(X)
        for k in range(X.shape[1]):
            step = H * np.eye(4)[k]
            numeric[:, k] = ((network.scores(X + step) - network.scores(X - step)) * cotangent)[:, 0] / (
                2 * H
            )
        np.testing.assert_allclose(network.input_gradient(X, cotangent), numeric, atol=2e-8, err_msg=name)


def test_deep_directional_derivative_and_kernel_come_from_the_gradient(rng):
    spec = DeepNtkSpec(width=7, depth=3)
    start = spec.start(4, rng)
    network, X = spec.build(start["weights"], start), rng.standard_normal((3, 4))
    rows = np.array([network.weight_gradient(X[i : i + 1], np.ones((1, 1))).ravel() for i in range(3)])
    direction = rng.standard_normal(start["weights"].shape)
    np.testing.assert_allclose(network.directional(X, direction), rows @ direction.ravel(), rtol=1e-12)
    np.testing.assert_allclose(network.kernel(X), rows @ rows.T / 7, rtol=1e-12)
    np.testing.assert_allclose(network.kernel(X, X[:2]), network.kernel(X)[:, :2], rtol=1e-12)


def test_two_layer_kernel_comes_from_the_gradient(rng):
    for name, network, _ in networks(rng):
        if not isinstance(network, (NtkNetwork, TangentNetwork)):
            continue
        X = rng.standard_normal((3, 4))
        rows = np.array([network.weight_gradient(X[i : i + 1], np.ones((1, 1))).ravel() for i in range(3)])
        np.testing.assert_allclose(network.kernel(X), rows @ rows.T, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [2, 10, 64, 256])
def test_paired_start_is_exactly_zero(rng, name, width):
    spec = NtkSpec(width=width, activation=Activation(name=name))
    network, X = spec.network(spec.initial_weights(3, rng)), rng.standard_normal((84, 3))
    assert not network.scores(X).any()
    assert not network.input_gradient(X, np.ones((84, 1))).any()


def test_two_layer_scores_agree_with_slow_loops(rng):
    weights, X = rng.standard_normal((1, 6, 3)), circle_points(rng.uniform(0, 6, 4))
    slow = [reference.score(weights[0], x) for x in X]
    np.testing.assert_allclose(NtkNetwork(weights).scores(X)[:, 0], slow, rtol=1e-12)


def test_deep_scores_agree_with_slow_loops(rng):
    start = DeepNtkSpec(width=5, depth=2).start(3, rng)
    X = rng.standard_normal((4, 3))
    slow = [
        reference.deep_score(start["input_weights"], start["weights"], start["output_weights"], x) for x in X
    ]
    network = DeepNetwork(start["input_weights"], start["weights"], start["output_weights"])
    np.testing.assert_allclose(network.scores(X)[:, 0], slow, rtol=1e-12)


def test_tangent_model_touches_the_network_at_its_start(rng):
    spec = NtkSpec(width=8, activation=Activation(name="softplus"), paired=False)
    start, X = spec.initial_weights(3, rng), rng.standard_normal((6, 3))
    direction = rng.standard_normal(start.shape)
    gaps = []
    for size in (1e-2, 1e-3):
        moved = start + size * direction
        gap = NtkNetwork(moved, spec.activation).scores(X) - TangentNetwork(
            moved, start, spec.activation
        ).scores(X)
        gaps.append(float(np.abs(gap).max()))
    assert gaps[1] < 0.02 * gaps[0]


@pytest.mark.parametrize("name", ["huber", "logistic", "square"])
def test_loss_slopes(rng, name):
    loss, scores = Loss(name=name), rng.uniform(-3, 3, 50)
    targets = rng.choice([-1.0, 1.0], 50)
    numeric = (loss.value(scores + H, targets) - loss.value(scores - H, targets)) / (2 * H)
    np.testing.assert_allclose(loss.slope(scores, targets), numeric, atol=1e-6)
    assert name == "logistic" or not loss.value(targets, targets).any()


def test_losses_stay_finite_far_away():
    far = np.array([1e200, -1e200])
    for name in ("huber", "logistic"):
        loss = Loss(name=name)
        assert (
            np.isfinite(loss.value(far, np.ones(2))).all() and np.isfinite(loss.slope(far, np.ones(2))).all()
        )


@pytest.mark.parametrize("name", NAMES)
def test_activation_derivatives(rng, name):
    activation, z = Activation(name=name), rng.uniform(-2, 2, 60)
    z = z[(np.abs(z) > 1e-3) & (np.abs(z - 0.5) > 1e-3)]
    slope = (activation.value(z + H) - activation.value(z - H)) / (2 * H)
    np.testing.assert_allclose(activation.slope(z), slope, atol=1e-8)
    curvature = (activation.slope(z + H) - activation.slope(z - H)) / (2 * H)
    np.testing.assert_allclose(activation.curvature(z), curvature, atol=1e-8)
    if name != "softplus":
        assert activation.slope(np.zeros(1)) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NtkSpec(width=3), "width must be even"),
        (lambda: NtkSpec(width=4, loss="huber"), "loss must be a Loss"),
        (lambda: NtkSpec(width=4, tangent=True).network(np.ones((1, 4, 3))), "initial must be given"),
        (lambda: NtkSpec(width=4).network(np.ones((1, 2, 3))), r"weights must have shape \(1, 4, dim\)"),
        (lambda: NtkSpec(width=4).start(3, None), "rng must be given"),
        (lambda: NtkNetwork(np.ones((1, 4, 3))).scores(np.ones((2, 5))), r"X must have shape \(n, 3\)"),
        (lambda: NtkNetwork(np.ones((1, 3, 3))), "with even m"),
        (lambda: TangentNetwork(np.ones((1, 4, 3)), np.ones((1, 4, 2))), "initial must have the shape"),
        (lambda: DeepNetwork(np.ones((4, 3)), np.ones((1, 4, 5)), np.ones(4)), "must have shapes"),
        (lambda: DeepNtkSpec(depth=0), "depth must be >= 1"),
        (lambda: BiasedReluSpec(width=0), "width must be >= 1"),
        (lambda: Loss(name="hinge"), "name must be one of"),
        (lambda: Loss(width=0.0), "width must be > 0"),
        (lambda: Activation(name="tanh"), "name must be one of"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
