r"""The table of the paper's shape: clean and robust accuracy against an attack on the whole input.

Setting ``cgro/G`` beside the paper's synthetic table (source: two independent reading notes; its
parameters could not be found). The threat models differ: here l2 gradient ascent of radius 0.8 on the
WHOLE input, noise patches included, 2 steps in training and PGD-20 in evaluation, at alpha = 1 and noise
norm 4; the paper attacks its own patch data with its own budget. Robust test accuracy below one half is
possible only because the attack reaches the noise patches: against the signal line alone, the theorem's
attack, it stays above (open circles). (a) Along training, medians over seeds with the middle 80 % as a
band: signal and memorisation rise together, so this setting shows the table and not the three stages. (b)
The end, mean and standard deviation over seeds, beside the paper's numbers. Below, both as a table with
their threat models (claim ``cgro/G``).
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featsim.attacks import run_attack
from featsim.plotting import COLOURS, draw_seeds, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.training import Recording

SEEDS = {"quick": 2, "default": 3, "full": 10}
STEPS = {"quick": (1500, 7000), "default": (200, 500, 1000, 1500, 2000, 3000, 4500, 7000)}
PUBLISHED = {"train_clean": 1.0, "test_clean": 0.985, "train_pgd": 1.0, "test_pgd": 0.175}
COLUMNS = {
    "train_clean": "clean,\ntraining",
    "test_clean": "clean,\nfresh",
    "train_pgd": "PGD-20,\ntraining",
    "test_pgd": "PGD-20,\nfresh",
    "train_line": "line,\ntraining",
    "test_line": "line,\nfresh",
}
CURVES = {
    "test_clean": ("clean, fresh", COLOURS["other"], "-"),
    "train_pgd": ("PGD-20, training", COLOURS["dense-mixture"], "-"),
    "test_pgd": ("PGD-20, fresh", COLOURS["dense-mixture"], (0, (2, 1.2))),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario("cgro/G"),
        "seeds": list(range(SEEDS[size])),
        "steps": STEPS.get(size, STEPS["default"]),
        "published": PUBLISHED,
        "n_fresh": 200 if size == "quick" else 1000,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed and attack along the way."""
    settings = tuple(config["steps"]), config["n_fresh"]
    return over_seeds(one_run, config["scenario"], config["seeds"], jobs, "setting G", *settings)


def one_run(item: tuple[Scenario, int, tuple[int, ...], int]) -> Arrays:
    """Return accuracies at the given steps."""
    scenario, seed, steps, n_fresh = item
    trace = scenario.run("adversarial", seed, recording=Recording(at=steps, weights_at=steps,
                         quantities=("signal_score", "mean_memorisation")))  # fmt: skip
    data, _ = scenario.problem(seed)
    pgd, _, line = scenario.evaluations
    found: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for step in steps:
        network = scenario.model.network(trace.weights_at(step))  # type: ignore[attr-defined]
        for name, samples in (("train", data), ("test", data.fresh.select(slice(n_fresh)))):
            whole = run_attack(pgd, network, samples)  # type: ignore[arg-type]
            found[f"{name}_clean"].append(whole.clean_accuracy)
            found[f"{name}_pgd"].append(whole.robust_accuracy)
            found[f"{name}_line"].append(run_attack(line, network, samples).robust_accuracy)  # type: ignore[arg-type]
    scores = {"score": trace["signal_score"], "memory": trace["mean_memorisation"]}
    return {**{name: np.array(values) for name, values in found.items()}, **scores}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw accuracies along training, and the table as bars."""
    steps = np.array(config["steps"])
    figure = new_figure(4.0)
    upper, below = figure.subfigures(2, 1, height_ratios=(2.6, 1.1))
    left, right = upper.subplots(1, 2, width_ratios=(1, 1.25))
    lower = below.subplots()
    for name, (label, color, dashes) in CURVES.items():
        line = {"linestyle": dashes, "linewidth": 1.6, "marker": "o", "markersize": 3, "markevery": 1}
        draw_seeds(left, steps, arrays[name], color=color, label=label, **line)
    step_axis(left, steps[-1], linear_until=100.0)
    left.set_ylim(-0.03, 1.05)
    left.set_ylabel("accuracy")
    left.set_title(f"(a) along training, {len(config['seeds'])} seeds")
    left.legend(loc="upper left")
    for x, name in enumerate(COLUMNS):
        values = arrays[name][:, -1]
        line = "line" in name
        color = COLOURS["other"] if "clean" in name else COLOURS["dense-mixture"]
        right.errorbar([x], [values.mean()], yerr=[values.std(ddof=1)], fmt="o", color=color, capsize=3,
                       markerfacecolor="white" if line else color, markersize=6,
                       label="here" if x == 2 else None)  # fmt: skip
        right.annotate(f"{values.mean():.3f}", (x + 0.12, values.mean() - 0.06), fontsize=7)
        if name in config["published"]:
            right.plot([x - 0.28], [config["published"][name]], "D", color="black", markersize=4,
                       label="paper (another threat model)" if x == 2 else None)  # fmt: skip
    right.set_xticks(range(len(COLUMNS)), list(COLUMNS.values()))
    right.set_xlim(-0.6, len(COLUMNS) - 0.3)
    right.set_ylim(-0.03, 1.08)
    right.set_title("(b) at the end: mean and sd")
    right.legend(loc="center left")
    write_table(lower, arrays, config)
    return figure


def write_table(ax: Axes, arrays: Arrays, config: Config) -> None:
    """Write the numbers under each other, and what the two attacks may do."""
    published: dict[str, float] = config["published"]
    ends = {name: 100.0 * arrays[name][:, -1] for name in COLUMNS}
    here = [f"{values.mean():.1f} $\\pm$ {values.std(ddof=1):.1f}" for values in ends.values()]
    paper = [f"{100.0 * published[name]:.1f}" if name in published else "-" for name in COLUMNS]
    table = ax.table(
        [here, paper],
        rowLabels=["here (%)", "paper (%)"],
        colLabels=[label.replace("\n", " ").replace("PGD-20", "robust") for label in COLUMNS.values()],
        loc="upper center",
        cellLoc="center",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    ax.text(
        0.5,
        0.24,
        "Threat models differ. Here, robust: l2 PGD-20 of radius 0.8 on the whole input, noise patches "
        "included (signal norm 1, noise norm 4);\nline: the theorem's exact attack, which moves the signal "
        "patch along $w^*$ only. Paper: adversarial training on its patch data; norm, radius\nand sizes of "
        "that table were not found, so it is set beside ours and not compared with it.",
        ha="center",
        va="top",
        fontsize=6.5,
        transform=ax.transAxes,
    )
    ax.set_axis_off()


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
