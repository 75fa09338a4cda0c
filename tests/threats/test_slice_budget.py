"""Caps of the sphere slice: projection, ties of direction, refusal of what a curved set has not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.attacks import pgd, run_attack
from featsim.data import CircleSpec, SphereSliceSpec, circle_points, on_slice, point_data
from featsim.evaluation import robust_interval, robustness
from featsim.models import LinearModel
from featsim.threats import Samples, SliceBudget, Threat


def cap(radius=0.3, n=6, dim=5, seed=0):
    data = SphereSliceSpec(dim=dim, separation=0.1).sample(n, np.random.default_rng(seed))
    return data, Threat(radius=radius, scope="input", subspace="slice").bind(data)


@given(st.integers(0, 1000), st.floats(0.0, 1.6), st.floats(0.0, 5.0))
def test_projection_stays_in_the_cap_and_is_idempotent(seed, radius, size):
    data, budget = cap(radius, seed=seed % 7)
    delta = size * np.random.default_rng(seed).standard_normal(data.X.shape)
    once = budget.project(delta)
    assert budget.contains(once).all()
    np.testing.assert_allclose(budget.project(once), once, atol=1e-12)


def test_a_cap_beyond_the_slice_is_refused():
    diameter = 2.0 * np.sqrt(0.75)  # the slice has constant 1/2
    data, whole = cap(diameter)
    assert np.allclose(whole.half_angle, np.pi)
    model = LinearModel(np.ones((1, data.dim)))
    with pytest.raises(ValueError, match=r"radius must be <= 1\.73205, the diameter of the slice, got 2"):
        robustness(model, data, Threat(radius=2.0, scope="input", subspace="slice"))


def test_projection_is_the_nearest_point_of_the_cap(rng):
    data, budget = cap()
    delta = 0.8 * rng.standard_normal(data.X.shape)
    found = budget.project(delta)
    away = np.linalg.norm((found - delta)[:, :-1], axis=1)
    for _ in range(2000):
        other = budget.random(data.X.shape, rng)
        assert budget.contains(other).all()
        assert np.all(np.linalg.norm((other - delta)[:, :-1], axis=1) >= away - 1e-12)


def test_far_points_land_on_the_rim_and_near_ones_on_the_sphere(rng):
    data, budget = cap(0.3)
    far = budget.project(10.0 * rng.standard_normal(data.X.shape))
    np.testing.assert_allclose(budget.norm(far), 0.3, rtol=1e-12)
    near = budget.project(np.concatenate([1.001 * data.X[:, :-1], data.X[:, -1:]], axis=1) - data.X)
    np.testing.assert_allclose(near, 0.0, atol=1e-12)


def test_chord_and_angle_agree():
    chord = 2 * np.sqrt(0.75) * np.sin(0.15)
    data = CircleSpec(jitter=0.0).sample(4, np.random.default_rng(0))
    budget = Threat(radius=chord, scope="input", subspace="slice").bind(data)
    np.testing.assert_allclose(budget.half_angle, 0.3, rtol=1e-14)
    turned = circle_points(np.arctan2(data.X[:, 1], data.X[:, 0]) + 0.3) - data.X
    np.testing.assert_allclose(budget.project(3.0 * turned), turned, atol=1e-13)


def test_gradients_lose_their_last_coordinate_and_zero_has_no_direction():
    data, budget = cap()
    gradient = np.zeros(data.X.shape)
    gradient[:, -1] = 5.0
    assert not budget.restrict(gradient).any() and not budget.steepest(gradient).any()
    gradient[:, 0] = 1e-200
    np.testing.assert_allclose(np.linalg.norm(budget.steepest(gradient), axis=1), 1.0, rtol=1e-14)


def test_radius_zero_and_antipodes_do_not_move(rng):
    data, budget = cap(0.0)
    np.testing.assert_allclose(budget.project(rng.standard_normal(data.X.shape)), 0.0, atol=1e-15)
    data, budget = cap(0.3)
    np.testing.assert_array_equal(budget.project(-2.0 * data.X), 0.0)


@given(st.integers(0, 1000), st.floats(0.0, 1.6))
def test_extreme_point_beats_every_other_and_attains_the_support(seed, radius):
    rng = np.random.default_rng(seed)
    data, budget = cap(radius, seed=seed % 7)
    gradient = rng.standard_normal(data.X.shape)
    gradient[0, :-1] = data.X[0, :-1]  # nothing to gain
    gradient[1, :-1] = -data.X[1, :-1]  # no direction is nearest
    found = budget.extreme(gradient)
    assert budget.contains(found).all()
    gain = np.sum(found * gradient, axis=1)
    np.testing.assert_allclose(gain, budget.support(gradient), atol=1e-12)
    assert np.all(gain >= -1e-15) and gain[0] == pytest.approx(0.0, abs=1e-15)
    for _ in range(50):
        other = budget.random(data.X.shape, rng)
        assert np.all(np.sum(other * gradient, axis=1) <= gain + 1e-12)


@pytest.mark.parametrize("radius", [0.1, 0.6])
def test_linear_scores_on_caps_are_solved_and_certified_exactly(radius):
    """y f falls to s |w~| cos(min(angle + psi, pi)) + y c w_d."""
    data, budget = cap(radius, n=8)
    model = LinearModel(np.random.default_rng(1).standard_normal((1, 5)))
    w, s = model.weights[0, :-1], np.sqrt(0.75)
    toward = data.signs * (data.X[:, :-1] @ w) / (s * np.linalg.norm(w))
    turned = np.cos(np.minimum(np.arccos(toward) + budget.half_angle, np.pi))
    expected = s * np.linalg.norm(w) * turned + data.signs * 0.5 * model.weights[0, -1]
    found = robust_interval(model, data, budget.threat)
    np.testing.assert_allclose(found.attacks[0].margin, expected, atol=1e-12)
    np.testing.assert_allclose(found.certificate.lower_margin, expected, atol=1e-12)
    assert np.all(found.certificate.lower_margin <= found.attacks[0].margin)
    climbed = run_attack(pgd(budget.threat, n_steps=60), model, data)
    assert np.all(climbed.margin >= found.attacks[0].margin - 1e-12)
    # Steps of fixed length 2.5 radius / 60 end within one of them of the best point.
    np.testing.assert_allclose(climbed.margin, found.attacks[0].margin, atol=np.linalg.norm(w) * radius / 24)


def test_two_points_are_all_of_a_slice_in_two_dimensions(rng):
    data = point_data(on_slice([[1.0], [2.0], [4.0]]), [0, 0, 1], constant=0.5)
    budget = Threat(radius=0.3, scope="input", subspace="slice").bind(data)
    for delta in (budget.random(data.X.shape, rng), budget.extreme(rng.standard_normal(data.X.shape))):
        np.testing.assert_array_equal(delta, 0.0)


def test_pairs_of_arrays_are_bound_too():
    data, budget = cap()
    pair = Samples(X=data.X, y=data.y).bind(budget.threat)
    assert isinstance(pair, SliceBudget)
    np.testing.assert_array_equal(pair.select([1, 2]).points, data.X[[1, 2]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Threat(radius=0.1, subspace="slice"), "scope must be 'input' with subspace 'slice'"),
        (lambda: Threat(radius=0.1, scope="input", subspace="slice").bind(), "data must be given"),
        (lambda: cap()[1].dual_norm(np.ones((6, 5))), "has no dual norm"),
        (lambda: cap()[1].reach(np.ones((6, 5))), "has no dual norm"),
        (lambda: cap()[1].project(np.ones((3, 5))), r"arrays must have the shape of the inputs, \(6, 5\)"),
        (
            lambda: SliceBudget.around(
                Threat(radius=0.1, scope="input", subspace="slice"), point_data([[0, 0, 1.0]], [1]).X
            ),
            "X must not lie on the axis",
        ),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
