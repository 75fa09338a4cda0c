"""What the figures of scaling laws share: a scenario swept over one setting, with seeds at every point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _figure import Arrays
from matplotlib.axes import Axes

from featsim.models import wilson_interval
from featsim.scenarios import Scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.theory import Racer
from featsim.training import Recording

ENDS = Recording(every=1_000_000)
"""The first and the last state."""


def points_of(base: Scenario, setting: str, values: Sequence[float]) -> list[Scenario]:
    """Return the scenario with one setting changed, point by point."""
    return [base.with_settings({setting: value}) for value in values]


def run_points(
    one_run: Callable[[Any], Arrays],
    points: Sequence[Scenario],
    n_seeds: int,
    jobs: int,
    label: str,
    *settings: Any,
    training: str = "standard",
) -> Arrays:
    """Call ``one_run((scenario, training, seed, *settings))`` at every point, each with seeds of its own.

    Returns
    -------
    dict of str to ndarray
        What `one_run` returned, first axes points and seeds.
    """
    # Compile here what all processes need, and not in each of them.
    points[0].with_settings({"schedule.n_steps": 1}).run(training, 0, recording=ENDS)
    items = [
        (point, training, number * n_seeds + seed, *settings)
        for number, point in enumerate(points)
        for seed in range(n_seeds)
    ]
    runs = map_runs(one_run, items, jobs=jobs, progress=True, label=label)
    return {
        name: np.stack([run[name] for run in runs]).reshape(len(points), n_seeds, *np.shape(runs[0][name]))
        for name in runs[0]
    }


def scenarios_of(config: Any) -> list[Scenario]:
    """Return the points of a configuration as scenarios."""
    return [spec_from_dict(point) for point in config]


def nonrobust_racer(scenario: Any) -> Racer:
    """Return the growth law of v (the race) in a scenario with balanced classes."""
    schedule = next(iter(scenario.trainings.values())).schedule
    return Racer.of_nonrobust(scenario.data, scenario.model, schedule.step_size)


def draw_fractions(ax: Axes, x: Any, hits: Any, trials: Any, **line: Any) -> Axes:
    """Draw fractions with their 95 % Wilson intervals."""
    hits, trials = np.asarray(hits, dtype=int), np.asarray(trials, dtype=int)
    fraction = hits / trials
    ends = np.array([wilson_interval(int(h), int(n)) for h, n in zip(hits, trials, strict=True)])
    errors = np.maximum(0.0, np.abs(ends.T - fraction))
    ax.errorbar(x, fraction, yerr=errors, elinewidth=0.9, capsize=1.5, **line)
    return ax
