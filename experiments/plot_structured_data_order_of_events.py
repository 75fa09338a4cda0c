r"""Order of events in adversarial training: the non-robust features stop, the robust ones follow.

Setting ``structured-data/S1``, claim ``structured-data/T7`` [derived, measured]. (a) The non-robust
coefficient :math:`B^+` of adversarial training stops below the saturation level :math:`B^*`
(dashed, an upper bound for one isolated neuron) at about the time at which standard training, grey,
has fitted the data with it. (b) The loss at the attacked inputs stays at :math:`\log k` (dashed) and then
drops class by class; every thin line is one seed. (c) When it happens, one dot per seed, the bar at the
median: only after the plateau do the robust coefficients enter the linear region of the activation,
:math:`\alpha A^+ > \varrho`, the first class and the last one far apart. Events that a seed has not
reached by the last step are counted as later.
"""

import math
import sys

import numpy as np
import numpy.typing as npt
from _figure import Arrays, Config, run_figure, run_seeds
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, THEORY, TRAININGS, draw_events, draw_seeds, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.theory import saturation_level
from featsim.training import Recording

SCENARIO = "structured-data/S1"
SEEDS = {"quick": 8, "default": 10, "full": 50}
FITTED = 0.1
PLATEAU_TOLERANCE = 0.2
QUANTITIES = ("robust_coef", "nonrobust_coef", "clean_loss")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario(SCENARIO),
        "seeds": list(range(SEEDS[size])),
        "fitted_below": FITTED,
        "plateau_tolerance": PLATEAU_TOLERANCE,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed both ways, recording every step."""
    return run_seeds(one_run, spec_from_dict(config["scenario"]), config, jobs)


def one_run(item: tuple[Scenario, str, int]) -> Arrays:
    """Return the largest coefficients of every class and the loss trained on, at every step."""
    scenario, training, seed = item
    quantities = QUANTITIES if training == "standard" else (*QUANTITIES, "attacked_loss")
    trace = scenario.run(training, seed, recording=Recording(quantities=quantities))
    return {
        "steps": trace.steps,
        "robust": trace["robust_coef"].max(axis=2),
        "nonrobust": trace["nonrobust_coef"].max(axis=2),
        "loss": trace[quantities[-1]],
    }


def first_step(condition: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return for each row the first column that holds, nan if none does; columns are steps."""
    return np.where(condition.any(axis=1), condition.argmax(axis=1), np.nan)


def events(arrays: Arrays, config: Config) -> dict[str, npt.NDArray[np.float64]]:
    """Return the step of each event for each seed."""
    scenario = spec_from_dict(config["scenario"])
    level = scenario.model.smoothing / scenario.data.robust_strength
    fitted, tolerance = config["fitted_below"], config["plateau_tolerance"]
    linear = arrays["adversarial_robust"] > level
    n_linear = np.maximum.accumulate(linear, axis=1).sum(axis=2)
    first, last = first_step(n_linear >= 1), first_step(n_linear == linear.shape[2])
    B = arrays["adversarial_nonrobust"].mean(axis=2)
    rows = np.flatnonzero(np.isfinite(first))
    flat = np.full(len(B), np.nan)
    plateau = B[rows, first[rows].astype(int)]  # reached when a robust coefficient takes over
    flat[rows] = first_step(B[rows] >= (1.0 - tolerance) * plateau[:, None])
    return {
        f"standard training\nfits: loss < {fitted:g}": first_step(arrays["standard_loss"] < fitted),
        f"$B^+$ within {100 * tolerance:g} %\nof its plateau": flat,
        "$\\alpha A^+ > \\varrho$\nin the first class": first,
        "$\\alpha A^+ > \\varrho$\nin every class": last,
        f"adversarial training\nfits: loss < {fitted:g}": first_step(arrays["adversarial_loss"] < fitted),
    }


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw coefficients, losses and the strip of events over one axis of steps."""
    scenario = spec_from_dict(config["scenario"])
    figure = new_figure(5.2)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(1.2, 1, 1.1))
    steps, early = arrays["adversarial_steps"][0], arrays["standard_steps"][0]
    times = events(arrays, config)
    standard = dict(TRAININGS["standard"])
    grey = standard["color"]

    draw_seeds(top, early, arrays["standard_nonrobust"].mean(axis=2), **standard, label="$B^+$, standard")
    for name, label in (("robust", "$A^+$, adversarial"), ("nonrobust", "$B^+$, adversarial")):
        draw_seeds(top, steps, arrays[f"adversarial_{name}"].mean(axis=2), color=COLOURS[name], label=label)
    attack = scenario.trainings["adversarial"].attack
    level = saturation_level(
        attack.step_size,
        nonrobust_strength=scenario.data.nonrobust_strength,
        power=scenario.model.power,
        smoothing=scenario.model.smoothing,
    )
    top.axhline(level, **THEORY, label=f"saturation level $B^*$ = {level:.3f}")
    top.set_yscale("log")
    top.set_ylabel("largest coefficient,\nmean over classes")
    n_seeds, _, n_classes = arrays["adversarial_robust"].shape
    top.set_title(f"(a) coefficients: median and middle 80 % of {n_seeds} seeds, {n_classes} classes each")

    draw_seeds(middle, early, arrays["standard_loss"], **standard, label="standard")
    for row, loss in enumerate(arrays["adversarial_loss"]):
        middle.plot(steps, loss, color=TRAININGS["adversarial"]["color"], linewidth=0.6, alpha=0.6,
                    label="adversarial, each seed" if row == 0 else None)  # fmt: skip
    middle.axhline(math.log(n_classes), **THEORY, label=rf"$\log k$ = {math.log(n_classes):.3f}")
    middle.set_ylabel("training loss (nats)")
    middle.set_title("(b) loss at the inputs trained on")

    draw_events(bottom, times, [grey, COLOURS["nonrobust"], COLOURS["robust"], COLOURS["robust"], "#444444"])
    bottom.set_title("(c) when it happens: dots are seeds, bars medians")
    fit = float(np.median(next(iter(times.values()))))
    for ax in (top, middle, bottom):
        ax.axvline(fit, color=grey, linewidth=0.8, linestyle=":", zorder=1)
    for ax in (top, middle):
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        step_axis(ax, steps[-1], label="")
    step_axis(bottom, steps[-1])
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
