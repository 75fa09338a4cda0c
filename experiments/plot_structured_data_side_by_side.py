"""Standard and adversarial training on the same data: who learns which feature.

Setting ``structured-data/S1``: one strong robust patch against forty weak non-robust ones, same data and
initial weights for both trainings. Standard training mainly learns the non-robust features, and one-step
adversarial training the robust ones [source: the claim in words; all constants are ours, choice]: claims
``structured-data/T1``, ``structured-data/T2`` and, for the dashed lines, ``structured-data/T8``.

Above, the largest coefficient :math:`A^+` along the own robust feature and :math:`B^+` along the own
non-robust one over the neurons of a class, mean over the classes; below, the share of the decision that
rests on each. Lines are medians over seeds, bands hold the middle 80 % of the seeds. Expect :math:`B^+`
to win within some tens of steps on the left, and on the right to stop at a low plateau while :math:`A^+`
grows later and class by class. A few seeds have a class that is still undecided at the end, where neither
feature has grown. Dashed: the exact reduced recursions [derived], which
know neither dimension nor samples. At this attack step, rounding errors grow at the edges of the
activation, so that a seed may part from the recursion for a while; the largest difference is quoted.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from _figure import Arrays, Config, run_figure, run_seeds
from _structured_data import reduced_run
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, THEORY, draw_seeds, draw_theory, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.training import Recording

SCENARIO = "structured-data/S1"
SEEDS = {"quick": 5, "default": 10, "full": 50}
TRAININGS = ("standard", "adversarial")
QUANTITIES = ("robust_coef", "nonrobust_coef", "nonrobust_share")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    recording = Recording(n_log=160, quantities=QUANTITIES)
    return {"scenario": get_scenario(SCENARIO), "recording": recording, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed both ways and follow the reduced recursion beside it."""
    recording = spec_from_dict(config["recording"])
    return run_seeds(one_run, spec_from_dict(config["scenario"]), config, jobs, recording)


def one_run(item: tuple[Scenario, str, int, Recording]) -> Arrays:
    """Return the largest coefficients and the shares of one run, simulated and predicted."""
    scenario, training, seed, recording = item
    trace = scenario.run(training, seed, recording=recording)
    theory = reduced_run(scenario, training, seed, recording)
    arrays: Arrays = {"steps": trace.steps}
    for name, run in (("simulated", trace.arrays), ("predicted", vars(theory))):
        arrays[f"{name}_robust"] = run["robust_coef"].max(axis=2)
        arrays[f"{name}_nonrobust"] = run["nonrobust_coef"].max(axis=2)
        # Where both parts are 0 the recursion's share is nan and the trace's 1/2.
        arrays[f"{name}_share"] = np.nan_to_num(run["nonrobust_share"], nan=0.5)
    difference = [np.abs(theory.robust_coef - trace["robust_coef"]).max()]
    difference.append(np.abs(theory.nonrobust_coef - trace["nonrobust_coef"]).max())
    arrays["difference"] = np.max(difference)
    return arrays


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw coefficients above and shares below, standard left and adversarial right."""
    figure = new_figure(3.9)
    axes = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=(1.25, 1))
    for column, training in enumerate(TRAININGS):
        part = {name.removeprefix(f"{training}_"): array for name, array in arrays.items()}
        draw_training(axes[:, column], part)
        axes[0, column].set_title(f"({'ab'[column]}) {training} training")
    axes[0, 0].set_ylabel("largest coefficient,\nmean over classes")
    axes[1, 0].set_ylabel("share of the logit,\nmean over classes")
    n_seeds, _, n_classes = arrays["standard_simulated_robust"].shape
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=3,
        title=f"median and middle 80 % of {n_seeds} seeds, {n_classes} classes each",
    )
    return figure


def draw_training(axes: npt.NDArray[Any], part: Arrays) -> None:
    """Draw one training: coefficients on the first axes, shares on the second."""
    steps = part["steps"][0]
    upper, lower = axes
    for name, label in (("robust", "robust, $A^+$"), ("nonrobust", "non-robust, $B^+$")):
        coefficients = part[f"simulated_{name}"].mean(axis=2)
        draw_seeds(upper, steps, coefficients, color=COLOURS[name], label=f"{label}, simulated")
        draw_theory(upper, steps, part[f"predicted_{name}"].mean(axis=2))
        shares = [part[f"{source}_share"].mean(axis=2) for source in ("simulated", "predicted")]
        simulated, predicted = shares if name == "nonrobust" else [1.0 - share for share in shares]
        draw_seeds(lower, steps, simulated, color=COLOURS[name])
        draw_theory(lower, steps, predicted)
    upper.plot([], [], **THEORY, label="reduced recursion")
    upper.set_yscale("log")
    step_axis(upper, steps[-1], label="")
    step_axis(lower, steps[-1])
    lower.set_ylim(-0.03, 1.03)
    difference = scientific(float(np.median(part["difference"])))
    upper.text(
        0.02,
        0.97,
        f"recursion off by {difference}\n(largest of a run, median seed)",
        transform=upper.transAxes,
        va="top",
        fontsize=7,
    )


def scientific(number: float) -> str:
    """Return a number like 9e-15 as mathematical text."""
    digits, _, power = f"{number:.0e}".partition("e")
    return rf"${digits} \cdot 10^{{{int(power)}}}$"


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
