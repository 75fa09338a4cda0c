"""Training of the purification theory's baselines, linear, polynomial and frozen gates, as a stepper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.data import SparseCodingData
from featsim.kernels import symmetric as kernel
from featsim.models import FrozenGateSpec, PolynomialSpec
from featsim.traces import STANDARD_AXES
from featsim.training.ball import plan_ball
from featsim.training.purification_stepper import as_ramp, rebuild_data
from featsim.training.run_inputs import (
    check_batches,
    choose_quantities,
    locked,
    squares_are_finite,
    step_flags,
)
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint
from featsim.validation import FloatArray, IntArray, check_array

_DATA = ("X", "y", "dictionary", "label_weights")


class BaselineStepper:
    """Update rule of `PolynomialSpec` (linear at width 0) and `FrozenGateSpec`.

    One FGM step on a linear model is its exact worst case, so training the linear model on FGM is
    exact adversarial training.

    Parameters
    ----------
    spec : RunSpec
        Configuration.
    data : SparseCodingData
        Training data.
    weights : array_like
        Initial weights, of the shape of the model's `initial_weights`.
    batches : array_like of int, shape (n_steps, B)
        Sample indices of every step; B = 0 for full batch.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or a quantity asked for cannot be recorded.
    """

    def __init__(self, spec: RunSpec, data: SparseCodingData, weights: Any, batches: Any) -> None:
        model = spec.model
        if not isinstance(model, PolynomialSpec | FrozenGateSpec):
            raise TypeError(f"model must be a PolynomialSpec or FrozenGateSpec, got {type(model).__name__}")
        self.spec, self.model, self.data = spec, model, data
        self.schedule = as_ramp(spec.schedule)
        if self.schedule.ramp_steps or self.schedule.rank is not None or self.schedule.fresh:
            raise ValueError("ramp_steps, rank and fresh are for the symmetric network; leave them out here")
        shape = (2, model.width) if isinstance(model, FrozenGateSpec) else (1, 1 + model.width)
        self._weights = check_array("initial_weights", weights, (*shape, data.dim))
        self._batches = check_batches(batches, self.schedule.n_steps, data.n_samples)
        self._ball = plan_ball(spec.attack)
        available = kernel.STEP_STATISTICS if self._ball.norm else kernel.STEP_STATISTICS[:2]
        self.quantities = choose_quantities(spec.recording.quantities, available)
        self.axes: Mapping[str, tuple[str, ...]] = {
            "steps": ("step",),
            **{name: ("step",) for name in self.quantities},
            **{name: STANDARD_AXES[name] for name in ("weight_steps", "weights", "final_weights")},
        }
        self.meta: dict[str, Any] = {"theory": "purification"}

    @classmethod
    def start(
        cls,
        spec: RunSpec,
        data: Any,
        rng: np.random.Generator | None,
        initial_weights: Any,
        batches: Any,
    ) -> BaselineStepper:
        """Make a stepper, drawing weights and minibatches as far as they are None."""
        if not isinstance(data, SparseCodingData):
            raise TypeError(
                f"data must be SparseCodingData, got {type(data).__name__}; use sparse_coding_data"
            )
        model: Any = spec.model
        if rng is None and (initial_weights is None or (batches is None and spec.schedule.batch_size)):
            raise ValueError("rng must be given when weights or minibatches are drawn; use default_rng(0)")
        generator = rng or np.random.default_rng(0)
        if initial_weights is None:
            initial_weights = model.initial_weights(data.dim, generator)
        if batches is None:
            batches = spec.schedule.draw_batches(data.n_samples, generator)
        return cls(spec, data, initial_weights, batches)

    @property
    def inputs(self) -> Arrays:
        """All that the run starts from, for :meth:`from_inputs`."""
        arrays = {name: np.asarray(getattr(self.data, name)) for name in _DATA}
        return {**arrays, "weights": self._weights, "batches": self._batches}

    @classmethod
    def from_inputs(cls, spec: RunSpec, inputs: Arrays) -> BaselineStepper:
        """Rebuild a stepper from what :attr:`inputs` gave."""
        return cls(spec, rebuild_data(spec, inputs), inputs["weights"], inputs["batches"])

    def footprint(self) -> Footprint:
        """Return the sizes of the run; frozen gates are computed for all samples of a step at once."""
        channels, m, d = self._weights.shape
        n = self.schedule.batch_size or self.data.n_samples
        rows = n if isinstance(self.model, FrozenGateSpec) else min(n, kernel.BLOCK_ROWS)
        return Footprint(
            lengths={"class": channels, "neuron": m, "dim": d},
            work=8 * (4 * rows * (m + d) + 6 * channels * m * d),
        )

    def initial_state(self) -> Arrays:
        """Return the initial weights."""
        return {"weights": self._weights}

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the weights at the end."""
        return {"final_weights": state["weights"]}

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1; see :class:`featsim.training.stepper.Stepper`."""
        return self._run(state, first, last, record, keep, update=True)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state before `step` without an update, on the last step's samples."""
        here = np.array([step], dtype=np.int64)
        return self._run(state, step, step + 1, here[: int(record)], here[: int(keep)], update=False)

    def _run(
        self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray, *, update: bool
    ) -> Chunk:
        weights = np.array(state["weights"])
        if not (update or len(record)):
            return self._unevaluated(weights, keep)
        WT = np.array(weights[0].T, order="C")
        n = last - first
        statistics = np.zeros((n, len(kernel.STEP_STATISTICS)))
        kept = np.empty((len(keep), WT.shape[1], WT.shape[0]))
        steps = np.minimum(np.arange(first, last), self.schedule.n_steps - 1)
        batches = locked(self._batches[steps], np.int64)
        done = self._call(WT, weights, batches, step_flags(keep, first, last), update, statistics, kept)
        weights[0] = WT.T
        record, keep = record[record <= first + done], keep[keep <= first + done]
        at = record - first
        values = {name: statistics[at, c] for c, name in enumerate(kernel.STEP_STATISTICS)}
        stored = np.repeat(weights[None], len(keep), axis=0)
        stored[:, 0] = kept[: len(keep)]
        records = {
            **{name: values[name] for name in self.quantities},
            "steps": np.asarray(record, dtype=np.int64),
            "weight_steps": np.asarray(keep, dtype=np.int64),
            "weights": stored,
        }
        return Chunk(n_done=done, records=records, state={"weights": weights})

    def _unevaluated(self, weights: FloatArray, keep: IntArray) -> Chunk:
        """Return a state of which only the weights are kept, if that: nothing is evaluated."""
        records: Arrays = {
            **{name: np.empty(0) for name in self.quantities},
            "steps": keep[:0],
            "weight_steps": keep,
            "weights": np.repeat(weights[None], len(keep), axis=0),
        }
        return Chunk(n_done=int(squares_are_finite(weights)), records=records, state={"weights": weights})

    def _call(
        self,
        WT: FloatArray,
        weights: FloatArray,
        batches: Any,
        keep_at: Any,
        update: bool,
        statistics: FloatArray,
        kept: FloatArray,
    ) -> int:
        """Train WT in place; return the number of steps done."""
        data, model, schedule, ball = self.data, self.model, self.schedule, self._ball
        n = len(statistics)
        X, sign = locked(data.inputs), locked(data.signs)
        if isinstance(model, FrozenGateSpec):
            done: int = kernel.gate_trajectory(
                X, sign, batches, WT, np.array(weights[1].T, order="C"), model.shift, model.gates == "hard",
                model.sharpness, model.bias, model.smoothing, schedule.step_size, schedule.weight_decay,
                ball.norm, ball.radius, ball.n_steps, ball.step_size, n, keep_at, update, statistics, kept,
            )  # fmt: skip
            return done
        none, no_parts = np.empty((0, 0)), np.empty((n, 0))
        done = kernel.trajectory(
            X, sign, batches, False, WT, model.power, none, np.empty((WT.shape[1], 0)),
            np.empty((WT.shape[0], 0)), np.zeros(n), np.zeros(n), schedule.step_size, schedule.weight_decay,
            ball.norm, ball.radius, ball.n_steps, ball.step_size, locked(none),
            locked(data.label_weights), np.zeros(n, dtype=np.bool_), keep_at, update,
            np.empty((n, 0), np.int64), no_parts, no_parts, no_parts, statistics, kept,
        )  # fmt: skip
        return done
