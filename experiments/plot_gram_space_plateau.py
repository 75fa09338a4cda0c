r"""The plateau of partial learning lengthens with the dimension.

Settings ``gram-space/cgro-1e2``, ``-1e4``, ``-1e6``, ``-1e8``: the paper's exponents [source] in log
time; time s is step size times steps. Claim ``gram-space/plateau``.

(a) Signal score S, (b) mean memorisation V, medians over seeds with the middle 80 % as a band; darker is
larger d. Expect S to stall on a logarithm (dashed: :math:`S = \log(q^2(1-\lambda)\alpha^2 s) +
(2-2/q)\log S`) over ever more decades before V leaves zero: two at d = 100, seven at d = 1e8. At the end
of each plateau, when S has long been learned, the attacked loss is still log 2.
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from _gram_space import greys, n_words, power_of_ten
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.gram_space.measures import paper_flow
from featsim.plotting import THEORY, draw_seeds, new_figure
from featsim.scenarios.gram_space import paper_exponents
from featsim.theory import StageLaws

DIMS = (1e2, 1e4, 1e6, 1e8)
SEEDS = {"quick": 3, "default": 8, "full": 60}
TIMES = np.geomspace(1e-5, 3e5, 240)


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "dims": list(DIMS),
        "scenarios": [paper_exponents(dim).to_dict() for dim in DIMS],
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Integrate every seed at every dimension."""
    return over_seeds(
        one_run, config["scenarios"][0], config["seeds"], jobs, config["figure"], config["dims"]
    )


def one_run(item: tuple) -> Arrays:
    """Return S and mean V of a seed at common times; nan beyond the run's end."""
    _, seed, dims = item
    S, V = np.full((len(dims), len(TIMES)), np.nan), np.full((len(dims), len(TIMES)), np.nan)
    for row, dim in enumerate(dims):
        flow, _, _ = paper_flow(Run(paper_exponents(dim), None, seed, None), True)
        log_t = np.log(flow.times)
        S[row] = np.interp(np.log(TIMES), log_t, flow.signal_score, right=np.nan)
        V[row] = np.interp(np.log(TIMES), log_t, flow.memorisation.mean(axis=1), right=np.nan)
    return {"S": S, "V": V}


def law(dim: float) -> np.ndarray:
    """Return the logarithmic law of S at a dimension."""
    data = paper_exponents(dim).data
    sizes = {"signal_strength": data.signal_strength, "noise_norm": data.noise_norm}
    laws = StageLaws(n_samples=20, radius=0.0, power=3.0, step_size=1.0, weight=0.5, **sizes)
    return laws.stalled_score(TIMES)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw both scores against the logarithm of time."""
    figure = new_figure(2.8)
    axes = figure.subplots(1, 2)
    for row, (dim, color) in enumerate(zip(config["dims"], greys(len(config["dims"])), strict=True)):
        # Seeds end at times of their own: drawn as far as all go.
        whole = np.isfinite(arrays["S"][:, row]).all(axis=0)
        for ax, name in zip(axes, ("S", "V"), strict=True):
            label = f"$d$ = {power_of_ten(dim)}" if name == "S" else None
            draw_seeds(ax, TIMES[whole], arrays[name][:, row, whole], color=color, label=label, linewidth=1.6)
        predicted = law(dim)
        shown = whole & (np.median(arrays["S"][:, row], axis=0) > 4.0)
        axes[0].plot(TIMES[shown], predicted[shown], **THEORY, label="law" if row == 0 else None)
    for ax, title, label in zip(
        axes, ("(a) signal", "(b) memorisation"), ("score $S$", "mean $V$"), strict=True
    ):
        ax.set_xscale("log")
        ax.set_xlabel("time $s$ (step size $\\times$ steps)")
        ax.set_ylabel(label)
        ax.set_title(f"{title}, {n_words(len(config['seeds']))}")
    handles, labels = axes[0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i] == "law")
    figure.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="outside upper center", ncols=5
    )
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
