"""Claims on the hard instance, and on where the memorising network is no example: C3 to C5."""

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
from featsim.claims.rules import at_least, at_most, covers_within
from featsim.claims.structured_data.study import by_seed, seeds, study
from featsim.scenarios import Scenario, get_scenario
from featsim.threats import Threat

A, CUBE = get_scenario("cgro/A"), get_scenario("cgro/cube")

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
        "n_train": run.data.n_samples,
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
        # On all vertices, the whole population: no binomial error.
        "clean accuracy": statistics.accuracy([v["clean"] for v in values]),
        "robust training accuracy": accuracy_over(values, "train_robust"),
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


def signal_rule(run: Run, ratios: tuple[float, ...]) -> dict[str, Any]:
    """Return the accuracy of the clean rule <w*, X[1]> on the line at radii in units of alpha (C5)."""
    data: Any = run.data.fresh
    score = data.X[:, 0] @ data.signal
    alpha = data.signal_strength
    shares = [float(np.mean(data.signs * score - ratio * alpha > 0.0)) for ratio in ratios]
    return {"shares": shares, "n_fresh": data.n_samples}


_FIRST = A.with_settings({"data.position": "first"})
_RULE = Measure(signal_rule, ((0.95, 1.02),))


def _c5(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = by_seed(outcomes, _RULE)
    names = ("robust accuracy of <w*, X[1]> at 0.95 alpha", "the same at 1.02 alpha")
    sizes = [v["n_fresh"] for v in values]
    return {
        name: statistics.accuracy([v["shares"][i] for v in values], sizes) for i, name in enumerate(names)
    }


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
    analyse=_c5,
    control=True,
)

CLAIMS = (C3, C4, C5)
