"""Figures on real images: the option that names the set, and the driver of all sets."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture(autouse=True)
def scripts_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def test_every_setting_has_a_configuration():
    figure = importlib.import_module("_figure")
    driver = importlib.import_module("figures_images")
    for setting, (_, figures) in driver.JOBS.items():
        for name in figures:
            stem = f"plot_{name}" if (EXPERIMENTS / f"plot_{name}.py").is_file() else name
            module = importlib.import_module(stem)
            assert setting in module.IMAGES
            texts = {
                json.dumps(figure.plain_json(module.configuration(s, setting), "c")) for s in figure.SIZES
            }
            assert len(texts) == len(figure.SIZES)
            assert len(module.configuration("default", setting)["seeds"]) >= 5


def test_absent_sets_are_named_and_nothing_is_drawn(tmp_path):
    command = [sys.executable, str(EXPERIMENTS / "figures_images.py"), "--data", str(tmp_path)]
    folders = ["--figures", str(tmp_path / "f"), "--results", str(tmp_path / "r")]
    done = subprocess.run([*command, *folders], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for name in ("mnist", "fashion-mnist", "cifar10", "svhn"):
        assert f"{name}: no files in {tmp_path}; `featsim data fetch {name}` gets them" in done.stderr
    assert "0 figures" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_all_sets_at_test_size(tmp_path, shared_data):
    command = [sys.executable, str(EXPERIMENTS / "figures_images.py"), "--data", str(shared_data), "--quick"]
    folders = ["--figures", str(tmp_path / "f"), "--results", str(tmp_path / "r")]
    only = ["--only", "mnist14", "--only", "svhn"]
    done = subprocess.run([*command, *folders, *only], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = {path.stem for path in (tmp_path / "f").glob("*.png")}
    assert {
        "images_features-mnist14",
        "images_lazy-mnist14",
        "images_overfitting",
        "images_digits-svhn",
    } <= names
