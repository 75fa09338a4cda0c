"""The picture at d = 400, k = 2: accurate and fragile, then robust by the same neurons.

Setting ``purification/headline``: m = 2000 neurons, fresh samples every step, FGM at the l2 radius 0.17 from
the end of the clean phase (dotted), one seed; ``d-50`` at test size, ``d-800`` at full size. (a) Shares of
the neurons' energy. (b) The dense share among winners, whose pure share exceeds one half, and among the
others: at this d the mixture is not small yet, because losing neurons turn into near-pure mixtures
[measured]. (c) Accuracy without perturbation, under the dense direction and under PGD: of the clean net,
after as many more clean steps, of the clean net without its mixture, and after adversarial training. Here, at
k = 2 with a stricter bias than in ``purification/A``, the mixture *is* the vulnerability. (d) Cosines over
the live neurons: w and w' are close (0.707 dashed), and the cosines with w0 fall towards sqrt(2 log d / d)
(dotted) [source: the statement]. Claim ``purification/headline``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import COSINES, NETS, PARTS, phases, run_of
from matplotlib.figure import Figure

from featsim.claims.purification import measures
from featsim.decomposition import purification, remove_mixture
from featsim.plotting import COLOURS, new_figure
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.training import Recording

NAMES = {"quick": "d-50", "default": "headline", "full": "d-800"}
WINNER = 0.5  # share of a neuron's energy on its feature
ROWS = {"clean": "none", "dense": "dense direction", "pgd": "PGD"}
CUT: dict[str, Any] = {"color": COLOURS["dense-mixture"], "marker": "v", "label": "mixture removed"}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenario": get_scenario(f"purification/{NAMES[size]}"),
        "every": 20 if size == "quick" else 10,
        "seed": 0,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train both phases and the control, then attack."""
    scenario, seed = spec_from_dict(config["scenario"]), config["seed"]
    recording = Recording(
        every=config["every"],
        quantities=(*PARTS, "pure_weight", "dense_weight", "rest_norm"),
        weights_at=(0,),
    )
    traces = phases(scenario, seed, dict.fromkeys(NETS, recording))
    items = [(scenario, name, seed, trace) for name, trace in traces.items()]
    arrays: Arrays = {}
    for found in map_runs(attacked, items, jobs=jobs, progress=True, label="attacks"):
        arrays |= found
    for name, trace in traces.items():
        arrays |= {f"{name}_{part}": trace[part] for part in PARTS}
        arrays |= {f"{name}_steps": trace.steps, **by_kind(name, trace, scenario.data.dim)}
    compared = purification(
        traces["standard"].weights_at(0), *(traces[n].final_weights for n in ("standard", "adversarial"))
    )
    return arrays | {name: getattr(compared, name)[compared.live] for name in COSINES}


def by_kind(name: str, trace: Any, dim: int) -> Arrays:
    """Return the dense share among winners and among the other neurons; weights w* are 1 here."""
    pure, rest = trace["pure_weight"][:, 0] ** 2, trace["rest_norm"][:, 0] ** 2
    dense = trace["dense_weight"][:, 0] ** 2 * (dim - 1)
    energy = pure + dense + rest
    won = pure > WINNER * energy
    with np.errstate(invalid="ignore"):  # at the start there are no winners
        return {
            f"{name}_{kind}": np.where(some, dense, 0.0).sum(axis=1) / np.where(some, energy, 0.0).sum(axis=1)
            for kind, some in (("winners", won), ("others", ~won))
        }


