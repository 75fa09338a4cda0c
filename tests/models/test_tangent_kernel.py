"""Tangent kernels: Monte Carlo within standard errors, finite differences, special cases, blocks."""

import tracemalloc

import numpy as np
import pytest

from featsim.attacks import pgd, run_attack
from featsim.data import SphereSliceSpec
from featsim.models import (
    Activation,
    DeepNtkSpec,
    DeepTangentKernel,
    EmpiricalKernel,
    FrozenGateSpec,
    GateKernel,
    KernelMachine,
    NtkNetwork,
    TangentKernel,
    TangentNetwork,
    blocks,
)
from featsim.threats import Threat
from featsim.training import kernel_ridge

CLOSED = [
    TangentKernel(activation=Activation(name=n), layers=s)
    for n in ("relu", "quadratic-relu")
    for s in ("first", "both")
]
SMOOTH = [
    TangentKernel(activation=Activation(name=n), layers=s)
    for n in ("softplus", "smoothed-relu")
    for s in ("first", "both")
]
DEEP = [DeepTangentKernel(depth=depth) for depth in (1, 2, 3)]
GATES = [GateKernel(weight_std=0.8, bias_std=s, offset=b) for s in (0.0, 0.5) for b in (0.0, 0.4, -0.7)]


@pytest.fixture
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 3))


