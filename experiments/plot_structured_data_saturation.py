r"""Saturation law: the level at which adversarial training stops a non-robust coefficient.

Settings ``structured-data/saturation-q3`` and ``saturation-q4``: no robust feature, one neuron per class, an
attack of one raw margin step that its budget never clips. The step takes away what the neuron has
learned, and B stops at :math:`B^* = [\varrho^{q-1}/(\eta_{in}\beta^{q-2})]^{1/q}` (claim
``structured-data/T5``, derived).

(a) Final B against the inner step size: medians over the neurons that start positive and early enough to
race, bars their whole range; dashed :math:`B^*`. Expect slope -1/q, and points a little below the dashes:
by up to one per cent here, by more in shorter runs. (b) Why below:
:math:`B/B^*` along training, the typical neuron, and the middle 80 % of them as a band. The attacked slope
vanishes at :math:`B^*`, so that B nears it only like :math:`t^{-1/(q-1)}`. Dotted: the growth law of one
isolated neuron under the attack, :math:`\dot B = g P_{NR}\, s'(z)\, x` with
:math:`x = \beta - \eta_{in} s'(\beta B) B` and :math:`z = Bx`, integrated from the same start. Expect it on
the simulated curves, and a later and slower approach for q = 4.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _structured_data_sweep import nonrobust_racer, points_of, run_points, scenarios_of
from matplotlib.figure import Figure
from scipy import stats
from scipy.integrate import solve_ivp

from featsim.plotting import BAND, COLOURS, THEORY, draw_band, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.theory import saturation_level, saturation_rate
from featsim.training import Recording

POWERS = (3, 4)
STEP_SIZES = (3.0, 5.5, 10.0, 17.0, 30.0, 55.0, 100.0, 170.0, 300.0)
SEEDS = {"quick": 2, "default": 4, "full": 30}
SHOWN = 30.0
LOOKS = {
    3: {"color": COLOURS["nonrobust"], "marker": "o"},
    4: {"color": "#9c5a00", "marker": "s", "markerfacecolor": "white"},
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    values = STEP_SIZES[::4] if size == "quick" else STEP_SIZES
    values = sorted({*values, SHOWN})
    points = {}
    for q in POWERS:
        base = get_scenario(f"structured-data/saturation-q{q}")
        points[str(q)] = points_of(base, "attack.step_size", values)
    return {"attack_step_sizes": values, "points": points, "n_seeds": SEEDS[size], "shown": SHOWN}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed of every point."""
    arrays: Arrays = {}
    for q, points in config["points"].items():
        runs = run_points(one_run, scenarios_of(points), config["n_seeds"], jobs, f"q = {q}",
                          training="adversarial")  # fmt: skip
        arrays |= {f"q{q}_{key}": values for key, values in runs.items()}
    return arrays


def one_run(item: tuple[Scenario, str, int]) -> Arrays:
    """Return steps and B of every class's neuron."""
    scenario, training, seed = item
    trace = scenario.run(training, seed, recording=Recording(n_log=80, quantities=("nonrobust_coef",)))
    return {"steps": trace.steps, "coef": trace["nonrobust_coef"][:, :, 0]}


def level(scenario: Scenario) -> float:
    """Return B* of a point."""
    attack = scenario.trainings["adversarial"].attack
    return saturation_level(attack.step_size, nonrobust_strength=scenario.data.nonrobust_strength,
                            power=scenario.model.power, smoothing=scenario.model.smoothing,
                            radius=attack.threat.radius)  # fmt: skip


def early(scenario: Scenario, steps, coef):
    """Return B over steps (t, neurons) of those that by the race's law finish in a quarter of the run."""
    table = np.moveaxis(coef, 1, 0).reshape(len(steps), -1)
    return table[:, nonrobust_racer(scenario).blow_up_time(table[0]) < steps[-1] / 4]


