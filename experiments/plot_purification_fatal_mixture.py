r"""Small but fatal: how little mixture suffices at large d, what the leak does, and its removal.

The exact population recursion on the symmetric manifold, k = 2, n = 3 neurons per feature: no samples, no
network, O(k^2) a step at any d. (a) For each d the ratio r = s/b is chosen so that the clean-trained net
loses half of its accuracy at the l2 radius 0.17; drawn are the leak :math:`2\Phi(-1/r)` of a silent neuron,
beta/c, :math:`\mu = \sqrt{d-1}\,\beta/c` and the dense share Q, with fitted exponents (95 % intervals) and
the predicted ones in brackets: the mixture that is just fatal shrinks to nothing [derived]. (b) The
half-accuracy radius of these nets before and after adversarial training with the usual steps e d, e = 0.02,
and of clean nets at a fixed r. (c) Their dense shares. At fixed r = 0.42 silent neurons leak as much at
every d, and the share turns up; without leak (r = 0.2) it falls like 1/d and is harmless [derived]. (d) Nets
that are nearly all mixture need smaller steps: the radius after adversarial training for the same total
time by e, at three pairs of d and r [measured]. Claims ``purification/fatal-mixture``,
``purification/fatal-removed``, ``purification/no-leak``, ``purification/fixed-leak`` and
``purification/large-d``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.purification.population_measures import (
    fatal_mixture,
    population_adversarial,
    population_clean,
)
from featsim.claims.statistics import log_slope
from featsim.plotting import COLOURS, new_figure
from featsim.sweeps import map_runs
from featsim.theory import Population, half_accuracy_radius

DIMS = {
    "quick": (200, 1600, 25600),
    "default": (200, 400, 800, 1600, 6400, 25600),
    "full": (100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 102400),
}
RATES = {"quick": (0.02, 0.001), "default": (0.02, 0.01, 0.005, 0.002, 0.001)}
STARTS = ((1600, 0.42), (6400, 0.38), (25600, 0.36))
FIXED = {"leaky": 0.42, "quiet": 0.2}
CURVES = {
    "mixture_ratio": (r"$\mu$", "-1/4", COLOURS["robust"], "^"),
    "dense_share": ("$Q$", "-1/2", COLOURS["dense-mixture"], "o"),
    "leak": ("leak $A(0)$", "-3/4", COLOURS["nonrobust"], "v"),
    "dense_to_pure": (r"$\beta/c$", "-3/4", "0.25", "s"),
}
LEAKY: dict[str, Any] = {"color": COLOURS["nonrobust"], "marker": "v", "label": "clean, r = 0.42"}
QUIET: dict[str, Any] = {"color": COLOURS["robust"], "marker": "^", "label": "clean, r = 0.2"}
FATAL: dict[str, Any] = {
    "color": COLOURS["standard"],
    "marker": "o",
    "markerfacecolor": "white",
    "label": "clean, just fatal",
}
PURIFIED: dict[str, Any] = {"color": COLOURS["adversarial"], "marker": "s", "label": "that, purified"}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "dims": list(DIMS[size]),
        "rates": list(RATES.get(size, RATES["default"])),
        "starts": [list(start) for start in STARTS],
        "fixed": FIXED,
        "radius": 0.17,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Find the fatal mixture at each d, then train large populations adversarially."""
    items = [(config["radius"], dim, config["fixed"]) for dim in config["dims"]]
    found = map_runs(one_dim, items, jobs=jobs, progress=True, label="dimensions")
    arrays: Arrays = {name: np.array([point[name] for point in found]) for name in found[0]}
    pairs = [(dim, ratio, config["rates"]) for dim, ratio in config["starts"]]
    ends = map_runs(one_start, pairs, jobs=jobs, progress=True, label="step sizes")
    arrays["start_radius"] = np.array([clean for clean, _ in ends])
    arrays["robust_radius"] = np.array([robust for _, robust in ends])
    return arrays


