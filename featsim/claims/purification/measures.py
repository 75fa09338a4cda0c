"""What the purification claims measure on one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from featsim.attacks import DirectionAttack, exact_linear, fgm, pgd, run_attack
from featsim.certificates import certify_pure, certify_symmetric
from featsim.claims.cases import Run
from featsim.data import SparseCodingData
from featsim.decomposition import (
    keep_pure,
    lottery_sets,
    purification,
    remove_mixture,
    split_neurons,
)
from featsim.models import LinearModel, Model, SymmetricNetwork, oracle_polynomial
from featsim.scenarios.purification import strong_attack
from featsim.theory import label_leak, linear_rule_radius, measured_label_leak
from featsim.threats import Threat
from featsim.training import Recording

ENDS = Recording(at=(), weights_at=(0,))
"""Weights at the start and at the end are all that these measures need."""
_RADIUS_SAMPLES = 120
_BISECTIONS = 12


def test_samples(run: Run, n: int = 200) -> SparseCodingData:
    """Return the first `n` test samples; data that no step has seen, where every step draws its own."""
    data: SparseCodingData = run.data
    samples = data if data.fresh is None else data.fresh
    chosen = samples.select(slice(n))
    assert isinstance(chosen, SparseCodingData)  # select keeps the type
    return chosen


def threat_of(run: Run) -> Threat:
    """Return the threat of the scenario's adversarial training."""
    attack: Any = run.scenario.trainings["adversarial"].attack
    threat: Threat = attack.threat
    return threat


def accuracy(run: Run, model: Model, data: SparseCodingData, threat: Threat) -> float:
    """Return the accuracy under the strong attack; the exact one of a linear model."""
    if isinstance(model, LinearModel):
        return exact_linear(model, data, threat).robust_accuracy
    return run_attack(_breaking(threat), model, data, run.rng()).robust_accuracy


def _breaking(threat: Threat) -> Any:
    """Strong attack that leaves a sample once it is broken: the same accuracy, sooner."""
    attack: Any = strong_attack(threat)
    return attack.replace(stop_when_broken=True)


def attacked(run: Run) -> dict[str, float]:
    """Return the accuracies of the final model: clean, and under FGM, PGD, dense and random direction."""
    return accuracies_of(run, run.network)


def accuracies_of(run: Run, model: Model) -> dict[str, float]:
    """Return the same of any model on the run's test samples."""
    data, threat = test_samples(run), threat_of(run)
    random = DirectionAttack(threat=threat, direction="random")
    found = {
        "fgm": run_attack(fgm(threat), model, data),
        "pgd": run_attack(_breaking(threat), model, data, run.rng()),
        "dense": run_attack(DirectionAttack(threat=threat), model, data),
        "random": run_attack(random, model, data, run.rng(1)),
    }
    accuracies = {name: result.robust_accuracy for name, result in found.items()}
    return {"clean": found["fgm"].clean_accuracy, **accuracies}


def baseline(run: Run) -> dict[str, float]:
    """Return clean and robust accuracy of a baseline."""
    data = test_samples(run)
    clean = np.mean(np.where(data.y == 1, 1, -1) * run.network.scores(data.X)[:, 0] > 0)
    return {"clean": float(clean), "pgd": accuracy(run, run.network, data, threat_of(run))}


def other_threats(run: Run) -> dict[str, float]:
    """Return robust accuracy at half the radius, and in linf balls of radius tau/sqrt d and twice that."""
    data, threat = test_samples(run), threat_of(run)
    inside = threat.radius / np.sqrt(data.dim)
    return {
        "half": accuracy(run, run.network, data, Threat(radius=threat.radius / 2)),
        "linf": accuracy(run, run.network, data, Threat(radius=inside, norm="linf")),
        "linf_double": accuracy(run, run.network, data, Threat(radius=2 * inside, norm="linf")),
    }


def mixture(run: Run) -> dict[str, float]:
    """Return the network statistics of the final weights, and the largest norm of a neuron."""
    data: SparseCodingData = run.data
    parts = split_neurons(run.trace.final_weights, data.dictionary, data.label_weights)
    statistics = {name: float(value) for name, value in parts.statistics().items()}
    return {**statistics, "largest_norm": float(np.sqrt(parts.energy.max()))}


def surgery(run: Run) -> dict[str, float]:
    """Return the accuracies after removing the dense part, and of the pure part alone."""
    data, threat, network = test_samples(run), threat_of(run), run.network
    basis = (data.dictionary, data.label_weights)
    removed = network.with_weights(remove_mixture(network.neurons, *basis))
    pure = network.with_weights(keep_pure(network.neurons, *basis))
    dense = DirectionAttack(threat=threat)
    return {
        "before_dense": run_attack(dense, network, data).robust_accuracy,
        "before_pgd": accuracy(run, network, data, threat),
        "removed_dense": run_attack(dense, removed, data).robust_accuracy,
        "removed_pgd": accuracy(run, removed, data, threat),
        "pure_clean": run_attack(dense, pure, data).clean_accuracy,
        "pure_pgd": accuracy(run, pure, data, threat),
    }


