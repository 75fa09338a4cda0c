"""Robust accuracy against the radius: the network beside simple models, and what can be proven.

Setting ``purification/A`` (``C`` at test size) and its baselines, each trained adversarially at the l2
radius 0.2 (dotted). (a) Accuracy at each radius: exact for the linear model, else under PGD (20 steps, four
starts; hard gates through sigmoids of three slopes, the worst counting). The theorem says that linear
models, low-degree polynomials and tangent kernels have robust accuracy at most about 1/2 where the network
has about 1 [source]. At this d, all trained ones are far below; the oracle cubic, which is given the
features and not trained, is not defeated, and is drawn thin for that reason. (b) Robust accuracy as an
interval: shaded from what is certified to what attacks leave, 100 samples a seed. Up to tau/2 the
certificate meets the attack on the adversarially trained net; for the pure part of that net the separable
bound does so nearly up to twice tau [derived]. Medians over seeds. Claims ``purification/E10``,
``purification/E10-oracle`` and ``purification/E11``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import NETS, phases, stack_runs
from matplotlib.figure import Figure

from featsim.attacks import exact_linear, run_attack
from featsim.certificates import certify_pure, certify_symmetric
from featsim.claims.purification.measures import ENDS
from featsim.data import SparseCodingData
from featsim.decomposition import keep_pure
from featsim.models import LinearModel, Model, oracle_polynomial
from featsim.plotting import COLOURS, draw_band, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.scenarios.purification import strong_attack
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.threats import Threat

SEEDS = {"quick": 1, "default": 3, "full": 10}
RADII = {"quick": 5, "default": 9, "full": 21}
RIVALS: dict[str, dict[str, Any]] = {
    "ntk": {"color": COLOURS["nonrobust"], "marker": "v", "label": "tangent kernel, smooth gates"},
    "ntk-hard": {
        "color": COLOURS["nonrobust"],
        "marker": "^",
        "label": "tangent kernel, hard gates",
        "markerfacecolor": "white",
    },
    "cubic": {"color": COLOURS["dense-mixture"], "marker": "P", "label": "power network, q = 3"},
    "quintic": {
        "color": COLOURS["dense-mixture"],
        "marker": "X",
        "label": "power network, q = 5",
        "markerfacecolor": "white",
    },
    "linear": {"color": COLOURS["noise"], "marker": "d", "label": "linear, exact"},
}
ORACLE: dict[str, Any] = {
    "color": "0.4",
    "linewidth": 0.8,
    "linestyle": "-.",
    "label": "oracle cubic, not trained",
}
SHADED = {
    "standard": (COLOURS["standard"], "clean"),
    "adversarial": ("0.25", "adversarial"),
    "pure": (COLOURS["robust"], "its pure part"),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    base = get_scenario("purification/C" if size == "quick" else "purification/A")
    rivals = {name: get_scenario(f"purification/A-{name}") for name in RIVALS}
    if size == "quick":
        chosen = {key: value for key, value in rivals.items() if key in ("linear", "cubic", "ntk")}
        rivals = {key: value.with_settings({"data.dim": 40}) for key, value in chosen.items()}
    return {
        "scenario": base,
        "rivals": rivals,
        "radii": np.linspace(0.0, 0.4, RADII[size]).round(6).tolist(),
        "n_samples": 100,
        "oracle_ratio": 30.0,
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train all models of every seed and attack them at every radius."""
    rivals = {name: spec_from_dict(spec) for name, spec in config["rivals"].items()}
    rest = (config["radii"], config["n_samples"], config["oracle_ratio"])
    items = [(spec_from_dict(config["scenario"]), rivals, seed, *rest) for seed in config["seeds"]]
    return stack_runs(map_runs(one_seed, items, jobs=jobs, progress=True, label="seeds"))


