"""Claims on networks that are written down: the memorising network (C1 to C5), separable data (L1 to L4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.attacks import line_margins, pgd, run_attack
from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome, Run
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most, between, covers_within
from featsim.claims.statistics import Estimate
from featsim.claims.structured_data.study import by_seed, seeds, study
from featsim.data import MarginMixtureSpec, PatchData
from featsim.evaluation import line_flip_distance
from featsim.models import MemoriserSpec, margins, memoriser_parameters, memorising_rule, separation
from featsim.scenarios import Scenario, get_scenario
from featsim.threats import Threat
from featsim.training import Recording
from featsim.training.linear_adversary import train_linear_adversarial
from featsim.validation import FloatArray

A, CUBE, SEPARABLE = (get_scenario(f"cgro/{name}") for name in ("A", "cube", "separable"))


def signed(data: PatchData) -> FloatArray:
    """Return the labels as +1 and -1."""
    return np.where(data.y == 1, 1.0, -1.0)


def right(model: Any, X: FloatArray, data: PatchData) -> float:
    """Return the share of inputs with positive margin."""
    return float(np.mean(margins(model.scores(X), data.y) > 0.0))


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
        "robust_training": float(np.mean(on_balls > 0.0)),
        "outside": float(np.abs(scores - clean)[outside].max()) if outside.any() else 0.0,
        "direct": float(np.abs(scores - formula.scores(fresh)[:, 0]).max()),
    }


_BUILT = {norm: Measure(built, (norm,)) for norm in ("l1", "linf", "l2")}


def _c1(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]

    def largest(key: str) -> Estimate:
        return statistics.exactly(max(v[key] for v in values), len(values))

    return {
        "robust training accuracy on every ball": statistics.accuracy([v["robust_training"] for v in values]),
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
    ),
    cases=lambda quick: [
        Case(CUBE, None, seed, measure) for measure in _BUILT.values() for seed in seeds((5, 2), quick)
    ],
    analyse=_c1,
)

_SHAPES = ((10, 10), (30, 20), (20, 60), (60, 60), (100, 100))


def counted(run: Run) -> dict[str, list[list[float]]]:
    """Build networks of several sizes and count their non-zero parameters (C2)."""
    rng = run.rng()
    found: dict[str, list[list[float]]] = {}
    for norm in ("l1", "linf"):
        for N, D in _SHAPES:
            centres, labels = rng.uniform(size=(N, D)), rng.integers(2, size=N)
            labels[:2] = 0, 1
            spec = MemoriserSpec(radius=0.3 * separation(centres, labels, norm), norm=norm)
            count = spec.build(centres, labels, rng.standard_normal(D)).network().n_parameters
            # A linear clean rule without constant saves two biases.
            found.setdefault(norm, []).append([N, D, count, memoriser_parameters(N, D, norm) - 2])
    return found


def _c2(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {}
    for norm in ("l1", "linf"):
        table = np.array([row for outcome in outcomes for row in outcome.value[norm]])
        N, D, count, predicted = table.T
        fit, *_ = np.linalg.lstsq(np.stack([N * D, N, D, np.ones_like(N)], axis=1), count, rcond=None)
        found[f"parameters per N D, {norm}"] = statistics.exactly(float(fit[0]), len(table))
        found[f"largest difference from the closed form, {norm}"] = statistics.exactly(
            float(np.abs(count - predicted).max()), len(table)
        )
    return found


C2 = Claim(
    id="cgro/C2",
    statement="The network has O(ND) parameters, exactly those of the closed form",
    mark="[derived]",
    scenario=CUBE.name,
    criteria=(
        Criterion("parameters per N D, l1", covers_within(6.0, 0.05), "6"),
        Criterion("parameters per N D, linf", covers_within(10.0, 0.1), "10"),
        Criterion("largest difference from the closed form, l1", at_most(0.0), "0"),
        Criterion("largest difference from the closed form, linf", at_most(0.0), "0"),
    ),
    cases=study(CUBE, None, (2, 1), Measure(counted)),
    analyse=_c2,
)

FILLS = (0.25, 1.0, 2.0, 4.0)


def cube_scenario(bits: int, fill: float) -> Scenario:
    """Return the hard cube of some size with `fill` samples per vertex.

    Parameters
    ----------
    bits : int
        k.
    fill : float
        N / 2^k.

    Returns
    -------
    Scenario
        The cube with that many training samples.
    """
    return CUBE.with_settings({"data.bits": bits, "n_samples": int(fill * 2**bits)})


def covered(run: Run) -> dict[str, float]:
    """Return the memorising network's accuracies on the hard cube, and the share of vertices it has seen."""
    spec: Any = run.scenario.data
    axis = np.eye(spec.bits + 1)[-1]
    model: Any = run.scenario.model
    network = model.build(run.data.X, run.data.y, axis).network()
    every = spec.points(np.arange(1 << spec.bits))
    flip = -model.radius * signed(every)[:, None, None] * axis
    train_flip = -model.radius * signed(run.data)[:, None, None] * axis
    threat = Threat(radius=model.radius, norm="linf", scope="input")
    attack = run_attack(pgd(threat, n_steps=5), network, run.data.select(slice(0, 64)))
    return {
        "clean": right(network, every.X, every),
        "robust": right(network, every.X + flip, every),
        "train_robust": min(right(network, run.data.X + train_flip, run.data), attack.robust_accuracy),
        "coverage": len(np.unique(run.data.X, axis=0)) / (1 << spec.bits),
        "expected": spec.coverage(run.scenario.n_samples),
    }


