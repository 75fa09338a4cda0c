r"""Stage times of the paper's exponents over their laws, at dimensions no vector reaches.

Settings ``gram-space/cgro-1e2`` to ``-1e8`` (Li & Li 2023, their exponents [source]), data and filters
by coordinates, gradient flow in log time; time s is step size times steps. Claim ``gram-space/stages``.

(a) :math:`s_I` (signal score 1) and :math:`s_{III}` (median :math:`V_i = 1`), medians over seeds with
the middle 80 % as a band; dashed: the laws :math:`T_I` and :math:`T_{III}` of the runs' own starts.
Expect the stages to part like :math:`d^{-3/4}`. (b) Their ratio to the laws. Expect both curves to meet
1 as d grows; at d = 100, where direct runs live, the first is off by a factor of six.
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from _gram_space import MEMORY, SIGNAL, dimension_axis, n_words
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.gram_space.measures import stages
from featsim.plotting import THEORY, draw_seeds, draw_theory, new_figure
from featsim.scenarios.gram_space import PAPER_DIMS, paper_exponents

SEEDS = {"quick": 4, "default": 8, "full": 60}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    dims = PAPER_DIMS[::2] if size == "quick" else PAPER_DIMS
    return {
        "dims": list(dims),
        "scenarios": [paper_exponents(dim).to_dict() for dim in dims],
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Integrate every seed at every dimension."""
    found = over_seeds(
        one_run, config["scenarios"][0], config["seeds"], jobs, config["figure"], config["dims"]
    )
    return {name: table.T for name, table in found.items()}


def one_run(item: tuple) -> Arrays:
    """Return both stage times of a seed and their predictions, at every dimension."""
    _, seed, dims = item
    found = [stages(Run(paper_exponents(dim), None, seed, None), True, 0) for dim in dims]
    names = ("signal_time", "memorisation_time", "predicted_signal_time", "predicted_memorisation_time")
    return {name: np.array([f[name] for f in found]) for name in names}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw times, and their ratios to the laws."""
    dims = np.array(config["dims"])
    figure = new_figure(2.7)
    left, right = figure.subplots(1, 2)
    names = {
        "signal": (SIGNAL, "o", r"signal, $s_I$"),
        "memorisation": (MEMORY, "s", r"memorisation, $s_{III}$"),
    }
    for stage, (color, marker, label) in names.items():
        measured, predicted = arrays[f"{stage}_time"], arrays[f"predicted_{stage}_time"]
        line = {"color": color, "marker": marker, "markersize": 4}
        draw_seeds(left, dims, measured.T, label=label, **line)
        draw_theory(left, dims, predicted.T, label="laws" if stage == "memorisation" else None)
        draw_seeds(right, dims, (measured / predicted).T, **line)
    left.set_yscale("log")
    left.set_ylim(bottom=3e-4)
    left.set_ylabel("time $s$ (step size $\\times$ steps)")
    left.set_title(f"(a) stage times, {n_words(len(config['seeds']))}")
    right.axhline(1.0, **THEORY)
    right.set_ylim(0.0, 1.35)
    right.set_ylabel("measured / law")
    right.set_title("(b) against the laws")
    for ax in (left, right):
        dimension_axis(ax, dims)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
