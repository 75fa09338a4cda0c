"""The container: names, steps, selection, summary."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from featsim.traces import Trace, TraceError, TraceKeyError


def test_names_and_records(trace, arrays):
    assert list(trace) == list(arrays)
    assert "clean_loss" in trace
    assert "steps" in trace
    assert "loss" not in trace
    assert trace.n_records == 60
    assert trace.steps.tolist() == list(range(60))
    assert trace.final_weights.shape == (3, 4, 2)
    assert trace["robust_coef"].shape == (60, 3, 4)
    assert repr(trace) == "<Trace: completed, 60 records, steps 0..59, 7 arrays>"
    with pytest.raises(TraceKeyError, match=r"no 'loss'; it holds steps, robust_coef, .*final_weights"):
        trace["loss"]
    with pytest.raises(KeyError):
        trace["loss"]


def test_arrays_cannot_be_changed_through_the_trace(trace, arrays):
    with pytest.raises(ValueError, match="read-only"):
        trace["clean_loss"][0] = 1
    with pytest.raises(TypeError):
        trace.arrays["clean_loss"] = arrays["clean_loss"]
    arrays["clean_loss"][0] = 1  # what the caller owns stays writeable


def test_standard_names_need_no_axes():
    trace = Trace({"steps": [0, 5], "robust_coef": np.zeros((2, 3, 4)), "nonrobust_share": np.ones((2, 3))})
    assert trace.axes["robust_coef"] == ("step", "class", "neuron")
    assert trace.axes["nonrobust_share"] == ("step", "class")
    with pytest.raises(TraceError, match="axes must name the axes of clean_loss"):
        Trace({"steps": [0], "clean_loss": [1.0]})


@pytest.mark.parametrize(
    ("arrays", "axes", "message"),
    [
        ({"a": [1.0]}, {"a": ("step",)}, "must contain 'steps'"),
        ({"steps": [0, 1], "a": [1.0]}, {"a": ("step",)}, "a has 1 entries along 'step', but steps has 2"),
        ({"steps": [0], "a": [1.0]}, {"a": ("step", "class")}, r"a must have axes \('step', 'class'\)"),
        ({"steps": [0], "a": [[1.0]]}, {"a": ("step", "step")}, "axes of a must be distinct"),
        ({"steps": [0, 0]}, {}, "steps must increase strictly"),
        ({"steps": [3, 1]}, {}, "steps must increase strictly"),
        ({"steps": [0.0, 1.0]}, {}, "steps must hold integers"),
        ({"steps": [0], "a": np.array([None])}, {"a": ("step",)}, "a must hold numbers.*object"),
        ({"steps": [0], "a b": [1.0]}, {"a b": ("step",)}, "array name must be letters"),
        ({"steps": [0], "__featsim__": [1.0]}, {"__featsim__": ("step",)}, "array name must be"),
    ],
)
def test_unfitting_arrays_are_refused(arrays, axes, message):
    with pytest.raises(TraceError, match=message):
        Trace(arrays, axes)


def test_unfitting_words_are_refused():
    with pytest.raises(TraceError, match="status must be one of running, completed.*'done'"):
        Trace({"steps": [0]}, status="done")
    with pytest.raises(TypeError, match=r"meta\.a\[1\] must be JSON data.*ndarray"):
        Trace({"steps": [0]}, meta={"a": [1, np.zeros(2)]})


def test_words_are_kept_as_plain_json():
    trace = Trace({"steps": [0]}, meta={"a": (np.float64(1.5), np.int64(2), math.inf, np.bool_(True), None)})
    assert trace.meta == {"a": [1.5, 2, "inf", True, None]}
    assert [type(item) for item in trace.meta["a"]] == [float, int, str, bool, type(None)]


def test_pickle(trace, same):
    same(pickle.loads(pickle.dumps(trace)), trace)


def test_at_and_weights_at(trace, arrays):
    found = trace.at(20)
    assert set(found) == {"robust_coef", "nonrobust_coef", "clean_loss", "weights"}
    np.testing.assert_array_equal(found["robust_coef"], arrays["robust_coef"][20])
    np.testing.assert_array_equal(found["weights"], arrays["weights"][1])
    assert "weights" not in trace.at(21)
    np.testing.assert_array_equal(trace.weights_at(40), arrays["weights"][2])
    with pytest.raises(TraceKeyError, match="no weights at step 41; stored at: 0, 20, 40. Recording"):
        trace.weights_at(41)
    every_tenth = trace.select(steps=slice(None, None, 10))
    with pytest.raises(TraceKeyError, match="no record at step 37; the nearest: 30 and 40"):
        every_tenth.at(37)
    with pytest.raises(TraceKeyError, match="no record at step 99; the nearest: 50$"):
        every_tenth.at(99)
    with pytest.raises(TraceKeyError, match="no records yet"):
        Trace({"steps": np.empty(0, int)}).at(0)
    with pytest.raises(TraceKeyError, match="stored at: none"):
        Trace({"steps": [0]}).weights_at(0)


def test_select_entries(trace, arrays):
    part = trace.select("robust_coef", classes=2, neurons=[3, 0], steps=slice(10, 20, 5))
    assert set(part) == {"steps", "robust_coef", "classes", "neurons"}
    assert part.steps.tolist() == [10, 15]
    np.testing.assert_array_equal(part["robust_coef"], arrays["robust_coef"][[10, 15]][:, [2]][:, :, [3, 0]])
    assert (part.spec, part.meta, part.status) == (trace.spec, trace.meta, trace.status)
    # Labels survive: a class keeps its number, and is selected by it.
    again = part.select(classes=[2], neurons=0)
    np.testing.assert_array_equal(again["robust_coef"][:, 0, 0], arrays["robust_coef"][[10, 15], 2, 0])
    with pytest.raises(TraceKeyError, match="classes must be among 2, got 0"):
        part.select(classes=0)


def test_select_steps_is_by_value_and_keeps_their_weights(trace):
    sparse = trace.select(steps=[40, 0, 41])
    assert sparse.steps.tolist() == [0, 40, 41]
    assert sparse["weight_steps"].tolist() == [0, 40]
    assert sparse["final_weights"].shape == (3, 4, 2)
    assert sparse.select(steps=slice(1, 41)).steps.tolist() == [40]
    assert sparse.select("weights", steps=41)["weights"].shape == (0, 3, 4, 2)
    assert trace.select(neurons=slice(1, None)).final_weights.shape == (3, 3, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["robust_coef", "nope"]}, "no 'nope'; it holds steps"),
        ({"classes": 3}, r"classes must be among 0\.\.2, got 3"),
        ({"classes": -1}, r"classes must be among 0\.\.2, got -1"),
        ({"neurons": [0, 4]}, r"neurons must be among 0\.\.3, got 4"),
        ({"neurons": [1, 1]}, "neurons must not repeat"),
        ({"neurons": []}, "neurons selects nothing"),
        ({"classes": slice(5, 9)}, r"classes selects nothing.*there are 0\.\.2"),
        ({"steps": 60}, r"steps must be among 0\.\.59, got 60"),
        ({"steps": [0, 100]}, r"steps must be among 0\.\.59, got 100"),
        ({"steps": slice(100, None)}, r"steps selects nothing.*there are 0\.\.59"),
        ({"steps": slice(10, 0, -1)}, "must go forwards"),
    ],
)
def test_select_what_is_not_there(trace, arguments, message):
    with pytest.raises(TraceKeyError, match=message):
        trace.select(**arguments)


@pytest.mark.parametrize("wanted", [1.5, "0", [True], [0, 1.0]])
def test_select_wants_integers(trace, wanted):
    with pytest.raises(TypeError, match="classes must be an int, a list of ints or a slice"):
        trace.select(classes=wanted)


def test_select_along_an_axis_that_is_absent():
    with pytest.raises(TraceKeyError, match="no axis 'class'; the axes are step"):
        Trace({"steps": [0]}).select(classes=0)


def test_summary(trace, arrays):
    summary = trace.summary()
    assert (summary["status"], summary["message"]) == ("completed", "as planned")
    assert (summary["n_records"], summary["first_step"], summary["last_step"]) == (60, 0, 59)
    assert "steps" not in summary["arrays"]
    last = arrays["robust_coef"][-1]
    described = summary["arrays"]["robust_coef"]
    assert described["shape"] == (60, 3, 4)
    final = described["final"]
    assert (final["count"], final["n_nonfinite"]) == (12, 0)
    for name in ("mean", "min", "max"):
        assert final[name] == getattr(np, name)(last)
    assert final["sd"] == np.std(last)
    assert summary["arrays"]["final_weights"]["final"]["mean"] == 0.5


def test_winners():
    robust = np.zeros((2, 5, 2))
    nonrobust = np.zeros((2, 5, 2))
    robust[:, 0, 1], nonrobust[:, 0, 0] = 3, 2  # robust, neuron 1
    robust[0, 1], nonrobust[1, 1, 1] = 9, 1  # was ahead, lost: only the last record counts
    robust[:, 2], nonrobust[:, 2] = 1, 1  # equal
    robust[:, 3, 0], robust[1, 3, 1] = 1, np.nan
    robust[1, 4, 0] = np.inf
    meta = {"competing": ["robust_coef", "nonrobust_coef"]}
    robust[1, 1] = -5
    trace = Trace({"steps": [0, 7], "robust_coef": robust, "nonrobust_coef": nonrobust}, meta=meta)
    found = trace.summary()["winners"]
    assert [(w["winner"], w["neuron"]) for w in found] == [
        ("robust_coef", 1),
        ("nonrobust_coef", 1),
        (None, None),
        (None, None),
        (None, None),
    ]
    assert found[0]["largest"] == {"robust_coef": 3.0, "nonrobust_coef": 2.0}
    part = trace.select(classes=[1], neurons=[1]).summary()["winners"]
    assert [(w["class"], w["neuron"]) for w in part] == [(1, 1)]
    assert trace.summary()["arrays"]["robust_coef"]["final"]["n_nonfinite"] == 2


def test_summary_without_records_or_competitors(trace):
    empty = Trace({"steps": np.empty(0, int)}, status="running", meta=trace.meta).summary()
    assert (empty["n_records"], empty["first_step"], empty["winners"]) == (0, None, [])
    assert trace.select("robust_coef").summary()["winners"] == []
    nothing = Trace({"steps": np.empty(0, int), "text": np.empty(0, "U3")}, {"text": ("step",)}).summary()
    assert nothing["arrays"]["text"]["final"] is None


def test_long_lists_of_steps_are_described_shortly():
    trace = Trace({"steps": np.arange(0, 1000, 7)})
    with pytest.raises(TraceKeyError, match="steps must be among 143 values from 0 to 994, got 1$"):
        trace.select(steps=1)
    with pytest.raises(TraceKeyError, match="steps must be among 0, 7, 14, got 1$"):
        trace.select(steps=slice(0, 15)).select(steps=1)
