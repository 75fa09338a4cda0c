"""Claims on linearly separable data of large and small margins: L1 to L4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.attacks import line_margins, pgd, run_attack
from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome, Run
from featsim.claims.cgro.measures import accuracy_over, right, signed
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most, between, covers_within
from featsim.claims.structured_data.study import by_seed, seeds, study
from featsim.data import MarginMixtureSpec
from featsim.evaluation import line_flip_distance
from featsim.models import memorising_rule
from featsim.scenarios import get_scenario
from featsim.threats import Threat
from featsim.training import Recording
from featsim.training.linear_adversary import train_linear_adversarial

A, SEPARABLE = (get_scenario(f"cgro/{name}") for name in ("A", "separable"))

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
    found: dict[str, float] = {"n_train": data.n_samples, "n_fresh": fresh.n_samples}
    for name, samples in (("train", data), ("test", fresh)):
        shift = -_L2_RADIUS * signed(samples)[:, None, None] * axis
        found[f"{name}_clean"] = right(network, samples.X, samples)
        found[f"{name}_line"] = right(network, samples.X + shift, samples)
        linear = signed(samples) * (samples.X[:, 0] @ axis)
        found[f"{name}_linear_robust"] = float(np.mean(linear > _L2_RADIUS))
    attack = pgd(Threat(radius=_L2_RADIUS, scope="input"), n_steps=20)
    found["train_worst"] = min(found["train_line"], run_attack(attack, network, data).robust_accuracy)
    return found


_SMALL = Measure(small_margins)


def _l2(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]
    ratio = [(1.0 - v["test_line"]) / (1.0 - v["test_linear_robust"]) for v in values]
    return {
        "clean accuracy, training": accuracy_over(values, "train_clean"),
        "clean accuracy, fresh samples": accuracy_over(values, "test_clean"),
        "robust training accuracy (along w* and l2 PGD-20)": accuracy_over(values, "train_worst"),
        "robust accuracy on fresh samples (along w*)": accuracy_over(values, "test_line"),
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


def trained_rule(run: Run) -> dict[str, float]:
    """Return the accuracies of the rule whose linear part was trained, and its cosine with w*."""
    data, network = run.data, run.network
    fresh = run.scenario.data.sample(2000, run.rng())  # type: ignore[attr-defined]
    axis = np.eye(run.scenario.data.dim)[0]  # type: ignore[attr-defined]
    found: dict[str, float] = {"n_train": data.n_samples, "n_fresh": fresh.n_samples}
    for name, samples in (("train", data), ("test", fresh)):
        shift = -_L2_RADIUS * signed(samples)[:, None, None] * axis
        found[f"{name}_clean"] = right(network, samples.X, samples)
        found[f"{name}_line"] = right(network, samples.X + shift, samples)
    attack = run_attack(run.scenario.evaluations[0], network, data)  # type: ignore[arg-type]
    found["train_worst"] = min(found["train_line"], attack.robust_accuracy)
    return {**found, "cosine": float(run.trace["signal_cosine"][-1])}


_TRAINED = Measure(trained_rule)


def _l2_trained(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = by_seed(outcomes, _TRAINED)
    return {
        "cosine of the linear part with w*": statistics.mean([v["cosine"] for v in values]),
        "robust training accuracy (along w* and l2 PGD-20)": accuracy_over(values, "train_worst"),
        "clean accuracy, fresh samples": accuracy_over(values, "test_clean"),
        "robust accuracy on fresh samples (along w*)": accuracy_over(values, "test_line"),
    }


L2_TRAINED = Claim(
    id="cgro/L2-trained",
    statement="The same with the linear part that adversarial training on large-margin points finds",
    mark="[source]",
    scenario=SEPARABLE.name,
    criteria=(
        Criterion("robust training accuracy (along w* and l2 PGD-20)", at_least(1.0), "1"),
        Criterion("clean accuracy, fresh samples", at_least(0.98), "1 - o(1)"),
        Criterion("robust accuracy on fresh samples (along w*)", covers_within(0.5, 0.05), "1 - mu = 1/2"),
        Criterion("cosine of the linear part with w*", at_least(0.99), "1 - o(1)"),
    ),
    cases=study(SEPARABLE, "adversarial", (5, 2), _TRAINED, recording=Recording(at=(1000,))),
    analyse=_l2_trained,
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

CLAIMS = (L1, L2, L2_TRAINED, L3, L4)
