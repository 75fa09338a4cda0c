r"""The race in standard training: which feature wins a class, against the number of non-robust patches.

Setting ``structured-data/race``. While the loss of a class is untouched, each own-class coefficient grows on
its own, and the feature with the smaller blow-up time wins: the non-robust one if and only if
:math:`S_{NR}(B_0^+)^{q-2} > S_R(A_0^+)^{q-2}` with S = patches times strength^q (claim
``structured-data/T3``, derived). A class counts as won by v where v carries more than half of its logit at
the end.

(a) Fraction of classes won by v, with 95 % Wilson intervals; every point has its own seeds. Dashed: the
rule applied to the very initial weights of these runs. Expect a rise from below 0.1 to above 0.9, smooth
because of the init lottery, that crosses 1/2 near :math:`P_{NR}\beta^q = P_R\alpha^q` (dotted): somewhat
below it at the usual initialisation, because u has to cross a linear region after its blow-up in which v
can still catch up, and at it from a ten times smaller start. (b) The same classes against the ratio of the
two sides of the rule, which is a step at 1: expect the steps of both initialisations there, the sharper
the smaller the start.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _structured_data_sweep import ENDS, draw_fractions, points_of, run_points, scenarios_of
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, THEORY, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.theory import predicted_winner, race_strength, tie_patch_count

COUNTS = (4, 6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64)
SEEDS = {"quick": 6, "default": 20, "full": 200}
STARTS = {"usual": {}, "small": {"init_std": 0.002, "n_steps": 4000}}
LOOKS = {
    "usual": {"color": COLOURS["nonrobust"], "marker": "o", "linestyle": "-"},
    "small": {"color": "#9c5a00", "marker": "s", "linestyle": "-", "markerfacecolor": "white"},
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    base = get_scenario("structured-data/race")
    counts = COUNTS[::2] if size == "quick" else COUNTS
    points = {
        name: points_of(base.with_settings(changes), "n_nonrobust_patches", counts)
        for name, changes in STARTS.items()
    }
    return {"n_nonrobust_patches": counts, "points": points, "n_seeds": SEEDS[size]}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed of every point."""
    arrays: Arrays = {}
    for name, points in config["points"].items():
        runs = run_points(one_run, scenarios_of(points), config["n_seeds"], jobs, f"{name} start")
        arrays |= {f"{name}_{key}": values for key, values in runs.items()}
    return arrays


def one_run(item: tuple[Scenario, str, int]) -> Arrays:
    """Return, per class, who won, who was told to win, and the log of the ratio in the rule."""
    scenario, training, seed = item
    trace = scenario.run(training, seed, recording=ENDS)
    data, power = scenario.data, scenario.model.power
    robust, nonrobust = trace["robust_coef"][0], trace["nonrobust_coef"][0]
    counts = {name: getattr(data, name) for name in ("n_robust_patches", "n_nonrobust_patches")}
    strengths = {name: getattr(data, name) for name in ("robust_strength", "nonrobust_strength")}
    told = predicted_winner(robust, nonrobust, **counts, **strengths, power=power)
    speeds = [
        race_strength(counts[f"n_{kind}_patches"], strengths[f"{kind}_strength"], power)
        * np.maximum(coef.max(axis=1), 0.0) ** (power - 2)
        for kind, coef in (("nonrobust", nonrobust), ("robust", robust))
    ]
    with np.errstate(divide="ignore"):
        ratio = np.log(speeds[0]) - np.log(speeds[1])
    return {"won": trace["nonrobust_share"][-1] > 0.5, "told": told == "nonrobust", "log_ratio": ratio}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the fraction of wins against the patch count, and against the ratio in the rule."""
    counts = np.array(config["n_nonrobust_patches"])
    figure = new_figure(2.9)
    left, right = figure.subplots(1, 2, sharey=True)
    scenario = scenarios_of(config["points"]["usual"])[0]
    for name, look in LOOKS.items():
        init_std = scenarios_of(config["points"][name])[0].model.init_std
        won, told = arrays[f"{name}_won"], arrays[f"{name}_told"]
        trials = np.full(len(counts), won[0].size)
        draw_fractions(left, counts, won.sum(axis=(1, 2)), trials, linewidth=1.5, **look,
                       label=rf"simulated, $\sigma_0$ = {init_std:g}")  # fmt: skip
        left.plot(counts, told.mean(axis=(1, 2)), **{**THEORY, "linestyle": (0, (4, 2))})
        draw_ratio(right, arrays[f"{name}_log_ratio"].ravel(), won.ravel(), look)
    left.plot([], [], **THEORY, label="rule of the race, same initial weights")
    tie = tie_patch_count(scenario.data.n_robust_patches, scenario.data.robust_strength,
                          scenario.data.nonrobust_strength, scenario.model.power)  # fmt: skip
    left.axvline(tie, color="black", linewidth=0.9, linestyle=":",
                 label=rf"$P_{{NR}}\beta^q = P_R\alpha^q$ at {tie:.1f}")  # fmt: skip
    left.axhline(0.5, color="0.6", linewidth=0.7)
    left.set_xscale("log")
    left.set_xticks([4, 8, 16, 32, 64], ["4", "8", "16", "32", "64"])
    left.set_xlabel("non-robust patches $P_{NR}$")
    left.set_ylabel("fraction of classes won by v")
    left.set_ylim(-0.03, 1.45)
    left.set_yticks([0, 0.25, 0.5, 0.75, 1])
    left.minorticks_off()
    left.legend(loc="upper left", fontsize=6.8)
    right.plot([0.1, 1, 1, 10], [0, 0, 1, 1], **THEORY, label="rule of the race")
    right.axhline(0.5, color="0.6", linewidth=0.7)
    right.set_xscale("log")
    right.set_xlim(0.1, 10)
    right.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    right.set_xlabel(r"$S_{NR}(B_0^+)^{q-2} \, / \, S_R(A_0^+)^{q-2}$")
    right.legend(loc="upper left", fontsize=6.8)
    agree = {name: np.mean(arrays[f"{name}_won"] == arrays[f"{name}_told"]) for name in LOOKS}
    left.set_title(f"(a) {arrays['usual_won'][0].size} classes at each point; bars: 95 %")
    right.set_title("(b) rule right for {usual:.0%} and {small:.0%} of the classes".format(**agree))
    return figure


def draw_ratio(ax, log_ratio, won, look) -> None:
    """Draw the fraction of wins in bins of the ratio."""
    edges = np.log(10.0) * np.array([-1, -0.6, -0.4, -0.25, -0.15, -0.05, 0.05, 0.15, 0.25, 0.4, 0.6, 1])
    which = np.digitize(log_ratio, edges) - 1
    inside = (which >= 0) & (which < len(edges) - 1)
    trials = np.bincount(which[inside], minlength=len(edges) - 1)
    hits = np.bincount(which[inside], weights=won[inside], minlength=len(edges) - 1)
    filled = trials > 0
    middle = np.exp(0.5 * (edges[1:] + edges[:-1]))
    draw_fractions(ax, middle[filled], hits[filled], trials[filled], linewidth=1.5, **look)


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
