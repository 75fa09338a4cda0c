"""What all figure scripts share: arguments, results that are kept, and files that can be drawn again.

A script says what it computes, as JSON data (`configuration`), computes it (`compute`) and draws the
arrays (`draw`). The arrays are written with the configuration, and computed again only if that has changed
or a source is newer.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

import featsim
from featsim.plotting import figure_style, name_bands, save_figure
from featsim.scenarios import Scenario
from featsim.sweeps import map_runs
from featsim.traces import TraceError, check_writable
from featsim.traces.files import plain_json
from featsim.traces.npz import read_npz, write_npz
from featsim.training import Recording
from featsim.versions import version_report

Arrays = dict[str, npt.NDArray[Any]]
Config = dict[str, Any]

KIND = "figure-data"
SIZES = ("quick", "default", "full")


def run_figure(
    script: str,
    configuration: Callable[..., Config],
    compute: Callable[[Config, int], Arrays],
    draw: Callable[[Arrays, Config], Figure],
    images: Sequence[str] = (),
) -> int:
    """Run a figure script with the arguments of the command line.

    Parameters
    ----------
    script : str
        ``__file__`` of ``plot_NAME.py``; the figure is NAME.
    configuration : callable
        From the size (``"quick"``, ``"default"``, ``"full"``) to JSON data that determine the result.
    compute : callable
        From configuration and number of processes to the arrays behind the figure.
    draw : callable
        From arrays and configuration to the figure.
    images : sequence of str
        Settings of real images that the figure can be drawn for, the default one first; the option
        ``--images`` chooses among them and is handed to `configuration`.

    Returns
    -------
    int
        Exit status.
    """
    name = Path(script).stem.removeprefix("plot_")
    options = _arguments(name, images)
    begin = time.monotonic()
    try:
        for folder in (options.figures, options.results):
            check_writable(folder)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    size = "quick" if options.quick else "full" if options.full else "default"
    settings: dict[str, Any] = {}
    if images:
        settings["images"] = options.images
        name += f"-{options.images}" if options.images != images[0] else ""
    config = plain_json({"figure": name, "size": size, **configuration(size, **settings)}, "configuration")
    result = options.results / f"{name}.npz"
    arrays = _kept(result, config, Path(script))
    if arrays is None:
        print(f"{name}: computing", file=sys.stderr, flush=True)
        try:
            arrays = compute(config, options.jobs)
        except KeyboardInterrupt:
            print(f"{name}: interrupted; nothing was written", file=sys.stderr)
            return 130
        write_npz(result, KIND, arrays, {"config": config, "versions": version_report()})
    else:
        print(f"{name}: drawing from {result}, which is up to date", file=sys.stderr)
    with figure_style():
        figure = draw(arrays, config)
        name_bands(figure)
    png = save_figure(figure, options.figures / f"{name}.png")
    figure.set_layout_engine("none")  # laid out once for both
    pdf = save_figure(figure, options.figures / f"{name}.pdf")
    written = ", ".join(str(path) for path in (png, pdf, result))
    print(f"{name}: {written} ({time.monotonic() - begin:.1f} s)", file=sys.stderr)
    return 0


def load_figure_data(path: Path) -> tuple[Arrays, Config]:
    """Return the arrays behind a figure and the configuration that made them.

    Raises
    ------
    TraceError
        If the file is missing, damaged or not the result of a figure script.
    """
    header, arrays = read_npz(path, KIND)
    return arrays, header["config"]


def _arguments(name: str, images: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"Draw the figure {name}.")
    parser.add_argument("--figures", type=Path, default=Path("figures"), help="folder for PNG and PDF")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for the data")
    if images:
        parser.add_argument("--images", choices=images, default=images[0], help="default %(default)s")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="test size")
    size.add_argument("--full", action="store_true", help="full size: more seeds")
    parser.add_argument(
        "--jobs",
        type=int,
        help="processes (default 2, or what there is; 1 with --quick, where starting them takes longer)",
    )
    options = parser.parse_args()
    if options.jobs is None:
        options.jobs = 1 if options.quick else min(2, os.cpu_count() or 1)
    if options.jobs < 1:
        parser.error(f"--jobs must be >= 1, got {options.jobs}")
    return options


def _kept(result: Path, config: Config, script: Path) -> Arrays | None:
    """Return the arrays of an earlier run if nothing they depend on has changed since."""
    if not result.is_file():
        return None
    package = Path(featsim.__file__).parent
    sources = [script, *script.parent.glob("_*.py"), *package.rglob("*.py"), *package.rglob("*.npz")]
    if max(source.stat().st_mtime for source in sources) > result.stat().st_mtime:
        return None
    try:
        arrays, found = load_figure_data(result)
    except TraceError as error:
        print(f"{error}; computing it again", file=sys.stderr)
        return None
    return arrays if found == config else None


def run_seeds(
    one_run: Callable[[Any], Arrays], scenario: Scenario, config: Config, jobs: int, *settings: Any
) -> Arrays:
    """Call ``one_run((scenario, training, seed, *settings))`` for every training and seed.

    Returns
    -------
    dict of str to ndarray
        What `one_run` returned, under its name with the training in front; first axis seeds.
    """
    # Compile here what all processes need, and not in each of them.
    for training in scenario.trainings:
        scenario.with_settings({"schedule.n_steps": 1}).run(training, 0, recording=Recording(at=()))
    seeds = config["seeds"]
    items = [(scenario, training, seed, *settings) for training in scenario.trainings for seed in seeds]
    runs = map_runs(one_run, items, jobs=jobs, progress=True, label=config["figure"])
    arrays: Arrays = {}
    for number, training in enumerate(scenario.trainings):
        of_training = runs[number * len(seeds) : (number + 1) * len(seeds)]
        for name in of_training[0]:
            arrays[f"{training}_{name}"] = np.stack([run[name] for run in of_training])
    return arrays
