"""Purification on real images: even against odd digits, in place of the paper's CIFAR experiments.

The symmetric network (320 neurons) on 8x8 UCI digits, mean subtracted and scaled to root mean square norm
1; clean training, then FGM at the l2 radius 0.2. The paper has convolutional nets on CIFAR-10 [source];
data, network and sizes here are choices, and there is no dictionary to decompose in. (a) Weights of the same
neurons, initial, clean and purified, each on its own symmetric scale, those of the largest purified norm.
(b) Cosines over the neurons of all seeds: expect w and w' close (0.707 dashed), and both nearly uncorrelated
with w0 [source: talk abstract]. The first holds on average; those with w0 are smaller than for sparse codes
at d = 80, and not small [measured]. (c) Accuracy on test images by radius, under PGD (linear: exact):
of the clean and the purified net, and of the tangent kernel and the linear model trained on FGM at the same
radius; on digits the tangent kernel is not far below the net [measured]. (d) Low-rank updates of the clean
weights, and of the initial ones, by rank [topic: source]; that these fail is not reproduced here [measured].
Lines are medians, bands the middle 80 % of the seeds. No claim of the ledger rests on it.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import COSINES, NETS, stack_runs
from matplotlib.figure import Figure

from featsim.attacks import exact_linear, fgm, pgd, run_attack
from featsim.claims.purification.measures import ENDS
from featsim.data import SparseCodingData, sparse_coding_data
from featsim.decomposition import purification
from featsim.images import ImageDataSpec, Patching
from featsim.models import FrozenGateSpec, LinearModel, PolynomialSpec, SymmetricNetworkSpec
from featsim.plotting import COLOURS, draw_seeds, draw_signed, new_figure
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.threats import Threat
from featsim.training import RampSchedule, Schedule, train

SEEDS = {"quick": 1, "default": 2, "full": 5}
RANKS = {"quick": (1, 16), "default": (1, 4, 16, 64), "full": (1, 2, 4, 8, 16, 32, 64)}
PARITY = (tuple(range(0, 10, 2)), tuple(range(1, 10, 2)))
IMAGES = ImageDataSpec(images="digits", patching=Patching(), groups=PARITY)
N_SHOWN = 12
STATES = ("initial", "clean", "purified")
MODELS: dict[str, dict[str, Any]] = {
    "purified": {**NETS["adversarial"], "label": "net, purified"},
    "ntk": {"color": COLOURS["nonrobust"], "marker": "v", "label": "tangent kernel, FGM"},
    "clean": {**NETS["standard"], "label": "net, clean"},
    "linear": {"color": COLOURS["noise"], "marker": "d", "label": "linear, FGM"},
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    shared: dict[str, Any] = {"batch_size": 150, "weight_decay": 0.002}
    steps = 400 if size == "quick" else 1000
    clean = RampSchedule(
        n_steps=steps, step_size=0.7, ramp_steps=350, bias_start=0.03, smoothing_start=0.02, **shared
    )
    return {
        "images": IMAGES,
        "n_samples": 600,
        "n_test": 100 if size == "quick" else 200,
        "model": SymmetricNetworkSpec(width=320, init_std=0.05, bias=0.12, smoothing=0.05),
        "clean": clean,
        "later": RampSchedule(n_steps=steps, step_size=1.5, **shared),
        "low_rank": RampSchedule(n_steps=steps // 2, step_size=0.3, batch_size=150, rank=1),
        "rivals": {
            "ntk": {
                "model": FrozenGateSpec(width=320),
                "schedule": Schedule(n_steps=2 * steps, step_size=0.5, batch_size=150),
            },
            "linear": {
                "model": PolynomialSpec(width=0),
                "schedule": Schedule(n_steps=2 * steps, step_size=0.7, batch_size=150),
            },
        },
        "radius": 0.2,
        "radii": np.linspace(0.0, 0.4, 3 if size == "quick" else 5).round(3).tolist(),
        "ranks": list(RANKS[size]),
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train and attack every seed."""
    settings = revived(config)
    items = [(settings, seed) for seed in config["seeds"]]
    return stack_runs(map_runs(one_seed, items, jobs=jobs, progress=True, label="seeds"))


def revived(config: Any) -> Any:
    """Return the configuration with specs in place of their dictionaries."""
    if not isinstance(config, dict):
        return config
    return (
        spec_from_dict(config) if "kind" in config else {key: revived(part) for key, part in config.items()}
    )


def problem(config: Config, rng: np.random.Generator) -> SparseCodingData:
    """Return training and test images in the shape of sparse coding; pixels stand for atoms."""
    spec = config["images"]
    drawn, test = spec.sample(config["n_samples"], rng), spec.test(config["n_test"])
    size = np.sqrt((drawn.X**2).sum(axis=(1, 2)).mean())
    dim = drawn.X.shape[2]
    basis: dict[str, Any] = {"dictionary": np.eye(dim), "label_weights": np.ones(dim)}
    fresh = sparse_coding_data(test.X[:, 0] / size, test.y, **basis)
    return sparse_coding_data(drawn.X[:, 0] / size, drawn.y, fresh=fresh, **basis)