def attacked(item: Any) -> Arrays:
    """Return the accuracies of one net in the order of the rows; of the clean one without mixture too."""
    scenario, name, seed, trace = item
    run = run_of(scenario, name, seed, trace)
    nets = {name: run.network}
    if name == "standard":
        basis = (run.data.dictionary, run.data.label_weights)
        nets["removed"] = run.network.with_weights(remove_mixture(run.network.neurons, *basis))
    found = {net: measures.accuracies_of(run, model) for net, model in nets.items()}
    return {f"{net}_accuracy": np.array([found[net][row] for row in ROWS]) for net in nets}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw shares above, accuracies and cosines below."""
    figure = new_figure(4.8)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    switch = arrays["standard_steps"][-1]
    steps = np.concatenate([arrays["standard_steps"], switch + arrays["adversarial_steps"]])

    def along(name: str) -> np.ndarray:
        return np.concatenate([arrays[f"{phase}_{name}"] for phase in ("standard", "adversarial")])

    for part, (label, color) in PARTS.items():
        marker = {"pure_share": "^", "dense_share": "o", "rest_share": "s"}[part]
        first.plot(steps, along(part), color=color, marker=marker, markevery=0.1, markersize=3.5, label=label)
    second.plot(steps, along("winners"), color=COLOURS["robust"], label="winners: P > 1/2")
    second.plot(steps, along("others"), color=COLOURS["nonrobust"], linestyle="--", label="the others")
    for ax in (first, second):
        ax.axvline(switch, color="black", linewidth=0.9, linestyle=":")
        ax.set_xlim(0, steps[-1])
        ax.set_xlabel("step")
    first.set_ylim(-0.03, 1.45)
    first.set_yticks([0, 0.25, 0.5, 0.75, 1])
    second.set_ylim(0, 1.35 * np.nanmax([along("winners"), along("others")]))
    first.set_ylabel("share of the energy")
    second.set_ylabel("dense share Q")
    data = config["scenario"]["data"]
    first.set_title(f"(a) d = {data['dim']}, k = {data['sparsity']:g}, one seed")
    second.set_title("(b) where the mixture is")
    first.legend(loc="upper left")
    second.legend(loc="upper left")
    draw_accuracies(third, arrays)
    draw_cosines(fourth, arrays, data["dim"])
    return figure


def draw_accuracies(ax: Any, arrays: Arrays) -> None:
    """Draw a mark per net in every row."""
    looks = {"standard": NETS["standard"], "control": NETS["control"], "removed": CUT}
    looks |= {"adversarial": NETS["adversarial"]}
    for offset, (net, look) in zip(np.linspace(-0.27, 0.27, len(looks)), looks.items(), strict=True):
        places = np.arange(len(ROWS)) + offset
        ax.plot(arrays[f"{net}_accuracy"], places, linestyle="none", markersize=5.5, **look)
    ax.set_yticks(range(len(ROWS)), list(ROWS.values()))
    ax.set_ylim(len(ROWS) - 0.5, -0.5)
    ax.set_xlim(-0.03, 1.03)
    ax.grid(False, axis="y")
    for row in range(1, len(ROWS)):
        ax.axhline(row - 0.5, color="0.85", linewidth=0.5)
    ax.set_xlabel("accuracy")
    ax.set_title("(c) by perturbation")
    ax.legend(loc="upper left", fontsize=6.8)


def draw_cosines(ax: Any, arrays: Arrays, dim: int) -> None:
    """Draw histograms of the three cosines."""
    for name, (label, look) in COSINES.items():
        ax.hist(
            arrays[name], bins=np.linspace(-0.2, 1, 61), histtype="step", density=True, label=label, **look
        )
    ax.axvline(np.sqrt(0.5), color="black", linewidth=0.9, linestyle="--")
    ax.axvline(np.sqrt(2 * np.log(dim) / dim), color="black", linewidth=0.9, linestyle=":")
    share = np.mean(arrays["clean_robust"] > np.sqrt(0.5))
    ax.set_title(f"(d) live neurons: {100 * share:.0f} % beyond 0.707")
    ax.set_xlabel("cosine")
    ax.set_xlim(-0.2, 1.0)
    ax.set_ylabel("density")
    ax.set_ylim(0, 1.2 * ax.get_ylim()[1])
    ax.legend(loc="upper center", ncols=3, fontsize=6.8, columnspacing=1.0)


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
