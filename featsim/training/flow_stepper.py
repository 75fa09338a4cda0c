"""Gradient flow of the power network's closure, as a stepper of the training loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from featsim.data import PatchData, SignalNoiseData
from featsim.theory.cgro import ClosureFlow, closure_from_weights
from featsim.training.cgro_stepper import CgroStepper
from featsim.training.run_inputs import squares_are_finite
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk
from featsim.training.time_schedules import FlowSchedule
from featsim.validation import FloatArray, IntArray


class FlowStepper(CgroStepper):
    """The closure's flow from each point in time to the next, with weights and records of descent.

    Every stretch between two points is integrated by itself, so that a run that was cut goes on with the
    same bits.

    Parameters
    ----------
    spec : RunSpec
        Configuration; its schedule is a FlowSchedule.
    data : SignalNoiseData
        Training data whose noise is orthogonal to w*.
    weights : array_like, shape (1, m, d)
        Initial weights.

    Raises
    ------
    TypeError, ValueError
        If the closure does not describe the training.
    """

    def __init__(self, spec: RunSpec, data: PatchData, weights: Any) -> None:
        super().__init__(spec, data, weights)
        if not isinstance(spec.schedule, FlowSchedule):
            raise TypeError(f"schedule must be a FlowSchedule, got {type(spec.schedule).__name__}")
        if not isinstance(data, SignalNoiseData):
            raise TypeError(f"data must be SignalNoiseData for the flow, got {type(data).__name__}")
        if self._plan.whole_input:
            raise ValueError(
                "attack must be a SignalAttack or None for the flow of the closure, got an attack on the "
                "whole input; use a Schedule"
            )
        self._times = spec.schedule.times
        self._noise = data.noise.reshape(-1, data.dim)
        self._signal = data.signal
        self._flow = ClosureFlow(
            closure_from_weights(self._weights, data),
            self.model,
            weight=self._plan.weight,
            left=data.signal_strength - self._plan.radius,
            rule="worst" if self._radius is not None and not self._fixed else "fixed",
            tolerance=spec.schedule.tolerance,
        )
        self.axes = {**self.axes, "time": ("step",)}

    @property
    def _fixed(self) -> bool:
        attack: Any = self.spec.attack
        return bool(getattr(attack, "attack", attack).rule == "fixed")

    def initial_state(self) -> Arrays:
        """Return signal coefficients and weights of the noise patches, as one vector."""
        return {"flow": self._flow.initial_state}

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the weights at the end."""
        return {"final_weights": self._weights_of(state["flow"])}

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Integrate from point `first` to point `last`."""
        return self._along(state, range(first, last), record, keep, update=True)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state at a point in time."""
        here = np.array([step], dtype=np.int64)
        return self._along(state, range(step, step + 1), here[: int(record)], here[: int(keep)], update=False)

    def _along(self, state: Arrays, steps: range, record: IntArray, keep: IntArray, *, update: bool) -> Chunk:
        y = np.array(state["flow"])
        records, kept, done = [], [], 0
        recorded, stored = set(record.tolist()), set(keep.tolist())
        for step in steps:
            if step in recorded:
                records.append(self._record(self._weights_of(y)))
            if step in stored:
                kept.append(self._weights_of(y))
            if update:
                try:
                    y = self._flow.advance(y, float(self._times[step]), float(self._times[step + 1]))
                except FloatingPointError:
                    break
            done += int(update or squares_are_finite(y))
        chunk = self._chunk(done, self._weights, records, record, kept, keep)
        found = {**chunk.records, "time": self._times[chunk.records["steps"]]}
        return dataclasses.replace(chunk, records=found, state={"flow": y})

    def _weights_of(self, state: FloatArray) -> FloatArray:
        u, c = self._flow.split(state)
        moved = np.outer(u - self._flow.start.signal_coef, self._signal) + c.T @ self._noise
        found: FloatArray = self._weights + moved
        return found
