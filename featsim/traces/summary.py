"""A trace in numbers: what was recorded, where it ended, which feature won, when levels were reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.traces.axes import COORDINATES
from featsim.traces.npz import Array

if TYPE_CHECKING:
    from featsim.traces.trace import Trace


def summarise(trace: Trace) -> dict[str, Any]:
    """Summarise a trace.

    Parameters
    ----------
    trace : Trace
        Any trace, also of a run that goes on.

    Returns
    -------
    dict
        `status`, `message`, `n_records`, `first_step`, `last_step` (None without
        records), `arrays`, `winners`, `passages`. `arrays` maps each name to its `shape`, `axes`,
        `dtype`, and `final`: count, mean, sd, min and max over the finite entries of the
        last record (over the whole array without a step axis), and `n_nonfinite`; of an array that
        ``meta["nominal"]`` names, whose numbers are only names, `n_different` instead of statistics.
        `winners` has a dict per class: `class`, `winner` (the competing array with
        the largest entry at the last record; None if equal or not finite),
        `neuron` (where), and `largest` (the largest entry of each). `passages` has a dict
        per quantity that has a level to reach: see :func:`passages`.
    """
    nominal = trace.meta.get("nominal", [])
    arrays = {
        name: {
            "shape": trace[name].shape,
            "axes": trace.axes[name],
            "dtype": str(trace[name].dtype),
            "final": _final(trace[name], trace.axes[name], name in nominal),
        }
        for name in trace
        if name not in COORDINATES.values()
    }
    recorded = trace.n_records > 0
    return {
        "status": trace.status,
        "message": trace.message,
        "n_records": trace.n_records,
        "first_step": int(trace.steps[0]) if recorded else None,
        "last_step": int(trace.steps[-1]) if recorded else None,
        "arrays": arrays,
        "winners": winners(trace),
        "passages": passages(trace),
    }


def run_title(trace: Trace) -> str:
    """Return scenario, training and seed, as far as the trace names them.

    Parameters
    ----------
    trace : Trace
        Any trace.

    Returns
    -------
    str
        Such as ``"cgro/A, adversarial, seed 3"``; empty if it names none.
    """
    words = [str(trace.spec[name]) for name in ("scenario", "training") if trace.spec.get(name)]
    if trace.spec.get("seed") is not None:
        words.append(f"seed {trace.spec['seed']}")
    return ", ".join(words)


def _final(array: Array, axes: tuple[str, ...], nominal: bool) -> dict[str, Any] | None:
    """Return statistics of the last record, None where there is none or it is text."""
    if array.dtype.kind not in "biuf":
        return None
    if axes[:1] in (("step",), ("weight_step",)):
        array = array[-1:]
    values = array.astype(np.float64).reshape(-1)
    finite = values[np.isfinite(values)]
    if not values.size:
        return None
    statistics: dict[str, Any] = {"count": int(finite.size), "n_nonfinite": int(values.size - finite.size)}
    if nominal:
        return {**statistics, "n_different": int(np.unique(finite).size)}
    for name, function in (("mean", np.mean), ("sd", np.std), ("min", np.min), ("max", np.max)):
        statistics[name] = float(function(finite)) if finite.size else None
    return statistics


def winners(trace: Trace) -> list[dict[str, Any]]:
    """Return, for each class, which of the arrays in ``meta["competing"]`` is largest at the end.

    Parameters
    ----------
    trace : Trace
        Names in ``meta["competing"]`` without axes (step, class, neuron) are left out.

    Returns
    -------
    list of dict
        See :func:`summarise`; empty with fewer than two competing arrays or no records.
    """
    names = trace.meta.get("competing", [])
    names = [name for name in names if trace.axes.get(name) == ("step", "class", "neuron")]
    if len(names) < 2 or not trace.n_records or not trace[names[0]].size:
        return []
    table = np.stack([trace[name][-1] for name in names])  # (competing, class, neuron)
    largest = table.max(axis=2)
    classes, neurons = trace.labels("class"), trace.labels("neuron")
    result = []
    for k in range(table.shape[1]):
        column = largest[:, k]
        best = int(np.argmax(column))
        clear = bool(np.isfinite(column).all()) and int(np.sum(column == column[best])) == 1
        result.append(
            {
                "class": int(classes[k]),
                "winner": names[best] if clear else None,
                "neuron": int(neurons[np.argmax(table[best, k])]) if clear else None,
                "largest": {name: float(value) for name, value in zip(names, column, strict=True)},
            }
        )
    return result


def passages(trace: Trace) -> list[dict[str, Any]]:
    """Return when the quantities of ``meta["levels"]`` first reached their levels.

    Parameters
    ----------
    trace : Trace
        ``meta["levels"]`` maps names of arrays over steps to numbers.

    Returns
    -------
    list of dict
        `quantity`, `level`, `step`: the first recorded step at the level or above, None if there is none;
        of an array with further axes the median over its entries, one that never gets there being last.
    """
    result = []
    for name, level in trace.meta.get("levels", {}).items():
        if trace.axes.get(name, ())[:1] != ("step",) or not trace.n_records or not trace[name].size:
            continue
        reached = trace[name].reshape(trace.n_records, -1) >= level
        first = np.where(reached.any(axis=0), trace.steps[reached.argmax(axis=0)], np.inf)
        with np.errstate(invalid="ignore"):  # the mean of two infinities
            step = float(np.median(first))
        result.append({"quantity": name, "level": level, "step": step if np.isfinite(step) else None})
    return result
