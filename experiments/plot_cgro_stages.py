r"""Three stages of adversarial training: the signal is learned, stalls, then noise is memorised.

Setting ``cgro/A``, checks ``cgro/T2`` and ``cgro/closure`` (paper: three stages, source). (a) The signal
score :math:`S = \alpha^q U` and the memorisation of the median sample :math:`V_i`: medians over seeds with
the middle 80 % as a band. Dashed, the exact closure in signal and noise coefficients, which never touches a
d-vector and must lie on the simulation; dash-dotted, its decoupled form, in which patches of different
samples do not interact (the paper's proof), late by what they do at d = 100. Dotted with marks, the laws of
the stages (derived), each from the run's own start: I, :math:`\dot u_r = c_u |u_r|^{q-1}`, and III,
:math:`\dot v = c_v |v|^{q-1}`, up to their blow-ups; II, the logarithm :math:`S = \log(\eta q^2
(1-\lambda)\alpha^2 t) + (2-2/q)\log S`. What is called a stall is this logarithm, not a flat line. (b) The
attacked loss stays at log 2 until V rises. (c) When it happens: every seed's stage times beside those that
the blow-up laws predict. Expect memorisation about a hundred times later than the signal, and both within a
factor of two of the laws.
"""

import math
import sys

import numpy as np
from _cgro import MEMORY, SIGNAL, laws_of, line_settings, over_seeds, start_of
from _figure import Arrays, Config, run_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, THEORY, draw_events, draw_seeds, draw_theory, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.theory.cgro import StageLaws, detect_phases
from featsim.training import Recording

SEEDS = {"quick": 2, "default": 10, "full": 40}
TRAINING = "adversarial"


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    n_log = 150 if size == "quick" else 300
    return {"scenario": get_scenario("cgro/A"), "seeds": list(range(SEEDS[size])), "n_log": n_log}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed, and run the closure from the same start."""
    return over_seeds(one_run, config["scenario"], config["seeds"], jobs, "setting A", config["n_log"])


def one_run(item: tuple[Scenario, int, int]) -> Arrays:
    """Return scores, losses and stage times, simulated and predicted."""
    scenario, seed, n_log = item
    trace = scenario.run(TRAINING, seed, recording=Recording(n_log=n_log))
    start, laws, settings = (
        start_of(scenario, seed),
        laws_of(scenario, TRAINING),
        line_settings(scenario, TRAINING),
    )
    closure = start.run(scenario.model, **settings, record_at=trace.steps)  # type: ignore[arg-type]
    alone = start.decoupled().run(scenario.model, **settings, record_at=trace.steps)  # type: ignore[arg-type]
    phases = detect_phases(trace)
    predicted = laws.memorisation_time(start.noise_coef, start.labels)
    return {
        "steps": trace.steps,
        "score": trace["signal_score"],
        "memory": np.median(trace["memorisation"], axis=1),
        "closure_score": closure.signal_score,
        "closure_memory": np.median(closure.memorisation, axis=1),
        "decoupled_memory": np.median(alone.memorisation, axis=1),
        "law_score": laws.growing_score(start.signal_coef, trace.steps),
        "law_memory": np.median(
            laws.growing_memorisation(start.noise_coef, start.labels, trace.steps), axis=1
        ),
        "clean_loss": trace["clean_loss"],
        "attacked_loss": trace["attacked_loss"],
        "fresh_loss": trace["fresh_attacked_loss"],
        "signal_step": np.asarray(phases.signal_step),
        "memorisation_step": np.asarray(phases.memorisation_step),
        "predicted_signal_step": np.asarray(laws.signal_time(start.signal_coef)),
        "predicted_memorisation_step": np.asarray(np.median(predicted)),
        "closure_error": np.asarray(
            max(
                np.abs(closure.signal_score - trace["signal_score"]).max(),
                np.abs(closure.memorisation - trace["memorisation"]).max(),
            )
        ),
    }


def draw_laws(ax: Axes, arrays: Arrays, laws: StageLaws) -> None:
    """Draw what the laws of the stages say, each where it is meant to hold; medians over seeds."""
    steps = arrays["steps"][0]
    top = ax.get_ylim()[1]
    late = steps >= 3 * np.median(arrays["signal_step"])
    lines = {
        r"law of stage I, $\dot u = c_u|u|^{q-1}$": ("^", steps, np.median(arrays["law_score"], axis=0)),
        r"law of stage II, $S \sim \log t$": ("o", steps[late], laws.stalled_score(steps[late])),
        r"law of stage III, $\dot v = c_v|v|^{q-1}$": ("s", steps, np.median(arrays["law_memory"], axis=0)),
    }
    for label, (marker, x, values) in lines.items():
        # Up to where it leaves the axes: the last points before a blow-up are far apart.
        seen = values <= 2.0 * top
        ax.plot(x[seen], values[seen], color="black", linestyle=":", linewidth=1.3, zorder=4, label=label,
                marker=marker, markersize=3.6, markerfacecolor="white", markevery=0.12)  # fmt: skip
    ax.set_ylim(top=top)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw scores, losses and stage times over one axis of steps."""
    scenario = spec_from_dict(config["scenario"])
    laws = laws_of(scenario, TRAINING)
    figure = new_figure(5.4)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(1.5, 1, 0.9))
    steps = arrays["steps"][0]
    n_seeds = len(arrays["score"])
    draw_seeds(top, steps, arrays["score"], color=SIGNAL, label="signal score $S$")
    draw_seeds(top, steps, arrays["memory"], color=MEMORY, label="memorisation, median $V_i$")
    error = float(arrays["closure_error"].max())
    draw_theory(top, steps, arrays["closure_score"], label=f"exact closure (off by {error:.0e})")
    draw_theory(top, steps, arrays["closure_memory"])
    decoupled = {"color": "black", "linestyle": "-.", "linewidth": 1.0, "zorder": 4}
    draw_theory(top, steps, arrays["decoupled_memory"], **decoupled, label="decoupled form, $V$")
    draw_laws(top, arrays, laws)
    top.axhline(1.0, color="0.6", linewidth=0.6, zorder=1)
    top.set_ylabel("score")
    top.set_title(
        f"(a) what is learned of the signal, and memorised; median and middle 80 % of {n_seeds} seeds"
    )

    draw_seeds(middle, steps, arrays["clean_loss"], color=COLOURS["other"], label="clean, training")
    draw_seeds(
        middle, steps, arrays["attacked_loss"], color=COLOURS["adversarial"], label="attacked, training"
    )
    draw_seeds(middle, steps, arrays["fresh_loss"], color=COLOURS["dense-mixture"], marker="o", markersize=3,
               label="attacked, fresh samples")  # fmt: skip
    middle.axhline(math.log(2.0), **THEORY, label=r"$\log 2$")
    middle.set_yscale("log")
    middle.set_ylim(1e-4, 2)
    middle.set_ylabel("loss (nats)")
    middle.set_title("(b) losses")

    draw_events(
        bottom,
        {
            "$t_I$: $S \\geq 1$": arrays["signal_step"],
            "$T_I$, law": arrays["predicted_signal_step"],
            "$t_{III}$: median $V_i \\geq 1$": arrays["memorisation_step"],
            "$T_{III}$, law": arrays["predicted_memorisation_step"],
        },
        [SIGNAL, COLOURS["other"], MEMORY, COLOURS["other"]],
    )
    bottom.set_title("(c) stage times: dots are seeds, bars medians")
    for ax in (top, middle):
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        step_axis(ax, steps[-1], label="")
    step_axis(bottom, steps[-1])
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
