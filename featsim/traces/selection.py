"""Parts of a trace, chosen by name, class, neuron and step."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from featsim.traces.axes import COORDINATES
from featsim.traces.files import TraceKeyError
from featsim.traces.npz import Array

if TYPE_CHECKING:
    from featsim.traces.trace import Trace

Indices = int | Sequence[int] | slice | npt.NDArray[np.int64]


def _integers(name: str, wanted: Any) -> list[int]:
    values = np.atleast_1d(wanted).tolist() if isinstance(wanted, np.ndarray) else wanted
    values = list(values) if isinstance(values, (list, tuple, range)) else [values]
    try:
        if any(isinstance(value, bool) for value in values):
            raise TypeError
        return [operator.index(value) for value in values]
    except TypeError:
        raise TypeError(f"{name} must be an int, a list of ints or a slice, got {wanted!r}") from None


def _describe(labels: Array) -> str:
    if labels.size > 1 and np.all(np.diff(labels) == 1):
        return f"{labels[0]}..{labels[-1]}"
    if labels.size <= 12:
        return ", ".join(str(label) for label in labels) or "none"
    return f"{labels.size} values from {labels[0]} to {labels[-1]}"


def _positions(name: str, wanted: Any, labels: Array) -> npt.NDArray[np.intp]:
    """Return where the wanted labels are, in the order asked for."""
    where = {int(label): i for i, label in enumerate(labels)}
    found = []
    for value in _integers(name, wanted):
        if value not in where:
            raise TraceKeyError(f"{name} must be among {_describe(labels)}, got {value}")
        found.append(where[value])
    return _not_empty(name, np.asarray(found, dtype=np.intp), wanted, labels)


def _not_empty(name: str, found: npt.NDArray[np.intp], wanted: Any, labels: Array) -> npt.NDArray[np.intp]:
    if not found.size:
        raise TraceKeyError(f"{name} selects nothing with {wanted!r}; there are {_describe(labels)}")
    if np.unique(found).size != found.size:
        raise TraceKeyError(f"{name} must not repeat an entry, got {wanted!r}")
    return found


def _in_slice(wanted: slice, labels: Array) -> npt.NDArray[np.intp]:
    """Return the positions of the labels in a slice of values, not of positions."""
    if wanted.step is not None and wanted.step < 1:
        raise TraceKeyError(f"a slice of steps must go forwards, got {wanted!r}")
    start = 0 if wanted.start is None else wanted.start
    inside = labels >= start
    if wanted.stop is not None:
        inside &= labels < wanted.stop
    if wanted.step is not None:
        inside &= (labels - start) % wanted.step == 0
    return np.flatnonzero(inside)


def _chosen_steps(trace: Trace, wanted: Any) -> dict[str, npt.NDArray[np.intp]]:
    weight_steps = trace.arrays.get("weight_steps", np.empty(0, np.int64))
    if isinstance(wanted, slice):
        records = _not_empty("steps", _in_slice(wanted, trace.steps), wanted, trace.steps)
        return {"step": records, "weight_step": _in_slice(wanted, weight_steps)}
    # Sorted, since the steps of a trace increase.
    records = np.sort(_positions("steps", wanted, trace.steps))
    return {"step": records, "weight_step": np.flatnonzero(np.isin(weight_steps, trace.steps[records]))}


def _chosen(trace: Trace, name: str, axis: str, wanted: Any) -> npt.NDArray[np.intp]:
    labels = trace.labels(axis)
    if isinstance(wanted, slice):
        return _not_empty(name, np.arange(labels.size)[wanted], wanted, labels)
    return _positions(name, wanted, labels)


def select(
    trace: Trace, names: Any = None, *, classes: Any = None, neurons: Any = None, steps: Any = None
) -> Trace:
    """Return part of a trace; :meth:`Trace.select` documents the arguments."""
    arrays = dict(trace.arrays)
    axes = dict(trace.axes)
    chosen: dict[str, npt.NDArray[np.intp]] = {} if steps is None else _chosen_steps(trace, steps)
    for name, axis, wanted in (("classes", "class", classes), ("neurons", "neuron", neurons)):
        if wanted is not None:
            chosen[axis] = _chosen(trace, name, axis, wanted)
            arrays[name], axes[name] = trace.labels(axis), (axis,)
    if names is not None:
        kept = [names] if isinstance(names, str) else list(names)
        for name in kept:
            trace[name]  # raises, listing the names, if there is none
        used = {axis for name in kept for axis in trace.axes[name]}
        kept += [COORDINATES[axis] for axis in used if axis in COORDINATES]
        arrays = {name: array for name, array in arrays.items() if name in kept or name == "steps"}
    for name in arrays:
        for position, axis in enumerate(axes[name]):
            if axis in chosen:
                arrays[name] = np.take(arrays[name], chosen[axis], axis=position)
    return dataclasses.replace(trace, arrays=arrays, axes={name: axes[name] for name in arrays})


def record_at(trace: Trace, step: int) -> dict[str, Any]:
    """Return the record of one step; :meth:`Trace.at` documents it."""
    step = operator.index(step)
    position = int(np.searchsorted(trace.steps, step))
    if position == trace.n_records or trace.steps[position] != step:
        nearest = " and ".join(str(s) for s in trace.steps[max(position - 1, 0) : position + 1])
        raise TraceKeyError(
            f"no record at step {step}; " + (f"the nearest: {nearest}" if nearest else "no records yet")
        )
    record: dict[str, Any] = {
        name: trace[name][position] for name in trace if name != "steps" and trace.axes[name][:1] == ("step",)
    }
    if "weights" in trace and step in trace["weight_steps"]:
        record["weights"] = trace.weights_at(step)
    return record
