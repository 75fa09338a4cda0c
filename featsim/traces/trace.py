"""The trace: what a training run recorded, with the configuration that made it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from featsim.traces import export, selection, summary
from featsim.traces.axes import COORDINATES, resolve_axes
from featsim.traces.files import TraceError, TraceKeyError, plain_json
from featsim.traces.manifest import STATUSES
from featsim.traces.npz import Array, Parts, check_dtype, read_npz, write_npz

if TYPE_CHECKING:
    from featsim.traces.selection import Indices


MAPPED_BYTES = 1 << 28
"""Traces beyond this size stay on disk when they are read."""


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Recorded arrays with their axes, the spec behind them and the status of the run.

    Parameters
    ----------
    arrays : mapping of str to array_like
        At least ``"steps"``, strictly increasing; time axis first.
    axes : mapping of str to tuple of str, optional
        Axis names of each array; those in `STANDARD_AXES` may be left out. Equal
        names have equal lengths.
    spec : dict or Spec
        Full configuration, kept as plain JSON data.
    status : {"completed", "diverged", "interrupted", "running"}
        How the run ended.
    message : str
        What to know about the status.
    meta : dict
        Further JSON data. ``meta["competing"]`` names arrays with axes (step, class,
        neuron) that :meth:`summary` compares.
    versions : dict
        Versions of the software that ran.

    Raises
    ------
    TraceError
        If arrays and axes do not fit together.
    """

    arrays: Mapping[str, Array]
    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict, kw_only=True)
    status: str = field(default="completed", kw_only=True)
    message: str = field(default="", kw_only=True)
    meta: dict[str, Any] = field(default_factory=dict, kw_only=True)
    versions: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise TraceError(f"status must be one of {', '.join(STATUSES)}, got {self.status!r}")
        axes = resolve_axes(self.arrays, self.axes)
        arrays = {name: _read_only(name, value) for name, value in self.arrays.items()}
        _check_shapes(arrays, axes)
        set_field = object.__setattr__
        set_field(self, "arrays", MappingProxyType(arrays))
        set_field(self, "axes", MappingProxyType(axes))
        set_field(self, "message", str(self.message))
        for name in ("spec", "meta", "versions"):
            set_field(self, name, plain_json(getattr(self, name), name))

    def __getitem__(self, name: str) -> Array:
        try:
            return self.arrays[name]
        except KeyError:
            raise TraceKeyError(f"this trace has no {name!r}; it holds {', '.join(self.arrays)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and traces travel between the processes of a sweep.
        texts = ("spec", "status", "message", "meta", "versions")
        return _rebuild, (dict(self.arrays), dict(self.axes), {name: getattr(self, name) for name in texts})

    def __repr__(self) -> str:
        span = f"steps {self.steps[0]}..{self.steps[-1]}" if self.n_records else "no records"
        return f"<Trace: {self.status}, {self.n_records} records, {span}, {len(self)} arrays>"

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """Step of each record, shape (n_records,)."""
        return self.arrays["steps"]

    @property
    def n_records(self) -> int:
        """Number of records."""
        return int(self.steps.size)

    @property
    def final_weights(self) -> Array:
        """Weights at the end, shape (n_classes, width, dim)."""
        return self["final_weights"]

    def weights_at(self, step: int) -> Array:
        """Return the weights before `step`, shape (n_classes, width, dim).

        Parameters
        ----------
        step : int
            Step, as in ``trace["weight_steps"]``.

        Returns
        -------
        ndarray
            Weights before that step.

        Raises
        ------
        TraceKeyError
            If none were stored there; the message lists the steps that have some.
        """
        stored = self.arrays.get("weight_steps", np.empty(0, np.int64))
        where = np.flatnonzero(stored == step)
        if "weights" not in self or not where.size:
            having = ", ".join(str(s) for s in stored[:20]) + (", ..." if stored.size > 20 else "")
            raise TraceKeyError(
                f"no weights at step {step}; stored at: {having or 'none'}. Recording(weights_at=...), or "
                "featsim run --weights-at, keeps them"
            )
        weights: Array = self["weights"][where[0]]
        return weights

    def labels(self, axis: str) -> Array:
        """Return the label of every entry of `axis`: steps, or class and neuron numbers."""
        for name, names in self.axes.items():
            if axis in names:
                count = np.arange(self.arrays[name].shape[names.index(axis)])
                return self.arrays.get(COORDINATES.get(axis, ""), count)
        present = sorted({word for names in self.axes.values() for word in names})
        raise TraceKeyError(f"no axis {axis!r}; the axes are {', '.join(present)}")

    def at(self, step: int) -> dict[str, Any]:
        """Return the record of exactly this step: every array with a step axis, without it.

        Parameters
        ----------
        step : int
            Step of a record.

        Returns
        -------
        dict of str to ndarray
            The record.

        Raises
        ------
        TraceKeyError
            If there is no such record; the message names the nearest.
        """
        return selection.record_at(self, step)

    def select(
        self,
        names: str | list[str] | tuple[str, ...] | None = None,
        *,
        classes: Indices | None = None,
        neurons: Indices | None = None,
        steps: Indices | None = None,
    ) -> Trace:
        """Return the part of the trace with the given names, classes, neurons and steps.

        Parameters
        ----------
        names : str or list of str, optional
            Arrays to keep; those that label their axes stay too.
        classes, neurons : int, list of int or slice, optional
            Entries to keep. An int keeps its axis, with length 1. The labels are
            kept in the arrays ``"classes"`` and ``"neurons"``.
        steps : int, list of int or slice, optional
            Steps to keep, by value: ``slice(100, 200)`` is every record with
            100 <= step < 200. Stored weights are kept where their step is selected.

        Returns
        -------
        Trace
            With the same spec, status, meta and versions.

        Raises
        ------
        TraceKeyError
            If something selected does not exist; the message gives what does.
        """
        return selection.select(self, names, classes=classes, neurons=neurons, steps=steps)

    def summary(self) -> dict[str, Any]:
        """Return status, steps, final values and winners as a dict; see `summarise`."""
        return summary.summarise(self)

    def to_csv(
        self, path: str | os.PathLike[str], names: str | list[str] | tuple[str, ...] | None = None
    ) -> Path:
        """Write one row per step, with columns like ``robust_coef[class=0,neuron=3]``.

        Parameters
        ----------
        path : path-like
            File to make or replace.
        names : str or list of str, optional
            Arrays with a step axis; all of them by default.

        Returns
        -------
        Path
            The file. Floats are written with all their digits.
        """
        return export.to_csv(self, path, names)

    def to_xarray(self) -> Any:
        """Return an xarray Dataset; needs the extra ``featsim[xarray]``."""
        return export.to_xarray(self)

    def save(self, path: str | os.PathLike[str], *, parts: Mapping[str, Parts] | None = None) -> Path:
        """Write the trace as one npz with its JSON inside, and return its path.

        Missing parent folders are made.

        Parameters
        ----------
        path : path-like
            File to make or replace.
        parts : mapping of str to Parts, optional
            Written in the place of the arrays of that name, piece by piece.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            If writing fails; a file that was at `path` is untouched then.
        """
        header = {
            "axes": {name: list(words) for name, words in self.axes.items()},
            **{name: getattr(self, name) for name in ("spec", "status", "message", "meta", "versions")},
        }
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)  # better than losing a long run
        write_npz(target, "trace", {**self.arrays, **(parts or {})}, header)
        return target


