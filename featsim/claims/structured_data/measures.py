"""What the structured-data claims measure on one run."""

from __future__ import annotations

import math

import numpy as np

from featsim.attacks import Attack, run_attack
from featsim.claims.cases import Run
from featsim.evaluation import part_accuracy
from featsim.theory import ReducedTrace, reduced_from_weights
from featsim.validation import FloatArray

FITTED_LOSS = 0.1
"""A run is fitted from the first step with clean loss below this."""


def learned(run: Run) -> dict[str, float]:
    """Return coefficients, logits, accuracies and loss at the end, means over classes.

    ``fit_step`` is inf for a run that never fits, ``weakest_logit`` the smallest own-class logit.
    """
    trace = run.trace
    parts = part_accuracy(run.network, run.data)
    phi, psi = trace["robust_logit"][-1], trace["nonrobust_logit"][-1]
    robust, nonrobust = (trace[name].max(axis=2) for name in ("robust_coef", "nonrobust_coef"))
    return {
        "n": len(run.data.y),
        "clean": parts.clean,
        "robust_only": parts.robust_only,
        "nonrobust_only": parts.nonrobust_only,
        "A": float(robust[-1].mean()),
        "B": float(nonrobust[-1].mean()),
        "A0": float(robust[0].mean()),
        "B0": float(nonrobust[0].mean()),
        "Phi": float(phi.mean()),
        "Psi": float(psi.mean()),
        "share": float(trace["nonrobust_share"][-1].mean()),
        "mixed": float(np.minimum(trace["nonrobust_share"][-1], 1.0 - trace["nonrobust_share"][-1]).mean()),
        "weakest_robust_logit": float(phi.min()),
        "loss": float(trace["clean_loss"][-1]),
        "fit_step": fit_step(run),
    }


def fit_step(run: Run) -> float:
    """Return the first recorded step with clean loss below 0.1, inf if there is none."""
    below = np.flatnonzero(run.trace["clean_loss"] < FITTED_LOSS)
    return float(run.trace.steps[below[0]]) if len(below) else math.inf


def attacked(run: Run, attack: Attack) -> dict[str, float]:
    """Return accuracy under an attack on the training data, samples, and the share of dead gradients."""
    result = run_attack(attack, run.network, run.data, run.rng())
    return {
        "accuracy": result.robust_accuracy,
        "dead": result.n_dead / result.n_samples,
        "n": result.n_samples,
    }


def order_of_events(run: Run) -> dict[str, float]:
    """Return level and time of B's plateau, and the loss meanwhile.

    The plateau is the median of B (largest neuron, mean over classes) from step 100 to the first
    step at which a tenth of the initial loss is gone [choice]; it counts as reached from the last step on
    before which B was not within 20 % of it.
    """
    trace = run.trace
    level = trace["nonrobust_coef"].max(axis=2).mean(axis=1)
    loss, start = trace["clean_loss"], math.log(run.data.n_classes)
    falls = np.flatnonzero(loss < 0.9 * start)
    fall = int(falls[0]) if len(falls) else len(loss) - 1
    plateau = float(np.median(level[100 : max(fall, 101)]))
    reached = int(np.argmax(level >= 0.8 * plateau))
    return {
        "plateau": plateau,
        "reached": float(trace.steps[reached]),
        "loss_then": float(loss[reached]) / start,
        "loss_falls": float(trace.steps[fall]) if len(falls) else math.inf,
        "fit_step": fit_step(run),
    }


def reduction_error(run: Run, n_steps: int) -> float:
    """Return the largest deviation of the exact recursion's tables from the trace over the first steps."""
    trace, scenario = run.trace, run.scenario
    model, training = scenario.model, scenario.trainings[run.training or ""]
    start = reduced_from_weights(trace["weights"][0], run.data)
    common = {
        "power": model.power,  # type: ignore[attr-defined]
        "smoothing": model.smoothing,  # type: ignore[attr-defined]
        "step_size": training.schedule.step_size,
        "n_steps": n_steps,
    }
    attack = training.attack
    reduced: ReducedTrace
    if attack is None:
        reduced = start.standard(**common)
    else:
        reduced = start.adversarial(
            **common,
            radius=attack.threat.radius,  # type: ignore[attr-defined]
            attack_step_size=attack.step_size,  # type: ignore[attr-defined]
        )
    pairs: list[tuple[FloatArray, FloatArray]] = [
        (reduced.robust_table, trace["robust_table"]),
        (reduced.nonrobust_table, trace["nonrobust_table"]),
    ]
    return max(float(np.abs(a - b[: n_steps + 1]).max()) for a, b in pairs)
