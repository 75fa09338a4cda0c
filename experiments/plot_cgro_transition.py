r"""The transition against the number of samples: more samples are harder to memorise.

Setting ``cgro/A`` at d = 400, T = 150 N + 3000 steps, from the exact closure; check ``cgro/T5-size``
(derived). (a) Share of the attacked margin that the signal carries, :math:`\tilde\alpha^q U /
(\tilde\alpha^q U + V)`, against the training radius for four N: median over seeds, the middle 80 % as a
band. It crosses 1/2 at :math:`\rho^*`. (b) :math:`1 - \rho^*` against N, one dot per seed, large dots
where the mean over seeds crosses. Dashed: the slope :math:`-1/q = -1/3` of :math:`1-\rho^* = \frac1\alpha
[\frac{\sigma^2 d}{N} (v_0/u_I)^{q-2}]^{1/q}`. The title gives the exponent of the large dots with its 95 %
bootstrap interval over seeds.
"""

import itertools
import sys
from typing import Any

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from featsim.claims import statistics
from featsim.claims.cases import Run
from featsim.claims.cgro.measures import closure_times
from featsim.claims.cgro.radius import crossing, size_sweep
from featsim.claims.estimates import Estimate
from featsim.plotting import THEORY, draw_seeds, new_figure
from featsim.scenarios import Scenario
from featsim.specs import spec_from_dict

SEEDS = {"quick": 2, "default": 4, "full": 24}
GREYS = ("#f2a33a", "#c9672f", "#8c3b52", "#3d1c5c")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    sweep = {
        n: [[rho, scenario] for rho, scenario in points.items()]
        for n, points in size_sweep().items()
        if size != "quick" or n in (5, 20)
    }
    return {"sweep": {str(n): points for n, points in sweep.items()}, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Run the closure at every radius and size."""
    arrays: Arrays = {}
    for n, points in config["sweep"].items():
        scenarios = tuple(spec_from_dict(scenario) for _, scenario in points)
        found = over_seeds(one_run, scenarios[0], config["seeds"], jobs, f"N = {n}", scenarios)
        arrays[f"share_{n}"] = found["share"]
        arrays[f"ratio_{n}"] = np.array([rho for rho, _ in points])
    return arrays


def one_run(item: tuple[Scenario, int, tuple[Scenario, ...]]) -> Arrays:
    """Return the signal's share at the end at every radius."""
    _, seed, scenarios = item
    runs = [closure_times(Run(scenario, None, seed, None), "adversarial") for scenario in scenarios]
    return {"share": np.array([run["share"] for run in runs])}


def exponent(arrays: Arrays, sizes: list[int]) -> Estimate:
    """Return the exponent of 1 - rho* in N, with its interval over seeds."""
    widths = np.cumsum([0, *(len(arrays[f"ratio_{n}"]) for n in sizes)])
    table = np.concatenate([arrays[f"share_{n}"] for n in sizes], axis=1)

    def slope(shares: Any) -> float:
        means = [shares[:, a:b].mean(axis=0) for a, b in itertools.pairwise(widths)]
        left = [1.0 - crossing(arrays[f"ratio_{n}"], mean) for n, mean in zip(sizes, means, strict=True)]
        return float(np.polyfit(np.log(sizes), np.log(left), 1)[0]) if np.isfinite(left).all() else np.nan

    return statistics.resampled(table, slope)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw shares and the transition."""
    figure = new_figure(2.7)
    left, right = figure.subplots(1, 2)
    sizes, left_over = [int(n) for n in config["sweep"]], []
    for n, color, marker in zip(sizes, GREYS, "osD^", strict=False):
        ratios, shares = arrays[f"ratio_{n}"], arrays[f"share_{n}"]
        draw_seeds(left, ratios, shares, color=color, label=f"$N$ = {n}", marker=marker, markersize=4,
                   linewidth=1.5, markevery=1)  # fmt: skip
        found = np.array([crossing(ratios, share) for share in shares])
        left_over.append(1.0 - crossing(ratios, shares.mean(axis=0)))
        right.plot(np.full(len(found), n), 1.0 - found, "o", color=color, markersize=3, alpha=0.7)
        right.plot([n], left_over[-1:], marker, color=color, markersize=6)
    left.axhline(0.5, color="0.6", linewidth=0.6, zorder=1)
    left.set_xlabel(r"training radius $\delta/\alpha$")
    left.set_ylabel("signal's share of the attacked margin")
    left.set_title(f"(a) who carries the margin, {len(config['seeds'])} seeds")
    left.legend(loc="lower left")
    left.set_ylim(-0.03, 1.03)
    fit = exponent(arrays, sizes)
    middle = np.exp(np.mean(np.log(sizes))), np.exp(np.mean(np.log(left_over)))
    right.plot(sizes, middle[1] * (np.array(sizes) / middle[0]) ** (-1.0 / 3.0), **THEORY,
               label="slope $-1/q$ = -1/3")  # fmt: skip
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xticks(sizes, [str(n) for n in sizes])
    right.set_yticks([0.1, 0.15, 0.2, 0.25], ["0.1", "0.15", "0.2", "0.25"])
    for axis in (right.xaxis, right.yaxis):
        axis.set_minor_formatter(NullFormatter())
    right.set_xlabel("training samples $N$")
    right.set_ylabel(r"$1 - \rho^*$")
    right.set_title(f"(b) exponent {fit.value:.2f} [{fit.low:.2f}, {fit.high:.2f}]")
    right.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
