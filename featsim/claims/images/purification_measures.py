"""What the claims and figures on purification of images measure, for one seed.

The symmetric network on whole images, two classes: initial weights w0, clean-trained w, adversarially trained
w' from there, the same steps clean as a control, and adversarial training from w0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from featsim.attacks import exact_linear, run_attack
from featsim.claims.cases import Run
from featsim.decomposition import filter_statistics, matched_cosines
from featsim.kernels.blas import one_thread
from featsim.models import LinearModel, Model
from featsim.scenarios import Scenario
from featsim.scenarios.images import PURIFICATION_SETTINGS, PurificationSetting
from featsim.training import Recording, train
from featsim.validation import FloatArray

Numbers = dict[str, Any]
NETS = ("initial", "clean", "control", "adversarial", "scratch")
STATISTICS = ("kurtosis", "total_variation", "top_energy", "low_frequency", "norm")
_NOTHING = Recording(at=())


@dataclasses.dataclass(eq=False)
class PurificationStudy:
    """All that one seed of a purification setting needs, made when it is first asked for.

    Attributes
    ----------
    scenario : Scenario
        Setting.
    seed : int
        Seed of split, weights and minibatches.
    """

    scenario: Scenario
    seed: int

    @property
    def setting(self) -> PurificationSetting:
        """What the measurements need beyond the scenario."""
        known = PURIFICATION_SETTINGS[self.scenario.name.partition("/purification-")[2]]
        return dataclasses.replace(known, scenario=self.scenario)

    @cached_property
    def test(self) -> Any:
        """Test images."""
        data: Any = self.scenario.data
        return data.test(self.setting.n_test)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of a filter."""
        data: Any = self.scenario.data
        height, width, _ = data.pool().image_shape
        return height, width

    @cached_property
    def start(self) -> FloatArray:
        """Initial weights w0, shape (1, m, d)."""
        data, rng = self.scenario.problem(self.seed)
        model: Any = self.scenario.model
        weights: FloatArray = model.initial_weights(data.dim, rng)
        return weights

    @cached_property
    def clean(self) -> FloatArray:
        """Clean-trained weights w."""
        return self.scenario.run("standard", self.seed, recording=_NOTHING).final_weights

    def later(self, training: str) -> FloatArray:
        """Return the weights at the end of another training; those that start from w share it."""
        chosen = self.scenario.trainings[training]
        if chosen.start_from != "standard":
            return self.scenario.run(training, self.seed, recording=_NOTHING).final_weights
        data, rng = self.scenario.problem(self.seed)
        return train(
            self.scenario.model,
            data,
            schedule=chosen.schedule,
            attack=chosen.attack,
            recording=_NOTHING,
            rng=rng,
            initial_weights=self.clean,
        ).final_weights

    def network(self, weights: FloatArray) -> Model:
        """Return the symmetric network with given weights."""
        model: Any = self.scenario.model
        network: Model = model.network(weights)
        return network

    def accuracies(self, model: Model) -> dict[str, float]:
        """Return clean, FGM and PGD accuracy on the test images; the last survives all attacks."""
        rng = np.random.default_rng((self.seed, 3))
        strong, one_step = (
            run_attack(attack, model, self.test, rng)  # type: ignore[arg-type]
            for attack in self.scenario.evaluations
        )
        stands = (strong.margin > 0) & (one_step.margin > 0) & (strong.clean_margin > 0)
        return {
            "clean": strong.clean_accuracy,
            "fgm": float(np.mean((one_step.margin > 0) & (one_step.clean_margin > 0))),
            "pgd": float(np.mean(stands)),
        }


def _study(run: Run) -> PurificationStudy:
    return PurificationStudy(run.scenario, run.seed)


