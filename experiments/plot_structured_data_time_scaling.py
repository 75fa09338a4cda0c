r"""Time scaling: how long the race takes, against the size of the initial weights.

Settings ``structured-data/time-q3`` and ``time-q4``, standard training at small steps, where v wins nearly
every class. While the loss is untouched, a coefficient grows like :math:`\dot B = g S_{NR}(B/\varrho)^{q-1}`,
so that it reaches a level :math:`B_1` after the two-endpoint time
:math:`\varrho^{q-1}(B_0^{2-q} - B_1^{2-q})/((q-2) g S_{NR})` (claim
``structured-data/T4``, derived): a power law only in the limit of small starts.

(a, b) Step at which the largest :math:`B` of a class reaches :math:`B_1 = 0.3`, one dot per class; diamonds
are medians, dashes the median of the two-endpoint time from the same initial weights. Expect dots that
spread with the init lottery, and medians on the dashes. (c) The same times with the endpoint term
:math:`t(B_1 \to \infty)` added, against each class's own start: expect one straight line for each q, of
slope :math:`-(q-2)`; the legend quotes the slopes fitted to the classes that by the rule of the race v wins,
with 95 % intervals. In the few others (crosses) u has fitted the class before v gets there, so that v is
late or never arrives.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _structured_data_sweep import nonrobust_racer, points_of, run_points, scenarios_of
from matplotlib.figure import Figure
from scipy import stats

from featsim.plotting import COLOURS, THEORY, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.theory import predicted_winner
from featsim.training import Recording

POWERS = (3, 4)
INIT_STDS = (0.01, 0.014, 0.02, 0.028, 0.04, 0.056, 0.08)
SEEDS = {"quick": 2, "default": 6, "full": 40}
LEVEL = 0.3
LOOKS = {
    3: {"color": COLOURS["nonrobust"], "marker": "o"},
    4: {"color": "#9c5a00", "marker": "s", "markerfacecolor": "white"},
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    stds = INIT_STDS[::2] if size == "quick" else INIT_STDS
    points = {str(q): points_of(get_scenario(f"structured-data/time-q{q}"), "init_std", stds) for q in POWERS}
    return {"init_stds": stds, "points": points, "n_seeds": SEEDS[size], "level": LEVEL}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed of every point."""
    arrays: Arrays = {}
    for q, points in config["points"].items():
        scenarios = scenarios_of(points)
        runs = run_points(one_run, scenarios, config["n_seeds"], jobs, f"q = {q}", config["level"])
        arrays |= {f"q{q}_{key}": values for key, values in runs.items()}
    return arrays


def one_run(item: tuple[Scenario, str, int, float]) -> Arrays:
    """Return, per class, the start of B, the step at which it reaches the level, and the prediction."""
    scenario, training, seed, level = item
    trace = scenario.run(training, seed, recording=Recording(quantities=("robust_coef", "nonrobust_coef")))
    coef = trace["nonrobust_coef"].max(axis=2)
    hit = coef >= level
    data = scenario.data
    told = predicted_winner(
        trace["robust_coef"][0],
        trace["nonrobust_coef"][0],
        n_robust_patches=data.n_robust_patches,
        n_nonrobust_patches=data.n_nonrobust_patches,
        robust_strength=data.robust_strength,
        nonrobust_strength=data.nonrobust_strength,
        power=scenario.model.power,
    )
    steps = np.where(hit.any(axis=0), trace.steps[hit.argmax(axis=0)], np.nan)
    return {
        "start": coef[0],
        "steps": steps.astype(float),
        "told": told == "nonrobust",
        "predicted": nonrobust_racer(scenario).hit_time(coef[0], level),
    }


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw hit times against the init scale for each power, and against each class's own start."""
    stds = np.array(config["init_stds"])
    figure = new_figure(2.7)
    axes = figure.subplots(1, 3)
    for number, q in enumerate(POWERS):
        scenario = scenarios_of(config["points"][str(q)])[0]
        steps, predicted, start = (arrays[f"q{q}_{name}"] for name in ("steps", "predicted", "start"))
        ax, look = axes[number], LOOKS[q]
        jitter = np.exp(np.linspace(-0.07, 0.07, steps[0].size))
        ax.plot((stds[:, None] * jitter).ravel(), steps.reshape(len(stds), -1).ravel(), linestyle="",
                markersize=2, alpha=0.7, **look, label=f"a class, q = {q}")  # fmt: skip
        flat = steps.reshape(len(stds), -1)
        # A class that u wins never gets there, and counts as the latest.
        middle = np.median(np.where(np.isnan(flat), np.inf, flat), axis=1)
        names = ("median over classes", "two-endpoint time", "slope $-(q-2)$") if number == 0 else (None,) * 3
        ax.plot(stds, middle, "D", color="black", markersize=4, label=names[0])
        told = np.median(predicted.reshape(len(stds), -1), axis=1)
        ax.plot(stds, told, **THEORY, label=names[1])
        power_law = told[0] * (stds / stds[0]) ** (2.0 - q)
        ax.plot(stds, power_law, color="black", linewidth=0.9, linestyle=":", label=names[2])
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks([0.01, 0.02, 0.04, 0.08], ["0.01", "0.02", "0.04", "0.08"])
        ax.minorticks_off()
        ax.set_xlabel(r"standard deviation of the start $\sigma_0$")
        ax.set_title(f"({'ab'[number]}) q = {q}, {steps[0].size} classes per point")
        left = float(nonrobust_racer(scenario).blow_up_time(config["level"]))
        draw_collapse(axes[2], q, start, steps + left, arrays[f"q{q}_told"])
    axes[0].set_ylabel(f"steps until $B$ = {config['level']:g}")
    axes[2].set_xscale("log")
    axes[2].set_yscale("log")
    axes[2].set_xticks([0.01, 0.03, 0.1], ["0.01", "0.03", "0.1"])
    axes[2].minorticks_off()
    axes[2].set_xlabel("own start of the class, $B_0^+$")
    axes[2].set_ylabel(r"steps + endpoint term")
    axes[2].set_title("(c) power laws")
    axes[2].set_ylim(top=2e5)
    axes[2].legend(loc="upper right")
    entries = [ax.get_legend_handles_labels() for ax in axes[:2]]
    figure.legend(*(first + second for first, second in zip(*entries, strict=True)), ncols=5,
                  loc="outside upper center", columnspacing=1.2)  # fmt: skip
    return figure


def draw_collapse(ax, q: int, start, times, told) -> None:
    """Draw times to blow-up against the start of each class, with the fitted slope in the legend."""
    late = np.isfinite(times) & ~told
    ax.plot(start[late], times[late], "x", color=LOOKS[q]["color"], markersize=3.5)
    usable = np.isfinite(times) & told
    x, y = start[usable], times[usable]
    fit = stats.linregress(np.log(x), np.log(y))
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    ax.plot(x, y, linestyle="", markersize=2.2, alpha=0.8, **LOOKS[q],
            label=f"q = {q}: slope {fit.slope:.3f} ± {half:.3f}")  # fmt: skip
    ends = np.array([x.min(), x.max()])
    scale = np.exp(np.mean(np.log(y) - (2 - q) * np.log(x)))
    ax.plot(ends, scale * ends ** (2.0 - q), **THEORY)


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
