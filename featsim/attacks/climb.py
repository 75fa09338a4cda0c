"""Compiled attack on networks of one hidden layer; see :class:`featsim.attacks.NeuronAttack`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from featsim.attacks.climb_spec import NeuronAttack
from featsim.attacks.result import AttackResult
from featsim.attacks.starts import feature_directions, has_features, rival_targets
from featsim.kernels import neuron_sums as kernel
from featsim.models import (
    Model,
    NeuronSum,
    check_score_labels,
    margin_cotangent,
    margins,
    model_input_gradient,
    model_scores,
    neuron_sum,
)
from featsim.threats import Budget, PatchProblem, PatchProblems, Samples, patched
from featsim.validation import FloatArray, IntArray, check_generator


def neuron_attack(
    attack: NeuronAttack, model: Model, samples: Samples, rng: np.random.Generator | None
) -> AttackResult:
    """Run the compiled attack; see :class:`NeuronAttack`."""
    neurons, flat = neuron_sum(model), patched(samples)
    if neurons is None or flat.X.ndim != 3 or flat.X.shape[2] != neurons.filters.shape[1]:
        raise TypeError(
            f"model must be a network of one hidden layer and fit X, got {type(model).__name__} and X of "
            f"shape {samples.X.shape}; use pgd or AdaptiveAttack"
        )
    if attack.n_random and rng is None:
        raise ValueError("rng must be given for random starts; pass rng=np.random.default_rng(0)")
    scores = model_scores(model, samples.X, samples.counts)
    check_score_labels(samples.y, scores.shape[1])
    budget = flat.bind(attack.threat)
    if budget.pixels is not None:
        raise ValueError("data must not have patches that share pixels for this attack; use pgd")
    generator = None if rng is None else check_generator("rng", rng)
    clean = margins(scores, samples.y)
    search = _Search(attack, neurons, flat, budget, generator)
    with np.errstate(over="ignore", invalid="ignore"):
        search.run(clean, rival_targets(samples.y, scores.shape[1]))
        delta = budget.project(search.delta).reshape(samples.X.shape)
        margin = margins(model_scores(model, samples.X + delta, samples.counts), samples.y)
    worse = ~(margin < clean) & ~np.isnan(margin)
    delta[worse] = 0.0
    n = len(clean)
    return AttackResult(
        attack=attack,
        clean_margin=clean,
        margin=np.where(worse, clean, margin),
        perturbation=delta,
        objective=np.full(n, "targeted"),
        start=np.where(worse, "clean", search.start).astype(np.str_),
        step=np.where(worse, 0, search.step),
        target=search.target,
        dead_gradient=_dead(model, samples, scores, attack),
    )


def _dead(model: Model, samples: Samples, scores: FloatArray, attack: NeuronAttack) -> npt.NDArray[np.bool_]:
    gradient = model_input_gradient(model, samples.X, margin_cotangent(scores, samples.y))
    allowed = samples.bind(attack.threat).restrict(np.where(np.isfinite(gradient), gradient, 0.0))
    dead: npt.NDArray[np.bool_] = ~np.any(allowed != 0.0, axis=tuple(range(1, allowed.ndim)))
    return dead


class _Search:
    """What was found so far, sample by sample."""

    def __init__(
        self,
        attack: NeuronAttack,
        neurons: NeuronSum,
        samples: Samples,
        budget: Budget,
        rng: np.random.Generator | None,
    ) -> None:
        n = len(samples.y)
        self.attack, self.neurons, self.samples, self.budget, self.rng = attack, neurons, samples, budget, rng
        self.delta = np.zeros(samples.X.shape)
        self.value = np.full(n, np.inf)
        self.start = np.full(n, "clean", dtype=object)
        self.step, self.target = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
        self.apart = budget.threat.scope == "patch" or budget.threat.norm == "linf"

    def run(self, clean: FloatArray, rivals: list[IntArray]) -> None:
        """Attack every sample against every rival."""
        problems: dict[tuple[int, int], PatchProblems] = {}
        known = has_features(self.samples)
        for target in rivals:
            moves = dict(feature_directions(self.samples, target)) if known else {}
            for i, (label, rival) in enumerate(zip(self.samples.y, target, strict=True)):
                if self.attack.stop_when_broken and not min(clean[i], self.value[i]) > 0.0:
                    continue
                key = (int(label), int(rival))
                if key not in problems:
                    problems[key] = PatchProblems.of(self.neurons.against(*key), self.budget)
                self._sample(i, int(rival), problems[key], {name: move[i] for name, move in moves.items()})

    def _sample(self, i: int, rival: int, pair: PatchProblems, moves: dict[str, FloatArray]) -> None:
        at = pair.at(self.samples.X, i)
        P = len(at.z)
        parts = [slice(p, p + 1) for p in range(P)] if self.apart else [slice(None)]
        points, total, names, steps = [], 0.0, [], 0
        for part in parts:
            starts, labels = self._starts(i, at, pair, part, moves)
            goal = 0.0 if self.attack.stop_when_broken and len(parts) == 1 else -np.inf
            point, tally, n = np.zeros(starts.shape[1:]), np.zeros(2, np.int64), self.neurons
            total += kernel.climb(
                at.outer[part], at.z[part], at.filters[part], at.tilt[part], float(at.offset[part].sum()),
                starts, self.budget.radius, self.budget.threat.norm == "linf", n.kind, n.power, n.smoothing,
                self.attack.n_steps, self.attack.n_climbs, self.attack.momentum, goal, point, tally,
            )  # fmt: skip
            points.append(point)
            names.append(labels[tally[0]])
            steps = max(steps, int(tally[1]))
        if total < self.value[i]:
            self.value[i], self.target[i], self.step[i] = total, rival, steps
            self.start[i] = names[0] if len(set(names)) == 1 else "by patch"
            self.delta[i] = pair.coordinates.lift(i, np.concatenate(points))

    def _starts(
        self, i: int, at: PatchProblem, pair: PatchProblems, part: slice, moves: dict[str, FloatArray]
    ) -> tuple[FloatArray, list[str]]:
        """Return starts (S, P', R) of some patches, inside the budget, and their names."""
        V, A = at.filters[part], at.outer[part]
        P, _, R = V.shape
        # Towards the rival's filters and away from the label's, each side as its mean.
        towards = np.zeros((P, R))
        for side in (A < 0.0, A > 0.0):
            count = np.maximum(side.sum(axis=1), 1)[:, None]
            towards -= np.sum(np.where(side, np.sign(A), 0.0)[:, :, None] * V, axis=1) / count
        found, names = [np.zeros((P, R)), towards], ["clean", "filters all"]
        if P > 1:
            for p in range(P):
                alone = np.zeros((P, R))
                alone[p] = towards[p]
                found.append(alone)
                names.append(f"filters patch {p}")
        stretch = pair.coordinates.stretch(i, len(at.z))
        bases = pair.coordinates.bases[pair.coordinates.roles(i, len(at.z))]
        for name, move in moves.items():
            found.append((np.einsum("pd,prd->pr", move, bases) / stretch[:, None])[part])
            names.append(name)
        for draw in range(self.attack.n_random):
            assert self.rng is not None
            found.append(self.rng.standard_normal((P, R)))
            names.append(f"random {draw}")
        starts = np.stack(found)
        if self.budget.threat.norm == "linf":
            return np.ascontiguousarray(self.budget.radius * np.sign(starts)), names
        size = np.sqrt(np.sum(starts**2, axis=(1, 2), keepdims=True))
        edge = self.budget.radius * starts / np.where(size > 0.0, size, 1.0)
        return np.ascontiguousarray(edge), names
