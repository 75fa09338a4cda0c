import json
import re
from pathlib import Path

import numpy as np
import pytest

from featsim import get_scenario, load_trace, resume, version_report
from featsim.cli import report, runs, tables
from featsim.training import Recording


def test_table_of_all_trainings_and_attacks(small_run):
    code, out, err = small_run("--seeds", 2, evaluation=True)
    assert (code, err) == (0, "")
    for heading in ("standard: seeds 0 to 1, 2 completed", "adversarial: seeds 0 to 1, 2 completed"):
        assert heading in out
    for name in ("clean_loss", "robust_coef (largest of a class)", "classes won by nonrobust_coef", "+-"):
        assert name in out
    for attack in get_scenario("structured-data/S1").evaluations:
        assert f"  {attack.label} " in out
    assert "l2 0.35 per patch" in out
    assert re.search(r"\d+ of 8", out), "samples with a dead gradient, over both seeds"
    assert "traces were not kept" in out


def test_printed_numbers_are_those_of_the_traces(small_run, tmp_path):
    code, out, _ = small_run("--training", "standard", "--seeds", 3, "--out", tmp_path)
    assert code == 0
    traces = [load_trace(tmp_path / f"standard-seed-00{seed}.npz") for seed in range(3)]
    losses = [trace["clean_loss"][-1] for trace in traces]
    row = next(line for line in out.splitlines() if line.strip().startswith("clean_loss"))
    mean, sd = (float(word) for word in row.split()[1::2])
    assert mean == pytest.approx(np.mean(losses), rel=1e-4)
    assert sd == pytest.approx(np.std(losses, ddof=1), rel=1e-4)
    largest = np.mean([trace["robust_coef"][-1].max(axis=1).mean() for trace in traces])
    row = next(line for line in out.splitlines() if line.strip().startswith("robust_coef"))
    assert float(row.split()[5]) == pytest.approx(largest, rel=1e-4)


def test_same_trace_as_from_python(small_run, tmp_path):
    small_run("--training", "adversarial", "--seed", 7, "--out", tmp_path, "--record-every", 2)
    changes = {"n_nonrobust_patches": 3, "width": 2, "adversarial.schedule.n_steps": 5}
    scenario = get_scenario("structured-data/S1").with_settings(changes)
    trace = scenario.run("adversarial", 7, recording=Recording(every=2))
    stored = load_trace(tmp_path / "adversarial-seed-007.npz")
    assert stored.spec == trace.spec
    for name in trace:
        np.testing.assert_array_equal(stored[name], trace[name])


def test_precision_is_a_setting_of_every_training(small_run, tmp_path):
    code, out, _ = small_run(
        "--precision", "float32", "--json", "--out", tmp_path, "--training", "adversarial"
    )
    assert code == 0
    assert json.loads(out)["scenario"]["trainings"]["adversarial"]["schedule"]["precision"] == "float32"
    stored = load_trace(tmp_path / "adversarial-seed-000.npz")
    assert stored.spec["schedule"]["precision"] == "float32"
    code, _, err = small_run("--out", tmp_path, "--training", "adversarial")
    assert code != 0 and "schedule.precision is 'float32' there, and 'float64' now" in err
    settings = json.loads((tmp_path / "scenario.json").read_text())
    for training in settings["trainings"].values():  # what an older version left
        del training["schedule"]["precision"]
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "scenario.json").write_text(json.dumps(settings))
    assert small_run("--out", tmp_path / "old", "--training", "adversarial")[0] == 0


def test_a_model_without_float32_refuses_it_before_its_folder_has_settings(featsim, tmp_path):
    twice = ("--precision", "float32", "--set", "schedule.precision=float64")
    code, out, err = featsim("run", "structured-data/S1", *twice)
    assert code == 2 and "--precision and --set schedule.precision=... say it twice" in err
    code, out, err = featsim("run", "cgro/cube", "--precision", "float32", "--out", tmp_path)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "precision must be 'float64' for a MemoriserSpec" in err
    assert list(tmp_path.iterdir()) == []


def test_out_holds_traces_and_settings(small_run, tmp_path):
    out = tmp_path / "deep" / "runs"
    code, text, _ = small_run("--seeds", 2, "--out", out)
    assert code == 0 and f"traces are in {out}" in text
    assert sorted(path.name for path in out.iterdir()) == [
        "adversarial-seed-000.npz",
        "adversarial-seed-001.npz",
        "scenario.json",
        "standard-seed-000.npz",
        "standard-seed-001.npz",
    ]
    stored = json.loads((out / "scenario.json").read_text())
    assert stored["data"]["n_nonrobust_patches"] == 3 and stored["recording"]["every"] == 1


