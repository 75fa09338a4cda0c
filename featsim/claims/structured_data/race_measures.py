"""What the claims on race, saturation and scaling measure on one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from featsim.claims.cases import Run
from featsim.scenarios import Scenario
from featsim.theory import Racer, predicted_winner
from featsim.validation import FloatArray


def winners(run: Run) -> dict[str, int]:
    """Return how many classes v won (share above 1/2), and for how many the race rule said who wins."""
    trace, data = run.trace, run.data
    won = trace["nonrobust_share"][-1] > 0.5
    told = predicted_winner(
        trace["robust_coef"][0],
        trace["nonrobust_coef"][0],
        n_robust_patches=data.n_robust_patches,
        n_nonrobust_patches=data.n_nonrobust_patches,
        robust_strength=data.robust_strength,
        nonrobust_strength=data.nonrobust_strength,
        power=run.network.power,
    )
    return {
        "won": int(won.sum()),
        "told": int(((told == "nonrobust") == won).sum()),
        "classes": len(won),
    }


def nonrobust_racer(scenario: Scenario) -> Racer:
    """Return the growth law of v in a scenario with balanced classes."""
    data: Any = scenario.data
    model: Any = scenario.model
    return Racer(
        n_patches=data.n_nonrobust_patches,
        strength=data.nonrobust_strength,
        power=model.power,
        smoothing=model.smoothing,
        step_size=next(iter(scenario.trainings.values())).schedule.step_size,
        class_fraction=1.0 / data.n_classes,
        n_classes=data.n_classes,
    )


def hit_times(run: Run, level: float) -> dict[str, list[float]]:
    """Return, per class in which B grows, its start, the step it reaches a level at, and the prediction."""
    coef = run.trace["nonrobust_coef"].max(axis=2)
    hit = coef >= level
    usable = hit.any(axis=0) & (coef[0] > 0.0) & (coef[0] < level)
    steps: FloatArray = run.trace.steps[hit.argmax(axis=0)].astype(np.float64)
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