def _rebuild(arrays: dict[str, Array], axes: dict[str, tuple[str, ...]], texts: dict[str, Any]) -> Trace:
    return Trace(arrays, axes, **texts)


def _read_only(name: str, value: Any) -> Array:
    array = np.asarray(value)
    check_dtype(name, array)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def _check_shapes(arrays: Mapping[str, Array], axes: Mapping[str, tuple[str, ...]]) -> None:
    if "steps" not in arrays:
        raise TraceError("arrays must contain 'steps', the step of each record")
    lengths: dict[str, tuple[int, str]] = {}
    for name, array in arrays.items():
        if array.ndim != len(axes[name]):
            raise TraceError(f"{name} must have axes {axes[name]}, got shape {array.shape}")
        for axis, length in zip(axes[name], array.shape, strict=True):
            first, owner = lengths.setdefault(axis, (length, name))
            if first != length:
                raise TraceError(f"{name} has {length} entries along {axis!r}, but {owner} has {first}")
    for axis, coordinate in COORDINATES.items():
        if coordinate in arrays and (
            axes[coordinate] != (axis,) or arrays[coordinate].dtype.kind not in "iu"
        ):
            raise TraceError(f"{coordinate} must hold integers along the one axis {axis!r}")
        if coordinate in ("steps", "weight_steps") and np.any(np.diff(arrays.get(coordinate, ())) <= 0):
            raise TraceError(f"{coordinate} must increase strictly")


def read_trace_file(path: Path) -> Trace:
    """Read a finished trace; arrays of a file beyond `MAPPED_BYTES` are checked and stay there.

    Parameters
    ----------
    path : Path
        File written by :meth:`Trace.save`.

    Returns
    -------
    Trace
        What was saved.

    Raises
    ------
    TraceError
        If the file is missing, damaged, foreign or of an unknown schema.
    """
    large = path.exists() and path.stat().st_size > MAPPED_BYTES
    header, arrays = read_npz(path, "trace", mapped=large)
    fields = {"spec": dict, "status": str, "message": str, "meta": dict, "versions": dict, "axes": dict}
    for name, kind in fields.items():
        if not isinstance(header.get(name), kind):
            raise TraceError(f"{path} is damaged: its JSON has no usable {name!r}")
    try:
        return Trace(arrays, header["axes"], **{name: header[name] for name in fields if name != "axes"})
    except (TraceError, TypeError) as error:
        raise TraceError(f"{path} is damaged: {error}") from error
