r"""The polylog in the attack's radius is what makes the robust error one half.

Settings ``gram-space/cgro-*`` and ``gram-space/cgro-flat-*``: the paper's exponents with :math:`\delta =
\alpha(1 - 1/(\sqrt d L))`, L = log d [choice] or L = 1. Claim ``gram-space/theorem``.

Robust accuracy on fresh samples above 1/2, dots are seeds, lines their means, error bars one standard
error of the fresh samples; where the attack leaves a score below 3 % of the noise part, from the noise's
density at 0. Fresh noise and what the attack leaves of the signal both shrink like :math:`d^{-3/2}`;
their ratio is about :math:`S/L^3` (dashed: that, scaled to the last point of each). Expect a steady fall
for L = log d and a floor near .006 for L = 1; at d = 100 with L = 1 most seeds learn a robust signal,
outside the asymptotic picture. None of this can be told apart at the dimensions of a direct run.
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from _gram_space import OTHER, WIDE, dimension_axis, n_words
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.gram_space.measures import stages
from featsim.plotting import THEORY, new_figure
from featsim.scenarios.gram_space import PAPER_DIMS, paper_exponents

SEEDS = {"quick": 2, "default": 4, "full": 20}
N_FRESH = {"quick": 50_000, "default": 200_000, "full": 1_000_000}
LABELS = {"log": (WIDE, "o", "$L = \\log d$"), "flat": (OTHER, "s", "$L = 1$")}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    dims = PAPER_DIMS[::3] if size == "quick" else PAPER_DIMS
    return {
        "dims": list(dims),
        "n_fresh": N_FRESH[size],
        "scenarios": [
            paper_exponents(dim, polylog=polylog).to_dict() for polylog in (True, False) for dim in dims
        ],
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Integrate and evaluate every seed at every dimension, with either radius."""
    settings = (config["dims"], config["n_fresh"])
    return over_seeds(one_run, config["scenarios"][0], config["seeds"], jobs, config["figure"], *settings)


def one_run(item: tuple) -> Arrays:
    """Return the excess over 1/2, its standard error and the final score, for both radii."""
    _, seed, dims, n_fresh = item
    found = {}
    for name, polylog in (("log", True), ("flat", False)):
        runs = [
            stages(Run(paper_exponents(dim, polylog=polylog), None, seed, None), polylog, n_fresh)
            for dim in dims
        ]
        found[name] = np.array([run["excess"] for run in runs])
        found[f"{name}_error"] = np.array([run["excess_error"] for run in runs])
        found[f"{name}_score"] = np.array([run["score"] for run in runs])
    return found


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the excess of robust accuracy over 1/2 against the dimension."""
    dims = np.array(config["dims"])
    figure = new_figure(3.0, 4.6)
    ax = figure.subplots()
    n_seeds = len(config["seeds"])
    jitter = 10 ** np.linspace(-0.06, 0.06, n_seeds)[:, None]
    for name, (color, marker, label) in LABELS.items():
        mean, error = arrays[name].mean(axis=0), np.sqrt((arrays[f"{name}_error"] ** 2).sum(axis=0)) / n_seeds
        ax.plot((dims * jitter).ravel(), arrays[name].ravel(), marker, color=color, markersize=2.5, alpha=0.6,
                markeredgewidth=0)  # fmt: skip
        ax.errorbar(dims, mean, yerr=error, color=color, marker=marker, markersize=4.5, linewidth=1.6,
                    label=label, capsize=2)  # fmt: skip
        size = np.log(dims) if name == "log" else np.ones(len(dims))
        shape = np.median(arrays[f"{name}_score"], axis=0) / size**3
        shown = dims >= 1e3 if name == "flat" else dims > 0
        ax.plot(dims[shown], (shape * mean[-1] / shape[-1])[shown], **THEORY,
                label="law $S/L^3$, scaled" if name == "flat" else None)  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylabel("robust accuracy $-$ 1/2 (fresh samples)")
    dimension_axis(ax, dims)
    ax.set_title(f"{n_words(n_seeds)}, {config['n_fresh']:,} fresh samples each; bars: standard error")
    ax.legend(loc="center right", bbox_to_anchor=(1.0, 0.45))
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
