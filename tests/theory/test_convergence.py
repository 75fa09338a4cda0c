"""Predictions of the convergence theory: identities, limits, special cases, bad input."""

import numpy as np
import pytest
from scipy.optimize import brentq

from featsim.attacks import ArcAttack, arc_net
from featsim.data import CircleSpec
from featsim.models import (
    Activation,
    DeepNtkSpec,
    KernelMachine,
    Loss,
    NtkNetwork,
    NtkSpec,
    TangentKernel,
    TangentNetwork,
)
from featsim.theory.convergence import (
    alternating_residual,
    circle_spectrum,
    comparator_terms,
    dual_recursion,
    mirror_flow,
    mirror_margins,
    plant,
    plant_targets,
    regret_rate,
    regret_sides,
    robust_interpolant,
    shattering_gadget,
    tangent_gap_bound,
    theorem_width,
)

ARC = ArcAttack(half=0.3, n_points=7)


@pytest.fixture
def problem(rng):
    data = CircleSpec().sample(4, rng)
    net = arc_net(ARC, data.X, data.y).reshape(-1, 3)
    return data, net, TangentKernel().matrix(net, net)


def slow_recursion(gram, signs, loss, step_size, n_steps, radius):
    """The recursion of the tangent model, one coefficient and one net point at a time."""
    n = len(signs)
    size, beta, losses = len(gram) // n, np.zeros(len(gram)), []
    for _ in range(n_steps + 1):
        f = [float(np.dot(gram[j], beta)) for j in range(len(gram))]
        chosen = []
        for i in range(n):
            values = [float(loss.value(np.array(f[i * size + g]), signs[i])) for g in range(size)]
            top = max(values)
            chosen.append(i * size + next(g for g, v in enumerate(values) if v >= top - 1e-10))
        losses.append(
            sum(float(loss.value(np.array(f[j]), y)) for j, y in zip(chosen, signs, strict=True)) / n
        )
        for j, y in zip(chosen, signs, strict=True):
            beta[j] -= step_size / n * float(loss.slope(np.array(f[j]), y))
        norm = float(np.sqrt(beta @ gram @ beta))
        beta *= min(1.0, radius / norm)
    return np.array(losses)


@pytest.mark.parametrize("name", ["huber", "logistic", "square"])
@pytest.mark.parametrize("radius", [1e9, 0.8])
def test_dual_recursion_agrees_with_slow_loops(problem, name, radius):
    data, _, gram = problem
    loss = Loss(name=name)
    course = dual_recursion(gram, data.signs, loss=loss, step_size=0.2, n_steps=40, ball_radius=radius)
    slow = slow_recursion(gram, data.signs, loss, 0.2, 40, radius)
    np.testing.assert_allclose(course.attacked_loss, slow, rtol=1e-10)
    assert course.distance.max() <= radius * (1 + 1e-12)
    norm = np.sqrt(course.coefficients @ gram @ course.coefficients)
    assert course.distance[-1] == pytest.approx(norm, rel=1e-10)


def test_first_step_of_the_recursion_is_that_of_all_ties(problem):
    data, _, gram = problem
    course = dual_recursion(gram, data.signs, loss=Loss(), step_size=0.1, n_steps=1)
    np.testing.assert_array_equal(course.chosen[0], 0)
    assert course.attacked_loss[0] == 0.75


def test_mirror_flow_solves_its_equation_and_is_the_limit_of_small_steps():
    flow = mirror_flow(1.1, 0.2, np.array([0.0, 30.0, 200.0]))
    for t, u in zip((0.0, 30.0, 200.0), flow, strict=True):
        tau = 0.2 * 1.1 * t / 2
        assert u == pytest.approx(brentq(lambda v, s=tau: v + np.exp(v) - 1 - s, -1, 50), abs=1e-12)
    errors = [
        np.abs(mirror_margins(1.1, a, round(40 / a))[-1] - mirror_flow(1.1, a, np.array([round(40 / a)]))[0])
        for a in (0.2, 0.1)
    ]
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.05)


