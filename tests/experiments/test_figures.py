"""Figure scripts: arguments, kept results, and each script at a size that takes a moment."""

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
NAMES = sorted(path.stem for path in EXPERIMENTS.glob("plot_*.py"))


@pytest.fixture(autouse=True)
def scripts_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def call(module, monkeypatch, tmp_path, *options, **functions):
    """Run a script's main function in this process; `functions` replace its own."""
    figure = importlib.import_module("_figure")
    folders = ["--figures", str(tmp_path / "figures"), "--results", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", [module.__file__, *folders, *options])
    parts = [functions.get(name, getattr(module, name)) for name in ("configuration", "compute", "draw")]
    return figure.run_figure(module.__file__, *parts)


@pytest.mark.parametrize("name", NAMES)
def test_every_script_says_what_it_shows(name):
    docstring = ast.get_docstring(ast.parse((EXPERIMENTS / f"{name}.py").read_text(encoding="utf-8")))
    title, blank, *body = docstring.splitlines()
    assert len(title) <= 105
    assert title.endswith(".")
    assert blank == ""
    assert len(body) >= 3
    assert ".. [" not in docstring


@pytest.mark.parametrize("name", NAMES)
def test_bands_say_what_they_are(name):
    """Bands are drawn by functions that name them, or have a name in the legend."""
    for call in ast.walk(ast.parse((EXPERIMENTS / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "fill_between":
            assert "label" in {keyword.arg for keyword in call.keywords}


@pytest.mark.parametrize("name", NAMES)
def test_configurations_are_json_and_differ_by_size(name):
    figure = importlib.import_module("_figure")
    module = importlib.import_module(name)
    texts = {json.dumps(figure.plain_json(module.configuration(size))) for size in figure.SIZES}
    assert len(texts) == len(figure.SIZES)


def test_result_is_kept_and_drawn_again(monkeypatch, tmp_path, capsys):
    module = importlib.import_module("plot_structured_data_order_of_events")
    plotting = importlib.import_module("featsim.plotting")
    calls = []

    def compute(config, jobs):
        calls.append(jobs)
        return {"x": np.arange(3.0)}

    def draw(arrays, config):
        figure = plotting.new_figure(2.0)
        plotting.draw_theory(figure.subplots(), arrays["x"], arrays["x"])
        return figure

    def run(*options):
        assert call(module, monkeypatch, tmp_path, *options, compute=compute, draw=draw) == 0

    run("--quick", "--jobs", "1")
    pictures = [
        tmp_path / "figures" / f"structured_data_order_of_events.{ending}" for ending in ("png", "pdf")
    ]
    first = [picture.read_bytes() for picture in pictures]
    for picture in pictures:
        picture.unlink()
    run("--quick", "--jobs", "1")
    assert calls == [1]
    assert [picture.read_bytes() for picture in pictures] == first
    assert "up to date" in capsys.readouterr().err
    # Another size, a damaged result, or a result older than the sources is computed again.
    run("--jobs", "1")
    result = tmp_path / "results" / "structured_data_order_of_events.npz"
    result.write_bytes(result.read_bytes()[:-100])
    run("--jobs", "1")
    os.utime(result, (0, 0))
    run("--jobs", "1")
    assert calls == [1, 1, 1, 1]


def few_steps(module, config, jobs):
    """Compute with two seeds and few steps."""
    scenario = importlib.import_module("featsim.specs").spec_from_dict(config["scenario"])
    small = scenario.with_settings({"standard.schedule.n_steps": 40, "adversarial.schedule.n_steps": 60})
    small_config = {"figure": "test", **config, "scenario": small.to_dict(), "seeds": [0, 1]}
    return module.compute(small_config, jobs)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("plot_structured_data_side")])
def test_simulation_follows_the_recursion(name):
    module = importlib.import_module(name)
    config = importlib.import_module("_figure").plain_json(module.configuration("quick"))
    arrays = few_steps(module, config, 1)
    for training in ("standard", "adversarial"):
        simulated, predicted = (arrays[f"{training}_{kind}_robust"] for kind in ("simulated", "predicted"))
        assert simulated.shape[0] == 2
        np.testing.assert_allclose(simulated, predicted, rtol=1e-10)
    module.draw(arrays, config)


def test_shares_of_energy_add_up():
    module = importlib.import_module("plot_structured_data_perturbation_directions")
    config = importlib.import_module("_figure").plain_json(module.configuration("quick"))
    arrays = few_steps(module, {**config, "n_records": 4}, 1)
    for training in ("standard", "adversarial"):
        for attack in module.ATTACKS:
            total = sum(arrays[f"{training}_{attack}_{part}"] for part in module.PARTS)
            np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    module.draw(arrays, config)


def test_an_unusable_folder_is_one_message(monkeypatch, tmp_path, capsys):
    module = importlib.import_module("plot_structured_data_order_of_events")
    (tmp_path / "figures").write_text("in the way")
    assert call(module, monkeypatch, tmp_path, "--quick") == 1
    assert "cannot write in the output folder" in capsys.readouterr().err


def test_interruption_writes_nothing(monkeypatch, tmp_path):
    def compute(config, jobs):
        raise KeyboardInterrupt

    module = importlib.import_module("plot_structured_data_order_of_events")
    assert call(module, monkeypatch, tmp_path, "--quick", compute=compute) == 130
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_quick_run(name, tmp_path):
    command = [sys.executable, str(EXPERIMENTS / f"{name}.py"), "--quick"]
    folders = ["--figures", str(tmp_path), "--results", str(tmp_path)]
    root = EXPERIMENTS.parent
    done = subprocess.run([*command, *folders], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    stem = name.removeprefix("plot_")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{stem}.{e}" for e in ("npz", "pdf", "png")]
