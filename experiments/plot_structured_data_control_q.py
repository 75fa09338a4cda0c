r"""Control on the exponent: without a convex activation there is no race, and no winner takes all.

Settings ``structured-data/power-1`` to ``power-4``: standard training at exponents q = 1, 2, 3, 4 of the
activation, with the number of non-robust patches chosen so that :math:`S_{NR}/S_R` is near 1.95 for all.
At q = 1 (ReLU) both features grow at constant rates in the ratio :math:`P_R\alpha : P_{NR}\beta`; at q = 2
exponentially, and the rates decide; from q = 3 on the blow-up times decide, and with them the lottery of
the initial weights (claim ``structured-data/T9``, derived).

(a-d) Largest coefficients :math:`A^+` and :math:`B^+` of every class of one seed. (e) Share of the losing
feature in the logit, min(share, 1 - share): one small dot per class, a black bar at the mean with its 95 %
interval over seeds. Expect a finite share at q = 1, near the prediction (dashed) of
:math:`(P_R\alpha)^2/((P_R\alpha)^2 + (P_{NR}\beta)^2)`, and next to nothing from q = 2 on; at q = 3 and 4
some classes are won by u.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _structured_data_sweep import run_points, scenarios_of
from matplotlib.figure import Figure
from scipy import stats

from featsim.plotting import COLOURS, SIMULATION, THEORY, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.theory import linear_growth_share
from featsim.training import Recording

POWERS = (1, 2, 3, 4)
SEEDS = {"quick": 4, "default": 20, "full": 100}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    points = [get_scenario(f"structured-data/power-{q}") for q in POWERS]
    return {"points": points, "n_seeds": SEEDS[size]}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed at every exponent."""
    points = scenarios_of(config["points"])
    return run_points(one_run, points, config["n_seeds"], jobs, config["figure"])


def one_run(item: tuple[Scenario, str, int]) -> Arrays:
    """Return the largest coefficients along training, and the shares at its end."""
    scenario, training, seed = item
    quantities = ("robust_coef", "nonrobust_coef", "nonrobust_share")
    trace = scenario.run(training, seed, recording=Recording(n_log=120, quantities=quantities))
    return {
        "steps": trace.steps,
        "A": trace["robust_coef"].max(axis=2),
        "B": trace["nonrobust_coef"].max(axis=2),
        "share": trace["nonrobust_share"][-1],
    }


def losing_share_of_linear_growth(scenario: Scenario) -> float:
    """Return the predicted share of the loser at q = 1."""
    data = scenario.data
    share = linear_growth_share(data.n_robust_patches, data.n_nonrobust_patches,
                                data.robust_strength, data.nonrobust_strength)  # fmt: skip
    return min(share, 1.0 - share)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the growth of both features for each exponent, and the losing shares."""
    scenarios = scenarios_of(config["points"])
    figure = new_figure(4.2)
    grid = figure.add_gridspec(2, len(POWERS), height_ratios=(1, 1.05))
    first = None
    for number, (q, scenario) in enumerate(zip(POWERS, scenarios, strict=True)):
        ax = figure.add_subplot(grid[0, number], sharey=first)
        first = first or ax
        steps = arrays["steps"][number, 0]
        for key, name, symbol in (("A", "robust", "$A^+$"), ("B", "nonrobust", "$B^+$")):
            lines = ax.plot(steps, arrays[key][number, 0], **{**SIMULATION, "linewidth": 1.4},
                            color=COLOURS[name])  # fmt: skip
            lines[0].set_label(symbol)
        ax.set_yscale("log")
        ax.set_ylim(3e-3, 30)
        step_axis(ax, steps[-1])
        ax.set_xticks([0, 10, 100, 1000], ["0", "10", "100", "1000"])
        ax.set_title(f"({'abcd'[number]}) q = {q}, $P_{{NR}}$ = {scenario.data.n_nonrobust_patches}")
        if number:
            ax.tick_params(labelleft=False)
    first.set_ylabel("largest coefficient\nof each class")
    first.legend(loc="upper left", ncols=2)
    draw_shares(figure.add_subplot(grid[1, :]), arrays["share"], scenarios)
    return figure


def draw_shares(ax, share, scenarios) -> None:
    """Draw the losing share of every class, coloured by the winner, with means over seeds."""
    losing = np.minimum(share, 1.0 - share)
    for number in range(len(POWERS)):
        values, won = losing[number].ravel(), share[number].ravel() > 0.5
        x = number + np.linspace(-0.3, 0.3, values.size)
        for winner, name, marker in ((won, "nonrobust", "o"), (~won, "robust", "s")):
            words = {"nonrobust": "class won by v", "robust": "class won by u"}[name]
            ax.plot(x[winner], values[winner], marker, color=COLOURS[name], markersize=2.6, alpha=0.8,
                    label=words if number == 0 else None)  # fmt: skip
        by_seed = losing[number].mean(axis=1)
        half = stats.t.ppf(0.975, len(by_seed) - 1) * stats.sem(by_seed)
        ax.errorbar(number + 0.38, by_seed.mean(), yerr=half, fmt="_", color="black", markersize=9,
                    capsize=2, elinewidth=1.1,
                    label="mean, 95 % over seeds" if number == 0 else None)  # fmt: skip
        ax.annotate(f"{by_seed.mean():.3f}", (number + 0.43, by_seed.mean()), va="center", fontsize=7)
    told = losing_share_of_linear_growth(scenarios[0])
    ax.plot([-0.35, 0.35], [told, told], **THEORY, label=f"linear growth, {told:.2f}")
    ax.plot([0.65, 3.35], [0, 0], **THEORY)
    ax.set_xlim(-0.45, 3.62)
    ax.set_xticks(range(len(POWERS)), [f"q = {q}" for q in POWERS])
    ax.set_ylim(-0.02, 0.68)
    ax.set_yticks([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    ax.set_ylabel("share of the losing feature")
    ax.set_title(f"(e) {share.shape[1]} seeds, {share.shape[2]} classes each")
    ax.legend(loc="upper right", ncols=2)


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
