"""Gradient descent of the two-layer patch network, as a stepper of the training loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.data import PatchData
from featsim.decomposition import feature_logits, nonrobust_share
from featsim.kernels import patch_network as kernel
from featsim.models import TwoLayerSpec
from featsim.traces import STANDARD_AXES
from featsim.training.patch_cost import patch_footprint
from featsim.training.patch_plan import check_fits, plan_attack
from featsim.training.run_inputs import (
    check_batches,
    choose_quantities,
    locked,
    squares_are_finite,
    step_flags,
)
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint
from featsim.training.whitening import WhiteningSchedule, whitening_matrix
from featsim.validation import FloatArray, IntArray, check_array

_ROWS = 256
_TABLES = ("robust_table", "nonrobust_table")
_COEFFICIENTS = ("robust_coef", "nonrobust_coef", "rest_norm", *_TABLES)
_LOGITS = ("robust_logit", "nonrobust_logit", "nonrobust_share")
_CLEAN = ("clean_loss", "clean_accuracy", "error_probability")
_PARTS = ("robust_only_accuracy", "nonrobust_only_accuracy")
_ATTACKED = ("attacked_loss", "attacked_accuracy", "dead_gradients")
_PERTURBATION = ("perturbation_cosine", "attacked_nonrobust", "attacked_robust")
_ARRAY_INPUTS = (
    "X",
    "y",
    "robust_features",
    "nonrobust_features",
    "roles",
    "counts",
    "pixel_map",
)
_SEED = "start_seed"
_SCALAR_INPUTS = ("robust_strength", "nonrobust_strength", "n_robust_patches", "n_nonrobust_patches")


class PatchStepper:
    """Update rule of :class:`featsim.models.TwoLayerSpec` on patch data.

    Parameters
    ----------
    spec : RunSpec
        Configuration; its model is a TwoLayerSpec.
    data : PatchData
        Training data.
    weights : array_like, shape (k, m, d)
        Initial weights, finite.
    batches : array_like of int, shape (n_steps, B)
        Sample indices of every step; B = 0 for full batch.
    start_seed : int, optional
        Key of the attack's random starts, from 0 to 2**62 - 1; for an attack that has them.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or a quantity asked for cannot be recorded.
    """

    def __init__(
        self, spec: RunSpec, data: PatchData, weights: Any, batches: Any, start_seed: Any = None
    ) -> None:
        if not isinstance(spec.model, TwoLayerSpec):
            raise TypeError(f"model must be a TwoLayerSpec, got {type(spec.model).__name__}")
        self.spec, self.model, self.data = spec, spec.model, data
        shape = (data.n_classes, self.model.width, data.dim)
        self._weights = check_array("initial_weights", weights, shape)
        self._batches = check_batches(batches, spec.schedule.n_steps, data.n_samples)
        self._plan = plan_attack(spec.attack, data, shape[0] * shape[1])
        self._dtype = np.dtype(spec.schedule.precision)
        if self._dtype == np.float32:
            check_fits(data, self._weights, self.model, self._plan)
        self._patches = locked(data.X.reshape(-1, data.dim), self._dtype)
        if self._plan.started and start_seed is None:
            raise ValueError("rng must be given for random starts; use np.random.default_rng(0)")
        self._seed = int(start_seed) if self._plan.started else None
        self._step_size = spec.schedule.step_size
        known = data.robust_features is not None and data.nonrobust_features is not None
        self._features = data.features if known else np.empty((0, data.dim))
        self._metric = None
        if isinstance(spec.schedule, WhiteningSchedule):
            whitening = whitening_matrix(data, spec.schedule.floor)
            self._metric = whitening @ whitening
        self.quantities = choose_quantities(spec.recording.quantities, self.available(), _TABLES)
        self._totals = self._own_features()
        self.axes: Mapping[str, tuple[str, ...]] = {
            "steps": ("step",),
            **{name: STANDARD_AXES.get(name, ("step",)) for name in self.quantities},
            "weight_steps": ("weight_step",),
            "weights": STANDARD_AXES["weights"],
            "final_weights": STANDARD_AXES["final_weights"],
        }
        competing = [name for name in ("robust_coef", "nonrobust_coef") if name in self.quantities]
        self.meta: dict[str, Any] = {"competing": competing} if len(competing) == 2 else {}

    @classmethod
    def start(
        cls,
        spec: RunSpec,
        data: Any,
        rng: np.random.Generator | None,
        initial_weights: Any,
        batches: Any,
    ) -> PatchStepper:
        """Make a stepper, drawing initial weights and then minibatches as far as they are None.

        For an attack with random starts, their seed is drawn after them.
        """
        if not isinstance(data, PatchData):
            raise TypeError(f"data must be a PatchData, got {type(data).__name__}; use patch_data(X, y)")
        if not isinstance(spec.model, TwoLayerSpec):
            raise TypeError(f"model must be a TwoLayerSpec, got {type(spec.model).__name__}")
        if rng is None and initial_weights is None:
            raise ValueError("rng must be given when initial_weights is not; use np.random.default_rng(0)")
        if rng is None and batches is None and spec.schedule.batch_size is not None:
            raise ValueError("rng must be given when the schedule draws minibatches; or give batches")
        if initial_weights is None and rng is not None:
            initial_weights = spec.model.initial_weights(data.n_classes, data.dim, rng)
            if isinstance(spec.schedule, WhiteningSchedule):  # drawn for the whitened patches
                initial_weights = initial_weights @ whitening_matrix(data, spec.schedule.floor)
        if batches is None:
            # Full batch draws nothing, so any generator will do.
            batches = spec.schedule.draw_batches(data.n_samples, rng or np.random.default_rng(0))
        started = rng is not None and getattr(spec.attack, "n_random", 0) > 0
        seed = rng.integers(2**62) if rng is not None and started else None
        return cls(spec, data, initial_weights, batches, seed)

    @property
    def inputs(self) -> Arrays:
        """All that the run starts from, for :meth:`from_inputs`."""
        found = {name: getattr(self.data, name) for name in _ARRAY_INPUTS + _SCALAR_INPUTS}
        arrays = {name: np.asarray(value) for name, value in found.items() if value is not None}
        if self._seed is not None:
            arrays[_SEED] = np.asarray(self._seed)
        n_classes = np.asarray(self.data.n_classes)
        return {**arrays, "n_classes": n_classes, "weights": self._weights, "batches": self._batches}

    @classmethod
    def from_inputs(cls, spec: RunSpec, inputs: Arrays) -> PatchStepper:
        """Rebuild a stepper from what :attr:`inputs` gave."""
        arrays: dict[str, Any] = {name: inputs.get(name) for name in _ARRAY_INPUTS}
        for name in ("robust_strength", "nonrobust_strength"):
            arrays[name] = float(inputs[name]) if name in inputs else None
        for name in ("n_robust_patches", "n_nonrobust_patches"):
            arrays[name] = int(inputs[name]) if name in inputs else None
        data = PatchData(n_classes=int(inputs["n_classes"]), spec=spec.data, **arrays)
        return cls(spec, data, inputs["weights"], inputs["batches"], inputs.get(_SEED))

    def available(self) -> tuple[str, ...]:
        """Return the quantities that can be recorded for this data and attack."""
        names: tuple[str, ...] = _CLEAN
        attacked = self._plan.mode != kernel.CLEAN
        if attacked:
            names += _ATTACKED
        if len(self._features):
            names = _COEFFICIENTS + names
            roles = self.data.roles
            if (roles == 0).any() or (roles == 1).any():
                names += _PARTS + (_PERTURBATION if attacked else ())
            strengths = [getattr(self.data, name) for name in _SCALAR_INPUTS]
            if None not in strengths:
                names += _LOGITS
        else:
            names = ("rest_norm", *names)
        return names

    def footprint(self) -> Footprint:
        """Return the sizes of the run and the products of its steps."""
        found = patch_footprint(
            self._plan,
            self._weights.shape,
            n_samples=self.data.n_samples,
            n_patches=self.data.n_patches,
            n_features=len(self._features),
            batch=self._batches.shape[1] or None,
            metric=self._metric is not None,
        )
        copied = 0 if self._patches.dtype == self.data.X.dtype else self._patches.nbytes
        return dataclasses.replace(found, work=found.work + copied, itemsize=self._dtype.itemsize)

    def initial_state(self) -> Arrays:
        """Return the initial weights."""
        return {"weights": self._weights}

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the weights at the end."""
        return {"final_weights": state["weights"]}

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1; see :class:`featsim.training.stepper.Stepper`."""
        if self._metric is None:
            return self._run(state, first, last, record, keep, update=True)
        chunks: list[Chunk] = []
        for step in range(first, last):
            chunk = self._run(state, step, step + 1, record[record == step], keep[keep == step], update=True)
            # The plain update, seen through the metric.
            moved = (chunk.state["weights"] - state["weights"]) @ self._metric
            state = {"weights": state["weights"] + moved}
            chunks.append(chunk)
            if chunk.n_done == 0:
                break
        names = chunks[0].records
        records = {name: np.concatenate([chunk.records[name] for chunk in chunks]) for name in names}
        return Chunk(n_done=sum(chunk.n_done for chunk in chunks), records=records, state=state)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state before `step` without an update."""
        here = np.array([step], dtype=np.int64)
        return self._run(state, step, step + 1, here[: int(record)], here[: int(keep)], update=False)

    def _run(
        self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray, *, update: bool
    ) -> Chunk:
        if not (update or len(record)):
            return self._unevaluated(state, keep)
        data, plan, model, dtype = self.data, self._plan, self.model, self._dtype
        k, m, d = self._weights.shape
        weights = np.array(state["weights"]).reshape(k * m, d)
        coef = np.empty((len(record), k * m, len(self._features)))
        rest = np.empty((len(record), k * m))
        stats = np.empty((len(record), kernel.N_STATISTICS))
        kept = np.empty((len(keep), k * m, d))
        batches = self._batches[first:last] if update else self._batches[:1, :0]
        n_done = kernel.patch_trajectory(
            self._patches, data.y, data.counts.ravel(), data.roles.ravel(),
            locked(batches), data.n_patches, weights, locked(self._features), self._totals,
            kernel.activation_shape(model.power, model.smoothing, dtype), m,
            kernel.few_neurons(k * m, d, model.power, dtype),
            True if plan.mode == kernel.COEFFICIENT else None, self._explicit(), self._starts(first),
            plan.n_steps, plan.margin, plan.step_size, plan.unit, plan.radius, plan.whole,
            self._step_size, last - first,
            step_flags(record, first, last), step_flags(keep, first, last), update,
            any(name in self.quantities for name in _PARTS),
            any(name in self.quantities for name in _PERTURBATION),
            coef, rest, stats, kept,
        )  # fmt: skip
        # A run that diverged at step t has recorded t, and nothing later.
        n_record = int(np.searchsorted(record, first + n_done, side="right"))
        n_keep = int(np.searchsorted(keep, first + n_done, side="right"))
        with np.errstate(all="ignore"):  # a run that diverges is told so once, with advice
            records = self._records(coef[:n_record], rest[:n_record], stats[:n_record])
        records["steps"] = np.asarray(record[:n_record], dtype=np.int64)
        records["weight_steps"] = np.asarray(keep[:n_keep], dtype=np.int64)
        records["weights"] = kept[:n_keep].reshape(n_keep, k, m, d)
        return Chunk(n_done=n_done, records=records, state={"weights": weights.reshape(k, m, d)})

    def _unevaluated(self, state: Arrays, keep: IntArray) -> Chunk:
        """Return a state of which only the weights are kept, if that: nothing is evaluated."""
        k, m, _ = self._weights.shape
        weights = state["weights"]
        records = self._records(
            np.empty((0, k * m, len(self._features))),
            np.empty((0, k * m)),
            np.empty((0, kernel.N_STATISTICS)),
        )
        records["steps"] = np.empty(0, dtype=np.int64)
        records["weight_steps"] = np.asarray(keep, dtype=np.int64)
        records["weights"] = np.repeat(weights[None], len(keep), axis=0)
        return Chunk(n_done=int(squares_are_finite(weights)), records=records, state={"weights": weights})

    def _starts(self, first: int) -> tuple[Any, ...] | None:
        """Return what the kernel needs to draw random starts from step `first` on, if it is to."""
        if self._seed is None:
            return None
        return locked([self._seed & 0xFFFFFFFF, self._seed >> 32], np.int64), first

    def _explicit(self) -> tuple[Any, ...] | None:
        """Return what the kernel needs to hold perturbations explicitly, if it is to."""
        plan, pixel_map = self._plan, self.data.pixel_map
        if plan.mode not in (kernel.DIRECT, kernel.SUBSPACE):
            return None
        subspace = plan.mode == kernel.SUBSPACE
        pixels = locked(np.empty((0, 0), np.int64) if pixel_map is None else pixel_map)
        n_pixels = int(pixels.max()) + 1 if pixels.size else 0
        basis = plan.basis if subspace else np.empty((0, self.data.dim))
        mask = plan.role_mask if subspace else np.empty((0, 1))
        return locked(basis, self._dtype), locked(mask), pixels, n_pixels, plan.linf

    def _own_features(self) -> FloatArray:
        """Return the counts of non-robust and robust patches, and of <patch, own feature> over either."""
        data, totals = self.data, np.zeros(4)
        if not len(self._features):
            return totals
        for entry, role, features in ((0, 1, data.nonrobust_features), (1, 0, data.robust_features)):
            samples, patches = np.nonzero(data.roles == role)
            for first in range(0, len(samples), _ROWS):  # all at once would be another copy of the data
                s, p = samples[first : first + _ROWS], patches[first : first + _ROWS]
                counts, own = data.counts[s, p], np.asarray(features)[data.y[s]]
                totals[entry] += counts.sum()
                totals[2 + entry] += np.einsum("r,rd,rd->", counts, data.X[s, p], own)
        return totals

    def _records(self, coef: FloatArray, rest: FloatArray, stats: FloatArray) -> Arrays:
        k, m, _ = self._weights.shape
        t = len(coef)
        named: dict[str, FloatArray] = {name: stats[:, c] for c, name in enumerate(kernel.STATISTICS)}
        named["rest_norm"] = rest.reshape(t, k, m)
        if coef.shape[2]:
            table = coef.reshape(t, k, m, 2 * k)
            own = np.arange(k)
            named["robust_table"], named["nonrobust_table"] = table[..., :k], table[..., k:]
            # Indexing class and feature together puts that axis first.
            named["robust_coef"] = np.moveaxis(table[:, own, :, own], 0, 1)
            named["nonrobust_coef"] = np.moveaxis(table[:, own, :, k + own], 0, 1)
            if "nonrobust_share" in self.available():
                self._add_logits(named)
        return {name: np.ascontiguousarray(named[name]) for name in self.quantities}

    def _add_logits(self, named: dict[str, FloatArray]) -> None:
        data, model = self.data, self.model
        for name, coef, strength, count in (
            ("robust_logit", "robust_coef", data.robust_strength, data.n_robust_patches),
            ("nonrobust_logit", "nonrobust_coef", data.nonrobust_strength, data.n_nonrobust_patches),
        ):
            named[name] = feature_logits(
                named[coef],
                strength=float(strength or 0.0),
                n_patches=int(count or 0),
                power=model.power,
                smoothing=model.smoothing,
            )
        named["nonrobust_share"] = nonrobust_share(named["robust_logit"], named["nonrobust_logit"])