def one_seed(item: tuple[Scenario, dict[str, Scenario], int, list[float], int, float]) -> Arrays:
    """Return attacked and certified accuracies of one seed at every radius."""
    scenario, rivals, seed, radii, n, ratio = item
    traces = phases(scenario, seed, {"standard": ENDS, "adversarial": ENDS})
    data = scenario.problem(seed)[0].fresh.select(slice(n))
    arrays: Arrays = {}
    networks: dict[str, Any] = {name: scenario.model.network(t.final_weights) for name, t in traces.items()}
    robust = networks["adversarial"]
    networks["pure"] = robust.with_weights(keep_pure(robust.neurons, data.dictionary, data.label_weights))
    for name, network in networks.items():
        arrays[name] = attacked(network, data, radii, seed)
        certified = []
        for radius in radii:
            threat = Threat(radius=radius)
            if name == "pure":
                certified.append(certify_pure(network, data.dictionary, data, threat).certified_accuracy)
            else:
                certified.append(certify_symmetric(network, data, threat).certified_accuracy)
        arrays[f"{name}_certified"] = np.array(certified)
    for name, rival in rivals.items():
        trace = rival.run("adversarial", seed, recording=ENDS)
        # Dictionary and rule are drawn first, so that seeds share them.
        own = rival.problem(seed)[0].fresh.select(slice(n))
        arrays[name.replace("-", "_")] = attacked(rival.model.network(trace.final_weights), own, radii, seed)
    oracle = oracle_polynomial(data.dictionary, data.label_weights, ratio)
    arrays["oracle"] = attacked(oracle, data, radii, seed)
    return arrays


def attacked(model: Model, data: SparseCodingData, radii: list[float], seed: int) -> Any:
    """Return the accuracy at every radius."""
    found = []
    for radius in radii:
        threat = Threat(radius=radius)
        if isinstance(model, LinearModel):
            found.append(exact_linear(model, data, threat).robust_accuracy)
        else:
            rng = np.random.default_rng((seed, 7))
            attack = strong_attack(threat).replace(stop_when_broken=True)
            found.append(run_attack(attack, model, data, rng).robust_accuracy)
    return np.array(found)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the models on the left and the intervals on the right."""
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    radii = np.array(config["radii"])
    look = {key: value for key, value in NETS["adversarial"].items() if key != "label"}
    left.plot(radii, np.median(arrays["adversarial"], axis=0), label="symmetric network", **look)
    for name in config["rivals"]:
        left.plot(
            radii,
            np.median(arrays[name.replace("-", "_")], axis=0),
            **{"linewidth": 1.3, "markersize": 4, **RIVALS[name]},
        )
    left.plot(radii, np.median(arrays["oracle"], axis=0), **ORACLE)
    for net, (color, label) in SHADED.items():
        low, high = (np.median(arrays[f"{net}{kind}"], axis=0) for kind in ("_certified", ""))
        band = f"from certified to attacked accuracy, medians of {len(config['seeds'])} seeds"
        draw_band(right, radii, low, high, color=color, meaning=band, alpha=0.35)
        right.plot(radii, high, color=color, linewidth=1.6, marker=".", label=f"{label}, PGD")
        right.plot(
            radii, low, color=color, linewidth=1.2, linestyle=(0, (3, 1.2)), label=f"{label}, certified"
        )
    for ax in (left, right):
        ax.axvline(0.2, color="black", linewidth=0.9, linestyle=":")
        ax.axhline(0.5, color="0.6", linewidth=0.7)
        ax.set_xlabel(r"l2 radius $\tau$")
        ax.set_xlim(0, radii[-1])
        ax.set_ylim(-0.03, 1.03)
    left.set_ylabel("robust accuracy")
    left.set_title("(a) trained adversarially")
    right.set_title("(b) from certified to attacked")
    for ax in (left, right):
        ax.set_xticks([0, 0.1, 0.2, 0.3, 0.4])
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=2, columnspacing=1.0, fontsize=6.8)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
