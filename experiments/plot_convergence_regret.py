r"""Average regret falls like 1/sqrt(T), and never crosses its exact bound.

Setting ``convergence/ball``, claims ``convergence/C3`` and ``convergence/C2`` (S1 in a ball of radius R =
1.5) with step size :math:`R/\sqrt T` for each horizon T. Compared with W*, the best weights that a long
training finds in the ball: the average of the attacked loss less the robust loss of W*, and the exact bound
:math:`D^2/(2\alpha T) + (\alpha/2)\,\overline{|g|^2}` plus the average slack (derived, exact;
every quantity measured).

Expect the exponent -1/2 for regret and bound, no crossing in any run, and the least loss to approach the
optimum far faster than the theorem's average does: the bound is about averages.
"""

import sys

import numpy as np
from _convergence import DARK, LIGHT, MIDDLE, exponent_text, guide, log_axes, measure_seeds, processes, stack
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.convergence.measures import OPTIMUM_STEPS, regret_by_horizon
from featsim.plotting import draw_seeds, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict

SCENARIO = "convergence/ball"
HORIZONS = {
    "quick": [25, 50, 100, 200],
    "default": [25, 50, 100, 200, 400, 800],
    "full": [25, 50, 100, 200, 400, 800, 1600],
}
SEEDS = {"quick": 2, "default": 6, "full": 30}
NAMES = ("regret", "bound", "gap", "violation", "optimum")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario(SCENARIO),
        "horizons": HORIZONS[size],
        "n_optimum": OPTIMUM_STEPS // 3 if size == "quick" else OPTIMUM_STEPS,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train to every horizon with the step size that suits it."""
    scenario, horizons = spec_from_dict(config["scenario"]), tuple(config["horizons"])
    arguments = horizons, config["n_optimum"]
    found = measure_seeds(
        regret_by_horizon,
        scenario,
        config["seeds"],
        *arguments,
        jobs=processes(config, jobs),
        label="horizons",
    )
    return stack(found, NAMES)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw regret and bound, and the gap of the least loss, against T."""
    figure = new_figure(2.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    horizons = config["horizons"]
    for name, color, label in (("bound", LIGHT, "exact bound"), ("regret", DARK, "average regret")):
        text = f"{label}, exponent {exponent_text(horizons, arrays[name])}"
        draw_seeds(
            left, horizons, arrays[name], color=color, marker="o", markevery=1, label=text, linewidth=1.5
        )
    guide(left, horizons, 0.75 * float(np.median(arrays["regret"], axis=0)[0]), -0.5, "$T^{-1/2}$", at=2)
    log_axes(left, horizons, "horizon T")
    left.set_yticks([0.02, 0.05, 0.1, 0.2], ["0.02", "0.05", "0.1", "0.2"])
    left.set_ylabel("average over T steps, less $L_*(W^*)$")
    left.legend(loc="lower left")
    worst = float((arrays["regret"] - arrays["bound"]).max())
    left.text(
        0.98, 0.97, f"regret $-$ bound at most ${worst:.4f}$", transform=left.transAxes, ha="right", va="top"
    )
    left.set_title("(a) average regret and bound")
    gap = np.maximum(arrays["gap"], 1e-9)
    draw_seeds(right, horizons, gap, color=MIDDLE, marker="o", markevery=1, linewidth=1.5)
    log_axes(right, horizons, "horizon T")
    right.set_ylabel(r"$\min_t L_A(W_t) - L_*(W^*)$")
    right.set_title("(b) gap of the least loss")
    right.text(
        0.97, 0.97, "values below $10^{-9}$\nare drawn there", transform=right.transAxes, ha="right", va="top"
    )
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
