"""Where the weights' energy is: clean training mixes, adversarial training purifies, more steps do not.

Setting ``purification/A`` (``C`` at test size): d = 80, k = 3, FGM at the l2 radius 0.2 from the end of the
clean phase (dotted). Above, the shares of the neurons' energy in the pure part, in the dense mixture of the
label's features, and in the rest [the split: recalled; the numbers: measured]. Below, the accuracy under
FGM at that radius, on fresh samples. Lines are medians over seeds, bands the middle 80 %. Expect the dense
share (about 0.4 after clean training: at this dimension the mixture is not small) to fall by more than ten
times and the accuracy to rise on the left, and neither on the right. Claims ``purification/E6`` and
``purification/E7``.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import NETS, PARTS, phases, seeds_in_words, stack_runs
from matplotlib.figure import Figure

from featsim.attacks import run_attack
from featsim.plotting import draw_seeds, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.training import Recording

SEEDS = {"quick": 1, "default": 3, "full": 20}
TRAININGS = ("standard", "adversarial", "control")


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario = get_scenario("purification/C" if size == "quick" else "purification/A")
    return {"scenario": scenario, "every": 20 if size == "quick" else 5, "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train the three phases of every seed."""
    scenario = spec_from_dict(config["scenario"])
    items = [(scenario, seed, config["every"]) for seed in config["seeds"]]
    return stack_runs(map_runs(one_seed, items, jobs=jobs, progress=True, label="seeds"))


def one_seed(item: tuple[Scenario, int, int]) -> Arrays:
    """Return shares and FGM accuracy along the phases of one seed."""
    scenario, seed, every = item
    recordings = {}
    for name in TRAININGS:
        n_steps = scenario.trainings[name].schedule.n_steps
        kept = tuple(np.unique(np.linspace(0, n_steps, 26).astype(int)).tolist())
        recordings[name] = Recording(every=every, quantities=(*PARTS, "bias", "smoothing"), weights_at=kept)
    test = scenario.problem(seed)[0].fresh.select(slice(500))
    arrays: Arrays = {}
    for name, trace in phases(scenario, seed, recordings).items():
        arrays[f"{name}_steps"] = trace.steps
        arrays |= {f"{name}_{part}": trace[part] for part in PARTS}
        model, schedule = scenario.model, scenario.trainings[name].schedule
        accuracy = []
        for step, weights in zip(trace["weight_steps"].tolist(), trace["weights"], strict=True):
            # The net as it is at that step of the ramp.
            bias = schedule.ramp(schedule.bias_start, model.bias, step, step + 1)[0]
            smoothing = schedule.ramp(schedule.smoothing_start, model.smoothing, step, step + 1)[0]
            network = model.replace(bias=float(bias), smoothing=float(smoothing)).network(weights)
            accuracy.append(run_attack(scenario.evaluations[0], network, test).robust_accuracy)
        arrays[f"{name}_fgm_steps"], arrays[f"{name}_fgm"] = trace["weight_steps"], np.array(accuracy)
    return arrays


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw shares above and accuracy below, adversarial left and control right."""
    figure = new_figure(3.7)
    axes = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(1.5, 1))
    switch = arrays["standard_steps"][0, -1]
    for column, later in enumerate(("adversarial", "control")):
        upper, lower = axes[:, column]
        for part, (label, color) in PARTS.items():
            marker = {"pure_share": "^", "dense_share": "o", "rest_share": "s"}[part]
            steps, values = join(arrays, later, "steps", part, switch)
            draw_seeds(upper, steps, values, color=color, label=label, marker=marker, markersize=3.5)
        steps, values = join(arrays, later, "fgm_steps", "fgm", switch)
        draw_seeds(lower, steps, values, color="0.25")
        for ax in (upper, lower):
            ax.axvline(switch, color="black", linewidth=0.9, linestyle=":")
            ax.set_ylim(-0.03, 1.03)
            ax.set_xlim(0, steps[-1])
        upper.set_title(f"({'ab'[column]}) clean phase, then {NETS[later]['label']}")
        lower.set_xlabel("step")
    axes[0, 0].set_ylabel("share of the energy")
    axes[1, 0].set_ylabel("accuracy\nunder FGM")
    n, data, name = len(config["seeds"]), config["scenario"]["data"], config["scenario"]["name"]
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=3,
        title=f"{name}: d = {data['dim']}, k = {data['sparsity']:g}, {seeds_in_words(n)}",
    )
    return figure


def join(arrays: Arrays, later: str, steps: str, name: str, switch: int) -> tuple[np.ndarray, np.ndarray]:
    """Put the later phase behind the clean one."""
    x = np.concatenate([arrays[f"standard_{steps}"][0], switch + arrays[f"{later}_{steps}"][0]])
    values = np.concatenate([arrays[f"standard_{name}"], arrays[f"{later}_{name}"]], axis=1)
    return x.astype(float), values


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
