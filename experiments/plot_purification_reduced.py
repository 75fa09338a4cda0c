"""Two numbers instead of a net: the reduced dynamics over the clean and the adversarial phase.

From the symmetric manifold, w_j = c M_j + beta (all other features), training keeps to it, and the exact
population recursion (dashed) follows c and beta at a cost of O(k^2) a step, whatever d [derived]. Setting
``purification/d-200`` with m = 3d neurons, r = 0.42, fresh samples every step (``d-50`` at test size).
Lines are means over neurons, bands one standard deviation. Expect c to grow in both phases, and beta to
fall as soon as the adversary enters (dotted), to about 0 (below it from d = 400 on). (c) The same ratio for
a net of m = 5d neurons from random initial weights, energy-weighted over neurons: there the recursion is a
lower bound in practice, since losing neurons carry more of the mixture [measured]. Claim
``purification/E13``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.plotting import COLOURS, draw_band, draw_theory, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.theory import Population, SymmetricState, symmetric_path, symmetric_weights
from featsim.training import Recording, train

DIMS = {"quick": 50, "default": 200, "full": 400}
COPIES = 3


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario = get_scenario(f"purification/d-{DIMS[size]}")
    return {"scenario": scenario, "copies": COPIES, "every": 10, "seed": 0}


def compute(config: Config, jobs: int) -> Arrays:
    """Train the symmetric and the random net, and follow the recursion."""
    scenario, seed = spec_from_dict(config["scenario"]), config["seed"]
    data, rng = scenario.problem(seed)
    start = 1.5 * scenario.trainings["standard"].schedule.bias_start
    symmetric = symmetric_weights(
        SymmetricState(pure=start, dense=0.0, bias=0.0, smoothing=0.0, copies=config["copies"]),
        data.dictionary,
        data.label_weights,
    )
    arrays: Arrays = {}
    for name, weights in (("symmetric", symmetric), ("random", None)):
        found = both_phases(scenario, data, rng, weights, config["every"])
        arrays |= {f"{name}_{key}": values for key, values in found.items()}
    return arrays | recursion(scenario, start, config["copies"])


def both_phases(scenario: Scenario, data: Any, rng: Any, weights: Any, every: int) -> Arrays:
    """Return what is recorded along clean training and the adversarial training that follows."""
    model = scenario.model if weights is None else scenario.model.replace(width=weights.shape[1])
    names = ("pure_weight", "dense_weight", "dense_to_pure")
    parts = []
    for chosen in (scenario.trainings["standard"], scenario.trainings["adversarial"]):
        trace = train(
            model,
            data,
            schedule=chosen.schedule,
            attack=chosen.attack,
            recording=Recording(every=every, quantities=names),
            rng=rng,
            initial_weights=weights,
        )
        weights = trace.final_weights
        parts.append({"steps": trace.steps, **{name: trace[name] for name in names}})
    clean, later = parts
    later["steps"] = later["steps"] + clean["steps"][-1]
    joined = {name: np.concatenate([clean[name], later[name]]) for name in clean}
    c, beta = np.abs(joined["pure_weight"][:, 0]), joined["dense_weight"][:, 0]
    return {
        "steps": joined["steps"],
        "pure": np.stack([c.mean(axis=1), c.std(axis=1)]),
        "dense": np.stack([beta.mean(axis=1), beta.std(axis=1)]),
        "ratio": joined["dense_to_pure"],
    }


def recursion(scenario: Scenario, start: float, copies: int) -> Arrays:
    """Return the exact recursion over both phases."""
    population = Population(scenario.data.dim, scenario.data.sparsity)
    pure, dense = [np.array([start])], [np.array([0.0])]
    for chosen in (scenario.trainings["standard"], scenario.trainings["adversarial"]):
        schedule, model = chosen.schedule, scenario.model
        path = symmetric_path(
            population,
            pure=float(pure[-1][-1]),
            dense=float(dense[-1][-1]),
            bias=schedule.ramp(schedule.bias_start, model.bias, 0, schedule.n_steps),
            smoothing=schedule.ramp(schedule.smoothing_start, model.smoothing, 0, schedule.n_steps),
            step_size=schedule.step_size,
            weight_decay=schedule.weight_decay,
            radius=0.0 if chosen.attack is None else chosen.attack.threat.radius,
            copies=copies,
        )
        pure.append(path.pure[1:])
        dense.append(path.dense[1:])
    return {"theory_pure": np.concatenate(pure), "theory_dense": np.concatenate(dense)}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw c, beta and their ratio over both phases."""
    figure = new_figure(2.5)
    first, second, third = figure.subplots(1, 3)
    steps, pure, dense = arrays["symmetric_steps"], arrays["theory_pure"], arrays["theory_dense"]
    every = np.arange(len(pure))
    for ax, name, color, theory, scale in (
        (first, "pure", COLOURS["robust"], pure, 1.0),
        (second, "dense", COLOURS["dense-mixture"], dense, 100.0),
    ):
        mean, sd = scale * arrays[f"symmetric_{name}"]
        draw_band(ax, steps, mean - sd, mean + sd, color=color, meaning="mean of the neurons ± their sd")
        ax.plot(steps, mean, color=color, linewidth=2.2, label="network")
        draw_theory(ax, every, scale * theory, label="recursion")
    third.plot(
        arrays["random_steps"],
        100 * arrays["random_ratio"],
        color=COLOURS["other"],
        linewidth=2.2,
        label="random start",
    )
    draw_theory(third, every, 100 * dense / pure, label="recursion")
    switch = config["scenario"]["trainings"]["standard"]["schedule"]["n_steps"]
    for ax in (first, second, third):
        ax.axvline(switch, color="black", linewidth=0.9, linestyle=":")
        ax.set_xlim(0, steps[-1])
        ax.set_xlabel("step")
    first.set_ylim(0, None)
    third.set_ylim(None, 1.5 * 100 * arrays["random_ratio"].max())
    dim = config["scenario"]["data"]["dim"]
    first.set_title(f"(a) pure weight c, d = {dim}")
    second.set_title(r"(b) mixture $100\,\beta$")
    third.set_title(r"(c) ratio $100\,\beta/c$")
    for ax, place in ((first, "lower right"), (second, "upper left"), (third, "upper center")):
        ax.legend(loc=place)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
