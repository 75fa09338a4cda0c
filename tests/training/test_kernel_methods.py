"""Baselines: ridge and descent in the kernel's space, dictionary growth, linear scores."""

import numpy as np
import pytest

from featsim.attacks import ArcAttack, exact_linear, pgd, run_attack
from featsim.data import CircleSpec, SphereSliceSpec, point_data
from featsim.evaluation import robust_interval, strongest_attack
from featsim.models import Activation, DeepTangentKernel, GateKernel, Loss, TangentKernel
from featsim.threats import Threat
from featsim.training import (
    kernel_adversarial,
    kernel_descent,
    kernel_recursion,
    kernel_ridge,
    linear_descent,
)
from featsim.training.inner_maximiser import make_adversary

KERNEL = TangentKernel()


@pytest.fixture
def circle(rng):
    return CircleSpec().sample(4, rng)


@pytest.fixture
def points(rng):
    return SphereSliceSpec(dim=8, separation=0.5).sample(12, rng)


def test_ridge_interpolates_and_solves_its_normal_equation(points):
    np.testing.assert_allclose(
        kernel_ridge(KERNEL, points, 0.0).scores(points.X)[:, 0], points.signs, atol=1e-8
    )
    machine = kernel_ridge(KERNEL, points, 0.3)
    residual = machine.scores(points.X)[:, 0] + 0.3 * machine.coefficients - points.signs
    assert np.abs(residual).max() < 1e-12


def test_descent_on_the_square_loss_ends_at_the_ridge_fit(points):
    n, ridge = points.n_samples, 0.05
    found = kernel_descent(KERNEL, points, loss=Loss(name="square"), step_size=0.5, n_steps=4000, ridge=ridge)
    expected = kernel_ridge(KERNEL, points, n * ridge)
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-8)


def test_dictionary_growth_is_the_recursion_on_nets(circle):
    attack = ArcAttack(half=0.3, n_points=7)
    settings = {"loss": Loss(), "step_size": 0.2, "n_steps": 30}
    grown = kernel_adversarial(KERNEL, circle, attack, **settings)
    fixed, course = kernel_recursion(KERNEL, circle, attack, **settings)
    np.testing.assert_allclose(grown.scores(circle.X), fixed.scores(circle.X), atol=1e-12)
    assert len(fixed.points) == 28 and course.attacked_loss[-1] < 0.5
    np.testing.assert_allclose(course.scores[-1, :, 3], fixed.scores(circle.X)[:, 0], atol=1e-12)


@pytest.mark.parametrize("name", ["relu", "quadratic-relu"])
def test_kernel_machines_are_attacked_like_any_model(points, name):
    machine = kernel_ridge(TangentKernel(activation=Activation(name=name)), points)
    threat = Threat(radius=0.3, scope="input", subspace="slice")
    result = run_attack(pgd(threat, n_steps=15), machine, points)
    assert result.clean_accuracy == 1.0 and np.all(result.margin < result.clean_margin)


def test_adversarial_training_with_the_kernel_helps(points):
    threat = Threat(radius=0.2, scope="input", subspace="slice")
    attack = pgd(threat, n_steps=8, objective="loss")
    plain = kernel_ridge(KERNEL, points)
    robust = kernel_adversarial(KERNEL, points, attack, loss=Loss(), step_size=0.9, n_steps=60)
    judge = make_adversary(pgd(threat, n_steps=20), points, Loss())
    assert judge.worst(robust)[0] < 0.8 * judge.worst(plain)[0]


@pytest.mark.parametrize(("norm", "subspace"), [("l2", None), ("linf", None), ("l2", "slice")])
def test_linear_training_descends_the_exact_robust_loss(points, norm, subspace):
    threat = Threat(radius=0.05, norm=norm, scope="input", subspace=subspace)
    loss = Loss(name="logistic")
    values = []
    for n_steps in (1, 30, 600):
        model = linear_descent(points, loss=loss, step_size=0.5, n_steps=n_steps, threat=threat)
        margin = exact_linear(model, (points.X, points.y), threat).margin
        values.append(np.logaddexp(0, -margin).mean())
    assert values[0] > values[1] > values[2]


