"""Robust accuracy against the radius as a shaded interval: what is certified, and what attacks leave.

Networks and baselines on sparse-coding data (``purification/C``; baselines of ``purification/A-linear``,
``-cubic`` and ``-ntk`` in its dimension): the symmetric network after standard and after adversarial
training, and linear, polynomial and tangent-kernel models trained adversarially at the l2 radius 0.2. For the
linear model both ends agree; elsewhere the shaded part is what neither the strongest attack of the default
suite nor the certificate of the model's kind decides [measured]. Dotted: training radius. Claim
``evaluation/V1``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import phases
from matplotlib.figure import Figure

from featsim.claims.purification.measures import ENDS
from featsim.evaluation import default_suite, robustness
from featsim.models import trained_model
from featsim.plotting import COLOURS, draw_band, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict
from featsim.threats import Threat

LOOKS: dict[str, tuple[str, str]] = {
    "standard": (COLOURS["standard"], "standard"),
    "adversarial": (COLOURS["adversarial"], "adversarial"),
    "linear": (COLOURS["robust"], "linear"),
    "cubic": (COLOURS["dense-mixture"], "polynomial, q = 3"),
    "ntk": (COLOURS["nonrobust"], "tangent kernel"),
}
RADII = {"quick": 5, "default": 7, "full": 21}
SAMPLES = {"quick": 40, "default": 60, "full": 200}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    rivals = {
        name: get_scenario(f"purification/A-{name}").with_settings({"data.dim": 40})
        for name in list(LOOKS)[2:]
    }
    return {
        "scenario": get_scenario("purification/C"),
        "rivals": rivals,
        "radii": np.linspace(0.0, 0.4, RADII[size]).round(6).tolist(),
        "n_samples": SAMPLES[size],
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train the models and evaluate them at every radius."""
    scenario: Any = spec_from_dict(config["scenario"])
    traces = phases(scenario, 0, {"standard": ENDS, "adversarial": ENDS})
    found = {
        name: _ends(trained_model(scenario.model, trace), scenario, config) for name, trace in traces.items()
    }
    for name, stored in config["rivals"].items():
        rival: Any = spec_from_dict(stored)
        trace = rival.run("adversarial", 0, recording=ENDS)
        found[name] = _ends(trained_model(rival.model, trace), rival, config)
    return found


def _ends(model: Any, scenario: Any, config: Config) -> np.ndarray[Any, Any]:
    """Return certified and attacked accuracy at each radius, shape (radii, 2)."""
    data, _ = scenario.problem(0)
    data = (data if data.fresh is None else data.fresh).select(slice(config["n_samples"]))
    rows = []  # no search by the clock: the figure is the same on every machine
    for radius in config["radii"]:
        threat = Threat(radius=radius, scope="input")
        attacks = default_suite(model, data, threat, random=False, quick=True)
        rows.append(robustness(model, data, threat, attacks=attacks, branch_seconds=0.0).interval)
    return np.array(rows)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw one panel per model, so that intervals do not hide each other."""
    figure = new_figure(2.4)
    axes = figure.subplots(1, len(LOOKS), sharey=True)
    for ax, (name, (colour, label)) in zip(axes, LOOKS.items(), strict=True):
        low, high = arrays[name].T
        band = "from certified to attacked accuracy"
        draw_band(ax, config["radii"], low, high, color=colour, meaning=band, alpha=0.35)
        ax.plot(config["radii"], high, "-", color=colour, marker="o", markersize=3, label="attacked")
        ax.plot(config["radii"], low, "--", color=colour, marker="s", markersize=3, label="certified")
        ax.axvline(0.2, color="0.6", linestyle=":", linewidth=1.0, zorder=0)
        ax.set_title(label)
        ax.set_xlabel("l2 radius")
        ax.set_ylim(-0.03, 1.03)
    axes[0].set_ylabel("accuracy")
    axes[1].legend(loc="upper right", fontsize="x-small")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
