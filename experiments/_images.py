"""What the figures on real images share: settings, where the images came from, seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _figure import Arrays, Config
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.plotting import COLOURS
from featsim.scenarios import Scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs

TITLES = {
    "digits": "UCI digits",
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "svhn": "SVHN",
}
OFFICIAL = {1: "the published file", 0: "a subset of the published file", -1: "no checksum published"}
SETS: dict[str, dict[str, Any]] = {
    "clean": {"color": COLOURS["other"], "label": "clean test images", "marker": "o"},
    "robust_noise": {"color": COLOURS["robust"], "label": "robust set (from noise)", "marker": "s"},
    "nonrobust": {"color": COLOURS["nonrobust"], "label": "non-robust set", "marker": "^"},
}
"""Look of each set of images in curves."""


def sized(scenario: Scenario, size: str, n_steps: int) -> Scenario:
    """Return the scenario, at test size with no more than `n_steps` steps of each training."""
    if size != "quick":
        return scenario
    return scenario.with_settings({"schedule.n_steps": n_steps})


def sized_features(scenario: Scenario, size: str) -> Scenario:
    """Return a scenario of features, at test size with few steps: of large patches fewer."""
    return sized(scenario, size, 60 if scenario.name == "images/svhn" else 120)


def sized_test(n_test: int, size: str) -> int:
    """Return the number of test images: no more than 100 at test size."""
    return min(n_test, 100) if size == "quick" else n_test


def measure(
    function: Callable[..., Any], config: Config, jobs: int, *arguments: Any, warm: Scenario | None = None
) -> Arrays:
    """Call a measure for every seed of a configuration; add where the images came from, and the time.

    Parameters
    ----------
    function : callable
        Takes a run and the arguments.
    config : dict
        Has ``"scenario"`` and ``"seeds"``.
    jobs : int
        Processes.
    *arguments : object
        Of the function.
    warm : Scenario, optional
        Another scenario to measure.

    Returns
    -------
    dict of str to ndarray
        First axis seeds; those of :func:`origin` and ``"seconds"`` without it.
    """
    begin = time.monotonic()
    scenario = spec_from_dict(config["scenario"]) if warm is None else warm
    items = [(function, scenario, seed, arguments) for seed in config["seeds"]]
    runs = map_runs(_one, items, jobs=jobs, progress=True, label=config.get("figure", "images"))
    arrays = {name: np.stack([np.asarray(run[name]) for run in runs]) for name in runs[0]}
    return {**arrays, **origin(scenario), "seconds": np.array(time.monotonic() - begin)}


def _one(item: tuple[Callable[..., Any], Scenario, int, tuple[Any, ...]]) -> Any:
    function, scenario, seed, arguments = item
    return function(Run(scenario, None, seed, None), *arguments)


def origin(scenario: Scenario) -> Arrays:
    """Return where images came from and how much of them is seen.

    ``official``: whether training and test files are the published ones, 1 yes, 0 no, -1 nothing to compare;
    ``unseen``: rows at the bottom and columns at the right that no patch reaches.
    """
    data: Any = scenario.data
    parts = [data.pool()]
    if hasattr(data, "test_images"):  # a handful of images on the slice has no test set
        parts.append(data.test_images(1))
    codes = [-1 if part.official is None else int(part.official) for part in parts]
    shape, unseen = parts[0].image_shape, (0, 0)
    if hasattr(data, "patching"):
        height, width = data.patching.reach(shape)
        unseen = shape[0] - height, shape[1] - width
    return {"official": np.array(codes), "unseen": np.array(unseen)}


def name_images(figure: Figure, arrays: Arrays, config: Config, n_test: int, more: str = "") -> None:
    """Write below a figure which images it shows, how many, whether official, and the run time."""
    data = config["scenario"]["data"]
    words = [OFFICIAL[int(code)] for code in arrays["official"]]
    train, test = words[0], words[-1]
    files = train if train == test else f"training: {train}, test: {test}"
    small = f", averaged over {data['block']}x{data['block']} pixels" if data["block"] > 1 else ""
    grey = ", grey" if data.get("grey") else ""
    rows, columns = (int(count) for count in arrays["unseen"])
    edge = f"; no patch sees the last {rows} rows and {columns} columns" if rows or columns else ""
    seeds = f"{len(config['seeds'])} seeds" if len(config["seeds"]) > 1 else "one seed"
    tested = f" and {n_test} test" if n_test else ""
    counts = f"{config['scenario']['n_samples']} training{tested} images, {seeds}{more}"
    figure.supxlabel(
        f"{TITLES[data['images']]}{small}{grey} ({files}){edge}:\n"
        f"{counts}; computed in {float(arrays['seconds']):.0f} s",
        fontsize=7,
        x=0.01,
        ha="left",
    )


def mean_sd(values: Any) -> str:
    """Return mean and standard deviation over seeds."""
    table = np.asarray(values, dtype=np.float64)
    spread = f" ± {table.std(ddof=1):.3f}" if len(table) > 1 else ""
    return f"{table.mean():.3f}{spread}"


def shown_epochs(n_epochs: int, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the wanted epochs below the last, and the last."""
    return (*(epoch for epoch in wanted if epoch < n_epochs), n_epochs)


def picture(values: Any) -> Any:
    """Return a picture as matplotlib takes it: grey (H, W), or colour (H, W, 3)."""
    array = np.clip(np.asarray(values), 0.0, 1.0)  # the mean image added back leaves a rounding
    return array[..., 0] if array.shape[-1] == 1 else array
