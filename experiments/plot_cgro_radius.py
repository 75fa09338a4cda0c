r"""The radius decides: below a critical one training learns a robust signal, above it memorises.

Setting ``cgro/A`` at training radii :math:`\rho\alpha`, check ``cgro/T5`` (a control, derived): robust
overfitting everywhere would be wrong. (a) Accuracy under the exact attack on the signal line at the
training radius, fresh samples and training samples: one dot per seed, the line their median. (b) The two
ways to a positive attacked margin: the attacked signal score :math:`\tilde\alpha^q U` and the mean
memorisation V. Below :math:`\rho^*` the signal carries it and V is about 0, above the other way round.
Dashed: the predicted :math:`1-\rho^* = \frac1\alpha[\frac{\sigma^2 d}{N}(v_0/u_I)^{q-2}]^{1/q}`, where
memorisation and robust learning would take the same time. Expect the crossing a little below it, robust
accuracy 1 to its left and 1/2 to its right.
"""

import sys

import numpy as np
from _cgro import MEMORY, SIGNAL, laws_of, marked, over_seeds, start_of
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, THEORY, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.theory.cgro import largest_start
from featsim.training import Recording

RATIOS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.75, 0.8, 0.825, 0.85, 0.875, 0.9, 0.95, 1.0)
SEEDS = {"quick": 2, "default": 6, "full": 20}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    ratios = (0.6, 0.8, 0.85, 0.9, 0.95) if size == "quick" else RATIOS
    base = get_scenario("cgro/A").with_settings({"schedule.n_steps": 6000})
    return {"scenario": base, "ratios": ratios, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed at every radius."""
    return over_seeds(one_run, config["scenario"], config["seeds"], jobs, "radii", tuple(config["ratios"]))


def one_run(item: tuple[Scenario, int, tuple[float, ...]]) -> Arrays:
    """Return accuracies and scores at the end for every radius, and the predicted transition."""
    base, seed, ratios = item
    rows = []
    for ratio in ratios:
        scenario = base.with_settings({"radius": ratio * base.data.signal_strength})  # type: ignore[attr-defined]
        trace = scenario.run("adversarial", seed, recording=Recording(at=(6000,)))
        names = ("fresh_worst_accuracy", "worst_accuracy", "attacked_signal_score", "mean_memorisation")
        rows.append([float(trace[name][-1]) for name in names])
    start, laws = start_of(base, seed), laws_of(base, "adversarial")
    predicted = laws.memorisation_time(start.noise_coef, start.labels)
    stalled = laws.stalled_coef(float(np.median(predicted)))
    first = float(np.median(largest_start(start.noise_coef, start.labels)))
    table = np.array(rows)
    return {
        "fresh": table[:, 0],
        "train": table[:, 1],
        "signal": table[:, 2],
        "memory": table[:, 3],
        "predicted": np.asarray(laws.critical_ratio(first, stalled)),
    }


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw accuracies and scores against the radius."""
    scenario = spec_from_dict(config["scenario"])
    ratios = np.array(config["ratios"])
    figure = new_figure(2.7)
    left, right = figure.subplots(1, 2)
    n_seeds = len(config["seeds"])
    marked(left, ratios, arrays["train"].T, color=COLOURS["other"], label="training samples", marker="s")
    marked(left, ratios, arrays["fresh"].T, color=COLOURS["dense-mixture"], label="fresh samples")
    left.axhline(0.5, color="0.6", linewidth=0.6, zorder=1)
    left.set_ylabel("robust accuracy (exact, signal line)")
    left.set_title(f"(a) robust accuracy, {n_seeds} seeds")
    left.set_ylim(0.4, 1.04)
    marked(right, ratios, np.maximum(arrays["signal"].T, 1e-4), color=SIGNAL,
           label=r"signal, $\tilde\alpha^q U$", marker="s")  # fmt: skip
    marked(right, ratios, np.maximum(arrays["memory"].T, 1e-4), color=MEMORY, label="memorisation, mean $V$")
    right.set_yscale("log")
    right.set_ylim(1e-3, 40)
    right.set_ylabel("part of the attacked margin")
    right.set_title("(b) what carries the attacked margin")
    predicted = float(np.median(arrays["predicted"]))
    for ax in (left, right):
        ax.axvline(predicted, **THEORY, label=rf"predicted $\rho^*$ = {predicted:.2f}")
        ax.set_xlabel(rf"training radius $\delta / \alpha$   ($\alpha$ = {scenario.data.signal_strength:g})")
    left.legend(loc="lower left")
    right.legend(loc="center left", bbox_to_anchor=(0.0, 0.64))
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
