"""Robust fits get expensive as arcs of opposite labels close in on each other.

Four points with alternating labels on the circle (claim ``convergence/C10``); the arcs fill all but a gap
between neighbours. Drawn is the norm of the robust interpolant, within 0.3 of the label on every arc, in
the space of each kernel (an upper estimate: ridge parameter bisected until the error is met). The norm is
the radius R that the theorems ask for.

Expect it to grow as the gap shrinks [derived], like a power, and faster for the quadratic ReLU: its
smoother functions pay more for sharp boundaries. Growth that is exponential in the dimension, as the theory
allows, would need many dimensions and is not seen here.
"""

import sys

import numpy as np
from _convergence import DARK, LIGHT, log_axes
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.convergence.baselines import gap_norms
from featsim.claims.convergence.function_space import GAPS, TOLERANCE
from featsim.plotting import new_figure

SIZES = {"quick": 21, "default": 41, "full": 161}
LOOKS = {"relu": (LIGHT, "s", "ReLU"), "quadratic-relu": (DARK, "o", "quadratic ReLU")}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {"gaps": GAPS, "tolerance": TOLERANCE, "net_size": SIZES[size]}


def compute(config: Config, jobs: int) -> Arrays:
    """Fit for every gap with both kernels."""
    arguments = tuple(config["gaps"]), config["tolerance"], config["net_size"]
    return {name.replace("-", "_"): gap_norms(name, *arguments) for name in LOOKS}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw norm against gap."""
    figure = new_figure(2.5, 3.9)
    ax, gaps = figure.subplots(), np.array(config["gaps"])
    for name, (color, marker, words) in LOOKS.items():
        norms = arrays[name.replace("-", "_")]
        slope = np.polyfit(np.log(gaps[2:]), np.log(norms[2:]), 1)[0]
        text = f"{words}, exponent {slope:.1f} below 0.4"
        ax.plot(gaps, norms, marker=marker, color=color, linewidth=1.5, label=text)
    log_axes(ax, gaps.tolist(), "gap between arcs of opposite label")
    ax.invert_xaxis()
    ax.set_ylabel("norm of the robust interpolant")
    ax.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
