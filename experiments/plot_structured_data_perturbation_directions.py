"""Which features an attack moves: directions of adversarial perturbations along training.

Setting ``structured-data/S1``. At every recorded step the network is attacked at the training inputs with
the one ascent step of adversarial training (A-margin, above) and with twenty normalised steps (A-pgd,
middle). The energy of the perturbation is split into its parts in the span of the robust features u, in
that of the non-robust features v, and orthogonal to both. Below, cosines: on non-robust patches with
:math:`-v_y` (removing the own non-robust feature), on robust patches with :math:`-u_y`; 1 is pure
removal. Lines are medians over seeds, bands the middle 80 %.

Expect a mixture at initialisation: a direction drawn at random would have the shares marked by the dashed
line. Against the standard network both attacks go along the non-robust features [source: its adversarial
examples are perturbations along the negative non-robust feature]. Against the adversarially trained
network one step still spends most energy on the many non-robust patches, on what little v the network
uses, while on the robust patch it pushes against u; many steps turn to the robust features: A-pgd writes
foreign ones on all patches, which no network of this form withstands in this setting [derived], claim
``structured-data/worst-case``.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from _figure import Arrays, Config, run_figure, run_seeds
from matplotlib.figure import Figure

from featsim.attacks import run_attack
from featsim.data import PatchData
from featsim.decomposition import PerturbationParts, perturbation_parts
from featsim.kernels.blas import one_thread
from featsim.plotting import COLOURS, THEORY, bands_in_words, draw_seeds, new_figure, step_axis
from featsim.scenarios import Scenario, get_scenario
from featsim.specs import Spec, spec_from_dict
from featsim.training import Recording

SCENARIO = "structured-data/S1"
SEEDS = {"quick": 3, "default": 10, "full": 50}
N_RECORDS = {"quick": 16, "default": 40, "full": 60}
TRAININGS = ("standard", "adversarial")
ATTACKS = {"margin": "A-margin", "pgd": "A-pgd"}
PARTS = {"robust": "robust", "nonrobust": "non-robust", "other": "other"}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    scenario = get_scenario(SCENARIO)
    attacks = {name: find_attack(scenario, label) for name, label in ATTACKS.items()}
    return {
        "scenario": scenario,
        "attacks": attacks,
        "n_records": N_RECORDS[size],
        "seeds": list(range(SEEDS[size])),
    }


def find_attack(scenario: Scenario, label: str) -> Spec:
    """Return the scenario's evaluation of that name."""
    return next(attack for attack in scenario.evaluations if getattr(attack, "label", None) == label)


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed both ways and attack the weights along the way."""
    attacks = {name: spec_from_dict(attack) for name, attack in config["attacks"].items()}
    return run_seeds(one_run, spec_from_dict(config["scenario"]), config, jobs, attacks, config["n_records"])


def one_run(item: tuple[Scenario, str, int, dict[str, Any], int]) -> Arrays:
    """Return the shares and cosines of both attacks along one run."""
    scenario, training, seed, attacks, n_records = item
    steps = Recording(n_log=n_records).steps(scenario.trainings[training].schedule.n_steps)
    trace = scenario.run(training, seed, recording=Recording(at=(), weights_at=tuple(steps.tolist())))
    data, _ = scenario.problem(seed)
    arrays: Arrays = {"steps": steps}
    for name, attack in attacks.items():
        with one_thread():
            parts = [attacked_parts(scenario, attack, weights, data) for weights in trace["weights"]]
        for part in PARTS:
            arrays[f"{name}_{part}"] = np.array([p.shares[part] for p in parts])
        arrays[f"{name}_cosine_robust"] = np.array([p.cosines["robust: -u_y"] for p in parts])
        arrays[f"{name}_cosine_nonrobust"] = np.array([p.cosines["nonrobust: -v_y"] for p in parts])
    return arrays


def attacked_parts(
    scenario: Scenario, attack: Any, weights: npt.NDArray[np.float64], data: PatchData
) -> PerturbationParts:
    """Attack one state of the network and split the perturbation."""
    model: Any = scenario.model
    return perturbation_parts(run_attack(attack, model.network(weights), data).perturbation, data)


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw shares for both attacks and cosines; standard left, adversarial right."""
    scenario = spec_from_dict(config["scenario"])
    isotropic = scenario.data.n_classes / scenario.data.dim
    figure = new_figure(5.4)
    axes = figure.subplots(3, 2, sharex="col", sharey="row")
    for column, training in enumerate(TRAININGS):
        steps = arrays[f"{training}_steps"][0]
        for row, name in enumerate(ATTACKS):
            ax = axes[row, column]
            for (part, label), marker in zip(PARTS.items(), ("s", "o", "^"), strict=True):
                values = arrays[f"{training}_{name}_{part}"]
                draw_seeds(ax, steps, values, color=COLOURS[part], marker=marker, label=label)
            ax.axhline(isotropic, **THEORY, label=f"u or v in a random direction, $k/d$ = {isotropic:g}")
            ax.set_ylim(-0.03, 1.03)
            step_axis(ax, steps[-1], label="")
        ax = axes[2, column]
        for part, marker in (("robust", "s"), ("nonrobust", "o")):
            for name, face in (("margin", COLOURS[part]), ("pgd", "white")):
                values = arrays[f"{training}_{name}_cosine_{part}"]
                settings = {"marker": marker, "markerfacecolor": face, "linewidth": 1.2}
                direction = "$-u_y$ on robust" if part == "robust" else "$-v_y$ on non-robust"
                draw_seeds(ax, steps, values, color=COLOURS[part], **settings,
                           label=f"{direction} patches, {ATTACKS[name]}")  # fmt: skip
        step_axis(ax, steps[-1])
    n_seeds = len(arrays["standard_steps"])
    axes[0, 0].set_title(f"(a) standard training, {n_seeds} seeds")
    axes[0, 1].set_title(f"(b) adversarial training, {n_seeds} seeds")
    for row, label in enumerate(("A-margin:\nshare of energy", "A-pgd:\nshare of energy", "mean cosine")):
        axes[row, 0].set_ylabel(label)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.legend(*axes[2, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  title=bands_in_words(figure) or None)  # fmt: skip
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
