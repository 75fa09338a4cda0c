"""Projected gradient descent of tangent-kernel networks, as a stepper of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.attacks import ArcAttack, arc_net
from featsim.data import PointData
from featsim.models import DeepNtkSpec, NtkSpec
from featsim.theory.convergence.planting import plant_targets
from featsim.training.convergence_record import (
    AXES,
    LAZY,
    LOSSES,
    MOVES,
    REGRET,
    TABLES,
    Moment,
    Probes,
    project_ball,
    record_losses,
    record_moves,
)
from featsim.training.inner_maximiser import CleanInputs, has_random_starts, make_adversary
from featsim.training.projected_descent import ProjectedDescent
from featsim.training.run_inputs import choose_quantities, squares_are_finite
from featsim.training.run_spec import RunSpec
from featsim.training.stepper import Arrays, Chunk, Footprint
from featsim.validation import FloatArray, IntArray

_DATA = ("X", "y")
# Running sums behind the regret inequality, in this order.
_SUMS = ("attacked_loss", "comparator_loss", "squared_gradient", "slack")
# By how much rounding may seem to violate the inequality, relative to its terms where these exceed 1.
_REGRET_TOLERANCE = 1e-10


class ConvergenceStepper:
    """Update rule of :class:`featsim.models.NtkSpec` and :class:`featsim.models.DeepNtkSpec`.

    Parameters
    ----------
    spec : RunSpec
        Configuration; its schedule is a :class:`ProjectedDescent`, or a plain one without ball.
    data : PointData
        Training data.
    start : dict of str to ndarray
        Initial ``"weights"``, fixed weights of a deep network, ``"comparator"`` where there is one,
        ``"attack_seed"`` where the attack draws starts.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, or a quantity asked for cannot be recorded.
    """

    def __init__(self, spec: RunSpec, data: PointData, start: Arrays) -> None:
        self.spec, self.data = spec, data
        self.model: NtkSpec | DeepNtkSpec = _checked_model(spec)
        self.schedule = _as_projected(spec)
        self._start = dict(start)
        seed = int(start["attack_seed"]) if "attack_seed" in start else 0
        loss = self.model.loss
        self._adversary = make_adversary(spec.attack, data, loss, seed)
        self._clean = CleanInputs(data, loss)
        judge = self.schedule.judge
        self._judge = self._adversary if judge is None else make_adversary(judge, data, loss, seed)
        self._scale = self.model.ball_scale
        # Steps of deep networks are alpha/m: the gradient grows like sqrt(m) in every layer.
        self._step_size = self.schedule.step_size * self._scale**2
        self._square = self._comparator_square()
        self._probes = Probes(self.model.build(start["weights"], start), probe_points(spec, data))
        self.quantities = choose_quantities(spec.recording.quantities, self.available(), TABLES)
        weights = (
            ("layer", "neuron", "input")
            if isinstance(self.model, DeepNtkSpec)
            else ("class", "neuron", "dim")
        )
        self.axes: Mapping[str, tuple[str, ...]] = {
            "steps": ("step",),
            **{name: AXES.get(name, ("step",)) for name in self.quantities},
            "weight_steps": ("weight_step",),
            "weights": ("weight_step", *weights),
            "final_weights": weights,
            "input_weights": ("neuron", "dim"),
            "output_weights": ("neuron",),
            "comparator": weights,
            "initial_weights": weights,
        }
        self.meta: dict[str, Any] = {"ball_scale": self._scale}

    @classmethod
    def start(
        cls, spec: RunSpec, data: Any, rng: np.random.Generator | None, initial_weights: Any, batches: Any
    ) -> ConvergenceStepper:
        """Make a stepper, drawing initial weights, then comparator, then the attack's seed."""
        if not isinstance(data, PointData):
            raise TypeError(f"data must be a PointData, got {type(data).__name__}; use point_data(X, y)")
        if batches is not None and np.size(batches):
            raise ValueError("batches must be None: this theory trains on the full batch")
        model = _checked_model(spec)
        start = model.start(data.dim, rng, initial_weights)
        schedule = _as_projected(spec)
        if schedule.comparator is not None:
            start["comparator"] = _comparator(schedule, model, start, spec, data, rng)
        if has_random_starts(spec.attack) or has_random_starts(schedule.judge):
            if rng is None:
                raise ValueError("rng must be given for random starts; use np.random.default_rng(0)")
            start["attack_seed"] = np.asarray(rng.integers(2**62))
        return cls(spec, data, start)

    @property
    def inputs(self) -> Arrays:
        """All that the run starts from, for :meth:`from_inputs`."""
        arrays: Arrays = {name: getattr(self.data, name) for name in _DATA}
        if self.data.constant is not None:
            arrays["constant"] = np.asarray(self.data.constant)
        return {**arrays, **self._start}

    @classmethod
    def from_inputs(cls, spec: RunSpec, inputs: Arrays) -> ConvergenceStepper:
        """Rebuild a stepper from what :attr:`inputs` gave."""
        constant = float(inputs["constant"]) if "constant" in inputs else None
        data = PointData(X=inputs["X"], y=inputs["y"], constant=constant, spec=spec.data)
        return cls(spec, data, {k: v for k, v in inputs.items() if k not in (*_DATA, "constant")})

    def available(self) -> tuple[str, ...]:
        """Return the quantities that can be recorded in this run."""
        names: tuple[str, ...] = (*LOSSES, *MOVES, *LAZY)
        if "comparator" in self._start:
            names += REGRET
        tables = [name for name in TABLES if name != "net_scores" or isinstance(self.spec.attack, ArcAttack)]
        return (*names, *tables)

    def _comparator_square(self) -> float:
        """Return |W* - W_0|^2 in the units of the two-layer scaling; nan without a comparator."""
        if "comparator" not in self._start:
            return float("nan")
        move = self._start["comparator"] - self._start["weights"]
        return float(np.sum(move**2)) / self._scale**2

    def footprint(self) -> Footprint:
        """Return the sizes of the run; it works on whole arrays, one row per input or point of a net."""
        weights, attack = self._start["weights"], self.spec.attack
        per_input = attack.n_points if isinstance(attack, ArcAttack) else 1
        points = max(self.data.n_samples * per_input, len(self._probes.points))
        layers, m = len(weights), weights.shape[1]
        arrays = points * (3 * layers * m + 4 * self.data.dim) + 2 * len(self._probes.points) ** 2
        return Footprint(lengths=self._lengths, work=8 * (arrays + 8 * weights.size))

    def initial_state(self) -> Arrays:
        """Return the initial weights, and the sums of the regret inequality."""
        return {"weights": self._start["weights"], "sums": np.zeros(len(_SUMS))}

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the weights at the end, and those that never move."""
        kept = ("input_weights", "output_weights", "comparator")
        final = {"final_weights": state["weights"], **{k: self._start[k] for k in kept if k in self._start}}
        if isinstance(self.model, NtkSpec) and self.model.tangent:  # no model without them
            final["initial_weights"] = self._start["weights"]
        return final

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1; see :class:`featsim.training.stepper.Stepper`."""
        return self._run(state, first, last, record, keep, update=True)

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state before `step` without an update."""
        here = np.array([step], dtype=np.int64)
        return self._run(state, step, step + 1, here[: int(record)], here[: int(keep)], update=False)

    def _run(
        self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray, *, update: bool
    ) -> Chunk:
        weights, sums = np.array(state["weights"]), np.array(state["sums"])
        recorded, kept, done = [], [], 0
        to_record, to_keep = set(record.tolist()), set(keep.tolist())
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(first, last):
                if step in to_keep:
                    kept.append(weights)
                if not update and step not in to_record:
                    done += int(squares_are_finite(weights))
                    continue
                moment = self.moment(weights, step)
                terms = self._terms(moment)
                if step in to_record:
                    recorded.append(self._record(moment, step, sums, terms))
                if not (np.isfinite(moment.scores).all() and np.isfinite(moment.after).all()):
                    break
                done += 1
                if update:
                    weights, sums = moment.after, sums + terms
                    self._check_regret(sums, step + 1)
        records: Arrays = {
            name: np.array([entry[name] for entry in recorded], dtype=np.float64).reshape(
                len(recorded), *self._shape(name)
            )
            for name in self.quantities
        }
        records["steps"] = np.asarray(record[: len(recorded)], dtype=np.int64)
        records["weight_steps"] = np.asarray(keep[: len(kept)], dtype=np.int64)
        records["weights"] = np.array(kept).reshape(len(kept), *weights.shape)
        return Chunk(n_done=done, records=records, state={"weights": weights, "sums": sums})

    def moment(self, weights: FloatArray, step: int) -> Moment:
        """Return the state before an update, and the update.

        Parameters
        ----------
        weights : ndarray
            W.
        step : int
            Number of the update, which seeds random starts.

        Returns
        -------
        Moment
            The adversary's points are held fixed in the gradient.
        """
        network = self.model.build(weights, self._start)
        look = self._adversary.look(network, step)
        scores = network.scores(look.points)[:, 0]
        slope = self.model.loss.slope(scores, self.data.signs)
        gradient = network.weight_gradient(look.points, slope[:, None] / len(scores))
        moved = weights - self._step_size * gradient
        radius = self.schedule.ball_radius * self._scale
        after, projected = project_ball(moved, self._start["weights"], radius)
        return Moment(weights, gradient, network, look, scores, moved, projected, after)

    def _terms(self, moment: Moment) -> FloatArray:
        """Terms of the regret inequality at one step, in the units of the two-layer scaling."""
        loss = float(np.mean(self.model.loss.value(moment.scores, self.data.signs)))
        square = float(np.sum(moment.gradient**2)) * self._scale**2
        if "comparator" not in self._start:
            return np.array([loss, np.nan, square, np.nan])
        comparator = self._start["comparator"]
        other = self.model.build(comparator, self._start).scores(moment.look.points)[:, 0]
        other_loss = float(np.mean(self.model.loss.value(other, self.data.signs)))
        inner = float(np.sum(moment.gradient * (moment.weights - comparator)))
        return np.array([loss, other_loss, square, loss - other_loss - inner])

    def _record(self, moment: Moment, step: int, sums: FloatArray, terms: FloatArray) -> Arrays:
        data, loss = self.data, self.model.loss
        found = record_moves(moment, self._start["weights"], self._scale)
        found |= record_losses(
            moment,
            data,
            self._judge.worst(moment.network, moment.look),
            loss.value(moment.scores, data.signs),
        )
        clean = self._clean.worst(moment.network)
        found |= {"clean_loss": np.asarray(clean[0]), "clean_accuracy": np.asarray(clean[1])}
        if moment.look.net_scores is not None:
            found["net_scores"] = moment.look.net_scores
        if {*LAZY, "probe_kernel", "probe_scores"} & set(self.quantities):
            found |= self._lazy(moment)
        if "comparator" in self._start:
            found |= self._regret(step, sums, terms)
        return found

    def _lazy(self, moment: Moment) -> Arrays:
        probes = self._probes
        kernel = moment.network.kernel(probes.points)
        scores = moment.network.scores(probes.points)[:, 0]
        return {
            "kernel_drift": np.asarray(probes.drift(kernel)),
            "tangent_gap": np.asarray(probes.gap(moment.network, scores)),
            "probe_kernel": kernel,
            "probe_scores": scores,
        }

    def _regret(self, step: int, sums: FloatArray, terms: FloatArray) -> Arrays:
        """Both sides of the regret inequality over the updates before `step`; nan where there is none."""
        left, right = self._sides(sums, step) if step else (np.nan, np.nan)
        named = dict(zip(_SUMS, terms, strict=True))
        return {
            "comparator_loss": np.asarray(named["comparator_loss"]),
            "slack": np.asarray(named["slack"]),
            "average_loss": np.asarray(left),
            "regret_bound": np.asarray(right),
        }

    def _sides(self, sums: FloatArray, n_steps: int) -> tuple[float, float]:
        """Return average attacked loss after so many steps, and its bound."""
        alpha = self.schedule.step_size
        right = sums[1] + sums[3] + 0.5 * alpha * sums[2] + self._square / (2.0 * alpha)
        return float(sums[0]) / n_steps, float(right) / n_steps

    def _check_regret(self, sums: FloatArray, n_steps: int) -> None:
        """Stop where the regret inequality fails by more than rounding: only a wrong update can do that."""
        if "comparator" not in self._start:
            return
        left, right = self._sides(sums, n_steps)
        allowed = _REGRET_TOLERANCE * max(1.0, float(np.abs(sums).max()) / n_steps)
        if left - right > allowed:  # never for nan or infinite terms, which end the run as diverged
            raise RuntimeError(
                f"regret inequality violated by {left - right:.3g} after {n_steps} steps, where at most "
                f"{allowed:.3g} is rounding: it is exact for all networks, so this is a bug of featsim; "
                "please report it with the settings of the run"
            )

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._lengths[axis] for axis in AXES.get(name, ("step",))[1:])

    @property
    def _lengths(self) -> dict[str, int]:
        attack = self.spec.attack
        n_probes, weights = len(self._probes.points), self._start["weights"]
        return {
            "class": 1,
            "sample": self.data.n_samples,
            "dim": self.data.dim,
            "input": weights.shape[2],
            "net": attack.n_points if isinstance(attack, ArcAttack) else 0,
            "layer": len(weights),
            "neuron": weights.shape[1],
            "probe": n_probes,
            "other_probe": n_probes,
        }


def probe_points(spec: RunSpec, data: PointData) -> FloatArray:
    """Return the inputs on which kernel and tangent model are watched, shape (N, d)."""
    schedule = _as_projected(spec)
    for attack in (schedule.judge, spec.attack):
        if isinstance(attack, ArcAttack):
            net = arc_net(attack.replace(n_points=schedule.n_probes), data.X, data.y)
            return net.reshape(-1, data.dim)
    return data.X


def _checked_model(spec: RunSpec) -> NtkSpec | DeepNtkSpec:
    if not isinstance(spec.model, (NtkSpec, DeepNtkSpec)):
        raise TypeError(f"model must be an NtkSpec or DeepNtkSpec, got {type(spec.model).__name__}")
    return spec.model


def _as_projected(spec: RunSpec) -> ProjectedDescent:
    schedule = spec.schedule
    if isinstance(schedule, ProjectedDescent):
        return schedule
    return ProjectedDescent(
        n_steps=schedule.n_steps, step_size=schedule.step_size, batch_size=schedule.batch_size
    )


def _comparator(
    schedule: ProjectedDescent,
    model: NtkSpec | DeepNtkSpec,
    start: Arrays,
    spec: RunSpec,
    data: PointData,
    rng: np.random.Generator | None,
) -> FloatArray:
    """Return the weights to compare with, inside the ball."""
    weights, radius = start["weights"], schedule.ball_radius * model.ball_scale
    if schedule.comparator == "random":
        if rng is None:
            raise ValueError("rng must be given for a random comparator; use np.random.default_rng(0)")
        direction = rng.standard_normal(weights.shape)
        norms = np.sqrt(np.sum(direction**2, axis=(1, 2), keepdims=True))
        return np.asarray(weights + direction / norms * radius * rng.uniform())
    network, points = model.build(weights, start), probe_points(spec, data)
    targets = np.repeat(data.signs, len(points) // data.n_samples)
    gram = network.kernel(points) / model.ball_scale**2
    planted = plant_targets(network, gram, points, targets)
    return project_ball(planted, weights, radius)[0]
