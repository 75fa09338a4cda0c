r"""Adversarial training converges at any but tiny width, at a distance that does not grow.

Setting ``convergence/S1`` (claims ``convergence/C1`` and ``convergence/theorem-width``): four points on the
circle slice, exact adversary on arcs, quadratic ReLU, paired start, Huber loss, projected gradient descent
without a binding ball. Theorem of Gao et al. [recalled]: the least attacked loss is within eps of the best
robust loss near the start, for width :math:`m \ge \Theta(R^9/\epsilon^7)`.

Expect the attacked loss to fall to about 0.01 at every width, not monotonically (only the average regret is
bounded), and the distance from the start to stay of order 1. The theorem's width is vacuous at these sizes:
with R = 2 and eps = 0.1 it asks for more than 10^9 neurons, so that its necessity cannot be seen here.
"""

import sys

import numpy as np
from _convergence import DARK, LIGHT, MIDDLE, SHADES, processes, tick_axis
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from featsim.claims.cases import Run
from featsim.claims.convergence.measures import course
from featsim.plotting import draw_seeds, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.theory.convergence import theorem_width

SCENARIO = "convergence/S1"
WIDTHS = {"quick": [16, 256], "default": [16, 64, 256, 1024], "full": [16, 64, 256, 1024, 4096]}
SEEDS = {"quick": 2, "default": 10, "full": 40}
NAMES = ("loss", "least_loss", "distance", "rises", "robust_accuracy")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario = get_scenario(SCENARIO)
    if size == "quick":
        scenario = scenario.with_settings({"schedule.n_steps": 150})
    return {"scenario": scenario, "widths": WIDTHS[size], "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train at every width."""
    scenario: Scenario = spec_from_dict(config["scenario"])
    items = [
        (scenario.with_settings({"model.width": width}), seed)
        for width in config["widths"]
        for seed in config["seeds"]
    ]
    found = map_runs(one_run, items, jobs=processes(config, jobs), progress=True, label="widths")
    shape = len(config["widths"]), len(config["seeds"])
    return {
        name: np.array([run[name] for run in found]).reshape(*shape, *np.shape(found[0][name]))
        for name in NAMES
    }


def one_run(item: tuple[Scenario, int]) -> Arrays:
    """Return what one training shows."""
    scenario, seed = item
    return course(Run(scenario, "adversarial", seed, scenario.run("adversarial", seed)))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the courses of the loss, then its least value and the distance against width."""
    figure = new_figure(2.5)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    widths, steps = config["widths"], np.arange(arrays["loss"].shape[2])
    shades = SHADES[-len(widths) :] if len(widths) <= len(SHADES) else (*SHADES, DARK)
    for width, loss, color in zip(widths, arrays["loss"], shades, strict=True):
        left.plot(steps, np.median(loss, axis=0), color=color, label=f"m = {width}", linewidth=1.1)
    left.set_yscale("log")
    left.yaxis.set_minor_formatter(NullFormatter())
    left.set_xlabel("step")
    left.set_ylabel("attacked loss $L_A$")
    left.legend(loc="upper right")
    rises = float(arrays["rises"].mean())
    left.text(0.03, 0.04, f"{100 * rises:.0f} % of steps raise it", transform=left.transAxes, va="bottom")
    left.set_title(f"(a) attacked loss, median of {arrays['loss'].shape[1]} seeds")
    for ax, name, color in ((middle, "least_loss", MIDDLE), (right, "distance", LIGHT)):
        draw_seeds(ax, widths, arrays[name].T, color=color, marker="o", markevery=1)
        ax.set_xscale("log")
        tick_axis(ax, widths, "width m")
        ax.set_ylim(bottom=0)
    middle.set_title("(b) least attacked loss")
    right.set_title("(c) distance at the end")
    middle.set_ylabel(r"$\min_t L_A(W_t)$")
    right.set_ylabel(r"$|W_T - W_0|_F$")
    accuracy = float(arrays["robust_accuracy"].mean())
    middle.set_ylim(0, 2.0 * float(arrays["least_loss"].max()))
    asked = theorem_width(2.0, 0.1)
    power = int(np.log10(asked))
    number = rf"${asked / 10**power:.0f}\cdot 10^{{{power}}}$"
    text = f"robust accuracy {accuracy:.2f}\ntheorem asks for\nm of order {number}"
    middle.text(0.97, 0.97, text, transform=middle.transAxes, ha="right", va="top", fontsize=7)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
