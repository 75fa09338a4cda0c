"""Ascent from many starts on the single patches of one label, target and role, all at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from featsim.attacks.separable_spec import SeparableAttack
from featsim.validation import FloatArray, IntArray

Activation = Callable[[FloatArray], FloatArray]

START_SCALES = (1.0, 0.3)
"""Each direction is a start at these fractions of the radius."""

_BLOCK_ENTRIES = 1 << 17  # arrays of one block stay in the processor's cache


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    r"""What is climbed: :math:`\sum_a \sigma_a s(\langle w_a, x \rangle)`, in coordinates.

    Attributes
    ----------
    filters : ndarray, shape (K, r)
        Coordinates of the filters along the directions a patch may move in.
    signs : ndarray, shape (K,)
        +1 for neurons of the target, -1 for those of the label.
    activation, slope : callable
        s and its derivative, element by element.
    shape : tuple of float, or None
        Power and smoothing where s is the smoothed ReLU, which has a compiled search.
    """

    filters: FloatArray
    signs: FloatArray
    activation: Activation
    slope: Activation
    shape: tuple[float, float] | None = None

    def value(self, z: FloatArray) -> FloatArray:
        """Return the objective, last axis summed; what is not finite counts as the lowest value."""
        value = np.asarray(self.activation(z) @ self.signs)
        return np.where(np.isfinite(value), value, -np.inf)

    def gradient(self, z: FloatArray) -> FloatArray:
        """Return the gradient in coordinates, shape (n, r); zero where it is not finite."""
        gradient = (self.slope(z) * self.signs) @ self.filters
        return np.where(np.isfinite(gradient), gradient, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """Best point found on each patch.

    Attributes
    ----------
    point : ndarray, shape (n, r)
        Perturbation in coordinates.
    gain : ndarray, shape (n,)
        Objective there minus objective at zero, at least 0.
    start, step : ndarray of int, shape (n,)
        Start it came from (scale by scale, directions in turn; the last is zero), and steps from there.
    """

    point: FloatArray
    gain: FloatArray
    start: IntArray
    step: IntArray

    @classmethod
    def joined(cls, parts: Sequence[Solution]) -> Solution:
        """Return the solutions of several blocks of patches as one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in _FIELDS))


def unit_steps(directions: FloatArray, norm: str) -> FloatArray:
    """Return the steps of norm 1 with the largest inner product with each row; zero rows stay."""
    if norm == "linf":
        return np.sign(directions)
    # Dividing by the largest entry first keeps tiny gradients from vanishing.
    largest = np.max(np.abs(directions), axis=-1, keepdims=True, initial=0.0)
    scaled = directions / np.where(largest > 0, largest, 1.0)
    size = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))[..., None]
    unit: FloatArray = scaled / np.where(size > 0, size, 1.0)
    return unit


def project(points: FloatArray, radius: float, norm: str) -> FloatArray:
    """Return the nearest points of the ball."""
    if norm == "linf":
        return np.clip(points, -radius, radius)
    size = np.sqrt(np.einsum("...i,...i->...", points, points))[..., None]
    return points * np.where(size > radius, radius / np.where(size > 0, size, 1.0), 1.0)


def search(attack: SeparableAttack, objective: Objective, z: FloatArray, directions: FloatArray) -> Solution:
    """Solve patches that share label, target and role.

    Parameters
    ----------
    attack : SeparableAttack
        Settings.
    objective : Objective
        What is climbed.
    z : ndarray, shape (n, K)
        Preactivations of the unperturbed patches.
    directions : ndarray, shape (S, r)
        Directions of the starts.

    Returns
    -------
    Solution
        Best points, patch by patch.
    """
    unit = attack.threat.radius * unit_steps(directions, attack.threat.norm)
    starts = np.concatenate([scale * unit for scale in START_SCALES] + [np.zeros((1, unit.shape[1]))])
    if objective.shape is not None:
        return _compiled_search(attack, objective, objective.shape, z, starts)
    return plain_search(attack, objective, z, starts)


