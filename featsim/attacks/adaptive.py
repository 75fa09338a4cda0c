"""Ascent with adaptive steps; see :class:`featsim.attacks.AdaptiveAttack`."""

from __future__ import annotations

import numpy as np

from featsim.attacks.ascent import Ascent
from featsim.models import margins, soft_margin
from featsim.validation import FloatArray, IntArray


def checkpoints(n_steps: int) -> list[int]:
    """Return the steps at which progress is judged: gaps of 22 % of the steps, then ever smaller to 6 %.

    Parameters
    ----------
    n_steps : int
        Steps in all.

    Returns
    -------
    list of int
        Increasing, the first at least 1.
    """
    shares, gap = [0.0, 0.22], 0.22
    while shares[-1] < 1.0:
        gap = max(gap - 0.03, 0.06)
        shares.append(shares[-1] + gap)
    return sorted({max(1, int(np.ceil(share * n_steps))) for share in shares[1:]})


class AdaptiveAscent(Ascent):
    """Ascent whose step adapts sample by sample."""

    def climb(self, name: str, target: IntArray, delta: FloatArray) -> None:
        """Ascend from `delta` on every sample that is still of interest."""
        rows = self._open(np.arange(len(self.samples.y)))
        if not len(rows):
            return
        budget, x = self.budget.select(rows), delta[rows].copy()
        wide = (-1,) + (1,) * (x.ndim - 1)
        before, n_steps, momentum = x.copy(), self.attack.n_steps, self._momentum
        size = np.full(len(rows), 2.0 * budget.radius)
        top, best = np.full(len(rows), -np.inf), x.copy()
        best_gradient = np.zeros_like(x)
        gains: FloatArray = np.zeros(len(rows))
        last: tuple[FloatArray, FloatArray] = (size.copy(), top.copy())
        marks, previous_mark = checkpoints(n_steps), 0
        value_before = np.full(len(rows), -np.inf)
        for step in range(n_steps + 1):
            point = self.samples.X[rows] + x
            scores = self._scores(rows, point)
            self.best.offer(rows, margins(scores, self.samples.y[rows]), x, name, step, target[rows])
            if step == n_steps:
                return
            gradient = self.gradient(rows, point, scores)
            value = self._value(rows, scores)
            gains += value > value_before
            higher = value > top
            top[higher], best[higher] = value[higher], x[higher]
            best_gradient[higher] = gradient[higher]
            value_before = value
            if step in marks:  # judge progress
                slow = gains < 0.75 * (step - previous_mark)
                stuck = (size == last[0]) & (top == last[1])
                halve = np.asarray(slow | stuck)
                last, previous_mark, gains = (size.copy(), top.copy()), step, np.zeros(len(rows))
                size[halve] *= 0.5
                x[halve], before[halve], gradient[halve] = best[halve], best[halve], best_gradient[halve]
                value_before[halve] = top[halve]
            ahead = budget.project(x + size.reshape(wide) * budget.steepest(gradient))
            share = 1.0 if step == 0 else momentum
            new = budget.project(x + share * (ahead - x) + (1.0 - share) * (x - before))
            before, x = x, new
            still = self._open(rows)
            if len(still) < len(rows):
                if not len(still):
                    return
                kept = np.isin(rows, still)
                rows, budget = still, self.budget.select(still)
                x, before, best, best_gradient = x[kept], before[kept], best[kept], best_gradient[kept]
                size, top, gains = size[kept], top[kept], gains[kept]
                value_before = np.asarray(value_before)[kept]
                last = (last[0][kept], last[1][kept])

    @property
    def _momentum(self) -> float:
        return float(getattr(self.attack, "momentum", 1.0))

    def _value(self, rows: IntArray, scores: FloatArray) -> FloatArray:
        """Objective that the gradient belongs to; -inf where scores are not finite."""
        y = self.samples.y[rows]
        finite = np.asarray(np.isfinite(scores).all(axis=1, keepdims=True))
        safe = np.where(finite, scores, 0.0)
        if self.aim is not None and scores.shape[1] > 1:
            every = np.arange(len(y))
            value = safe[every, self.aim[rows]] - safe[every, y]
        else:  # the cross-entropy grows with the soft margin
            value = soft_margin(safe, y)
        return np.where(finite[:, 0], value, -np.inf)
