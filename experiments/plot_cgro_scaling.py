r"""Scaling of the stage times: what the blow-up laws say, and what the exact closure does.

Setting ``cgro/A`` with one quantity swept at a time, checks ``cgro/T2-scaling`` and ``cgro/T2-start``
(derived), from the exact closure. Time of memorisation :math:`t_{III}` (median over samples of the first
step with :math:`V_i \ge 1`) against N, lambda, alpha (with :math:`\eta \sim \alpha^{-2}`), noise norm and
:math:`\sigma_0`, and time of the signal :math:`t_I` against :math:`\sigma_0`: one dot per seed, large
dots medians. Dashed: the law's exponent through the middle median. Each title gives the exponent of the
medians with its 95 % bootstrap interval over seeds, and the law's. Expect agreement in the
first four; :math:`t_{III}` falls faster than :math:`1/v_0` with :math:`\sigma_0` and noise norm, because
the initial products :math:`v_0` are not small at these sizes.
"""

import sys

import numpy as np
from _cgro import MEMORY, SIGNAL, over_seeds
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from featsim.claims.cases import Run
from featsim.claims.cgro.measures import closure_times
from featsim.claims.cgro.scaling import SIGNAL_SWEEP, TIME_LAWS, TIME_SWEEPS, median_exponent
from featsim.plotting import THEORY, new_figure
from featsim.scenarios import Scenario
from featsim.specs import spec_from_dict

SEEDS = {"quick": 2, "default": 10, "full": 60}
LABELS = {
    "N": "training samples $N$",
    "lambda": r"weight $\lambda$",
    "alpha": r"signal strength $\alpha$",
    "noise norm": r"noise norm $\sigma\sqrt{d}$",
    "sigma_0": r"initialisation $\sigma_0$",
    "signal": r"initialisation $\sigma_0$",
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    sweeps = {**TIME_SWEEPS, "signal": SIGNAL_SWEEP}
    return {
        "sweeps": {name: [[x, scenario] for x, scenario in sweep.items()] for name, sweep in sweeps.items()},
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Run the closure at every point of every sweep."""
    arrays: Arrays = {}
    for name, points in config["sweeps"].items():
        scenarios = tuple(spec_from_dict(scenario) for _, scenario in points)
        found = over_seeds(one_run, scenarios[0], config["seeds"], jobs, name, scenarios)
        key = name.replace(" ", "_")
        arrays[key] = found["signal" if name == "signal" else "memorisation"].T
        arrays[f"{key}_x"] = np.array([x for x, _ in points], dtype=np.float64)
    return arrays


def one_run(item: tuple[Scenario, int, tuple[Scenario, ...]]) -> Arrays:
    """Return both stage times at every point of a sweep."""
    _, seed, scenarios = item
    times = [closure_times(Run(scenario, None, seed, None), "adversarial") for scenario in scenarios]
    return {
        "signal": np.array([t["signal_step"] for t in times]),
        "memorisation": np.array([t["memorisation_step"] for t in times]),
    }


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw one panel per sweep."""
    figure = new_figure(4.3)
    grid = figure.subplots(2, 3)
    laws = {**{name: law for name, (law, _) in TIME_LAWS.items()}, "signal": -1.0}
    for number, (ax, name) in enumerate(zip(grid.flat, config["sweeps"], strict=True)):
        key = name.replace(" ", "_")
        x, table = arrays[f"{key}_x"], arrays[key]
        color = SIGNAL if name == "signal" else MEMORY
        shown = np.where(np.isfinite(table) & (table > 0), table, np.nan)
        ax.plot(np.repeat(x, table.shape[1]), shown.ravel(), "o", color=color, markersize=2.4, alpha=0.6,
                markeredgewidth=0)  # fmt: skip
        median = np.median(table, axis=1)
        ax.plot(x, median, "o-", color=color, markersize=5, linewidth=1.2)
        middle = len(x) // 2
        ax.plot(x, median[middle] * (x / x[middle]) ** laws[name], **THEORY)
        fit = median_exponent(x.tolist(), table)
        interval = f"[{fit.low:.2f}, {fit.high:.2f}]"
        ax.set_title(f"({'abcdef'[number]}) {fit.value:.2f} {interval}, law {laws[name]:g}", fontsize=7.5)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(LABELS[name])
        ax.set_ylabel("$t_I$ (steps)" if name == "signal" else "$t_{III}$ (steps)")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
