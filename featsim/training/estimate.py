"""Time, memory and disk of a run before it starts."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from featsim.kernels.blas import one_thread
from featsim.machine import available_memory, free_disk, in_words, in_words_of
from featsim.specs import Spec
from featsim.training.loop import run_paths
from featsim.training.plan import Plan
from featsim.training.preparation import prepare_run
from featsim.training.progress import duration
from featsim.training.schedule import Recording, Schedule
from featsim.training.stepper import Product, Stepper, StepWork
from featsim.validation import IntArray, check_choice

METHODS = ("auto", "model", "measure", "none")
_SHORT = 0.1  # seconds of a step below which measuring a few is cheaper than being wrong
_TIMED = 0.2  # seconds of steps that are measured
_BLOCK = 256  # rows of a block in the kernels
_ENTRIES = 8192  # of the arrays that passes are timed on; three of them stay in cache


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """What a run will take.

    Attributes
    ----------
    n_steps, n_records : int
        Updates and records.
    source : str
        ``"model"`` for the products of a step at the rates of this machine, ``"measure"`` for steps that were
        made and timed, ``"none"`` where time was not asked for.
    step_seconds, record_seconds : float
        Time of an update, and of recording one state; nan without an estimate.
    earlier_seconds : float
        Time of the trainings this one starts from.
    step_flop : float
        Multiplications and additions in the matrix products of a step; nan for theories without a model.
    data_bytes, work_bytes, trace_bytes : int
        Data with initial weights and minibatches; what every step overwrites; everything recorded.
    memory_bytes : int
        Memory at the peak, data included, Python with its libraries not (100 to 200 MB).
    disk_bytes : int
        Room that a streamed run needs while it ends; 0 without `out`.
    available_bytes, free_bytes : int or None
        Memory and disk there are; None where that cannot be found out, or nothing is written.
    """

    n_steps: int
    n_records: int
    source: str
    step_seconds: float
    record_seconds: float
    earlier_seconds: float = 0.0
    step_flop: float
    data_bytes: int
    work_bytes: int
    trace_bytes: int
    memory_bytes: int
    disk_bytes: int
    available_bytes: int | None
    free_bytes: int | None

    @property
    def seconds(self) -> float:
        """Time of the run, with the trainings it starts from; nan without an estimate."""
        own = self.n_steps * self.step_seconds + self.n_records * self.record_seconds
        return own + self.earlier_seconds

    @property
    def fits(self) -> bool:
        """Whether memory and disk suffice as far as is known; the data are in memory already."""
        beside = self.memory_bytes - self.data_bytes
        memory = self.available_bytes is None or beside <= self.available_bytes
        return memory and (self.free_bytes is None or self.disk_bytes <= self.free_bytes)

    def describe(self) -> str:
        """Return the estimate in three lines or fewer."""
        how = {"model": "by its products", "measure": "by its first steps", "none": "not estimated"}
        lines = [f"time    {duration(self.seconds)} ({how[self.source]}), {self.n_steps:,} steps"]
        records = self.memory_bytes - self.data_bytes - self.work_bytes
        parts = (
            f"data {in_words(self.data_bytes)}, steps {in_words(self.work_bytes)}, records held with scratch "
            f"{in_words(records)}; {self.n_records:,} records, {in_words(self.trace_bytes)}"
        )
        lines.append(f"memory  {in_words_of(self.memory_bytes, self.available_bytes)} ({parts})")
        if self.disk_bytes:
            lines.append(f"disk    {in_words_of(self.disk_bytes, self.free_bytes)}")
        return "\n".join(lines)


def estimate_run(
    model: Spec,
    data: Any,
    *,
    schedule: Schedule,
    attack: Spec | None = None,
    recording: Recording | None = None,
    rng: np.random.Generator | None = None,
    initial_weights: Any = None,
    batches: Any = None,
    out: str | os.PathLike[str] | None = None,
    reduction: str = "auto",
    method: str = "auto",
) -> RunEstimate:
    """Estimate time, memory and disk of what :func:`featsim.training.train` would do with these arguments.

    Sizes follow from the shapes, exactly for records and kept weights. Time comes from the rates of matrix
    products, of passes over arrays and of exponentials, measured now in the shapes of the run, or from its
    first steps, made and forgotten. In the flow of a :class:`FlowSchedule` and under a stopping rule later
    steps cost more or less than the first, which neither way knows.

    Parameters
    ----------
    model, data, schedule, attack, recording : object
        As for :func:`featsim.training.train`.
    rng : numpy.random.Generator, optional
        As there; left as it is.
    initial_weights, batches, out, reduction : object
        As there.
    method : {"auto", "model", "measure", "none"}
        ``"model"`` for matrix products, where the theory has a model of its steps (two-layer patch networks,
        the symmetric network); ``"measure"`` for first steps, which compiles the kernels if need be;
        ``"auto"`` measures where there is no model or a step takes less than 0.1 s; ``"none"`` gives sizes.

    Returns
    -------
    RunEstimate
        Nothing has been trained or written.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or the theory has no model of its steps and one is asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from featsim import PatchDataSpec, Schedule, TwoLayerSpec, estimate_run, sample_patches
    >>> rng = np.random.default_rng(0)
    >>> data = sample_patches(PatchDataSpec(), n_samples=4, rng=rng)
    >>> found = estimate_run(TwoLayerSpec(), data, schedule=Schedule(n_steps=400), rng=rng, method="model")
    >>> found.n_records, found.fits
    (401, True)
    """
    check_choice("method", method, METHODS)
    stepper, spec = prepare_run(
        model,
        data,
        schedule=schedule,
        attack=attack,
        recording=recording,
        rng=copy.deepcopy(rng),
        initial_weights=initial_weights,
        batches=batches,
        reduction=reduction,
    )
    folder, target = (None, None) if out is None else run_paths(Path(out))
    plan = Plan.of(stepper, spec, folder=folder, joined=target is not None)
    source, step, record = _times(stepper, plan, method)
    footprint = plan.footprint
    return RunEstimate(
        n_steps=plan.n_steps,
        n_records=len(plan.record),
        source=source,
        step_seconds=step,
        record_seconds=record,
        step_flop=math.nan if footprint.step is None else footprint.step.flop,
        data_bytes=plan.data_bytes,
        work_bytes=footprint.work,
        trace_bytes=plan.trace_bytes,
        memory_bytes=plan.data_bytes + plan.memory_bytes,
        disk_bytes=plan.disk_bytes,
        available_bytes=available_memory(),
        free_bytes=None if folder is None else free_disk(folder),
    )


def _times(stepper: Stepper, plan: Plan, method: str) -> tuple[str, float, float]:
    """Return how it was found out, and the seconds of a step and of a record."""
    if method == "none":
        return method, math.nan, math.nan
    step, record = plan.footprint.step, plan.footprint.record
    if method == "model" and step is None:
        raise ValueError(
            "method must be 'auto' or 'measure' here, got 'model': only two-layer patch networks and the "
            "symmetric network on data drawn once have a model of their steps"
        )
    with one_thread():
        if method != "measure" and step is not None:
            rates = _Rates(plan.footprint.itemsize)
            seconds = rates.seconds(step)
            if method == "model" or seconds >= _SHORT:
                return "model", seconds, rates.seconds(record or StepWork())
        with np.errstate(all="ignore"):  # a run that diverges will say so
            return ("measure", *_measured(stepper, plan.n_steps))


class _Rates:
    """How fast this machine multiplies matrices of given shapes and passes over arrays."""

    def __init__(self, itemsize: int) -> None:
        self._dtype = np.dtype(f"f{itemsize}")
        rng = np.random.default_rng(0)
        a, b = rng.standard_normal((2, _ENTRIES)).astype(self._dtype)
        out = np.empty_like(a)
        self._pass = _fastest(lambda: np.multiply(a, b, out=out)) / _ENTRIES
        self._function = _fastest(lambda: np.exp(a, out=out)) / _ENTRIES
        self._products: dict[tuple[int, int, int], float] = {}

    def seconds(self, work: StepWork) -> float:
        """Return the time of this work."""
        products = sum(product.flop * self._per_flop(product) for product in work.products)
        return products + work.passes * self._pass + work.functions * self._function

    def _per_flop(self, product: Product) -> float:
        shape = (min(product.rows, _BLOCK), product.inner, product.columns)
        if shape not in self._products:
            rows, inner, columns = shape
            left, right = np.ones((columns, inner), self._dtype), np.ones((rows, inner), self._dtype)
            out = np.empty((columns, rows), self._dtype)
            seconds = _fastest(lambda: np.matmul(left, right.T, out=out))
            self._products[shape] = seconds / (2.0 * rows * inner * columns)
        return self._products[shape]


def _fastest(function: Callable[[], Any]) -> float:
    """Return the CPU time of a call, the lower quartile over some milliseconds: neighbours only add to it."""
    function()
    times: list[float] = []
    end = time.thread_time() + 0.005
    while len(times) < 5 or time.thread_time() < end:
        begin = time.thread_time()
        function()
        times.append(time.thread_time() - begin)
    return float(np.quantile(times, 0.25))


def _measured(stepper: Stepper, n_steps: int) -> tuple[float, float]:
    """Return the times of an update and of a record, from the first steps of a copy of the state."""
    state, nothing = stepper.initial_state(), np.empty(0, dtype=np.int64)

    def timed(length: int, record: IntArray) -> float:
        begin = time.thread_time()  # what others do on the machine meanwhile says little about later
        stepper.advance(state, 0, length, record, nothing)
        return time.thread_time() - begin

    for record in (np.arange(1), nothing):  # compiled now, and no longer
        timed(1, record)
    length, seconds = 1, timed(1, nothing)
    while seconds < _TIMED / 2 and length < n_steps:
        length = min(n_steps, max(2 * length, int(length * _TIMED / max(seconds, 1e-6))), 64 * length)
        seconds = timed(length, nothing)
    some = min(length, 50)
    extra = timed(some, np.arange(some)) - timed(some, nothing)
    return seconds / length, max(extra / some, 0.0)