def growth(scenario: Scenario, start: float, steps):
    """Integrate the attacked growth law of one neuron."""
    data, model = scenario.data, scenario.model
    settings = {
        "n_nonrobust_patches": data.n_nonrobust_patches,
        "nonrobust_strength": data.nonrobust_strength,
        "power": model.power,
        "smoothing": model.smoothing,
        "step_size": scenario.trainings["adversarial"].schedule.step_size,
        "class_fraction": 1.0 / data.n_classes,
        "n_classes": data.n_classes,
    }
    inner = scenario.trainings["adversarial"].attack.step_size
    solution = solve_ivp(lambda _, b: saturation_rate(b, inner, **settings), (0, steps[-1]), [start],
                         t_eval=steps, method="LSODA", rtol=1e-8, atol=1e-10)  # fmt: skip
    return solution.y[0]


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw plateaus against the inner step size, and the approach to them."""
    inner = np.array(config["attack_step_sizes"])
    shown = config["attack_step_sizes"].index(config["shown"])
    figure = new_figure(2.8)
    left, right = figure.subplots(1, 2)
    ratios = []
    for q in POWERS:
        scenarios, look = scenarios_of(config["points"][str(q)]), LOOKS[q]
        theory = np.array([level(scenario) for scenario in scenarios])
        steps = arrays[f"q{q}_steps"][0, 0]
        curves = [early(s, steps, c) for s, c in zip(scenarios, arrays[f"q{q}_coef"], strict=True)]
        ends = [curve[-1] for curve in curves]
        middle = np.array([np.median(e) for e in ends])
        spread = np.array([[m - e.min(), e.max() - m] for e, m in zip(ends, middle, strict=True)]).T
        ratios.append(np.median(np.concatenate(ends) / np.repeat(theory, [len(e) for e in ends])))
        x = np.repeat(np.log(inner), [len(e) for e in ends])
        fit = stats.linregress(x, np.log(np.concatenate(ends)))
        half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
        left.errorbar(inner, middle, yerr=spread, linestyle="", elinewidth=0.9, **look,
                      label=f"q = {q}: slope {fit.slope:.4f} ± {half:.4f}")  # fmt: skip
        left.plot(inner, theory, **THEORY)
        relative = curves[shown] / theory[shown]
        typical = int(np.argsort(relative[0])[relative.shape[1] // 2])
        low, high = np.quantile(relative, BAND, axis=1)
        band = "the middle 80 % of the neurons that start early, around the typical one"
        draw_band(right, steps, low, high, color=look["color"], meaning=band)
        right.plot(steps, relative[:, typical], color=look["color"], markevery=10, marker=look["marker"],
                   markerfacecolor=look.get("markerfacecolor", look["color"]), label=f"q = {q}")  # fmt: skip
        predicted = growth(scenarios[shown], float(curves[shown][0, typical]), steps)
        right.plot(steps, predicted / theory[shown], color="black", linewidth=1.1, linestyle=":")
    left.plot([], [], **THEORY, label="$B^*$, slopes $-1/3$ and $-1/4$")
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_xticks([3, 10, 30, 100, 300], ["3", "10", "30", "100", "300"])
    left.set_yticks([0.1, 0.2, 0.4, 0.8], ["0.1", "0.2", "0.4", "0.8"])
    left.minorticks_off()
    left.set_xlabel(r"inner step size $\eta_{in}$")
    left.set_ylabel("plateau of $B$")
    left.set_title(f"(a) plateaus, medians {ratios[0]:.3f}, {ratios[1]:.3f} of $B^*$")
    left.legend(loc="lower left", title="bars: least to largest neuron", alignment="left")
    right.plot([], [], color="black", linewidth=1.1, linestyle=":", label="attacked growth law")
    right.axhline(1.0, **THEORY, label="$B^*$")
    step_axis(right, float(max(arrays[f"q{q}_steps"].max() for q in POWERS)))
    right.set_ylim(0, 1.4)
    right.set_yticks([0, 0.25, 0.5, 0.75, 1])
    right.set_ylabel("$B/B^*$")
    right.set_title(rf"(b) the way there at $\eta_{{in}}$ = {config['shown']:g}")
    right.legend(loc="upper center", ncols=2)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