def weights(run: Run, n_shown: int = 10) -> Numbers:
    """Return accuracies, filter statistics and cosines of all networks, and pictures of filters.

    ``{net}_clean``, ``_fgm``, ``_pgd`` and the statistics for each of `NETS`; ``cosine_...`` (m,) between the
    same neuron's filters; ``{net}_filters`` (n_shown, H, W) of the neurons of largest norm in w'.
    """
    study = _study(run)
    found: Numbers = {}
    with one_thread():
        each = {"initial": study.start, "clean": study.clean}
        each |= {name: study.later(name) for name in NETS[2:]}
        height, width = study.image_shape
        largest = np.argsort(-np.linalg.norm(each["adversarial"][0], axis=1))[:n_shown]
        for name, table in each.items():
            filters = table[0].reshape(-1, height, width)
            statistics = filter_statistics(filters)
            found |= {f"{name}_{key}": statistics[key] for key in STATISTICS}
            found[f"{name}_filters"] = filters[largest]
            if name != "initial":
                accuracies = study.accuracies(study.network(table))
                found |= {f"{name}_{key}": value for key, value in accuracies.items()}
        pairs = {
            "initial_clean": ("initial", "clean"),
            "clean_adversarial": ("clean", "adversarial"),
            "initial_adversarial": ("initial", "adversarial"),
            "clean_control": ("clean", "control"),
            "initial_scratch": ("initial", "scratch"),
        }
        for key, (one, other) in pairs.items():
            found[f"cosine_{key}"] = matched_cosines(each[one][0], each[other][0])
    return found


def rivals(run: Run) -> Numbers:
    """Return accuracies of simpler models trained at the same radius, and of the network.

    Of the linear model the worst case is exact; its standard training stands beside its adversarial one.
    """
    study = _study(run)
    found: Numbers = {}
    with one_thread():
        linear = study.setting.rival("linear")
        for training in ("standard", "adversarial"):
            found |= _named(f"linear_{training}", _linear_accuracies(study, linear, training))
        random_gates = study.setting.rival("ntk")
        own_gates = study.setting.rival("ntk-clean")
        start = np.concatenate([study.clean, study.clean])
        for training in ("adversarial", "pgd"):
            for name, scenario, weights_ in (("ntk", random_gates, None), ("ntk_clean", own_gates, start)):
                model = _trained(scenario, training, study.seed, weights_)
                found |= _named(f"{name}_{training}", study.accuracies(model))
        found |= _named("network_standard", study.accuracies(study.network(study.clean)))
        found |= _named("network_adversarial", study.accuracies(study.network(study.later("adversarial"))))
    return found


def ranks(run: Run, tried: Sequence[int] = (1, 4, 16)) -> Numbers:
    """Return accuracies after adversarial training by low-rank updates.

    ``from_clean_pgd`` and the like have one entry per rank, from w; ``from_scratch_pgd`` from w0;
    ``full_pgd`` is for all weights, ``zero_pgd`` for none.
    """
    study = _study(run)
    found: Numbers = {}
    with one_thread():
        for start, ending in (("from_clean", ""), ("from_scratch", "-scratch")):
            rows = [study.accuracies(study.network(study.later(f"rank-{rank}{ending}"))) for rank in tried]
            for key in ("clean", "pgd"):
                found[f"{start}_{key}"] = np.array([row[key] for row in rows])
        found |= _named("zero", study.accuracies(study.network(study.clean)))
        found |= _named("full", study.accuracies(study.network(study.later("adversarial"))))
    return found


def _named(name: str, values: dict[str, float]) -> Numbers:
    return {f"{name}_{key}": value for key, value in values.items()}


def _trained(scenario: Scenario, training: str, seed: int, start: FloatArray | None) -> Model:
    """Train a model of a rival, from given weights if there are any."""
    data, rng = scenario.problem(seed)
    chosen = scenario.trainings[training]
    trace = train(
        scenario.model,
        data,
        schedule=chosen.schedule,
        attack=chosen.attack,
        recording=_NOTHING,
        rng=rng,
        initial_weights=start,
    )
    spec: Any = scenario.model
    model: Model = spec.network(trace.final_weights)
    return model


def _linear_accuracies(study: PurificationStudy, scenario: Scenario, training: str) -> dict[str, float]:
    """Return clean accuracy and the exact accuracy under attack of the linear model."""
    trace = scenario.run(training, study.seed, recording=_NOTHING)
    # Inputs have one patch, and the weights the shape (1, 1, d) of one score.
    model = LinearModel(trace.final_weights)
    chosen: Any = scenario.evaluations[0]
    found = exact_linear(model, study.test, chosen.threat)
    return {"clean": found.clean_accuracy, "fgm": found.robust_accuracy, "pgd": found.robust_accuracy}
