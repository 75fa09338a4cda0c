"""Real images: network, tangent kernel and linear model, adversarially trained at one radius.

Setting ``images/purification-digits`` and claim ``images/complexity`` (sizes and step sizes [choice], not
tuned to the limit). The linear model meets its exact worst case; the tangent kernel has gates that are
frozen at random or at the clean-trained weights and is trained on one FGM step or on five steps of PGD; the
network is trained on FGM from its clean weights. Robust accuracy is that against twenty steps of PGD with
three starts, for the linear model exact. Large marks are means, small ones seeds.

Expect the network far above all of them. FGM is much weaker than PGD on frozen gates, whose training on FGM
overfits the one-step attack: both robust accuracies are drawn for that reason. Read "far below" and not sharp
values: training random gates on PGD is still unstable at this step size.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import mean_sd, measure, name_images, sized
from matplotlib.figure import Figure

from featsim.claims.images.purification_measures import rivals
from featsim.plotting import COLOURS, new_figure
from featsim.scenarios.images import PURIFICATION_SETTINGS

IMAGES = tuple(PURIFICATION_SETTINGS)
SEEDS = {"quick": 1, "default": 5, "full": 10}
MODELS = {
    "linear_standard": "linear, clean training",
    "linear_adversarial": "linear, exact adversary",
    "ntk_adversarial": "random gates, FGM",
    "ntk_pgd": "random gates, PGD",
    "ntk_clean_adversarial": "gates of the clean network, FGM",
    "ntk_clean_pgd": "gates of the clean network, PGD",
    "network_standard": "network, clean training",
    "network_adversarial": "network, FGM",
}
MEASURES = {
    "clean": ("clean", COLOURS["other"], "o"),
    "fgm": ("FGM", COLOURS["nonrobust"], "D"),
    "pgd": ("PGD (linear: exact)", "#111111", "s"),
}


def configuration(size: str, images: str = "digits") -> Config:
    """Return everything that determines the arrays."""
    setting = PURIFICATION_SETTINGS[images]
    scenario = sized(setting.scenario, size, 200)
    return {"scenario": scenario, "n_test": setting.n_test, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every model of every seed."""
    return measure(rivals, config, jobs)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw a row per model."""
    figure = new_figure(3.3)
    ax = figure.subplots()
    for place, (offset, (key, (label, color, marker))) in enumerate(
        zip((-0.22, 0.0, 0.22), MEASURES.items(), strict=True)
    ):
        for row, model in enumerate(MODELS):
            values = arrays[f"{model}_{key}"]
            at = np.full(len(values), row + offset)
            ax.plot(values, at, marker, color=color, markersize=2.5, alpha=0.5, markeredgewidth=0)
            fill = "white" if place == 0 else color
            ax.plot(values.mean(), row + offset, marker, color=color, markersize=5.5, markerfacecolor=fill,
                    label=None if row else label)  # fmt: skip
            if key == "pgd":
                ax.annotate(mean_sd(values), (1.02, row), fontsize=7, va="center", annotation_clip=False)
    ax.annotate("robust", (1.02, -0.75), fontsize=7, va="center", annotation_clip=False)
    for row in range(1, len(MODELS)):
        ax.axhline(row - 0.5, color="0.85", linewidth=0.5)
    ax.set_yticks(range(len(MODELS)), MODELS.values())
    ax.set_ylim(len(MODELS) - 0.5, -0.5)
    ax.set_xlim(0, 1.0)
    ax.grid(False, axis="y")
    threat = config["scenario"]["evaluations"][0]["threat"]
    ax.set_xlabel(rf"accuracy on {config['n_test']} test images, $\ell_2$ radius {threat['radius']:g}")
    figure.legend(loc="outside upper center", ncols=3)
    name_images(figure, arrays, config, config["n_test"])
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
