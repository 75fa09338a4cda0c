"""What the figures of the purification theory share: phases trained from one clean run, and colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from featsim.claims.cases import Run
from featsim.models import Model
from featsim.plotting import COLOURS
from featsim.scenarios import Scenario
from featsim.traces import Trace
from featsim.training import Recording, train
from featsim.validation import FloatArray

PARTS = {
    "pure_share": ("pure", COLOURS["robust"]),
    "dense_share": ("dense mixture", COLOURS["dense-mixture"]),
    "rest_share": ("rest: several features", COLOURS["other"]),
}
"""Quantity -> label and colour of the parts of the weights' energy."""

NETS: dict[str, dict[str, Any]] = {
    "standard": {"color": COLOURS["standard"], "marker": "o", "markerfacecolor": "white", "label": "clean"},
    "control": {"color": COLOURS["nonrobust"], "marker": "D", "label": "more clean steps"},
    "adversarial": {"color": COLOURS["adversarial"], "marker": "s", "label": "adversarial"},
}
"""Colour, marker and label of each training."""

COSINES: dict[str, tuple[str, dict[str, Any]]] = {
    "clean_robust": ("$w$ and $w'$", {"color": COLOURS["adversarial"], "linestyle": "-", "linewidth": 1.8}),
    "initial_clean": (
        "$w^0$ and $w$",
        {"color": COLOURS["robust"], "linestyle": (0, (4, 1.5)), "linewidth": 1.8},
    ),
    "initial_robust": (
        "$w^0$ and $w'$",
        {"color": COLOURS["nonrobust"], "linestyle": (0, (1, 1)), "linewidth": 2.2},
    ),
}
"""Cosine -> label and line of the states it compares."""


def phases(scenario: Scenario, seed: int, recordings: Mapping[str, Recording]) -> dict[str, Trace]:
    """Train the named trainings of one seed; the clean phase, from which others start, runs once.

    The traces are those of `Scenario.run`, bit for bit.
    """
    clean = scenario.run("standard", seed, recording=recordings.get("standard", Recording(at=())))
    found = {"standard": clean}
    for name, recording in recordings.items():
        if name == "standard":
            continue
        chosen = scenario.trainings[name]
        if chosen.start_from != "standard":
            found[name] = scenario.run(name, seed, recording=recording)
            continue
        data, rng = scenario.problem(seed)
        found[name] = train(
            scenario.model,
            data,
            schedule=chosen.schedule,
            attack=chosen.attack,
            recording=recording,
            rng=rng,
            initial_weights=clean.final_weights,
            scenario=scenario.name,
            training=name,
            seed=seed,
        )
    return found


def run_of(scenario: Scenario, training: str, seed: int, trace: Trace) -> Run:
    """Return a trace as the claims' measures take it."""
    return Run(scenario, training, seed, trace)


def signed_accuracy(model: Model, X: FloatArray, y: Any) -> float:
    """Return the accuracy of a model with one score."""
    return float(np.mean(np.where(np.asarray(y) == 1, 1.0, -1.0) * model.scores(X)[:, 0] > 0.0))


def draw_points(ax: Any, rows: list[str], values: Mapping[str, FloatArray], looks: Mapping[str, Any]) -> None:
    """Draw accuracies as rows: a small dot per seed, a large mark at the median, nets side by side.

    values: net -> (n_seeds, n_rows).
    """
    offsets = np.linspace(-0.26, 0.26, len(values))
    for offset, (net, table) in zip(offsets, values.items(), strict=True):
        look = {key: value for key, value in looks[net].items() if key != "label"}
        for row in range(len(rows)):
            y = np.full(len(table), row + offset)
            ax.plot(table[:, row], y, ".", color=look["color"], alpha=0.5, markersize=3)
        ax.plot(
            np.median(table, axis=0),
            np.arange(len(rows)) + offset,
            linestyle="none",
            markersize=5.5,
            label=looks[net]["label"],
            **look,
        )
    ax.set_yticks(range(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(-0.03, 1.03)
    ax.grid(False, axis="y")
    for row in range(1, len(rows)):
        ax.axhline(row - 0.5, color="0.85", linewidth=0.5)


def stack_runs(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Join what runs of different seeds gave: a new first axis, seeds."""
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def seeds_in_words(n: int) -> str:
    """Return what lines and bands are."""
    return "one seed" if n == 1 else f"median and middle 80 % of {n} seeds"
