"""Analyses of the claims on clean generalisation and robust overfitting."""

import math

import numpy as np
import pytest

from featsim.claims import statistics
from featsim.claims.cgro.measures import accuracy_over
from featsim.claims.cgro.radius import crossing, mean_crossing
from featsim.claims.cgro.scaling import median_exponent


def test_crossing_is_interpolated_and_nan_where_there_is_none():
    assert crossing([0.0, 1.0, 2.0], [1.0, 0.75, 0.25]) == pytest.approx(1.5)
    assert math.isnan(crossing([0.0, 1.0], [1.0, 0.9]))
    assert math.isnan(crossing([0.0, 1.0], [0.4, 0.3]))


def test_one_seed_that_never_crosses_does_not_undo_the_crossing_of_the_mean():
    shares = np.array([[1.0, 0.9, 0.0], [1.0, 0.1, 0.0], [1.0, 0.9, 0.6]])
    found = mean_crossing([0.0, 1.0, 2.0], shares)
    assert found.value == pytest.approx(1.0 + (1.9 / 3 - 0.5) / (1.9 / 3 - 0.2))
    assert found.low <= found.value <= found.high
    assert "resamples have none" in found.note  # those of the third seed alone
    never = mean_crossing([0.0, 1.0], [[1.0, 0.9]] * 3)
    assert math.isnan(never.value) and never.n == 3


def test_exponent_of_medians():
    x = np.array([1.0, 2.0, 4.0, 8.0])
    table = 3.0 * x[:, None] ** -1.5 * np.array([0.9, 1.0, 1.2])
    found = median_exponent(x.tolist(), table)
    assert (found.low, found.value, found.high) == pytest.approx((-1.5, -1.5, -1.5))
    table[0] = np.inf
    assert math.isnan(median_exponent(x.tolist(), table).value)


def test_accuracies_carry_the_samples_behind_them():
    seeds = [{"fresh_clean_accuracy": 0.5, "n_fresh": 1000, "n_train": 20}] * 2
    assert accuracy_over(seeds, "fresh_clean_accuracy") == statistics.accuracy([0.5, 0.5], 1000)
