"""Projected gradient ascent from several starts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.attacks.result import AttackResult
from featsim.attacks.specs import GradientAttack
from featsim.attacks.starts import rival_targets, start_points
from featsim.models import (
    Model,
    check_score_labels,
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
        better = _order(margin) < _order(self.margin[rows])
        chosen = rows[better]
        self.margin[chosen], self.perturbation[chosen] = margin[better], delta[better]
        self.start[chosen], self.step[chosen], self.target[chosen] = start, step, target[better]


def _order(margin: FloatArray) -> FloatArray:
    return np.where(np.isnan(margin), -np.inf, margin)


def gradient_attack(
    attack: GradientAttack, model: Model, samples: Samples, rng: np.random.Generator | None
) -> AttackResult:
    """Run a gradient attack; see :func:`featsim.attacks.run_attack`.

    A model whose true gradient is blind may offer `surrogates`, models with its own scores and other
    gradients: the attack then runs through each of them, and the worst counts.
    """
    surrogates = getattr(model, "surrogates", ())
    if surrogates:
        return _worst([gradient_attack(attack, surrogate, samples, rng) for surrogate in surrogates])
    X, y = samples.X, samples.y
    budget = samples.bind(attack.threat)
    scores = model_scores(model, X, samples.counts)
    n_scores = scores.shape[1]
    check_score_labels(y, n_scores)
    clean_margin = margins(scores, y)
    best = Incumbent.none(X.shape)
    if attack.keep == "best":
        best.margin[:] = clean_margin
    rivals = rival_targets(y, n_scores)
    dead = np.ones(len(y), dtype=bool)
    # A targeted attack runs once per rival; the others run once, with starts towards every rival.
    for aim in rivals if attack.objective == "targeted" else [None]:
        ascent = Ascent(attack, model, samples, budget, best, aim)
        dead &= ~_moves(budget.restrict(ascent.gradient(np.arange(len(y)), X, scores)))
        for name, towards, delta in start_points(
            attack, model, samples, budget, rivals if aim is None else [aim], rng
        ):
            ascent.climb(name, towards if aim is None else aim, delta)
    return AttackResult(
        attack=attack,
        clean_margin=clean_margin,
        margin=best.margin,
        perturbation=best.perturbation,
        objective=np.full(len(y), attack.objective),
        start=best.start.astype(np.str_),
        step=best.step,
        target=best.target,
        dead_gradient=dead,
    )


def _worst(results: list[AttackResult]) -> AttackResult:
    """Keep, sample by sample, what went furthest; the gradient is dead where it is in all of them."""
    chosen = np.argmin([_order(result.margin) for result in results], axis=0)
    rows = np.arange(len(chosen))
    fields = ("margin", "perturbation", "objective", "start", "step", "target")
    picked = {name: np.array([getattr(result, name) for result in results])[chosen, rows] for name in fields}
    dead = np.all([result.dead_gradient for result in results], axis=0)
    notes = {**results[0].notes, "n_surrogates": len(results)}
    return dataclasses.replace(results[0], **picked, dead_gradient=dead, notes=notes)


def _moves(gradient: FloatArray) -> npt.NDArray[np.bool_]:
    moves: npt.NDArray[np.bool_] = np.any(gradient != 0.0, axis=tuple(range(1, gradient.ndim)))
    return moves


@dataclasses.dataclass(eq=False)
class Ascent:
    """Ascent of one objective on all samples, reporting to an incumbent."""

    attack: GradientAttack
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
        size = self.attack.step_size
        if self.attack.rule == "unit":
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
