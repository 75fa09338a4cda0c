r"""Deep networks converge too, and move less than a width-free distance in every layer.

Settings ``convergence/deep-1``, ``-2`` and ``-3`` (claim ``convergence/C1-deep``): S1's points with nets of
seven, ReLU networks with H trained layers, steps 0.4/(mH), every layer kept within :math:`6/\sqrt m` of its
start. Theorem of Gao et al. [recalled]: balls of :math:`R/\sqrt m` suffice at width :math:`m \ge \Theta(R^9
H^{16}/\epsilon^7)`.

Expect the attacked loss to fall to a few hundredths or less for every depth, and the largest move of a
layer times :math:`\sqrt m` not to grow with m. The theorem's width, at H = 3 another :math:`3^{16}` times
larger, is vacuous.
"""

import sys

import numpy as np
from _convergence import DARK, LIGHT, MIDDLE, processes
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.convergence.measures import course
from featsim.plotting import draw_seeds, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.theory import theorem_width
from featsim.training import Recording

SEEDS = {"quick": 1, "default": 5, "full": 20}
WIDTHS = {"quick": [32, 64], "default": [32, 64, 128], "full": [32, 64, 128, 256, 512]}
DEPTHS = (1, 2, 3)
LOOKS = ((DARK, "o"), (MIDDLE, "s"), (LIGHT, "D"))
BALL = 6.0
NAMES = ("loss", "least_loss", "largest_distance", "robust_accuracy")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenarios = [get_scenario(f"convergence/deep-{depth}") for depth in DEPTHS]
    if size == "quick":
        scenarios = [each.with_settings({"schedule.n_steps": 120}) for each in scenarios]
    return {"scenarios": scenarios, "widths": WIDTHS[size], "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every depth at every width."""
    items = [
        (spec_from_dict(each).with_settings({"model.width": width}), seed)
        for each in config["scenarios"]
        for width in config["widths"]
        for seed in config["seeds"]
    ]
    found = map_runs(one_run, items, jobs=processes(config, jobs), progress=True, label="deep networks")
    shape = len(DEPTHS), len(config["widths"]), len(config["seeds"])
    return {
        name: np.array([run[name] for run in found]).reshape(*shape, *np.shape(found[0][name]))
        for name in NAMES
    }


def one_run(item: tuple[Scenario, int]) -> Arrays:
    """Return what one training shows."""
    scenario, seed = item
    trace = scenario.run("adversarial", seed, recording=Recording(every=1))
    return course(Run(scenario, "adversarial", seed, trace))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw losses at one width, then least loss and move against width."""
    figure = new_figure(2.6)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.4, 1, 1))
    widths = config["widths"]
    at = widths.index(64)
    for row, (depth, (color, marker)) in enumerate(zip(DEPTHS, LOOKS, strict=True)):
        loss = np.median(arrays["loss"][row, at], axis=0)
        left.plot(loss, color=color, linewidth=1.3, label=f"H = {depth}")
        for ax, name in ((middle, "least_loss"), (right, "largest_distance")):
            draw_seeds(
                ax, widths, arrays[name][row].T, color=color, marker=marker, markevery=1, linewidth=1.3
            )
    left.set_yscale("log")
    left.set_xlabel("step")
    left.set_ylabel("attacked loss $L_A$")
    left.legend(loc="upper right")
    left.set_title(f"(a) m = 64, median of {arrays['loss'].shape[2]} seeds")
    middle.set_yscale("log")
    middle.set_ylabel(r"$\min_t L_A(W_t)$")
    middle.set_title("(b) least attacked loss")
    right.set_ylim(0, 1.05 * BALL)
    right.axhline(BALL, color="black", linewidth=0.9, linestyle=(0, (4, 2)))
    right.text(0.97, 5.9, "ball", transform=right.get_yaxis_transform(), ha="right", va="top", fontsize=7)
    right.set_ylabel(r"largest layer move $\times\,\sqrt{m}$")
    right.set_title("(c) move of a layer")
    for ax in (middle, right):
        ax.set_xscale("log")
        ax.set_xticks(widths, [str(width) for width in widths])
        ax.set_xticks([], minor=True)
        ax.set_xlabel("width m")
    powers = [int(np.log10(theorem_width(BALL, 0.1, depth))) for depth in DEPTHS]
    asked = r"theorem asks for m of" + "\n" + rf"order $10^{{{powers[0]}}}$ to $10^{{{powers[-1]}}}$"
    middle.text(0.97, 0.97, asked, transform=middle.transAxes, ha="right", va="top", fontsize=7)
    middle.set_ylim(top=8.0 * float(arrays["least_loss"].max()))
    accuracy = float(arrays["robust_accuracy"].mean())
    left.text(0.03, 0.04, f"robust accuracy {accuracy:.2f}", transform=left.transAxes, va="bottom")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
