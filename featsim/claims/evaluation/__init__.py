"""Claims on evaluation itself: order of bounds, tightness, soundness, starts, scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.evaluation.measures import chain, scale_trap, strength
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.rules import at_least, at_most
from featsim.claims.structured_data.study import ENDS, study
from featsim.scenarios import get_scenario

PATCHES = get_scenario("structured-data/S1").with_settings(
    {
        "n_nonrobust_patches": 5,
        "noise_std": 0.05,
        "n_samples": 40,
        "standard.schedule.n_steps": 400,
    }
)
"""Six patches with noise, so that samples differ; otherwise the structured data of S1."""
CUBES = get_scenario("cgro/A")
RADIUS, CUBE_RADIUS, FACTOR = 0.5, 1.0, 8.0
_SEEDS = (5, 2)
_SAMPLES = 40


def _chain(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [o.value for o in outcomes]
    n = len(found)
    return {
        "samples out of order": statistics.exactly(sum(f["wrong"] for f in found), n),
        "certified samples broken": statistics.exactly(sum(f["broken"] for f in found), n),
        "perturbations tried on certified samples": statistics.exactly(sum(f["tried"] for f in found), n),
    }


E1 = Claim(
    id="evaluation/V1",
    statement="For every sample: certified margin <= exact margin <= attacked margin <= clean margin, and no "
    "certified sample is broken",
    mark="[derived]",
    scenario=PATCHES.name,
    criteria=(
        Criterion("samples out of order", at_most(0.0), "none, by construction of the bounds"),
        Criterion("certified samples broken", at_most(0.0), "none, the bounds are sound"),
        Criterion("perturbations tried on certified samples", at_least(1000.0, "or nothing was tested")),
    ),
    cases=study(PATCHES, "standard", _SEEDS, Measure(chain, (RADIUS, _SAMPLES)), recording=ENDS),
    analyse=_chain,
)


def _gap(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [o.value for o in outcomes]
    lines, branch, attacked = (np.array([f[key] for f in found]) for key in ("lines", "branch", "attacked"))
    return {
        "interval width after branch and bound": statistics.mean(attacked - branch),
        "interval width of tangent and chord": statistics.mean(attacked - lines),
    }


E2 = Claim(
    id="evaluation/V2",
    statement="Cutting boxes closes the interval of robust accuracy where tangent and chord leave it open",
    mark="[measured]",
    scenario=PATCHES.name,
    criteria=(
        Criterion("interval width after branch and bound", at_most(0.1, "most of it closed"), "0 in time"),
        Criterion("interval width of tangent and chord", at_least(0.2, "or there was no gap to close")),
    ),
    cases=study(PATCHES, "standard", _SEEDS, Measure(chain, (RADIUS, _SAMPLES)), recording=ENDS),
    analyse=_gap,
)


def _strength(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [o.value for o in outcomes]
    plain, starts, suite = (np.array([f[key] for f in found]) for key in ("plain", "starts", "suite"))
    return {
        "plain minus suite": statistics.mean(plain - suite),
        "suite minus filter starts": statistics.exactly(float(np.max(suite - starts)), len(found)),
    }


E3 = Claim(
    id="evaluation/V3",
    statement="PGD on the cross-entropy from a random point overstates robust accuracy; starts along the "
    "filters with steps on the margin do not",
    mark="[measured]",
    scenario=PATCHES.name,
    criteria=(
        Criterion(
            "plain minus suite", at_least(0.02, "a sample of 40 or more"), "> 0: one local maximum per patch"
        ),
        Criterion("suite minus filter starts", at_most(0.0), "<= 0: the suite has these starts"),
    ),
    cases=study(PATCHES, "standard", _SEEDS, Measure(strength, (RADIUS, _SAMPLES)), recording=ENDS),
    analyse=_strength,
)


def _scale(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = [o.value for o in outcomes]
    rise = [f["loss"] - f["true"] for f in found]
    return {
        "decisions of margin attacks changed by the scale": statistics.exactly(
            sum(f["changed"] for f in found), len(found)
        ),
        "loss PGD minus the truth, weights times 8": statistics.mean(rise),
    }


E4 = Claim(
    id="evaluation/V4",
    statement="Multiplying the weights of a homogeneous network by 8 changes no decision, blinds attacks on "
    "the cross-entropy, and does not move attacks on the margin",
    mark="[derived]",
    scenario=CUBES.name,
    criteria=(
        Criterion("decisions of margin attacks changed by the scale", at_most(0.0), "0: unit steps"),
        Criterion(
            "loss PGD minus the truth, weights times 8",
            at_least(0.05, "one sample in twenty"),
            "> 0: the gradient of the cross-entropy underflows to 0",
        ),
    ),
    cases=study(CUBES, "standard", _SEEDS, Measure(scale_trap, (CUBE_RADIUS, FACTOR, 20)), recording=ENDS),
    analyse=_scale,
)

CLAIMS = (E1, E2, E3, E4)

__all__ = ["CLAIMS"]
