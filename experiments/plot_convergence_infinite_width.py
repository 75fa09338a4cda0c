r"""Wide networks follow the infinite-width recursion, and for two mirror points one equation.

(a) Setting ``convergence/S1`` with small steps: attacked loss of networks of growing width, and dashed the
tangent model's recursion in function space (:func:`featsim.theory.dual_recursion`) with the closed-form
kernel, which knows no width. (b) Setting ``convergence/mirror``: two mirror points of opposite label, whose
margin follows :math:`u + e^u = 1 + \tau`, solved by the Lambert function. (c) Root mean square and largest
differences.

Expect the curves to close in on the dashes like :math:`m^{-1/2}`, the sampling error of the kernel. With
the empirical kernel of its own start in the place of the closed form, the recursion equals the tangent
model's training to rounding, which claim ``convergence/C7`` checks.
"""

import sys

import numpy as np
from _convergence import DARK, LIGHT, SHADES, exponent_text, guide, log_axes, measure_seeds, processes, stack
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.convergence.descent import LAZY_WIDTHS
from featsim.claims.convergence.function_space import OVERLAY_STEP, OVERLAY_STEPS
from featsim.claims.convergence.measures import mirror_course, overlay
from featsim.plotting import THEORY, draw_seeds, draw_theory, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict
from featsim.theory.convergence import mirror_flow

SEEDS = {"quick": 2, "default": 10, "full": 40}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    mirror = get_scenario("convergence/mirror")
    if size == "quick":
        mirror = mirror.with_settings({"schedule.n_steps": 100})
    return {
        "scenario": get_scenario("convergence/S1"),
        "mirror": mirror,
        "widths": LAZY_WIDTHS[:3] if size == "quick" else LAZY_WIDTHS,
        "step_size": OVERLAY_STEP,
        "n_steps": OVERLAY_STEPS,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train networks of every width beside the recursions."""
    scenario, mirror = spec_from_dict(config["scenario"]), spec_from_dict(config["mirror"])
    widths, seeds = tuple(config["widths"]), config["seeds"]
    small = measure_seeds(
        overlay,
        scenario,
        seeds,
        widths,
        config["step_size"],
        config["n_steps"],
        jobs=processes(config, jobs),
        label="S1",
    )
    pairs = measure_seeds(
        mirror_course, mirror, seeds, widths, jobs=processes(config, jobs), label="mirror points"
    )
    arrays = {f"overlay_{k}": v for k, v in stack(small, ("rms", "simulated", "theory")).items()}
    names = ("errors", "simulated", "margins", "rate", "dual_error")
    return arrays | {f"mirror_{k}": v for k, v in stack(pairs, names).items()}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw one seed's losses, all seeds' margins, and the differences against width."""
    figure = new_figure(2.7)
    left, middle, right = figure.subplots(1, 3)
    widths = config["widths"]
    shades = SHADES[-len(widths) :]
    for row, (width, color) in enumerate(zip(widths, shades, strict=True)):
        losses = arrays["overlay_simulated"][0, row]
        left.plot(losses, color=color, linewidth=1.6, label=f"m = {width}")
        margins = arrays["mirror_simulated"][:, row]
        draw_seeds(middle, np.arange(margins.shape[1]), margins, color=color, linewidth=1.6)
    draw_theory(left, np.arange(arrays["overlay_theory"].shape[1]), arrays["overlay_theory"][0])
    left.plot([], [], **THEORY, label="infinite width")
    left.set_xlabel("step")
    left.set_ylabel("attacked loss")
    left.set_ylim(0, 0.8)
    left.legend(loc="upper right")
    left.set_title("(a) S1, one seed")
    mirror = spec_from_dict(config["mirror"]).trainings["adversarial"].schedule
    steps = np.arange(arrays["mirror_margins"].shape[1])
    flow = mirror_flow(float(arrays["mirror_rate"][0]), mirror.step_size, steps)
    draw_theory(middle, steps, flow)
    middle.set_xlabel("step")
    middle.set_ylabel("margin of the near ends")
    middle.set_title("(b) two mirror points, Lambert")
    middle.text(
        0.97,
        0.05,
        rf"$\kappa = {float(arrays['mirror_rate'][0]):.4f}$",
        transform=middle.transAxes,
        ha="right",
    )
    for name, color, marker, words in (
        ("overlay_rms", DARK, "o", "S1, root mean square"),
        ("mirror_errors", LIGHT, "s", "mirror points, largest"),
    ):
        text = f"{words}\n{exponent_text(widths, arrays[name])}"
        draw_seeds(
            right, widths, arrays[name], color=color, marker=marker, markevery=1, linewidth=1.3, label=text
        )
    top = float(np.median(arrays["mirror_errors"], axis=0)[0])
    guide(right, widths, 1.9 * top, -0.5, "$m^{-1/2}$", above=True)
    log_axes(right, widths, "width m")
    right.set_ylabel("difference of the loss")
    right.set_ylim(bottom=0.15 * float(arrays["overlay_rms"].min()))
    right.legend(loc="lower left")
    right.set_title("(c) distance to the limit")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
