"""Training covers the adversary it meets; only against the exact one do both losses agree.

Setting ``convergence/strength`` (claim ``convergence/C5``): six points, narrow arcs, the same data and
start for every adversary: none, one step of a quarter radius, one step of two radii (FGSM), three steps
(PGD), and the exact one on nets. Gao et al. bound the surrogate loss, the loss against the attack used in
training; it says little about the robust loss when that attack is weak [source, in words].

Expect the attacked loss far below the robust one for weak adversaries, and both equal for the exact one,
whose robust loss is the smallest. Every robust accuracy is 1 here: on the circle the losses tell
adversaries apart, the accuracies do so in the figure on ten dimensions.
"""

import sys

import numpy as np
from _convergence import LIGHT, MIDDLE, processes
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.convergence.measures import late_losses
from featsim.plotting import new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.training import Recording

SCENARIO = "convergence/strength"
SEEDS = {"quick": 2, "default": 10, "full": 50}
LABELS = {
    "standard": "none",
    "short-step": "one step\nof $\\delta/4$",
    "one-step": "one step\nof 2$\\delta$",
    "pgd": "3 steps\n(PGD)",
    "adversarial": "exact\n(net)",
}
NAMES = ("attacked_loss", "robust_loss", "robust_accuracy")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario = get_scenario(SCENARIO)
    if size == "quick":
        scenario = scenario.with_settings({"schedule.n_steps": 200})
    return {"scenario": scenario, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed against every adversary."""
    scenario = spec_from_dict(config["scenario"])
    items = [(scenario, name, seed) for name in LABELS for seed in config["seeds"]]
    found = map_runs(one_run, items, jobs=processes(config, jobs), progress=True, label="adversaries")
    return {
        name: np.array([run[name] for run in found]).reshape(len(LABELS), len(config["seeds"]))
        for name in NAMES
    }


def one_run(item: tuple[Scenario, str, int]) -> Arrays:
    """Return the late losses of one training."""
    scenario, training, seed = item
    trace = scenario.run(training, seed, recording=Recording(every=2, quantities=NAMES))
    return late_losses(Run(scenario, training, seed, trace))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw both losses for every adversary, a dot per seed and a bar at the median."""
    figure = new_figure(2.7, 5.2)
    ax = figure.subplots()
    series = (
        ("attacked_loss", LIGHT, "o", "attacked loss $L_A$"),
        ("robust_loss", MIDDLE, "s", "robust loss $L_*$"),
    )
    for place, (name, color, marker, label) in zip((-0.17, 0.17), series, strict=True):
        for row, values in enumerate(np.maximum(arrays[name], 1e-6)):
            spread = 0.09 * np.linspace(-1, 1, len(values)) if len(values) > 1 else np.zeros(1)
            ax.plot(
                row + place + spread,
                values,
                marker,
                color=color,
                markersize=3.2,
                markeredgewidth=0.3,
                markeredgecolor="black",
                label=label if row == 0 else None,
            )
            middle = float(np.median(values))
            ax.plot([row + place - 0.14, row + place + 0.14], [middle, middle], color="black", linewidth=1.4)
    ax.set_yscale("log")
    ax.set_xticks(range(len(LABELS)), list(LABELS.values()))
    ax.set_xlabel("adversary in training")
    ax.set_ylabel("mean over the last fifth of steps")
    ax.grid(False, axis="x")
    ax.legend(loc="lower right", title=f"{arrays[NAMES[0]].shape[1]} seeds, bar: median")
    ax.set_title(
        f"Attacked and robust loss (robust accuracy {float(arrays['robust_accuracy'].mean()):.2f} throughout)"
    )
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
