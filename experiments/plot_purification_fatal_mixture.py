r"""Small but fatal: how little mixture suffices at large d, and that adversarial training removes it.

The exact population recursion on the symmetric manifold, k = 2, n = 3 neurons per feature: no samples, no
network, O(k^2) a step at any d. (a) For each d the ratio r = s/b is chosen so that the clean-trained net
loses half of its accuracy at the l2 radius 0.17; drawn are the leak :math:`2\Phi(-1/r)` of a silent neuron,
beta/c, :math:`\mu = \sqrt{d-1}\,\beta/c` and the dense share Q, with fitted exponents (95 % intervals) and
the predicted ones in brackets: the mixture that is just fatal shrinks to nothing [derived]. (b) Adversarial
training of the population at the step size e d for the same total time, at ratios at which clean nets are
nearly all mixture: the half-accuracy radius it ends at. At large d the usual e = 0.02 is too large and
collapses; small enough steps restore the pure net [measured]. Claims ``purification/fatal-mixture`` and
``purification/large-d``.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.purification.closed_form import (
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
RATES = {
    "quick": (0.02, 0.001),
    "default": (0.02, 0.01, 0.005, 0.002, 0.001),
    "full": (0.02, 0.01, 0.005, 0.002, 0.001),
}
STARTS = ((1600, 0.42), (6400, 0.38), (25600, 0.36))
CURVES = {
    "mixture_ratio": (r"$\mu$", "-1/4", COLOURS["robust"], "^"),
    "dense_share": ("$Q$", "-1/2", COLOURS["dense-mixture"], "o"),
    "leak": ("leak $A(0)$", "-3/4", COLOURS["nonrobust"], "v"),
    "dense_to_pure": (r"$\beta/c$", "-3/4", "0.25", "s"),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "dims": list(DIMS[size]),
        "rates": list(RATES[size]),
        "starts": [list(start) for start in STARTS],
        "radius": 0.17,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Find the fatal mixture at each d, then train large populations adversarially."""
    items = [(config["radius"], dim) for dim in config["dims"]]
    found = map_runs(one_dim, items, jobs=jobs, progress=True, label="dimensions")
    arrays: Arrays = {name: np.array([point[name] for point in found]) for name in found[0]}
    pairs = [(dim, ratio, config["rates"]) for dim, ratio in config["starts"]]
    ends = map_runs(one_start, pairs, jobs=jobs, progress=True, label="step sizes")
    arrays["clean_radius"] = np.array([clean for clean, _ in ends])
    arrays["robust_radius"] = np.array([robust for _, robust in ends])
    return arrays


def one_dim(item: tuple[float, int]) -> dict[str, float]:
    """Return the fatal mixture at one dimension."""
    return fatal_mixture(*item)


def one_start(item: tuple[int, float, list[float]]) -> tuple[float, list[float]]:
    """Return the half-accuracy radius after clean training, and after adversarial at each step size."""
    dim, ratio, rates = item
    population = Population(int(dim), 2.0)
    path, state = population_clean(population, ratio)
    robust = []
    for rate in rates:
        with np.errstate(all="ignore"):  # too large a step is the point
            _, end = population_adversarial(
                population, ratio, float(path.pure[-1]), float(path.dense[-1]), rate
            )
        robust.append(half_accuracy_radius(population, end))
    return half_accuracy_radius(population, state), robust


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the scaling laws on the left and the step sizes on the right."""
    figure = new_figure(3.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    dims = np.array(config["dims"], dtype=float)
    for name, (label, predicted, color, marker) in CURVES.items():
        fit = log_slope(dims, arrays[name])
        text = f"{label}: {fit.value:.2f} [{fit.low:.2f}, {fit.high:.2f}] ({predicted})"
        left.plot(dims, arrays[name], color=color, marker=marker, linewidth=1.6, label=text)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_xlabel("dimension d")
    left.set_title(f"(a) clean net that falls at radius {config['radius']:g}: exponents")
    left.set_ylim(arrays["dense_to_pure"].min() / 30, 1.0)
    left.legend(loc="lower left", title="fit [95 %] (predicted)")
    rates = np.array(config["rates"])
    for (dim, ratio), radii, before, color, marker in zip(
        config["starts"],
        arrays["robust_radius"],
        arrays["clean_radius"],
        (COLOURS["nonrobust"], COLOURS["robust"], COLOURS["dense-mixture"]),
        ("v", "^", "o"),
        strict=True,
    ):
        text = f"d = {dim}, r = {ratio:g} (clean {before:.3f})"
        right.plot(rates, radii, color=color, marker=marker, linewidth=1.6, label=text)
    right.set_xscale("log")
    right.set_xticks(rates, [f"{rate:g}" for rate in rates])
    right.minorticks_off()
    right.set_ylim(-0.02, 0.95)
    right.set_xlabel("e, step size e d")
    right.set_ylabel("half-accuracy radius")
    right.set_title("(b) after adversarial training")
    right.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