def test_planting_has_the_functions_values_in_the_tangent_model(rng):
    data = CircleSpec().sample(4, rng)
    points, beta = arc_net(ARC, data.X, data.y).reshape(-1, 3), rng.standard_normal(28)
    spec = NtkSpec(width=40)
    start = NtkNetwork(spec.initial_weights(3, rng))
    planted = plant(start, points, beta)
    linear = TangentNetwork(planted, start.weights).scores(points)[:, 0]
    np.testing.assert_allclose(linear, start.kernel(points) @ beta, rtol=1e-10, atol=1e-12)
    r = 25  # w_r = w0_r + a_r m^{-1/2} sum_j beta_j sigma'(<w0_r, z_j>) z_j, a_r = -1 in the second half
    slope = 2 * np.maximum(points @ start.weights[0, r], 0.0)
    np.testing.assert_allclose(
        planted[0, r], start.weights[0, r] - (beta * slope) @ points / np.sqrt(40), rtol=1e-12
    )


@pytest.mark.parametrize("deep", [False, True])
def test_planted_targets_are_fitted_by_the_tangent_model(rng, deep):
    points, targets = CircleSpec().sample(6, rng).X, rng.choice([-1.0, 1.0], 6)
    if deep:
        spec = DeepNtkSpec(width=30, depth=2)
        arrays = spec.start(3, rng)
        network, scale = spec.build(arrays["weights"], arrays), 30.0
    else:
        network, scale = NtkNetwork(NtkSpec(width=200).initial_weights(3, rng)), 1.0
    planted = plant_targets(network, network.kernel(points) * scale, points, targets, ridge=1e-12)
    if deep:
        fitted = network.scores(points)[:, 0] + network.directional(points, planted - network.weights)
    else:
        fitted = TangentNetwork(planted, network.weights).scores(points)[:, 0]
    np.testing.assert_allclose(fitted, targets, atol=1e-6)


def test_regret_sides_telescope_exactly_for_unprojected_steps(rng):
    data = CircleSpec().sample(4, rng)
    spec, loss, alpha = NtkSpec(width=16), Loss(), 0.3
    weights = [spec.initial_weights(3, rng)]
    for _ in range(12):
        network = NtkNetwork(weights[-1])
        slope = loss.slope(network.scores(data.X)[:, 0], data.signs)[:, None] / 4
        weights.append(weights[-1] - alpha * network.weight_gradient(data.X, slope))
    comparator = weights[0] + 0.1 * rng.standard_normal(weights[0].shape)
    points = np.repeat(data.X[None], 12, axis=0)
    terms = comparator_terms(NtkNetwork, np.array(weights[:-1]), points, data.signs, comparator, loss)
    left, right = regret_sides(terms, float(np.linalg.norm(comparator - weights[0])), alpha)
    # Without projection what is dropped is |W_T - W*|^2 / (2 alpha T), and nothing else.
    last = float(np.sum((weights[-1] - comparator) ** 2)) / (2 * alpha * 12)
    assert right[-1] - left[-1] == pytest.approx(last, rel=1e-9)


def test_interpolant_meets_its_tolerance_with_the_least_norm_of_ridge_fits(problem):
    data, net, gram = problem
    targets = np.repeat(data.signs, 7)
    found = robust_interpolant(gram, targets, 0.2)
    assert found.reached and found.error == pytest.approx(0.2, rel=1e-6)
    machine = KernelMachine(TangentKernel(), net, found.coefficients)
    assert np.abs(machine.scores(net)[:, 0] - targets).max() == pytest.approx(0.2, rel=1e-5)
    assert machine.norm == pytest.approx(found.norm, rel=1e-6)
    assert (
        robust_interpolant(gram, targets, 0.1).norm > found.norm > robust_interpolant(gram, targets, 0.5).norm
    )


def test_interpolant_says_when_the_kernel_cannot():
    impossible = robust_interpolant(np.ones((2, 2)), np.array([1.0, -1.0]), 0.3)
    assert not impossible.reached
    assert impossible.ridge == pytest.approx(1e-16)  # of the mean eigenvalue, 1


@pytest.mark.parametrize(("name", "missing"), [("relu", (3, 5, 7, 9)), ("quadratic-relu", (4, 6, 8, 10))])
def test_missing_harmonics(name, missing):
    kernel = TangentKernel(activation=Activation(name=name))
    assert np.abs(circle_spectrum(kernel, 0.0)[list(missing)]).max() < 1e-15
    assert circle_spectrum(kernel, 0.5)[: max(missing) + 1].min() > 1e-5
    n = 2 * missing[0]
    assert alternating_residual(kernel, n, 0.0) == pytest.approx(1.0, abs=1e-12)
    assert alternating_residual(kernel, n, 0.5) < 1e-10