def within_errors(samples, expected, n_errors=4.5):
    """Whether means over the first axis are within standard errors of what is expected, entry by entry."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return bool(np.all(np.abs(samples.mean(axis=0) - expected) <= n_errors * error))


@pytest.mark.parametrize("kernel", CLOSED + SMOOTH, ids=lambda k: f"{k.activation.name}-{k.layers}")
def test_two_layer_kernels_against_monte_carlo(rng, inputs, kernel):
    X, Z = inputs
    draws, act = rng.standard_normal((200, 500, 3)), kernel.activation
    left, right = draws @ X.T, draws @ Z.T
    samples = (X @ Z.T) * np.einsum("bmi,bmj->bij", act.slope(left), act.slope(right)) / 500
    if kernel.layers == "both":
        samples = samples + np.einsum("bmi,bmj->bij", act.value(left), act.value(right)) / 500
    assert within_errors(samples, kernel.matrix(X, Z))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_deep_kernel_against_random_networks(inputs, depth):
    X, Z = inputs
    spec, samples = DeepNtkSpec(width=100, depth=depth), []
    for seed in range(120):
        start = spec.start(3, np.random.default_rng(seed))
        samples.append(spec.build(start["weights"], start).kernel(X, Z))
    # A finite width's bias, of order 1/m, is below the standard error of these draws, 1 to 2 %.
    assert within_errors(np.array(samples), DeepTangentKernel(depth=depth).matrix(X, Z))


@pytest.mark.parametrize("kernel", GATES, ids=lambda k: f"{k.bias_std}-{k.offset}")
def test_gate_kernel_against_monte_carlo(rng, inputs, kernel):
    X, Z = inputs
    w, beta = 0.8 * rng.standard_normal((200, 500, 3)), kernel.bias_std * rng.standard_normal((200, 500, 1))
    left, right = ((w @ side.T + beta + kernel.offset >= 0.0).astype(float) for side in (X, Z))
    samples = (X @ Z.T) * np.einsum("bmi,bmj->bij", left, right) / 500
    assert within_errors(samples, kernel.matrix(X, Z))


def test_gate_kernel_is_that_of_frozen_gates(rng, inputs):
    """Gates 1[<w, x> + b_i >= 0] of the tangent model with b_i at the quantiles of a normal law."""
    (X, Z), spec = inputs, FrozenGateSpec(width=500, gates="hard", bias=0.6, gate_std=0.8)
    samples = []
    for _ in range(200):
        w = spec.initial_weights(3, rng)[1]
        left, right = ((side @ w.T + spec.shift >= 0.0).astype(float) for side in (X, Z))
        samples.append((X @ Z.T) * (left @ right.T) / spec.width)
    assert within_errors(np.array(samples), GateKernel(weight_std=0.8, bias_std=0.6).matrix(X, Z))


@pytest.mark.parametrize("kernel", CLOSED + DEEP + GATES, ids=str)
def test_input_gradients_in_closed_form(rng, inputs, kernel):
    assert_gradient(rng, inputs, kernel, 2e-7)


@pytest.mark.parametrize("name", ["quadratic-relu", "relu", "softplus", "smoothed-relu"])
@pytest.mark.parametrize("form", ["network", "tangent", "deep-1", "deep-2", "deep-3"])
def test_input_gradients_of_empirical_kernels(rng, inputs, form, name):
    activation, weights = Activation(name=name), rng.standard_normal((1, 8, 3))
    if form.startswith("deep"):
        spec = DeepNtkSpec(width=7, depth=int(form[-1]), activation=activation)
        start = spec.start(3, rng)
        network = spec.build(start["weights"], start)
    elif form == "tangent":
        network = TangentNetwork(weights + 0.1, weights, activation)
    else:
        network = NtkNetwork(weights, activation)
    assert_gradient(rng, inputs, EmpiricalKernel(network), 2e-7)


def test_machines_of_an_empirical_kernel_are_attacked_like_any_model(rng, monkeypatch):
    data = SphereSliceSpec(dim=5, separation=0.5).sample(6, rng)
    spec = DeepNtkSpec(width=40, depth=2)
    start = spec.start(5, rng)
    for network in (NtkNetwork(rng.standard_normal((1, 60, 5))), spec.build(start["weights"], start)):
        machine = kernel_ridge(EmpiricalKernel(network), data)
        threat = Threat(radius=0.2, scope="input", subspace="slice")
        result = run_attack(pgd(threat, n_steps=10), machine, data)
        assert result.clean_accuracy == 1.0 and np.all(result.margin < result.clean_margin)
        whole = machine.input_gradient(data.X, np.ones((6, 1)))
        monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
        np.testing.assert_allclose(machine.input_gradient(data.X, np.ones((6, 1))), whole, rtol=1e-9)
        monkeypatch.undo()


@pytest.mark.parametrize("kernel", SMOOTH, ids=lambda k: f"{k.activation.name}-{k.layers}")
def test_input_gradients_by_quadrature(rng, inputs, kernel):
    # Central differences of a quadrature amplify its own error, some 1e-12, by 1/h.
    assert_gradient(rng, inputs, kernel, 2e-7, h=1e-4)


def assert_gradient(rng, inputs, kernel, tolerance, h=1e-6):
    X, Z = inputs
    beta = rng.standard_normal(len(Z))
    numeric = np.zeros_like(X)
    for k in range(X.shape[1]):
        step = h * np.eye(X.shape[1])[k]
        numeric[:, k] = (kernel.matrix(X + step, Z) - kernel.matrix(X - step, Z)) @ beta / (2 * h)
    np.testing.assert_allclose(kernel.input_gradient(X, Z, beta), numeric, atol=tolerance, rtol=tolerance)


def test_diagonal_on_the_unit_sphere(rng):
    X = rng.standard_normal((5, 4))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    for name, value in (("relu", 0.5), ("quadratic-relu", 2.0)):
        gram = TangentKernel(activation=Activation(name=name)).matrix(X, X)
        np.testing.assert_allclose(np.diag(gram), value, rtol=1e-14)
        np.testing.assert_allclose(gram, gram.T, rtol=1e-13)


def test_nearly_parallel_inputs_keep_their_digits():
    X = np.array([[1.0, 0.0]])
    kernel = TangentKernel(activation=Activation(name="relu"))
    for angle in (1e-3, 1e-6, 1e-10):
        Z = np.array([[np.cos(angle), np.sin(angle)]])
        exact = np.cos(angle) * (np.pi - angle) / (2 * np.pi)
        np.testing.assert_allclose(kernel.matrix(X, Z), exact, rtol=1e-15)
        opposite = -np.cos(angle) * angle / (2 * np.pi)
        np.testing.assert_allclose(kernel.matrix(X, -Z), opposite, rtol=1e-12, atol=1e-16)


def test_depth_one_is_the_two_layer_kernel_with_both_factors(inputs):
    X, Z = inputs
    relu = TangentKernel(activation=Activation(name="relu"))
    np.testing.assert_allclose(DeepTangentKernel(depth=1).matrix(X, Z), relu.matrix(X, Z), rtol=1e-13)


def test_gate_kernel_without_biases_is_the_relu_kernel(inputs):
    X, Z = inputs
    relu = TangentKernel(activation=Activation(name="relu")).matrix(X, Z)
    np.testing.assert_allclose(GateKernel().matrix(X, Z), relu, rtol=1e-13)
    tiny = GateKernel(offset=1e-9)  # Plackett's integral in the place of the arc-cosine
    np.testing.assert_allclose(tiny.matrix(X, Z), relu, atol=1e-8)


def test_quadrature_agrees_with_the_closed_form_where_both_exist(inputs):
    X, Z = inputs
    smooth = TangentKernel(activation=Activation(name="smoothed-relu", power=1.0), layers="both")
    closed = TangentKernel(activation=Activation(name="relu"), layers="both")
    np.testing.assert_allclose(smooth.matrix(X, Z), closed.matrix(X, Z), atol=1e-6)


@pytest.mark.parametrize("kernel", SMOOTH, ids=lambda k: f"{k.activation.name}-{k.layers}")
def test_quadrature_has_converged_at_the_default(inputs, kernel):
    X, Z = inputs
    finer = kernel.replace(n_nodes=40).matrix(X, Z)
    np.testing.assert_allclose(kernel.matrix(X, Z), finer, rtol=1e-9, atol=1e-10)


def test_quadrature_agrees_with_gauss_hermite_where_that_converges(rng):
    """E sigma'(u) sigma'(v) of a slow softplus, entire enough for 64 x 64 Gauss-Hermite nodes."""
    act, (X, Z) = Activation(name="softplus", sharpness=1.0), rng.standard_normal((2, 2))
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    w = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    joint = np.outer(weights, weights).ravel() / (2 * np.pi)
    slopes = joint @ (act.slope(w @ X) * act.slope(w @ Z))
    values = joint @ (act.value(w @ X) * act.value(w @ Z))
    for layers, expected in (("first", X @ Z * slopes), ("both", X @ Z * slopes + values)):
        found = TangentKernel(activation=act, layers=layers).matrix(X[None], Z[None])
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("kernel", [CLOSED[1], SMOOTH[0], DEEP[1], GATES[1]], ids=str)
def test_blocks_do_not_change_the_result(rng, monkeypatch, kernel):
    X, Z, beta = rng.standard_normal((9, 3)), rng.standard_normal((4, 3)), rng.standard_normal(4)
    whole, gradient = kernel.matrix(X, Z), kernel.input_gradient(X, Z, beta)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    np.testing.assert_allclose(kernel.matrix(X, Z), whole, rtol=1e-13)
    np.testing.assert_allclose(kernel.input_gradient(X, Z, beta), gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("deep", [False, True])
def test_blocks_do_not_change_empirical_kernels(rng, monkeypatch, deep):
    X, Z = rng.standard_normal((7, 3)), rng.standard_normal((4, 3))
    if deep:
        start = DeepNtkSpec(width=9, depth=2).start(3, rng)
        network = DeepNtkSpec(width=9, depth=2).build(start["weights"], start)
    else:
        network = NtkNetwork(rng.standard_normal((1, 30, 3)))
    whole = network.kernel(X), network.kernel(X, Z)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2000)  # some rows, or neurons, at a time
    np.testing.assert_allclose(network.kernel(X), whole[0], rtol=1e-12)
    np.testing.assert_allclose(network.kernel(X, Z), whole[1], rtol=1e-12)


@pytest.mark.parametrize("name", ["closed form", "quadrature", "network", "deep network"])
def test_gram_matrices_take_bounded_memory(rng, monkeypatch, name):
    """One block would take 5 to 33 MB with the result; with 1 MB allowed it takes 1.3 to 1.7."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 20)
    X = rng.standard_normal((300, 3))
    start = DeepNtkSpec(width=300, depth=2).start(3, rng)
    make = {
        "closed form": lambda: TangentKernel().matrix(X, X),
        "quadrature": lambda: TangentKernel(activation=Activation(name="softplus"), n_nodes=8).matrix(
            X[:60], X[:60]
        ),
        "network": lambda: NtkNetwork(filters).kernel(X),
        "deep network": lambda: DeepNtkSpec(width=300, depth=2).build(start["weights"], start).kernel(X),
    }[name]
    filters = rng.standard_normal((1, 10_000, 3))
    tracemalloc.start()
    make()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 300 * 8 + (2 << 20)


