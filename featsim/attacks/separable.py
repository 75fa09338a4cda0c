"""The patch-separable attack: one small search per distinct patch, label and target."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.attacks.result import AttackResult
from featsim.attacks.separable_search import START_SCALES, Activation, Objective, Solution, search
from featsim.attacks.separable_spec import SeparableAttack
from featsim.attacks.separable_starts import feature_directions, filter_directions
from featsim.attacks.starts import rival_targets
from featsim.models import (
    Model,
    check_score_labels,
    margins,
    model_input_gradient,
    model_scores,
    signs,
    smoothed_relu,
    smoothed_relu_slope,
    target_cotangent,
)
from featsim.threats import Budget, Samples
from featsim.validation import FloatArray, IntArray, check_generator

_AGREEMENT = 1e-8
_BLOCK_ENTRIES = 1 << 21  # 16 MB an array: neurons times distinct patches may be gigabytes


@dataclasses.dataclass(frozen=True, eq=False)
class PatchModel:
    """A network that is a sum over patches and neurons of one activation.

    Attributes
    ----------
    weights : ndarray, shape (k, m, d)
        Filters; k = 1 for a single score.
    activation, slope : callable
        Element by element.
    shape : tuple of float, or None
        Power and smoothing where the activation is the smoothed ReLU.
    """

    weights: FloatArray
    activation: Activation
    slope: Activation
    shape: tuple[float, float] | None

    @classmethod
    def of(cls, model: Any) -> PatchModel:
        """Read filters and activation from a model."""
        weights = np.asarray(getattr(model, "weights", None))
        activation, slope = getattr(model, "activation", None), getattr(model, "activation_slope", None)
        shape = None
        if not callable(activation) or not callable(slope):
            power, smoothing = getattr(model, "power", None), getattr(model, "smoothing", None)
            if power is not None and smoothing is not None:
                shape = float(power), float(smoothing)
                activation = partial(smoothed_relu, power=shape[0], smoothing=shape[1])
                slope = partial(smoothed_relu_slope, power=shape[0], smoothing=shape[1])
        if weights.ndim != 3 or not callable(activation) or not callable(slope):
            raise TypeError(
                "a separable attack must have a model whose `weights` have shape (k, m, d) with `power` and "
                "`smoothing`, or with methods `activation(z)` and `activation_slope(z)`, got "
                f"{type(model).__name__}; use pgd"
            )
        return cls(np.ascontiguousarray(weights, dtype=np.float64), activation, slope, shape)

    def rivals(self, label: int, target: int) -> tuple[FloatArray, FloatArray]:
        """Return the filters to raise and those to lower, shapes (m, d), either possibly empty."""
        none = self.weights[0, :0]
        if len(self.weights) > 1:
            return self.weights[target], self.weights[label]
        positive = float(signs(np.array([label]))[0]) > 0
        return (none, self.weights[0]) if positive else (self.weights[0], none)


@dataclasses.dataclass(frozen=True, eq=False)
class DistinctPatches:
    """The patches of all samples, equal ones of one label and role held once.

    Attributes
    ----------
    x : ndarray, shape (N, d)
        Patches.
    label, role : ndarray of int, shape (N,)
        Label of their samples, and their row of the budget's role mask.
    inverse : ndarray of int, shape (n, P)
        Which of them each patch is.
    """

    x: FloatArray
    label: IntArray
    role: IntArray
    inverse: IntArray

    @classmethod
    def of(cls, samples: Samples, budget: Budget) -> DistinctPatches:
        """Collect them."""
        n, P, d = samples.X.shape
        role = np.zeros((n, P), dtype=np.int64) if budget.role_index is None else budget.role_index
        label = np.repeat(samples.y[:, None], P, axis=1)
        rows = np.concatenate([samples.X, label[:, :, None], role[:, :, None]], axis=2).reshape(n * P, d + 2)
        keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * (d + 2)))).ravel()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        return cls(rows[first, :d], label.flat[first], role.flat[first], inverse.reshape(n, P))


def separable_attack(
    attack: SeparableAttack, model: Model, samples: Samples, rng: np.random.Generator | None
) -> AttackResult:
    """Run the attack; see :class:`featsim.attacks.SeparableAttack`."""
    network = PatchModel.of(model)
    if samples.X.ndim != 3 or samples.X.shape[2] != network.weights.shape[2]:
        raise ValueError(
            f"X must have shape (n, P, {network.weights.shape[2]}) like the filters, got {samples.X.shape}"
        )
    if attack.n_random and rng is None:
        raise ValueError("rng must be given for random starts; pass rng=np.random.default_rng(0)")
    budget = samples.bind(attack.threat)
    patches = DistinctPatches.of(samples, budget)
    scores = model_scores(model, samples.X, samples.counts)
    check_score_labels(samples.y, scores.shape[1])
    _check_sum(network, patches, samples, scores)
    found = _Found.none(margins(scores, samples.y), samples.X.shape)
    # Large weights may overflow on the way; what is not finite is never preferred.
    with np.errstate(over="ignore", invalid="ignore"):
        for target in rival_targets(samples.y, scores.shape[1]):
            plan = _Plan(attack, network, samples, budget, patches, rng)
            found.offer(*plan.attack_towards(target), model, samples, target)
    return AttackResult(
        attack=attack,
        clean_margin=margins(scores, samples.y),
        margin=found.margin,
        perturbation=found.perturbation,
        objective=np.full(len(samples.y), "targeted, patch by patch"),
        start=found.start.astype(np.str_),
        step=found.step,
        target=found.target,
        dead_gradient=_dead(model, samples, budget, scores.shape[1]),
        notes={"n_distinct_patches": len(patches.x)},
    )


def _blocks(n: int, width: int) -> Iterator[slice]:
    """Cut n rows so that arrays of `width` columns stay below a bound, whatever the data."""
    size = max(1, _BLOCK_ENTRIES // max(1, width))
    for start in range(0, n, size):
        yield slice(start, start + size)


def _check_sum(network: PatchModel, patches: DistinctPatches, samples: Samples, scores: FloatArray) -> None:
    """Check that the scores are the sums they are taken for."""
    k, m, d = network.weights.shape
    filters, by_patch = network.weights.reshape(-1, d).T, np.empty((len(patches.x), k))
    with np.errstate(over="ignore", invalid="ignore"):
        for block in _blocks(len(patches.x), k * m):
            by_patch[block] = network.activation(patches.x[block] @ filters).reshape(-1, k, m).sum(axis=2)
        counts = np.ones(patches.inverse.shape) if samples.counts is None else samples.counts
        sums = np.stack([np.sum(counts * by_patch[patches.inverse, i], axis=1) for i in range(k)], axis=1)
        wrong = np.abs(sums - scores) > _AGREEMENT * (1.0 + np.abs(scores)) if k == scores.shape[1] else True
    if np.any(wrong):
        raise ValueError(
            "a separable attack must have a model whose scores are sums of its activation over patches and "
            "neurons, which the model's scores(X) are not; use pgd"
        )


def _dead(model: Model, samples: Samples, budget: Budget, n_scores: int) -> npt.NDArray[np.bool_]:
    """Where no target's gradient at the clean point has an allowed part."""
    dead = np.ones(len(samples.y), dtype=bool)
    for target in rival_targets(samples.y, n_scores):
        cotangent = target_cotangent(samples.y, target, n_scores)
        allowed = budget.restrict(model_input_gradient(model, samples.X, cotangent))
        dead &= ~np.any((allowed != 0) & np.isfinite(allowed), axis=(1, 2))
    return dead


