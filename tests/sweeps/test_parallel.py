"""Runs in parallel processes: order, bits, errors."""

import numpy as np
import pytest

from featsim.machine import TooLargeError
from featsim.scenarios import get_scenario
from featsim.sweeps import map_runs, parallel

SMALL = get_scenario("structured-data/S1").with_settings({"n_steps": 30})


def run(item):
    """Train; at the top of the module, where another process finds it."""
    training, seed = item
    return SMALL.run(training, seed)


def fail_on_two(number):
    if number == 2:
        raise ValueError(f"{number} is refused")
    return number


ITEMS = [("standard", 0), ("adversarial", 0), ("standard", 1), ("adversarial", 1)]


def test_one_and_two_processes_give_the_same_bits_in_the_same_order():
    from joblib.externals.loky import get_reusable_executor

    one = map_runs(run, ITEMS, jobs=1)
    try:
        two = map_runs(run, ITEMS, jobs=2)
    finally:
        get_reusable_executor().shutdown(wait=True)
    for item, first, second in zip(ITEMS, one, two, strict=True):
        assert (first.spec["training"], first.spec["seed"]) == item
        assert second.spec == first.spec and set(second) == set(first)
        for name in first:
            np.testing.assert_array_equal(second[name], first[name], err_msg=name)
    assert not np.array_equal(one[0].final_weights, one[2].final_weights)


def test_an_error_in_a_run_reaches_the_caller():
    assert map_runs(fail_on_two, [0, 1]) == [0, 1]
    with pytest.raises(ValueError, match="2 is refused"):
        map_runs(fail_on_two, [1, 2, 3])


def test_nothing_to_do_gives_nothing():
    assert map_runs(fail_on_two, [], jobs=2) == []


def test_progress_goes_to_standard_error_only_when_asked(capsys, monkeypatch):
    monkeypatch.setattr("featsim.training.progress._LOG_SECONDS", 0.0)
    map_runs(fail_on_two, [0, 1])
    assert capsys.readouterr() == ("", "")
    map_runs(fail_on_two, [0, 1], progress=True, label="seeds")
    assert capsys.readouterr().err.splitlines()[-1].startswith("seeds: ")


@pytest.mark.parametrize(("jobs", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_jobs_must_be_a_positive_integer(jobs, error):
    with pytest.raises(error, match="jobs must be"):
        map_runs(fail_on_two, [1], jobs=jobs)


def test_runs_that_do_not_fit_at_once_are_not_started(monkeypatch):
    monkeypatch.setattr(parallel, "available_memory", lambda: 1000)
    assert map_runs(fail_on_two, [1, 3], jobs=1, memory_bytes=1000) == [1, 3]
    with pytest.raises(TooLargeError, match=r"2 runs at once take 1\.2 kB, 600 B each, .* use jobs=1$"):
        map_runs(fail_on_two, [1, 2], jobs=2, memory_bytes=600)
    with pytest.raises(TooLargeError, match="one alone does not fit: record less, or stream"):
        map_runs(fail_on_two, [1], jobs=4, memory_bytes=1001)
    monkeypatch.setattr(parallel, "available_memory", lambda: None)
    assert map_runs(fail_on_two, [1], jobs=1, memory_bytes=10**18) == [1]