def certified(run: Run) -> dict[str, float]:
    """Return certified accuracies on 100 samples, and how the bounds stand to the attack's margins.

    ``violations`` counts samples whose bound exceeds the best attacked margin; there must be none.
    """
    data, threat, network = test_samples(run, 100), threat_of(run), run.network
    attack: Any = strong_attack(threat)
    found = certify_symmetric(network, data, threat)
    broken = run_attack(attack, network, data, run.rng())
    pure = network.with_weights(keep_pure(network.neurons, data.dictionary, data.label_weights))
    separable = certify_pure(pure, data.dictionary, data, threat)
    pure_broken = run_attack(attack, pure, data, run.rng())
    half = certify_symmetric(network, data, threat.replace(radius=threat.radius / 2))
    return {
        "certified": found.certified_accuracy,
        "half": half.certified_accuracy,
        "pure_gap": pure_broken.robust_accuracy - separable.certified_accuracy,
        "pure_certified": separable.certified_accuracy,
        "violations": float(
            np.sum(found.lower_margin > broken.margin) + np.sum(separable.lower_margin > pure_broken.margin)
        ),
    }


def ideal(run: Run, bias: float) -> dict[str, float]:
    """Return what the net w_j = sign(w*_j) M_j reaches: the best of a pure net, nothing is trained.

    PGD on 250 samples; certificates, and ``gap``, PGD less the separable one, on the first 100.
    """
    data, threat = test_samples(run, 250), threat_of(run)
    few: Any = data.select(slice(100))
    rows = (data.dictionary * np.sign(data.label_weights)).T
    network = SymmetricNetwork(rows[None], bias=bias, smoothing=run.scenario.model.smoothing)  # type: ignore[attr-defined]
    separable = certify_pure(network, data.dictionary, few, threat).certified_accuracy
    return {
        "pgd": accuracy(run, network, data, threat),
        "certified": certify_symmetric(network, few, threat).certified_accuracy,
        "gap": accuracy(run, network, few, threat) - separable,
    }


def initial_weights(run: Run) -> Any:
    """Return the weights before all training: drawn anew, as the first phase drew them."""
    data, rng = run.scenario.problem(run.seed)
    model: Any = run.scenario.model
    return model.initial_weights(data.dim, rng)


def cosines(run: Run) -> dict[str, float]:
    """Return cosines of w0, w and w' of an adversarial phase that started from clean weights."""
    return purification(initial_weights(run), run.trace.weights_at(0), run.trace.final_weights).statistics()


def lottery(run: Run) -> dict[str, float]:
    """Return how often the largest signed initial coordinates win, and what the lottery sets say."""
    data, model = run.data, run.scenario.model
    sets = lottery_sets(
        initial_weights(run),
        data.dictionary,
        data.label_weights,
        init_std=model.init_std,  # type: ignore[attr-defined]
    )
    parts = split_neurons(run.trace.final_weights, data.dictionary, data.label_weights)
    signed = initial_weights(run)[0] @ data.dictionary * np.sign(data.label_weights)
    above = signed > np.take_along_axis(signed, parts.winner[:, None], axis=1)
    sure = sets.sure.any(axis=1)
    outside, pure = ~sets.potential.any(axis=1), parts.pure_weight**2
    shares = [float(pure[some].sum() / parts.energy[some].sum()) for some in (outside, ~outside)]
    return {
        "kept": float(np.mean(parts.winner == sets.favourite)),
        "five": float(np.mean(above.sum(axis=1) < 5)),
        "outside": shares[0] / shares[1],
        "sure_neurons": float(sure.sum()),
        "sure_kept": float(np.sum(parts.winner[sure] == sets.sure[sure].argmax(axis=1))),
        "potential": float(sets.potential.sum(axis=0).mean() / sets.expected_potential),
        "sure": float(sets.sure.sum(axis=0).mean()),
    }


def oracle(run: Run, ratios: tuple[float, ...]) -> float:
    """Return the best robust accuracy of the oracle cubic over its ratios; nothing is trained."""
    data, threat = test_samples(run), threat_of(run)
    return max(
        accuracy(run, oracle_polynomial(data.dictionary, data.label_weights, ratio), data, threat)
        for ratio in ratios
    )


def half_radius(run: Run) -> dict[str, float]:
    """Return the radii at which half of the test samples fall: of the network and of the linear rule."""
    data = test_samples(run, _RADIUS_SAMPLES)
    return {"network": attacked_half_radius(run, data), "linear": linear_rule_radius(test_samples(run, 1000))}


def attacked_half_radius(run: Run, data: SparseCodingData) -> float:
    """Bisect on the accuracy under PGD with 12 steps from the FGM and the dense point."""
    network: SymmetricNetwork = run.network
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        attack = pgd(
            Threat(radius=middle), n_steps=12, starts=("steepest", "features"), stop_when_broken=True
        )
        if run_attack(attack, network, data).robust_accuracy > 0.5:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def leak_ratio(run: Run) -> float:
    """Return the mean measured leak of the label over the closed form."""
    data: SparseCodingData = run.data
    spec: Any = data.spec
    return float(measured_label_leak(data).mean()) / label_leak(spec.atoms, spec.sparsity)


def mean_leak(run: Run) -> float:
    """Return the mean measured leak of the label over features."""
    return float(measured_label_leak(run.data).mean())
