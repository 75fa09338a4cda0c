r"""Threat models: under which budgets adversarial training is robust and standard training is not.

Robust accuracy of both trainings against the test radius, mean over seeds. Lines: against the strongest
attack found (an upper bound); shading: down to what is certified, so that the truth lies in the shaded
strip, and is exact where there is none. Triangles on the axis: radius in training. Dashed: predicted
radii of networks of one pure feature, v and u (claim ``structured-data/pure-radii``, derived).

(a) ``structured-data/own``: own-feature budget O on noisy data and fresh samples. Expect standard training
to fall at :math:`\beta/\sqrt2`, adversarial training to stand, certified, well beyond, and to fall towards
:math:`\alpha/\sqrt2`, as noise and unequal classes take their part. O encodes which patch carries which
feature. (b) ``structured-data/linf``: a box on every coordinate, which knows nothing of the features (the
grey strip spans two versions of the prediction for u, with and without what else the trained weights
hold). (c) ``structured-data/full-l2``: the full l2 ball of every patch, with strong rare features.
(d) ``structured-data/input-l2``: one l2 ball for the whole input, shown for what it is: no success. Density
protects v, both trainings learn it, and no network of u alone reaches its radius. (e, f)
``structured-data/S1``, full l2 ball of every patch, under each named attack: the same two networks look
robust or broken as the attack varies. A-raw is blind (its gradient underflows), A-feat breaks the standard
network alone; the strongest attack, patch by patch, leaves neither, as no network of this form withstands
it here (claim ``structured-data/worst-case``).
"""

import sys

import numpy as np
from _figure import Arrays, Config, run_figure
from _structured_data_sweep import ENDS
from matplotlib.figure import Figure

from featsim.attacks import FeatureAttack, fgm, margin_step, pgd, raw_step, run_attack
from featsim.certificates import tangent_chord
from featsim.data import sample_like
from featsim.evaluation import strongest_attack
from featsim.kernels.blas import one_thread
from featsim.plotting import COLOURS, THEORY, TRAININGS, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs
from featsim.theory import (
    full_l2_window,
    input_l2_power_limit,
    input_l2_radius,
    linf_nonrobust_radius,
    linf_robust_radius,
    own_feature_radii,
)

PANELS = {
    "own": (0.1, 0.2, 0.26, 0.28, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75),
    "linf": (0.005, 0.01, 0.015, 0.018, 0.02, 0.025, 0.03, 0.04, 0.05, 0.055, 0.06, 0.065, 0.07, 0.08),
    "full_l2": (0.02, 0.025, 0.03, 0.033, 0.035, 0.0375, 0.039, 0.04, 0.041, 0.042, 0.043, 0.045),
    "input_l2": (0.35, 0.9, 1.5, 1.65, 1.75, 1.9),
    "S1": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
}
SEEDS = {
    "quick": {"own": 1, "linf": 1, "full_l2": 2, "input_l2": 1, "S1": 2},
    "default": {"own": 5, "linf": 5, "full_l2": 8, "input_l2": 1, "S1": 8},
    "full": {"own": 20, "linf": 20, "full_l2": 40, "input_l2": 10, "S1": 50},
}
N_FRESH = {"quick": 20, "default": 60, "full": 1000}
RADII_SKIPPED = {"quick": 3, "default": 1, "full": 1}
BOTH = ("standard", "adversarial")
NAMED = {
    "strongest": {"color": "black", "marker": "X", "linewidth": 2.6},
    "A-raw": {"color": "#a0a0a0", "marker": "v", "linestyle": ":"},
    "A-margin": {"color": "#a0a0a0", "marker": "^"},
    "A-unit": {"color": "#606060", "marker": "D", "linestyle": (0, (1, 1)), "markerfacecolor": "white"},
    "A-feat": {"color": COLOURS["nonrobust"], "marker": "o"},
    "A-pgd": {"color": "#606060", "marker": "s", "linestyle": (0, (5, 1.5))},
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "scenarios": {name: get_scenario(f"structured-data/{name.replace('_', '-')}") for name in PANELS},
        "radii": {name: radii[:: RADII_SKIPPED[size]] for name, radii in PANELS.items()},
        "n_seeds": SEEDS[size],
        "n_fresh": N_FRESH[size],
        "certificate": "tangent/chord",
        "attacks": {
            "per patch": strongest_attack(get_scenario("structured-data/own").evaluations[0].threat),
            "whole input": strongest_attack(get_scenario("structured-data/input-l2").evaluations[0].threat),
            "named, at the radius of training": named_attacks(
                get_scenario("structured-data/S1").evaluations[0].threat
            ),
        },
    }


