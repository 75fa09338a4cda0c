"""Population statistics and flatness of power networks."""

import math

import numpy as np
import pytest

from featsim.attacks import SignalAttack, run_attack
from featsim.data import SignalNoiseSpec
from featsim.evaluation import (
    ball_flatness,
    companion_ratio,
    line_flatness,
    line_flip_distance,
    line_profile,
    population,
)
from featsim.models import LinearModel, PowerNetworkSpec
from featsim.threats import Threat


@pytest.fixture(params=["odd", "relu"])
def problem(request, rng):
    data = SignalNoiseSpec(dim=20, noise_norm=2.0, n_fresh=200).sample(10, rng)
    model = PowerNetworkSpec(width=6, activation=request.param, init_std=0.4)
    return model.network(model.initial_weights(20, rng)), data


def test_population_agrees_with_its_prediction_and_with_the_attack(problem, rng):
    network, data = problem
    found = population(network, data, 1.5, 4000, rng)
    assert abs(found.noise_mean) < 4 * found.noise_mean_error
    fresh = SignalNoiseSpec(dim=20, noise_norm=2.0, n_fresh=0).sample_like(data, 4000, rng)
    for rule in ("fixed", "worst"):
        accuracy = getattr(found, rule)
        error = math.hypot(accuracy.standard_error, accuracy.predicted_error) + 1e-3
        assert abs(accuracy.value - accuracy.predicted) < 4 * error
        other = run_attack(SignalAttack(radius=1.5, rule=rule), network, fresh).robust_accuracy
        assert abs(accuracy.value - other) < 6 * accuracy.standard_error + 1e-3
        assert accuracy.interval[0] <= accuracy.value <= accuracy.interval[1]
    assert found.worst.value <= found.fixed.value
    assert found.to_dict()["worst"]["value"] == found.worst.value


def test_noise_sd_error_is_that_of_repeats(problem):
    network, data = problem
    runs = [population(network, data, 1.0, 500, np.random.default_rng(s)) for s in range(40)]
    spread = np.std([run.noise_sd for run in runs], ddof=1)
    claimed = np.median([run.noise_sd_error for run in runs])
    assert 0.4 < claimed / spread < 2.0


def test_slope_of_the_line_against_differences(problem):
    network, data = problem
    s = np.array([-1.3, -0.2, 0.4, 1.1])
    h = 1e-6
    _, slope = line_profile(network, data, s)
    ahead, behind = (line_profile(network, data, s + e)[0] for e in (h, -h))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-8)


def test_flatness_on_the_line_is_that_of_dense_points(problem):
    network, data = problem
    radii = np.array([0.0, 0.7, 2.0])
    found = line_flatness(network, data, radii, n_grid=2000)
    for column, radius in enumerate(radii):
        loss, slope = line_profile(network, data, np.linspace(-radius, radius, 3001))
        np.testing.assert_allclose(
            found.gradients[:, column], np.abs(slope).max(axis=1), rtol=2e-3, atol=1e-9
        )
        here = line_profile(network, data, [0.0])[0][:, 0]
        np.testing.assert_allclose(found.changes[:, column], loss.max(axis=1) - here, rtol=2e-3, atol=1e-9)
    assert np.all(np.diff(found.gradients, axis=1) >= 0)
    assert companion_ratio(network, data, (0.3, 1.0, 2.5)) <= 1.0 + 1e-9


def test_increase_at_the_radius_is_that_of_the_exact_attack(problem):
    network, data = problem
    result = run_attack(SignalAttack(radius=1.2, rule="worst"), network, data)
    worst = np.logaddexp(0, -result.margin) - np.logaddexp(0, -result.clean_margin)
    # The third candidate, position 0, need not lie on the grid.
    found = line_flatness(network, data, (1.2,), n_grid=5000).changes[:, 0]
    np.testing.assert_allclose(found, worst, rtol=1e-4, atol=1e-6)


def test_flip_distance_is_where_the_exact_attack_turns(problem):
    network, data = problem
    distance = line_flip_distance(network, data)
    clean = run_attack(SignalAttack(radius=0.0), network, data).clean_margin > 0
    for radius in np.linspace(0.05, 4.0, 40):
        stands = run_attack(SignalAttack(radius=float(radius), rule="worst"), network, data).margin >= 0
        np.testing.assert_array_equal(stands[clean], (distance >= radius)[clean])


def test_ball_flatness_of_a_linear_model_is_known(rng):
    w = rng.standard_normal((1, 2, 5))
    X, y = rng.standard_normal((8, 2, 5)), rng.integers(2, size=8)
    size = np.linalg.norm(w)
    margin = np.where(y == 1, 1, -1) * LinearModel(w).scores(X)[:, 0]
    found = ball_flatness(LinearModel(w), (X, y), (0.0, 0.5), rng)
    for column, radius in enumerate((0.0, 0.5)):
        z = margin - radius * size
        np.testing.assert_allclose(found.gradients[:, column], size / (1 + np.exp(z)), rtol=1e-9)
        np.testing.assert_allclose(
            found.changes[:, column], np.logaddexp(0, -z) - np.logaddexp(0, -margin), rtol=1e-9, atol=1e-12
        )
    box = ball_flatness(
        LinearModel(w), (X, y), (0.5,), rng, threat=Threat(radius=1.0, norm="linf", scope="input")
    )
    z = margin - 0.5 * np.abs(w).sum()
    np.testing.assert_allclose(box.gradients[:, 0], np.abs(w).sum() / (1 + np.exp(z)), rtol=1e-9)


def test_bad_requests_are_refused(problem, rng):
    network, data = problem
    with pytest.raises(ValueError, match="radii must be >= 0 and increasing"):
        line_flatness(network, data, (1.0, 0.5))
    wrong = PowerNetworkSpec(width=3).network(np.ones((1, 3, data.dim + 1)))
    with pytest.raises(ValueError, match="filters of the network must have shape"):
        line_flatness(wrong, data, (0.0, 1.0))
    with pytest.raises(ValueError, match="radii must be > 0 for a ratio"):
        companion_ratio(network, data, (0.0, 0.5))
    with pytest.raises(ValueError, match="n_samples must be >= 2"):
        population(network, data, 1.0, 1, rng)
    with pytest.raises(ValueError, match="radius must be >= 0"):
        population(network, data, -1.0, 10, rng)