def plain_search(
    attack: SeparableAttack, objective: Objective, z: FloatArray, starts: FloatArray
) -> Solution:
    """Search with whole arrays, for any activation; `starts` (S, r) ends with zero."""
    shifts = starts @ objective.filters.T
    size = max(1, _BLOCK_ENTRIES // (attack.n_climbs * z.shape[1]))
    parts = [_climb(attack, objective, z[i : i + size], starts, shifts) for i in range(0, len(z), size)]
    return Solution.joined(parts)


_FIELDS = dataclasses.fields(Solution)


def _compiled_search(
    attack: SeparableAttack,
    objective: Objective,
    shape: tuple[float, float],
    z: FloatArray,
    starts: FloatArray,
) -> Solution:
    from featsim.kernels.separable import climb_patches

    n, (power, smoothing), threat = len(z), shape, attack.threat
    solution = Solution(
        np.empty((n, starts.shape[1])), np.empty(n), np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    )
    climb_patches(
        np.ascontiguousarray(z),
        np.ascontiguousarray(objective.filters),
        objective.signs,
        starts,
        threat.radius,
        threat.norm == "linf",
        attack.n_climbs,
        attack.n_steps,
        attack.first_step * threat.radius,
        attack.decay,
        power,
        smoothing,
        int(power) if power in (1.0, 2.0, 3.0, 4.0) else 0,
        solution.point,
        solution.gain,
        solution.start,
        solution.step,
    )
    solution.gain[np.isnan(solution.gain)] = 0.0
    return solution


def _values(objective: Objective, z: FloatArray, shifts: FloatArray) -> FloatArray:
    """Objective at every start, shape (n, starts)."""
    values = np.empty((len(z), len(shifts)))
    size = max(1, _BLOCK_ENTRIES // (len(shifts) * z.shape[1]))
    for i in range(0, len(z), size):
        values[i : i + size] = objective.value(z[i : i + size, None, :] + shifts)
    return values


def _climb(
    attack: SeparableAttack, objective: Objective, z: FloatArray, starts: FloatArray, shifts: FloatArray
) -> Solution:
    """Rank all starts of a block of patches and climb from the best."""
    at_start = _values(objective, z, shifts)
    chosen = _best(np.where(np.arange(len(starts)) == len(starts) - 1, np.inf, at_start), attack.n_climbs)
    race = _Race(starts[chosen], np.take_along_axis(at_start, chosen, axis=1), chosen)
    length = attack.first_step * attack.threat.radius
    for step in range(attack.n_steps):
        now = race.preactivations(z, objective)
        race.record(objective.value(now), step)
        race.move(length * unit_steps(objective.gradient(now), attack.threat.norm), attack)
        if step + 1 in (-(-attack.n_steps // 4), -(-attack.n_steps // 2)):
            race.halve()
        length *= attack.decay
    race.record(objective.value(race.preactivations(z, objective)), attack.n_steps)
    return race.winner(at_start[:, -1])


def _best(values: FloatArray, count: int) -> IntArray:
    """Return the indices of the `count` largest values of each row, shape (n, count)."""
    if count >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(-values, count - 1, axis=1)[:, :count]


class _Race:
    """Climbers of a block of patches: where they are, and the best each has seen."""

    def __init__(self, points: FloatArray, values: FloatArray, starts: IntArray) -> None:
        self.points, self.best_points = points, points.copy()
        self.values, self.starts, self.steps = values, starts, np.zeros(starts.shape, dtype=np.int64)

    def preactivations(self, z: FloatArray, objective: Objective) -> FloatArray:
        """Return them as (n * climbers, K): one matrix product."""
        n, climbers, r = self.points.shape
        moved = (self.points.reshape(-1, r) @ objective.filters.T).reshape(n, climbers, -1)
        return (z[:, None, :] + moved).reshape(n * climbers, -1)

    def move(self, steps: FloatArray, attack: SeparableAttack) -> None:
        """Take a step and project."""
        threat = attack.threat
        self.points = project(self.points + steps.reshape(self.points.shape), threat.radius, threat.norm)

    def record(self, values: FloatArray, step: int) -> None:
        """Keep the points that are better than all before on their way."""
        values = values.reshape(self.values.shape)
        better = values > self.values
        self.values[better], self.best_points[better] = values[better], self.points[better]
        self.steps[better] = step

    def halve(self) -> None:
        """Let the better half go on."""
        keep = _best(self.values, -(-self.values.shape[1] // 2))
        self.values = np.take_along_axis(self.values, keep, axis=1)
        self.starts = np.take_along_axis(self.starts, keep, axis=1)
        self.steps = np.take_along_axis(self.steps, keep, axis=1)
        self.points = np.take_along_axis(self.points, keep[:, :, None], axis=1)
        self.best_points = np.take_along_axis(self.best_points, keep[:, :, None], axis=1)

    def winner(self, at_zero: FloatArray) -> Solution:
        """Return the best point of each patch."""
        rows, best = np.arange(len(self.values)), np.argmax(self.values, axis=1)
        with np.errstate(invalid="ignore"):
            gain = self.values[rows, best] - at_zero
        gain = np.where(np.isnan(gain), 0.0, gain)
        return Solution(self.best_points[rows, best], gain, self.starts[rows, best], self.steps[rows, best])
