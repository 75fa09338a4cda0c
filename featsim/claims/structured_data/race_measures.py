"""What the claims on race, saturation and scaling measure on one run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from featsim.claims.cases import Run
from featsim.scenarios import Scenario
from featsim.theory import Racer, predicted_winner
from featsim.validation import FloatArray

BoolArray = npt.NDArray[np.bool_]


def foretold(run: Run) -> BoolArray:
    """Return, per class, whether by the race rule v wins it, from the start alone."""
    trace, data = run.trace, run.data
    told = predicted_winner(
        trace["robust_coef"][0],
        trace["nonrobust_coef"][0],
        n_robust_patches=data.n_robust_patches,
        n_nonrobust_patches=data.n_nonrobust_patches,
        robust_strength=data.robust_strength,
        nonrobust_strength=data.nonrobust_strength,
        power=run.network.power,
    )
    return np.asarray(told == "nonrobust")


def winners(run: Run) -> dict[str, int]:
    """Return how many classes v won (share above 1/2), and for how many the race rule said who wins."""
    won = run.trace["nonrobust_share"][-1] > 0.5
    return {
        "won": int(won.sum()),
        "told": int((foretold(run) == won).sum()),
        "classes": len(won),
    }


def nonrobust_racer(scenario: Scenario) -> Racer:
    """Return the growth law of v in a scenario with balanced classes."""
    schedule = next(iter(scenario.trainings.values())).schedule
    return Racer.of_nonrobust(scenario.data, scenario.model, schedule.step_size)


def hit_times(run: Run, level: float) -> dict[str, list[float]]:
    """Return, per class that by the race rule v wins, its start, the step it reaches a level at, the law's.

    The others are chosen by their start and left out: u fits them first, and v arrives late if ever. A
    class that v should win and in which it never reaches the level counts with an infinite time.
    """
    coef = run.trace["nonrobust_coef"].max(axis=2)
    hit = coef >= level
    usable = foretold(run) & (coef[0] < level)
    steps: FloatArray = np.where(hit.any(axis=0), run.trace.steps[hit.argmax(axis=0)], np.inf)
    start = coef[0][usable]
    return {
        "start": start.tolist(),
        "steps": steps[usable].tolist(),
        "predicted": nonrobust_racer(run.scenario).hit_time(start, level).tolist(),
    }


def plateaus(run: Run) -> list[float]:
    """Return the final B of the neurons (one per class) that have had time to reach a plateau.

    Those that start positive and by the race's law finish their race in a quarter of the steps: chosen by
    their start, not by where they end.
    """
    coef = run.trace["nonrobust_coef"][:, :, 0]
    race_over = nonrobust_racer(run.scenario).blow_up_time(coef[0]) < run.trace.steps[-1] / 4
    return [float(b) for b in coef[-1][race_over]]


def radius_outcome(run: Run) -> dict[str, float]:
    """Return who carries the logits, all classes together, and how many classes v won.

    Pooled: a class that learned nothing has a share too, and it would count as much as a fitted one.
    """
    phi, psi = run.trace["robust_logit"][-1], run.trace["nonrobust_logit"][-1]
    return {
        "share": float(psi.sum() / (phi.sum() + psi.sum())),
        "Psi": float(psi.mean()),
        "escaped": int(np.sum((psi > phi) & (psi > 1.0))),
        "classes": len(psi),
        "lowest_B": float(run.trace["nonrobust_coef"][-1].min()),
        "A0": float(run.trace["robust_coef"][0].max(axis=1).mean()),
    }
