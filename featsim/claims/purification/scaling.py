"""Claims on closed forms and trends: E1, E2, E13, E15, and the population at large dimension."""

from __future__ import annotations

from collections.abc import Sequence

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.purification import closed_form, measures
from featsim.claims.purification.measures import ENDS
from featsim.claims.purification.purifying import C
from featsim.claims.rules import at_least, at_most, between, covers_within
from featsim.claims.statistics import Estimate
from featsim.claims.structured_data.study import seeds
from featsim.scenarios import get_scenario

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

_SWEEP = {dim: get_scenario(f"purification/d-{dim}") for dim in (50, 100, 200, 400)}
_HALF = Measure(measures.half_radius)


def _e15_cases(quick: bool) -> list[Case]:
    chosen = [s for dim, s in _SWEEP.items() if not (quick and dim == 200)]
    return [
        Case(scenario, training, seed, _HALF, ENDS)
        for scenario in chosen
        for training in ("standard", "adversarial")
        for seed in range(1 if quick or scenario.data.dim == 400 else 2)  # type: ignore[attr-defined]
    ]


def _e15(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, training, key in (
        ("linear rule", "standard", "linear"),
        ("clean net", "standard", "network"),
        ("adversarial net", "adversarial", "network"),
    ):
        chosen = [o for o in outcomes if o.case.training == training]
        dims = [float(o.case.scenario.data.dim) for o in chosen]  # type: ignore[attr-defined]
        found[f"slope in d, {name}"] = statistics.log_slope(dims, [o.value[key] for o in chosen])
    return found


E15 = Claim(
    id="purification/E15",
    statement="The radius that halves accuracy falls like 1/sqrt d for linear and clean net, not after AT",
    mark="[derived]",
    scenario="purification/d-50",
    criteria=(
        Criterion("slope in d, linear rule", covers_within(-0.5, 0.05), "-1/2"),
        Criterion("slope in d, clean net", covers_within(-0.5, 0.1), "-1/2"),
        Criterion("slope in d, adversarial net", covers_within(0.0, 0.08), "0"),
    ),
    cases=_e15_cases,
    analyse=_e15,
)

_POPULATION_DIMS = (200, 400, 800, 1600, 6400, 25600)
_POINTS = {dim: Measure(closed_form.scaling_point, (dim, 0.17)) for dim in _POPULATION_DIMS}
_FATAL = (
    ("leak", "leak A(0)", -0.71, "-3/4"),
    ("dense_to_pure", "beta/c", -0.76, "-3/4"),
    ("mixture_ratio", "mu", -0.26, "-1/4"),
    ("dense_share", "dense share Q", -0.49, "-1/2"),
)


def _fatal(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    dims = [float(o.case.measure.arguments[0]) for o in outcomes]
    return {
        f"slope in d, {name}": statistics.log_slope(dims, [o.value[key] for o in outcomes])
        for key, name, _, _ in _FATAL
    }


SCALING = Claim(
    id="purification/fatal-mixture",
    statement="The mixture that is just fatal at a fixed radius gets small with d: small and fatal at once",
    mark="[derived]",
    scenario="purification/headline",
    criteria=tuple(
        Criterion(f"slope in d, {name}", covers_within(slope, 0.05, "about the reference's table"), theory)
        for _, name, slope, theory in _FATAL
    ),
    cases=lambda quick: [Case(_SWEEP[50], None, 0, measure) for measure in _POINTS.values()],
    analyse=_fatal,
)

_RATES = {rate: Measure(closed_form.large_purification, (25600, 0.36, rate)) for rate in (0.02, 0.001)}


def _rates(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {o.case.measure.arguments[2]: o.value for o in outcomes}
    return {
        "beta/c with e = 0.001": statistics.exactly(found[0.001]["dense_to_pure"], 1),
        "half-accuracy radius with e = 0.001": statistics.exactly(found[0.001]["half_radius"], 1),
        "half-accuracy radius with e = 0.02": statistics.exactly(found[0.02]["half_radius"], 1),
    }


LARGE = Claim(
    id="purification/large-d",
    statement="At d = 25600 and r = 0.36 adversarial training restores the pure net with a small enough step",
    mark="[measured]",
    scenario="purification/headline",
    criteria=(
        Criterion("beta/c with e = 0.001", at_most(0.007), "0, step size e d"),
        Criterion("half-accuracy radius with e = 0.001", at_least(0.43), "that of a pure net"),
        Criterion("half-accuracy radius with e = 0.02", between(0.0, 0.02), "collapses: too large a step"),
    ),
    cases=lambda quick: [Case(_SWEEP[50], None, 0, measure) for measure in _RATES.values()],
    analyse=_rates,
)

CLAIMS = (E1, E2, E13, E15, SCALING, LARGE)
