"""The program behind `make figures`: what is out of date, what failed, many figures in one process."""

import importlib
import os
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SCRIPT = """
import sys
from pathlib import Path
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
name = Path(__file__).stem.removeprefix("plot_")
for folder, ending in (("--figures", "png"), ("--figures", "pdf"), ("--results", "npz")):
    if name != "forgetful" or ending != "npz":
        Path(words[folder], f"{name}.{ending}").write_text("drawn")
if name == "wrong":
    raise ValueError("this figure is wrong")
sys.exit(130 if name == "interrupted" else 0)
"""


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.setattr(sys, "argv", sys.argv)  # scripts are handed theirs
    return importlib.import_module("figures")


def jobs(driver, folder, *names):
    """Scripts of these names that write their files, in a folder of their own."""
    for name in names:
        (folder / f"plot_{name}.py").write_text(SCRIPT)
    words = ["--figures", str(folder), "--results", str(folder), "--jobs", "1"]
    return [(folder / f"plot_{name}.py", words, driver.outputs(name, folder, folder)) for name in names]


def test_the_longest_are_figures(driver):
    assert set(driver.LONGEST) <= set(driver.NAMES)
    assert len(driver.NAMES) == len(list(EXPERIMENTS.glob("plot_*.py")))


def test_what_is_missing_empty_or_older_is_out_of_date(driver, tmp_path):
    script = tmp_path / "plot_a.py"
    script.touch()
    files = driver.outputs("a", tmp_path, tmp_path)
    assert driver.is_stale(script, files, 0.0)
    for file in files:
        file.write_text("drawn")
        os.utime(file, (2000, 2000))
    os.utime(script, (1000, 1000))
    assert not driver.is_stale(script, files, 1000.0)
    assert driver.is_stale(script, files, 3000.0)
    os.utime(script, (3000, 3000))
    assert driver.is_stale(script, files, 1000.0)
    os.utime(script, (1000, 1000))
    files[2].write_text("")
    assert driver.is_stale(script, files, 1000.0)
    shared = EXPERIMENTS / "_figure.py"
    assert driver.newest_source() >= shared.stat().st_mtime


def test_status_of_a_script(driver, tmp_path, capsys):
    found = [driver.draw(*job) for job in jobs(driver, tmp_path, "good", "wrong", "forgetful", "interrupted")]
    assert found == [0, 1, 1, 130]
    error = capsys.readouterr().err
    assert "ValueError: this figure is wrong" in error
    assert f"plot_forgetful.py did not write {tmp_path / 'forgetful.npz'}" in error


def test_one_failure_stops_no_other_figure_and_an_interruption_does(driver, tmp_path):
    assert driver.draw_all(jobs(driver, tmp_path, "wrong", "a", "b"), 1) == ["plot_wrong.py"]
    assert (tmp_path / "a.png").is_file() and (tmp_path / "b.npz").is_file()
    with pytest.raises(KeyboardInterrupt):
        driver.draw_all(jobs(driver, tmp_path, "interrupted", "c"), 1)
    assert not (tmp_path / "c.png").exists()


@pytest.mark.slow
def test_two_figures_in_one_process(driver, monkeypatch, tmp_path, capfd):
    names = ("convergence_gap", "convergence_spectrum")
    folders = ["--figures", str(tmp_path / "f"), "--results", str(tmp_path / "r")]
    only = [word for name in names for word in ("--only", name)]
    monkeypatch.setattr(sys, "argv", ["figures.py", *folders, *only, "--quick", "--jobs", "1"])
    assert driver.main() == 0
    assert "2 figures drawn, 0 up to date" in capfd.readouterr().out
    pictures = {f"{name}.{ending}" for name in names for ending in ("png", "pdf")}
    assert {path.name for path in (tmp_path / "f").iterdir()} == pictures
    assert driver.main() == 0
    assert "0 figures drawn, 2 up to date" in capfd.readouterr().out
