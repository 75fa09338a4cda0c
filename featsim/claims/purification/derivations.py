"""Claims on closed forms: E1, E2 and E13."""

from __future__ import annotations

from collections.abc import Sequence

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.purification import closed_form, measures
from featsim.claims.purification.purifying import C
from featsim.claims.rules import at_most, covers_within
from featsim.claims.structured_data.study import seeds

DERIVATIVES = Measure(closed_form.derivative_errors)


def _e1(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {name: max(o.value[name] for o in outcomes) for name in outcomes[0].value}
    n = len(outcomes)
    return {
        "relative error of the weight gradient": statistics.exactly(found["weights"], n),
        "relative error of the input gradient": statistics.exactly(found["inputs"], n),
        "relative error of the slope": statistics.exactly(found["slope"], n),
        "error of the curvature over its largest value": statistics.exactly(found["curvature"], n),
        "largest deviation from Monte Carlo, in standard errors": statistics.exactly(found["monte_carlo"], n),
    }


E1 = Claim(
    id="purification/E1",
    statement="Values, slopes, curvatures and gradients are those of the smoothed net",
    mark="[derived]",
    scenario=C.name,
    criteria=(
        Criterion("relative error of the weight gradient", at_most(1e-6), "central differences"),
        Criterion("relative error of the input gradient", at_most(1e-6), "central differences"),
        Criterion("relative error of the slope", at_most(1e-6), "central differences"),
        Criterion("error of the curvature over its largest value", at_most(1e-6), "central differences"),
        Criterion("largest deviation from Monte Carlo, in standard errors", at_most(4.0), "E ReLU(v + rho)"),
    ),
    cases=lambda quick: [Case(C, None, seed, DERIVATIVES) for seed in seeds((3, 1), quick)],
    analyse=_e1,
)

_QUIET = C.with_settings({"noise_norm": 0.0, "n_fresh": 0, "n_samples": 40_000, "data.margin": 0.0})
_DIMS = (40, 80, 160, 320)
_SPARSITIES = (2.0, 4.0, 16.0, 32.0)
_BY_DIM = {dim: _QUIET.with_settings({"data.dim": dim, "sparsity": 3.0}) for dim in _DIMS}
_BY_SPARSITY = {k: _QUIET.with_settings({"data.dim": 320, "sparsity": k}) for k in _SPARSITIES}
RATIO, LEAK = Measure(measures.leak_ratio), Measure(measures.mean_leak)


def _e2_cases(quick: bool) -> list[Case]:
    chosen = [*_BY_DIM.values(), *_BY_SPARSITY.values()]
    return [
        Case(scenario, None, seed, measure)
        for scenario in chosen
        for measure in (RATIO, LEAK)
        for seed in seeds((2, 1), quick)
    ]


def _e2(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    ratios = [o.value for o in outcomes if o.case.measure == RATIO]
    dims, leaks = [], []
    for dim, scenario in _BY_DIM.items():
        for o in outcomes:
            if o.case.measure == LEAK and o.case.scenario == scenario:
                dims.append(float(dim))
                leaks.append(o.value)
    few, many = (
        [o.value for o in outcomes if o.case.measure == LEAK and o.case.scenario == _BY_SPARSITY[k]]
        for k in _SPARSITIES[-2:]
    )
    return {
        "largest |measured / closed form - 1|": statistics.exactly(
            max(abs(ratio - 1.0) for ratio in ratios), len(ratios)
        ),
        "slope of log leak on log d": statistics.log_slope(dims, leaks),
        "leak at k = 32 / leak at k = 16": statistics.mean([b / a for a, b in zip(few, many, strict=True)]),
    }


E2 = Claim(
    id="purification/E2",
    statement="The label leaks a part of order 1/d into every feature, whatever k: the seed of the mixture",
    mark="[derived]",
    scenario=C.name,
    criteria=(
        Criterion("largest |measured / closed form - 1|", at_most(0.05), "Bessel formula"),
        Criterion("slope of log leak on log d", covers_within(-1.0, 0.05), "-1"),
        Criterion("leak at k = 32 / leak at k = 16", covers_within(1.0, 0.05), "flat in large k"),
    ),
    cases=_e2_cases,
    analyse=_e2,
)

SYMMETRIC = Measure(closed_form.symmetric_run)
_SIZES = (1250, 5000, 20_000)
_SYMMETRIC = {n: C.with_settings({"n_samples": n, "n_fresh": 0, "data.margin": 0.0}) for n in _SIZES}


def _e13(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    largest = [o.value for o in outcomes if o.case.scenario == _SYMMETRIC[_SIZES[-1]]]
    counts = [float(o.case.scenario.n_samples) for o in outcomes]
    return {
        "largest relative deviation of c": statistics.exactly(max(v["pure"] for v in largest), len(largest)),
        "largest relative deviation of beta": statistics.exactly(
            max(v["dense"] for v in largest), len(largest)
        ),
        "slope of log distance from the manifold on log n": statistics.log_slope(
            counts, [o.value["off"] for o in outcomes]
        ),
    }


E13 = Claim(
    id="purification/E13",
    statement="From the symmetric manifold a net follows the two-variable recursion, clean and adversarial",
    mark="[derived]",
    scenario=C.name,
    criteria=(
        Criterion("largest relative deviation of c", at_most(0.01), "within 1 % for 60 + 20 steps"),
        Criterion("largest relative deviation of beta", at_most(0.01), "within 1 % for 60 + 20 steps"),
        Criterion("slope of log distance from the manifold on log n", covers_within(-0.5, 0.1), "-1/2"),
    ),
    cases=lambda quick: [
        Case(scenario, None, seed, SYMMETRIC)
        for scenario in _SYMMETRIC.values()
        for seed in seeds((2, 1), quick)
    ],
    analyse=_e13,
)

CLAIMS = (E1, E2, E13)
