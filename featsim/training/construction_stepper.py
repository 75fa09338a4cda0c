"""Networks that are written down from the data, step by step, as a stepper of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.attacks import GradientAttack
from featsim.data import MarginMixtureSpec, PatchData, patch_data, sample_like
from featsim.models import MemoriserSpec, MemorisingRuleSpec, margins
from featsim.training.linear_adversary import adversarial_step
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint
from featsim.validation import FloatArray, IntArray, check_array

N_FRESH = 1000
"""Fresh samples on which the records report, where the data have a distribution."""
_AXES = ("class", "neuron", "parameter")


class ConstructionStepper:
    r"""The memorising networks of Li & Li as they are built.

    A :class:`featsim.models.MemoriserSpec` stores one training point per step, in the order of the data,
    around a clean rule: its records show robust accuracy against the number of balls. A
    :class:`featsim.models.MemorisingRuleSpec` trains its linear part against the exact l2 adversary on the
    large-margin points, and memorises the small-margin ones beside it. ``fixed`` is the attack made once
    against the linear part and transferred.

    Parameters
    ----------
    spec : RunSpec
        Configuration; the attack of a MemorisingRuleSpec is one l2 step on the whole input (fgm), exact for
        a linear rule, or None for radius 0.
    data : PatchData
        Training data of two classes.
    inputs : dict of str to ndarray
        ``"rule"`` (D + 1,), and ``"fresh_X"``, ``"fresh_y"`` where there are fresh samples.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or a quantity asked for cannot be recorded.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271, Theorem 4.4; ICLR-2023 text, Theorems 5.1 and 5.2 [source]; the
       order of the steps is a choice.
    """

    def __init__(self, spec: RunSpec, data: PatchData, inputs: Arrays) -> None:
        model = spec.model
        if not isinstance(model, MemoriserSpec | MemorisingRuleSpec):
            raise TypeError(
                f"model must be a MemoriserSpec or MemorisingRuleSpec, got {type(model).__name__}"
            )
        self.spec, self.model, self.data = spec, model, data
        self._points = data.X.reshape(data.n_samples, -1)
        self._signs = np.where(data.y == 1, 1.0, -1.0)
        self._rule = check_array("initial_weights", inputs["rule"], (self._points.shape[1] + 1,))
        self._fresh = (inputs["fresh_X"], inputs["fresh_y"]) if "fresh_X" in inputs else None
        self._radius = model.radius if isinstance(model, MemoriserSpec) else _l2_radius(spec.attack)
        self._norm = model.norm if isinstance(model, MemoriserSpec) else "l2"
        self._small = _small_margin(data) if isinstance(model, MemorisingRuleSpec) else None
        if isinstance(model, MemoriserSpec) and spec.attack is not None:
            raise ValueError("attack must be None for a MemoriserSpec: its radius is the model's")
        own = ("clean_accuracy", "fixed_accuracy")
        available = (
            "n_stored",
            "n_parameters",
            *(("signal_cosine",) if self._target is not None else ()),
            *own,
        )
        if self._fresh is not None:
            available += tuple(f"fresh_{name}" for name in own)
        self.quantities = available if spec.recording.quantities is None else spec.recording.quantities
        for name in self.quantities:
            if name not in available:
                raise ValueError(f"quantities must be among {', '.join(available)} here, got {name!r}")
        self.axes: Mapping[str, tuple[str, ...]] = {
            **dict.fromkeys(("steps", *self.quantities), ("step",)),
            "weight_steps": ("weight_step",),
            "weights": ("weight_step", *_AXES),
            "final_weights": _AXES,
        }
        self.meta: dict[str, Any] = {"radius": self._radius}

    @classmethod
    def start(
        cls, spec: RunSpec, data: Any, rng: np.random.Generator | None, initial_weights: Any, batches: Any
    ) -> ConstructionStepper:
        """Make a stepper; the clean rule is that of the distribution if it is None."""
        if not isinstance(data, PatchData) or data.n_classes != 2:
            raise TypeError("data must be PatchData of two classes; use patch_data(X, y)")
        if (batches is not None and np.size(batches)) or spec.schedule.batch_size is not None:
            raise ValueError("batches and batch_size must be None: nothing here is done by minibatches")
        dim = data.n_patches * data.dim
        if initial_weights is not None:
            rule = np.append(check_array("initial_weights", initial_weights, (1, 1, dim)), 0.0)
        elif isinstance(spec.model, MemorisingRuleSpec):
            rule = np.zeros(dim + 1)
        elif (clean := getattr(data.spec, "clean_rule", None)) is not None:
            rule = np.append(clean, 0.0)
        else:
            raise ValueError("initial_weights must be given: the clean rule, of shape (1, 1, D)")
        inputs = {"rule": rule}
        if data.spec is not None and rng is not None:
            fresh = sample_like(data, N_FRESH, rng)
            inputs |= {"fresh_X": fresh.X, "fresh_y": fresh.y}
        return cls(spec, data, inputs)

    @property
    def inputs(self) -> Arrays:
        """All that the run starts from, for :meth:`from_inputs`."""
        fresh = {} if self._fresh is None else {"fresh_X": self._fresh[0], "fresh_y": self._fresh[1]}
        return {"X": self.data.X, "y": self.data.y, "rule": self._rule, **fresh}

    @classmethod
    def from_inputs(cls, spec: RunSpec, inputs: Arrays) -> ConstructionStepper:
        """Rebuild a stepper from what :attr:`inputs` gave."""
        return cls(spec, patch_data(inputs["X"], inputs["y"], n_classes=2, spec=spec.data), inputs)

    def footprint(self) -> Footprint:
        """Return the sizes of the run; a record passes all samples through the network."""
        _, n_rows, n_parameters = self._rows(self.initial_state()).shape
        n_seen = len(self._points) + (0 if self._fresh is None else len(self._fresh[0]))
        return Footprint(
            lengths={"class": 1, "neuron": n_rows, "parameter": n_parameters},
            work=8 * (4 * n_rows * n_parameters + 3 * n_seen * (n_rows + n_parameters)),
        )

    def initial_state(self) -> Arrays:
        """Return the clean rule, and that no point is stored."""
        return {"rule": self._rule, "n_stored": np.asarray(0)}

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the rows of the network at the end."""
        return {"final_weights": self._rows(state)}

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the steps first..last-1; see :class:`featsim.training.stepper.Stepper`."""
        here = dict(state)
        wanted, kept = set(record.tolist()), set(keep.tolist())
        records, rows = [], []
        for step in range(first, last):
            if step in kept:
                rows.append(self._rows(here))
            if step in wanted:
                records.append(self._record(here))
            here = self._step(here)
        return self._chunk(last - first, here, records, record, rows, keep)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state before `step` without changing it."""
        here = np.array([step], dtype=np.int64)
        records = [self._record(state)] if record else []
        rows = [self._rows(state)] if keep else []
        return self._chunk(1, dict(state), records, here[: int(record)], rows, here[: int(keep)])

    def _chunk(
        self, n_done: int, state: Arrays, records: list[dict[str, float]], record: IntArray,
        rows: list[FloatArray], keep: IntArray,
    ) -> Chunk:  # fmt: skip
        found: Arrays = {name: np.array([entry[name] for entry in records]) for name in self.quantities}
        found |= {
            "steps": np.asarray(record, dtype=np.int64),
            "weight_steps": np.asarray(keep, dtype=np.int64),
        }
        found["weights"] = np.array(rows).reshape(len(rows), *self._rows(state).shape)
        return Chunk(n_done=n_done, records=found, state=state)

    def _step(self, state: Arrays) -> Arrays:
        if self._small is None:
            return {**state, "n_stored": np.asarray(min(int(state["n_stored"]) + 1, len(self._points)))}
        pushed = (self._signs[:, None] * self._points)[~self._small]
        w = adversarial_step(state["rule"][:-1], pushed, self._radius, self.spec.schedule.step_size)
        return {**state, "rule": np.append(w, 0.0)}

    def _rows(self, state: Arrays) -> FloatArray:
        """Return the rule and the stored points with their signs, (1, 1 + n, D + 1)."""
        if self._small is None:
            signs = np.where(np.arange(len(self._points)) < int(state["n_stored"]), self._signs, 0.0)
            stored = np.concatenate([self._points, signs[:, None]], axis=1)
            return np.concatenate([state["rule"][None], stored])[None]
        w = state["rule"][:-1]
        unit = w / np.linalg.norm(w) if w.any() else w
        points, signs = self._points[self._small], self._signs[self._small]
        noise = points - np.outer(points @ unit, unit)
        rows = [np.append(unit, 0.0)[None], np.concatenate([noise, signs[:, None]], axis=1)]
        return np.concatenate(rows)[None]

    def _record(self, state: Arrays) -> dict[str, float]:
        rows = self._rows(state)
        network, w = self.model.network(rows), rows[0, 0, :-1]
        stored = rows[0, 1:][rows[0, 1:, -1] != 0.0]
        found = {
            "n_stored": float(len(np.unique(stored, axis=0))),
            "n_parameters": float(network.n_parameters),
        }
        if self._target is not None:
            length = float(np.linalg.norm(w) * np.linalg.norm(self._target))
            found["signal_cosine"] = float(w @ self._target) / length if length > 0.0 else 0.0
        shift = self._radius * _steepest(w, self._norm)
        for prefix, given in (("", (self.data.X, self.data.y)), ("fresh_", self._fresh)):
            if given is None:
                continue
            X, y = given[0].reshape(len(given[0]), -1), given[1]
            moved = X - np.where(y == 1, 1.0, -1.0)[:, None] * shift
            for name, points in (("clean", X), ("fixed", moved)):
                found[f"{prefix}{name}_accuracy"] = float(np.mean(margins(network.scores(points), y) > 0.0))
        return found

    @property
    def _target(self) -> Any:
        """w*, where the distribution has one to find."""
        return None if self._small is None else getattr(self.data.spec, "clean_rule", None)


