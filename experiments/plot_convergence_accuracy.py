"""In ten dimensions adversarial training stands where standard training, kernels and linear scores fall.

Setting ``convergence/caps`` (claim ``convergence/C13``): sixteen points on the slice of the sphere in ten
dimensions, caps of chordal radius 0.3, attack in training with ten steps. All models are judged by one
margin attack with 40 steps from the clean point and four random ones: an attack that climbs a loss with
l(y, y) = 0 would flatter them, as overshooting the label is a loss too (claim ``convergence/loss-trap``).

Expect clean accuracy 1 for standard training and kernel ridge with low robust accuracy, robust accuracy
near 1 for adversarial training and somewhat less for the kernel trained adversarially, and a linear score
to be too weak.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from _convergence import measure_seeds, processes
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.convergence.baselines import MODELS, accuracies
from featsim.plotting import COLOURS, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict

SCENARIO = "convergence/caps"
SEEDS = {"quick": 1, "default": 5, "full": 30}
QUICK = ("standard", "adversarial", "kernel ridge", "linear")
ROWS = {
    "standard": "network, standard",
    "adversarial": "network, adversarial",
    "kernel ridge": "kernel ridge",
    "kernel logistic": "kernel logistic",
    "kernel adversarial": "kernel, adversarial",
    "linear": "linear, standard",
    "linear adversarial": "linear, adversarial",
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario, models = get_scenario(SCENARIO), MODELS
    if size == "quick":
        scenario = scenario.with_settings({"adversarial.schedule.n_steps": 400, "model.width": 64})
        models = QUICK
    return {"scenario": scenario, "models": models, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train and attack every model."""
    scenario, models = spec_from_dict(config["scenario"]), tuple(config["models"])
    found = measure_seeds(
        accuracies, scenario, config["seeds"], models, jobs=processes(config, jobs), label="models"
    )
    table = np.array([[run[name] for name in models] for run in found])
    return {"clean": table[:, :, 0], "robust": table[:, :, 1]}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the table: a row per model, dots for seeds, bars for means, numbers beside."""
    models = config["models"]
    figure = new_figure(0.9 + 0.27 * len(models), 5.6)
    ax = figure.subplots()
    series = (("clean", "o", "white", -0.16), ("robust", "s", COLOURS["robust"], 0.16))
    for name, marker, color, place in series:
        for row, values in enumerate(arrays[name].T):
            ax.plot(
                np.sort(values),
                row + place + 0.06 * np.linspace(-1, 1, len(values)),
                marker,
                color=color,
                markeredgecolor="black",
                markeredgewidth=0.5,
                markersize=3.6,
                label=f"{name} accuracy" if row == 0 else None,
            )
            ax.plot(
                [values.mean()] * 2, [row + place - 0.15, row + place + 0.15], color="black", linewidth=1.4
            )
    for row in range(len(models)):
        texts = [with_spread(arrays[name][:, row]) for name in ("clean", "robust")]
        ax.text(1.05, row, "   ".join(texts), transform=ax.get_yaxis_transform(), va="center", fontsize=7)
    ax.text(
        1.05, -0.75, "clean             robust", transform=ax.get_yaxis_transform(), va="center", fontsize=7
    )
    ax.set_yticks(range(len(models)), [ROWS[name] for name in models])
    ax.set_ylim(len(models) - 0.5, -0.5)
    ax.set_xlim(-0.03, 1.05)
    ax.set_xlabel("share of the training points")
    ax.grid(False, axis="y")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def with_spread(values: npt.NDArray[Any]) -> str:
    """Return a mean, with the standard deviation where there is one."""
    mean = f"{values.mean():.2f}"
    return mean if len(values) == 1 else rf"{mean} $\pm$ {values.std():.2f}"


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
