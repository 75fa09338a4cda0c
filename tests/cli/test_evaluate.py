"""Evaluating and certifying the weights of a trace."""

import json

import pytest

from featsim import Threat, load_trace, robustness
from featsim.models import trained_model
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict


@pytest.fixture
def trace(small_run, tmp_path):
    """The file of a finished trace, with the weights of steps 0 and 3."""
    small_run("--training", "standard", "--out", tmp_path / "runs", "--weights-at", "0,3")
    return tmp_path / "runs" / "standard-seed-000.npz"


def test_the_interval_is_that_of_the_library(featsim, trace):
    words = ("--threat", "l2-patch", "--radius", "0.1")
    code, out, err = featsim("evaluate", trace, *words)
    assert (code, err) == (0, "")
    assert "TwoLayerNetwork against l2 radius 0.1 per patch" in out and "the last weights" in out
    assert "robust accuracy in [" in out and "certificate (tangent/chord)" in out
    found = json.loads(featsim("evaluate", trace, *words, "--json")[1])
    stored = load_trace(trace)
    model = trained_model(spec_from_dict(stored.spec["model"]), stored)
    data, _ = (
        get_scenario("structured-data/S1")
        .replace(data=spec_from_dict(stored.spec["data"]), n_samples=found["n_samples"])
        .problem(0)
    )
    again = robustness(model, data, Threat(radius=0.1))
    assert found["certified_accuracy"] == again.interval[0]
    assert found["attacked_accuracy"] == again.interval[1]
    assert 0.0 <= found["certified_accuracy"] <= found["attacked_accuracy"] <= found["clean_accuracy"]


def test_a_step_fresh_samples_and_masking(featsim, trace):
    words = ("--at", "3", "--threat", "l2-input", "--radius", "0.2", "--test-samples", "8", "--masking")
    code, out, _ = featsim("evaluate", trace, *words, "--seconds", "0")
    assert code == 0
    assert "the weights of step 3" in out and ", 8 samples" in out and "masking tests" in out
    assert "branch and bound" not in out
    found = json.loads(featsim("evaluate", trace, *words[:6], "--samples", "2", "--json")[1])
    assert found["n_samples"] == 2 and found["step"] == 3


def test_certify(featsim, trace):
    code, out, _ = featsim("certify", trace, "--threat", "own", "--radius", "0.05", "--seconds", "5")
    assert code == 0
    assert "certificate (tangent/chord)" in out and "certificate (branch and bound)" in out
    words = ("--threat", "linf-input", "--radius", "0.01", "--json", "--at", "0")
    found = json.loads(featsim("certify", trace, *words)[1])
    lines, branch = found["certificates"]
    assert lines["certificate"] == "tangent/chord" and branch["certificate"] == "branch and bound"
    assert lines["certified_accuracy"] <= branch["certified_accuracy"]
    assert sum(branch["ended"].values()) == branch["n_samples"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--threat", "l2", "--radius", "0.1"), "unknown threat 'l2'; did you mean"),
        (("--threat", "own", "--radius", "-1"), "radius must be >= 0, got -1"),
        (("--threat", "own", "--radius", "0.1", "--at", "5"), "no weights at step 5"),
        (
            ("--threat", "signal", "--radius", "0.1"),
            "subspace 'signal' must come with",
        ),
        (("--threat", "own", "--radius", "0.1", "--seconds", "-1"), "--seconds must be >= 0"),
        (("--threat", "cap", "--radius", "0.1"), "caps"),
        (("--threat", "own"), "--radius"),
    ],
)
def test_errors_are_one_line(featsim, trace, words, message):
    for command in ("evaluate", "certify"):
        code, out, err = featsim(command, trace, *words)
        assert code == 2 and out == ""
        assert message in err and err.count("\n") == 1
