"""What runs will take, on the command line."""

import json

import pytest

from featsim import machine
from featsim.cli import estimate
from featsim.sweeps import parallel
from featsim.training import plan


def test_estimate_prints_time_memory_and_disk_and_runs_nothing(small_run, tmp_path):
    code, out, err = small_run("--estimate", "--seeds", 3, "--jobs", 2, "--out", tmp_path / "runs")
    assert (code, err) == (0, "")
    for text in (
        "structured-data/S1 standard, one run", "structured-data/S1 adversarial, one run",
        "(by its first steps), 6 steps", "7 records", "runs in all: 6, at once: 2", "  fits",
    ):  # fmt: skip
        assert text in out
    assert out.count("  time    ") == out.count("  memory  ") == out.count("  disk    ") == 3
    assert not any(tmp_path.iterdir())


def test_estimate_as_data(small_run):
    code, out, _ = small_run("--estimate", "--json", "--training", "standard", "--seeds", 5)
    found = json.loads(out)
    assert code == 0 and list(found["trainings"]) == ["standard"]
    one, every = found["trainings"]["standard"], found["all"]
    assert one["fits"] and one["n_steps"] == 6 and one["disk_bytes"] == 0
    assert every["runs"] == 5 and every["at_once"] == 1 and every["fits"]
    assert every["seconds"] == pytest.approx(5 * one["seconds"])
    assert every["memory_bytes"] == one["memory_bytes"]


def test_estimate_says_what_does_not_fit(small_run, monkeypatch):
    monkeypatch.setattr(estimate, "available_memory", lambda: 1000)
    code, out, _ = small_run("--estimate")
    assert code == 0 and "DOES NOT FIT: record less, run fewer at once, or free space" in out


def test_seeds_that_do_not_fit_at_once_are_refused_before_the_first(small_run, monkeypatch):
    monkeypatch.setattr(parallel, "available_memory", lambda: 150_000)
    code, out, err = small_run("--seeds", 2, "--jobs", 2, "--training", "standard")
    assert code == 2 and out == ""
    assert err.startswith("featsim: error: 2 runs at once take ") and "use jobs=1" in err


def test_seeds_that_are_finished_need_no_memory(small_run, monkeypatch, tmp_path):
    words = ("--seeds", 2, "--training", "standard", "--no-evaluation", "--out", tmp_path / "runs")
    assert small_run(*words)[0] == 0
    monkeypatch.setattr(parallel, "available_memory", lambda: 1000)
    code, out, _ = small_run(*words, "--jobs", 2)
    assert code == 0 and "(2 of 2 were there already)" in out


def test_a_trace_beyond_memory_is_one_line(small_run, monkeypatch):
    monkeypatch.setattr(plan, "available_memory", lambda: 1000)
    code, _, err = small_run("--training", "standard")
    assert code == 2 and err.startswith("featsim: error: this run must fit into memory, where 1.0 kB are")
    assert err.count("\n") == 1 and machine.TooLargeError.__name__ not in err


@pytest.mark.parametrize(
    ("change", "what", "smaller"),
    [("width", "initial weights", "width"), ("data.dim", "samples", "n_samples or dim")],
)
@pytest.mark.parametrize("words", [(), ("--estimate",), ("--seeds", 2, "--jobs", 2)])
def test_a_width_or_dimension_beyond_memory_is_one_line(small_run, change, what, smaller, words):
    code, out, err = small_run(*words, changes=(f"{change}={10**14}",))
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith(f"featsim: error: the {what} must fit into memory, where ")
    assert err.endswith(f"; use a smaller {smaller}\n")
