"""Training of the symmetric network on sparse-coding data, as a stepper of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.data import SparseCodingData, SparseCodingSpec
from featsim.data.sparse_coding import draw_samples
from featsim.decomposition import NeuronParts
from featsim.kernels import symmetric as kernel
from featsim.kernels.blas import one_thread
from featsim.models import SymmetricNetworkSpec
from featsim.traces import STANDARD_AXES
from featsim.training.ball import plan_ball
from featsim.training.ramp_schedule import RampSchedule
from featsim.training.run_inputs import (
    check_batches,
    choose_quantities,
    locked,
    squares_are_finite,
    step_flags,
)
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint, Product, StepWork
from featsim.validation import FloatArray, IntArray, check_array

_PER_NEURON = ("pure_weight", "dense_weight", "rest_norm", "winner")
_NETWORK = (
    "pure_share",
    "dense_share",
    "rest_share",
    "mean_dense_weight",
    "dense_to_pure",
    "coverage",
    "sign_agreement",
)
_RAMP = ("bias", "smoothing")
_CLEAN, _ATTACKED = kernel.STEP_STATISTICS[:2], kernel.STEP_STATISTICS[2:]
_DATA = ("X", "y", "dictionary", "label_weights")
_FRESH_NUMBERS = 1 << 20  # of inputs drawn ahead
_ORTHOGONAL = 1e-13  # times d sums of rounding; your own dictionary may be orthonormal to 1e-8 only
_ACTIVATION = 2.0  # the activation and its slope, in exponentials of NumPy [measured]
_SPARSE = 8  # rows of the weights are summed where fewer than one entry in this many is nonzero


class PurificationStepper:
    """Update rule of :class:`featsim.models.SymmetricNetworkSpec`.

    Parameters
    ----------
    spec : RunSpec
        Configuration; its model is a SymmetricNetworkSpec, its schedule a Schedule or RampSchedule.
    data : SparseCodingData
        Training data. With fresh samples in every step it only fixes dictionary and rule.
    weights : array_like, shape (1, m, d)
        Initial weights, finite.
    batches : array_like of int, shape (n_steps, B)
        Sample indices of every step; B = 0 for full batch.
    factor : array_like, shape (d, r)
        Initial V of low-rank updates; r = 0 for none.
    fresh_key : int
        Seed of the fresh samples; step t draws from ``default_rng([fresh_key, t])``.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or a quantity asked for cannot be recorded.
    """

    def __init__(
        self, spec: RunSpec, data: SparseCodingData, weights: Any, batches: Any, factor: Any, fresh_key: int
    ) -> None:
        if not isinstance(spec.model, SymmetricNetworkSpec):
            raise TypeError(f"model must be a SymmetricNetworkSpec, got {type(spec.model).__name__}")
        self.spec, self.model, self.data, self.fresh_key = spec, spec.model, data, fresh_key
        self.schedule = as_ramp(spec.schedule)
        if self.schedule.fresh and not isinstance(data.spec, SparseCodingSpec):
            raise ValueError("fresh samples need data from a SparseCodingSpec, got arrays; use fresh=False")
        self._weights = check_array("initial_weights", weights, (1, self.model.width, data.dim))
        self._batches = check_batches(batches, self.schedule.n_steps, data.n_samples)
        self._factor = np.ascontiguousarray(factor, dtype=np.float64)
        self._ball = plan_ball(spec.attack)
        # Descent on l2 balls commutes with rotations: in the dictionary's own coordinates the neurons' parts
        # are read off, and no step multiplies by M.
        self._frame = data.dictionary if self._ball.norm != kernel.LINF and _is_rotation(data) else None
        self._inputs = data.inputs if self._frame is None else _product(data.inputs, self._frame)
        # Without a rotation the codes themselves are the inputs, and mostly 0.
        self._sparse = bool(np.count_nonzero(self._inputs) * _SPARSE < self._inputs.size)
        known = data.identity_dictionary or self._frame is not None
        self._dictionary = locked(np.empty((0, 0)) if known else data.dictionary)
        self.quantities = self._choose(spec.recording.quantities)
        axes = {name: ("step", "class", "neuron") for name in _PER_NEURON}
        self.axes: Mapping[str, tuple[str, ...]] = {
            "steps": ("step",),
            **{name: axes.get(name, ("step",)) for name in self.quantities},
            **{name: STANDARD_AXES[name] for name in ("weight_steps", "weights", "final_weights")},
        }
        self.meta: dict[str, Any] = {"theory": "purification", "nominal": ["winner"]}

    @classmethod
    def start(
        cls,
        spec: RunSpec,
        data: Any,
        rng: np.random.Generator | None,
        initial_weights: Any,
        batches: Any,
    ) -> PurificationStepper:
        """Make a stepper; draws weights, minibatches or the key of fresh ones, then the low-rank factor."""
        if not isinstance(data, SparseCodingData):
            raise TypeError(
                f"data must be SparseCodingData, got {type(data).__name__}; use sparse_coding_data"
            )
        if not isinstance(spec.model, SymmetricNetworkSpec):
            raise TypeError(f"model must be a SymmetricNetworkSpec, got {type(spec.model).__name__}")
        schedule = as_ramp(spec.schedule)
        if initial_weights is None:
            initial_weights = spec.model.initial_weights(
                data.dim, _needed(rng, "initial_weights are not given")
            )
        fresh_key = 0
        if schedule.fresh:
            if batches is not None:
                raise ValueError(
                    "batches must be None when every step draws fresh samples; or use fresh=False"
                )
            fresh_key = int(_needed(rng, "every step draws fresh samples").integers(2**63))
            batches = np.empty((schedule.n_steps, 0), dtype=np.int64)
        elif batches is None:
            drawn = _needed(rng, "the schedule draws minibatches") if schedule.batch_size else None
            batches = schedule.draw_batches(data.n_samples, drawn or np.random.default_rng(0))
        factor = np.empty((data.dim, 0))
        if schedule.rank is not None:
            normal = _needed(rng, "low-rank factors are drawn").standard_normal((data.dim, schedule.rank))
            factor = normal / np.sqrt(data.dim)
        return cls(spec, data, initial_weights, batches, factor, fresh_key)

    @property
    def inputs(self) -> Arrays:
        """All that the run starts from, for :meth:`from_inputs`."""
        arrays = {name: np.asarray(getattr(self.data, name)) for name in _DATA}
        own = {"weights": self._weights, "batches": self._batches, "factor": self._factor}
        return {**arrays, **own, "fresh_key": np.asarray(self.fresh_key, dtype=np.uint64)}

    @classmethod
    def from_inputs(cls, spec: RunSpec, inputs: Arrays) -> PurificationStepper:
        """Rebuild a stepper from what :attr:`inputs` gave."""
        data = rebuild_data(spec, inputs)
        return cls(
            spec, data, inputs["weights"], inputs["batches"], inputs["factor"], int(inputs["fresh_key"])
        )

    def available(self) -> tuple[str, ...]:
        """Return the quantities that can be recorded."""
        return (*_NETWORK, *_CLEAN, *(_ATTACKED if self._ball.norm else ()), *_RAMP, *_PER_NEURON)

    def _choose(self, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
        return choose_quantities(wanted, self.available())

    def footprint(self) -> Footprint:
        """Return the sizes of the run and the products of its steps."""
        d, m = self.data.dim, self.model.width
        n = self.schedule.batch_size or self.data.n_samples
        rows = min(n, kernel.BLOCK_ROWS)
        turned = 0 if self._frame is None else self._inputs.size
        drawn = 3 * self._stretch() * n * d if self.schedule.fresh else 0
        table = 2 * self._dictionary.shape[1] * m
        rank = self._factor.shape[1]
        attacked = self._ball.norm != kernel.NONE
        inner = float(self._ball.n_steps) if attacked else 0.0
        block = rows * (2 * m + d * (4 if attacked else 1))
        products = [] if self._sparse and not attacked else [Product(n, d, m, 2.0 + 2.0 * inner)]
        if rank:
            products.append(Product(d, rank, m, 3.0))
        return Footprint(
            lengths={"class": 1, "neuron": m, "dim": d},
            work=8 * (block + turned + drawn + table + (6 + bool(rank)) * d * m),
            per_record=8 * 8 * m,
            step=None
            if self.schedule.fresh  # drawing samples has no model
            else StepWork(
                products=tuple(products),
                passes=3.0 * d * m + n * d * (2.0 + 3.0 * inner) + (n * d * m / 4 if self._sparse else 0.0),
                functions=n * m * (1.0 + inner) * _ACTIVATION,
            ),
            record=None if self.schedule.fresh else StepWork(passes=6.0 * d * m),
        )

    def initial_state(self) -> Arrays:
        """Return the initial weights, transposed and in the frame of training, and the low-rank factors."""
        left = np.zeros((self.model.width, self._factor.shape[1]))
        return {"columns": self._into(self._weights[0].T), "left": left, "right": self._into(self._factor)}

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the weights at the end."""
        return {"final_weights": self._back(state["columns"].T)[None]}

    def _into(self, columns: FloatArray) -> FloatArray:
        """Return columns (d, ...) in the frame of training."""
        return np.ascontiguousarray(columns if self._frame is None else _product(self._frame.T, columns))

    def _back(self, rows: FloatArray) -> FloatArray:
        """Return rows (..., d) in the frame of the inputs."""
        return np.ascontiguousarray(rows if self._frame is None else rows @ self._frame.T)

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1; see :class:`featsim.training.stepper.Stepper`."""
        WT, left, right = (np.array(state[name]) for name in ("columns", "left", "right"))
        found: list[Arrays] = []
        step = first
        while step < last:
            end = min(last, step + self._stretch())
            done, records = self._call(WT, left, right, step, end, record, keep, update=True)
            found.append(records)
            step += done
            if step < end:
                break
        return self._chunk(step - first, WT, left, right, found)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state before `step` without an update, on the last step's samples."""
        WT, left, right = (np.array(state[name]) for name in ("columns", "left", "right"))
        here = np.array([step], dtype=np.int64)
        if record:
            done, records = self._call(WT, left, right, step, step + 1, here, here[: int(keep)], update=False)
        else:
            done, records = int(squares_are_finite(WT)), self._unevaluated(WT, here[: int(keep)])
        return self._chunk(done, WT, left, right, [records])

    def _unevaluated(self, WT: FloatArray, keep: IntArray) -> Arrays:
        """Return no records, in their shapes, with the weights where they are kept."""
        per_neuron = np.empty((0, len(WT.T)))
        records = self._records(per_neuron.astype(np.int64), [per_neuron] * 3)
        records |= {name: np.empty(0) for name in (*kernel.STEP_STATISTICS, *_RAMP)}
        records = {name: records[name] for name in self.quantities}
        kept = np.repeat(self._back(WT.T)[None, None], len(keep), axis=0)
        return {**records, "steps": keep[:0], "weight_steps": keep, "weights": kept}

    def _stretch(self) -> int:
        if not self.schedule.fresh:
            return self.schedule.n_steps
        return max(1, _FRESH_NUMBERS // ((self.schedule.batch_size or 1) * self.data.dim))

    def _samples(self, first: int, last: int) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return inputs, signs and the batches of these steps; the last step stands for the time after it."""
        steps = np.minimum(np.arange(first, last), self.schedule.n_steps - 1)
        if not self.schedule.fresh:
            return self._inputs, self.data.signs, self._batches[steps]
        data, size = self.data, self.schedule.batch_size or 1
        drawn = [
            draw_samples(
                data.spec,  # type: ignore[arg-type]
                data.dictionary,
                data.label_weights,
                size,
                np.random.default_rng([self.fresh_key, t]),
            )
            for t in steps.tolist()
        ]
        X, y = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        X = X if self._frame is None else X @ self._frame
        return X, np.where(y == 1, 1.0, -1.0), np.arange(len(X)).reshape(len(steps), size)

    def _call(
        self,
        WT: FloatArray,
        left: FloatArray,
        right: FloatArray,
        first: int,
        last: int,
        record: IntArray,
        keep: IntArray,
        *,
        update: bool,
    ) -> tuple[int, Arrays]:
        """Train in place; return steps done and what was recorded on the way."""
        schedule, model, ball = self.schedule, self.model, self._ball
        X, sign, batches = self._samples(first, last)
        bias = schedule.ramp(schedule.bias_start, model.bias, first, last)
        smoothing = schedule.ramp(schedule.smoothing_start, model.smoothing, first, last)
        record = record[(record >= first) & (record < last)]
        keep = keep[(keep >= first) & (keep < last)]
        d, m = WT.shape
        winner, parts = np.empty((len(record), m), np.int64), [np.empty((len(record), m)) for _ in range(3)]
        statistics = np.zeros((last - first, len(kernel.STEP_STATISTICS)))
        kept = np.empty((len(keep), m, d))
        low_rank = left.shape[1] > 0
        base = self._into(self._weights[0].T) if low_rank else np.empty((0, 0))
        done = kernel.trajectory(
            locked(X), locked(sign), locked(batches, np.int64), self._sparse, WT, 0, base, left, right,
            bias, smoothing, schedule.step_size, schedule.weight_decay,
            ball.norm, ball.radius, ball.n_steps, ball.step_size,
            self._dictionary, locked(self.data.label_weights),
            step_flags(record, first, last), step_flags(keep, first, last), update,
            winner, parts[0], parts[1], parts[2], statistics, kept,
        )  # fmt: skip
        # A run that diverged at step t has recorded t, and nothing later.
        record, keep = record[record <= first + done], keep[keep <= first + done]
        kept = self._back(kept[: len(keep)])
        if len(keep) and keep[0] == 0:
            kept[0] = self._weights[0]  # as given, without the rounding of two rotations
        n = len(record)
        with np.errstate(all="ignore"):  # a run that diverges is told so once, with advice
            records = self._records(winner[:n], [part[:n] for part in parts])
        at = record - first
        records |= {name: statistics[at, c] for c, name in enumerate(kernel.STEP_STATISTICS)}
        records |= {"bias": bias[at], "smoothing": smoothing[at]}
        records = {name: records[name] for name in self.quantities}
        return done, {**records, "steps": record, "weight_steps": keep, "weights": kept[:, None]}

    def _records(self, winner: IntArray, parts: list[FloatArray]) -> Arrays:
        split = NeuronParts(
            winner=winner,
            pure_weight=parts[0],
            dense_weight=parts[1],
            rest_norm=parts[2],
            label_weights=self.data.label_weights,
        )
        per_neuron = {name: getattr(split, name)[:, None] for name in _PER_NEURON}
        if not any(name in self.quantities for name in _NETWORK):
            return per_neuron
        return {**split.statistics(), **per_neuron}

    def _chunk(
        self, n_done: int, WT: FloatArray, left: FloatArray, right: FloatArray, found: list[Arrays]
    ) -> Chunk:
        records = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        return Chunk(n_done=n_done, records=records, state={"columns": WT, "left": left, "right": right})


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return a matrix product in the bits of one thread, as in the training loop."""
    with one_thread():
        product: FloatArray = left @ right
    return product


def _is_rotation(data: SparseCodingData) -> bool:
    """Return whether M is square and orthogonal up to rounding, and not the identity."""
    d, n_atoms = data.dictionary.shape
    if d != n_atoms or data.identity_dictionary:
        return False
    return float(np.abs(data.dictionary.T @ data.dictionary - np.eye(d)).max()) < _ORTHOGONAL


def as_ramp(schedule: Any) -> RampSchedule:
    """Return any schedule as a ramp schedule."""
    if isinstance(schedule, RampSchedule):
        return schedule
    return RampSchedule(
        n_steps=schedule.n_steps, step_size=schedule.step_size, batch_size=schedule.batch_size
    )


def rebuild_data(spec: RunSpec, inputs: Arrays) -> SparseCodingData:
    """Return the training data from what a stepper of this theory keeps of them."""
    X = inputs["X"]
    return SparseCodingData(
        X=X,
        y=inputs["y"],
        n_classes=2,
        robust_features=None,
        nonrobust_features=None,
        roles=np.full(X.shape[:2], -1, dtype=np.int8),
        counts=np.ones(X.shape[:2]),
        spec=spec.data,
        dictionary=inputs["dictionary"],
        label_weights=inputs["label_weights"],
    )


def _needed(rng: np.random.Generator | None, why: str) -> np.random.Generator:
    if rng is None:
        raise ValueError(f"rng must be given when {why}; use np.random.default_rng(0)")
    return rng
