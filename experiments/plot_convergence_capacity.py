"""Fitting robustly takes a wider network than fitting.

Setting ``convergence/capacity`` (claims ``convergence/C12``, ``convergence/C12-small-radius``,
``convergence/C12-dimension`` and, for the bound, ``convergence/C11``): random points on a sphere, scaled so
that opposite labels are at least 2 apart; l2 balls of radius rho < 1; ReLU networks with biases, both layers
trained by Adam. The least width at which one of three starts fits all points, plainly, or under five attacks
of 28 steps. Robust interpolation of all sets of n points needs VC dimension of order n d, where plain
interpolation needs n [source, in words].

Expect wider networks for adversarial training, both widths to grow with n, and the ratio to grow with rho:
about 2 at rho = 0.8, hardly above 1 at rho = 0.4, where few seeds can show more. Widths are bounds from
above: a failure may be one of optimisation. Growth of the width with d, which the capacity bound suggests
for parameters, is not seen at these sizes: n <= 2d random labels are nearly linearly separable, and the
number of parameters of a neuron grows with d already.
"""

import sys

import numpy as np
from _convergence import processes
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.convergence.baselines import least_widths
from featsim.claims.convergence.models import SIZES
from featsim.plotting import TRAININGS, new_figure
from featsim.scenarios import Scenario
from featsim.scenarios.convergence import capacity
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs

SEEDS = {"quick": 2, "default": 5, "full": 30}
LARGE = ((0.8, 32, 4), (0.8, 32, 8), (0.9, 16, 4))
NAMES = ("standard", "adversarial")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    sizes = {"quick": SIZES[1:2], "default": SIZES, "full": (*SIZES, *LARGE)}[size]
    return {
        "scenarios": [capacity(*chosen) for chosen in sizes],
        "sizes": sizes,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Find the least widths of every size and seed."""
    items = [(spec_from_dict(each), seed) for each in config["scenarios"] for seed in config["seeds"]]
    found = map_runs(one_search, items, jobs=processes(config, jobs), progress=True, label="least widths")
    shape = len(config["sizes"]), len(config["seeds"])
    return {name: np.array([run[name] for run in found]).reshape(shape) for name in NAMES}


def one_search(item: tuple[Scenario, int]) -> Arrays:
    """Return the least widths of one data set."""
    return least_widths(Run(item[0], None, item[1], None))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw a dot per seed and the mean, standard beside adversarial."""
    figure = new_figure(2.6, 5.4)
    ax, rows = figure.subplots(), len(config["sizes"])
    for place, name in zip((-0.18, 0.18), NAMES, strict=True):
        look = {k: v for k, v in TRAININGS[name].items() if k != "linewidth"}
        for row, widths in enumerate(arrays[name]):
            found = np.sort(widths)
            spread = 0.1 * np.linspace(-1, 1, len(found)) if len(found) > 1 else np.zeros(len(found))
            label = f"{name} training" if row == 0 else None
            ax.plot(row + place + spread, found, linestyle="none", markersize=3.2, label=label, **look)
            ax.plot(
                [row + place - 0.15, row + place + 0.15], [found.mean()] * 2, color="black", linewidth=1.4
            )
    ratio = np.mean(arrays["adversarial"] / arrays["standard"], axis=1)
    top = 1.45 * float(np.max(arrays["adversarial"]))
    for row, value in enumerate(ratio):
        ax.text(row, top, f"x {value:.1f}", ha="center", va="top", fontsize=7.5)
    ax.set_yscale("log", base=2)
    ticks = [1, 2, 4, 8, 16, 32, 48]
    ax.set_yticks([t for t in ticks if t <= top], [str(t) for t in ticks if t <= top])
    ax.set_ylim(0.85, 1.1 * top)
    ax.set_xticks(range(rows), [rf"$\rho$ = {r:g}" + f"\nn = {n}, d = {d}" for r, n, d in config["sizes"]])
    ax.set_ylabel("least width")
    ax.grid(False, axis="x")
    n_seeds = arrays["standard"].shape[1]
    lines = [f"{n_seeds} seeds; bar: mean; above: mean ratio, adversarial over standard"]
    sizes = [tuple(size) for size in config["sizes"]]
    if (0.8, 16, 4) in sizes and (0.8, 16, 8) in sizes:
        few, many = (arrays["adversarial"][sizes.index((0.8, 16, d))].mean() for d in (4, 8))
        seen = "seen" if many > 1.3 * few else "not seen"
        lines.append(f"growth with d {seen}: adversarial, n = 16, d = 8 over d = 4: x {many / few:.2f}")
    ax.set_title("\n".join(lines), fontsize=8)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
