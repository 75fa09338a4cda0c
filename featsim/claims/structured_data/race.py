"""Claims on the race of standard training: T3 (who wins) and T4 (how long it takes)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import Rule, at_least, at_most, covers_within, interval_covers
from featsim.claims.structured_data.race_measures import (
    hit_times,
    nonrobust_racer,
    winners,
)
from featsim.claims.structured_data.study import ENDS, split, sweep
from featsim.scenarios import get_scenario
from featsim.theory import tie_patch_count

# ------------------------------------------------------------------------------------------ T3: race

RACE = get_scenario("structured-data/race")
_COUNTS = (4, 8, 12, 16, 20, 24, 32, 48, 64)
_TIE = tie_patch_count(
    RACE.data.n_robust_patches,  # type: ignore[attr-defined]
    RACE.data.robust_strength,  # type: ignore[attr-defined]
    RACE.data.nonrobust_strength,  # type: ignore[attr-defined]
    RACE.model.power,  # type: ignore[attr-defined]
)
_NOTE_CROSSING, _NOTE_TRIALS = 13.0, 10 * 4 * len(_COUNTS)


def _as_crossing(value: float, trials: int) -> Rule:
    """Agree with an earlier crossing from a logistic fit to `trials`, on the logarithm."""

    def holds(estimate: Estimate) -> bool:
        error = math.log(estimate.high / estimate.low) / (2 * 1.96)
        both = error * math.sqrt(1.0 + estimate.n / trials)
        return abs(math.log(estimate.value / value)) <= 3.0 * both

    return Rule(f"reference's {value:g} from {trials} races, to 3 standard errors of the difference", holds)


def _crossing(counts: Sequence[int], groups: Sequence[Sequence[dict[str, int]]]) -> Estimate:
    hits = [sum(run["won"] for run in group) for group in groups]
    trials = [sum(run["classes"] for run in group) for group in groups]
    found = statistics.logistic_crossing(np.log(counts), hits, trials)
    if not found.n:
        return found
    return Estimate(math.exp(found.value), math.exp(found.low), math.exp(found.high), found.n)


def _t3(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    groups = split(outcomes, len(_COUNTS))
    shares = [
        statistics.proportion(sum(run["won"] for run in group), sum(run["classes"] for run in group))
        for group in groups
    ]
    told = sum(run["told"] for group in groups for run in group)
    return {
        f"share of classes won by v at P_NR = {_COUNTS[0]}": shares[0],
        f"share of classes won by v at P_NR = {_COUNTS[-1]}": shares[-1],
        "P_NR at which v wins half of the classes": _crossing(_COUNTS, groups),
        "share of classes whose winner the race rule foretells": statistics.proportion(
            told, sum(s.n for s in shares)
        ),
    }


T3 = Claim(
    id="structured-data/T3",
    statement="Standard training is a race: the feature of the larger P strength^q init^(q-2) wins the class",
    mark="[derived]",
    scenario=RACE.name,
    criteria=(
        Criterion(
            f"share of classes won by v at P_NR = {_COUNTS[0]}",
            at_most(0.1, "T3 of the documentation"),
            "few",
        ),
        Criterion(
            f"share of classes won by v at P_NR = {_COUNTS[-1]}",
            at_least(0.9, "T3 of the documentation"),
            "nearly all",
        ),
        Criterion(
            "P_NR at which v wins half of the classes",
            _as_crossing(_NOTE_CROSSING, _NOTE_TRIALS),
            f"P_NR beta^q = P_R alpha^q at {_TIE:.1f}; less at finite sigma_0, as u has a linear region "
            "of slope g alpha to cross after its blow-up, in which v can still catch up",
        ),
        Criterion(
            "share of classes whose winner the race rule foretells",
            at_least(0.8, "[choice]: well above the 1/2 of a coin"),
            "all in the limit of small sigma_0",
        ),
    ),
    cases=sweep(RACE, "standard", "n_nonrobust_patches", _COUNTS, (60, 12), Measure(winners), ENDS),
    analyse=_t3,
)

_SMALL_COUNTS = (8, 12, 16, 20, 28)
_SMALL_START = RACE.with_settings({"init_std": 0.002, "n_steps": 4000})


def _t3_limit(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    groups = split(outcomes, len(_SMALL_COUNTS))
    told = sum(run["told"] for group in groups for run in group)
    races = sum(run["classes"] for group in groups for run in group)
    return {
        "P_NR at which v wins half of the classes, sigma_0 = 0.002": _crossing(_SMALL_COUNTS, groups),
        "share of classes whose winner the race rule foretells": statistics.proportion(told, races),
    }


T3_LIMIT = Claim(
    id="structured-data/T3-small-start",
    statement="From a ten times smaller start the race is decided where S_NR = S_R",
    mark="[derived]",
    scenario=RACE.name,
    criteria=(
        Criterion(
            "P_NR at which v wins half of the classes, sigma_0 = 0.002",
            interval_covers(_TIE),
            f"tends to P_R (alpha/beta)^q = {_TIE:.1f} as blow-up times grow like 1/sigma_0",
        ),
        Criterion(
            "share of classes whose winner the race rule foretells",
            at_least(0.9, "[choice]: above the limit at the standard start"),
            "1",
        ),
    ),
    cases=sweep(
        _SMALL_START, "standard", "n_nonrobust_patches", _SMALL_COUNTS, (40, 8), Measure(winners), ENDS
    ),
    analyse=_t3_limit,
    found=Verdict.PARTLY,
    explanation=(
        "The crossing is nearer to the tie than from the standard start but still below it. After its "
        "blow-up u has a linear region to cross in which v can still catch up; that this offset fades with "
        "still smaller starts is our guess, not tested."
    ),
)

# ------------------------------------------------------------------------------------------ T4: time

_STARTS = (0.01, 0.02, 0.04, 0.08)
_LEVEL = 0.3
_TIMES = tuple(get_scenario(f"structured-data/time-q{q}") for q in (3, 4))


def _t4_cases(quick: bool) -> list[Case]:
    return [
        case
        for base in _TIMES
        for case in sweep(base, "standard", "init_std", _STARTS, (8, 3), Measure(hit_times, (_LEVEL,)))(quick)
    ]


def _t4(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for base, runs in zip(_TIMES, split(outcomes, len(_TIMES)), strict=True):
        q = base.model.power  # type: ignore[attr-defined]
        start, steps, predicted = (
            np.array([x for run in runs for x in run[name]]) for name in ("start", "steps", "predicted")
        )
        left = float(nonrobust_racer(base).blow_up_time(_LEVEL))
        found[f"exponent at q = {q:g}"] = statistics.log_slope(start, steps + left)
        found[f"measured / predicted time at q = {q:g}, per class"] = statistics.median(steps / predicted)
    return found


T4 = Claim(
    id="structured-data/T4",
    statement="The race takes a time that grows as the start to the power -(q-2)",
    mark="[derived]",
    scenario=_TIMES[0].name,
    criteria=tuple(
        criterion
        for q in (3, 4)
        for criterion in (
            Criterion(
                f"exponent at q = {q}",
                interval_covers(-(q - 2)),
                f"-(q-2) = {-(q - 2)}, of hit time + rho^(q-1) B1^(2-q)/((q-2) g S_NR) in B0, per class",
            ),
            Criterion(
                f"measured / predicted time at q = {q}, per class",
                covers_within(
                    1.0, 0.05, "[choice]: steps are discrete, the reference's times exceed it by 3 to 7 steps"
                ),
                "rho^(q-1)/((q-2) g S_NR) (B0^(2-q) - B1^(2-q))",
            ),
        )
    ),
    cases=_t4_cases,
    analyse=_t4,
    found=Verdict.PARTLY,
    explanation=(
        "The law is that of continuous time, and the offset of the slope is one of discrete steps: with "
        "step_size halved twice (three seeds per point) it falls from 0.005 over 0.004 to 0.003 at q = 3, "
        "and from 0.014 over 0.008 to 0.004 at q = 4; what is left at q = 3 may be the error probability, "
        "held constant in the law. The runs are nearly deterministic given the start, so that the interval "
        "is narrower than the offset. Classes that by the race rule u wins are left out before the run."
    ),
)

CLAIMS = (T3, T3_LIMIT, T4)
