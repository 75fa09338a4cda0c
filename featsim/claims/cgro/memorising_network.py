"""Claims on the memorising network, which is written down and not trained: C1 and C2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.attacks import pgd, run_attack
from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome, Run
from featsim.claims.cgro.measures import accuracy_over, right, signed
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most, between, covers_within
from featsim.claims.structured_data.study import by_seed, seeds, study
from featsim.models import Memoriser, MemoriserSpec, memoriser_parameters, separation
from featsim.scenarios import get_scenario
from featsim.threats import Threat
from featsim.validation import FloatArray

A, CUBE, SEPARABLE = (get_scenario(f"cgro/{name}") for name in ("A", "cube", "separable"))


# --- The memorising network ---


def ball_points(radius: float, dim: int, norm: str, rng: np.random.Generator) -> FloatArray:
    """Return perturbations of a ball: the centre, points inside, on the boundary, and corners, (8, dim).

    Parameters
    ----------
    radius : float
        Radius.
    dim : int
        Dimension.
    norm : {"l1", "linf", "l2"}
        Norm.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (8, dim)
        Perturbations of at most that norm.
    """
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    free = rng.standard_normal((4, dim))
    boundary = radius * free / np.linalg.norm(free, order, axis=1, keepdims=True)
    axis = np.zeros((1, dim))
    axis[0, rng.integers(dim)] = radius
    corner = radius * np.sign(rng.standard_normal((1, dim))) if norm == "linf" else -axis
    return np.concatenate([np.zeros((1, dim)), boundary[:2], 0.5 * boundary[2:], axis, -axis, corner])


def built(run: Run, norm: str) -> dict[str, float]:
    """Build the network for random points of the unit cube and test all that it guarantees (C1)."""
    rng = run.rng()
    N, D = 40, 12
    centres, labels = rng.uniform(size=(N, D)), rng.integers(2, size=N)
    w = rng.standard_normal(D)
    gap = separation(centres, labels, norm)
    spec = MemoriserSpec(radius=0.4 * gap, norm=norm, outer_radius=0.49 * gap, clean_scale=50.0)
    formula = spec.build(centres, labels, w)
    network = formula.network()
    signs = np.where(labels == 1, 1.0, -1.0)
    points = np.concatenate([c + ball_points(spec.radius, D, norm, rng) for c in centres])
    on_balls = network.scores(points)[:, 0] * np.repeat(signs, 8)
    fresh = rng.uniform(size=(2000, D))
    distance = np.abs(fresh[:, None] - centres)
    order = {"l1": distance.sum(2), "linf": distance.max(2), "l2": np.sqrt((distance**2).sum(2))}[norm]
    outside = order.min(axis=1) > float(spec.outer_radius or 0.0)
    clean = np.clip(50.0 * (fresh @ w), -1.0, 1.0)
    scores = network.scores(fresh)[:, 0]
    return {
        "on_balls": float(np.abs(on_balls - 1.0).max()),
        # A sample is robust if all points tried in its ball are right.
        "robust_training": float(np.mean((on_balls > 0.0).reshape(N, 8).all(axis=1))),
        "n_train": N,
        "outside": float(np.abs(scores - clean)[outside].max()) if outside.any() else 0.0,
        "direct": float(np.abs(scores - formula.scores(fresh)[:, 0]).max()),
    }


_DUAL = {"l1": np.inf, "l2": 2, "linf": 1}


def preserved(run: Run, norm: str) -> dict[str, float]:
    """Compare clean accuracy on a separated population with that of the clean rule inside (C1).

    Points of the unit cube at least g from a hyperplane, which labels them: opposite classes are 2g
    apart on the whole population. The clean rule is another hyperplane, right on most of it.
    """
    rng = run.rng(1)
    D, N = 12, 40
    w = rng.standard_normal(D)
    distance = (rng.uniform(-0.5, 0.5, size=(8000, D)) @ w) / np.linalg.norm(w, _DUAL[norm])
    gap = 0.5 * float(np.median(np.abs(distance)))

    def draw(n: int) -> tuple[FloatArray, FloatArray]:
        points = rng.uniform(size=(6 * n, D))
        place = ((points - 0.5) @ w) / np.linalg.norm(w, _DUAL[norm])
        kept = np.flatnonzero(np.abs(place) >= gap)[:n]
        return points[kept], np.sign(place[kept])

    (centres, signs), (fresh, truth) = draw(N), draw(2000)
    rule = w + 0.4 * rng.standard_normal(D)
    memoriser = Memoriser(
        centres=centres, labels=(signs > 0).astype(int), norm=norm, radius=0.8 * gap,
        outer_radius=0.99 * gap, clean_weights=rule, clean_bias=-0.5 * float(rule.sum()), clean_scale=50.0,
    )  # fmt: skip
    right_rule = truth * ((fresh - 0.5) @ rule) > 0.0
    right_network = truth * memoriser.network().scores(fresh)[:, 0] > 0.0
    return {
        "rule": float(np.mean(right_rule)),
        "network": float(np.mean(right_network)),
        "lost": int(np.sum(right_rule & ~right_network)),
        "n_fresh": len(fresh),
    }


_BUILT = {norm: Measure(built, (norm,)) for norm in ("l1", "linf", "l2")}
_PRESERVED = {norm: Measure(preserved, (norm,)) for norm in ("l1", "linf", "l2")}


def _c1(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [v for measure in _BUILT.values() for v in by_seed(outcomes, measure)]
    clean = [v for measure in _PRESERVED.values() for v in by_seed(outcomes, measure)]

    def largest(key: str) -> Estimate:
        return statistics.exactly(max(v[key] for v in values), len(values))

    return {
        "robust training accuracy on every ball": accuracy_over(values, "robust_training"),
        "clean accuracy on fresh points": statistics.accuracy(
            [v["network"] for v in clean], [v["n_fresh"] for v in clean]
        ),
        "clean accuracy less the clean rule's": statistics.paired_difference(
            [v["network"] for v in clean], [v["rule"] for v in clean]
        ),
        "fresh points that the clean rule alone gets right": statistics.exactly(
            sum(v["lost"] for v in clean), len(clean)
        ),
        "largest |f - y| on training balls": largest("on_balls"),
        "largest |f - c| away from them": largest("outside"),
        "layers against the formula": largest("direct"),
    }


C1 = Claim(
    id="cgro/C1",
    statement="The explicit ReLU network is y on every training ball and the clean rule away from them",
    mark="[source]",
    scenario=CUBE.name,
    criteria=(
        Criterion("robust training accuracy on every ball", at_least(1.0), "1 (l1, l2, linf)"),
        Criterion("largest |f - y| on training balls", at_most(1e-9), "0"),
        Criterion("largest |f - c| away from them", at_most(1e-9), "0"),
        Criterion("layers against the formula", at_most(1e-9), "rounding only"),
        Criterion("fresh points that the clean rule alone gets right", at_most(0.0), "0: 2 g > delta_2"),
        Criterion("clean accuracy less the clean rule's", between(0.0, 0.02), "0, or a little more"),
        Criterion("clean accuracy on fresh points", at_least(0.8), "that of the clean rule"),
    ),
    cases=lambda quick: [
        Case(CUBE, None, seed, measure)
        for measure in (*_BUILT.values(), *_PRESERVED.values())
        for seed in seeds((5, 2), quick)
    ],
    analyse=_c1,
)


def few_balls(run: Run) -> dict[str, float]:
    """Store the small-margin training points alone, and all of them (ICLR-2023 form of C1)."""
    spec: Any = run.scenario.data
    data, axis = run.data, np.eye(spec.dim)[0]
    small = spec.small(data)
    recipe = MemoriserSpec(radius=_FEW_RADIUS, norm="l2", outer_radius=0.5, clean_scale=20.0)
    few = recipe.build(data.X[small], data.y[small], axis)
    every = recipe.build(data.X, data.y, axis)
    network, fresh = few.network(), spec.sample(2000, run.rng())
    found: dict[str, float] = {"n_train": data.n_samples, "n_fresh": fresh.n_samples}
    for name, samples in (("train", data), ("test", fresh)):
        shift = -_FEW_RADIUS * signed(samples)[:, None, None] * axis
        found[f"{name}_clean"] = right(network, samples.X, samples)
        found[f"{name}_line"] = right(network, samples.X + shift, samples)
    attack = pgd(Threat(radius=_FEW_RADIUS, scope="input"), n_steps=20)
    found["train_pgd"] = run_attack(attack, network, data).robust_accuracy
    found["train_worst"] = min(found["train_pgd"], found["train_line"])
    found["share"] = network.n_parameters / every.network().n_parameters / float(np.mean(small))
    return found


_FEW_RADIUS = 0.4
_FEW = Measure(few_balls)


def _few(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]
    return {
        "robust training accuracy (along w* and l2 PGD-20)": accuracy_over(values, "train_worst"),
        "clean accuracy, fresh samples": accuracy_over(values, "test_clean"),
        "robust accuracy on fresh samples (along w*)": accuracy_over(values, "test_line"),
        "parameters / (mu x those of all balls)": statistics.mean([v["share"] for v in values]),
    }


C1_SMALL = Claim(
    id="cgro/C1-small",
    statement="Only the share mu of small-margin points needs balls: O~(mu N d + poly d) parameters",
    mark="[source]",
    scenario=SEPARABLE.name,
    criteria=(
        Criterion("robust training accuracy (along w* and l2 PGD-20)", at_least(1.0), "1"),
        Criterion("clean accuracy, fresh samples", at_least(0.99), "1"),
        Criterion("robust accuracy on fresh samples (along w*)", covers_within(0.5, 0.03), "1 - mu = 1/2"),
        Criterion("parameters / (mu x those of all balls)", covers_within(1.0, 0.02), "1 + O(1/N)"),
    ),
    cases=study(SEPARABLE, None, (5, 2), _FEW),
    analyse=_few,
)

_SHAPES = ((10, 10), (30, 20), (20, 60), (60, 60), (100, 100))


def counted(run: Run) -> dict[str, list[list[float]]]:
    """Build networks of several sizes and count their non-zero parameters (C2)."""
    rng = run.rng()
    found: dict[str, list[list[float]]] = {}
    for norm in _DUAL:
        for N, D in _SHAPES:
            centres, labels = rng.uniform(size=(N, D)), rng.integers(2, size=N)
            labels[:2] = 0, 1
            spec = MemoriserSpec(radius=0.3 * separation(centres, labels, norm), norm=norm)
            formula = spec.build(centres, labels, rng.standard_normal(D))
            count = formula.network().n_parameters
            n = formula.n_tents if norm == "l2" else 1
            # A linear clean rule without constant saves two biases.
            predicted = memoriser_parameters(N, D, norm, n_tents=n if norm == "l2" else None) - 2
            found.setdefault(norm, []).append([N, D, count, predicted, n])
    return found


def _c2(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {}
    for norm in _DUAL:
        table = np.array([row for outcome in outcomes for row in outcome.value[norm]])
        N, D, count, predicted, n = table.T
        # For l2 the unit is one tent map of one coordinate of one point: 7 N D n + 6 N D + ...
        columns = [N * D, N, D, np.ones_like(N)] + ([N * D * n] if norm == "l2" else [])
        fit, *_ = np.linalg.lstsq(np.stack(columns, axis=1), count, rcond=None)
        if norm == "l2":
            found["parameters per N D and tent map, l2"] = statistics.exactly(float(fit[-1]), len(table))
        found[f"parameters per N D, {norm}"] = statistics.exactly(float(fit[0]), len(table))
        found[f"largest difference from the closed form, {norm}"] = statistics.exactly(
            float(np.abs(count - predicted).max()), len(table)
        )
    return found


C2 = Claim(
    id="cgro/C2",
    statement="The network has O(ND) parameters, times a logarithm for l2: exactly the closed form",
    mark="[derived]",
    scenario=CUBE.name,
    criteria=(
        Criterion("parameters per N D, l1", covers_within(6.0, 0.05), "6"),
        Criterion("parameters per N D, linf", covers_within(10.0, 0.1), "10"),
        Criterion("parameters per N D and tent map, l2", covers_within(7.0, 0.1), "7 n, n = O(log(D/eps))"),
        Criterion("largest difference from the closed form, l1", at_most(0.0), "0"),
        Criterion("largest difference from the closed form, linf", at_most(0.0), "0"),
        Criterion("largest difference from the closed form, l2", at_most(0.0), "0"),
    ),
    cases=study(CUBE, None, (2, 1), Measure(counted)),
    analyse=_c2,
)

CLAIMS = (C1, C1_SMALL, C2)
