r"""Robust overfitting on real images: even against odd digits.

Checks ``cgro/digits``, its control ``cgro/digits-standard``, ``cgro/F1-digits`` and ``cgro/F2-digits``:
200 whole 8x8 UCI digits, the two-branch :math:`\mathrm{ReLU}^2` network, full-batch adversarial training
with 3 steps of l2 PGD at 0.6 and standard training from the same start (a choice; the paper's own images
and networks are larger). (a), (b) Accuracy along training, clean and under PGD-20 with two random starts,
on training and on test images. Expect: adversarial training robust on its training images, clean on both,
and much less robust on test images; standard training without that gap (the control). (c), (d) Landscape
within a radius, found by gradient ascent of 10 steps from two starts (lower bounds): :math:`G_\epsilon`,
the largest l2 norm of the input gradient, and :math:`C_\epsilon`, the largest increase of the loss, means
over images. After adversarial training flat around training images inside the training radius (dashed)
only; after standard training (thin lines) nowhere. Medians over seeds, middle 80 % as a band; test
images: the first 200 of the test split.
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featsim.attacks import run_attack
from featsim.evaluation import ball_flatness
from featsim.plotting import COLOURS, THEORY, bands_in_words, draw_seeds, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.training import Recording

SEEDS = {"quick": 2, "default": 3, "full": 5}
STEPS = {
    "quick": (50, 300, 1000),
    "default": (20, 50, 150, 500, 1500, 4000),
    "full": (20, 50, 150, 500, 1500, 2500, 4000),
}
RADII = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.2, 1.5, 1.8)
N_TEST = 200
CURVES = {
    "train_clean": ("clean, training", COLOURS["other"], "-"),
    "test_clean": ("clean, test", COLOURS["other"], (0, (2, 1.2))),
    "train_robust": ("PGD, training", COLOURS["dense-mixture"], "-"),
    "test_robust": ("PGD, test", COLOURS["dense-mixture"], (0, (2, 1.2))),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    steps = STEPS[size]
    scenario = get_scenario("cgro/digits").with_settings({"schedule.n_steps": steps[-1]})
    return {
        "scenario": scenario,
        "seeds": list(range(SEEDS[size])),
        "steps": steps,
        "radii": RADII[::2] if size == "quick" else RADII,
        "n_test": 100 if size == "quick" else N_TEST,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed both ways and attack along the way."""
    arrays: Arrays = {}
    settings = tuple(config["steps"]), tuple(config["radii"]), config["n_test"]
    for training in ("standard", "adversarial"):
        runs = over_seeds(one_run, config["scenario"], config["seeds"], jobs, training, training, *settings)
        arrays |= {f"{training}_{name}": values for name, values in runs.items()}
    return arrays


def one_run(item: tuple[Scenario, int, str, tuple[int, ...], tuple[float, ...], int]) -> Arrays:
    """Return accuracies at the given steps and flatness at the end, on training and test images."""
    scenario, seed, training, steps, radii, n_test = item
    trace = scenario.run(training, seed, recording=Recording(at=(), weights_at=steps))
    data, _ = scenario.problem(seed)
    found: Arrays = {}
    for name, images in (("train", data), ("test", scenario.data.test(n_test))):  # type: ignore[attr-defined]
        rng = np.random.default_rng((seed, 1))
        accuracies = []
        for step in steps:
            network = scenario.model.network(trace.weights_at(step))  # type: ignore[attr-defined]
            result = run_attack(scenario.evaluations[0], network, images, rng)  # type: ignore[arg-type]
            accuracies.append([result.clean_accuracy, result.robust_accuracy])
        found[f"{name}_clean"], found[f"{name}_robust"] = np.array(accuracies).T
        curve = ball_flatness(network, images, radii, rng)
        found |= {f"{name}_G": curve.gradient, f"{name}_C": curve.change}
    return found


def landscape(ax: Axes, arrays: Arrays, radii: np.ndarray, key: str) -> None:
    """Draw one flatness curve of both trainings, on training and on test images."""
    for name, label, color, marker in (("train", "training images", COLOURS["adversarial"], "s"),
                                       ("test", "test images", COLOURS["nonrobust"], "o")):  # fmt: skip
        line = {"color": color, "marker": marker, "markersize": 3.5, "markevery": 1}
        shown = radii > 0.0 if key == "C" else radii >= 0.0  # C is 0 at 0
        draw_seeds(ax, radii[shown], arrays[f"adversarial_{name}_{key}"][:, shown], label=label, **line)
        draw_seeds(ax, radii[shown], arrays[f"standard_{name}_{key}"][:, shown], linewidth=0.8,
                   **{**line, "markersize": 2}, label=f"{label}, standard training")  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel(r"l2 radius $\epsilon$")


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw both trainings and the landscape."""
    scenario = spec_from_dict(config["scenario"])
    radius = scenario.trainings["adversarial"].attack.attack.threat.radius
    steps, radii = np.array(config["steps"]), np.array(config["radii"])
    figure = new_figure(5.0)
    grid = figure.subplots(2, 2)
    axes = grid[0]
    for ax, training, letter in zip(axes, ("standard", "adversarial"), "ab", strict=False):
        for name, (label, color, dashes) in CURVES.items():
            marker = "o" if "test" in name else "s"
            draw_seeds(ax, steps, arrays[f"{training}_{name}"], color=color, label=label, linestyle=dashes,
                       linewidth=1.5, marker=marker, markersize=3, markevery=1)  # fmt: skip
        ax.set_title(f"({letter}) {training} training, {len(config['seeds'])} seeds")
        step_axis(ax, steps[-1])
        ax.set_ylim(0.1, 1.03)
    axes[0].set_ylabel(f"accuracy (PGD-20, l2 {radius:g})")
    axes[1].set_ylabel(f"accuracy (PGD-20, l2 {radius:g})")
    for ax, key, letter, what in zip(grid[1], "GC", "cd", ("gradient", "increase of the loss"), strict=True):
        landscape(ax, arrays, radii, key)
        ax.axvline(radius, **THEORY, label=f"training radius, {radius:g}")
        ax.set_ylabel(rf"${key}_\epsilon$, largest {what}")
        ax.set_title(f"({letter}) landscape, end of training")
    lines = [*axes[0].get_legend_handles_labels(), *grid[1, 0].get_legend_handles_labels()]
    figure.legend(lines[0] + lines[2], lines[1] + lines[3], loc="outside lower center", ncols=3,
                  title=bands_in_words(figure) or None)  # fmt: skip
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
