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
        "data_megabytes": 2.0,
        "megabytes": dict.fromkeys(seconds, 3.0),
        "largest_difference": 1e-15,
        "checked_steps": 5,
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


def own_rows():
    own = load("_bench_own")
    recording = {
        "key": "tracing/small",
        "size": "small",
        "seconds_per_step": {"featsim": 1e-3},
        "cost": 0.031,
    }
    seeds = {
        "key": "seeds/tiny/clean",
        "size": "tiny",
        "case": "clean",
        "seconds_per_step": {"featsim": 1e-3},
    }
    start = {"key": "start/import", "size": "import", "seconds_per_step": {}, "seconds": 0.04}
    return [
        {**recording, "targets": [own.target("recording", 0.05, 0.031, most=True)]},
        {**seeds, "gain": 1.8, "gain_of_loops": 1.9, "seconds_one": 4.0, "seconds_two": 2.2,
         "targets": [own.target("two processes", 1.9, 1.8)]},
        {**start, "targets": [own.target("seconds", 0.5, 0.04, most=True)]},
    ]  # fmt: skip


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
            program: module.prepare(module.convert(problem), case, 4)()
            for program in ("featsim", "numpy")
            for module in [load(f"_peer_{program}")]
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
        row("threads/small/clean", numpy=2.0, torch=3.0),
        *own_rows(),
        *curve_rows(),
    ]
    text = report.markdown(result(rows))
    assert "200 % met, 22 x PyTorch missed, 3 x JAX not measured" in text
    assert "3 targets met, 2 missed, 1 not measured." in text
    assert "a processor" in text
    assert "| small, clean | 3.1 % | at most 5 %, met |" in text
    assert "| tiny, clean | 1.80 (4.0 and 2.2 s); loops of plain Python 1.90 | at least 1.9, missed |" in text
    table = report.restructured(result(rows))
    captions = [line for line in table.splitlines() if line.startswith(".. list-table::")]
    assert captions == [
        ".. list-table:: One thread",
        ".. list-table:: Two threads for every program, wall time",
        ".. list-table:: featsim alone",
    ]
    # Two, one and three rows, each table with its heading.
    assert table.count("   * - ") == 3 + 2 + 4
    assert all(report.line(one).startswith(f"{one['key']}: ") for one in rows)
    load("_bench_figure").draw(result(rows), tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 1000


def test_rows_share_the_time_that_is_left(monkeypatch):
    budget = load("_bench_budget")
    now = [0.0]
    monkeypatch.setattr(budget.time, "perf_counter", lambda: now[0])
    free = budget.Budget({"a": 10.0, "b": 20.0})
    assert free.share("a") == float("inf")
    plan = budget.Budget({"a": 30.0, "b": 20.0, "c": 40.0}, limit=45.0)
    # 90 s are foreseen and 45 there: each gets half of its forecast.
    assert plan.share("a") == pytest.approx(15.0)
    now[0] = 15.0
    plan.done("a", 15.0)
    # What is left, 30 s, goes to b and c as 1 : 2.
    assert plan.share("b") == pytest.approx(10.0)
    assert plan.remaining == pytest.approx(60.0 * 45.0 / 60.0)
    now[0] = 46.0
    assert plan.share("b") == 0.0


def test_a_forecast_grows_with_the_steps_and_is_bounded_by_the_effort():
    rows = load("_bench_rows")
    effort = rows.Effort(0.2, 4, row_seconds=15.0)
    names = ["featsim", "numpy"]
    of = {row.key: rows.forecast(row, names, effort) for row in rows.workload_rows("default")}
    assert of["patches/tiny/clean"] < of["patches/medium/linf S=10"] < of["patches/large/linf S=10"]
    assert of["patches/tiny/clean"] == pytest.approx(rows._START + 4 * 2 * 0.2, rel=0.01)


def test_only_rows_of_the_same_machine_and_versions_are_joined(tmp_path):
    bench = load("bench")
    file = tmp_path / "bench.json"
    assert bench.joined(file, {}) == []
    before = result([row()])
    file.write_text(json.dumps(before))
    now = {name: before[name] for name in ("size", "threads", "processors", "versions")}
    assert bench.joined(file, now)[0]["key"] == row()["key"]
    with pytest.raises(SystemExit, match=r"other threads \(1, now 2\)"):
        bench.joined(file, {**now, "threads": 2})
    with pytest.raises(SystemExit, match=r"other versions \(torch absent, now 3\); measure it again"):
        bench.joined(file, {**now, "versions": {**now["versions"], "torch": "3"}})


def test_rows_are_chosen_by_their_keys(monkeypatch):
    bench = load("bench")
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 2)
    known = bench.tasks("default", bench.Bench(["featsim", "numpy"], 1))
    assert len(bench.chosen(known, ["patches/*"])) == 20
    assert list(bench.chosen(known, ["symmetric/*clean"])) == [
        "symmetric/d=100 m=500/clean",
        "symmetric/d=500 m=2000/clean",
    ]
    assert {key.split("/")[1] for key in bench.chosen(known, ["curves/*"])} == set("ndPKTS")
    kinds = {key.split("/")[0] for key in known}
    assert kinds == {"patches", "symmetric", "tracing", "seeds", "threads", "start", "curves"}
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 1)
    one = bench.tasks("default", bench.Bench(["featsim", "numpy"], 1))
    assert kinds - {key.split("/")[0] for key in one} == {"seeds", "threads"}
    large = load("_bench_rows").workload_rows("default")
    samples = {r.case.name: r.size.n_samples for r in large if r.size.name == "large"}
    assert samples == {"clean": 4000, "l2 S=1": 250, "l2 S=10": 250, "linf S=1": 250, "linf S=10": 250}


