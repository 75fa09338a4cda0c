"""Real images: adversarial training by low-rank updates, from the clean weights and from the initial ones.

Setting ``images/purification-digits``, claim ``images/low-rank``: W = W_start + U V^T with only U and V
trained, 1500 FGM steps. (a) Robust accuracy against 20 steps of PGD, (b) clean accuracy, against the rank;
dashed: all weights trained, dotted: none (the clean network). Bands are the middle 80 % of the seeds.

Expect robustness to grow with the rank and to be large at rank 1 already when training starts from clean
weights. That it fails from initial weights, as on sparse-coding data, does *not* reproduce at higher rank:
rank 16 from the initial weights is almost as robust as from the clean ones.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import mean_sd, measure, name_images, sized
from matplotlib.figure import Figure

from featsim.claims.images.purification_measures import ranks
from featsim.plotting import COLOURS, draw_seeds, new_figure
from featsim.scenarios.images import PURIFICATION_SETTINGS

IMAGES = tuple(PURIFICATION_SETTINGS)
SEEDS = {"quick": 1, "default": 5, "full": 10}
RANKS = (1, 4, 16)
STARTS = {
    "from_clean": ("from clean weights", "#111111", "s"),
    "from_scratch": ("from initial weights", COLOURS["nonrobust"], "o"),
}


def configuration(size: str, images: str = "digits") -> Config:
    """Return everything that determines the arrays."""
    setting = PURIFICATION_SETTINGS[images]
    return {
        "scenario": sized(setting.scenario, size, 200),
        "n_test": setting.n_test,
        "ranks": RANKS,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every rank from both starts for every seed."""
    return measure(ranks, config, jobs, tuple(config["ranks"]))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw robust and clean accuracy against rank."""
    figure = new_figure(2.8)
    axes = figure.subplots(1, 2)
    tried = np.array(config["ranks"], dtype=float)
    threat = config["scenario"]["evaluations"][0]["threat"]
    for ax, key, title in (
        (axes[0], "pgd", rf"(a) robust accuracy, $\ell_2$ radius {threat['radius']:g}"),
        (axes[1], "clean", "(b) clean accuracy"),
    ):
        full, zero = arrays[f"full_{key}"], arrays[f"zero_{key}"]
        ax.axhline(full.mean(), color="black", linestyle=(0, (4, 2)), linewidth=1.0,
                   label=f"all weights: {mean_sd(full)}")  # fmt: skip
        for start, (words, color, marker) in STARTS.items():
            values = arrays[f"{start}_{key}"]
            draw_seeds(ax, tried, values, color=color, marker=marker, markevery=1, linewidth=1.5,
                       label=f"{words}: {mean_sd(values[:, -1])}")  # fmt: skip
        ax.axhline(zero.mean(), color="black", linestyle=":", linewidth=1.0,
                   label=f"clean network: {mean_sd(zero)}")  # fmt: skip
        ax.set_title(title)
        ax.set_xscale("log")
        ax.set_xticks(tried, [f"{rank:g}" for rank in tried])
        ax.set_xlabel("rank of the update")
        ax.legend(loc="lower right", title="at the largest rank", alignment="left", fontsize=7)
    axes[0].set_ylabel(f"accuracy on {config['n_test']} test images")
    axes[0].set_ylim(0, 1.0)
    low = min(float(arrays[f"{start}_clean"].min()) for start in STARTS)
    axes[1].set_ylim(max(0.0, low - 0.25), 1.0)
    name_images(figure, arrays, config, config["n_test"])
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
