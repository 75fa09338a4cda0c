"""The benchmark: programs that disagree stop it, targets, joining, tables; its smallest size as a whole."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture(autouse=True)
def scripts_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def load(name):
    return importlib.import_module(name)


def row(key="patches/tiny/l2 S=10", share=2.5, **faster):
    _, size, case = key.split("/")
    seconds = {"featsim": 0.001, **{name: 0.001 * ratio for name, ratio in faster.items()}}
    found = {
        "key": key,
        "size": size,
        "case": case,
        "seconds_per_step": seconds,
        "steps_per_second": {name: 1 / value for name, value in seconds.items()},
        "times_faster_than": faster,
        "share_of_dgemm_bound": share,
        "raised_megabytes": dict.fromkeys(seconds, 3.0),
        "largest_difference": 1e-15,
    }
    return {**found, "targets": load("_bench_rows").targets(found)}


def curve_rows():
    points = load("_bench_curves").points("quick")
    seconds = {"featsim": 0.001, "numpy": 0.002}
    return [
        {
            "key": point.row.key,
            "curve": point.curve,
            "value": point.value,
            "seconds_per_step": seconds,
            "targets": [],
        }
        for point in points
    ]


def result(rows):
    versions = {"cpu": "a processor", "os": "Linux", "numpy": "2.0"}
    return {
        "size": "default",
        "threads": 1,
        "processors": 2,
        "versions": versions,
        "date": "2026-01-01",
        "rows": rows,
    }


@pytest.mark.parametrize("name", ["patches", "symmetric"])
def test_featsim_and_the_numpy_peer_compute_the_same(name):
    workload, rows = load("_workload"), load("_bench_rows")
    cases = workload.CASES if name == "patches" else workload.SYMMETRIC_CASES
    size = (
        workload.PatchSize("test", 3, 4, 5, 20, 12)
        if name == "patches"
        else workload.SymmetricSize("test", 12, 7, 40, batch=16)
    )
    for case in cases:
        problem = size.make()
        outcomes = {
            program: load(f"_peer_{program}").prepare(problem, case, 4)() for program in ("featsim", "numpy")
        }
        assert rows.largest_difference(case.name, outcomes) < 1e-12  # rounding of four steps
        # The attack moves the weights: agreement says something about it.
        if case.norm:
            stats = outcomes["numpy"]["stats"]
            assert (stats[:, 2] > stats[:, 0]).all()


def test_programs_that_disagree_are_named_with_the_place():
    rows = load("_bench_rows")
    ours = {"stats": np.arange(8.0).reshape(2, 4)}
    theirs = {"stats": ours["stats"].copy()}
    assert rows.largest_difference("key", {"featsim": ours, "jax": theirs}) == 0.0
    theirs["stats"][1, 2] += 1e-6
    with pytest.raises(
        rows.DisagreementError, match=r"key: stats at \(1, 2\) is 6 in featsim and 6.000001 in JAX"
    ):
        rows.largest_difference("key", {"featsim": ours, "jax": theirs})
    theirs["stats"][1, 2] = np.nan
    with pytest.raises(rows.DisagreementError, match="JAX"):
        rows.largest_difference("key", {"featsim": ours, "jax": theirs})
    with pytest.raises(rows.DisagreementError, match="shape"):
        rows.largest_difference("key", {"featsim": ours, "jax": {"stats": np.zeros(3)}})


def test_targets_are_met_missed_or_not_measured():
    verdicts = {target["what"]: target["met"] for target in row(share=2.5, torch=20.0)["targets"]}
    assert verdicts == {"share of the dgemm bound": True, "times PyTorch": False, "times JAX": None}
    assert row("patches/large/linf S=1", share=0.89, torch=9.0)["targets"][0]["met"] is False
    assert row("patches/large/l2 S=1", torch=9.0)["targets"] == []
    net = row("symmetric/d=100 m=500/clean", torch=7.5, numpy=2.0)
    assert [target["met"] for target in net["targets"]] == [True, False]


def test_tables_say_which_targets_are_missed(tmp_path):
    report = load("_bench_report")
    rows = [
        row(share=2.5, numpy=3.0, torch=20.0),
        row("patches/tiny/l2 S=1", numpy=2.0, torch=3.0),
        *curve_rows(),
    ]
    text = report.markdown(result(rows))
    assert "200 % met, 22 x PyTorch missed, 3 x JAX not measured" in text
    assert "1 targets met, 1 missed, 1 not measured." in text
    assert "a processor" in text
    table = report.restructured(result(rows))
    assert ".. list-table::" in table
    assert table.count("   * - ") == 3
    report.draw(result(rows), tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 1000


def test_only_rows_of_the_same_machine_and_versions_are_joined(tmp_path):
    bench = load("bench")
    file = tmp_path / "bench.json"
    assert bench.joined(file, {}) == []
    before = result([row()])
    file.write_text(json.dumps(before))
    now = {name: before[name] for name in ("size", "threads", "processors", "versions")}
    assert bench.joined(file, now)[0]["key"] == row()["key"]
    with pytest.raises(SystemExit, match="another threads"):
        bench.joined(file, {**now, "threads": 2})


def test_rows_are_chosen_by_their_keys():
    bench = load("bench")
    assert len(bench.tasks("default", ["patches/*"])) == 20
    assert list(bench.tasks("default", ["symmetric/*clean"])) == [
        "symmetric/d=100 m=500/clean",
        "symmetric/d=500 m=2000/clean",
    ]
    assert {key.split("/")[1] for key in bench.tasks("full", ["curves/*"])} == set("ndPKTS")
    large = load("_bench_rows").workload_rows("default")
    samples = {r.case.name: r.size.n_samples for r in large if r.size.name == "large"}
    assert samples == {"clean": 4000, "l2 S=1": 250, "l2 S=10": 250, "linf S=1": 250, "linf S=10": 250}


@pytest.mark.slow
def test_smallest_size_runs_as_a_whole(tmp_path):
    command = [
        sys.executable,
        str(EXPERIMENTS / "bench.py"),
        "--quick",
        "--results",
        str(tmp_path),
        "--peers",
    ]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    found = json.loads((tmp_path / "bench.json").read_text())
    assert len(found["rows"]) == 16
    assert all(value > 0 for r in found["rows"] for value in r["seconds_per_step"].values())
    assert "targets met" in text
    assert (tmp_path / "bench.png").stat().st_size > 1000
    # A row measured again takes the place of the old one.
    again = subprocess.run(
        [*command, "--only", "patches/test/clean", "--join"],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 16
    assert "patches/test/clean" in again.stdout
