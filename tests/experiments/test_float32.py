"""The script that measures float32, on a problem that takes a moment."""

import importlib
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return importlib.import_module("float32")


def test_rows_hold_the_deviations_of_the_run_so_far(script, monkeypatch):
    size = script.PatchSize("mini", 2, 2, 3, 8, 6)
    monkeypatch.setattr(script, "CASES", script.CASES[1:2])
    rows = script.of_sizes((size,))
    assert [row[:3] for row in rows] == [["mini", "l2 S=1", str(step)] for step in (1, 10, 100)]
    off = np.array([[float(cell) for cell in row[3:6]] for row in rows])
    # A step's update is off by roundings of itself, a start that was rounded by one of every weight.
    assert np.all(off > 0.0) and np.all(off[0] < 4 * 2.0**-24) and np.all(off < 1e-5)
    assert all(row[6] == "same" for row in rows)


def test_rounding_the_weights_after_every_step_is_another_run(script):
    data, weights, model = script.problem(script.PatchSize("mini", 2, 2, 3, 8, 6))
    schedule = script.Schedule(n_steps=5, step_size=1.0)
    spec = script.RunSpec(model=model, schedule=schedule, recording=script.Recording())
    exact, _ = script.coefficients(spec, data, weights)
    rounded, _ = script.coefficients(spec, data, weights, "rounded weights")
    once, _ = script.coefficients(spec, data, weights, "rounded start")
    assert exact.shape == rounded.shape == (6, 8)
    np.testing.assert_array_equal(rounded[0], once[0])
    assert np.any(rounded[2:] != once[2:])
    np.testing.assert_allclose(rounded, exact, atol=20 * 2.0**-24)


def test_words_and_tables(script):
    assert [script.in_words(x) for x in (0.0, 1.4e-7, 9.6e-8, 0.02)] == ["0", "1e-7", "1e-7", "2e-2"]
    table = script.list_table("Title", ["a", "b"], [["1", "2"]])
    assert table.splitlines()[-4:] == ["   * - a", "     - b", "   * - 1", "     - 2"]
    assert script.winners(np.array([1.0, 0.0, 0.0, 0.0] + [0.5] * 4), 4) == [True, False, False, False]