def test_linear_training_moves_inputs_by_the_dual_step(points):
    """One step from w = (1, 2, ...): x - y delta w/|w|, x - y delta sign(w)."""
    threat, seen = Threat(radius=0.2, scope="input"), []

    class Spy(Loss):
        def slope(self, scores, targets):
            seen.append(scores)
            return super().slope(scores, targets)

    loss = Spy(name="logistic")
    first = linear_descent(points, loss=loss, step_size=1.0, n_steps=1).weights[0]
    for norm, dual in (("l2", np.linalg.norm(first)), ("linf", np.abs(first).sum())):
        linear_descent(points, loss=loss, step_size=1.0, n_steps=2, threat=threat.replace(norm=norm))
        np.testing.assert_allclose(seen[-1], points.X @ first - points.signs * 0.2 * dual, rtol=1e-10)


@pytest.mark.parametrize("norm", ["l2", "linf", "slice"])
def test_every_baseline_is_attacked_through_the_one_interface(points, norm):
    points = points.select([0, 1, 2, 3])
    threat = Threat(
        radius=0.15, scope="input", **({"subspace": "slice"} if norm == "slice" else {"norm": norm})
    )
    adversary = pgd(threat, n_steps=4, objective="loss")
    logistic = Loss(name="logistic")
    models = [
        kernel_ridge(TangentKernel(activation=Activation(name="relu"), layers="both"), points),
        kernel_ridge(DeepTangentKernel(depth=3), points),
        kernel_ridge(GateKernel(bias_std=0.5, offset=0.3), points),
        kernel_descent(KERNEL, points, loss=logistic, step_size=1.0, n_steps=100),
        kernel_adversarial(KERNEL, points, adversary, loss=Loss(), step_size=0.9, n_steps=8),
        linear_descent(points, loss=logistic, step_size=1.0, n_steps=50, threat=threat),
    ]
    for model in models:
        evaluation = robust_interval(model, points, threat)
        found, (result,) = evaluation.robust_accuracy(), evaluation.attacks
        assert result.attack == strongest_attack(threat, model, points)
        assert found.certified <= found.attacked == result.robust_accuracy <= result.clean_accuracy
        assert np.all(result.margin <= result.clean_margin)
        assert threat.bind(points).contains(result.perturbation).all()
    # Quadrature is slow: few steps.
    smooth = kernel_ridge(TangentKernel(activation=Activation(name="softplus"), n_nodes=8), points)
    result = run_attack(pgd(threat, n_steps=3), smooth, points)
    assert np.all(result.margin < result.clean_margin)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda d: linear_descent(d, loss=Loss(), step_size=0.1, n_steps=1, threat=Threat(radius=1.0)),
            "must be a ball",
        ),
        (lambda d: kernel_ridge(KERNEL, d, -1.0), "ridge must be >= 0"),
        (lambda d: kernel_descent(KERNEL, d, loss=Loss(), step_size=0.1, n_steps=0), "n_steps must be >= 1"),
        (
            lambda d: kernel_adversarial(KERNEL, d, Loss(), loss=Loss(), step_size=0.1, n_steps=1),
            "attack in training",
        ),
        (lambda d: kernel_ridge(KERNEL, d.X), "data must be a PointData, got ndarray"),
        (
            lambda d: kernel_ridge(KERNEL, point_data(np.ones((2, 3)), [0, 1]), 0.0),
            "ridge must be > 0 where the kernel matrix is singular",
        ),
        (
            lambda d: kernel_descent(KERNEL, d, loss="huber", step_size=0.1, n_steps=1),
            "loss must be a Loss, got str",
        ),
        (
            lambda d: kernel_descent(KERNEL, d, loss=Loss(name="square"), step_size=100.0, n_steps=400),
            "coefficients overflow at step",
        ),
    ],
)
def test_bad_input_is_refused(circle, make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(circle)
