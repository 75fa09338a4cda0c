"""Real images: when robust and non-robust features are learned.

Two reference networks, one standard (S) and one adversarial (R), are trained on images of their own from
other weights. They build two sets from test images: the *robust set*, images found from noise (or from an
image of another class) by matching the scores of R, with the original label; and the *non-robust set*, test
images moved towards a random class on S at 1.5 times the radius, labelled by that class. Fresh runs on
other training images are tested on both at every epoch (setting ``images/digits``, claims ``images/sets``
and ``images/first``; protocol after Ilyas et al. 2019 [recalled], sizes [choice]).

Expect (a) standard training to be right on the non-robust set ever more often, and (b) adversarial training
to rise, turn over and unlearn it, and to be ahead on the robust set at the end; chance is 0.1, and a
perfectly robust network has 0 on the non-robust set. What does not reproduce here is "non-robust features
first": standard training rises on the robust set at least as early. (c) For one image per class: the image,
its robust and non-robust counterparts, and the change that makes it non-robust.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import SETS, mean_sd, measure, name_images, picture, shown_epochs, sized_features, sized_test
from matplotlib.figure import Figure

from featsim.claims.images.feature_measures import FeatureStudy, curves
from featsim.plotting import draw_image, draw_seeds, draw_signed, new_figure
from featsim.scenarios.images import FEATURE_SETTINGS

IMAGES = tuple(FEATURE_SETTINGS)
SEEDS = {"quick": 1, "default": 5, "full": 10}
EPOCHS = (0, 1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 35)
SETS_BUILT = ("robust_noise", "nonrobust")
ROWS = {
    "image": "image",
    "robust_noise": "robust,\nfrom noise",
    "robust_image": "robust,\nfrom image",
    "nonrobust": "non-robust",
}


def configuration(size: str, images: str = "digits") -> Config:
    """Return everything that determines the arrays."""
    setting = FEATURE_SETTINGS[images]
    scenario = sized_features(setting.scenario, size)
    n_epochs = FeatureStudy(scenario, 0).n_epochs
    return {
        "scenario": scenario,
        "epochs": shown_epochs(n_epochs, EPOCHS),
        "n_test": sized_test(setting.n_test, size),
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Build both sets for every seed, and test fresh runs on them."""
    arrays = measure(curves, config, jobs, tuple(config["epochs"]), SETS_BUILT, config["n_test"], True)
    return {name: values[0] if name.startswith("shown_") else values for name, values in arrays.items()}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the curves of both trainings, and pictures of the sets."""
    figure = new_figure(6.3)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.0, 1.35))
    draw_curves(parts[0], arrays, config)
    draw_sets(parts[1], arrays)
    name_images(figure, arrays, config, config["n_test"])
    return figure


def draw_curves(figure: Any, arrays: Arrays, config: Config) -> None:
    """Draw accuracy on the three sets against epochs, one panel per training."""
    axes = figure.subplots(1, 2, sharey=True)
    for ax, letter, training in zip(axes, "ab", ("standard", "adversarial"), strict=True):
        for name, look in SETS.items():
            values = arrays[f"{training}_{name}"]
            label = f"{look['label']}: {mean_sd(values[:, -1])}"
            draw_seeds(ax, np.array(config["epochs"]), values, **{**look, "label": label}, linewidth=1.5)
        ax.axhline(0.1, color="0.4", linewidth=0.7, linestyle=":")
        robust = mean_sd(arrays[f"{training}_robust"])
        ax.set_title(f"({letter}) {training}; robust accuracy {robust}")
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlim(0, config["epochs"][-1])
        ax.set_ylim(0, 1.0)
        ax.legend(loc="best")
    axes[0].set_ylabel("accuracy (dots: chance)")


def draw_sets(figure: Any, arrays: Arrays) -> None:
    """Draw one image per class with its counterparts."""
    n_classes = len(arrays["shown_image"])
    axes = figure.subplots(len(ROWS) + 1, n_classes)
    for column in range(n_classes):
        for row, name in enumerate(ROWS):
            draw_image(axes[row, column], np.clip(picture(arrays[f"shown_{name}"][column]), 0.0, 1.0))
        moved = arrays["shown_nonrobust"][column] - arrays["shown_image"][column]
        draw_signed(axes[-1, column], moved.mean(axis=-1))
    for row, words in enumerate([*ROWS.values(), "change"]):
        axes[row, 0].set_ylabel(words, fontsize=7)
    title = (
        "(c) images of the sets (first seed); the last row is non-robust less image, each on its own scale"
    )
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
