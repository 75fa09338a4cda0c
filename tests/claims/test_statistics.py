"""Estimates and their intervals."""

import math

import numpy as np
import pytest
from scipy import stats

from featsim.claims import statistics
from featsim.claims.rules import at_least, at_most
from featsim.models import wilson_interval


def test_mean_has_students_interval(rng):
    x = rng.normal(3.0, 2.0, size=12)
    found = statistics.mean(x)
    expected = stats.ttest_1samp(x, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(x.mean()) and found.n == 12


def test_mean_of_equal_values_is_a_point_and_of_one_has_no_interval():
    assert statistics.mean([1.0, 1.0]) == statistics.Estimate(1.0, 1.0, 1.0, 2, 0.0)
    assert math.isnan(statistics.mean([1.0]).low)
    assert statistics.mean([]).n == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_never_dropped_silently(bad):
    for found in (statistics.mean([1.0, bad, 1.0]), statistics.accuracy([1.0, bad, 1.0], 10)):
        assert math.isnan(found.value) and found.n == 3 and "1 of 3 not finite" in found.note
        assert not at_least(0.0).holds(found) and not at_most(2.0).holds(found)
    assert math.isnan(statistics.log_slope([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, bad, 4.0]).value)
    kept, note = statistics.without_missing([1.0, bad, 3.0])
    assert kept.tolist() == [1.0, 3.0] and note == "1 of 3 left out"
    assert math.isnan(statistics.median([1.0, math.nan]).value)


def test_a_median_takes_infinity_as_late():
    found = statistics.median([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, math.inf])
    assert found.value == 4.0 and found.low == 1.0 and found.high == math.inf
    assert statistics.median([1.0, math.inf, math.inf]).value == math.inf


def test_pooled_samples_have_wilsons_interval():
    found = statistics.accuracy([1.0] * 10, 1000)
    low, _ = wilson_interval(10_000, 10_000)
    assert (found.low, found.high) == (1.0, 1.0) and f"{low:.4g}" in found.note and "10000" in found.note
    assert statistics.accuracy([0.5, 1.0], [10, 30]).value == 0.75  # the mean is over seeds


def test_ratios_have_bootstrap_intervals(rng):
    a, b = rng.normal(10.0, 4.0, size=40), rng.normal(5.0, 1.0, size=40)
    for found, truth in ((statistics.ratio_of_means(a, b), 2.0), (statistics.ratio_of_spreads(a, b), 4.0)):
        assert found.low < truth < found.high and found.n == 40
    assert math.isnan(statistics.ratio_of_means([1.0, 2.0], [0.0, 0.0]).value)
    assert math.isnan(statistics.ratio_of_spreads([1.0, 2.0], [3.0, 3.0]).value)
    assert statistics.ratio_of_means([4.0, 4.0], [2.0, 2.0]).high == 2.0


def test_accuracy_interval_stays_in_the_unit_interval():
    found = statistics.accuracy([0.0, 0.0, 0.25])
    assert found.low == 0.0 and found.high < 1.0


def test_median_lies_in_its_interval(rng):
    x = rng.exponential(size=31)
    found = statistics.median(x)
    assert found.low <= found.value <= found.high
    assert found == statistics.median(x)


def test_proportion_is_wilson():
    found = statistics.proportion(0, 10)
    z = stats.norm.ppf(0.975)
    assert found.value == 0.0 and found.low == 0.0
    assert found.high == pytest.approx(z**2 / (10 + z**2))
    assert statistics.proportion(0, 0).n == 0
    with pytest.raises(ValueError, match="n_hits must be <= 3"):
        statistics.proportion(4, 3)


def test_pairing_removes_what_seeds_share(rng):
    shared = rng.normal(size=20) * 100
    found = statistics.paired_difference(shared + 1.0, shared)
    assert found.value == pytest.approx(1.0) and found.high - found.low < 1e-9
    with pytest.raises(ValueError, match="one entry per seed"):
        statistics.paired_difference([1.0], [1.0, 2.0])


def test_log_slope_recovers_an_exponent(rng):
    x = np.repeat([1.0, 3.0, 10.0, 30.0], 6)
    y = 2.0 * x**-0.4 * np.exp(0.05 * rng.normal(size=x.size))
    found = statistics.log_slope(x, y)
    assert found.low < -0.4 < found.high
    with pytest.raises(ValueError, match="must be > 0"):
        statistics.log_slope([1.0, 2.0, 3.0], [1.0, 0.0, 2.0])
    with pytest.raises(ValueError, match="three finite points"):
        statistics.log_slope([1.0, 2.0], [1.0, 2.0])


def test_logistic_crossing_recovers_the_centre(rng):
    x = np.linspace(0.0, 4.0, 9)
    trials = np.full(9, 40)
    hits = rng.binomial(trials, 1.0 / (1.0 + np.exp(-2.0 * (x - 1.7))))
    found = statistics.logistic_crossing(x, hits, trials)
    assert found.low < 1.7 < found.high and found.high - found.low < 0.8


def test_logistic_crossing_of_separated_counts_lies_between_them():
    found = statistics.logistic_crossing([0.0, 1.0, 2.0, 3.0], [0, 0, 5, 5], [5, 5, 5, 5])
    assert 1.0 < found.value < 2.0 and found.low >= 0.5
    outside = statistics.logistic_crossing([0.0, 1.0], [0, 0], [5, 5])
    assert outside.n == 10 and math.isnan(outside.value) and "no crossing in [0, 1]" in outside.note


def test_three_standard_errors_adds_both_sides():
    ours = statistics.Estimate(0.0, -1.0, 1.0, 16, sd=4.0)
    assert statistics.three_standard_errors(ours, 3.0, 10) == pytest.approx(3.0 * math.sqrt(1.0 + 1.0))
    close_by_chance = statistics.Estimate(0.0, -1.0, 1.0, 2, sd=0.001)
    found = statistics.three_standard_errors(close_by_chance, 3.0, 10)
    assert found == pytest.approx(3.0 * math.sqrt(1.0 + 5.0))


def test_logistic_crossing_of_a_falling_probability():
    up = statistics.logistic_crossing([0.0, 1.0, 2.0, 3.0], [1, 3, 8, 10], [10, 10, 10, 10])
    down = statistics.logistic_crossing([0.0, 1.0, 2.0, 3.0], [9, 7, 2, 0], [10, 10, 10, 10])
    assert down == up


def test_resampled_interval_of_a_mean_is_about_students(rng):
    x = rng.normal(1.0, 1.0, size=40)
    found = statistics.resampled(x, lambda table: float(table.mean()))
    student = statistics.mean(x)
    assert found.value == student.value and found.n == 40
    # A percentile bootstrap of 40 numbers is a little narrower than Student's interval.
    assert 0.7 < (found.high - found.low) / (student.high - student.low) < 1.05


def test_resampled_counts_what_has_no_value_and_refuses_what_has_none():
    def spread_only(table):
        return math.nan if (table == table[0]).all() else float(table.mean())

    found = statistics.resampled([1.0, 2.0, 3.0], spread_only)
    assert found.value == 2.0 and "of 1000 resamples have none" in found.note
    none = statistics.resampled([1.0, 2.0], lambda t: math.nan)
    assert math.isnan(none.value) and none.n == 2 and not at_least(0.0).holds(none)
    assert statistics.resampled([], lambda t: 1.0).n == 0
    assert math.isnan(statistics.resampled([1.0], lambda t: float(t.mean())).low)
