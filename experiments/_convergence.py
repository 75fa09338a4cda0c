"""What the figures of the convergence theory share: measures over seeds, sweeps over widths, exponents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from _figure import Arrays
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from featsim.claims.cases import Run
from featsim.plotting import THEORY
from featsim.scenarios import Scenario
from featsim.sweeps import map_runs

DARK, MIDDLE, LIGHT = "#111111", "#2b7bba", "#f2a33a"
"""Colours that differ in lightness too, for curves that are no feature and no training."""

SHADES = ("#c9dcef", "#8db7dc", "#3f85bf", "#0b3c6f")
"""From narrow to wide."""

Task = tuple[Scenario, int, Callable[..., Any], tuple[Any, ...]]


def processes(config: Mapping[str, Any], jobs: int) -> int:
    """Return how many processes to use: at the quick size starting one takes longer than the work."""
    return 1 if config.get("size") == "quick" else jobs


def measure_seeds(
    function: Callable[..., Any],
    scenario: Scenario,
    seeds: Sequence[int],
    *arguments: Any,
    jobs: int,
    label: str,
) -> list[Any]:
    """Return what a measure of the claims gives for every seed."""
    tasks: list[Task] = [(scenario, seed, function, arguments) for seed in seeds]
    return map_runs(_measure, tasks, jobs=jobs, progress=True, label=label)


def _measure(task: Task) -> Any:
    scenario, seed, function, arguments = task
    return function(Run(scenario, None, seed, None), *arguments)


def stack(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Arrays:
    """Return numbers of all seeds as arrays with a first axis of seeds."""
    return {name: np.array([run[name] for run in found], dtype=np.float64) for name in names}


def exponent(x: npt.ArrayLike, values: npt.NDArray[Any]) -> tuple[float, float]:
    """Return mean and standard deviation over seeds of the slope of log values (seeds, x) on log x."""
    logs = np.log(np.asarray(x, dtype=np.float64))
    slopes = [np.polyfit(logs, np.log(row), 1)[0] for row in values]
    return float(np.mean(slopes)), float(np.std(slopes))


def exponent_text(x: npt.ArrayLike, values: npt.NDArray[Any]) -> str:
    """Return an exponent with its standard deviation over seeds."""
    mean, sd = exponent(x, values)
    return rf"${mean:.2f} \pm {sd:.2f}$"


def log_axes(ax: Axes, ticks: Sequence[float], label: str) -> Axes:
    """Make both axes logarithmic, with ticks of x where the points are."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.yaxis.set_minor_formatter(NullFormatter())
    return tick_axis(ax, ticks, label)


def tick_axis(ax: Axes, ticks: Sequence[float], label: str) -> Axes:
    """Put ticks of x where the points are."""
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(label)
    return ax


def guide(
    ax: Axes, x: Sequence[float], start: float, power: float, text: str, *, above: bool = False, at: int = -1
) -> None:
    """Draw a power law as thin dashes from `start`, with its name at one of the points."""
    values = start * (np.array(x, dtype=np.float64) / x[0]) ** power
    ax.plot(x, values, **THEORY)
    ax.annotate(
        text,
        (x[at], values[at]),
        xytext=(8, 5) if above and at != -1 else (-2, 5 if above else -5),
        textcoords="offset points",
        ha="left" if above and at != -1 else "right",
        va="bottom" if above else "top",
        fontsize=7,
    )
