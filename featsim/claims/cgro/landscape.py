"""Claims on the loss landscape around samples: F1 to F7."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featsim.claims import statistics
from featsim.claims.cases import Measure, Outcome
from featsim.claims.cgro.measures import ended, flat_on_line, gap_along
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.rules import as_measured, at_least, at_most
from featsim.claims.structured_data.study import both, by_seed, of_trainings, study
from featsim.scenarios import get_scenario
from featsim.training import Recording

A = get_scenario("cgro/A")
_DELTA = 1.9
_STEPS = (0, 100, 1000, 3000, 8000)
_RADII = (0.5, 1.0, _DELTA, 2.5, 3.0, 4.0)
_INSIDE, _FAR = _RADII.index(_DELTA), _RADII.index(3.0)
_CURVES = Measure(flat_on_line, (_RADII, _STEPS))
_ENDED = Measure(ended)
_RECORDING = Recording(n_log=400, weights_at=_STEPS)
_CASES = study(A, "adversarial", (5, 2), _CURVES, recording=_RECORDING)


def _columns(outcomes: Sequence[Outcome], name: str, step: int, radius: int) -> list[float]:
    return [f[name][step][radius] for f in by_seed(outcomes, _CURVES)]


def _inside(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    inside, far = (_columns(outcomes, "G_train", -1, radius) for radius in (_INSIDE, _FAR))
    return {
        "G on training samples at the radius, end": statistics.mean(inside),
        "C on training samples at the radius, end": statistics.mean(
            _columns(outcomes, "C_train", -1, _INSIDE)
        ),
        "G at 1.5 alpha / G at the radius": statistics.mean(
            [f / i for f, i in zip(far, inside, strict=True)]
        ),
    }


F1 = Claim(
    id="cgro/F1",
    statement="After adversarial training the loss is flat at training samples within the radius, not beyond",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion("G on training samples at the radius, end", at_most(0.05), "small: 0.020 measured"),
        Criterion("C on training samples at the radius, end", at_most(0.05), "small: 0.016 measured"),
        Criterion("G at 1.5 alpha / G at the radius", at_least(4.0), "rises sharply: 0.153/0.020"),
    ),
    cases=_CASES,
    analyse=_inside,
)


def _over_time(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    train, test = (
        np.array([_columns(outcomes, f"G_{name}", step, _INSIDE) for step in range(len(_STEPS))])
        for name in ("train", "test")
    )
    middle = _STEPS.index(1000)
    return {
        "G on training samples, end / step 1000": statistics.mean(train[-1] / train[middle]),
        "G on fresh samples, end / step 1000": statistics.mean(test[-1] / test[middle]),
        "G on fresh samples at the radius, end": statistics.mean(test[-1]),
        "C on fresh samples at the radius, end": statistics.mean(_columns(outcomes, "C_test", -1, _INSIDE)),
    }


F2 = Claim(
    id="cgro/F2",
    statement="In the memorising stage flatness improves on training samples and worsens on fresh ones",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion("G on training samples, end / step 1000", at_most(0.1), "falls: .71 to .020 measured"),
        Criterion("G on fresh samples, end / step 1000", at_least(1.05), "rises: .82 to .924 measured"),
        Criterion("G on fresh samples at the radius, end", as_measured(0.924, 0.02, 5), "0.924 measured"),
        Criterion("C on fresh samples at the radius, end", as_measured(0.736, 0.02, 5), "0.736 measured"),
    ),
    cases=_CASES,
    analyse=_over_time,
)

_DIM: int = A.data.dim  # type: ignore[attr-defined]
_GAP_RADII = (0.8, 0.85, 0.9, 0.95, 1.0)
_GAP_SCENARIOS = tuple(A.with_settings({"radius": 2.0 * rho}) for rho in _GAP_RADII)
_AT_RADIUS = {
    scenario.digest(): Measure(flat_on_line, ((2.0 * rho,), (8000,)))
    for rho, scenario in zip(_GAP_RADII, _GAP_SCENARIOS, strict=True)
}
_LAST = Recording(at=(8000,), weights_at=(8000,))


_GAP_CASES = both(
    *(
        study(scenario, "adversarial", (5, 3), _AT_RADIUS[scenario.digest()], recording=_LAST)
        for scenario in _GAP_SCENARIOS
    )
)


def _rank_correlation(x: list[float], y: list[float]) -> Estimate:
    from scipy.stats import spearmanr

    found = spearmanr(x, y)
    value = float(found.statistic)
    # Fisher's transformation with the error of a rank correlation.
    half = 1.96 * np.sqrt((1.0 + 0.5 * value**2) / max(len(x) - 3, 1))
    bent = np.arctanh(np.clip(value, -0.999999, 0.999999))
    return Estimate(value, float(np.tanh(bent - half)), float(np.tanh(bent + half)), len(x))


def _association(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    values = [outcome.value for outcome in outcomes]
    sharp = [f["G_test"][0][0] for f in values]
    gaps = [f["gap"] for f in values]
    # The bound is this factor times the sharpness: it is about 1 unless N is huge.
    rate = float(A.n_samples) ** (-1.0 / (_DIM + 2.0))
    return {
        "rank correlation of robust gap and global sharpness": _rank_correlation(sharp, gaps),
        "factor N^(-1/(d+2)) of the bound": statistics.exactly(rate, len(values)),
    }


_LATE = (1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 7000, 8000)
_ALONG = Measure(gap_along, (_DELTA, _LATE))


def _along(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    each = [_rank_correlation(f["sharpness"], f["gap"]).value for f in by_seed(outcomes, _ALONG)]
    return {"rank correlation of gap and sharpness along training": statistics.mean(each)}


F3 = Claim(
    id="cgro/F3",
    statement="Along training the robust generalisation gap grows with the sharpness around fresh samples",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion(
            "rank correlation of gap and sharpness along training", at_least(0.5), "monotone, positive"
        ),
    ),
    cases=study(A, "adversarial", (5, 2), _ALONG, recording=Recording(at=_LATE, weights_at=_LATE)),
    analyse=_along,
)
F3_RADII = Claim(
    id="cgro/F3-radii",
    statement="Across training radii the robust gap grows with the sharpness around fresh samples",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion("rank correlation of robust gap and global sharpness", at_least(0.5), "monotone, positive"),
    ),
    cases=_GAP_CASES,
    analyse=_association,
    found=Verdict.NOT_REPRODUCED,
    explanation=(
        "Below rho* a run learns a large robust signal: its loss is steep at fresh samples, without a gap. "
        "Sharpness orders the steps of one run, not runs that ended on different sides of the transition."
    ),
)
F4 = Claim(
    id="cgro/F4",
    statement="The flatness bound on the robust gap falls with N like N^(-1/(d+2)) and means something here",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion("factor N^(-1/(d+2)) of the bound", at_most(0.5), "20^(-1/102) = 0.97: no decay at all"),
    ),
    cases=_GAP_CASES,
    analyse=_association,
    expected=Verdict.NOT_REPRODUCED,
    explanation=(
        "The rate N^(-1/(d+2)) is vacuous beyond d of about 20: at N = 20, d = 100 it is 0.97. Only the "
        "monotone association of the gap with the sharpness (F3) can be checked."
    ),
)


def _pointwise(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = by_seed(outcomes, _CURVES)
    return {
        "largest (l(x+s) - l(x)) / (eps G)": statistics.exactly(
            max(f["companion_ratio"] for f in found), len(found)
        ),
        "adversarial excess / (delta E|dl/ds|)": statistics.mean(
            [f["adversarial_excess"] / (_DELTA * f["clean_slope"]) for f in found]
        ),
    }


F5 = Claim(
    id="cgro/F5",
    statement="On fresh samples the adversarial loss exceeds the clean one by Omega(delta E|grad l|)",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion(
            "adversarial excess / (delta E|dl/ds|)",
            at_least(0.5),
            "Omega(1): huge here, the slope at clean points is tiny",
        ),
    ),
    cases=_CASES,
    analyse=_pointwise,
)
F6 = Claim(
    id="cgro/F6",
    statement="No increase of the loss exceeds the radius times the largest gradient, at every sample",
    mark="[derived]",
    scenario=A.name,
    criteria=(
        Criterion(
            "largest (l(x+s) - l(x)) / (eps G)",
            at_most(1.0 + 1e-9),
            "1: increases from a grid ten times finer than that of the gradients",
        ),
    ),
    cases=_CASES,
    analyse=_pointwise,
)


def _clean_part(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    memorising, signal_only = (
        by_seed(outcomes, _ENDED, training) for training in ("adversarial", "standard")
    )
    return {
        "clean error on fresh samples": statistics.accuracy(
            [1.0 - f["fresh_clean_accuracy"] for f in memorising], [f["n_fresh"] for f in memorising]
        ),
        "clean error more than standard training's": statistics.paired_difference(
            [1.0 - f["fresh_clean_accuracy"] for f in memorising],
            [1.0 - f["fresh_clean_accuracy"] for f in signal_only],
        ),
        "sd of V_new / S": statistics.mean([f["fresh_noise_sd"] / f["signal_score"] for f in memorising]),
    }


F7 = Claim(
    id="cgro/F7",
    statement="Clean error is ruled by the part that learned the signal: what memorises does not disturb it",
    mark="[source]",
    scenario=A.name,
    criteria=(
        Criterion("clean error on fresh samples", at_most(0.02), "O(sqrt(poly(d)/N)) of the clean part"),
        Criterion("clean error more than standard training's", at_most(0.01), "0"),
        Criterion("sd of V_new / S", at_most(0.2), "o(1)"),
    ),
    cases=of_trainings(A, ("adversarial", "standard"), (5, 2), _ENDED, recording=Recording(n_log=400)),
    analyse=_clean_part,
)

CLAIMS = (F1, F2, F3, F3_RADII, F4, F5, F6, F7)
