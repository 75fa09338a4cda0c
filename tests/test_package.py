"""The package as a whole: cheap to import, complete, and honest about versions."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import featsim
from featsim.versions import full_report

ROOT = Path(__file__).resolve().parents[1]


def run_python(code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_import_is_fast_and_light() -> None:
    code = (
        "import json, sys, time; start = time.process_time(); import featsim; "
        "seconds = time.process_time() - start; print(json.dumps([seconds, sorted(sys.modules)]))"
    )
    runs = [json.loads(run_python(code)) for _ in range(3)]
    # The best of three: the first run may read cold files. Of computing: other tests run beside.
    assert min(seconds for seconds, _ in runs) < 0.5
    heavy = {"numba", "scipy", "matplotlib", "matplotlib.pyplot", "joblib", "xarray", "pooch"}
    assert not heavy.intersection(runs[0][1])


def loaded_after(code: str) -> set[str]:
    """Return the modules that a program has loaded at its end."""
    return set(json.loads(run_python(f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))")))


TRAINS = """
import numpy as np
from featsim import PatchDataSpec, Schedule, TwoLayerSpec, sample_patches, train
rng = np.random.default_rng(0)
data = sample_patches(PatchDataSpec(), n_samples=4, rng=rng)
train(TwoLayerSpec(), data, schedule=Schedule(n_steps=2), rng=rng)
"""


def test_a_training_loads_only_its_own_kernels_and_no_theory() -> None:
    # Each of these was, or would be, a tenth of a second and more before the first step.
    loaded = loaded_after(TRAINS)
    assert "featsim.kernels.patch_network" in loaded
    heavy = {"scipy.special", "scipy.optimize", "scipy.stats", "scipy.spatial", "scipy.sparse", "matplotlib"}
    assert not loaded.intersection({*heavy, "joblib", "torch", "jax", "featsim.theory", "featsim.evaluation"})
    steppers = {name for name in loaded if name.endswith("_stepper")}
    assert steppers == {"featsim.training.patch_stepper"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"]])
def test_help_loads_neither_numpy_nor_numba(words: list[str]) -> None:
    quiet = "with contextlib.redirect_stdout(io.StringIO()): "
    code = f"import contextlib, io, featsim.cli\n{quiet}featsim.cli.main({words})"
    assert not loaded_after(code).intersection({"numpy", "numba", "scipy", "matplotlib", "joblib"})


@pytest.mark.parametrize("name", featsim.__all__)
def test_public_names_load(name: str) -> None:
    assert getattr(featsim, name) is not None
    assert name in dir(featsim)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        featsim.no_such_name  # noqa: B018


def test_version_is_the_same_everywhere() -> None:
    assert featsim.__version__ == metadata.version("featsim"), "stale installation; run `make env`"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == featsim.__version__
    assert featsim.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_version_report() -> None:
    report = featsim.version_report()
    assert list(report) == ["featsim", "python", "numpy", "scipy", "numba", "llvmlite", "blas", "os", "cpu"]
    assert report["numpy"] == metadata.version("numpy")
    assert all(isinstance(value, str) and value for value in report.values())
    report["numpy"] = "changed"
    assert featsim.version_report()["numpy"] == metadata.version("numpy")


def test_version_report_ignores_import_order_and_threads() -> None:
    code = "{}; import featsim, json; print(json.dumps(featsim.version_report()))"
    first = run_python(code.format("import scipy.linalg, numba"))
    second = run_python(code.format("import threadpoolctl; threadpoolctl.threadpool_limits(1)"))
    assert json.loads(first) == json.loads(second) == featsim.version_report()


def test_full_report_adds_what_traces_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    report = full_report()
    assert report.items() >= featsim.version_report().items()
    assert report["matplotlib"] == metadata.version("matplotlib")
    assert report["threads OPENBLAS_NUM_THREADS"] == "1"
    assert "processors" in report["threads"]


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_as_it_was_after_a_name_is_loaded(collects: bool) -> None:
    before = "" if collects else "gc.disable(); "
    code = f"import gc; {before}from featsim import GradientAttack; print(gc.isenabled())"
    assert run_python(code).strip() == str(collects)
    failing = f"import gc; {before}import featsim; print(hasattr(featsim, 'nothing'), gc.isenabled())"
    assert run_python(failing).split() == ["False", str(collects)]