@dataclasses.dataclass(eq=False)
class _Plan:
    """One target for every label: searches by label and role, put together per sample."""

    attack: SeparableAttack
    network: PatchModel
    samples: Samples
    budget: Budget
    patches: DistinctPatches
    rng: np.random.Generator | None

    def attack_towards(self, target: IntArray) -> tuple[FloatArray, npt.NDArray[Any], IntArray]:
        """Return perturbations (n, P, d), and start and step of the patch that gains most, per sample."""
        patches, samples = self.patches, self.samples
        delta = np.zeros(patches.x.shape)
        gain, step = np.zeros(len(delta)), np.zeros(len(delta), dtype=np.int64)
        start = np.full(len(delta), "clean", dtype=object)
        for label in np.unique(samples.y):
            aim = int(target[samples.y == label][0])
            for role in np.unique(patches.role[patches.label == label]):
                rows = np.flatnonzero((patches.label == label) & (patches.role == role))
                solution, space, names = self._solve(rows, int(label), aim, int(role))
                delta[rows] = solution.point if space is None else solution.point @ space
                gain[rows], step[rows] = solution.gain, solution.step
                start[rows] = names[solution.start]
        counts = 1.0 if samples.counts is None else samples.counts
        leader = patches.inverse[np.arange(len(samples.y)), np.argmax(counts * gain[patches.inverse], axis=1)]
        # Points are in the ball up to rounding already.
        return self.budget.project(delta[patches.inverse]), start[leader], step[leader]

    def _solve(
        self, rows: IntArray, label: int, aim: int, role: int
    ) -> tuple[Solution, FloatArray | None, npt.NDArray[Any]]:
        """Search the patches `rows`; also return the basis of the space (None: all) and names of starts."""
        up, down = self.network.rivals(label, aim)
        filters = np.concatenate([up, down])
        rival = aim if aim >= 0 else 1 - int(label == 1)
        names, features = feature_directions(self.samples, int(label == 1) if aim < 0 else label, rival)
        directions = np.array(features).reshape(-1, filters.shape[1])
        space = self._space(role, np.concatenate([filters, directions]))
        raw = filters.T
        if space is not None:
            filters, directions = filters @ space.T, directions @ space.T
        objective = Objective(
            filters,
            np.concatenate([np.ones(len(up)), -np.ones(len(down))]),
            self.network.activation,
            self.network.slope,
            self.network.shape,
        )
        more, between = filter_directions(filters[: len(up)], filters[len(up) :])
        random = self._random(filters.shape[1])
        directions = np.concatenate([np.array(between), directions, random])
        names = [*more, *names, *(f"random {i}" for i in range(len(random)))]
        labels = [f"{name} x{scale:g}" for scale in START_SCALES for name in names] + ["clean"]
        parts = [
            search(self.attack, objective, self.patches.x[rows[block]] @ raw, directions)
            for block in _blocks(len(rows), max(raw.shape))
        ]
        return Solution.joined(parts), space, np.array(labels, dtype=object)

    def _space(self, role: int, wanted: FloatArray) -> FloatArray | None:
        """Orthonormal rows that span all useful directions of a patch of that role."""
        budget = self.budget
        allowed = None
        if budget.basis is not None and budget.role_mask is not None:
            allowed = budget.basis[budget.role_mask[role]]
        if budget.threat.norm == "linf":
            return None
        inside = wanted if allowed is None else wanted @ allowed.T
        if inside.shape[1] <= len(inside):
            return allowed
        # What is orthogonal to all filters changes nothing.
        span: FloatArray = np.linalg.qr(inside.T)[0].T
        return span if allowed is None else span @ allowed

    def _random(self, dim: int) -> FloatArray:
        if self.rng is None:
            return np.zeros((0, dim))
        return check_generator("rng", self.rng).standard_normal((self.attack.n_random, dim))


