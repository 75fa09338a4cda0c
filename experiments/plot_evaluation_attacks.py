"""How much attacks differ on the same weights, and why the scale of the weights blinds some of them.

(a) Robust accuracy of one network at one radius under attacks of growing strength, whole-input l2: a
smoothed-ReLU network on six patches with noise, trained on ``structured-data/S1`` with fewer patches. Small
dots are seeds, large marks their means; the bar is what branch and bound leaves of the interval. PGD on the
cross-entropy from a random point overstates robust accuracy; starts along the filters with steps on the
margin reach what branch and bound can prove [measured]. (b) The weights of a trained cubic network
(``cgro/A``) multiplied by s, which changes no decision: attacks on the cross-entropy go blind as its
gradient underflows, attacks on the margin do not move [derived]. Claims ``evaluation/V2``,
``evaluation/V3`` and ``evaluation/V4``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.attacks import AdaptiveAttack, NeuronAttack, fgm, pgd, run_attack
from featsim.certificates import branch_and_bound
from featsim.claims.evaluation import CUBES, PATCHES
from featsim.models import PowerNetwork, trained_model
from featsim.plotting import COLOURS, draw_band, new_figure
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.threats import Threat
from featsim.training import Recording

SEEDS = {"quick": 1, "default": 4, "full": 20}
ROWS = (
    "FGM",
    "PGD on the loss,\nrandom start",
    "PGD on the margin",
    "adaptive,\nclean start",
    "adaptive,\nfilters",
    "compiled suite",
)
NODES = {"quick": 256, "default": 4096, "full": 32768}
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
OBJECTIVES = ("loss", "margin")
ENDS = Recording(every=1_000_000)


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "patches": PATCHES,
        "cubes": CUBES,
        "seeds": list(range(SEEDS[size])),
        "radius": 0.5,
        "cube_radius": 1.0,
        "max_nodes": NODES[size],
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train, attack and certify every seed."""
    found = map_runs(
        one_seed, [(config, seed) for seed in config["seeds"]], jobs=jobs, progress=True, label="seeds"
    )
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


def one_seed(item: tuple[Config, int]) -> Arrays:
    """Return the accuracies of one seed."""
    config, seed = item
    scenario: Any = spec_from_dict(config["patches"])
    model: Any = trained_model(scenario.model, scenario.run("standard", seed, recording=ENDS))
    data, _ = scenario.problem(seed)
    threat, rng = Threat(radius=config["radius"], scope="input"), np.random.default_rng(seed)
    attacks = (
        fgm(threat),
        pgd(threat, 40, objective="loss", starts=("random",), n_random=1),
        pgd(threat, 40),
        AdaptiveAttack(threat=threat, n_steps=40),
        AdaptiveAttack(threat=threat, n_steps=40, starts=("clean", "filters")),
        NeuronAttack(threat=threat, n_random=4),
    )
    exact = branch_and_bound(model, data, threat, seconds=600.0, max_nodes=config["max_nodes"])
    cubes: Any = spec_from_dict(config["cubes"])
    cube: Any = trained_model(cubes.model, cubes.run("standard", seed, recording=ENDS))
    points, _ = cubes.problem(seed)
    budget = Threat(radius=config["cube_radius"], scope="input")
    scaled = [PowerNetwork(s * cube.weights, power=cube.power, signs=cube.signs) for s in SCALES]
    results = [[run_attack(pgd(budget, 40, objective=o), net, points) for net in scaled] for o in OBJECTIVES]
    return {
        "attacked": np.array([run_attack(attack, model, data, rng).robust_accuracy for attack in attacks]),
        "interval": np.array([exact.certified_accuracy, float(np.mean(exact.upper_margin > 0))]),
        "scaled": np.array([[r.robust_accuracy for r in row] for row in results]),
        "dead": np.array([float(np.mean(r.dead_gradient)) for r in results[0]]),
    }


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the attacks on the left and the scale on the right."""
    figure = new_figure(3.1)
    left, right = figure.subplots(1, 2)
    places = np.arange(len(ROWS))[::-1]
    low, high = arrays["interval"].mean(axis=0)
    left.axvspan(
        low, max(high, low + 0.002), color=COLOURS["noise"], zorder=0, label="left open by branch and bound"
    )
    left.plot(arrays["attacked"].T, places, "o", color=COLOURS["standard"], markersize=3, zorder=2)
    left.plot(
        arrays["attacked"].mean(axis=0),
        places,
        "s",
        color=COLOURS["adversarial"],
        zorder=3,
        label="mean over seeds",
    )
    left.set_yticks(places, ROWS)
    left.set_xlabel(f"robust accuracy, l2 {config['radius']:g} on the whole input")
    left.set_title("(a) same weights, same radius")
    left.legend(loc="lower center", bbox_to_anchor=(0.4, 1.1), ncols=1)
    looks = {
        "loss": (COLOURS["nonrobust"], "o", "PGD on the loss"),
        "margin": (COLOURS["robust"], "s", "PGD on the margin"),
    }
    for row, name in enumerate(OBJECTIVES):
        colour, marker, label = looks[name]
        values = arrays["scaled"][:, row]
        ends = values.min(axis=0), values.max(axis=0)
        seeds = f"least to largest of {len(values)} seeds around their mean"
        draw_band(right, SCALES, *ends, color=colour, meaning=seeds, alpha=0.3)
        right.plot(SCALES, values.mean(axis=0), marker=marker, color=colour, label=label)
    right.plot(SCALES, arrays["dead"].mean(axis=0), ":", color="0.3", label="zero gradients of the loss")
    right.set_xscale("log", base=2)
    right.set_ylim(-0.05, 1.05)
    right.set_xlabel("weights times s")
    right.set_ylabel(f"robust accuracy or share, l2 {config['cube_radius']:g}")
    right.set_title("(b) the scale trap")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=2, columnspacing=0.8, handlelength=1.5)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