def test_again_skips_finished_seeds_and_adds_new_ones(small_run, tmp_path):
    small_run("--seeds", 1, "--out", tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    code, text, _ = small_run("--seeds", 2, "--out", tmp_path)
    assert code == 0 and "2 of 4 were there already" in text
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert (tmp_path / "standard-seed-001.npz").exists()


@pytest.mark.parametrize(
    ("words", "changes", "named"),
    [
        ((), ("init_std=0.03",), "model.init_std is 0.02 there, and 0.03 now"),
        ((), ("n_samples=8",), "n_samples is 4 there, and 8 now"),
        (("--record-every", 2), (), "recording.every is 1 there, and 2 now"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(small_run, tmp_path, words, changes, named):
    small_run("--training", "standard", "--out", tmp_path)
    code, out, err = small_run(
        "--training", "standard", "--seed", 1, "--out", tmp_path, *words, changes=changes
    )
    assert code == 2 and out == ""
    assert err.startswith("featsim: error: ") and err.count("\n") == 1
    assert named in err and "choose another folder" in err
    assert not list(tmp_path.glob("*-001.*")), "refused before any work"


def test_trace_of_other_settings_is_refused_by_its_spec(small_run, tmp_path):
    small_run("--training", "standard", "--out", tmp_path)
    (tmp_path / "scenario.json").unlink()
    code, _, err = small_run("--training", "standard", "--out", tmp_path, changes=("init_std=0.03",))
    assert code == 2 and "standard-seed-000.npz" in err and "model.init_std" in err
    (tmp_path / "standard-seed-000.npz").write_bytes(b"PK not really")
    code, _, err = small_run("--training", "standard", "--out", tmp_path)
    assert code == 2 and "damaged" in err
    (tmp_path / "scenario.json").write_text("{")
    code, _, err = small_run("--training", "standard", "--out", tmp_path)
    assert code == 2 and "scenario.json is damaged" in err


def test_stopped_seed_goes_on(small_run, tmp_path, monkeypatch):
    """A run folder left by a kill is taken up by the same command and by `resume`."""
    small_run("--training", "standard", "--out", tmp_path / "whole")
    monkeypatch.setattr("featsim.training.loop._Run.end", lambda *_: exec("raise KeyboardInterrupt"))
    code, _, err = small_run("--training", "standard", "--out", tmp_path / "cut")
    assert code == 130 and "go on with: featsim run structured-data/S1" in err
    assert (tmp_path / "cut" / "standard-seed-000.run").is_dir()
    monkeypatch.undo()
    code, _, _ = small_run("--training", "standard", "--out", tmp_path / "cut")
    assert code == 0
    whole, cut = (load_trace(tmp_path / name / "standard-seed-000.npz") for name in ("whole", "cut"))
    for name in whole:
        np.testing.assert_array_equal(cut[name], whole[name])
    assert resume(tmp_path / "cut" / "standard-seed-000.npz").status == "completed"


@pytest.mark.slow  # starts processes
def test_parallel_runs_give_the_same_traces(small_run, tmp_path):
    assert small_run("--seeds", 2, "--out", tmp_path / "one")[0] == 0
    code, out, _ = small_run("--seeds", 2, "--jobs", 2, "--out", tmp_path / "two")
    assert code == 0 and "2 completed" in out
    for path in (tmp_path / "one").glob("*.npz"):
        one, two = load_trace(path), load_trace(tmp_path / "two" / path.name)
        np.testing.assert_array_equal(one.final_weights, two.final_weights)


def test_diverged_run_is_reported_with_advice(small_run, tmp_path):
    words = ("--training", "standard", "--out", tmp_path)
    code, out, err = small_run(*words, changes=("step_size=1e308", "robust_strength=1e10"), evaluation=True)
    assert code == 1 and err == ""
    assert "1 diverged" in out and "try step_size below" in out
    assert "evaluation" not in out
    code, again, _ = small_run(*words, changes=("step_size=1e308", "robust_strength=1e10"))
    assert code == 1 and "were there already" in again and "try step_size below" in again


def test_json_parses_and_holds_every_setting(small_run):
    code, out, _ = small_run("--seeds", 2, "--json", "--record-log", 4, evaluation=True)
    result = json.loads(out)
    assert code == 0
    assert result["scenario"]["model"]["width"] == 2 and result["recording"]["n_log"] == 4
    assert [(run["training"], run["seed"]) for run in result["runs"]] == [
        (name, seed) for name in ("standard", "adversarial") for seed in (0, 1)
    ]
    attack = result["runs"][0]["evaluation"][0]
    assert {"attack", "norm", "radius", "budget", "n_dead", "robust_accuracy"} <= set(attack)


def test_values_are_json_or_text(small_run, tmp_path):
    changes = ("noise_off_features=true", "strength_spread=0.1", "roles=permuted", "merge_repeats=False")
    assert small_run("--training", "standard", "--out", tmp_path, changes=changes)[0] == 0
    data = load_trace(tmp_path / "standard-seed-000.npz").spec["data"]
    assert (data["noise_off_features"], data["strength_spread"], data["roles"]) == (True, 0.1, "permuted")


def test_recording_options(small_run, tmp_path):
    options = ("--record-at", "0,3,6", "--record", "clean_loss,robust_coef", "--weights-at", "3")
    assert small_run("--training", "standard", "--out", tmp_path, *options)[0] == 0
    trace = load_trace(tmp_path / "standard-seed-000.npz")
    assert trace.steps.tolist() == [0, 3, 6] and trace["weight_steps"].tolist() == [3]
    assert "clean_loss" in trace and "clean_accuracy" not in trace


def test_fresh_test_samples(small_run):
    code, out, _ = small_run("--training", "standard", "--test-samples", 20, evaluation=True)
    assert code == 0 and "on fresh samples (20 per seed)" in out and "of 20" in out
    code, _, err = small_run("--training", "standard", "--test-samples", 3, evaluation=True)
    assert code == 2 and "n_samples must be a multiple" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["structured-data/S2"], "did you mean structured-data/S1"),
        (["s1"], "did you mean structured-data/S1"),
        (["qqq"], "there are structured-data/S1, "),
        ([], "SCENARIO is missing"),
        (["structured-data/S1", "--training", "adverserial"], "did you mean adversarial?"),
        (["structured-data/S1", "--set", "noise_sd=1"], "did you mean data.noise_std?"),
        (["structured-data/S1", "--set", "noise_std"], "--set must be given KEY=VALUE, got 'noise_std'"),
        (["structured-data/S1", "--set", "noise_std=-1"], "noise_std must be >= 0, got -1"),
        (["structured-data/S1", "--set", "dim=4"], "dim"),
        (["structured-data/S1", "--set", "features=axes"], "features must be one of"),
        (["structured-data/S1", "--set", "n_samples=5"], "n_samples must be a multiple of n_classes"),
        (["structured-data/S1", "--seeds", "0"], "--seeds: must be >= 1, got 0"),
        (["structured-data/S1", "--seeds", "two"], "--seeds: must be an integer, got 'two'"),
        (["structured-data/S1", "--seed", "-1"], "--seed: must be >= 0, got -1"),
        (["structured-data/S1", "--jobs", "0"], "--jobs: must be >= 1, got 0"),
        (["structured-data/S1", "--record-every", "0"], "--record-every: must be >= 1, got 0"),
        (["structured-data/S1", "--record-at", "9999"], "must lie in 0..n_steps"),
        (["structured-data/S1", "--record", "no_such_thing"], "got 'no_such_thing'"),
        (["structured-data/S1", "--record-log", "5", "--record-at", "0"], "not allowed with"),
        (["structured-data/S1", "--out", "trace.npz"], "--out must be a folder"),
        (["structured-data/S1", "--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["structured-data/S1", "--set", f"n_samples={4 * 10**11}"], "; use a smaller n_samples or dim"),
    ],
)
def test_bad_input_is_one_line(featsim, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = featsim("run", *words, "--quiet")
    assert code == 2 and out == ""
    assert err.startswith("featsim: error: ") and err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_unusable_folder_is_an_error_before_any_work(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr("featsim.cli.runs.run_task", lambda _: pytest.fail("worked"))
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "below"):
        code, _, err = small_run("--out", out)
        assert code == 2 and "cannot write in the output folder" in err


def test_full_disk_keeps_the_trace_and_exits_with_1(small_run, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "chunk")

    monkeypatch.setattr("featsim.traces.run_folder.RunFolder.append", full)
    code, out, err = small_run("--training", "standard", "--seeds", 2, "--out", tmp_path)
    assert code == 1 and "2 interrupted" in out and "No space left" in out
    assert "interrupted;" not in err, "the user did not"


def test_progress_in_a_log_is_plain_lines(featsim, monkeypatch):
    monkeypatch.setattr("featsim.training.progress._LOG_SECONDS", 0.0)
    words = ("run", "structured-data/S1", "--training", "standard", "--set", "n_steps=50", "--no-evaluation")
    code, _, err = featsim(*words)
    assert code == 0 and re.search(
        r"^structured-data/S1 standard seed 0: step \d+ of 50(, about .+ left)?$", err, re.MULTILINE
    )
    assert featsim(*words, "--quiet")[2] == ""


def test_a_dead_gradient_is_flagged_beside_the_accuracy():
    row = {
        **{"attack": "A-raw", "norm": "l2", "radius": 0.35, "budget": "per patch", "subspace": None},
        **{"n_samples": 4, "n_dead": 4, "clean_accuracy": 1.0, "robust_accuracy": 1.0, "rule": "raw"},
    }
    outcome = runs.Outcome(
        training="standard", seed=0, status="completed", message="", last_step=1, path=None, new=True,
        values={"clean_loss": 0.5}, evaluation=[row], warned=(),
    )  # fmt: skip
    text = report.as_text(get_scenario("structured-data/S1"), [outcome], None)
    assert "4 of 4 !" in text and "may flatter" in text and "rule=raw" in text


def test_mean_and_sd():
    assert tables.mean_and_sd([]) == (None, None)
    assert tables.mean_and_sd([2.0]) == (2.0, None)
    assert tables.mean_and_sd([1.0, 3.0]) == (2.0, pytest.approx(np.sqrt(2)))
    assert all(np.isnan(value) for value in tables.mean_and_sd([1.0, np.inf]))


def test_versions_are_in_the_traces(small_run, tmp_path):
    small_run("--training", "standard", "--out", tmp_path)
    assert load_trace(Path(tmp_path) / "standard-seed-000.npz").versions == version_report()
