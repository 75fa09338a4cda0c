"""Real images: filters before and after adversarial training, and the control.

The symmetric network of the purification theory on whole images, two groups of classes: clean training, then
adversarial training (one FGM step) from the clean weights (setting ``images/purification-digits``, claims
``images/purification``, ``images/cosines`` and ``images/sparser``; all sizes [choice]). (a) Cosines of the
same neuron's filter: w0 initial, w clean, w' adversarial. The principle says that w' is close to w and both
far from w0; the first half holds, w is *not* far from w0 here. (b) Three statistics of the filters, weighted
by energy: kurtosis of the pixels (3 is Gaussian noise), total variation of the unit filter, share of the
energy in the largest tenth of the pixels. Small marks are seeds. The control does the same further steps on
clean images: it makes a good part of the change, so that sparser filters are partly just longer training,
but hardly any of the gain in robust accuracy (c). (d) Filters of the ten neurons of largest norm, one scale
per column.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import mean_sd, measure, name_images, sized
from matplotlib.figure import Figure

from featsim.claims.images.purification_measures import weights
from featsim.plotting import COLOURS, draw_signed, new_figure
from featsim.scenarios.images import PURIFICATION_SETTINGS

IMAGES = tuple(PURIFICATION_SETTINGS)
SEEDS = {"quick": 1, "default": 5, "full": 10}
NETS = {
    "initial": "initial $w_0$",
    "clean": "clean $w$",
    "control": "more clean steps",
    "adversarial": "adversarial $w'$",
}
COSINES = {
    "initial_clean": ("$w_0, w$", COLOURS["other"]),
    "clean_adversarial": ("$w, w'$", COLOURS["robust"]),
    "initial_adversarial": ("$w_0, w'$", COLOURS["nonrobust"]),
    "clean_control": ("$w$, control", "#111111"),
}
STATISTICS = {
    "kurtosis": "kurtosis",
    "total_variation": "total variation",
    "top_energy": "energy in top 10 %",
}


def configuration(size: str, images: str = "digits") -> Config:
    """Return everything that determines the arrays."""
    setting = PURIFICATION_SETTINGS[images]
    scenario = sized(setting.scenario, size, 200)
    return {"scenario": scenario, "n_test": setting.n_test, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train all networks of every seed."""
    return measure(weights, config, jobs)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw cosines, statistics and accuracies above, filters below."""
    figure = new_figure(5.6)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.0, 1.15))
    axes = parts[0].subplots(1, 5, width_ratios=(1.9, 1, 1, 1, 1.15))
    draw_cosines(axes[0], arrays)
    for ax, (name, title) in zip(axes[1:4], STATISTICS.items(), strict=True):
        draw_nets(ax, arrays, name)
        ax.set_title(title if name != "kurtosis" else f"(b) {title}", fontsize=7.5)
    draw_nets(axes[4], arrays, "pgd", nets=tuple(NETS)[1:])
    axes[4].set_title("(c) robust accuracy", fontsize=7.5)
    axes[4].set_ylim(0, 1)
    draw_filters(parts[1], arrays)
    name_images(figure, arrays, config, config["n_test"])
    return figure


def draw_cosines(ax: Any, arrays: Arrays) -> None:
    """Draw histograms over neurons of all seeds."""
    bins = np.linspace(0.0, 1.0, 41)
    for name, (words, color) in COSINES.items():
        values = arrays[f"cosine_{name}"]
        label = f"{words}: {mean_sd(values.mean(axis=1))}"
        share = np.full(values.size, 1.0 / values.size)
        ax.hist(values.ravel(), bins=bins, weights=share, histtype="stepfilled", alpha=0.35, color=color)
        ax.hist(values.ravel(), bins=bins, weights=share, histtype="step", color=color, linewidth=1.2,
                label=label)  # fmt: skip
    ax.set_title("(a) cosines of a neuron's filters", fontsize=7.5)
    ax.set_xlabel("cosine")
    ax.set_ylabel("share of the neurons")
    ax.margins(y=0.75)
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper left", fontsize=6.5)


def draw_nets(ax: Any, arrays: Arrays, name: str, nets: tuple[str, ...] = tuple(NETS)) -> None:
    """Draw one quantity of the networks: a bar at the mean, a mark per seed."""
    for place, net in enumerate(nets):
        values = arrays[f"{net}_{name}"]
        dark = net == "adversarial"
        ax.bar(place, values.mean(), 0.7, facecolor="#111111" if dark else "white", edgecolor="black",
               linewidth=0.8, hatch={"control": "///", "clean": "...", "initial": None}.get(net))  # fmt: skip
        ax.plot(np.full(len(values), place), values, "o", color="#f2a33a", markersize=2.6,
                markeredgecolor="black", markeredgewidth=0.3)  # fmt: skip
        text = f"{values.mean():.2f}" if name == "pgd" else f"{values.mean():.3g}"
        ax.annotate(text, (place, values.max()), xytext=(0, 3), ha="center", fontsize=6.5,
                    textcoords="offset points")  # fmt: skip
    ax.set_xticks(range(len(nets)), [NETS[net] for net in nets], rotation=60, ha="right", fontsize=6.5,
                  rotation_mode="anchor")  # fmt: skip
    ax.tick_params(axis="y", labelsize=6.5)
    ax.margins(y=0.12)
    ax.set_ylim(bottom=0)
    ax.grid(False, axis="x")


def draw_filters(figure: Any, arrays: Arrays) -> None:
    """Draw the same neurons' filters in four rows, one scale for each column."""
    n_shown = arrays["adversarial_filters"].shape[1]
    axes = figure.subplots(len(NETS), n_shown)
    for column in range(n_shown):
        limit = max(float(np.abs(arrays[f"{net}_filters"][0, column]).max()) for net in NETS)
        for row, net in enumerate(NETS):
            draw_signed(axes[row, column], arrays[f"{net}_filters"][0, column])
            axes[row, column].images[0].set_clim(-limit, limit)
    for row, words in enumerate(NETS.values()):
        axes[row, 0].set_ylabel(words.replace("more clean steps", "more clean"), fontsize=6.5)
    title = "(d) filters of the ten neurons of largest norm (first seed), one scale per column"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
