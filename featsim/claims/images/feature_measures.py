"""What the claims and figures on robust and non-robust features of images measure, for one seed.

Two reference networks are trained on split A from other initial weights: S in the standard way, R
adversarially. They build the robust set (images that R scores like test images, label kept) and the
non-robust set (test images moved by a targeted attack on S, labelled by the target); the measured runs on
split B never see them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from featsim.attacks import pgd
from featsim.claims.cases import Run
from featsim.data import PatchData
from featsim.evaluation import (
    clean_accuracy,
    evaluate,
    image_gradients,
    match_scores,
    other_class_images,
    perturbation_images,
    random_targets,
    targeted_perturbation,
)
from featsim.images import ImageDataSpec, unstandardise
from featsim.kernels.blas import one_thread
from featsim.models import TwoLayerNetwork, margin_cotangent
from featsim.scenarios import Scenario
from featsim.scenarios.images import FEATURE_SETTINGS, FeatureSetting
from featsim.training import Recording, train
from featsim.validation import FloatArray, IntArray

Numbers = dict[str, Any]
TRAININGS = ("standard", "adversarial")
SETS = ("robust_image", "robust_noise", "nonrobust")
_BLOCK = 100  # images attacked at a time, so that the arrays stay in the cache
_DIRECTION_STEPS, _DIRECTION_IMAGES = 10, 100


@dataclasses.dataclass(eq=False)
class FeatureStudy:
    """All that one seed of a feature setting needs, made when it is first asked for.

    Attributes
    ----------
    scenario : Scenario
        Setting.
    seed : int
        Seed of splits, weights and minibatches.
    n_test : int, optional
        Test images; by default those of the setting.
    """

    scenario: Scenario
    seed: int
    n_test: int | None = None

    @property
    def setting(self) -> FeatureSetting:
        """What the measurements need beyond the scenario."""
        return FEATURE_SETTINGS[self.scenario.name.partition("/")[2]]

    @property
    def data(self) -> ImageDataSpec:
        """Distribution of the images."""
        spec: Any = self.scenario.data
        return spec  # type: ignore[no-any-return]

    @property
    def model(self) -> Any:
        """Model spec."""
        return self.scenario.model

    @property
    def threat(self) -> Any:
        """Budget of training."""
        attack: Any = self.scenario.trainings["adversarial"].attack
        return attack.threat

    def rng(self, purpose: int) -> np.random.Generator:
        """Return a generator of its own for each purpose."""
        return np.random.default_rng((self.seed, purpose))

    @cached_property
    def test(self) -> PatchData:
        """Test images."""
        return self.data.test(self.n_test or self.setting.n_test)

    @cached_property
    def first(self) -> PatchData:
        """Split A."""
        split = self.data.replace(split="first")
        return split.sample(self.scenario.n_samples, np.random.default_rng(self.seed))

    @cached_property
    def references(self) -> dict[str, TwoLayerNetwork]:
        """Networks S and R, trained on split A."""
        return {name: self.trained(self.first, name, purpose=1) for name in TRAININGS}

    def trained(self, data: PatchData, training: str, purpose: int) -> TwoLayerNetwork:
        """Train on given data, from weights and minibatches of a purpose."""
        chosen = self.scenario.trainings[training]
        trace = train(
            self.model,
            data,
            schedule=chosen.schedule,
            attack=chosen.attack,
            recording=Recording(at=()),
            rng=self.rng(purpose),
        )
        network: TwoLayerNetwork = self.model.network(trace.final_weights)
        return network

    def run(self, training: str, epochs: Sequence[int]) -> list[TwoLayerNetwork]:
        """Train on split B and return the networks after given epochs."""
        per_epoch = self.scenario.n_samples // (self.scenario.trainings[training].schedule.batch_size or 1)
        steps = tuple(per_epoch * epoch for epoch in epochs)
        trace = self.scenario.run(training, self.seed, recording=Recording(at=(), weights_at=steps))
        return [self.model.network(trace.weights_at(step)) for step in steps]

    @property
    def n_epochs(self) -> int:
        """Epochs of the trainings."""
        schedule = self.scenario.trainings["standard"].schedule
        return int(schedule.n_steps * (schedule.batch_size or 1) // self.scenario.n_samples)

    @cached_property
    def constructed(self) -> dict[str, PatchData]:
        """Robust and non-robust sets built from the test images."""
        return self.construct(self.test, purpose=2)

    def construct(
        self, data: PatchData, purpose: int, sets: Sequence[str] = SETS, rows: IntArray | None = None
    ) -> dict[str, PatchData]:
        """Build sets from images: robust ones by matching R, non-robust ones by attacking S.

        Of `rows` alone, if they are given: from the same starts and targets as in the whole sets.
        """
        rng = self.rng(purpose)
        robust, standard = self.references["adversarial"], self.references["standard"]
        shape = data.spec.image_shape  # type: ignore[union-attr]
        starts = {
            "robust_image": other_class_images(data, self.first, unstandardise(self.first), rng),
            "robust_noise": rng.uniform(size=(data.n_samples, *shape)),
        }
        targets = random_targets(data.y, data.n_classes, rng)
        if rows is not None:
            data, targets = data.select(rows), targets[rows]
            starts = {name: start[rows] for name, start in starts.items()}
        found = {
            name: match_scores(robust, data, start, step_size=self.setting.match_step).data
            for name, start in starts.items()
            if name in sets
        }
        found["nonrobust"] = self.moved(standard, data, targets)
        return found

    def moved(self, network: TwoLayerNetwork, data: PatchData, targets: IntArray) -> PatchData:
        """Move images towards targets on a network, at the larger radius, and label them by the target."""
        threat = self.threat.replace(radius=self.setting.targets_radius * self.threat.radius)
        delta = targeted_perturbation(network, data, targets, threat)
        return dataclasses.replace(data, X=data.X + delta, y=targets)

    def robust_accuracy(self, network: TwoLayerNetwork, threat: Any = None) -> float:
        """Return the share of test images that no attack of the scenario breaks."""
        attacks: tuple[Any, ...] = self.scenario.evaluations
        if threat is not None:
            attacks = (pgd(threat, n_steps=20, n_random=2, stop_when_broken=True),)
        rng, standing = self.rng(3), 0.0
        for start in range(0, self.test.n_samples, _BLOCK):
            block = self.test.select(slice(start, start + _BLOCK))
            found = evaluate(network, block, attacks, rng).robust_accuracy().attacked
            standing += found * block.n_samples
        return standing / self.test.n_samples


def curves(
    run: Run,
    epochs: Sequence[int],
    sets_built: Sequence[str] = SETS,
    n_test: int | None = None,
    with_pictures: bool = False,
) -> Numbers:
    """Return accuracies along both trainings on clean, robust and non-robust images, and those of S and R.

    ``standard_clean`` and the like have one entry per epoch; ``standard_robust``, and ``standard_other`` in
    the other norm, are those of the last. With pictures also ``shown_image``, the first image of each class,
    and ``shown_`` in front of each set, what was built from it.
    """
    study = FeatureStudy(run.scenario, run.seed, n_test)
    found: Numbers = {}
    with one_thread():
        sets = {"clean": study.test, **study.construct(study.test, 2, sets_built)}
        for training in TRAININGS:
            networks = study.run(training, epochs)
            for name, data in sets.items():
                found[f"{training}_{name}"] = np.array([clean_accuracy(net, data) for net in networks])
            last = networks[-1]
            found[f"{training}_robust"] = study.robust_accuracy(last)
            if study.setting.other_threat is not None:
                found[f"{training}_other"] = study.robust_accuracy(last, study.setting.other_threat)
            for name, data in sets.items():
                found[f"reference_{training}_{name}"] = clean_accuracy(study.references[training], data)
        if with_pictures:
            rows = first_of_classes(study.test)
            shown = {"image": study.test.select(rows), **study.construct(study.test, 2, rows=rows)}
            found |= {f"shown_{name}": pixels(data) for name, data in shown.items()}
    return found


def first_of_classes(data: PatchData) -> IntArray:
    """Return the index of the first sample of each class."""
    return np.unique(data.y, return_index=True)[1]


def pixels(data: PatchData) -> FloatArray:
    """Return the images behind patches, in [0, 1] but for rounding, as far as the patches reach."""
    return _reached(data, unstandardise(data))


def _reached(data: PatchData, images: FloatArray) -> FloatArray:
    spec: Any = data.spec
    height, width = spec.patching.reach(spec.image_shape)
    return images[:, :height, :width]


def transfer(run: Run) -> Numbers:
    """Train standard networks on the sets built from split A; return accuracies on real test images."""
    study = FeatureStudy(run.scenario, run.seed)
    found: Numbers = {}
    with one_thread():
        sets = study.construct(study.first, purpose=4)
        next_class = (study.first.y + 1) % study.first.n_classes
        sets["nonrobust_next"] = study.moved(study.references["standard"], study.first, next_class)
        for name, data in sets.items():
            network = study.trained(data, "standard", purpose=5)
            found[f"{name}_clean"] = clean_accuracy(network, study.test)
            found[f"{name}_robust"] = study.robust_accuracy(network)
    return found


def directions(run: Run, n_test: int | None = None) -> Numbers:
    """Return where perturbations of both networks point.

    U is the span of the centred class means of split A, V that of the mean perturbations of S towards each
    class, centred and less their part in U. Under the name of each training: ``share_U``, ``share_V`` and
    ``share_random``, the mean shares of a perturbation's energy in U, in V and in a random space of the same
    dimension; ``cosine_u`` and ``cosine_v``, the mean cosines with the difference of target's and label's
    direction; ``gradient``, the mean cosine of the margin's input gradient with the label's class mean.
    """
    study = FeatureStudy(run.scenario, run.seed, n_test)
    found: Numbers = {}
    with one_thread():
        u = _class_means(study.first)
        v = _perturbation_means(study, u)
        rng = study.rng(6)
        spaces = {"U": _span(u), "V": _span(v)}
        spaces["random"] = np.linalg.qr(rng.standard_normal((u.shape[1], len(u) - 1)))[0].T
        targets = random_targets(study.test.y, study.test.n_classes, rng)
        for training in TRAININGS:
            network = study.run(training, (study.n_epochs,))[0]
            delta = targeted_perturbation(network, study.test, targets, study.threat, _DIRECTION_STEPS)
            flat = _flat(perturbation_images(study.test, delta))
            for name, basis in spaces.items():
                share = np.sum((flat @ basis.T) ** 2, axis=1) / np.maximum(np.sum(flat**2, axis=1), 1e-300)
                found[f"{training}_share_{name}"] = float(share.mean())
            for name, table in (("u", u), ("v", v)):
                found[f"{training}_cosine_{name}"] = _mean_cosine(flat, table[targets] - table[study.test.y])
            found[f"{training}_gradient"] = _mean_cosine(
                _flat(margin_gradients(network, study.test)), u[study.test.y]
            )
    return found


def margin_gradients(network: Any, data: PatchData) -> FloatArray:
    """Return the pixel gradient of the soft margin in favour of the true class, shape (n, H, W, C)."""
    cotangent = margin_cotangent(network.scores(data.X), data.y)
    return -image_gradients(data, network.input_gradient(data.X, cotangent))


def _flat(pictures: FloatArray) -> FloatArray:
    return pictures.reshape(len(pictures), -1)


def _class_means(data: PatchData) -> FloatArray:
    """Return the centred class means, shape (k, pixels)."""
    flat = _flat(unstandardise(data))
    means: FloatArray = np.array([flat[data.y == label].mean(axis=0) for label in range(data.n_classes)])
    centred: FloatArray = means - means.mean(axis=0)
    return centred


def _span(rows: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the span of k centred rows, shape (k - 1, pixels)."""
    basis: FloatArray = np.linalg.svd(rows, full_matrices=False)[2][: len(rows) - 1]
    return basis


