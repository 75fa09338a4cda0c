"""Descent of the two-layer patch network in steps as long as the coefficients allow."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from featsim.data import PatchData
from featsim.kernels import patch_network as kernel
from featsim.training.patch_stepper import PatchStepper
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint
from featsim.training.time_schedules import RelativeSchedule
from featsim.validation import FloatArray, IntArray


class RelativeStepper(PatchStepper):
    """Update rule of a TwoLayerSpec under a :class:`RelativeSchedule`.

    Parameters
    ----------
    spec : RunSpec
        Configuration; its schedule is a RelativeSchedule.
    data : PatchData
        Training data with known features.
    weights : array_like, shape (k, m, d)
        Initial weights.
    batches : array_like of int, shape (n_steps, 0)
        Full batch.
    start_seed : int, optional
        As for a PatchStepper.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or the data have no features whose coefficients could be read.
    """

    def __init__(
        self, spec: RunSpec, data: PatchData, weights: Any, batches: Any, start_seed: Any = None
    ) -> None:
        super().__init__(spec, data, weights, batches, start_seed)
        if not isinstance(spec.schedule, RelativeSchedule):
            raise TypeError(f"schedule must be a RelativeSchedule, got {type(spec.schedule).__name__}")
        if not len(self._features):
            raise ValueError("data must have features for a RelativeSchedule, which reads their coefficients")
        self._rule = spec.schedule
        self._nothing: Arrays | None = None
        self._quiet = False
        self.axes = {**self.axes, "time": ("step",)}
        self._loss = kernel.STATISTICS.index(
            "clean_loss" if self._plan.mode == kernel.CLEAN else "attacked_loss"
        )

    def footprint(self) -> Footprint:
        """Return the sizes of the run; its steps are looked at one by one, which has no model."""
        return dataclasses.replace(super().footprint(), step=None, record=None)

    def initial_state(self) -> Arrays:
        """Return the initial weights, with the elapsed time and whether the run has stopped moving."""
        return {**super().initial_state(), "time": np.zeros(()), "stopped": np.zeros((), dtype=np.int64)}

    def _run(
        self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray, *, update: bool
    ) -> Chunk:
        state = dict(state)
        parts: list[Arrays] = []
        recorded, stored = set(record.tolist()), set(keep.tolist())
        done = 0
        for step in range(first, last):
            here = np.array([step], dtype=np.int64)
            wanted = here[: int(step in recorded)], here[: int(step in stored)]
            if update and not state["stopped"]:
                part, state, finite = self._step(state, step, *wanted)
            elif len(wanted[0]) or len(wanted[1]) or not update:
                chunk = super()._run(state, step, step + 1, *wanted, update=False)
                part, finite = chunk.records, chunk.n_done == 1
            else:
                part, finite = {}, True
            if part and (len(part["steps"]) or len(part["weight_steps"])):
                parts.append({**part, "time": np.full(len(part["steps"]), float(state["time"]))})
            if not finite:
                break
            if update:
                state["time"] = state.pop("next_time", state["time"])
            done += 1
        return Chunk(n_done=done, records=self._joined(parts), state=state)

    def _step(
        self, state: Arrays, step: int, record: IntArray, keep: IntArray
    ) -> tuple[Arrays, Arrays, bool]:
        """Do one update, shortened as the rule says. Return records, state and whether all is finite."""
        rule, watching = self._rule, self._rule.stop_loss is not None
        # The loss of a step is known where it is recorded: recorded, and forgotten where nobody asked.
        self._quiet = watching and not len(record)
        looked = np.array([step], dtype=np.int64) if watching else record
        self._step_size = rule.step_size + rule.growth * float(state["time"])
        chunk = super()._run(state, step, step + 1, looked, keep, update=True)
        records = {**chunk.records, "steps": record[: len(chunk.records["steps"])]}
        self._quiet = False
        if chunk.n_done == 0:
            return records, state, False
        late = rule.stop_time is not None and float(state["time"]) >= rule.stop_time
        if late or (rule.stop_loss is not None and self._statistics[self._loss] < rule.stop_loss):
            return records, {**state, "stopped": np.ones((), dtype=np.int64)}, True
        before, moved = state["weights"], chunk.state["weights"] - state["weights"]
        relative, shift = self._largest_moves(before, moved)
        share = min(1.0, rule.largest_move / max(relative, 1e-300), rule.largest_shift / max(shift, 1e-300))
        after: Arrays = {
            **state,
            "weights": before + share * moved,
            "next_time": np.asarray(float(state["time"]) + share * self._step_size),
        }
        return records, after, True

    def _records(self, coef: FloatArray, rest: FloatArray, stats: FloatArray) -> Arrays:
        if len(stats):
            self._statistics = stats[-1]
        if len(stats) and not self._quiet:
            return super()._records(coef, rest, stats)
        if self._nothing is None:  # most steps record nothing
            self._nothing = super()._records(*self._no_records())
        return dict(self._nothing)

    def _largest_moves(self, weights: FloatArray, moved: FloatArray) -> tuple[float, float]:
        """Largest move of own-class coefficients, relative to the largest of class and kind, and as it is."""
        k = len(weights)
        features = self._features.reshape(2, k, -1)
        here = np.abs(np.einsum("imd,jid->jim", weights, features)).max(axis=2)
        change = np.abs(np.einsum("imd,jid->jim", moved, features)).max(axis=2)
        relative = np.divide(change, here, out=np.zeros_like(change), where=here > 0.0)
        return float(relative.max()), float(change.max())

    def _joined(self, parts: list[Arrays]) -> Arrays:
        if not parts:
            empty = np.empty(0, dtype=np.int64)
            parts = [{**self._records(*self._no_records()), "steps": empty, "weight_steps": empty,
                      "weights": np.empty((0, *self._weights.shape)), "time": np.empty(0)}]  # fmt: skip
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _no_records(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        k, m, _ = self._weights.shape
        return (
            np.empty((0, k * m, len(self._features))),
            np.empty((0, k * m)),
            np.empty((0, kernel.N_STATISTICS)),
        )