def one_dim(item: tuple[float, int, dict[str, float]]) -> dict[str, float]:
    """Return the fatal mixture at one dimension, and clean nets at fixed ratios."""
    radius, dim, fixed = item
    point = fatal_mixture(dim, radius)
    population = Population(dim, 2.0)
    for name, ratio in fixed.items():
        path, state = population_clean(population, ratio)
        point[f"{name}_share"] = float(path.dense_share[-1])
        point[f"{name}_radius"] = half_accuracy_radius(population, state)
    return point


def one_start(item: tuple[int, float, list[float]]) -> tuple[float, list[float]]:
    """Return the half-accuracy radius after clean training, and after adversarial at each step size."""
    dim, ratio, rates = item
    population = Population(int(dim), 2.0)
    clean = population_clean(population, ratio)[1]
    ends = [population_adversarial(population, ratio, clean, rate)[1] for rate in rates]
    return half_accuracy_radius(population, clean), [half_accuracy_radius(population, end) for end in ends]


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the scaling laws above, what the leak does and the step sizes below."""
    figure = new_figure(5.0)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    dims = np.array(config["dims"], dtype=float)
    for name, (label, predicted, color, marker) in CURVES.items():
        fit = log_slope(dims, arrays[name])
        text = f"{label}: {fit.value:.2f} [{fit.low:.2f}, {fit.high:.2f}] ({predicted})"
        first.plot(dims, arrays[name], color=color, marker=marker, linewidth=1.6, label=text)
    first.set_ylim(arrays["dense_to_pure"].min() / 100, 1.0)
    first.legend(loc="lower left", title="fit [95 %] (predicted)")
    first.set_title(f"(a) clean net that falls at radius {config['radius']:g}")
    draw_lines(second, dims, arrays, ("leaky_radius", "quiet_radius"), config["radius"], "purified_radius")
    second.set_ylim(0.0, 0.95)
    second.set_ylabel("half-accuracy radius")
    second.set_title("(b) radius")
    second.legend(loc="upper left", ncols=2)
    draw_lines(third, dims, arrays, ("leaky_share", "quiet_share"), arrays["dense_share"], "purified_share")
    third.set_yscale("log")
    third.set_ylim(arrays["purified_share"].min() / 3, 50.0)
    third.set_yticks([1e-6, 1e-4, 1e-2, 1])
    third.set_ylabel("dense share Q")
    third.set_title("(c) dense share")
    third.legend(loc="upper left", ncols=2)
    for ax in (first, second, third):
        ax.set_xscale("log")
        ax.set_xlabel("dimension d")
    first.set_yscale("log")
    draw_rates(fourth, arrays, config)
    return figure


def draw_lines(
    ax: Any, dims: np.ndarray, arrays: Arrays, fixed: tuple[str, str], fatal: Any, purified: str
) -> None:
    """Draw what becomes of nets at fixed ratios, of the just fatal ones, and of these after purification."""
    for values, look in (
        (arrays[fixed[0]], LEAKY),
        (arrays[fixed[1]], QUIET),
        (np.broadcast_to(fatal, dims.shape), FATAL),
        (arrays[purified], PURIFIED),
    ):
        ax.plot(dims, values, linewidth=1.6, **look)


def draw_rates(ax: Any, arrays: Arrays, config: Config) -> None:
    """Draw the radius after adversarial training against the step size."""
    rates = np.array(config["rates"])
    looks = (
        (COLOURS["nonrobust"], "v"),
        (COLOURS["robust"], "^"),
        (COLOURS["dense-mixture"], "o"),
    )
    for (dim, ratio), radii, before, (color, marker) in zip(
        config["starts"], arrays["robust_radius"], arrays["start_radius"], looks, strict=True
    ):
        text = f"d = {dim}, r = {ratio:g} (clean {before:.3f})"
        ax.plot(rates, radii, color=color, marker=marker, linewidth=1.6, label=text)
    ax.set_xscale("log")
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set_ylim(-0.02, 0.95)
    ax.set_xlabel("e, step size e d")
    ax.set_ylabel("half-accuracy radius")
    ax.set_title("(d) after adversarial training of mixtures")
    ax.legend(loc="upper left")


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
