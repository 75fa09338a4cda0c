import csv
import json
import zipfile

import numpy as np
import pytest

from featsim import Trace, load_trace
from featsim.cli.runs import last_values


@pytest.fixture
def trace(small_run, tmp_path):
    """The file of a finished trace."""
    small_run("--training", "standard", "--out", tmp_path / "runs")
    return tmp_path / "runs" / "standard-seed-000.npz"


@pytest.fixture
def stopped(small_run, tmp_path, monkeypatch):
    """The folder of a run killed after its first stretches."""
    folder = tmp_path / "stopped" / "standard-seed-000.run"

    def kill(run, *_):
        run.flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("featsim.training.loop._Run.end", kill)
        assert small_run("--training", "standard", "--out", folder.parent)[0] == 130
    return folder


def test_summary(featsim, trace):
    code, out, err = featsim("inspect", trace)
    assert (code, err) == (0, "")
    stored = load_trace(trace)
    for part in (
        "status   completed",
        "records  7, steps 0 to 6",
        "last record, step 6",
        "7 step x 4 class x 2 neuron",
    ):
        assert part in out
    assert f"{stored['clean_loss'][-1]:.5g}" in out
    assert f"{stored['rest_norm'][-1].std():.5g}" in out
    for k in range(4):
        best = max(("robust_coef", "nonrobust_coef"), key=lambda name: stored[name][-1, k].max())
        assert f"class {k}: {best} (neuron {stored[best][-1, k].argmax()})" in out
    assert "run      structured-data/S1, standard, seed 0" in out
    assert "--config prints them" in out and "data.n_nonrobust_patches" not in out and "numba" not in out
    everything = featsim("inspect", trace, "--config")[1]
    assert '"structured-data/S1"' in everything and "data.n_nonrobust_patches  3" in everything
    assert "numba" in everything


def test_indices_are_counted_not_averaged(featsim, tmp_path):
    arrays = {"steps": np.arange(2), "winner": np.array([[5, 7, 7, 2], [7, 7, 7, 2]])}
    axes = {"winner": ("step", "neuron")}
    path = Trace(arrays, axes, meta={"nominal": ["winner"]}).save(tmp_path / "x.npz")
    code, out, _ = featsim("inspect", path)
    assert code == 0 and "winner (2 different)" in out and "5.75" not in out
    final = json.loads(featsim("inspect", path, "--json")[1])["arrays"]["winner"]["final"]
    assert final == {"count": 4, "n_nonfinite": 0, "n_different": 2}
    assert last_values(load_trace(path)) == {"winner (different ones)": 2.0}


def test_at_a_step(featsim, trace):
    code, out, _ = featsim("inspect", trace, "--at", 2)
    assert code == 0 and "values (step 2)" in out and f"{load_trace(trace)['clean_loss'][2]:.5g}" in out
    assert "final_weights" not in out
    code, _, err = featsim("inspect", trace, "--at", 99)
    assert code == 2 and "no record at step 99; the nearest: 6" in err


def test_json(featsim, trace):
    result = json.loads(featsim("inspect", trace, "--json")[1])
    assert result["status"] == "completed" and result["spec"]["training"] == "standard"
    assert len(result["winners"]) == 4 and result["arrays"]["clean_loss"]["final"]["count"] == 1
    at = json.loads(featsim("inspect", trace, "--json", "--at", 3)[1])
    stored = load_trace(trace)
    assert at["step"] == 3 and at["last_step"] == 6
    np.testing.assert_array_equal(at["values"]["robust_coef"], stored["robust_coef"][3])


