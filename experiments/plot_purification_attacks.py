"""What breaks the clean-trained net, what adversarial training makes of it, and what surgery does alone.

Setting ``purification/A`` (``C`` at test size). Accuracy of the nets on fresh samples, unperturbed and at
the l2 radius 0.2: along a random direction, along the dense direction -y M w* (which looks at neither input
nor net), under FGM, and under PGD (20 steps from the clean, the FGM, the dense and a random point). Small
dots are seeds, large marks their medians. Expect on the left a clean net that the dense direction breaks as
well as PGD does, and an adversarially trained one that PGD breaks no more than FGM [source: the claim]. On
the right, taking the dense part out of the clean weights, without training, disarms the dense direction but
not PGD; the pure part alone is more robust and a little less accurate [derived]. Claims
``purification/E3``, ``purification/E4``, ``purification/E5`` and ``purification/E9``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import NETS, draw_points, phases, run_of, stack_runs
from matplotlib.figure import Figure

from featsim.claims.purification import measures
from featsim.decomposition import keep_pure, remove_mixture
from featsim.plotting import COLOURS, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs

SEEDS = {"quick": 1, "default": 5, "full": 20}
ROWS = {
    "clean": "none",
    "random": "random\ndirection",
    "dense": "dense\ndirection",
    "fgm": "FGM",
    "pgd": "PGD",
}
SURGERY: dict[str, dict[str, Any]] = {
    "standard": NETS["standard"],
    "removed": {"color": COLOURS["nonrobust"], "marker": "v", "label": "mixture removed"},
    "pure": {"color": COLOURS["robust"], "marker": "^", "label": "pure part alone"},
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario = get_scenario("purification/C" if size == "quick" else "purification/A")
    return {"scenario": scenario, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train and attack every seed."""
    items = [(spec_from_dict(config["scenario"]), seed) for seed in config["seeds"]]
    return stack_runs(map_runs(one_seed, items, jobs=jobs, progress=True, label="seeds"))


def one_seed(item: tuple[Scenario, int]) -> Arrays:
    """Return the accuracies of the nets of one seed, in the order of the rows."""
    scenario, seed = item
    traces = phases(scenario, seed, dict.fromkeys(NETS, measures.ENDS))
    found = {}
    for name, trace in traces.items():
        run = run_of(scenario, name, seed, trace)
        found[name] = measures.attacked(run)
        if name == "standard":
            basis = (run.data.dictionary, run.data.label_weights)
            for cut, operation in (("removed", remove_mixture), ("pure", keep_pure)):
                operated = run.network.with_weights(operation(run.network.neurons, *basis))
                found[cut] = measures.accuracies_of(run, operated)
    return {name: np.array([accuracies[row] for row in ROWS]) for name, accuracies in found.items()}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the trainings on the left and the surgery on the right."""
    figure = new_figure(3.0)
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, looks, title in (
        (left, NETS, "(a) by training"),
        (right, SURGERY, "(b) by surgery on the clean net"),
    ):
        draw_points(ax, list(ROWS.values()), {net: arrays[net] for net in looks}, looks)
        ax.set_title(title)
        ax.set_xlabel("accuracy")
        ax.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=3, handletextpad=0.2, columnspacing=1.0
        )
    right.tick_params(labelleft=True)
    left.set_ylabel("perturbation")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