def test_kernel_machine_is_a_model(rng, inputs):
    X, Z = inputs
    machine = KernelMachine(CLOSED[2], Z, rng.standard_normal(3))
    cotangent, h = rng.standard_normal((4, 1)), 1e-6
    numeric = np.stack(
        [
            ((machine.scores(X + h * e) - machine.scores(X - h * e)) * cotangent)[:, 0] / (2 * h)
            for e in np.eye(3)
        ],
        axis=1,
    )
    np.testing.assert_allclose(machine.input_gradient(X, cotangent), numeric, atol=1e-6)
    gram = CLOSED[2].matrix(Z, Z)
    assert machine.norm == pytest.approx(np.sqrt(machine.coefficients @ gram @ machine.coefficients))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TangentKernel(layers="last"), "layers must be one of"),
        (lambda: TangentKernel(activation="relu"), "activation must be an? Activation"),
        (lambda: GateKernel(weight_std=0.0), "weight_std must be > 0"),
        (lambda: DeepTangentKernel(depth=0), "depth must be >= 1"),
        (lambda: EmpiricalKernel(TangentKernel()), "network must be an NtkNetwork"),
        (lambda: TangentKernel().matrix(np.zeros((1, 2)), np.ones((1, 2))), "X must not hold the zero input"),
        (lambda: TangentKernel().matrix(np.ones((1, 2)), np.ones((1, 3))), r"Z must have shape \(n', 2\)"),
        (
            lambda: KernelMachine(CLOSED[0], np.ones((2, 2)), np.ones(3)),
            r"coefficients must have shape \(2,\)",
        ),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
