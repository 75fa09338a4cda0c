"""Neurons in the dictionary's basis: initial, clean-trained, purified; and the cosines between them.

Above, one seed of ``purification/A`` (``C`` at test size): one neuron a row, one feature a column, the
cosine of the neuron with the feature times the sign of that feature in the label, cut at 0.4, rows sorted
by the feature that wins. Expect noise at the start; after clean training a few features in each neuron over
a veil of the label's sign on all others, the dense mixture; after adversarial training the diagonal alone.
Below, histograms of the cosines of w0, w and w' over the neurons of all seeds, in A and B. The paper's talk
says that w = beta w' + v with the larger part first, so that cos(w, w') > 0.707 (dashed), and that both are
almost uncorrelated with w0 [source]. The first holds on average in B and not in A; the second is not
reproduced at this d, where even a pure winner has about sqrt(2 log d / d) (dotted) [measured]. Claims
``purification/E8``, ``purification/E8-start`` and ``purification/E14``.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import COSINES, phases, stack_runs
from matplotlib.figure import Figure

from featsim.claims.purification.measures import ENDS
from featsim.decomposition import purification, split_neurons
from featsim.plotting import new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs

SEEDS = {"quick": 1, "default": 4, "full": 10}
STATES = ("initial", "clean", "robust")
TITLES = ("(a) initial, $w^0$", "(b) after clean training, $w$", "(c) after adversarial training, $w'$")
N_SHOWN = 120
CUT = 0.4
LABEL = r"$\cos(w_i, M_j)\,\mathrm{sign}(w^*_j)$"


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    names = {"A": "purification/A", "B": "purification/B"} if size != "quick" else {"A": "purification/C"}
    return {
        "scenarios": {key: get_scenario(name) for key, name in names.items()},
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train clean and adversarially in each regime."""
    arrays: Arrays = {}
    for key, spec in config["scenarios"].items():
        items = [(spec_from_dict(spec), seed) for seed in config["seeds"]]
        runs = map_runs(one_seed, items, jobs=jobs, progress=True, label=key)
        arrays |= {f"{key}_{name}": values for name, values in stack_runs(runs).items()}
    return arrays


def one_seed(item: tuple[Scenario, int]) -> Arrays:
    """Return signed cosines of some neurons with the features, and the cosines between the three states."""
    scenario, seed = item
    traces = phases(scenario, seed, {"standard": ENDS, "adversarial": ENDS})
    data, rng = scenario.problem(seed)
    states = {
        "initial": scenario.model.initial_weights(data.dim, rng)[0],
        "clean": traces["standard"].final_weights[0],
        "robust": traces["adversarial"].final_weights[0],
    }
    compared = purification(*states.values())
    parts = split_neurons(states["robust"], data.dictionary, data.label_weights)
    winner = parts.winner
    shown = np.flatnonzero(parts.live)
    shown = shown[np.argsort(winner[shown], kind="stable")]
    shown = shown[np.linspace(0, len(shown) - 1, min(N_SHOWN, len(shown))).astype(int)]
    shown = np.pad(shown, (0, N_SHOWN - len(shown)), mode="edge")
    arrays = {name: getattr(compared, name) for name in COSINES}
    for name, weights in states.items():
        table = weights[shown] @ data.dictionary * np.sign(data.label_weights)
        arrays[name] = table / np.linalg.norm(weights[shown], axis=1, keepdims=True)
    return arrays


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the tables above and the histograms below."""
    keys = list(config["scenarios"])
    figure = new_figure(5.1)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.55, 1))
    axes = upper.subplots(1, 3, sharey=True)
    shown = keys[0]
    for ax, state, title in zip(axes, STATES, TITLES, strict=True):
        image = ax.imshow(arrays[f"{shown}_{state}"][0], cmap="cividis", vmin=-CUT, vmax=CUT, aspect="auto")
        ax.set_title(title)
        ax.set_xlabel("feature")
        ax.grid(False)
    axes[0].set_ylabel("neuron, by winning feature")
    upper.colorbar(image, ax=axes, extend="both", label=LABEL, shrink=0.85, aspect=25)
    below = np.atleast_1d(lower.subplots(1, len(keys), sharey=True))
    for ax, key, letter in zip(below, keys, "de", strict=False):
        spec = config["scenarios"][key]
        dim = spec["data"]["dim"]
        for name, (label, look) in COSINES.items():
            values = arrays[f"{key}_{name}"].ravel()
            ax.hist(values, bins=np.linspace(-0.2, 1, 61), histtype="step", density=True, label=label, **look)
        ax.axvline(np.sqrt(0.5), color="black", linewidth=0.9, linestyle="--")
        ax.axvline(np.sqrt(2 * np.log(dim) / dim), color="black", linewidth=0.9, linestyle=":")
        mean = arrays[f"{key}_clean_robust"].mean()
        ax.set_title(
            f"({letter}) {spec['name'].removeprefix('purification/')}: mean $\\cos(w, w')$ = {mean:.2f}"
        )
        ax.set_xlabel("cosine")
        ax.set_xlim(-0.2, 1.0)
    below[0].set_ylabel("density over neurons")
    below[0].legend(loc="upper left")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
