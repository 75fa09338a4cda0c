"""Claims on what the two trainings learn in S1: T1, T2, T7, T8 and their controls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featsim.attacks import FeatureAttack
from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most, between
from featsim.claims.structured_data.measures import attacked, learned, order_of_events, reduction_error
from featsim.claims.structured_data.study import by_seed, seeds, study
from featsim.scenarios import get_scenario
from featsim.theory import saturation_level
from featsim.training import Recording

S1 = get_scenario("structured-data/S1")
_THREAT = S1.trainings["adversarial"].attack.threat  # type: ignore[union-attr]
_FEATURE = Measure(attacked, (FeatureAttack(radius=_THREAT.radius),))
_LEARNED = Measure(learned)
_N_SEEDS = (40, 10)


def _t1(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    final = by_seed(outcomes, _LEARNED)
    swap = by_seed(outcomes, _FEATURE)
    return {
        "clean accuracy": statistics.accuracy([f["clean"] for f in final], [f["n"] for f in final]),
        "non-robust share": statistics.accuracy([f["share"] for f in final]),
        "A-feat accuracy": statistics.accuracy([f["accuracy"] for f in swap], [f["n"] for f in swap]),
        "accuracy on non-robust patches alone": statistics.accuracy(
            [f["nonrobust_only"] for f in final], [f["n"] for f in final]
        ),
    }


T1 = Claim(
    id="structured-data/T1",
    statement="Standard training learns the dense non-robust features and falls to the feature swap",
    mark="[source]",
    scenario=S1.name,
    criteria=(
        Criterion("clean accuracy", at_least(0.99), "1"),
        Criterion("non-robust share", at_least(0.9), "about 1, Psi >> Phi"),
        Criterion("A-feat accuracy", at_most(0.10), "0 for eps > beta/sqrt2"),
        Criterion(
            "accuracy on non-robust patches alone", at_least(0.99, "[choice]: as for clean accuracy"), "1"
        ),
    ),
    cases=study(S1, "standard", _N_SEEDS, _LEARNED, _FEATURE),
    analyse=_t1,
)


def _t2(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    final = by_seed(outcomes, _LEARNED)
    swap = by_seed(outcomes, _FEATURE)
    return {
        "clean accuracy": statistics.accuracy([f["clean"] for f in final], [f["n"] for f in final]),
        "A+/B+": statistics.mean([f["A"] / f["B"] for f in final]),
        "A-feat accuracy": statistics.accuracy([f["accuracy"] for f in swap], [f["n"] for f in swap]),
    }


T2 = Claim(
    id="structured-data/T2",
    statement="Adversarial training from the same start learns robust features and suppresses the others",
    mark="[source]",
    scenario=S1.name,
    criteria=(
        Criterion("clean accuracy", at_least(0.99), "1"),
        Criterion("A+/B+", at_least(5.0), "A+ of order log(1/loss)/alpha, B+ near B*"),
        Criterion("A-feat accuracy", at_least(0.9), "1"),
    ),
    cases=study(S1, "adversarial", _N_SEEDS, _LEARNED, _FEATURE),
    analyse=_t2,
)


def _t7_cases(quick: bool) -> list[Case]:
    return [
        *study(S1, "adversarial", _N_SEEDS, Measure(order_of_events))(quick),
        *study(S1, "standard", _N_SEEDS, _LEARNED)(quick),
    ]


def _t7(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    events = by_seed(outcomes, Measure(order_of_events))
    standard = [f["fit_step"] for f in by_seed(outcomes, _LEARNED)]
    fitted = [e["fit_step"] for e in events]
    ratio = [a / s for a, s in zip(fitted, standard, strict=True)]  # inf for a run that never fits
    return {
        "step at which B+ is within 20 % of its plateau": statistics.mean([e["reached"] for e in events]),
        "plateau of B+": statistics.mean([e["plateau"] for e in events]),
        "loss / log k at that step": statistics.mean([e["loss_then"] for e in events]),
        "median step of loss < 0.1": statistics.median(fitted),
        "that step / standard training's, paired": statistics.median(ratio),
    }


_B_STAR = saturation_level(
    S1.trainings["adversarial"].attack.step_size,  # type: ignore[union-attr]
    nonrobust_strength=S1.data.nonrobust_strength,  # type: ignore[attr-defined]
    power=S1.model.power,  # type: ignore[attr-defined]
    smoothing=S1.model.smoothing,  # type: ignore[attr-defined]
)

T7 = Claim(
    id="structured-data/T7",
    statement="Adversarial training stops B within tens of steps; only much later does A drop the loss",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        Criterion(
            "step at which B+ is within 20 % of its plateau",
            between(36, 73, "the reference's range over ten seeds"),
            "tens of steps",
        ),
        Criterion(
            "plateau of B+",
            between(0.050, 0.070, "the reference's range over ten seeds"),
            f"10-30 % below B* = (rho^(q-1)/(eta_in beta^(q-2)))^(1/q) = {_B_STAR:.3f}",
        ),
        Criterion("loss / log k at that step", at_least(0.95, "[choice]: log k not yet moved by 5 %"), "1"),
        Criterion(
            "median step of loss < 0.1",
            between(377, 1423, "the reference's range over ten seeds"),
            "A's own blow-up",
        ),
        Criterion(
            "that step / standard training's, paired",
            at_least(5.0, "[choice]: the reference's (687 - 363)/(40 + 12), rounded down"),
            "much later",
        ),
    ),
    cases=_t7_cases,
    analyse=_t7,
)

_TABLES = Recording(quantities=("robust_table", "nonrobust_table"), weights_at=(0,))
_GENTLE = S1.with_settings({"adversarial.attack.step_size": 100.0})
_REDUCED = (
    (S1, "standard", 300, "standard training, 300 steps"),
    (_GENTLE, "adversarial", 300, "A-margin at eta_in = 100, 300 steps"),
    (S1, "adversarial", 100, "A-margin at eta_in = 1000, 100 steps"),
)


def _t8_cases(quick: bool) -> list[Case]:
    return [
        Case(scenario, training, seed, Measure(reduction_error, (n_steps,)), _TABLES)
        for full, training, n_steps, _ in _REDUCED
        for scenario in [full.with_settings({f"{training}.schedule.n_steps": n_steps})]
        for seed in seeds((10, 3), quick)
    ]


def _t8(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    groups = np.array_split(np.array([o.value for o in outcomes]), len(_REDUCED))
    for (_, _, _, name), errors in zip(_REDUCED, groups, strict=True):
        found[f"largest deviation, {name}"] = statistics.exactly(float(errors.max()), len(errors))
    return found


T8 = Claim(
    id="structured-data/T8",
    statement="Without noise the reduced recursions are both trainings themselves",
    mark="[derived]",
    scenario=S1.name,
    criteria=tuple(
        Criterion(f"largest deviation, {name}", at_most(limit), "rounding only")
        for (_, _, _, name), limit in zip(_REDUCED, (1e-12, 1e-12, 1e-10), strict=True)
    ),
    cases=_t8_cases,
    analyse=_t8,
)

CLAIMS = (T1, T2, T7, T8)
