"""Points of the convergence theory: circle, slice, separated sphere, user's own."""

import numpy as np
import pytest

from featsim.data import (
    CircleSpec,
    SeparatedSphereSpec,
    SphereSliceSpec,
    circle_points,
    on_slice,
    point_data,
)
from featsim.data.points import pairwise_distances
from featsim.specs import spec_from_dict


def test_circle_points_lie_on_the_slice_with_jittered_angles(rng):
    data = CircleSpec(jitter=0.2, constant=0.3).sample(8, rng)
    np.testing.assert_allclose(np.sum(data.X**2, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(data.X[:, 2], 0.3)
    angles = np.unwrap(np.arctan2(data.X[:, 1], data.X[:, 0]))
    assert np.all(np.abs(angles * 8 / (2 * np.pi) - np.arange(8)) <= 0.2 + 1e-12)
    assert data.signs.sum() == 0 and data.constant == 0.3 and (data.dim, data.n_samples) == (3, 8)


def test_angles_and_signs_can_be_given(rng):
    state = rng.bit_generator.state
    data = CircleSpec(angles=(0.9, -0.9), signs=(1, -1)).sample(2, rng)
    assert rng.bit_generator.state == state
    np.testing.assert_allclose(data.X, circle_points([0.9, -0.9]), rtol=1e-15)
    np.testing.assert_array_equal(data.signs, [1.0, -1.0])
    with pytest.raises(ValueError, match="n_samples must be 2, the number of given angles, got 4"):
        CircleSpec(angles=(0.9, -0.9)).sample(4, rng)


def test_alternating_labels(rng):
    np.testing.assert_array_equal(CircleSpec(labels="alternating").sample(4, rng).signs, [1, -1, 1, -1])


def test_slice_points_keep_their_distance(rng):
    data = SphereSliceSpec(dim=6, separation=0.5).sample(10, rng)
    distance = pairwise_distances(data.X) + 10 * np.eye(10)
    assert distance.min() >= 0.5
    np.testing.assert_allclose(np.sum(data.X**2, axis=1), 1.0, rtol=1e-14)


def test_separated_sphere_is_scaled_to_separation_two(rng):
    data = SeparatedSphereSpec(dim=5).sample(12, rng)
    assert data.separation == pytest.approx(2.0, rel=1e-12)
    norms = np.linalg.norm(data.X, axis=1)
    np.testing.assert_allclose(norms, norms[0], rtol=1e-12)


def test_points_without_room_are_refused(rng, monkeypatch):
    monkeypatch.setattr("featsim.data.point_specs._MOST_TRIES", 200)
    with pytest.raises(ValueError, match="separation must leave room for 40 points, got 1 in dimension 3"):
        SphereSliceSpec(dim=3, separation=1.0).sample(40, rng)


@pytest.mark.parametrize(
    "spec", [CircleSpec(angles=(0.1, 2.0), signs=(1, -1)), SphereSliceSpec(), SeparatedSphereSpec()]
)
def test_specs_survive_json(spec):
    assert spec_from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CircleSpec(constant=1.0), "constant must be < 1, got 1.0"),
        (lambda: CircleSpec(jitter=0.7), "jitter must be <= 0.5, got 0.7"),
        (lambda: CircleSpec(signs=(1, 0)), "signs must hold -1 and 1"),
        (lambda: SphereSliceSpec(dim=2), "dim must be >= 3, got 2"),
        (lambda: point_data(np.ones((2, 1)), [0, 1]), "X must have at least 2 coordinates, got 1"),
        (lambda: point_data(np.ones((2, 3)), [0, 2]), "y must hold 0 and 1, or -1 and 1"),
        (lambda: point_data(np.ones((2, 3)), [0, 1, 1]), r"y must have shape \(2,\)"),
        (lambda: point_data(np.full((2, 3), np.nan), [0, 1]), "X must be finite"),
        (lambda: point_data(np.ones((2, 3)), [0, 1], constant=0.5), "X must lie on the unit sphere"),
        (lambda: on_slice(np.ones((2, 3))), "X must not hold the mean of all inputs"),
        (lambda: CircleSpec().sample(3, np.random.default_rng(0)), "n_samples must be even"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_own_points_take_both_kinds_of_labels_and_select():
    X = circle_points([0.0, 1.0, 2.0])
    data = point_data(X, [1, -1, 1], constant=0.5)
    np.testing.assert_array_equal(data.y, [1, 0, 1])
    part = data.select([2, 0])
    np.testing.assert_array_equal(part.X, X[[2, 0]])
    with pytest.raises(ValueError, match="index must select at least one of the 3 points"):
        data.select(np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match="read-only"):
        data.X[0, 0] = 1.0


def test_images_go_to_the_slice(rng):
    images = rng.uniform(size=(5, 4, 4))
    X = on_slice(images, constant=0.5)
    assert X.shape == (5, 17)
    point_data(X, [0, 1, 0, 1, 1], constant=0.5)
