r"""The loss landscape on the signal line: flat at training samples within the radius, not at others.

Setting ``cgro/A``, checks ``cgro/F1`` and ``cgro/F2`` (paper, source). :math:`G_\epsilon`: mean over
samples of the largest :math:`|d\ell/ds|` within :math:`\epsilon`; :math:`C_\epsilon`: of the largest
increase of the loss; both exact up to the grid. (a), (b) At the end of training, against the radius in
units of alpha: training samples and fresh ones, the training radius dashed. Expect small values on
training samples up to it and a sharp rise beyond, while fresh samples are sharp inside already. (c) At
the training radius, along training: in the memorising stage the training curve falls and the fresh one
rises. Medians over seeds with the middle 80 % as a band. The bound of the paper on the robust gap falls
like N^(-1/(d+2)), 0.97 here: vacuous, so no bound is drawn.
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.evaluation import line_flatness
from featsim.plotting import COLOURS, THEORY, bands_in_words, draw_seeds, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.training import Recording

SEEDS = {"quick": 2, "default": 6, "full": 24}
STEPS = (0, 3, 10, 30, 100, 200, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000)
SAMPLES = {
    "train": ("training samples", COLOURS["adversarial"]),
    "fresh": ("fresh samples", COLOURS["nonrobust"]),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario("cgro/A"),
        "seeds": list(range(SEEDS[size])),
        "ratios": [round(0.05 * k, 2) for k in range(41)],
        "steps": STEPS,
        "n_grid": 200 if size == "quick" else 800,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed and scan the line."""
    settings = tuple(config["ratios"]), tuple(config["steps"]), config["n_grid"]
    return over_seeds(one_run, config["scenario"], config["seeds"], jobs, "landscape", *settings)


def one_run(item: tuple[Scenario, int, tuple[float, ...], tuple[int, ...], int]) -> Arrays:
    """Return both curves at the end, and both numbers at the training radius along training."""
    scenario, seed, ratios, steps, n_grid = item
    trace = scenario.run("adversarial", seed, recording=Recording(at=(), weights_at=steps))
    data, _ = scenario.problem(seed)
    alpha = data.signal_strength
    radius = scenario.trainings["adversarial"].attack.attack.radius  # type: ignore[union-attr]
    found: Arrays = {}
    for name, samples in (("train", data), ("fresh", data.fresh)):
        along = []
        for step in steps:
            network = scenario.model.network(trace.weights_at(step))  # type: ignore[attr-defined]
            curve = line_flatness(network, samples, (radius,), n_grid=n_grid)
            along.append([curve.gradient[0], curve.change[0]])
        curve = line_flatness(network, samples, np.array(ratios) * alpha, n_grid=n_grid)
        found |= {f"{name}_G": curve.gradient, f"{name}_C": curve.change, f"{name}_along": np.array(along)}
    return found


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw G and C against the radius, and G along training."""
    scenario = spec_from_dict(config["scenario"])
    ratio = scenario.trainings["adversarial"].attack.attack.radius / scenario.data.signal_strength
    ratios, steps = np.array(config["ratios"]), np.array(config["steps"])
    figure = new_figure(2.6)
    axes = figure.subplots(1, 3)
    for name, (label, color) in SAMPLES.items():
        marker = {"marker": "o", "markersize": 3.5} if name == "fresh" else {}
        for ax, key in zip(axes, ("G", "C"), strict=False):
            draw_seeds(
                ax, ratios, np.maximum(arrays[f"{name}_{key}"], 1e-6), color=color, label=label, **marker
            )
        draw_seeds(axes[2], steps, arrays[f"{name}_along"][:, :, 0], color=color, label=label, **marker)
    for ax, title in zip(axes, ("(a) $G_\\epsilon$, end of training", "(b) $C_\\epsilon$, end of training",
                                "(c) $G$ at the radius"), strict=True):  # fmt: skip
        ax.set_yscale("log")
        ax.set_title(title)
    for ax in axes[:2]:
        ax.axvline(ratio, **THEORY, label=f"training radius, {ratio:g}")
        ax.set_xlabel(r"radius $\epsilon/\alpha$")
    axes[0].set_ylabel("largest slope of the loss")
    axes[1].set_ylabel("largest increase of the loss")
    axes[0].set_ylim(1e-6, 40)
    axes[1].set_ylim(1e-6, 40)
    step_axis(axes[2], steps[-1])
    axes[2].set_xticks([0, 10, 100, 1000], ["0", "10", "100", "1,000"])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  title=bands_in_words(figure) or None)  # fmt: skip
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