def _perturbation_means(study: FeatureStudy, u: FloatArray) -> FloatArray:
    """Return v_j, shape (k, pixels)."""
    data, network = study.first, study.references["standard"]
    rows = []
    for label in range(data.n_classes):
        others = data.select(np.flatnonzero(data.y != label)[:_DIRECTION_IMAGES])
        target = np.full(others.n_samples, label)
        delta = targeted_perturbation(network, others, target, study.threat, _DIRECTION_STEPS)
        rows.append(_flat(perturbation_images(others, delta)).mean(axis=0))
    v = np.array(rows) - np.mean(rows, axis=0)
    basis = _span(u)
    rest: FloatArray = v - (v @ basis.T) @ basis
    return rest


def _mean_cosine(first: FloatArray, second: FloatArray) -> float:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.mean(np.sum(first * second, axis=1) / np.where(norms > 0.0, norms, 1.0)))


def accuracies(run: Run, epochs: Sequence[int], n_test: int | None = None) -> Numbers:
    """Return clean and robust accuracy along both trainings, and input gradients at the end.

    ``{training}_clean`` and ``_robust`` have one entry per epoch; ``_cosine`` is the mean cosine of the
    gradients with the centred mean image of the class; ``_pictures`` shows one gradient per class.
    """
    study = FeatureStudy(run.scenario, run.seed, n_test)
    found: Numbers = {}
    with one_thread():
        means = _class_means(run.data)
        rows = first_of_classes(study.test)
        for training in TRAININGS:
            networks = study.run(training, epochs)
            found[f"{training}_clean"] = np.array([clean_accuracy(net, study.test) for net in networks])
            found[f"{training}_robust"] = np.array([study.robust_accuracy(net) for net in networks])
            gradients = margin_gradients(networks[-1], study.test)
            found[f"{training}_cosine"] = _mean_cosine(_flat(gradients), means[study.test.y])
            found[f"{training}_pictures"] = _reached(study.test, gradients[rows])
    return found
