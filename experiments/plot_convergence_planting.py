r"""A robust function of the kernel's space can be planted near the start of a wide network.

Setting ``convergence/S1`` (claim ``convergence/C8``): the function f is the robust interpolant of the
closed-form kernel, within 0.3 of the label on every arc; planting moves each neuron by :math:`a_r
m^{-1/2}\sum_j\beta_j\sigma'(w_r^\top z_j) z_j` [derived]. This is how the existence of robust networks near
the start is shown: :math:`m = \Omega(R^4/\epsilon^2)` [recalled].

Expect the tangent model's error to fall like :math:`m^{-1/2}`, the distance from the start to approach the
norm of f, and the network to leave its tangent model by 1/m only, as pairs cancel the second order.
"""

import sys

import numpy as np
from _convergence import (
    DARK,
    LIGHT,
    MIDDLE,
    exponent_text,
    guide,
    log_axes,
    measure_seeds,
    processes,
    stack,
    tick_axis,
)
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.convergence.function_space import PLANT_WIDTHS, TOLERANCE
from featsim.claims.convergence.measures import planting_sweep
from featsim.plotting import THEORY, draw_seeds, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict

SCENARIO = "convergence/S1"
SEEDS = {"quick": 2, "default": 20, "full": 100}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario(SCENARIO),
        "widths": PLANT_WIDTHS[:3] if size == "quick" else PLANT_WIDTHS,
        "tolerance": TOLERANCE,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Plant in networks of every width."""
    scenario, widths = spec_from_dict(config["scenario"]), tuple(config["widths"])
    found = measure_seeds(
        planting_sweep,
        scenario,
        config["seeds"],
        widths,
        config["tolerance"],
        jobs=processes(config, jobs),
        label="planting",
    )
    return stack(found, ("error", "ratio", "tangent_gap", "norm"))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw errors and the ratio of distance to norm against width."""
    figure = new_figure(2.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    widths = config["widths"]
    for name, color, marker, words in (
        ("error", MIDDLE, "o", "tangent model $-$ f"),
        ("tangent_gap", LIGHT, "s", "network $-$ tangent model"),
    ):
        text = f"{words}, exponent {exponent_text(widths, arrays[name])}"
        draw_seeds(
            left, widths, arrays[name], color=color, marker=marker, markevery=1, linewidth=1.5, label=text
        )
    middle = np.median(arrays["error"], axis=0)
    guide(left, widths, 1.8 * float(middle[0]), -0.5, "$m^{-1/2}$", above=True)
    guide(left, widths, 0.35 * float(np.median(arrays["tangent_gap"], axis=0)[0]), -1.0, "$m^{-1}$", at=2)
    log_axes(left, widths, "width m")
    left.set_ylabel("largest difference on the arcs")
    left.set_ylim(bottom=0.03 * float(arrays["tangent_gap"].min()))
    left.legend(loc="lower left")
    left.set_title("(a) errors of planting")
    draw_seeds(right, widths, arrays["ratio"], color=DARK, marker="o", markevery=1, linewidth=1.5)
    right.axhline(1.0, **THEORY)
    right.set_xscale("log")
    tick_axis(right, widths, "width m")
    right.set_ylabel(r"$|W - W_0|_F\ /\ |f|_H$")
    right.set_title(f"(b) distance over norm (about {float(np.median(arrays['norm'])):.1f})")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
