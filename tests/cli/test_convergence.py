"""The convergence theory through the same commands as the others: no command knows it by name."""

import json
import math
from pathlib import Path

import pytest

import featsim.cli
from featsim.cli.tables import flat
from featsim.scenarios import scenario_names

NAMES = [name for name in scenario_names() if name.startswith("convergence/")]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_run_evaluated_and_inspected(featsim, tmp_path, name):
    words = ["run", name, "--training", "adversarial", "--out", tmp_path, "--quiet", "--json"]
    code, out, err = featsim(*words, "--set", "adversarial.schedule.n_steps=3")
    assert code == 0, err
    (run,) = json.loads(out)["runs"]
    assert run["status"] == "completed"
    (evaluation,) = run["evaluation"]
    assert 0.0 <= evaluation["robust_accuracy"] <= evaluation["clean_accuracy"] <= 1.0
    code, out, err = featsim("inspect", tmp_path / "adversarial-seed-000.npz", "--plot", tmp_path / "a.png")
    assert code == 0, err
    assert "attacked_loss" in out and (tmp_path / "a.png").stat().st_size > 10_000
    if "ball_radius" in out:
        shown = out.partition("schedule.ball_radius")[2].split()[0]
        assert math.isinf(json.loads(shown)) or json.loads(shown) > 0.0


def test_claims_are_judged_and_written(featsim, tmp_path):
    code, out, _ = featsim("claims", "--theory", "convergence", "--id", "C9", "--quick", "--out", tmp_path)
    assert code == 0 and "REPRODUCED" in out
    (claim,) = json.loads((tmp_path / "claims.json").read_text())["claims"]
    assert claim["id"] == "convergence/C9" and claim["verdict"] == "reproduced"


def test_commands_do_not_know_theories():
    for source in Path(featsim.cli.__file__).parent.glob("*.py"):
        code = [line for line in source.read_text().splitlines() if "convergence" in line.lower()]
        assert not code, f"{source.name}: {code}"


def test_numbers_that_json_cannot_write_are_decoded():
    assert dict(flat({"a": {"float": "inf"}, "b": {"c": 1, "d": {}}})) == {"a": math.inf, "b.c": 1, "b.d": {}}
