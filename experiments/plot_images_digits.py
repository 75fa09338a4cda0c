"""Real images: standard and adversarial training on small digits.

The network of the structured-data theory on the 8x8 UCI digits, cut into nine overlapping 4x4 patches;
both trainings start from the same weights and see the same minibatches (setting ``images/digits``, claims
``images/sets`` and ``images/directions``: protocol and sizes are ours [choice]; the paper's own
experiments on images could not be read). Accuracy on test images along training, clean (a) and attacked (b)
by twenty steps of projected gradient ascent from the clean point and from two random ones, and by one full
step: a digit counts as robust if no iterate errs. Expect adversarial training to lag behind at first and
then to be as accurate as standard training, and several times as robust.

(c) One test image per class and the input gradient of its margin, for the first seed, each on its own
scale. The number beside a row is the mean cosine between the gradients of all test images and the centred
mean image of their class, over seeds: the adversarial network's gradients are nearer to what the classes
look like. ``--images`` names another set of images.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import mean_sd, measure, name_images, picture, shown_epochs, sized_features, sized_test
from matplotlib.figure import Figure

from featsim.claims.images.feature_measures import FeatureStudy, accuracies, first_of_classes, pixels
from featsim.plotting import TRAININGS, draw_image, draw_seeds, draw_signed, new_figure
from featsim.scenarios.images import FEATURE_SETTINGS
from featsim.specs import spec_from_dict

IMAGES = tuple(FEATURE_SETTINGS)
SEEDS = {"quick": 1, "default": 5, "full": 10}
EPOCHS = {"quick": (0, 10), "default": (0, 2, 5, 10, 20), "full": (0, 1, 2, 3, 5, 8, 12, 20, 30)}


def configuration(size: str, images: str = "digits") -> Config:
    """Return everything that determines the arrays."""
    setting = FEATURE_SETTINGS[images]
    scenario = sized_features(setting.scenario, size)
    n_epochs = FeatureStudy(scenario, 0).n_epochs
    return {
        "scenario": scenario,
        "epochs": shown_epochs(n_epochs, EPOCHS[size]),
        "n_test": sized_test(setting.n_test, size),
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed both ways, attack the weights along the way, and take the final gradients."""
    arrays = measure(accuracies, config, jobs, tuple(config["epochs"]), config["n_test"])
    study = FeatureStudy(spec_from_dict(config["scenario"]), 0, config["n_test"])
    return {**arrays, "images": pixels(study.test.select(first_of_classes(study.test)))}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw accuracies above, and images with both gradients below."""
    figure = new_figure(4.9)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.0, 1.05))
    upper, lower = parts
    draw_accuracies(upper, arrays, config)
    draw_pictures(lower, arrays)
    name_images(figure, arrays, config, config["n_test"])
    return figure


def draw_accuracies(figure: Any, arrays: Arrays, config: Config) -> None:
    """Draw clean and robust test accuracy side by side."""
    threat = spec_from_dict(config["scenario"]).evaluations[0].threat
    epochs = np.array(config["epochs"])
    norm = r"$\ell_2$" if threat.norm == "l2" else r"$\ell_\infty$"
    titles = {
        "clean": "(a) clean",
        "robust": f"(b) attacked, {norm} radius {threat.radius:g} of the whole image",
    }
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for training, line in TRAININGS.items():
            values = arrays[f"{training}_{name}"]
            draw_seeds(ax, epochs, values, **line, label=f"{training}: {mean_sd(values[:, -1])} at the end")
        ax.set_title(title)
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlim(0, epochs[-1])
        ax.set_ylim(0, 1)
    axes[0].legend(loc="lower right")
    axes[1].legend(loc="upper left")
    axes[0].set_ylabel(f"accuracy on {config['n_test']} test images")


def draw_pictures(figure: Any, arrays: Arrays) -> None:
    """Draw the images, and the input gradients of both networks below each other."""
    n_classes = len(arrays["images"])
    axes = figure.subplots(3, n_classes)
    cosines = {training: arrays[f"{training}_cosine"].mean() for training in TRAININGS}
    for column in range(n_classes):
        draw_image(axes[0, column], picture(arrays["images"][column]))
        for row, training in enumerate(TRAININGS, start=1):
            # Of colour the mean over the channels.
            draw_signed(axes[row, column], arrays[f"{training}_pictures"][0, column].mean(axis=-1))
    axes[0, 0].set_ylabel("image")
    for row, (training, cosine) in enumerate(cosines.items(), start=1):
        axes[row, 0].set_ylabel(f"{training}\ncosine {cosine:.2f}")
    title = "(c) test images, and input gradients of the margin (bright: for the true class; dark: against)"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
