"""Ascent of one objective on all samples, and the best perturbation found so far."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featsim.models import (
    Model,
    loss_cotangent,
    margin_cotangent,
    margins,
    model_input_gradient,
    model_scores,
    target_cotangent,
)
from featsim.threats import Budget, Samples
from featsim.validation import FloatArray, IntArray

_LONGEST_STEP = 1e150


class Climbing(Protocol):
    """What an ascent reads of an attack's specification."""

    @property
    def objective(self) -> str:
        """What is climbed."""
        ...

    @property
    def n_steps(self) -> int:
        """Steps from each start."""
        ...

    @property
    def keep(self) -> str:
        """Which iterate counts."""
        ...

    @property
    def stop_when_broken(self) -> bool:
        """Whether broken samples are left alone."""
        ...


@dataclasses.dataclass(eq=False)
class Incumbent:
    """Best perturbation found so far, sample by sample."""

    margin: FloatArray
    perturbation: FloatArray
    start: npt.NDArray[Any]
    step: IntArray
    target: IntArray

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Incumbent:
        """Return a record that anything beats."""
        n = shape[0]
        start = np.full(n, "clean", dtype=object)
        step, target = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
        return cls(np.full(n, np.inf), np.zeros(shape), start, step, target)

    def offer(
        self, rows: IntArray, margin: FloatArray, delta: FloatArray, start: str, step: int, target: IntArray
    ) -> None:
        """Keep `delta` on those of `rows` where its margin is smaller; nan is the smallest of all."""
        better = order_of(margin) < order_of(self.margin[rows])
        chosen = rows[better]
        self.margin[chosen], self.perturbation[chosen] = margin[better], delta[better]
        self.start[chosen], self.step[chosen], self.target[chosen] = start, step, target[better]


def order_of(margin: FloatArray) -> FloatArray:
    """Return margins with nan, a broken sample, below all others."""
    return np.where(np.isnan(margin), -np.inf, margin)


@dataclasses.dataclass(eq=False)
class Ascent:
    """Ascent of one objective on all samples, reporting to an incumbent."""

    attack: Climbing
    model: Model
    samples: Samples
    budget: Budget
    best: Incumbent
    aim: IntArray | None

    def climb(self, name: str, target: IntArray, delta: FloatArray) -> None:
        """Ascend from `delta` on every sample that is still of interest."""
        attack, samples = self.attack, self.samples
        rows = self._open(np.arange(len(samples.y)))
        budget, delta = self.budget.select(rows), delta[rows]
        if not len(rows):
            return
        for step in range(attack.n_steps + 1):
            point = samples.X[rows] + delta
            scores = self._scores(rows, point)
            last = step == attack.n_steps
            if last or attack.keep == "best":
                margin = margins(scores, samples.y[rows])
                self.best.offer(rows, margin, delta, name, step, target[rows])
            if last:
                return
            still = self._open(rows)
            if not len(still):
                return
            if len(still) < len(rows):
                kept = np.isin(rows, still)
                rows, delta, point, scores = still, delta[kept], point[kept], scores[kept]
                budget = self.budget.select(rows)
            delta = self._step(budget, delta, self.gradient(rows, point, scores))

    def gradient(self, rows: IntArray, point: FloatArray, scores: FloatArray) -> FloatArray:
        """Return the objective's input gradient, zero where scores or gradient are not finite."""
        y, n_scores = self.samples.y[rows], scores.shape[1]
        finite = np.isfinite(scores).all(axis=1, keepdims=True)
        safe = np.where(finite, scores, 0.0)
        if self.aim is not None:
            cotangent = target_cotangent(y, self.aim[rows], n_scores)
        else:
            cotangent = (loss_cotangent if self.attack.objective == "loss" else margin_cotangent)(safe, y)
        gradient = model_input_gradient(self.model, point, np.where(finite, cotangent, 0.0))
        usable = np.isfinite(gradient).all(axis=tuple(range(1, gradient.ndim)))
        return np.where(usable.reshape((-1,) + (1,) * (gradient.ndim - 1)), gradient, 0.0)

    def _step(self, budget: Budget, delta: FloatArray, gradient: FloatArray) -> FloatArray:
        size, rule = getattr(self.attack, "step_size", 0.0), getattr(self.attack, "rule", "unit")
        if rule == "unit":
            return budget.project(delta + size * budget.steepest(gradient))
        allowed = budget.restrict(gradient)
        largest = np.max(np.abs(allowed), axis=tuple(range(1, allowed.ndim)), keepdims=True, initial=0.0)
        # Far beyond any budget already: the projection is the same, and nothing overflows.
        with np.errstate(divide="ignore", over="ignore"):
            size = np.minimum(size, _LONGEST_STEP / largest)
        return budget.project(delta + np.where(largest > 0, size, 0.0) * allowed)

    def _scores(self, rows: IntArray, point: FloatArray) -> FloatArray:
        counts = self.samples.counts
        return model_scores(self.model, point, None if counts is None else counts[rows])

    def _open(self, rows: IntArray) -> IntArray:
        """Rows still to attack: all, or those not broken yet."""
        return rows[self.best.margin[rows] > 0] if self.attack.stop_when_broken else rows
