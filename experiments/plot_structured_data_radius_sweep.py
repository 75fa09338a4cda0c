r"""Radius sweep: which feature adversarial training learns, against the radius it trains with.

Setting ``structured-data/radius``: S1 with one margin step per update, training radius swept. While the
budget clips the step, attacked patches keep :math:`\beta-\epsilon` and :math:`\alpha-\epsilon` of their
features, and v escapes if and only if :math:`P_{NR}(\beta-\epsilon)^q (B^*)^{q-2} > P_R(\alpha-\epsilon)^q
(A^+)^{q-2}` (claim ``structured-data/T6``, derived).

(a) Share of the logit that rests on v, all classes together: dots are seeds, the line their median. Expect
a fall from above 0.9 to below 0.01 in a window that ends near beta; the dashed step is the rule, with the
initial :math:`A^+`. (b) Largest coefficients, mean over classes, medians over seeds with the middle 80 % as
a band; dashed :math:`B^*`, the level at which an unclipped attack stops B. Expect :math:`B^+` there from
the window on, and :math:`A^+` growing instead. Above beta (shaded) attacked patches carry
:math:`(\beta-\epsilon) v_y < 0`, a label leak: (c) neurons of negative B appear that classify attacked data,
v can come back, and the spread over seeds grows. Too small a radius leaves nothing to defend.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _structured_data_sweep import ENDS, points_of, run_points, scenarios_of
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, THEORY, draw_seeds, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.theory import escape_radius, saturation_level

RADII = (0.05, 0.1, 0.15, 0.2, 0.225, 0.25, 0.275, 0.3, 0.325, 0.35, 0.375, 0.4, 0.425, 0.45, 0.475, 0.5)
SEEDS = {"quick": 4, "default": 12, "full": 60}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    radii = tuple(r for r in RADII if round(1000 * r) % 50 == 0) if size == "quick" else RADII
    points = points_of(get_scenario("structured-data/radius"), "attack.threat.radius", radii)
    return {"radii": radii, "points": points, "n_seeds": SEEDS[size]}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed of every point."""
    points = scenarios_of(config["points"])
    return run_points(one_run, points, config["n_seeds"], jobs, config["figure"], training="adversarial")


def one_run(item: tuple[Scenario, str, int]) -> Arrays:
    """Return logits and coefficients at the end, and the start of A."""
    scenario, training, seed = item
    trace = scenario.run(training, seed, recording=ENDS)
    return {
        "Phi": trace["robust_logit"][-1],
        "Psi": trace["nonrobust_logit"][-1],
        "A": trace["robust_coef"][-1].max(axis=1),
        "B": trace["nonrobust_coef"][-1].max(axis=1),
        "lowest": trace["nonrobust_coef"][-1].min(),
        "A0": trace["robust_coef"][0].max(axis=1),
    }


def rule(scenario: Scenario, coef0: float) -> tuple[float, float]:
    """Return B*, and the radius at which the clipped race is even."""
    data, model, attack = scenario.data, scenario.model, scenario.trainings["adversarial"].attack
    strengths = {"robust_strength": data.robust_strength, "nonrobust_strength": data.nonrobust_strength}
    level = saturation_level(attack.step_size, nonrobust_strength=data.nonrobust_strength,
                             power=model.power, smoothing=model.smoothing)  # fmt: skip
    counts = {name: getattr(data, name) for name in ("n_robust_patches", "n_nonrobust_patches")}
    return level, escape_radius(coef0, level, **counts, **strengths, power=model.power)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw shares, coefficients and the lowest coefficient against the training radius."""
    radii = np.array(config["radii"])
    scenario = scenarios_of(config["points"])[0]
    beta = scenario.data.nonrobust_strength
    level, even = rule(scenario, float(arrays["A0"].mean()))
    figure = new_figure(2.6)
    axes = figure.subplots(1, 3)
    psi, phi = arrays["Psi"].sum(axis=2), arrays["Phi"].sum(axis=2)
    share = psi / (phi + psi)
    n_seeds = share.shape[1]
    jitter = np.linspace(-0.006, 0.006, n_seeds)
    left, middle, right = axes
    left.plot((radii[:, None] + jitter).ravel(), share.ravel(), "o", color=COLOURS["nonrobust"], markersize=2,
              alpha=0.7)  # fmt: skip
    left.plot(radii, np.median(share, axis=1), color=COLOURS["nonrobust"])
    left.plot([0, even, even, radii[-1]], [1, 1, 0, 0], **THEORY)
    left.set_ylabel("share of the logit on v")
    left.set_title(f"(a) decision, {n_seeds} seeds")
    for name, key, marker in (("robust", "A", "s"), ("nonrobust", "B", "o")):
        label = {"A": "robust, $A^+$", "B": "non-robust, $B^+$"}[key]
        draw_seeds(middle, radii, arrays[key].mean(axis=2).T, color=COLOURS[name], label=label, marker=marker,
                   markersize=3)  # fmt: skip
    middle.axhline(level, **THEORY, label=rf"theory: $\epsilon$ = {even:.3f} (a), $B^*$ = {level:.3f} (b)")
    middle.set_yscale("log")
    middle.set_title("(b) coefficients")
    figure.legend(*middle.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    right.plot((radii[:, None] + jitter).ravel(), arrays["lowest"].ravel(), "o", color=COLOURS["nonrobust"],
               markersize=2, alpha=0.7)  # fmt: skip
    right.plot(radii, np.median(arrays["lowest"], axis=1), color=COLOURS["nonrobust"])
    right.set_title("(c) lowest $B$ of all neurons")
    right.set_yscale("symlog", linthresh=0.1)
    for ax in axes:
        ax.axvspan(beta, radii[-1] + 0.02, color="0.92", zorder=0, linewidth=0)
        ax.set_xlim(0.03, radii[-1] + 0.02)
        ax.set_xlabel(r"training radius $\epsilon$")
    axes[0].annotate(r"$\epsilon > \beta$", (beta + 0.02, 0.9), fontsize=7.5)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
