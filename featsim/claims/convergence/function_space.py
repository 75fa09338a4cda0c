"""Claims on the kernel's side: C7 to C11."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.convergence.baselines import gap_growth, harmonics, shattering
from featsim.claims.convergence.descent import LAZY_WIDTHS, S1, TANGENT, at_width, slopes
from featsim.claims.convergence.measures import (
    mirror_course,
    overlay,
    planting_sweep,
    primal_and_dual,
)
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import as_measured, at_least, at_most, between, covers_within
from featsim.claims.structured_data.study import seeds, study
from featsim.scenarios import get_scenario
from featsim.training import Recording

MIRROR = get_scenario("convergence/mirror")
OVERLAY_STEP, OVERLAY_STEPS = 0.05, 60
_DUAL = Recording(quantities=("net_scores", "distance"), weights_at=(0,))
_SMALL_TANGENT = at_width(TANGENT, 64)


def _c7_cases(quick: bool) -> list[Case]:
    widths = LAZY_WIDTHS[:3] if quick else LAZY_WIDTHS
    exact = [
        Case(
            _SMALL_TANGENT.with_settings({"schedule.ball_radius": radius}),
            "adversarial",
            seed,
            Measure(primal_and_dual),
            _DUAL,
        )
        for radius in (100.0, 1.5)
        for seed in seeds((5, 2), quick)
    ]
    limit = study(S1, None, (10, 4), Measure(overlay, (widths, OVERLAY_STEP, OVERLAY_STEPS)))(quick)
    return [*exact, *limit, *study(MIRROR, None, (10, 4), Measure(mirror_course, (widths,)))(quick)]


def _c7(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.case.measure.function.__name__, []).append(outcome)
    duals = [o.value for o in groups["primal_and_dual"]]
    limits, mirrors = groups["overlay"], groups["mirror_course"]
    widths = limits[0].case.measure.arguments[0]
    mirror_errors = [o.value["dual_error"] for o in mirrors]
    return {
        "largest difference, tangent model and recursion": statistics.exactly(max(duals), len(duals)),
        "largest difference, two mirror points": statistics.exactly(max(mirror_errors), len(mirrors)),
        "kappa of the two near ends": statistics.exactly(mirrors[0].value["rate"], len(mirrors)),
        "largest difference, margin recursion and its flow": statistics.exactly(
            max(o.value["flow_error"] for o in mirrors), len(mirrors)
        ),
        "exponent of the infinite-width error": slopes([o.value for o in limits], "rms", widths),
        "exponent of the mirror points' error": slopes([o.value for o in mirrors], "errors", widths),
    }


C7 = Claim(
    id="convergence/C7",
    statement="The tangent model's training is a recursion in function space, and wide networks follow its "
    "infinite-width form",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        Criterion("largest difference, tangent model and recursion", at_most(1e-12), "rounding only"),
        Criterion("largest difference, two mirror points", at_most(1e-12), "rounding only"),
        Criterion(
            "kappa of the two near ends",
            covers_within(1.0603, 5e-5, "digits of the reference"),
            "K(z, z) - K(z, z')",
        ),
        Criterion(
            "largest difference, margin recursion and its flow",
            at_most(0.02, "the reference has 1e-2"),
            "of order alpha = 0.2: u = 1 + tau - W(e^(1 + tau))",
        ),
        Criterion(
            "exponent of the infinite-width error", as_measured(-0.59, 0.36, 5), "-1/2: kernel sampling"
        ),
        Criterion("exponent of the mirror points' error", as_measured(-0.52, 0.32, 5), "-1/2"),
    ),
    cases=_c7_cases,
    analyse=_c7,
)

PLANT_WIDTHS = (64, 256, 1024, 4096, 16384)
TOLERANCE = 0.3


def _c8(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found, at = [o.value for o in outcomes], PLANT_WIDTHS.index(4096)
    return {
        "exponent of the planting error": slopes(found, "error", PLANT_WIDTHS),
        "distance over norm at m = 4096": statistics.mean([run["ratio"][at] for run in found]),
        "exponent of the tangent gap": slopes(found, "tangent_gap", PLANT_WIDTHS),
    }


C8 = Claim(
    id="convergence/C8",
    statement="A function of the kernel's space can be planted near the start, at the distance of its norm",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        Criterion("exponent of the planting error", between(-0.6, -0.35), "-1/2"),
        Criterion("distance over norm at m = 4096", covers_within(1.0, 0.03, "as the reference"), "1"),
        Criterion(
            "exponent of the tangent gap", as_measured(-1.15, 0.10, 5), "-1: pairs cancel second order"
        ),
    ),
    cases=study(S1, None, (10, 4), Measure(planting_sweep, (PLANT_WIDTHS, TOLERANCE))),
    analyse=_c8,
)

MISSING = {"relu": (3, 5, 7, 9), "quadratic-relu": (4, 6, 8, 10)}


def _c9(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = outcomes[0].value
    without, with_constant = (
        [abs(float(found[f"{name} spectrum {c:g}"][k])) for name, ks in MISSING.items() for k in ks]
        for c in (0.0, 0.5)
    )
    pairs = (("relu", 6), ("quadratic-relu", 8))
    lost, kept = ([found[f"{name} residual {c:g} n={n}"] for name, n in pairs] for c in (0.0, 0.5))
    return {
        "largest missing harmonic at c = 0": statistics.exactly(max(without), 1),
        "least of the same harmonics at c = 1/2": statistics.exactly(min(with_constant), 1),
        "residual of alternating labels at c = 0": statistics.exactly(min(lost), 1),
        "residual of alternating labels at c = 1/2": statistics.exactly(max(kept), 1),
    }


C9 = Claim(
    id="convergence/C9",
    statement="Without a constant coordinate the kernels lack harmonics, and some labels cannot be fitted",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        Criterion(
            "largest missing harmonic at c = 0", at_most(1e-15), "0: ReLU odd >= 3, quadratic even >= 4"
        ),
        Criterion("least of the same harmonics at c = 1/2", at_least(1e-5), "> 0; the reference has 2.9e-5"),
        Criterion("residual of alternating labels at c = 0", at_least(1.0 - 1e-9), "1: orthogonal"),
        Criterion("residual of alternating labels at c = 1/2", at_most(1e-6), "0"),
    ),
    cases=study(S1, None, (1, 1), Measure(harmonics)),
    analyse=_c9,
)

GAPS = (1.2, 0.8, 0.4, 0.2, 0.1)
# Norms of the reference at these gaps.
_NORMS = {"relu": (3.0, 3.9, 6.4, 10.6, 16.1), "quadratic-relu": (1.25, 1.63, 10.2, 34.1, 100.6)}


def _c10(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = outcomes[0].value
    rises = [float(np.min(norms[1:] / norms[:-1])) for norms in found.values()]
    ratio = float(found["quadratic-relu"][-1] / found["relu"][-1])
    off = max(float(np.max(np.abs(found[name] / norms - 1.0))) for name, norms in _NORMS.items())
    return {
        "least ratio of norms as the gap shrinks": statistics.exactly(min(rises), 1),
        "largest relative deviation from the reference's norms": statistics.exactly(off, 1),
        "norm of the quadratic ReLU over that of ReLU at the smallest gap": statistics.exactly(ratio, 1),
    }


C10 = Claim(
    id="convergence/C10",
    statement="The norm of a robust interpolant grows as the gap between opposite arcs shrinks",
    mark="[derived]",
    scenario=S1.name,
    criteria=(
        Criterion("least ratio of norms as the gap shrinks", at_least(1.0), "> 1: monotone"),
        Criterion(
            "largest relative deviation from the reference's norms",
            at_most(0.03, "between nets of 21 and 81 points they change by 3 to 4 %"),
            "1.25 ... 100.6 and 3.0 ... 16.1",
        ),
        Criterion(
            "norm of the quadratic ReLU over that of ReLU at the smallest gap",
            at_least(2.0),
            "its smoother functions pay more for sharp boundaries; the reference has 100.6 against 16.1",
        ),
    ),
    cases=study(S1, None, (1, 1), Measure(gap_growth, (GAPS, TOLERANCE))),
    analyse=_c10,
)


def _c11(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = outcomes[0].value
    return {
        "largest distance over t sqrt(1 - 1/d)": statistics.exactly(found["excess"], 1),
        "half separation over t": statistics.exactly(found["separation"], 1),
    }


C11 = Claim(
    id="convergence/C11",
    statement="Robust interpolation of all sets of n points shatters nd/2 points: the VC dimension is at "
    "least of order n d",
    mark="[source]",
    scenario=S1.name,
    criteria=(
        Criterion("largest distance over t sqrt(1 - 1/d)", at_most(1e-13), "0: every test point is covered"),
        Criterion("half separation over t", covers_within(1.0, 1e-12, "rounding"), "1"),
    ),
    cases=study(S1, None, (1, 1), Measure(shattering, (3, (2, 3, 4, 5, 6, 7), 50))),
    analyse=_c11,
)

CLAIMS = (C7, C8, C9, C10, C11)
