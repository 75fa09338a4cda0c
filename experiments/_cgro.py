"""What the figures of clean generalisation and robust overfitting share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _figure import Arrays
from matplotlib.axes import Axes

from featsim.plotting import COLOURS
from featsim.scenarios import Scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.theory.cgro import ClosureStart, StageLaws, closure_from_weights

SIGNAL, MEMORY = COLOURS["robust"], COLOURS["nonrobust"]
TITLES = {
    "standard": r"standard training, $\lambda = 0$",
    "adversarial": r"adversarial training, $\lambda = %g$",
    "worst": r"exact attack, $\lambda = %g$",
    "pure": r"adversarial loss alone, $\lambda = 1$",
}


def line_settings(scenario: Scenario, training: str) -> dict[str, Any]:
    """Return weight, radius, rule, step size and steps of a training on the signal line."""
    chosen = scenario.trainings[training]
    objective: Any = chosen.attack
    return {
        "weight": objective.weight,
        "radius": objective.attack.radius,
        "rule": objective.attack.rule,
        "step_size": chosen.schedule.step_size,
        "n_steps": chosen.schedule.n_steps,
    }


def start_of(scenario: Scenario, seed: int) -> ClosureStart:
    """Return the closure's start: the run's own data and initial weights."""
    data, rng = scenario.problem(seed)
    model: Any = scenario.model
    return closure_from_weights(model.initial_weights(data.dim, rng), data)


def laws_of(scenario: Scenario, training: str) -> StageLaws:
    """Return the stage laws of a training."""
    data: Any = scenario.data
    model: Any = scenario.model
    settings = line_settings(scenario, training)
    return StageLaws(
        n_samples=scenario.n_samples,
        signal_strength=data.signal_strength,
        noise_norm=data.noise_norm,
        power=model.power,
        radius=settings["radius"],
        weight=settings["weight"],
        step_size=settings["step_size"],
    )


def over_seeds(
    one_run: Callable[[Any], Arrays],
    scenario: Any,
    seeds: Sequence[int],
    jobs: int,
    label: str,
    *settings: Any,
) -> Arrays:
    """Call ``one_run((scenario, seed, *settings))`` for every seed and stack what it returns."""
    base = spec_from_dict(scenario) if isinstance(scenario, dict) else scenario
    items = [(base, seed, *settings) for seed in seeds]
    # A few runs are over before another process has started.
    runs = map_runs(one_run, items, jobs=jobs if len(items) > 2 else 1, progress=True, label=label)
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def marked(ax: Axes, x: Any, table: Any, *, color: str, label: str, marker: str = "o") -> Axes:
    """Draw every seed as a dot and the median as a line; `table` is (points, seeds)."""
    values = np.asarray(table, dtype=np.float64)
    every = np.repeat(np.asarray(x, dtype=np.float64)[:, None], values.shape[1], axis=1)
    ax.plot(every.ravel(), values.ravel(), marker, color=color, markersize=2.4, alpha=0.6, markeredgewidth=0)
    ax.plot(
        x, np.median(values, axis=1), color=color, linewidth=1.6, marker=marker, markersize=4, label=label
    )
    return ax