def test_csv(featsim, trace, tmp_path):
    path = tmp_path / "new" / "trace.csv"
    code, out, _ = featsim("inspect", trace, "--csv", path)
    assert code == 0 and f"wrote {path}" in out
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(7))
    assert float(rows[-1]["clean_loss"]) == load_trace(trace)["clean_loss"][-1]
    code, out, err = featsim("inspect", trace, "--csv", path, "--json")
    assert json.loads(out) and f"wrote {path}" in err


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_plot(featsim, trace, tmp_path, ending):
    path = tmp_path / f"trace.{ending}"
    assert featsim("inspect", trace, "--plot", path)[0] == 0
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", ["trace", "trace.xyz"])
def test_plot_of_unknown_kind(featsim, trace, tmp_path, name):
    code, out, err = featsim("inspect", trace, "--plot", tmp_path / name)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert not (tmp_path / name).exists()


def test_run_folder_of_a_killed_run(featsim, stopped):
    code, out, _ = featsim("inspect", stopped)
    assert code == 0 and "status   running" in out and f"featsim resume {stopped}" in out
    assert "records  7" in out


def test_resume_finishes_a_killed_run(featsim, stopped, trace):
    code, out, err = featsim("resume", stopped, "--quiet")
    target = stopped.with_suffix(".npz")
    assert (code, out, err) == (0, f"{target}: completed at step 6\n", "")
    assert not stopped.exists()
    whole, resumed = load_trace(trace), load_trace(target)
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name])
    for again in (stopped, target, stopped.parent):
        code, out, _ = featsim("resume", again, "--quiet")
        assert code == 0 and ("completed" in out or "nothing to resume" in out)


def test_resume_of_a_folder_of_runs(featsim, stopped):
    damaged = stopped.with_name("standard-seed-001.run")
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{}")
    code, out, err = featsim("resume", stopped.parent, "--quiet")
    assert code == 2 and "completed at step 6" in out, "the others go on"
    assert err.startswith(f"featsim: error: {damaged}") and err.count("\n") == 1


def test_resume_of_nothing(featsim, tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "none.npz"):
        code, _, err = featsim("resume", path)
        assert code == 2 and err.count("\n") == 1 and "is not a run" in err


def test_files_that_are_no_traces(featsim, trace, tmp_path):
    half = tmp_path / "half.npz"
    half.write_bytes(trace.read_bytes()[: trace.stat().st_size // 2])
    changed = tmp_path / "changed.npz"
    bytes_ = bytearray(trace.read_bytes())
    # Within an array: readers of zip files pass over some bytes of a header.
    weights = zipfile.ZipFile(trace).getinfo("final_weights.npy")
    bytes_[weights.header_offset + weights.compress_size // 2] ^= 0xFF
    changed.write_bytes(bytes_)
    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, a=np.ones(3))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, a=np.array([{}], dtype=object))
    text = tmp_path / "text.npz"
    text.write_text("hello")
    reasons = {
        half: "damaged",
        changed: "damaged",
        foreign: "not a featsim trace",
        pickled: "not a featsim trace",
    }
    reasons |= {
        text: "not an npz",
        tmp_path / "none.npz": "does not exist",
        tmp_path / "nodir": "does not exist",
    }
    for path, reason in reasons.items():
        code, out, err = featsim("inspect", path)
        assert code == 2 and out == "" and err.count("\n") == 1
        assert err.startswith(f"featsim: error: {path}") and reason in err


def test_folder_of_traces_names_them(featsim, trace):
    code, _, err = featsim("inspect", trace.parent)
    assert code == 2 and "name one of standard-seed-000.npz" in err


def test_levels_that_a_theory_names_are_reported(featsim, tmp_path):
    arrays = {"steps": np.arange(4), "score": np.array([0.0, 0.5, 1.5, 2.0]), "noise": np.zeros((4, 3))}
    axes = {"score": ("step",), "noise": ("step", "sample")}
    trace = Trace(arrays, axes, meta={"levels": {"score": 1.0, "noise": 1.0, "absent": 1.0}})
    path = trace.save(tmp_path / "x.npz")
    code, out, _ = featsim("inspect", path)
    assert code == 0 and "score >= 1: step 2" in out and "noise >= 1: never" in out
    assert "absent" not in out