def named_attacks(threat):
    """Return the named attacks at a radius; the inner step is that of training."""
    step = get_scenario("structured-data/S1").trainings["adversarial"].attack.step_size
    return {
        "strongest": strongest_attack(threat),
        "A-raw": raw_step(threat, step),
        "A-margin": margin_step(threat, step),
        "A-unit": fgm(threat),
        "A-feat": FeatureAttack(radius=threat.radius),
        "A-pgd": pgd(threat, n_steps=20),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train and evaluate every seed of every panel."""
    scenarios = {name: spec_from_dict(scenario) for name, scenario in config["scenarios"].items()}
    items = [
        (scenarios[name], name, training, seed, config["radii"][name], config["n_fresh"])
        for name, n_seeds in config["n_seeds"].items()
        for training in BOTH
        for seed in range(n_seeds)
    ]
    # Compile here what all processes need, and not in each of them.
    one_run((items[0][0].with_settings({"schedule.n_steps": 1}), *items[0][1:4], (0.1,), 4))
    runs = map_runs(one_run, items, jobs=jobs, progress=True, label=config["figure"])
    arrays: Arrays = {}
    for name in config["n_seeds"]:
        for training in BOTH:
            group = [run for item, run in zip(items, runs, strict=True) if item[1:3] == (name, training)]
            arrays |= {f"{name}_{training}_{key}": np.stack([run[key] for run in group]) for key in group[0]}
    return arrays


def one_run(item: tuple[Scenario, str, str, int, tuple[float, ...], int]) -> Arrays:
    """Train once and evaluate at every radius."""
    scenario, name, training, seed, radii, n_fresh = item
    trace = scenario.run(training, seed, recording=ENDS)
    network = scenario.model.network(trace.final_weights)
    data, _ = scenario.problem(seed)
    threat = scenario.trainings["adversarial"].attack.threat
    with one_thread():
        if name == "S1":
            accuracies = [
                [run_attack(attack, network, data).robust_accuracy
                 for attack in named_attacks(threat.replace(radius=radius)).values()]
                for radius in radii
            ]  # fmt: skip
            return {"named": np.array(accuracies)}
        if name == "own":
            data = sample_like(data, n_fresh, np.random.default_rng((seed, 1)))
        attacked, certified = curves(network, data, threat, radii)
    return {
        "attacked": attacked,
        "certified": certified,
        "robust_coef": trace["robust_coef"][-1],
        "nonrobust_coef": trace["nonrobust_coef"][-1],
        "l1_norms": np.abs(trace.final_weights).sum(axis=2),
    }


def curves(network, data, threat, radii):
    """Return attacked and certified accuracy at growing radii.

    Balls are nested: what is broken stays broken, and what is certified need not be attacked.
    """
    broken = np.zeros(data.n_samples, dtype=bool)
    attacked, certified = np.empty(len(radii)), np.empty(len(radii))
    for number, radius in enumerate(radii):
        budget = threat.replace(radius=radius)
        safe = tangent_chord(network, data, budget).certified
        open_ = np.flatnonzero(~safe & ~broken)
        if open_.size:
            rest = data.select(open_)
            attack = strongest_attack(budget, network, rest)
            if budget.scope == "input":
                attack = attack.replace(stop_when_broken=True)
            broken[open_] = ~run_attack(attack, network, rest).robust
        attacked[number], certified[number] = 1 - broken.mean(), safe.mean()
    return attacked, certified


def predictions(name: str, scenario: Scenario, arrays: Arrays) -> dict[str, tuple[float, float]]:
    """Return the predicted radii of both features, each as the ends of a strip (equal for a line)."""
    data, model = scenario.data, scenario.model
    alpha, beta = data.robust_strength, data.nonrobust_strength
    shape = {"power": model.power, "smoothing": model.smoothing}
    if name == "own":
        found = own_feature_radii(alpha, beta)
        return {"v": (found.nonrobust,) * 2, "u": (found.robust,) * 2}
    if name == "full_l2":
        window = full_l2_window(data.n_robust_patches, data.n_nonrobust_patches, alpha, beta, model.power)
        return {"v": (window.lower,) * 2, "u": (window.upper,) * 2}
    if name == "linf":
        return linf_predictions(data, shape, arrays)
    learned = [
        input_l2_radius(float(b), beta, data.n_nonrobust_patches, data.n_patches, **shape)
        for b in arrays["input_l2_standard_nonrobust_coef"].max(axis=2).ravel()
    ]
    return {
        "v": (float(np.median(learned)),) * 2,
        "u": (input_l2_power_limit(alpha, data.n_robust_patches, model.power),) * 2,
    }


def linf_predictions(data, shape, arrays: Arrays) -> dict[str, tuple[float, float]]:
    """Return medians over seeds of the smallest radius over pairs of classes, from trained coefficients."""
    P, seeds = data.n_patches, range(len(arrays["linf_adversarial_attacked"]))
    pairs = [(y, t) for y in range(data.n_classes) for t in range(data.n_classes) if y != t]
    radii = {"v": [], "pure": [], "norms": []}
    for seed in seeds:
        A, norms = arrays["linf_adversarial_robust_coef"][seed], arrays["linf_adversarial_l1_norms"][seed]
        B = arrays["linf_standard_nonrobust_coef"][seed]
        u = {"robust_strength": data.robust_strength, "n_robust_patches": data.n_robust_patches,
             "n_patches": P, **shape}  # fmt: skip
        v = {"nonrobust_strength": data.nonrobust_strength, "n_nonrobust_patches": data.n_nonrobust_patches,
             "n_patches": P, "spread_dim": data.dim - data.n_classes, **shape}  # fmt: skip
        radii["v"].append(min(linf_nonrobust_radius(B[y], B[t], **v) for y, t in pairs))
        radii["pure"].append(min(linf_robust_radius(A[y], A[t], **u) for y, t in pairs))
        radii["norms"].append(
            min(
                linf_robust_radius(A[y], A[t], own_norms=norms[y], rival_norms=norms[t], **u)
                for y, t in pairs
            )
        )
    middle = {key: float(np.median(values)) for key, values in radii.items()}
    return {"v": (middle["v"],) * 2, "u": (middle["norms"], middle["pure"])}


LABELS = {
    "own": {"v": r"$\beta/\sqrt{2}$", "u": r"$\alpha/\sqrt{2}$"},
    "linf": {"v": r"$\epsilon_v$", "u": r"$\epsilon_u$"},
    "full_l2": {"v": r"$\beta/\sqrt{2}$", "u": r"$\frac{\alpha}{1+R}$"},
    "input_l2": {"v": "pure v", "u": "any u"},
}
TITLES = {
    "own": "(a) O: own features only*, noisy",
    "linf": r"(b) B: $\ell_\infty$ box on every coordinate",
    "full_l2": r"(c) L: full $\ell_2$ per patch, $\alpha/\beta$ = 20",
    "input_l2": r"(d) F: whole-input $\ell_2$: no success",
}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the four budgets, and S1 under each named attack."""
    figure = new_figure(5.0)
    axes = figure.subplots(2, 3, sharey=True)
    for name, ax in zip(TITLES, axes.flat, strict=False):
        draw_budget(ax, name, arrays, config)
    for training, ax, letter in zip(BOTH, axes[1, 1:], "ef", strict=True):
        named = arrays[f"S1_{training}_named"].mean(axis=0)
        for column, (attack, look) in enumerate(NAMED.items()):
            ax.plot(config["radii"]["S1"], named[:, column], **{"markersize": 3.5, "linewidth": 1.2, **look},
                    label=attack)  # fmt: skip
        mark_training_radius(ax, spec_from_dict(config["scenarios"]["S1"]))
        ax.set_title(rf"({letter}) S1, full $\ell_2$: {training}")
        ax.set_xlabel("test radius, per patch")
    for ax in axes[:, 0]:
        ax.set_ylabel("robust accuracy")
        ax.set_ylim(-0.04, 1.18)
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5,
                  columnspacing=1.0, handlelength=1.8, fontsize=7)  # fmt: skip
    handles, names = axes[1, 1].get_legend_handles_labels()
    note = "* O encodes which patch carries which feature; the box of (b) and the balls of (c, d) do not."
    figure.legend(handles, [f"{'(e, f): ' if not i else ''}{n}" for i, n in enumerate(names)], title=note,
                  loc="outside lower center", ncols=6, columnspacing=1.2)  # fmt: skip
    return figure


