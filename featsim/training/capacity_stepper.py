"""Adam on the small ReLU network with biases, as a stepper of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.attacks import GradientAttack
from featsim.data import PointData
from featsim.kernels import biased_network as kernel
from featsim.models import BiasedReluSpec
from featsim.training.adam import Adam
from featsim.training.last_iterate import check_last_iterate
from featsim.training.run_inputs import choose_quantities, locked, squares_are_finite
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint
from featsim.validation import FloatArray, IntArray

_STATISTICS = ("clean_loss", "clean_accuracy", "attacked_loss", "attacked_accuracy")
_STATE = ("weights", "output_bias", "first", "second", "bias_moments")
_BLOCK = 100  # steps that share one stream of random starts
_WEIGHT_AXES = ("class", "neuron", "parameter")


class CapacityStepper:
    """Update rule of :class:`featsim.models.BiasedReluSpec`.

    Parameters
    ----------
    spec : RunSpec
        Configuration; its schedule is :class:`Adam`, its attack whole-input l2 from one random start.
    data : PointData
        Training data.
    start : dict of str to ndarray
        Initial ``"weights"``, ``"output_bias"``, and ``"attack_seed"`` of an adversarial training.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or a quantity asked for cannot be recorded.
    """

    def __init__(self, spec: RunSpec, data: PointData, start: Arrays) -> None:
        if not isinstance(spec.schedule, Adam):
            raise TypeError(f"schedule must be Adam for this network, got {type(spec.schedule).__name__}")
        self.spec, self.data, self._schedule = spec, data, spec.schedule
        self._attack = _checked_attack(spec.attack)
        self._start = dict(start)
        available = _STATISTICS if self._attack is not None else _STATISTICS[:2]
        self.quantities = wanted = choose_quantities(spec.recording.quantities, available)
        self.axes: Mapping[str, tuple[str, ...]] = {
            **dict.fromkeys(("steps", *wanted), ("step",)),
            "weight_steps": ("weight_step",),
            "weights": ("weight_step", *_WEIGHT_AXES),
            "final_weights": _WEIGHT_AXES,
            "output_bias": ("class",),
        }
        self.meta: dict[str, Any] = {}

    @classmethod
    def start(
        cls, spec: RunSpec, data: Any, rng: np.random.Generator | None, initial_weights: Any, batches: Any
    ) -> CapacityStepper:
        """Make a stepper, drawing initial weights, then the seed of the attack's starts."""
        if not isinstance(data, PointData):
            raise TypeError(f"data must be a PointData, got {type(data).__name__}; use point_data(X, y)")
        if not isinstance(spec.model, BiasedReluSpec):
            raise TypeError(f"model must be a BiasedReluSpec, got {type(spec.model).__name__}")
        if batches is not None and np.size(batches):
            raise ValueError("batches must be None: this theory trains on the full batch")
        start = spec.model.start(data.dim, rng, initial_weights)
        if spec.attack is not None:
            if rng is None:
                raise ValueError("rng must be given for random starts; use np.random.default_rng(0)")
            start["attack_seed"] = np.asarray(rng.integers(2**62))
        return cls(spec, data, start)

    @property
    def inputs(self) -> Arrays:
        """All that the run starts from, for :meth:`from_inputs`."""
        return {"X": self.data.X, "y": self.data.y, **self._start}

    @classmethod
    def from_inputs(cls, spec: RunSpec, inputs: Arrays) -> CapacityStepper:
        """Rebuild a stepper from what :attr:`inputs` gave."""
        data = PointData(X=inputs["X"], y=inputs["y"], spec=spec.data)
        return cls(spec, data, {name: array for name, array in inputs.items() if name not in ("X", "y")})

    def footprint(self) -> Footprint:
        """Return the sizes of the run; the random starts of a block of steps are drawn at once."""
        weights = self._start["weights"]
        _, m, n_parameters = weights.shape
        starts = 4 * _BLOCK * self.data.n_samples * (self.data.dim + 1)
        return Footprint(
            lengths={"class": 1, "neuron": m, "parameter": n_parameters}, work=8 * (starts + 8 * weights.size)
        )

    def initial_state(self) -> Arrays:
        """Return initial weights and moments."""
        zero = np.zeros_like(self._start["weights"])
        return {
            "weights": self._start["weights"],
            "output_bias": self._start["output_bias"],
            "first": zero,
            "second": zero.copy(),
            "bias_moments": np.zeros(2),
        }

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return weights and output bias at the end."""
        return {"final_weights": state["weights"], "output_bias": state["output_bias"]}

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1; see :class:`featsim.training.stepper.Stepper`."""
        here = {name: np.array(state[name]) for name in _STATE}
        stats, kept, step = np.empty((last - first, 4)), [], first
        # Stops at kept weights, and where the stream of random starts changes.
        stops = {last, *keep.tolist(), *range(first - first % _BLOCK + _BLOCK, last, _BLOCK)} - {first}
        kept_steps = set(keep.tolist())
        for stop in sorted(stops):
            if step in kept_steps:
                kept.append(here["weights"].copy())
            done = self._call(here, step, stop, stats[step - first : stop - first], update=True)
            step += done
            if step < stop:
                break
        n_record = int(np.searchsorted(record, step, side="right"))
        n_keep = len(kept)
        chosen = stats[record[:n_record] - first]
        return self._chunk(step - first, chosen, record[:n_record], kept, keep[:n_keep], here)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state before `step` without an update."""
        here = {name: np.array(state[name]) for name in _STATE}
        stats = np.empty((1, 4))
        if record:
            done = self._call(here, step, step + 1, stats, update=False)
        else:
            done = int(squares_are_finite(here["weights"], here["output_bias"]))
        steps = np.array([step], dtype=np.int64)
        kept = [here["weights"]] if keep else []
        return self._chunk(done, stats[: int(record)], steps[: int(record)], kept, steps[: int(keep)], here)

    def _chunk(
        self,
        n_done: int,
        stats: FloatArray,
        steps: IntArray,
        kept: list[FloatArray],
        keep: IntArray,
        here: Arrays,
    ) -> Chunk:
        records: Arrays = {
            name: np.ascontiguousarray(stats[:, _STATISTICS.index(name)]) for name in self.quantities
        }
        records["steps"] = np.asarray(steps, dtype=np.int64)
        records["weight_steps"] = np.asarray(keep, dtype=np.int64)
        records["weights"] = np.array(kept).reshape(len(kept), *self._start["weights"].shape)
        return Chunk(n_done=n_done, records=records, state=here)

    def _call(self, here: Arrays, first: int, last: int, stats: FloatArray, *, update: bool) -> int:
        schedule, attack = self._schedule, self._attack
        n_attack, radius, step_size = 0, 0.0, 0.0
        noise = np.zeros((last - first, self.data.n_samples, self.data.dim))
        if attack is not None:
            n_attack, radius, step_size = attack.n_steps, attack.threat.radius, float(attack.step_size)
            noise = self._noise(first, last)
        done: int = kernel.adam_trajectory(
            locked(self.data.X), locked(self.data.signs), here["weights"][0], here["output_bias"],
            here["first"][0], here["second"][0], here["bias_moments"], noise, first, radius, step_size,
            n_attack, schedule.step_size, schedule.decay, schedule.square_decay, schedule.floor, update,
            stats,
        )  # fmt: skip
        return done

    def _noise(self, first: int, last: int) -> FloatArray:
        """Random starts of the steps first..last-1, all in one block of steps."""
        block = first // _BLOCK
        rng = np.random.default_rng((int(self._start["attack_seed"]), block))
        n, dim = self.data.n_samples, self.data.dim
        draw = rng.standard_normal((_BLOCK, n, dim))
        level = rng.uniform(size=(_BLOCK, n, 1)) ** (1.0 / dim)
        radius = self._attack.threat.radius if self._attack is not None else 0.0
        ball = radius * level * draw / np.linalg.norm(draw, axis=2, keepdims=True)
        return np.ascontiguousarray(ball[first - block * _BLOCK : last - block * _BLOCK])


def _checked_attack(attack: Any) -> GradientAttack | None:
    if attack is None:
        return None
    if not isinstance(attack, GradientAttack):
        raise TypeError(f"attack in training must be a GradientAttack or None, got {type(attack).__name__}")
    threat = attack.threat
    fits = threat.norm == "l2" and threat.scope == "input" and threat.subspace is None
    if not fits or attack.rule != "unit" or attack.starts != ("random",) or attack.n_random != 1:
        raise ValueError(
            "attack in training must take unit steps in an l2 ball of the whole input from one random start; "
            "use pgd(Threat(radius, scope='input'), starts=('random',), n_random=1, keep='last')"
        )
    if attack.objective == "targeted" or attack.keep != "last":
        raise ValueError(
            f"attack in training must keep the last iterate of 'loss' or 'margin', got {attack.keep!r} of "
            f"{attack.objective!r}; use keep='last'"
        )
    check_last_iterate(attack)
    return attack
