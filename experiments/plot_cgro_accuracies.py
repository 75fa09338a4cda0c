r"""Accuracies through time: robust overfitting, and the two controls without it.

Setting ``cgro/A``, checks ``cgro/T1`` (paper's main theorem, source), ``cgro/T3`` and ``cgro/T4``
(controls, derived), the same data and initial weights in all columns. Robust accuracy is always under the
exact attack on the signal line. Middle: with clean and attacked loss mixed, clean accuracy is 1 at once,
robust accuracy rises to 1 on training samples and stays at 1/2 on fresh ones. Left, lambda = 0: the
signal is learned, nothing is memorised, robust accuracy stays at 1/2 everywhere. Right, lambda = 1:
everything is memorised, the signal never learned, and clean accuracy is lost. Below, the two quantities
behind it: signal score S and mean memorisation V. Thick lines are medians over seeds, thin lines seeds;
below, the band is the middle 80 %.
"""

import sys

import numpy as np
from _cgro import MEMORY, SIGNAL, TITLES, over_seeds
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, bands_in_words, draw_seeds, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.training import Recording

SEEDS = {"quick": 2, "default": 10, "full": 40}
TRAININGS = ("standard", "adversarial", "pure")
CURVES = {
    "clean_accuracy": ("clean, training", COLOURS["other"], "-"),
    "fresh_clean_accuracy": ("clean, fresh", COLOURS["other"], (0, (2, 1.2))),
    "worst_accuracy": ("robust, training", COLOURS["dense-mixture"], "-"),
    "fresh_worst_accuracy": ("robust, fresh", COLOURS["dense-mixture"], (0, (2, 1.2))),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario("cgro/A"),
        "trainings": list(TRAININGS),
        "seeds": list(range(SEEDS[size])),
        "n_log": 40 if size == "quick" else 100,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed three ways."""
    arrays: Arrays = {}
    for training in config["trainings"]:
        runs = over_seeds(
            one_run, config["scenario"], config["seeds"], jobs, training, training, config["n_log"]
        )
        arrays |= {f"{training}_{name}": values for name, values in runs.items()}
    return arrays


def one_run(item: tuple[Scenario, int, str, int]) -> Arrays:
    """Return accuracies and scores."""
    scenario, seed, training, n_log = item
    names = (*CURVES, "signal_score", "mean_memorisation")
    trace = scenario.run(training, seed, recording=Recording(n_log=n_log, quantities=names))
    return {"steps": trace.steps, **{name: trace[name] for name in names}}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw one column per training."""
    scenario = spec_from_dict(config["scenario"])
    figure = new_figure(4.1)
    grid = figure.subplots(2, 3, sharex=True, sharey="row", height_ratios=(1.2, 1))
    for column, training in enumerate(config["trainings"]):
        upper, lower = grid[:, column]
        steps = arrays[f"{training}_steps"][0]
        for name, (label, color, dashes) in CURVES.items():
            values = arrays[f"{training}_{name}"]
            upper.plot(steps, values.T, color=color, linestyle=dashes, linewidth=0.5, alpha=0.35)
            upper.plot(steps, np.median(values, axis=0), color=color, linestyle=dashes, label=label)
        draw_seeds(lower, steps, arrays[f"{training}_signal_score"], color=SIGNAL, label="signal score $S$")
        draw_seeds(lower, steps, arrays[f"{training}_mean_memorisation"], color=MEMORY, label="mean $V$")
        weight = scenario.trainings[training].attack.weight
        title = TITLES[training]
        upper.set_title(f"({'abc'[column]}) " + (title % weight if "%g" in title else title))
        upper.axhline(0.5, color="0.6", linewidth=0.6, zorder=1)
        upper.set_ylim(-0.03, 1.05)
        step_axis(upper, steps[-1], label="")
        step_axis(lower, steps[-1])
        lower.set_xticks([0, 10, 100, 1000], ["0", "10", "100", "1,000"])
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("score")
    lines = [*grid[0, 0].get_legend_handles_labels(), *grid[1, 0].get_legend_handles_labels()]
    note = f"above: thin lines are seeds, thick ones medians; below: {bands_in_words(figure)}"
    figure.legend(lines[0] + lines[2], lines[1] + lines[3], loc="outside lower center", ncols=3, title=note)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
