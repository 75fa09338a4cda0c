r"""The larger the ball, the smaller the robust loss that can be reached, and training reaches it.

Setting ``convergence/ball`` (claim ``convergence/C4``): S1 with projection on Frobenius balls of several
radii R around the start. W* is the best that a longer training with smaller steps finds in the same ball.
Theorem of Gao et al. [recalled]: the least attacked loss comes within eps of the optimal robust loss in the
ball.

Expect both losses to fall together as R grows, with a gap far below :math:`R G/\sqrt T`, and the projection
to act on nearly all steps in small balls and on none in large ones.
"""

import sys

import numpy as np
from _convergence import DARK, LIGHT, MIDDLE, measure_seeds, processes, stack
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.convergence.descent import RADII
from featsim.claims.convergence.measures import OPTIMUM_STEPS, ball_sweep
from featsim.plotting import draw_seeds, draw_theory, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict

SCENARIO = "convergence/ball"
SEEDS = {"quick": 1, "default": 4, "full": 30}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    radii = RADII[1::2] if size == "quick" else RADII
    n_optimum = OPTIMUM_STEPS // 3 if size == "quick" else OPTIMUM_STEPS
    scenario, seeds = get_scenario(SCENARIO), list(range(SEEDS[size]))
    if size == "quick":
        scenario = scenario.with_settings({"schedule.n_steps": 200})
    return {"scenario": scenario, "radii": radii, "n_optimum": n_optimum, "seeds": seeds}


def compute(config: Config, jobs: int) -> Arrays:
    """Train in every ball."""
    scenario, radii = spec_from_dict(config["scenario"]), tuple(config["radii"])
    arguments = radii, config["n_optimum"]
    found = measure_seeds(
        ball_sweep, scenario, config["seeds"], *arguments, jobs=processes(config, jobs), label="balls"
    )
    return stack(found, ("least_loss", "optimum", "projected"))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw losses, their gap with its bound, and the share of projected steps against R."""
    figure = new_figure(2.4)
    left, middle, right = figure.subplots(1, 3)
    radii = np.array(config["radii"])
    draw_seeds(
        left, radii, arrays["least_loss"], color=MIDDLE, marker="o", markevery=1, label=r"$\min_t L_A(W_t)$"
    )
    draw_theory(left, radii, arrays["optimum"], label=r"best $L_*$ found")
    left.set_ylabel("loss")
    left.set_ylim(bottom=0)
    left.legend()
    left.set_title("(a) trained and optimal loss")
    n_steps = spec_from_dict(config["scenario"]).trainings["adversarial"].schedule.n_steps
    gap = np.maximum(arrays["least_loss"] - arrays["optimum"], 1e-9)
    draw_seeds(
        middle, radii, gap, color=DARK, marker="o", markevery=1, label="gap to the optimum", linewidth=1.5
    )
    draw_theory(middle, radii, radii * np.sqrt(2.0 / n_steps), label=r"$R\,G/\sqrt{T}$")
    middle.set_yscale("log")
    middle.set_ylim(6e-10, 300)
    middle.legend(loc="upper left")
    middle.set_title("(b) their gap (at least $10^{-9}$)")
    draw_seeds(right, radii, arrays["projected"], color=LIGHT, marker="o", markevery=1)
    right.set_ylabel("share of steps")
    right.set_ylim(-0.03, 1.03)
    right.set_title("(c) steps that are projected")
    for ax in (left, middle, right):
        ax.set_xlabel("radius R of the ball")
        ax.set_xlim(0, radii[-1] * 1.04)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
