"""The wider the network, the lazier: kernel drift, moves of neurons, distance to the tangent model.

Setting ``convergence/S1`` (claim ``convergence/C6``) at widths 64 to 4096, for a smooth activation with
paired and plain start, softplus, and ReLU. Largest values along a run: relative change of the tangent
kernel on the probes, largest move of a neuron, largest distance between the network and its linearisation
at the start.

Expect [derived] exponents of at most -1/2, and more for the drift: the signs of the output layer average
the first-order term out, so that a smooth activation drifts like 1/m and ReLU, with about sqrt(m) gates
flipped, like m^(-3/4). Neurons move like 1/sqrt(m). A check that asked for -1/2 of the drift would fail a
correct program. The gap to the tangent model stays below its worst case beta R^2/(2 sqrt m), dashed for the
quadratic ReLU with paired start.
"""

import sys

import numpy as np
from _convergence import exponent_text, guide, log_axes, measure_seeds, processes
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.convergence.descent import LAZY, LAZY_STEPS, LAZY_WIDTHS
from featsim.claims.convergence.measures import lazy_sweep
from featsim.plotting import THEORY, draw_seeds, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict

SCENARIO = "convergence/S1"
SEEDS = {"quick": 2, "default": 4, "full": 20}
LOOKS = (("#111111", "o"), ("#8a8a8a", "s"), ("#2b7bba", "^"), ("#f2a33a", "D"))
PANELS = {
    "drift": ("(a) kernel drift", r"$\max_t |K_t - K_0|_F / |K_0|_F$"),
    "move": ("(b) largest move of a neuron", r"$\max_{t,r} |w_r - w_r(0)|$"),
    "tangent_gap": ("(c) gap to tangent model", r"$\max_{t,x} |f - f_{lin}|$"),
}
BOUND = "gap_bound"


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    widths = LAZY_WIDTHS[:2] if size == "quick" else LAZY_WIDTHS
    return {
        "scenario": get_scenario(SCENARIO),
        "widths": widths,
        "n_steps": 60 if size == "quick" else LAZY_STEPS,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every network at every width."""
    scenario, widths, arrays = spec_from_dict(config["scenario"]), tuple(config["widths"]), {}
    for number, (activation, paired, words) in enumerate(LAZY):
        arguments = (widths, activation, paired, config["n_steps"])
        found = measure_seeds(
            lazy_sweep, scenario, config["seeds"], *arguments, jobs=processes(config, jobs), label=words
        )
        arrays |= {f"net{number}_{name}": np.array([run[name] for run in found]) for name in (*PANELS, BOUND)}
    return arrays


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the three measures of laziness against width."""
    figure = new_figure(3.2)
    axes, widths = figure.subplots(1, 3), config["widths"]
    for ax, (name, (title, label)) in zip(axes, PANELS.items(), strict=True):
        for number, (color, marker) in enumerate(LOOKS):
            values = arrays[f"net{number}_{name}"]
            text = exponent_text(widths, values)
            draw_seeds(ax, widths, values, color=color, marker=marker, markevery=1, linewidth=1.3, label=text)
        ax.set_title(title)
        ax.set_ylabel(label)
        low, high = (float(f([arrays[f"net{i}_{name}"] for i in range(len(LAZY))])) for f in (np.min, np.max))
        log_axes(ax, widths, "width m")
        if name == "tangent_gap":
            bound = arrays[f"net0_{BOUND}"].mean(axis=0)
            high = 1.7 * float(bound[0])
            ax.plot(widths, bound, **THEORY)
            text = r"worst case $\beta R^2/2\sqrt{m}$"
            ax.text(0.98, 0.98, text, transform=ax.transAxes, ha="right", va="top", fontsize=7)
        else:
            guide(ax, widths, 1.4 * high, -0.5, "$m^{-1/2}$", above=True, at=int(len(widths) > 2))
        ax.set_ylim(0.02 * low if name != "move" else 0.12 * low, 3.0 * high)
        ax.legend(loc="lower left", title="exponent", fontsize=6.8)
    lines = axes[0].get_lines()[: len(LAZY)]
    figure.legend(lines, [words for _, _, words in LAZY], loc="outside upper center", ncols=4)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