@dataclasses.dataclass(eq=False)
class _Found:
    """The worst target so far, sample by sample."""

    margin: FloatArray
    perturbation: FloatArray
    start: npt.NDArray[Any]
    step: IntArray
    target: IntArray

    @classmethod
    def none(cls, clean_margin: FloatArray, shape: tuple[int, ...]) -> _Found:
        """Return the clean point, which every budget contains."""
        n = shape[0]
        start = np.full(n, "clean", dtype=object)
        return cls(
            clean_margin.copy(), np.zeros(shape), start, np.zeros(n, dtype=np.int64), np.full(n, -1, np.int64)
        )

    def offer(
        self,
        delta: FloatArray,
        start: npt.NDArray[Any],
        step: IntArray,
        model: Model,
        samples: Samples,
        target: IntArray,
    ) -> None:
        """Keep `delta` where its margin is smaller; nan is the smallest of all."""
        margin = margins(model_scores(model, samples.X + delta, samples.counts), samples.y)
        ordered = [np.where(np.isnan(values), -np.inf, values) for values in (margin, self.margin)]
        better = ordered[0] < ordered[1]
        self.margin[better], self.perturbation[better] = margin[better], delta[better]
        self.start[better], self.step[better] = start[better], step[better]
        self.target[better] = target[better]