_COVERED = Measure(covered)
_CUBES = {(bits, fill): cube_scenario(bits, fill) for bits in (4, 6, 8) for fill in FILLS}


def _cube_cases(chosen: Sequence[tuple[int, float]], n_seeds: tuple[int, int]) -> Any:
    return lambda quick: [
        Case(_CUBES[key], None, seed, _COVERED) for key in chosen for seed in seeds(n_seeds, quick)
    ]


def _c3(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]
    gaps = [v["robust"] - v["coverage"] for v in values]
    found = {
        "clean accuracy": statistics.accuracy([v["clean"] for v in values]),
        "robust training accuracy": statistics.accuracy([v["train_robust"] for v in values]),
        "largest |robust accuracy - coverage|": statistics.exactly(float(np.max(np.abs(gaps))), len(values)),
        "coverage less 1-(1-2^-k)^N": statistics.mean([v["coverage"] - v["expected"] for v in values]),
    }
    return found


C3 = Claim(
    id="cgro/C3",
    statement="On the hard cube robust accuracy is the share of vertices seen: it takes about 2^k balls",
    mark="[choice]",
    scenario=CUBE.name,
    criteria=(
        Criterion("largest |robust accuracy - coverage|", at_most(0.0), "0: robust exactly where seen"),
        Criterion("clean accuracy", at_least(1.0), "1"),
        Criterion("robust training accuracy", at_least(1.0), "1"),
        Criterion("coverage less 1-(1-2^-k)^N", covers_within(0.0, 0.03), "0"),
    ),
    cases=_cube_cases(list(_CUBES), (10, 5)),
    analyse=_c3,
)
C4 = Claim(
    id="cgro/C4",
    statement="Control: with enough balls to cover the population the same network is robust",
    mark="[source]",
    scenario=CUBE.name,
    criteria=(Criterion("robust accuracy at N = 4 2^k", at_least(0.95), "1 - e^-4 = 0.98"),),
    cases=_cube_cases([(bits, 4.0) for bits in (4, 6, 8)], (10, 5)),
    analyse=lambda outcomes: {
        "robust accuracy at N = 4 2^k": statistics.accuracy([o.value["robust"] for o in outcomes])
    },
    control=True,
)


def signal_rule(run: Run, ratios: tuple[float, ...]) -> list[float]:
    """Return the accuracy of the clean rule <w*, X[1]> on the line at radii in units of alpha (C5)."""
    data: Any = run.data.fresh
    score = data.X[:, 0] @ data.signal
    alpha = data.signal_strength
    return [float(np.mean(data.signs * score - ratio * alpha > 0.0)) for ratio in ratios]


_FIRST = A.with_settings({"data.position": "first"})
_RULE = Measure(signal_rule, ((0.95, 1.02),))
C5 = Claim(
    id="cgro/C5",
    statement="Control: on patch data with a fixed position the clean rule is robust already up to alpha",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion("robust accuracy of <w*, X[1]> at 0.95 alpha", at_least(1.0), "1"),
        Criterion("the same at 1.02 alpha", at_most(0.0), "0"),
    ),
    cases=study(_FIRST, None, (5, 2), _RULE),
    analyse=lambda outcomes: {
        "robust accuracy of <w*, X[1]> at 0.95 alpha": statistics.accuracy(
            [v[0] for v in by_seed(outcomes, _RULE)]
        ),
        "the same at 1.02 alpha": statistics.accuracy([v[1] for v in by_seed(outcomes, _RULE)]),
    },
    control=True,
)

# --- Linearly separable data ---

_L1 = tuple(
    SEPARABLE.with_settings(
        {"n_samples": n, "data.dim": d, "data.large_margin": 3.0, "data.small_share": 0.0}
    )
    for n, d in ((50, 50), (100, 200), (200, 800))
)


def direction(run: Run) -> float:
    """Return the cosine of the adversarially trained linear rule with w*."""
    X, y = run.data.X[:, 0], signed(run.data)
    w = train_linear_adversarial(X, y, radius=1.5, n_steps=3000, step_size=0.05)[-1]
    return float(w[0] / np.linalg.norm(w))


L1 = Claim(
    id="cgro/L1",
    statement="Adversarial training of a linear rule on large-margin data finds the signal direction",
    mark="[source]",
    scenario=SEPARABLE.name,
    criteria=(Criterion("least cosine with w*", at_least(0.999), "1 - o(1)"),),
    cases=lambda quick: [
        Case(s, None, seed, Measure(direction)) for s in _L1 for seed in seeds((3, 1), quick)
    ],
    analyse=lambda outcomes: {
        "least cosine with w*": statistics.exactly(min(o.value for o in outcomes), len(outcomes))
    },
)

