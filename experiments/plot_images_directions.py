"""Real images: where perturbations point, before and after adversarial training.

Robust directions: the span U of the centred class means. Non-robust directions: the span V of the mean
perturbations that move images of other classes towards each class on another, standard network trained on
other images, less their part in U. (a) Share of a targeted perturbation's energy in U, in V and in a random
space of the same dimension (setting ``images/digits``, claim ``images/directions``; definitions [choice]).
Ten steps, training radius, random targets. (b) Mean cosines with the directions from label to target, and of
the margin's input gradient with the class mean.

Expect perturbations to leave V for U under adversarial training, and gradients to turn towards class means.
On 8x8 images a random 9-dimensional space holds 0.14 of any perturbation already: what counts is the excess.
Bars are means over seeds, dots single seeds.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import measure, name_images, sized_features, sized_test
from matplotlib.figure import Figure

from featsim.claims.images.feature_measures import directions
from featsim.plotting import TRAININGS, new_figure
from featsim.scenarios.images import FEATURE_SETTINGS

IMAGES = tuple(FEATURE_SETTINGS)
SEEDS = {"quick": 1, "default": 5, "full": 10}
SHARES = {
    "share_U": "U: class means",
    "share_V": "V: perturbations of\nanother network",
    "share_random": "random space",
}
COSINES = {
    "cosine_u": "perturbation,\ndifference of\nclass means",
    "cosine_v": "perturbation,\nthat of V",
    "gradient": "input gradient,\nclass mean",
}


def configuration(size: str, images: str = "digits") -> Config:
    """Return everything that determines the arrays."""
    setting = FEATURE_SETTINGS[images]
    scenario = sized_features(setting.scenario, size)
    n_test = sized_test(setting.n_test, size)
    return {"scenario": scenario, "n_test": n_test, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Perturb test images on both networks of every seed."""
    return measure(directions, config, jobs, config["n_test"])


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw shares of energy, and cosines."""
    figure = new_figure(2.7)
    axes = figure.subplots(1, 2)
    bars(axes[0], arrays, SHARES)
    axes[0].set_title("(a) where the perturbation's energy is")
    axes[0].set_ylabel("share of energy")
    bars(axes[1], arrays, COSINES)
    axes[1].set_title("(b) directions")
    axes[1].set_ylabel("mean cosine")
    axes[0].legend(loc="upper right")
    name_images(figure, arrays, config, config["n_test"])
    return figure


def bars(ax: Any, arrays: Arrays, groups: dict[str, str]) -> None:
    """Draw a pair of bars per quantity, both trainings, with a dot for every seed."""
    means = np.array([arrays[f"{training}_{name}"].mean() for training in TRAININGS for name in groups])
    # Two digits of the largest: shares of 3072 pixels are small.
    digits = f".{max(2, 1 - int(np.floor(np.log10(np.abs(means).max()))))}f"
    for place, (training, look) in zip((-0.2, 0.2), TRAININGS.items(), strict=True):
        table = np.stack([arrays[f"{training}_{name}"] for name in groups], axis=1)
        where = np.arange(len(groups)) + place
        fill = "white" if training == "standard" else look["color"]
        ax.bar(where, table.mean(axis=0), 0.36, facecolor=fill, edgecolor="black", linewidth=0.8,
               hatch="///" if training == "standard" else None, label=training)  # fmt: skip
        for x, values in zip(where, table.T, strict=True):
            ax.plot(np.full(len(values), x), values, "o", color="#f2a33a", markersize=2.6,
                    markeredgecolor="black", markeredgewidth=0.3)  # fmt: skip
            ax.annotate(f"{values.mean():{digits}}", (x, max(values.max(), 0.0)), xytext=(0, 3), ha="center",
                        fontsize=7, textcoords="offset points")  # fmt: skip
    ax.set_xticks(range(len(groups)), groups.values())
    ax.margins(y=0.14)
    if means.min() >= 0.0:
        ax.set_ylim(bottom=0)
    else:  # cosines may be negative
        ax.axhline(0.0, color="black", linewidth=0.7)
    ax.grid(False, axis="x")


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