def test_what_is_measured_is_written_row_by_row():
    bench = load("bench")
    written, result = [], {"rows": []}

    def task(key, fails=False):
        def measure(seconds):
            if fails:
                raise KeyboardInterrupt
            return {"key": key, "size": "import", "seconds_per_step": {}, "seconds": 1.0, "targets": []}

        return bench.Task(1.0, measure)

    todo = {"start/a": task("start/a"), "start/b": task("start/b", fails=True), "start/c": task("start/c")}
    with pytest.raises(KeyboardInterrupt):
        bench.go_through(todo, result, lambda: written.append(len(result["rows"])), np.inf, np.inf)
    assert written == [1]
    assert [row["key"] for row in result["rows"]] == ["start/a"]
    # No row begins after the time is over.
    bench.go_through({"start/c": task("start/c")}, result, lambda: written.append(2), np.inf, -1.0)
    assert written == [1]


@pytest.mark.slow
def test_memory_of_a_row_is_its_data_its_trace_and_a_little():
    """A problem of 32 MB in fresh processes: none holds less, and featsim no second copy of the data."""
    process, workload, rows = load("_bench_process"), load("_workload"), load("_bench_rows")
    size, case = workload.PatchSize("test", 10, 4, 16, 256, 1000), workload.CASES[0]
    with process.programs(["featsim", "numpy"], 1) as peers:
        process.together(peers, "warm", rows.rehearsal(size), case)
        data = process.together(peers, "load", size, case)
        process.together(peers, "prepare", 2)
        process.together(peers, "run")
        memory = process.together(peers, "memory")
    assert 31.0 < data["featsim"] < 32.0
    assert data["numpy"] == data["featsim"]
    assert 31.0 < memory["featsim"] < 1.3 * data["featsim"]
    # Whole arrays of N x K.
    assert memory["numpy"] > data["numpy"] + 2 * 16000 * 40 * 8 / 2**20


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
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    found = json.loads((tmp_path / "bench.json").read_text())
    assert len(found["rows"]) == 19
    assert all(value > 0 for r in found["rows"] for value in r["seconds_per_step"].values())
    assert "targets met" in text
    assert (tmp_path / "bench.png").stat().st_size > 1000
    # A row measured again takes the place of the old one.
    again = subprocess.run(
        [*command, "--only", "patches/test/clean", "--join"],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 19
    assert "patches/test/clean" in again.stdout
