"""Real images: robust on the training images, much less on others.

Even against odd digits as whole images, the two-branch ReLU^2 network, full-batch training from one start:
standard, and adversarial on three steps of l2 PGD at 0.6 (setting ``images/overfitting-mnist14``, claim
``images/mnist-overfitting``; all [choice]). ``make figures-images`` draws it where MNIST is; the embedded
digits have the figure ``cgro_digits``.
Accuracy along training on training images (filled) and test images (open), clean and under PGD-20 with two
random starts: (a) standard, (b) adversarial. Expect adversarial training to be clean on both, robust on its
training images, and to plateau much lower on test images: a gap, not a fall from a peak. Standard training
has no such gap. (c) Largest l2 norm of the input gradient within a radius after adversarial training: flat
around training images inside the training radius (dashed), steep around test images.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import mean_sd, measure, name_images
from matplotlib.figure import Figure

from featsim.claims.images.real_sets import landscape
from featsim.plotting import COLOURS, THEORY, draw_seeds, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict

SCENARIOS = {
    "mnist14": "images/overfitting-mnist14",
    "fashion14": "images/overfitting-fashion14",
    "digits": "cgro/digits",
}
IMAGES = tuple(SCENARIOS)
SEEDS = {"quick": 1, "default": 5, "full": 5}
STEPS = {"quick": (50, 1000), "default": (50, 500, 2000), "full": (20, 50, 150, 500, 1000, 2000)}
RADII = (0.0, 0.3, 0.6, 0.9, 1.2, 1.8)
N_TEST = {"quick": 100, "default": 300, "full": 400}
CURVES = {
    "train_clean": ("clean, training images", COLOURS["other"], "s", None),
    "test_clean": ("clean, test images", COLOURS["other"], "o", "white"),
    "train_robust": ("robust, training images", COLOURS["dense-mixture"], "s", None),
    "test_robust": ("robust, test images", COLOURS["dense-mixture"], "o", "white"),
}


def configuration(size: str, images: str = "mnist14") -> Config:
    """Return everything that determines the arrays."""
    steps = STEPS[size]
    return {
        "scenario": get_scenario(SCENARIOS[images]).with_settings({"schedule.n_steps": steps[-1]}),
        "steps": steps,
        "radii": RADII[::2] if size == "quick" else RADII,
        "n_test": N_TEST[size],
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed both ways and attack along the way."""
    arguments = (tuple(config["steps"]), tuple(config["radii"]), config["n_test"])
    return measure(landscape, config, jobs, *arguments)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw both trainings and the landscape."""
    figure = new_figure(3.1)
    axes = figure.subplots(1, 3)
    steps = np.array(config["steps"], dtype=float)
    for ax, training, letter in zip(axes, ("standard", "adversarial"), "ab", strict=False):
        for name, (label, color, marker, fill) in CURVES.items():
            values = arrays[f"{training}_{name}"]
            look: dict[str, Any] = {"marker": marker, "markevery": 1, "linewidth": 1.4, "label": label}
            draw_seeds(ax, steps, values, color=color, **look, markerfacecolor=fill or color)
        gap = arrays[f"{training}_train_robust"][:, -1] - arrays[f"{training}_test_robust"][:, -1]
        ax.set_title(f"({letter}) {training}: gap {mean_sd(gap)}")
        ax.set_xscale("log")
        ax.set_xlabel("step")
        ax.set_ylim(0.2, 1.02)
    axes[0].set_ylabel("accuracy (gap: robust, training less test)")
    for name, label, color, marker in (
        ("train", "training images", COLOURS["adversarial"], "s"),
        ("test", "test images", COLOURS["nonrobust"], "o"),
    ):
        draw_seeds(axes[2], np.array(config["radii"]), arrays[f"gradient_{name}"], color=color, label=label,
                   marker=marker, markevery=1, linewidth=1.4)  # fmt: skip
    threat = spec_from_dict(config["scenario"]).evaluations[0].threat
    axes[2].axvline(threat.radius, **THEORY)
    axes[2].set_yscale("log")
    axes[2].set_xlabel(r"$\ell_2$ radius")
    axes[2].set_ylabel("largest gradient of the loss")
    axes[2].set_title("(c) landscape, adversarial")
    axes[2].legend(loc="lower right")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    name_images(figure, arrays, config, config["n_test"])
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
