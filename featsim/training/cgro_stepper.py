"""Gradient descent of the power network, as a stepper of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.attacks import SignalAttack
from featsim.data import PatchData, SignalNoiseData
from featsim.kernels import signal_noise as kernel
from featsim.models import PowerNetworkSpec
from featsim.theory.cgro import REACHED
from featsim.traces import STANDARD_AXES
from featsim.training.cgro_plan import plan_objective
from featsim.training.cgro_record import (
    AXES,
    TABLES,
    available_quantities,
    record_losses,
    record_signal,
)
from featsim.training.mixture import Mixture
from featsim.training.run_inputs import choose_quantities, locked, squares_are_finite
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint
from featsim.validation import FloatArray, IntArray, check_array

_ARRAYS = ("X", "y", "roles", "counts", "pixel_map", "signal")


class CgroStepper:
    """Update rule of :class:`featsim.models.PowerNetworkSpec`: full-batch descent on a mixed loss.

    Parameters
    ----------
    spec : RunSpec
        Configuration; its model is a PowerNetworkSpec.
    data : SignalNoiseData or PatchData
        Training data of two classes; only the former has a signal to report on.
    weights : array_like, shape (1, m, d)
        Initial weights, finite.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or a quantity asked for cannot be recorded.
    """

    def __init__(self, spec: RunSpec, data: PatchData, weights: Any) -> None:
        if not isinstance(spec.model, PowerNetworkSpec):
            raise TypeError(f"model must be a PowerNetworkSpec, got {type(spec.model).__name__}")
        self.spec, self.model, self.data = spec, spec.model, data
        _check_data(spec, data)
        self._weights = check_array("initial_weights", weights, (1, self.model.width, data.dim))
        self._plan = plan_objective(spec.attack, data)
        self._radius = None if spec.attack is None else self._plan.radius
        self.quantities = choose_quantities(
            spec.recording.quantities,
            available_quantities(data, attacked=self._radius is not None),
            TABLES,
        )
        self.axes: Mapping[str, tuple[str, ...]] = {
            "steps": ("step",),
            **{name: AXES.get(name, ("step",)) for name in self.quantities},
            **{name: STANDARD_AXES[name] for name in ("weight_steps", "weights", "final_weights")},
        }
        levels = {name: REACHED for name in ("signal_score", "memorisation") if name in self.quantities}
        self.meta: dict[str, Any] = {"levels": levels} if levels else {}
        if self._radius is not None:
            self.meta |= {"radius": self._radius, "attacked_weight": self._plan.weight}

    @classmethod
    def start(
        cls,
        spec: RunSpec,
        data: Any,
        rng: np.random.Generator | None,
        initial_weights: Any,
        batches: Any,
    ) -> CgroStepper:
        """Make a stepper, drawing initial weights if they are None."""
        if not isinstance(data, PatchData):
            raise TypeError(
                f"data must be a SignalNoiseData or PatchData, got {type(data).__name__}; "
                "use signal_noise_data or patch_data"
            )
        if not isinstance(spec.model, PowerNetworkSpec):
            raise TypeError(f"model must be a PowerNetworkSpec, got {type(spec.model).__name__}")
        if batches is not None and np.size(batches):
            raise ValueError("batches must be None: this theory trains on the full batch")
        if initial_weights is None:
            if rng is None:
                raise ValueError("rng must be given when initial_weights is not; use default_rng(0)")
            initial_weights = spec.model.initial_weights(data.dim, rng)
        return cls(spec, data, initial_weights)

    @property
    def inputs(self) -> Arrays:
        """All that the run starts from, for :meth:`from_inputs`."""
        found = {name: getattr(self.data, name, None) for name in _ARRAYS}
        arrays = {name: np.asarray(value) for name, value in found.items() if value is not None}
        if self.data.robust_strength is not None:
            arrays["robust_strength"] = np.asarray(self.data.robust_strength)
        fresh = getattr(self.data, "fresh", None)
        if fresh is not None:
            arrays |= {f"fresh_{name}": getattr(fresh, name) for name in ("X", "y", "roles", "counts")}
        return {**arrays, "weights": self._weights}

    @classmethod
    def from_inputs(cls, spec: RunSpec, inputs: Arrays) -> CgroStepper:
        """Rebuild a stepper from what :attr:`inputs` gave."""
        strength = float(inputs["robust_strength"]) if "robust_strength" in inputs else None
        shared: dict[str, Any] = {
            "n_classes": 2,
            "robust_features": None,
            "nonrobust_features": None,
            "robust_strength": strength,
            "spec": spec.data,
        }
        own: dict[str, Any] = {name: inputs[name] for name in ("X", "y", "roles", "counts")}
        if "signal" not in inputs:
            return cls(spec, PatchData(**own, **shared, pixel_map=inputs.get("pixel_map")), inputs["weights"])
        shared |= {
            "signal": inputs["signal"],
            "n_robust_patches": 1,
            "n_nonrobust_patches": own["X"].shape[1] - 1,
        }
        fresh = None
        if "fresh_X" in inputs:
            other: dict[str, Any] = {name: inputs[f"fresh_{name}"] for name in ("X", "y", "roles", "counts")}
            fresh = SignalNoiseData(**other, **shared)
        return cls(spec, SignalNoiseData(**own, **shared, fresh=fresh), inputs["weights"])

    def footprint(self) -> Footprint:
        """Return the sizes of the run; its kernel works on whole arrays, one row per patch."""
        n_rows, m, d = self.data.n_samples * self.data.n_patches, self.model.width, self.data.dim
        arrays = 3 * m
        if self._plan.whole_input:
            arrays += 4 * m + (m if self._plan.mode == kernel.COEFFICIENT else 2 * d)
        line = 4 * n_rows * m  # preactivations and powers of a record on the signal line
        return Footprint(lengths=self._lengths, work=8 * (n_rows * arrays + line + 5 * m * d + m * m))

    def initial_state(self) -> Arrays:
        """Return the initial weights."""
        return {"weights": self._weights}

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the weights at the end."""
        return {"final_weights": state["weights"]}

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1; see :class:`featsim.training.stepper.Stepper`."""
        weights = np.array(state["weights"])
        records, kept = [], []
        stops = np.unique(np.concatenate([record, keep, [last]])).astype(np.int64)
        step, recorded, stored = first, set(record.tolist()), set(keep.tolist())
        for stop in stops.tolist():
            if stop > step:
                step += self._call(self.data, weights, stop - step, update=True)[0]
                if step < stop:  # the state before `step` has no finite score any more
                    break
            if stop < last and stop in stored:
                kept.append(weights.copy())
            if stop < last and stop in recorded:
                records.append(self._record(weights))
        return self._chunk(step - first, weights, records, record, kept, keep)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state before `step` without an update."""
        weights = np.array(state["weights"])
        here = np.array([step], dtype=np.int64)
        finite = squares_are_finite(weights)
        if record:
            finite = self._call(self.data, weights.copy(), 1, update=False)[0] == 1
        records = [self._record(weights)] if record else []
        kept = [weights.copy()] if keep else []
        return self._chunk(int(finite), weights, records, here[: int(record)], kept, here[: int(keep)])

    def _chunk(
        self,
        n_done: int,
        weights: FloatArray,
        records: list[dict[str, FloatArray]],
        record: IntArray,
        kept: list[FloatArray],
        keep: IntArray,
    ) -> Chunk:
        found: Arrays = {
            name: np.array([entry[name] for entry in records], dtype=np.float64).reshape(
                len(records), *self._shape(name)
            )
            for name in self.quantities
        }
        found["steps"] = np.asarray(record[: len(records)], dtype=np.int64)
        found["weight_steps"] = np.asarray(keep[: len(kept)], dtype=np.int64)
        found["weights"] = np.array(kept).reshape(len(kept), *self._weights.shape)
        return Chunk(n_done=n_done, records=found, state={"weights": weights})

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._lengths[axis] for axis in AXES.get(name, ("step",))[1:])

    @property
    def _lengths(self) -> dict[str, int]:
        return {
            "class": 1,
            "neuron": self.model.width,
            "dim": self.data.dim,
            "sample": self.data.n_samples,
            "noise_patch": self.data.n_patches - 1,
        }

    def _call(
        self, data: PatchData, weights: FloatArray, n_steps: int, *, update: bool
    ) -> tuple[int, FloatArray, FloatArray]:
        """Train `weights` in place, or pass once; return steps done and the last pass's margins y f."""
        model, plan, d = self.model, self._plan, data.dim
        clean, attacked = np.empty(data.n_samples), np.empty(data.n_samples)
        signal, line = np.zeros(d), np.zeros(data.n_samples, dtype=np.int64)
        if isinstance(data, SignalNoiseData):
            signal = data.signal
            line = np.arange(data.n_samples, dtype=np.int64) * data.n_patches + data.signal_patch
        labels = np.where(data.y == 1, 1.0, -1.0)
        code = int(model.power) if model.power in (2.0, 3.0, 4.0, 5.0) else 0
        n_done = kernel.power_trajectory(
            data.X.reshape(-1, d), locked(labels), locked(line), weights[0], locked(model.output_signs),
            locked(signal), data.n_patches, model.activation == "odd", model.power, code, plan.weight,
            plan.mode, plan.radius, plan.n_steps, plan.step_size, plan.whole,
            self.spec.schedule.step_size, n_steps, update, clean, attacked,
        )  # fmt: skip
        return n_done, clean, attacked

    def _record(self, weights: FloatArray) -> dict[str, FloatArray]:
        data, plan = self.data, self._plan
        found: dict[str, FloatArray] = {}
        if isinstance(data, SignalNoiseData) and np.isfinite(weights).all():
            found = record_signal(self.model, self.model.network(weights), data, self._radius)
            if self._on_line:
                return self._wanted(found | self._renamed(found))
        for prefix, samples in (("", data), ("fresh_", getattr(data, "fresh", None))):
            if samples is None or not (plan.whole_input or not found):
                continue
            _, clean, attacked = self._call(samples, weights.copy(), 1, update=False)
            names = {"attacked": attacked} if found else {"clean": clean, "attacked": attacked}
            found = {**record_losses(names, prefix), **found}
        return self._wanted(found)

    @property
    def _on_line(self) -> bool:
        attack = self.spec.attack
        return isinstance(attack.attack if isinstance(attack, Mixture) else attack, SignalAttack)

    def _renamed(self, found: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Training's own attack under the name every theory uses."""
        rule = "fixed" if self._plan.mode == kernel.FIXED else "worst"
        return {
            name.replace(f"{rule}_", "attacked_"): value
            for name, value in found.items()
            if name.removeprefix("fresh_").startswith(f"{rule}_")
        }

    def _wanted(self, found: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return what is recorded; nan for what weights that are not finite do not have."""
        return {
            name: found[name] if name in found else np.full(self._shape(name), np.nan)
            for name in self.quantities
        }


def _check_data(spec: RunSpec, data: PatchData) -> None:
    if data.n_classes != 2:
        raise ValueError(f"data must have 2 classes for a network with one score, got {data.n_classes}")
    if np.any(data.counts != 1.0):
        raise ValueError("counts must be 1 for this network; train on the data before merge_repeats()")
    if spec.schedule.batch_size is not None:
        raise ValueError(
            f"batch_size must be None: this theory trains on the full batch, got {spec.schedule.batch_size}"
        )