def one_seed(item: tuple[Config, int]) -> Arrays:
    """Return weights, cosines and accuracies of one seed."""
    config, seed = item
    rng = np.random.default_rng(seed)
    data, attack = problem(config, rng), fgm(Threat(radius=config["radius"]))
    model, later = config["model"], config["later"]
    options: dict[str, Any] = {"rng": rng, "recording": ENDS}
    first = train(model, data, schedule=config["clean"], **options)
    last = train(model, data, schedule=later, attack=attack, initial_weights=first.final_weights, **options)
    states = (first.weights_at(0)[0], first.final_weights[0], last.final_weights[0])
    compared = purification(*states)
    shown = np.argsort(-compared.robust_norm)[:N_SHOWN]
    arrays: Arrays = {name: getattr(compared, name) for name in COSINES}
    arrays |= {f"weights_{name}": weights[shown] for name, weights in zip(STATES, states, strict=True)}
    nets = {"clean": first, "purified": last}
    for name, trace in nets.items():
        arrays[name] = robust(model.network(trace.final_weights), data, config["radii"])
    for name, rival in config["rivals"].items():
        spec = rival["model"]
        trace = train(spec, data, schedule=rival["schedule"], attack=attack, **options)
        arrays[name] = robust(spec.network(trace.final_weights), data, config["radii"])
    for name, start in (("from_clean", first.final_weights), ("from_initial", first.weights_at(0))):
        found = []
        for rank in config["ranks"]:
            schedule = config["low_rank"].replace(rank=rank)
            trace = train(model, data, schedule=schedule, attack=attack, initial_weights=start, **options)
            found += robust(model.network(trace.final_weights), data, [config["radius"]]).tolist()
        arrays[name] = np.array(found)
    return arrays


def robust(model: Any, data: SparseCodingData, radii: list[float]) -> np.ndarray:
    """Return the accuracy on test images at every radius."""
    found = []
    for radius in radii:
        threat = Threat(radius=radius)
        if isinstance(model, LinearModel):
            found.append(exact_linear(model, data.fresh, threat).robust_accuracy)
            continue
        attack = pgd(threat, n_steps=20, n_random=1, starts=("clean", "steepest"), stop_when_broken=True)
        found.append(run_attack(attack, model, data.fresh, np.random.default_rng(7)).robust_accuracy)
    return np.array(found)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw weights above, cosines, accuracies and ranks below."""
    figure = new_figure(4.3)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.35))
    tiles = upper.subplots(len(STATES), N_SHOWN)
    for row, state, label in zip(tiles, STATES, ("$w^0$", "$w$", "$w'$"), strict=True):
        for ax, weights in zip(row, arrays[f"weights_{state}"][0], strict=True):
            draw_signed(ax, weights.reshape(8, 8))
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    upper.suptitle("(a) the same neurons: initial, clean, purified", fontsize="medium", x=0.02, ha="left")
    first, second, third = lower.subplots(1, 3)
    for name, (label, look) in COSINES.items():
        bins = np.linspace(-0.4, 1, 57)
        first.hist(arrays[name].ravel(), bins=bins, histtype="step", density=True, label=label, **look)
    first.axvline(np.sqrt(0.5), color="black", linewidth=0.9, linestyle="--")
    first.set_xlim(-0.4, 1.0)
    first.set_xlabel("cosine")
    first.set_ylabel("density over neurons")
    first.set_title("(b) cosines")
    first.legend(loc="upper left")
    for name, look in MODELS.items():
        draw_seeds(second, config["radii"], arrays[name], **{"linewidth": 1.5, "markevery": 1, **look})
    second.axvline(config["radius"], color="black", linewidth=0.9, linestyle=":")
    second.set_xlabel(r"l2 radius $\tau$")
    second.set_title("(c) robust accuracy, test")
    ranks = np.array(config["ranks"], dtype=float)
    for name, color, marker, label in (
        ("from_clean", COLOURS["adversarial"], "s", "from clean"),
        ("from_initial", COLOURS["nonrobust"], "v", "from initial"),
    ):
        draw_seeds(
            third, ranks, arrays[name], color=color, marker=marker, markevery=1, label=label, linewidth=1.5
        )
    here = int(np.argmin(np.abs(np.array(config["radii"]) - config["radius"])))
    for name, style in (("purified", "--"), ("clean", ":")):
        value = float(np.median(arrays[name][:, here]))
        third.axhline(value, color="black", linewidth=0.9, linestyle=style, label=MODELS[name]["label"])
    third.set_xscale("log", base=2)
    third.set_xticks(ranks, [f"{rank:g}" for rank in ranks])
    third.minorticks_off()
    third.set_xlabel("rank of the update")
    third.set_title(f"(d) at radius {config['radius']:g}")
    for ax in (second, third):
        ax.set_ylim(-0.03, 1.03)
        ax.legend(loc="lower left", fontsize=6.8)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
