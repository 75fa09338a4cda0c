"""CSV and xarray."""

from __future__ import annotations

import builtins
import csv
import importlib

import numpy as np
import pytest

from featsim.traces import Trace, TraceError


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_gives_every_number_back(tmp_path, trace):
    rows = read_csv(trace.to_csv(tmp_path / "t.csv"))
    assert [int(row["step"]) for row in rows] == trace.steps.tolist()
    assert len(rows[0]) == 1 + 12 + 12 + 1
    for name in ("robust_coef", "nonrobust_coef"):
        for k in range(3):
            for m in range(4):
                column = [float(row[f"{name}[class={k},neuron={m}]"]) for row in rows]
                np.testing.assert_array_equal(column, trace[name][:, k, m])
    np.testing.assert_array_equal([float(row["clean_loss"]) for row in rows], trace["clean_loss"])


def test_csv_keeps_labels_types_and_values(tmp_path):
    arrays = {
        "steps": [0, 10],
        "robust_coef": np.array([[[0.1, np.nan]], [[np.inf, 5e-324]]]),
        "count": np.array([2**60, -1]),
        "flag": np.array([True, False]),
        "text": np.array(["a,b", 'say "x"']),
    }
    axes = {name: ("step",) for name in ("count", "flag", "text")}
    trace = Trace(arrays, axes).select(neurons=[1])
    rows = read_csv(trace.to_csv(tmp_path / "t.csv"))
    assert list(rows[0]) == ["step", "robust_coef[class=0,neuron=1]", "count", "flag", "text"]
    assert list(rows[0].values()) == ["0", "nan", str(2**60), "True", "a,b"]
    assert list(rows[1].values()) == ["10", "5e-324", "-1", "False", 'say "x"']


def test_csv_of_chosen_names(tmp_path, trace):
    rows = read_csv(trace.to_csv(tmp_path / "t.csv", "clean_loss"))
    assert list(rows[0]) == ["step", "clean_loss"]
    assert list(read_csv(trace.to_csv(tmp_path / "t.csv", ["clean_loss"]))[0]) == ["step", "clean_loss"]
    with pytest.raises(TraceError, match="final_weights has axes"):
        trace.to_csv(tmp_path / "u.csv", ["final_weights"])
    with pytest.raises(TraceError, match="no 'loss'"):
        trace.to_csv(tmp_path / "u.csv", ["loss"])
    with pytest.raises(OSError, match=r"could not write.*absent"):
        trace.to_csv(tmp_path / "absent" / "u.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_xarray_absent_is_said(trace, monkeypatch):
    real = importlib.import_module

    def absent(name, *rest):
        if name == "xarray":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"pip install featsim\[xarray\]"):
        trace.to_xarray()


def test_xarray(trace):
    pytest.importorskip("xarray")
    dataset = trace.select(classes=[2]).to_xarray()
    assert dataset["robust_coef"].dims == ("step", "class", "neuron")
    assert dataset["class"].values.tolist() == [2]
    picked = dataset["robust_coef"].sel({"step": 7, "class": 2}).values
    np.testing.assert_array_equal(picked, trace["robust_coef"][7, 2])
    assert dataset.attrs["status"] == "completed"


class FakeDataset:
    def __init__(self, variables, coords, attrs):
        self.variables, self.coords, self.attrs = variables, coords, attrs


def test_xarray_gets_dimensions_and_coordinates(trace, monkeypatch):
    module = type(builtins)("xarray")
    module.Dataset = FakeDataset
    monkeypatch.setitem(__import__("sys").modules, "xarray", module)
    dataset = trace.select(classes=[2]).to_xarray()
    assert set(dataset.coords) == {"step", "weight_step", "class"}
    assert dataset.coords["class"].tolist() == [2]
    assert "steps" not in dataset.variables
    axes, values = dataset.variables["robust_coef"]
    assert axes == ("step", "class", "neuron")
    np.testing.assert_array_equal(values[:, 0], trace["robust_coef"][:, 2])
    assert '"step_size":0.1' in dataset.attrs["spec"]
