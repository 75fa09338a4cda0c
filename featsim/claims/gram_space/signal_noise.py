"""Claims at the paper's exponents of Li & Li 2023, from d = 1e2 to 1e8."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.gram_space.measures import stages
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most, between
from featsim.claims.structured_data.study import by_seed, seeds
from featsim.scenarios.gram_space import PAPER_DIMS, paper_exponents

_STAGES, _FLAT = Measure(stages, (True, 1_000_000)), Measure(stages, (False, 1_000_000))
_SCENARIOS = {dim: paper_exponents(dim) for dim in PAPER_DIMS}
_FLAT_SCENARIOS = {dim: paper_exponents(dim, polylog=False) for dim in PAPER_DIMS}
_N_SEEDS = (10, 4)
_LARGEST = _SCENARIOS[1e8]


def _cases(quick: bool) -> list[Case]:
    return [Case(s, None, seed, _STAGES) for s in _SCENARIOS.values() for seed in seeds(_N_SEEDS, quick)]


def _flat_cases(quick: bool) -> list[Case]:
    dims = (1e2, 1e4, 1e6, 1e8)
    return _cases(quick) + [
        Case(_FLAT_SCENARIOS[dim], None, seed, _FLAT) for dim in dims for seed in seeds((5, 4), quick)
    ]


def _found(outcomes: Sequence[Outcome]) -> dict[float, list[Any]]:
    return {dim: by_seed(outcomes, _STAGES, scenario=scenario) for dim, scenario in _SCENARIOS.items()}


def _ratio(found: list[Any], stage: str) -> float:
    """Measured over predicted stage time, means over seeds."""
    measured, predicted = (
        np.mean([f[f"{prefix}{stage}_time"] for f in found]) for prefix in ("", "predicted_")
    )
    return float(measured / predicted)


def _stage_times(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = _found(outcomes)
    n = len(found[1e8])
    late = [_ratio(found[dim], "memorisation") for dim in PAPER_DIMS[2:]]
    early = [_ratio(found[dim], "signal") for dim in PAPER_DIMS]
    last = PAPER_DIMS[-4:]
    x = np.repeat(last, n)
    times = {
        stage: np.concatenate([[f[f"{stage}_time"] for f in found[dim]] for dim in last])
        for stage in ("signal", "memorisation")
    }
    return {
        "s_I / T_I at d = 1e8": statistics.exactly(early[-1], n),
        "s_I / T_I, last three decades minus first": statistics.exactly(early[-1] - early[2], n),
        "s_III / T_III, largest distance from 1 over d = 1e4 .. 1e8": statistics.exactly(
            max(abs(value - 1.0) for value in late), n
        ),
        "exponent of s_III in d": statistics.log_slope(x, times["memorisation"]),
        "exponent of s_I / s_III in d": statistics.log_slope(x, times["signal"] / times["memorisation"]),
    }


STAGE_TIMES = Claim(
    id="gram-space/stages",
    statement="At the paper's exponents both stage times meet their laws as d grows, and the stages part",
    mark="[derived]",
    scenario=_LARGEST.name,
    criteria=(
        Criterion("s_I / T_I at d = 1e8", between(0.85, 1.1), "1 as d grows; .98 measured"),
        Criterion("s_I / T_I, last three decades minus first", at_least(0.1), "rises towards 1"),
        Criterion("s_III / T_III, largest distance from 1 over d = 1e4 .. 1e8", at_most(0.1), "1 as d grows"),
        Criterion("exponent of s_III in d", between(0.47, 0.53), "d^.527 / sqrt(log d): .495 over the range"),
        Criterion("exponent of s_I / s_III in d", between(-0.85, -0.65), "-.75"),
    ),
    cases=_cases,
    analyse=_stage_times,
)


def _partial(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = _found(outcomes)
    ratios = [f["score"] / f["predicted_score"] for dim in PAPER_DIMS[2:] for f in found[dim]]
    sums = np.concatenate([[f["signal_sum"] for f in found[dim]] for dim in PAPER_DIMS])
    x = np.repeat([dim**0.249 for dim in PAPER_DIMS], len(found[1e8]))
    large = [f for dim in PAPER_DIMS[1:] for f in found[dim]]
    return {
        "S at s_III over its logarithmic law, d = 1e4 .. 1e8": statistics.mean(ratios),
        "exponent of U in alpha": statistics.log_slope(x, sums),
        "growth of max u from 2 s_I to s_III, d >= 1e3": statistics.mean([f["growth"] for f in large]),
        "mean V at 2 s_I, largest for d >= 1e4": statistics.exactly(
            max(abs(f["stall_memorisation"]) for dim in PAPER_DIMS[2:] for f in found[dim]),
            len(found[1e8]),
        ),
        "attacked loss / log 2 at sqrt(s_I s_III), d = 1e8": statistics.mean(
            [f["stall_loss"] for f in found[1e8]]
        ),
    }


PARTIAL = Claim(
    id="gram-space/plateau",
    statement="The signal is learned partly, S like log d, and stalls until noise is memorised",
    mark="[source]",
    scenario=_LARGEST.name,
    criteria=(
        Criterion(
            "S at s_III over its logarithmic law, d = 1e4 .. 1e8",
            between(0.97, 1.01),
            "S = log(q^2 (1-lambda) alpha^2 s) + (2-2/q) log S",
        ),
        Criterion("exponent of U in alpha", between(-3.0, -2.5), "-3 up to logarithms"),
        Criterion("growth of max u from 2 s_I to s_III, d >= 1e3", at_most(2.5), "logarithmic"),
        Criterion("mean V at 2 s_I, largest for d >= 1e4", at_most(1e-2), "o(1)"),
        Criterion("attacked loss / log 2 at sqrt(s_I s_III), d = 1e8", between(0.98, 1.02), "1"),
    ),
    cases=_cases,
    analyse=_partial,
)


def _theorem(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    every = [f for values in _found(outcomes).values() for f in values]
    flat = {dim: by_seed(outcomes, _FLAT, scenario=s) for dim, s in _FLAT_SCENARIOS.items()}
    excess = {dim: np.mean([f["excess"] for f in values]) for dim, values in _found(outcomes).items()}
    return {
        "clean accuracy on fresh samples, least of all runs": statistics.exactly(
            min(f["clean"] for f in every), len(every)
        ),
        "robust training accuracy, least of all runs": statistics.exactly(
            min(f["train_robust"] for f in every), len(every)
        ),
        "share of samples with V_i >= 1, least of all runs": statistics.exactly(
            min(f["memorised_share"] for f in every), len(every)
        ),
        "robust accuracy on fresh samples - 1/2, L = log d, d >= 1e4": statistics.exactly(
            float(max(excess[dim] for dim in PAPER_DIMS[2:])), len(every)
        ),
        "the same, largest ratio of a decade to the one before": statistics.exactly(
            float(max(excess[b] / excess[a] for a, b in itertools.pairwise(PAPER_DIMS))),
            len(every),
        ),
        "the same at d = 1e2": statistics.mean([f["excess"] for f in _found(outcomes)[1e2]]),
        "its standard error over 1e6 fresh samples, largest relative one": statistics.exactly(
            max(f["excess_error"] / f["excess"] for f in every), len(every)
        ),
        "the same with L = 1 at d = 1e8": statistics.mean([f["excess"] for f in flat[1e8]]),
        "the same with L = 1, d = 1e6 over d = 1e8": statistics.ratio_of_means(
            [f["excess"] for f in flat[1e6]], [f["excess"] for f in flat[1e8]]
        ),
    }


THEOREM = Claim(
    id="gram-space/theorem",
    statement="Clean generalisation with robust overfitting at d = 1e2 .. 1e8; the polylog in the radius is "
    "what makes the robust error one half",
    mark="[source]",
    scenario=_LARGEST.name,
    criteria=(
        Criterion("clean accuracy on fresh samples, least of all runs", at_least(0.999), "1 - o(1)"),
        Criterion("robust training accuracy, least of all runs", at_least(0.999), "1 - o(1)"),
        Criterion("share of samples with V_i >= 1, least of all runs", at_least(0.999), "1"),
        Criterion(
            "robust accuracy on fresh samples - 1/2, L = log d, d >= 1e4", at_most(4e-5), "falls with d"
        ),
        Criterion(
            "the same, largest ratio of a decade to the one before", at_most(0.9), "about S/L^3: falls always"
        ),
        Criterion("the same at d = 1e2", between(2e-5, 4e-4), "8e-5 measured"),
        Criterion(
            "its standard error over 1e6 fresh samples, largest relative one",
            at_most(0.02),
            "three samples in a hundred have |V| below 3 % of its sd",
        ),
        Criterion("the same with L = 1 at d = 1e8", between(0.005, 0.007), "a floor: .0060 measured"),
        Criterion("the same with L = 1, d = 1e6 over d = 1e8", between(1.0, 1.15), "1.05: no further fall"),
    ),
    cases=_flat_cases,
    analyse=_theorem,
)

_GROWN = {
    dim: paper_exponents(dim, n_samples=math.ceil(4.3 * math.log(dim)), width=math.ceil(2.2 * math.log(dim)))
    for dim in (1e2, 1e4, 1e6, 1e8)
}


def _grown_cases(quick: bool) -> list[Case]:
    return [Case(s, None, seed, _STAGES) for s in _GROWN.values() for seed in seeds((5, 2), quick)]


def _grown(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {dim: by_seed(outcomes, _STAGES, scenario=scenario) for dim, scenario in _GROWN.items()}
    every = [f for values in found.values() for f in values]
    late = [abs(_ratio(found[dim], "memorisation") - 1.0) for dim in (1e4, 1e6, 1e8)]
    return {
        "share of samples with V_i >= 1": statistics.accuracy([f["memorised_share"] for f in every]),
        "largest robust accuracy on fresh samples - 1/2": statistics.exactly(
            max(f["excess"] for f in every), len(every)
        ),
        "s_III / T_III, largest distance from 1 from d = 1e4 on": statistics.exactly(max(late), len(every)),
        "s_I / T_I at d = 1e8": statistics.exactly(_ratio(found[1e8], "signal"), len(found[1e8])),
    }


GROWN = Claim(
    id="gram-space/growing",
    statement="With samples and width growing like log d the picture is the same",
    mark="[choice]",
    scenario=_LARGEST.name,
    criteria=(
        Criterion("share of samples with V_i >= 1", at_least(0.99), "1"),
        Criterion("largest robust accuracy on fresh samples - 1/2", at_most(1e-3), "o(1)"),
        Criterion("s_III / T_III, largest distance from 1 from d = 1e4 on", at_most(0.1), "1"),
        Criterion("s_I / T_I at d = 1e8", between(0.85, 1.1), "1; .97 measured"),
    ),
    cases=_grown_cases,
    analyse=_grown,
)

CLAIMS = (STAGE_TIMES, PARTIAL, THEOREM, GROWN)