def test_spectrum_sums_to_the_diagonal():
    spectrum = circle_spectrum(TangentKernel(), 0.5, 256)
    assert spectrum[0] + 2 * spectrum[1:-1].sum() + spectrum[-1] == pytest.approx(2.0, rel=1e-12)


def test_shattering_gadget(rng):
    for dim in (1, 2, 5, 9):
        gadget = shattering_gadget(rng.choice([-1, 1], size=(3, dim)), half_distance=0.7)
        assert abs(gadget.excess) < 1e-14
        assert gadget.separation == pytest.approx(0.7, rel=1e-12)
        assert gadget.points.shape == (6, dim) and gadget.probes.shape == (3, dim, dim)
        assert gadget.radius < 0.7


@pytest.mark.parametrize("name", ["quadratic-relu", "softplus", "smoothed-relu"])
@pytest.mark.parametrize("paired", [True, False])
def test_tangent_gap_is_bounded_by_the_curvature(rng, name, paired):
    """|f - f_lin| <= beta R^2/(2 sqrt(m)) for random moves and for moves along the gradient at one point."""
    spec = NtkSpec(width=64, activation=Activation(name=name), paired=paired)
    X = rng.standard_normal((40, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    start = spec.initial_weights(3, rng)
    moves = [rng.standard_normal(start.shape) for _ in range(10)]
    moves += [NtkNetwork(start, spec.activation).weight_gradient(x[None], np.ones((1, 1))) for x in X]
    one = np.zeros_like(start)  # all on the neuron and the point where the curvature is largest
    one[0, np.argmax(spec.activation.curvature(start[0] @ X[0]))] = X[0]
    worst = 0.0
    for move in (*moves, one, -one):
        moved = start + 2.0 * move / np.linalg.norm(move)
        linear = TangentNetwork(moved, start, spec.activation).scores(X)
        gap = np.abs(NtkNetwork(moved, spec.activation).scores(X) - linear).max()
        worst = max(worst, gap / tangent_gap_bound(spec.activation.largest_curvature, 2.0, 64))
    assert 0.05 < worst <= 1.0 + 1e-12


def test_quadratic_relu_attains_the_bound_on_the_gap(rng):
    """One open gate whose filter moves along x: the remainder is exactly |move|^2 / sqrt(m)."""
    start, x = np.zeros((1, 4, 3)), np.array([[1.0, 0.0, 0.0]])
    moved = start.copy()
    moved[0, 0] = 1.5 * x[0]
    gap = NtkNetwork(moved).scores(x) - TangentNetwork(moved, start).scores(x)
    assert float(gap[0, 0]) == pytest.approx(tangent_gap_bound(2.0, 1.5, 4), rel=1e-14)


@pytest.mark.parametrize(("name", "diagonal"), [("relu", 0.5), ("quadratic-relu", 2.0)])
def test_gradients_are_bounded_by_the_kernels_diagonal(rng, name, diagonal):
    """|grad L|_F <= sqrt(K(x, x)) Lip(l) as m grows; Huber has Lipschitz constant 1."""
    data = CircleSpec().sample(6, rng)
    spec = NtkSpec(width=20_000, activation=Activation(name=name), paired=False)
    network = spec.network(spec.initial_weights(3, rng))
    slope = Loss().slope(network.scores(data.X)[:, 0], data.signs)[:, None]
    alone = network.weight_gradient(data.X[:1], np.ones((1, 1)))
    # fluctuates by E sigma'^4/(E sigma'^2)^2 <= 6 over m: by 2 % of the square at three standard errors
    assert np.sum(alone**2) == pytest.approx(diagonal, rel=0.06)
    assert np.linalg.norm(network.weight_gradient(data.X, slope / 6)) <= 1.03 * np.sqrt(diagonal)


def test_kernels_on_the_sphere_are_the_series_behind_the_missing_harmonics():
    """rho/4 + rho arcsin(rho)/(2 pi), and rho^2 + (2/pi) rho (sqrt(1 - rho^2) + rho arcsin rho)."""
    rho = np.linspace(-0.999, 0.999, 41)
    X, Z = np.array([[1.0, 0.0]]), np.stack([rho, np.sqrt(1 - rho**2)], axis=1)
    root, arc = np.sqrt(1 - rho**2), np.arcsin(rho)
    relu = TangentKernel(activation=Activation(name="relu")).matrix(X, Z)[0]
    np.testing.assert_allclose(relu, rho / 4 + rho * arc / (2 * np.pi), rtol=1e-12, atol=1e-14)
    quadratic = TangentKernel().matrix(X, Z)[0]
    np.testing.assert_allclose(
        quadratic, rho**2 + 2 / np.pi * rho * (root + rho * arc), rtol=1e-11, atol=1e-13
    )


@pytest.mark.parametrize("name", ["relu", "quadratic-relu"])
def test_all_taylor_coefficients_are_positive_on_the_slice(name):
    """k(c^2 + s) as a function of s: no missing degree, so that the kernel is universal there.

    Coefficients by the FFT on a circle of radius 1/2 in the complex plane, inside |c^2 + s| < 1.
    """
    s = 0.5 * np.exp(2j * np.pi * np.arange(256) / 256)
    for c, missing in ((0.0, True), (0.5, False)):
        rho = c**2 + s
        root, arc = np.sqrt(1 - rho**2), np.arcsin(rho)
        k = rho / 4 + rho * arc / (2 * np.pi)
        if name == "quadratic-relu":
            k = rho**2 + 2 / np.pi * rho * (root + rho * arc)
        taylor = (np.fft.fft(k) / 256).real[:12]  # times radius^degree
        degrees = range(3, 12, 2) if name == "relu" else range(4, 12, 2)
        assert np.all(np.abs(taylor[list(degrees)]) < 1e-14) if missing else np.all(taylor[1:] > 1e-7)


def test_rates():
    assert tangent_gap_bound(2.0, 3.0, 81) == pytest.approx(1.0)
    np.testing.assert_allclose(regret_rate(2.0, 1.5, np.array([4.0, 16.0])), [1.5, 0.75])
    assert theorem_width(2.0, 0.1) == pytest.approx(5.12e9)
    assert theorem_width(2.0, 0.1, depth=2) == pytest.approx(5.12e9 * 2**16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: dual_recursion(np.eye(5), np.ones(2), loss=Loss(), step_size=0.1, n_steps=2),
            "n \\* G rows",
        ),
        (
            lambda: dual_recursion(np.eye(4), np.ones(2), loss=Loss(), step_size=0.0, n_steps=2),
            "step_size must be > 0",
        ),
        (
            lambda: dual_recursion(
                np.full((4, 4), np.nan), np.ones(2), loss=Loss(), step_size=0.1, n_steps=2
            ),
            "finite",
        ),
        (lambda: mirror_margins(-1.0, 0.1, 5), "rate must be > 0"),
        (lambda: mirror_flow(-1.0, 0.1, np.arange(3)), "rate must be > 0"),
        (lambda: mirror_flow(1.0, 0.1, np.array([0.0, -2.0])), "steps must be >= 0, got -2"),
        (lambda: regret_rate(-1.0, 1.0, np.ones(1)), "ball_radius must be > 0"),
        (lambda: regret_rate(1.0, 1.0, np.array([4.0, 0.0])), "n_steps must be > 0, got 0"),
        (lambda: plant(NtkNetwork(np.ones((1, 4, 3))), np.ones((2, 3)), np.ones(5)), "coefficients must"),
        (lambda: robust_interpolant(np.triu(np.ones((2, 2))), np.ones(2), 0.1), "gram must be symmetric"),
        (lambda: robust_interpolant(np.zeros((2, 2)), np.ones(2), 0.1), "eigenvalue of gram must be > 0"),
        (lambda: robust_interpolant(np.eye(2), np.ones(3), 0.1), r"gram must have shape \(3, 3\)"),
        (lambda: robust_interpolant(np.eye(2), np.ones(2), 0.0), "tolerance must be > 0"),
        (lambda: alternating_residual(TangentKernel(), 5, 0.5), "n_points must be even"),
        (lambda: shattering_gadget(np.zeros((2, 2))), "signs must hold -1 and 1"),
        (lambda: theorem_width(0.0, 0.1), "ball_radius must be > 0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
