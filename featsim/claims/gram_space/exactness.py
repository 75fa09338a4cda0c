"""Claims that Gram space is exact: number for number, in law, in the limit, and in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.attacks import fgm, pgd
from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.gram_space.measures import (
    factor_moments,
    fresh_laws,
    law_of_signal_noise,
    law_of_structured,
    limit_error,
    recursion_error,
    rotated_box,
    run_times,
    scenario_at,
    small_steps,
    subspace_error,
)
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most, between
from featsim.claims.structured_data.study import by_seed, seeds, study
from featsim.data import GramPatchSpec, GramSignalNoiseSpec, PatchDataSpec, SignalNoiseSpec
from featsim.models import PowerNetworkSpec, TwoLayerSpec
from featsim.scenarios import Scenario, Training, get_scenario
from featsim.scenarios.gram_space import A_LARGE, VECTORS, paper_exponents
from featsim.threats import Threat
from featsim.training import Schedule

FALSE_ALARMS = 1e-3
"""Probability that any of the two-sample tests of a claim rejects by chance."""

# ------------------------------------------------------------------------------ E1

_SUBSPACE = {name: Measure(subspace_error, (name,)) for name in ("standard", "adversarial", "input", "steps")}
_MORE = VECTORS.replace(
    trainings={
        **VECTORS.trainings,
        "input": Training(schedule=Schedule(n_steps=200), attack=fgm(Threat(radius=0.35, scope="input"))),
        "steps": Training(
            schedule=Schedule(n_steps=200), attack=pgd(Threat(radius=0.35), n_steps=5, keep="last")
        ),
    }
)
_E = get_scenario("cgro/E").with_settings({"schedule.n_steps": 1000, "data.n_fresh": 50})
_BOX = Measure(rotated_box)
_SMALL = VECTORS.with_settings({"data.dim": 100})


def _subspace_cases(quick: bool) -> list[Case]:
    dims = (200, 2000)
    cases = [
        Case(_MORE.with_settings({"data.dim": dim}), None, seed, measure)
        for dim in dims
        for measure in _SUBSPACE.values()
        for seed in seeds((3, 1), quick)
    ]
    cases += [Case(_E, None, seed, _SUBSPACE["adversarial"]) for seed in seeds((3, 1), quick)]
    return cases + [Case(_SMALL, None, seed, _BOX) for seed in seeds((3, 1), quick)]


def _subspace(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    box = by_seed(outcomes, _BOX)
    same = [o.value for o in outcomes if o.case.measure.key != _BOX.key]
    return {
        "largest difference of any record, relative": statistics.exactly(max(same), len(same)),
        "control: change of the loss of an l_inf run under rotation": statistics.exactly(min(box), len(box)),
    }


SUBSPACE = Claim(
    id="gram-space/E1",
    statement="Training in the span of features, patches and initial weights is the same run to rounding",
    mark="[derived]",
    scenario=VECTORS.name,
    criteria=(
        Criterion(
            "largest difference of any record, relative",
            at_most(1e-10, "rounding, amplified where gradients nearly vanish"),
            "0",
        ),
        Criterion(
            "control: change of the loss of an l_inf run under rotation",
            at_least(1e-6, "ten thousand times what is allowed above"),
            "not 0: the box depends on the axes, and the reduction refuses it",
        ),
    ),
    cases=_subspace_cases,
    analyse=_subspace,
)

# ------------------------------------------------------------------------------ E2

_LAW, _STRUCTURED_LAW = Measure(law_of_signal_noise, (400,)), Measure(law_of_structured, (40,))
_DIMS = (10, 50, 400)


def _signal_scenario(dim: int, sampled: bool) -> Scenario:
    spec: Any = GramSignalNoiseSpec(dim=dim, n_fresh=0) if sampled else SignalNoiseSpec(dim=dim, n_fresh=0)
    return A_LARGE.replace(data=spec, n_samples=8, model=PowerNetworkSpec(width=6))


def _structured_scenario(dim: int, sampled: bool) -> Scenario:
    shared: dict[str, Any] = {"n_classes": 3, "n_nonrobust_patches": 8, "dim": dim}
    spec: Any = (
        GramPatchSpec(**shared, noise_norm=0.05 * dim**0.5)
        if sampled
        else PatchDataSpec(**shared, noise_std=0.05)
    )
    return VECTORS.replace(data=spec, model=TwoLayerSpec(width=4, init_std=0.05))


def _law_cases(quick: bool) -> list[Case]:
    size = 100 if quick else 300
    pairs = [(_signal_scenario, dim, _LAW) for dim in _DIMS]
    pairs += [(_structured_scenario, dim, _STRUCTURED_LAW) for dim in (50, 400)]
    return [
        Case(make(dim, sampled), None, seed + 10000 * sampled, measure)
        for make, dim, measure in pairs
        for sampled in (False, True)
        for seed in range(size)
    ]


def _p_values(direct: list[Any], sampled: list[Any]) -> list[float]:
    from scipy import stats

    return [
        float(stats.ks_2samp([f[name] for f in direct], [f[name] for f in sampled]).pvalue)
        for name in direct[0]
    ]


def _law(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    p: list[float] = []
    for make, dims, measure in (
        (_signal_scenario, _DIMS, _LAW),
        (_structured_scenario, (50, 400), _STRUCTURED_LAW),
    ):
        for dim in dims:
            direct, sampled = (by_seed(outcomes, measure, scenario=make(dim, s)) for s in (False, True))
            p += _p_values(direct, sampled)
    wrong = _p_values(
        by_seed(outcomes, _LAW, scenario=_signal_scenario(10, False)),
        by_seed(outcomes, _LAW, scenario=_signal_scenario(50, True)),
    )
    return {
        "smallest p-value times the number of tests": statistics.exactly(min(1.0, min(p) * len(p)), len(p)),
        "control: the same with d = 10 against d = 50": statistics.exactly(
            min(1.0, min(wrong) * len(wrong)), len(wrong)
        ),
    }


LAW = Claim(
    id="gram-space/E2",
    statement="Sampled coordinates and sampled vectors have one law, also with more vectors than dimensions",
    mark="[derived]",
    scenario=A_LARGE.name,
    criteria=(
        Criterion(
            "smallest p-value times the number of tests",
            at_least(FALSE_ALARMS, "Bonferroni: the rate of false alarms of all tests together"),
            "no rejection by any Kolmogorov-Smirnov test",
        ),
        Criterion(
            "control: the same with d = 10 against d = 50", at_most(FALSE_ALARMS), "rejected: another law"
        ),
    ),
    cases=_law_cases,
    analyse=_law,
)

_MOMENTS = {dim: Measure(factor_moments, (22, dim, 4000)) for dim in (9.0, 99.0)}


def _moment_cases(quick: bool) -> list[Case]:
    return [Case(A_LARGE, None, 0, measure) for measure in _MOMENTS.values()]


def _moments(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {dim: by_seed(outcomes, measure)[0] for dim, measure in _MOMENTS.items()}
    return {
        f"{words}, D = {dim:g}": statistics.exactly(found[dim][key], 4000)
        for dim in _MOMENTS
        for words, key in (("E G_ii / D", "mean"), ("Var G_ii / 2D", "variance"), ("E G_ij^2 / D", "square"))
    }


MOMENTS = Claim(
    id="gram-space/factor",
    statement="The lower trapezoidal factor has the moments of a Wishart matrix: 22 vectors in 9 and in 99 "
    "dimensions",
    mark="[derived]",
    scenario=A_LARGE.name,
    criteria=tuple(
        Criterion(f"{words}, D = {dim:g}", between(1.0 - slack, 1.0 + slack, "four standard errors"), "1")
        for dim in _MOMENTS
        # Standard errors of 4000 draws of 22 vectors: of means, of variances (kurtosis 12/D), of squares.
        for words, slack in (
            ("E G_ii / D", 4 * (2 / dim / 88000) ** 0.5),
            ("Var G_ii / 2D", 4 * ((2 + 12 / dim) / 88000) ** 0.5),
            ("E G_ij^2 / D", 4 * ((2 + 6 / dim) / 4000) ** 0.5),
        )
    ),
    cases=_moment_cases,
    analyse=_moments,
)

# ------------------------------------------------------------------------------ E3, E4, E5, flow

_FRESH = Measure(fresh_laws, (100_000,))
_AT_100 = paper_exponents(1e2)


def _fresh(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = by_seed(outcomes, _FRESH)
    return {
        "largest gap of robust accuracy, in standard errors": statistics.exactly(
            max(f["gap"] for f in found), len(found)
        ),
        "sd of V_new, ratio": statistics.mean([f["sd_ratio"] for f in found]),
    }


FRESH = Claim(
    id="gram-space/E3",
    statement="Gaussians of the filters' dimension give the accuracies of fresh samples",
    mark="[derived]",
    scenario=_AT_100.name,
    criteria=(
        Criterion("largest gap of robust accuracy, in standard errors", at_most(4.0), "within its error"),
        Criterion("sd of V_new, ratio", between(0.97, 1.03, "heavy tails: cubes of Gaussians"), "1"),
    ),
    cases=study(_AT_100, None, (8, 3), _FRESH),
    analyse=_fresh,
)

_RECURSION = {name: Measure(recursion_error, (name,)) for name in ("standard", "adversarial")}


def _gram_scenario(dim: float, start_norm: float, n_steps: int, step_size: float) -> Scenario:
    return VECTORS.replace(
        data=GramPatchSpec(n_classes=3, n_nonrobust_patches=12, dim=dim, noise_norm=0.1),
        model=TwoLayerSpec(width=4, init_std=start_norm / dim**0.5),
    ).with_settings({"schedule.n_steps": n_steps, "schedule.step_size": step_size})


# Steps until B has moved, at a step that fits the dimension: at a fixed one nothing moves at huge d.
_RECURSIONS = (_gram_scenario(1e3, 0.1, 60, 10.0), _gram_scenario(1e6, 0.1, 200, 30.0))


def _recursion_cases(quick: bool) -> list[Case]:
    return [
        Case(scenario, None, seed, measure)
        for scenario in _RECURSIONS
        for measure in _RECURSION.values()
        for seed in seeds((3, 1), quick)
    ]


def _recursion(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]
    return {"largest deviation from training, relative": statistics.exactly(max(values), len(values))}


RECURSION = Claim(
    id="gram-space/E4",
    statement="A recursion in inner products alone is the training of the structured data, noise included",
    mark="[derived]",
    scenario="gram-space/S1-1e6",
    criteria=(
        Criterion(
            "largest deviation from training, relative",
            at_most(1e-9, "rounding, amplified at the edges of the activation"),
            "0",
        ),
    ),
    cases=_recursion_cases,
    analyse=_recursion,
)

_LIMIT = Measure(limit_error, (4000, 0.02))
_LIMIT_DIMS = (1e2, 1e3, 1e4, 1e6, 1e8)
_LIMITS = tuple(scenario_at(A_LARGE, dim).with_settings({"data.n_fresh": 0}) for dim in _LIMIT_DIMS)


def _limit_cases(quick: bool) -> list[Case]:
    return [Case(scenario, None, seed, _LIMIT) for scenario in _LIMITS for seed in seeds((8, 4), quick)]


def _limit(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    errors = [by_seed(outcomes, _LIMIT, scenario=scenario) for scenario in _LIMITS]
    # d = 100 lies before the asymptotic range.
    slope = statistics.log_slope(
        np.repeat(_LIMIT_DIMS[1:], [len(e) for e in errors[1:]]), np.concatenate(errors[1:])
    )
    return {"slope of the error in d": slope, "error at d = 1e8": statistics.mean(errors[-1])}


LIMIT = Claim(
    id="gram-space/E5",
    statement="Orthogonal noise is the limit of infinite dimension, approached as d^(-1/2)",
    mark="[derived]",
    scenario="gram-space/A-limit",
    criteria=(
        Criterion("slope of the error in d", between(-0.55, -0.45), "-1/2"),
        Criterion("error at d = 1e8", at_most(0.002), "0.0004 measured"),
    ),
    cases=_limit_cases,
    analyse=_limit,
)

_STEPS = (0.1, 0.05, 0.025)
_ORDER = {dim: Measure(small_steps, (_STEPS, end)) for dim, end in ((1e2, 20.0), (1e3, 20.0))}


def _order_cases(quick: bool) -> list[Case]:
    return [Case(paper_exponents(dim), None, seed, m) for dim, m in _ORDER.items() for seed in (0, 1)]


def _order(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    ratios = [b / a for outcome in outcomes for a, b in zip(outcome.value, outcome.value[1:], strict=False)]
    return {"error of S after halving the step, ratio": statistics.mean(ratios)}


ORDER = Claim(
    id="gram-space/flow",
    statement="Descent approaches the flow in log time in the first order of the step",
    mark="[derived]",
    scenario=_AT_100.name,
    criteria=(Criterion("error of S after halving the step, ratio", between(0.4, 0.6), "1/2"),),
    cases=_order_cases,
    analyse=_order,
)

_TIMES = Measure(run_times, (2000, 5))
_TIMED = {dim: scenario_at(A_LARGE, dim).with_settings({"data.n_fresh": 0}) for dim in (1e3, 1e8)}


def _time_cases(quick: bool) -> list[Case]:
    return [Case(scenario, None, 0, _TIMES) for scenario in _TIMED.values()]


def _times(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    low, high = (by_seed(outcomes, _TIMES, scenario=scenario)[0] for scenario in _TIMED.values())
    return {
        "time of 2000 steps, d = 1e8 over d = 1e3": statistics.exactly(high["train"] / low["train"], 1),
        "time of drawing a problem, ratio": statistics.exactly(high["draw"] / low["draw"], 1),
    }


TIMES = Claim(
    id="gram-space/time",
    statement="A run costs the same at every dimension",
    mark="[measured]",
    scenario=A_LARGE.name,
    criteria=(
        Criterion("time of 2000 steps, d = 1e8 over d = 1e3", at_most(1.5), "1"),
        Criterion("time of drawing a problem, ratio", at_most(1.5), "1"),
    ),
    cases=_time_cases,
    analyse=_times,
)

CLAIMS = (SUBSPACE, LAW, MOMENTS, FRESH, RECURSION, LIMIT, ORDER, TIMES)