_L2 = tuple(SEPARABLE.with_settings({"data.dim": d}) for d in (100, 400, 1600))
_L2_RADIUS = 0.4


def small_margins(run: Run) -> dict[str, float]:
    """Return the accuracies of the rule that memorises small-margin points, and of the linear rule alone."""
    spec: Any = run.scenario.data
    assert isinstance(spec, MarginMixtureSpec)
    data = run.data
    axis = np.eye(spec.dim)[0]
    chosen = spec.small(data)
    noise = data.X[chosen, 0].copy()
    noise[:, 0] = 0.0
    bias = run.scenario.model.bias  # type: ignore[attr-defined]
    network = memorising_rule(axis, noise, signed(data)[chosen], bias)
    fresh = spec.sample(2000, run.rng())
    found = {}
    for name, samples in (("train", data), ("test", fresh)):
        shift = -_L2_RADIUS * signed(samples)[:, None, None] * axis
        found[f"{name}_clean"] = right(network, samples.X, samples)
        found[f"{name}_line"] = right(network, samples.X + shift, samples)
        linear = signed(samples) * (samples.X[:, 0] @ axis)
        found[f"{name}_linear_robust"] = float(np.mean(linear > _L2_RADIUS))
    attack = pgd(Threat(radius=_L2_RADIUS, scope="input"), n_steps=20)
    found["train_pgd"] = run_attack(attack, network, data).robust_accuracy
    return found


_SMALL = Measure(small_margins)


def _l2(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]
    ratio = [(1.0 - v["test_line"]) / (1.0 - v["test_linear_robust"]) for v in values]
    return {
        "clean accuracy, training": statistics.accuracy([v["train_clean"] for v in values]),
        "clean accuracy, fresh samples": statistics.accuracy([v["test_clean"] for v in values]),
        "robust training accuracy (along w* and l2 PGD-20)": statistics.accuracy(
            [min(v["train_line"], v["train_pgd"]) for v in values]
        ),
        "robust accuracy on fresh samples (along w*)": statistics.accuracy([v["test_line"] for v in values]),
        "robust test error / that of the linear rule": statistics.mean(ratio),
    }


def _l2_cases(quick: bool) -> list[Case]:
    return [Case(s, None, seed, _SMALL) for s in _L2 for seed in seeds((5, 2), quick)]


L2 = Claim(
    id="cgro/L2",
    statement="Memorising the small-margin points brings the robust training error to zero",
    mark="[source]",
    scenario=SEPARABLE.name,
    criteria=(
        Criterion("robust training accuracy (along w* and l2 PGD-20)", at_least(1.0), "1"),
        Criterion("clean accuracy, training", at_least(1.0), "1"),
        Criterion("clean accuracy, fresh samples", at_least(0.99), "1"),
        Criterion("robust accuracy on fresh samples (along w*)", covers_within(0.5, 0.03), "1 - mu = 1/2"),
    ),
    cases=_l2_cases,
    analyse=_l2,
)
L4 = Claim(
    id="cgro/L4",
    statement="The memorising rule is on fresh samples no more robust than the clean rule it is built around",
    mark="[source]",
    scenario=SEPARABLE.name,
    criteria=(
        Criterion("robust test error / that of the linear rule", between(0.9, 1.5), "Omega(1)"),
        Criterion("clean accuracy, fresh samples", at_least(0.99), "1"),
    ),
    cases=_l2_cases,
    analyse=_l2,
)


def boundary(run: Run) -> int:
    """Count samples and radii where worst margin >= 0 and distance to the flip >= radius disagree (L3)."""
    data: Any = run.data.fresh
    network: Any = run.network
    flip = line_flip_distance(network, data)
    clean = line_margins(network, data, None)["clean"] > 0.0
    wrong = 0
    for radius in np.linspace(0.05, 3.0, 60):
        stands = line_margins(network, data, float(radius))["worst"] >= 0.0
        wrong += int(np.sum((stands != (flip >= radius))[clean]))
    return wrong


_BOUNDARY = Measure(boundary)
L3 = Claim(
    id="cgro/L3",
    statement="A correctly classified point is robust at a radius iff the boundary is that far away",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion(
            "disagreements over 1000 fresh samples and 60 radii", at_most(0.0), "0, on the signal line"
        ),
    ),
    cases=study(A, "adversarial", (3, 1), _BOUNDARY, recording=Recording(n_log=400)),
    analyse=lambda outcomes: {
        "disagreements over 1000 fresh samples and 60 radii": statistics.exactly(
            float(sum(by_seed(outcomes, _BOUNDARY))), len(outcomes)
        )
    },
)

CLAIMS = (C1, C2, C3, C4, C5, L1, L2, L3, L4)