def _steepest(w: FloatArray, norm: str) -> FloatArray:
    """Return the direction of unit norm that raises a linear rule most; 0 for no rule."""
    if norm == "linf" or not w.any():
        return np.sign(w)
    if norm == "l2":
        return np.asarray(w / np.linalg.norm(w))
    return np.asarray(np.sign(w) * (np.arange(len(w)) == np.argmax(np.abs(w))))


def _l2_radius(attack: Any) -> float:
    """Return the radius of an attack that is one exact l2 step on the whole input."""
    if attack is None:
        return 0.0
    threat = getattr(attack, "threat", None)
    if not isinstance(attack, GradientAttack) or threat is None or attack.n_steps != 1:
        raise ValueError("attack must be fgm(Threat(radius=..., scope='input')) or None for a linear rule")
    if threat.norm != "l2" or threat.scope != "input" or threat.subspace is not None:
        raise ValueError(
            f"attack must be l2 on the whole input, got {threat.describe()}; use fgm(Threat(...))"
        )
    return float(threat.radius)


def _small_margin(data: PatchData) -> Any:
    """Return which points are memorised; the distribution knows the margins."""
    if not isinstance(data.spec, MarginMixtureSpec):
        raise TypeError(
            "data must come from a MarginMixtureSpec, which tells points of small margin from others; "
            "for other data write the rule down with memorising_rule"
        )
    small = data.spec.small(data)
    if small.all():
        raise ValueError("data must hold a point of large margin to train the linear part on, got none")
    return small
