"""Real images: standard and adversarial training on small digits.

The network of the structured-data theory on the 8x8 UCI digits, cut into nine overlapping 4x4 patches;
both trainings start from the same weights and see the same minibatches (setting ``images/digits``:
protocol and sizes are ours [choice]; the paper's own experiments on images could not be read). Accuracy
on test images along training, clean (a) and attacked (b) by twenty steps of projected gradient ascent
from the clean point and from two random ones, and by one full step: a digit counts as robust if no
iterate errs. Expect adversarial training to lag behind at first and then to be as accurate as standard
training, and several times as robust.

(c) One test image per class and the input gradient of its margin, for the first seed, each on its own
scale. The number beside a row is the mean cosine between the gradients of all test images and the centred
mean image of their class, over seeds: the adversarial network's gradients are nearer to what the classes
look like.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from _figure import Arrays, Config, run_figure, run_seeds
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from featsim.data import PatchData
from featsim.evaluation import evaluate
from featsim.images import unstandardise
from featsim.models import margin_cotangent
from featsim.plotting import TRAININGS, draw_image, draw_seeds, draw_signed, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.training import Recording

SCENARIO = "images/digits"
SEEDS = {"quick": 2, "default": 5, "full": 20}
N_TEST = 300
BLOCK = 50  # test images attacked at a time, so that the arrays stay in the cache
EPOCHS = {
    "quick": (0, 2, 8, 20, 40),
    "default": (0, 1, 2, 3, 5, 8, 12, 20, 30, 40),
    "full": tuple(range(41)),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario(SCENARIO),
        "epochs": EPOCHS[size],
        "n_test": N_TEST,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed both ways, attack the weights along the way, and take the final gradients."""
    scenario = spec_from_dict(config["scenario"])
    arrays = run_seeds(one_run, scenario, config, jobs, config["epochs"], config["n_test"])
    shown = first_of_each_class(scenario.data.test(config["n_test"]))
    return {**arrays, "epochs": np.array(config["epochs"]), "images": unstandardise(shown)[..., 0]}


def first_of_each_class(data: PatchData) -> PatchData:
    """Return one sample of each class."""
    return data.select(np.unique(data.y, return_index=True)[1])


def one_run(item: tuple[Scenario, str, int, tuple[int, ...], int]) -> Arrays:
    """Return clean and robust accuracy at the given epochs, and what the final input gradients look like."""
    scenario, training, seed, epochs, n_test = item
    schedule = scenario.trainings[training].schedule
    per_epoch = scenario.n_samples // (schedule.batch_size or scenario.n_samples)
    steps = tuple(per_epoch * epoch for epoch in epochs)
    trace = scenario.run(training, seed, recording=Recording(at=(), weights_at=steps))
    spec: Any = scenario.data
    model: Any = scenario.model
    test = spec.test(n_test)
    with threadpool_limits(1, user_api="blas"):
        accuracies = []
        for step in steps:
            network = model.network(trace.weights_at(step))
            # The same random starts at every epoch and for both trainings.
            accuracies.append(accuracy_under_attack(scenario, network, test, np.random.default_rng(seed)))
        network = model.network(trace.final_weights)
        gradients = image_gradients(network, test)
        pictures = image_gradients(network, first_of_each_class(test))
        train, _ = scenario.problem(seed)
    return {
        "clean": np.array([clean for clean, _ in accuracies]),
        "robust": np.array([robust for _, robust in accuracies]),
        "cosine": class_mean_cosine(gradients, test, train),
        "pictures": pictures,
    }


def accuracy_under_attack(
    scenario: Scenario, network: Any, test: PatchData, rng: np.random.Generator
) -> tuple[float, float]:
    """Return clean accuracy, and accuracy under all attacks of the scenario together."""
    attacks: tuple[Any, ...] = scenario.evaluations
    correct = {"clean": 0.0, "robust": 0.0}
    for first in range(0, test.n_samples, BLOCK):
        block = test.select(slice(first, first + BLOCK))
        result = evaluate(network, block, attacks, rng)
        correct["clean"] += result.attacks[0].clean_accuracy * block.n_samples
        correct["robust"] += result.robust_accuracy().attacked * block.n_samples
    return correct["clean"] / test.n_samples, correct["robust"] / test.n_samples


def image_gradients(network: Any, data: PatchData) -> npt.NDArray[np.float64]:
    """Return the pixel gradient of the margin in favour of the true class, shape (n, H, W)."""
    spec: Any = data.spec
    gradient = -network.input_gradient(data.X, margin_cotangent(network.scores(data.X), data.y))
    # A pixel moves all its copies in overlapping patches, so their gradients add up.
    folded: npt.NDArray[np.float64] = spec.patching.fold(gradient, spec.image_shape)
    return folded[..., 0]


def class_mean_cosine(
    gradients: npt.NDArray[np.float64], test: PatchData, train: PatchData
) -> npt.NDArray[np.float64]:
    """Return the mean cosine between the gradients and the centred mean image of their class."""
    images = unstandardise(train)[..., 0]
    means = np.array([images[train.y == label].mean(axis=0) for label in range(train.n_classes)])
    flat = (means - means.mean(axis=0)).reshape(len(means), -1)[test.y]
    rows = gradients.reshape(len(gradients), -1)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(flat, axis=1)
    return np.asarray(((rows * flat).sum(axis=1) / norms).mean())


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw accuracies above, and images with both gradients below."""
    figure = new_figure(4.7)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.0, 1.05))
    upper, lower = parts
    draw_accuracies(upper, arrays, config)
    draw_pictures(lower, arrays)
    return figure


def draw_accuracies(figure: Any, arrays: Arrays, config: Config) -> None:
    """Draw clean and robust test accuracy side by side."""
    threat = spec_from_dict(config["scenario"]).evaluations[0].threat
    epochs = arrays["epochs"]
    budget = rf"$\ell_2$ radius {threat.radius:g} of the whole image"
    titles = {"clean": "(a) clean", "robust": f"(b) attacked, {budget}"}
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for training, line in TRAININGS.items():
            values = arrays[f"{training}_{name}"]
            final = values[:, -1]
            label = f"{training}: {final.mean():.3f} ± {final.std(ddof=1):.3f} at the end"
            draw_seeds(ax, epochs, values, **line, label=label)
        ax.set_title(title)
        ax.set_xlabel("epoch")
        ax.set_xlim(0, epochs[-1])
        ax.set_ylim(0, 1)
    axes[0].legend(loc="lower right")
    axes[1].legend(loc="upper left")
    n_seeds = len(arrays["standard_clean"])
    axes[0].set_ylabel(f"accuracy on {config['n_test']} test images\n({n_seeds} seeds)")


def draw_pictures(figure: Any, arrays: Arrays) -> None:
    """Draw the images, and the input gradients of both networks below each other."""
    n_classes = len(arrays["images"])
    axes = figure.subplots(3, n_classes)
    cosines = {training: arrays[f"{training}_cosine"].mean() for training in TRAININGS}
    for column in range(n_classes):
        draw_image(axes[0, column], arrays["images"][column])
        for row, training in enumerate(TRAININGS, start=1):
            draw_signed(axes[row, column], arrays[f"{training}_pictures"][0, column])
    axes[0, 0].set_ylabel("image")
    for row, (training, cosine) in enumerate(cosines.items(), start=1):
        axes[row, 0].set_ylabel(f"{training}\ncosine {cosine:.2f}")
    title = "(c) test images, and input gradients of the margin (bright: for the true class; dark: against)"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
