"""Without a constant coordinate the kernels lack harmonics; with one they lack none.

Fourier spectrum of the tangent kernels on a circle of the slice :math:`x_d = c`, closed forms, no training
(claim ``convergence/C9``). On the full sphere (c = 0) ReLU has no odd harmonic from the third on and
quadratic ReLU no even one from the fourth on, so that labels which alternate at that frequency are
orthogonal to everything the kernel can fit [derived].

Expect values at rounding level exactly there for c = 0, drawn at the bottom, and none for c = 1/2: this is
why the theory's inputs carry a constant coordinate.
"""

import sys

import numpy as np
from _convergence import LIGHT, MIDDLE
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.convergence.baselines import harmonics
from featsim.plotting import new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict

SHOWN = {"quick": 11, "default": 13, "full": 21}
FLOOR = 1e-18
NAMES = {"relu": ("(a) ReLU", 6), "quadratic-relu": ("(b) quadratic ReLU", 8)}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {"scenario": get_scenario("convergence/S1"), "shown": SHOWN[size]}


def compute(config: Config, jobs: int) -> Arrays:
    """Return spectra, and what alternating labels leave over."""
    found = harmonics(Run(spec_from_dict(config["scenario"]), None, 0, None))
    keys = str.maketrans(" -.=", "____")
    return {key.translate(keys): np.asarray(value) for key, value in found.items()}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the spectra of both kernels with and without a constant."""
    figure = new_figure(2.5)
    order = np.arange(config["shown"])
    for ax, (name, (title, n_points)) in zip(figure.subplots(1, 2, sharey=True), NAMES.items(), strict=True):
        key = name.replace("-", "_")
        for place, constant, color, words in ((-0.2, "0", LIGHT, "c = 0"), (0.2, "0_5", MIDDLE, "c = 1/2")):
            values = np.maximum(arrays[f"{key}_spectrum_{constant}"][: order.size], FLOOR)
            ax.vlines(order + place, FLOOR, values, color=color, linewidth=3.5, label=words)
            missing = order[values < 1e-15] + place
            ax.plot(missing, np.full(missing.size, 3 * FLOOR), "x", color="black", markersize=4)
        ax.plot([], [], "x", color="black", markersize=4, label="missing (rounding)")
        rest = [float(arrays[f"{key}_residual_{c}_n_{n_points}"]) for c in ("0", "0_5")]
        ax.set_title(title)
        text = f"{n_points} alternating arcs, not fitted: {rest[0]:.0%} at c = 0, {rest[1]:.0%} at c = 1/2"
        ax.text(0.98, 0.98, text, transform=ax.transAxes, ha="right", va="top", fontsize=7)
        ax.set_yscale("log")
        ax.set_ylim(FLOOR, 1e3)
        ax.set_xticks(order)
        ax.set_xlabel("harmonic")
        ax.grid(False, axis="x")
    figure.axes[0].set_ylabel("Fourier coefficient of K")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
