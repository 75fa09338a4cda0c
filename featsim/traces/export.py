"""Traces for other software: CSV and xarray."""

from __future__ import annotations

import csv
import importlib
import io
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featsim.traces.axes import COORDINATES
from featsim.traces.files import TraceError, atomic_write, canonical

if TYPE_CHECKING:
    from featsim.traces.trace import Trace


def column_names(trace: Trace, name: str) -> list[str]:
    """Return a column name for every entry of one record, like ``coef[class=0,neuron=3]``."""
    axes = trace.axes[name][1:]
    if not axes:
        return [name]
    labels = itertools.product(*(trace.labels(axis).tolist() for axis in axes))
    return [
        f"{name}[{','.join(f'{axis}={label}' for axis, label in zip(axes, entry, strict=True))}]"
        for entry in labels
    ]


def to_csv(trace: Trace, path: str | os.PathLike[str], names: Any = None) -> Path:
    """Write one row per step; :meth:`Trace.to_csv` documents the arguments."""
    if names is None:
        names = [name for name in trace if trace.axes[name][:1] == ("step",) and name != "steps"]
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if trace[name].ndim == 0 or trace.axes[name][0] != "step":
            raise TraceError(f"a table has one row per step, but {name} has axes {trace.axes[name]}")
    tables = [trace[name].reshape(trace.n_records, -1) for name in names]
    target = Path(path)
    with atomic_write(target) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["step", *(column for name in names for column in column_names(trace, name))])
        for i, step in enumerate(trace.steps.tolist()):
            writer.writerow([step, *(value for table in tables for value in table[i].tolist())])
        text.flush()
        text.detach()  # the file is closed by whoever opened it
    return target


def to_xarray(trace: Trace) -> Any:
    """Return the trace as an xarray Dataset.

    Parameters
    ----------
    trace : Trace
        Any trace.

    Returns
    -------
    xarray.Dataset
        Axes are dimensions, labels are coordinates; `spec`, `meta` and `versions`
        are attributes in JSON.

    Raises
    ------
    ImportError
        If xarray is not installed.
    """
    try:
        xarray = importlib.import_module("xarray")
    except ImportError as error:
        raise ImportError("to_xarray needs xarray; install it with: pip install featsim[xarray]") from error
    names = [name for name in trace if name not in COORDINATES.values()]
    present = [axis for axis, coordinate in COORDINATES.items() if coordinate in trace]
    return xarray.Dataset(
        {name: (trace.axes[name], trace[name]) for name in names},
        coords={axis: trace[COORDINATES[axis]] for axis in present},
        attrs={
            "status": trace.status,
            "message": trace.message,
            **{name: canonical(getattr(trace, name)) for name in ("spec", "meta", "versions")},
        },
    )
