"""Real images: a handful of images near the tangent kernel, the wider the lazier.

Eight images, four of each of two classes, flattened, centred and brought to the slice of the unit
sphere; the two-layer network in the tangent-kernel scaling is trained on caps of chordal radius 0.1 around
them (setting ``images/lazy-digits``, claim ``images/lazy``; sizes [choice]). Largest values along the run
against the width, for the three quantities of the synthetic points: relative change of the tangent kernel,
largest move of a neuron, distance to the linearised network. The legend has the fitted exponents, the
dashed line the exponent -1/2.

Expect [derived] all of them to fall with exponents of at most about -1/2, as on points. (d) Attacked training
loss: it goes to zero at every width. All statements are about these training images; test accuracy is outside
the theory.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _images import measure, name_images
from matplotlib.figure import Figure

from featsim.claims.images.lazy_measures import LAZY_WIDTHS, lazy_images
from featsim.plotting import THEORY, draw_seeds, new_figure
from featsim.scenarios import get_scenario

IMAGES = ("digits", "mnist14")
SEEDS = {"quick": 2, "default": 5, "full": 10}
LOOKS = {
    "paired": ("quadratic ReLU, paired start", "#111111", "o"),
    "plain": ("quadratic ReLU", "#f2a33a", "D"),
}
PANELS = {
    "drift": ("(a) kernel drift", r"$\max_t |K_t - K_0|_F / |K_0|_F$"),
    "move": ("(b) largest move of a neuron", r"$\max_{t,r} |w_r - w_r(0)|$"),
    "tangent_gap": ("(c) gap to the tangent model", r"$\max_{t,x} |f - f_{lin}|$"),
}


def configuration(size: str, images: str = "digits") -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario(f"images/lazy-{images}"),
        "widths": LAZY_WIDTHS[:2] if size == "quick" else LAZY_WIDTHS,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every width for every seed."""
    return measure(lazy_images, config, jobs, tuple(config["widths"]))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the three measures of laziness and the loss."""
    figure = new_figure(2.9)
    axes, widths = figure.subplots(1, 4), np.array(config["widths"], dtype=float)
    for ax, (name, (title, label)) in zip(axes, PANELS.items(), strict=False):
        for key, (_, color, marker) in LOOKS.items():
            values = arrays[f"{key}_{name}"]
            slopes = [np.polyfit(np.log(widths), np.log(row), 1)[0] for row in values]
            draw_seeds(ax, widths, values, color=color, marker=marker, markevery=1, linewidth=1.3,
                       label=f"{np.mean(slopes):.2f} ± {np.std(slopes, ddof=1):.2f}")  # fmt: skip
        top = 1.4 * max(float(arrays[f"{key}_{name}"].max()) for key in LOOKS)
        ax.plot(widths, top * (widths / widths[0]) ** -0.5, **THEORY)
        ax.set_title(title, fontsize=8)
        ax.set_ylabel(label)
        ax.legend(loc="lower left", title="exponent", fontsize=6.8)
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        ax.set_ylim(low * (low / high) ** 0.45, high)
    for key, (_, color, marker) in LOOKS.items():
        draw_seeds(
            axes[3], widths, arrays[f"{key}_loss"], color=color, marker=marker, markevery=1, linewidth=1.3
        )
    axes[3].set_title("(d) attacked loss", fontsize=8)
    axes[3].set_ylabel("least over the run")
    axes[3].set_ylim(bottom=0)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xticks(widths, [f"{width:g}" for width in widths], fontsize=6.5)
        ax.set_xticks([], minor=True)
        ax.set_xlabel("width m")
    lines = [line for line in axes[3].get_lines()]
    figure.legend(lines, [words for words, _, _ in LOOKS.values()], loc="outside upper center", ncols=2)
    name_images(figure, arrays, config, 0)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw, IMAGES))
