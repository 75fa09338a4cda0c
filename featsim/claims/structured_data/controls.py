"""Controls: what must not happen, and what would flatter or break the story."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from featsim.attacks import FeatureAttack, fgm
from featsim.claims import statistics
from featsim.claims.cases import Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import as_measured, at_least, at_most, covers_within
from featsim.claims.structured_data.learning import S1
from featsim.claims.structured_data.measures import attacked, learned
from featsim.claims.structured_data.study import both, by_seed, study
from featsim.claims.structured_data.threat_measures import (
    robustness,
)
from featsim.scenarios import get_scenario
from featsim.training import Recording

_FEW = Recording(every=50)
_ROBUST = Measure(robustness)
_LEARNED = Measure(learned)


# Without noise equal patches stay equal, and an attack with a budget per patch needs each only once.
_S1 = S1.replace(merge_repeats=True)
_THREAT: Any = S1.trainings["adversarial"].attack.threat  # type: ignore[union-attr]
_S1_STRONG = Measure(robustness)
_RAW, _UNIT = Measure(attacked, (S1.evaluations[1],)), Measure(attacked, (fgm(_THREAT),))
_FEAT = Measure(attacked, (FeatureAttack(radius=_THREAT.radius),))


def _accuracies(outcomes: Sequence[Outcome], **measures: Measure) -> dict[str, Estimate]:
    return {
        f"{name.replace('_', '-')} accuracy": statistics.accuracy(
            *zip(*((run["accuracy"], run["n"]) for run in by_seed(outcomes, measure)), strict=True)
        )
        for name, measure in measures.items()
    }


WORST_CASE = Claim(
    id="structured-data/worst-case",
    statement="S1's adversarial networks are not robust to the whole l2 ball, as none of this form can be",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        Criterion(
            "worst-case accuracy",
            at_most(0.01, "[choice]: the reference's 0.00 to two digits"),
            "0: P_NR eps^q > P_R (alpha-eps)^q",
        ),
        Criterion("A-unit accuracy", as_measured(0.97, 0.08, 10), "the trained attack's family is withstood"),
    ),
    cases=both(*(study(_S1, "adversarial", (40, 10), measure) for measure in (_S1_STRONG, _UNIT))),
    analyse=lambda outcomes: _accuracies(outcomes, worst_case=_S1_STRONG, A_unit=_UNIT),
    control=True,
)
MASKING = Claim(
    id="structured-data/masking",
    statement="A-raw calls a standard network robust, as its gradient underflows; A-feat breaks it",
    mark="[measured]",
    scenario=S1.name,
    criteria=(
        Criterion(
            "A-raw accuracy",
            at_least(0.95, "[choice]: the reference's 1.00, less one class in 20"),
            "1: the gradient carries the factor 1 - p_y",
        ),
        Criterion("A-feat accuracy", at_most(0.10, "T1's"), "0: the same weights"),
        Criterion("worst-case accuracy", at_most(0.10, "T1's"), "0: searched patch by patch"),
    ),
    cases=both(*(study(_S1, "standard", (20, 5), measure) for measure in (_RAW, _FEAT, _S1_STRONG))),
    analyse=lambda outcomes: _accuracies(outcomes, A_raw=_RAW, A_feat=_FEAT, worst_case=_S1_STRONG),
    control=True,
)

_NOISE = get_scenario("structured-data/noise")
_NOISE_FEAT = Measure(attacked, (FeatureAttack(radius=_THREAT.radius),))


def _noise(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    final = by_seed(outcomes, _LEARNED)
    return {
        **_accuracies(outcomes, A_feat=_NOISE_FEAT),
        "A+/B+": statistics.mean([f["A"] / f["B"] for f in final]),
        "non-robust share": statistics.accuracy([f["share"] for f in final]),
        "clean accuracy": statistics.accuracy([f["clean"] for f in final], [f["n"] for f in final]),
    }


NOISE = Claim(
    id="structured-data/noise",
    statement="At noise 0.02 the full-space attack no longer suppresses v, and T2 fails",
    mark="[measured]",
    scenario=_NOISE.name,
    criteria=(
        Criterion(
            "A-feat accuracy",
            at_most(
                0.6,
                "[choice]: the reference's 0.34 + 3 x 0.12/sqrt(4) = 0.52 at T = 500, rounded up for T = 600",
            ),
            "T2 wants 0.9",
        ),
        Criterion("A+/B+", at_most(5.0, "what T2 wants"), "the reference's 3.68/1.44"),
        Criterion("non-robust share", as_measured(0.73, 0.06, 5), "the diverted attack leaves v untouched"),
        Criterion("clean accuracy", at_least(0.99, "T1's"), "1: v serves clean accuracy well"),
    ),
    cases=both(*(study(_NOISE, "adversarial", (5, 2), m, recording=_FEW) for m in (_LEARNED, _NOISE_FEAT))),
    analyse=_noise,
    control=True,
)

_LINF = get_scenario("structured-data/linf")
_SIGN_STEP = _LINF.with_settings(
    {"adversarial.attack.step_size": _LINF.trainings["adversarial"].attack.threat.radius}  # type: ignore[union-attr]
    | {"adversarial.attack.rule": "unit", "adversarial.schedule.n_steps": 1500, "width": 8}
)


def _sign_step(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    final = by_seed(outcomes, _LEARNED)
    return {
        "A+": statistics.mean([f["A"] for f in final]),
        **_accuracies(outcomes, attacked=_ROBUST),
        "loss / log k": statistics.mean([f["loss"] / math.log(4.0) for f in final]),
    }


SIGN_STEP = Claim(
    id="structured-data/sign-step",
    statement="Under B with m = 8 the sign step (inner step infinite) kills every neuron: nothing is learned",
    mark="[measured]",
    scenario=_LINF.name,
    criteria=(
        Criterion(
            "A+",
            at_most(0.05, "[choice]: ten times sigma_0 = 0.005; the reference's 0.01"),
            "the start's: eps ||w||_1 > sigma_0 alpha",
        ),
        Criterion("attacked accuracy", at_most(0.0), "0"),
        Criterion("loss / log k", covers_within(1.0, 0.02, "[choice]: loss not yet moved by 2 %"), "1"),
    ),
    cases=both(*(study(_SIGN_STEP, "adversarial", (4, 2), m, recording=_FEW) for m in (_LEARNED, _ROBUST))),
    analyse=_sign_step,
    control=True,
)

CLAIMS = (WORST_CASE, MASKING, NOISE, SIGN_STEP)