def draw_budget(ax, name: str, arrays: Arrays, config: Config) -> None:
    """Draw attacked and certified accuracy of both trainings, and the predicted radii."""
    scenario, radii = spec_from_dict(config["scenarios"][name]), np.array(config["radii"][name])
    for key, (low, high) in predictions(name, scenario, arrays).items():
        if high > low:
            ax.axvspan(low, high, color="0.85", linewidth=0)
        for x in {low, high}:
            ax.axvline(x, ymax=1.02 / 1.22 + 0.03, **THEORY)
        ax.annotate(LABELS[name][key], (0.5 * (low + high), 1.06), ha="center", va="bottom", fontsize=8)
    for training in BOTH:
        attacked = arrays[f"{name}_{training}_attacked"].mean(axis=0)
        certified = arrays[f"{name}_{training}_certified"].mean(axis=0)
        look = TRAININGS[training]
        ax.fill_between(radii, certified, attacked, color=look["color"], alpha=0.3, linewidth=0,
                        label=f"{training}: not certified")  # fmt: skip
        ax.plot(radii, attacked, **look, markersize=3.5, label=f"{training}: attacked")
    ax.plot([], [], **THEORY, label="predicted")
    mark_training_radius(ax, scenario)
    ax.set_title(TITLES[name])
    scope = "whole input" if scenario.trainings["adversarial"].attack.threat.scope == "input" else "per patch"
    ax.set_xlabel(f"test radius, {scope}")
    ax.set_xlim(0, 1.04 * radii[-1])
    if name == "full_l2":  # nothing happens near 0
        ax.set_xlim(radii[0], 1.02 * radii[-1])
        ax.set_xticks([0.02, 0.03, 0.04])


def mark_training_radius(ax, scenario: Scenario) -> None:
    """Mark the radius of training on the axis."""
    radius = scenario.trainings["adversarial"].attack.threat.radius
    ax.plot([radius], [0], marker=6, markersize=6, color="black", clip_on=False, linestyle="",
            transform=ax.get_xaxis_transform())  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
