"""Adversarial training by low-rank updates W = W_clean + U V^T: robust accuracy buys rank.

Setting ``purification/A`` (``C`` at test size), 500 FGM steps on the factors alone, without weight decay.
The paper's last version reports that low-rank updates of the clean weights get most of the robust accuracy
[recalled]. Here accuracy under PGD at the l2 radius 0.2 grows with the rank, and the same from initial
weights fails; but most of the gain needs a rank of order d/2, because what is left after the mixture is the
rest, several features in one neuron, which is of full rank [measured]. On the right: rank 1 removes most of
the dense share already. Lines are medians over seeds, bands the middle 80 %. Claim ``purification/E12``.
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import PARTS, phases, run_of, stack_runs
from matplotlib.figure import Figure

from featsim.claims.purification import measures
from featsim.plotting import COLOURS, draw_seeds, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs

SEEDS = {"quick": 1, "default": 2, "full": 10}
RANKS = {"quick": (1, 16, 40), "default": (1, 4, 16, 40, 80), "full": (1, 2, 4, 8, 16, 24, 40, 60, 80)}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario = get_scenario("purification/C" if size == "quick" else "purification/A")
    return {"scenario": scenario, "ranks": list(RANKS[size]), "seeds": list(range(SEEDS[size]))}


def compute(config: Config, jobs: int) -> Arrays:
    """Train every rank of every seed."""
    items = [(spec_from_dict(config["scenario"]), config["ranks"], seed) for seed in config["seeds"]]
    return stack_runs(map_runs(one_seed, items, jobs=jobs, progress=True, label="seeds"))


def one_seed(item: tuple[Scenario, list[int], int]) -> Arrays:
    """Return PGD accuracies and shares of one seed by rank."""
    scenario, ranks, seed = item
    arrays: Arrays = {}
    traces = phases(scenario, seed, dict.fromkeys(("standard", "adversarial"), measures.ENDS))
    for name, trace in traces.items():
        run = run_of(scenario, name, seed, trace)
        arrays[name] = np.array(robust(run))
        arrays[f"{name}_dense"] = np.array(measures.mixture(run)["dense_share"])
    for start in ("low-rank", "low-rank-scratch"):
        found = []
        for rank in ranks:
            changed = scenario.with_settings({f"{start}.schedule.rank": rank})
            trace = phases_of(changed, start, seed)
            run = run_of(changed, start, seed, trace)
            shares = measures.mixture(run)
            found.append([robust(run), *(shares[part] for part in PARTS)])
        table = np.array(found)
        name = start.replace("-", "_")
        arrays[name] = table[:, 0]
        arrays |= {f"{name}_{part}": table[:, 1 + i] for i, part in enumerate(PARTS)}
    return arrays


def phases_of(scenario: Scenario, training: str, seed: int):
    """Return the trace of one training."""
    return phases(scenario, seed, {training: measures.ENDS})[training]


def robust(run) -> float:
    """Return the PGD accuracy at the training's radius."""
    return measures.accuracy(run, run.network, measures.test_samples(run), measures.threat_of(run))


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw accuracy on the left and shares on the right."""
    figure = new_figure(3.0)
    left, right = figure.subplots(1, 2)
    ranks = np.array(config["ranks"], dtype=float)
    draw_seeds(
        left,
        ranks,
        arrays["low_rank"],
        color=COLOURS["adversarial"],
        marker="s",
        markevery=1,
        label="from clean weights",
        linewidth=1.6,
    )
    draw_seeds(
        left,
        ranks,
        arrays["low_rank_scratch"],
        color=COLOURS["nonrobust"],
        marker="v",
        markevery=1,
        label="from initial weights",
        linewidth=1.6,
    )
    for name, label, style in (
        ("adversarial", "all weights, from clean", "--"),
        ("standard", "clean net", ":"),
    ):
        left.axhline(np.median(arrays[name]), color="black", linewidth=0.9, linestyle=style, label=label)
    for part, (label, color) in PARTS.items():
        marker = {"pure_share": "^", "dense_share": "o", "rest_share": "s"}[part]
        draw_seeds(
            right,
            ranks,
            arrays[f"low_rank_{part}"],
            color=color,
            marker=marker,
            markevery=1,
            label=label,
            linewidth=1.6,
        )
    dense = np.median(arrays["standard_dense"])
    right.axhline(
        dense, color=COLOURS["dense-mixture"], linewidth=0.9, linestyle=":", label="dense, clean net"
    )
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xticks(ranks, [f"{rank:g}" for rank in ranks])
        ax.minorticks_off()
        ax.set_xlabel("rank of the update")
        ax.set_ylim(-0.03, 1.03)
    left.set_ylabel("accuracy under PGD")
    right.set_ylabel("share of the energy")
    left.set_title("(a) robust accuracy")
    right.set_title("(b) parts of the weights, from clean")
    for ax in (left, right):
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=2, columnspacing=1.2)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
