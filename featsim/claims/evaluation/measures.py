"""What the claims on evaluation measure on one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from featsim.attacks import AdaptiveAttack, pgd, run_attack
from featsim.certificates import branch_and_bound, certify_model
from featsim.claims.cases import Run
from featsim.evaluation import robustness
from featsim.models import PowerNetwork, margins
from featsim.threats import Threat

_NODES = 4000
_EDGE = 200


def chain(run: Run, radius: float, n_samples: int) -> dict[str, Any]:
    """Return how often the order of the four margins fails, and the ends of the interval.

    Parameters
    ----------
    run : Run
        Training run of a network of one hidden layer.
    radius : float
        Whole-input l2.
    n_samples : int
        Training samples used.

    Returns
    -------
    dict
        ``wrong``, ``broken``, ``tried``: counts; ``lines``, ``branch``, ``attacked``: accuracies.
    """
    data = run.data.select(slice(n_samples))
    threat = Threat(radius=radius, scope="input")
    model = run.network
    bound = certify_model(model, data, threat)
    assert bound is not None  # the claims' networks have one
    exact = branch_and_bound(model, data, threat, seconds=60.0, max_nodes=_NODES)
    found = robustness(model, data, threat, run.rng(), branch_seconds=0.0)
    lower, tight = bound.lower_margin, exact.lower_margin
    attacked, clean = found.attacked_margin, found.clean_margin
    slack = 1e-9 * np.abs(clean)
    wrong = (lower > exact.upper_margin + slack) | (tight > attacked) | (attacked > clean)
    sure = bound.certified | exact.certified
    return {
        "wrong": int(np.sum(wrong)),
        "lines": bound.certified_accuracy,
        "branch": exact.certified_accuracy,
        "attacked": float(np.mean((attacked > 0) & (exact.upper_margin > 0))),
        "n": len(clean),
        "broken": _broken(run, data, threat, sure),
        "tried": 2 * _EDGE * int(sure.sum()),
    }


def _broken(run: Run, data: Any, threat: Threat, sure: np.ndarray[Any, Any]) -> int:
    """Count certified samples that random perturbations of full size break, around nothing and the worst."""
    if not sure.any():
        return 0
    chosen = data.select(np.flatnonzero(sure))
    budget, rng = threat.bind(chosen), run.rng(1)
    worst = run_attack(pgd(threat, 20, objective="targeted"), run.network, chosen).perturbation
    broken = np.zeros(len(chosen.y), dtype=bool)
    for _ in range(_EDGE):
        draw = rng.standard_normal(chosen.X.shape)
        near = budget.project(worst + 0.1 * budget.radius * draw)
        for move in (budget.radius * budget.steepest(draw), near):
            broken |= ~(margins(run.network.scores(chosen.X + move), chosen.y) > 0)
    return int(broken.sum())


def strength(run: Run, radius: float, n_samples: int) -> dict[str, float]:
    """Return robust accuracy under attacks of growing strength.

    Parameters
    ----------
    run : Run
        Training run.
    radius : float
        Whole-input l2.
    n_samples : int
        Training samples used.

    Returns
    -------
    dict
        ``plain``: PGD on the loss from a random point; ``starts``: adaptive from filters; ``suite``.
    """
    data, threat = run.data.select(slice(n_samples)), Threat(radius=radius, scope="input")
    blind = pgd(threat, 40, objective="loss", n_random=1, starts=("random",))
    plain = run_attack(blind, run.network, data, run.rng())
    starts = AdaptiveAttack(threat=threat, n_steps=40, starts=("clean", "filters"))
    suite = robustness(run.network, data, threat, run.rng(), certify=False)
    return {
        "plain": plain.robust_accuracy,
        "starts": run_attack(starts, run.network, data).robust_accuracy,
        "suite": suite.interval[1],
    }


def scale_trap(run: Run, radius: float, factor: float, n_samples: int) -> dict[str, float]:
    """Return what multiplying a homogeneous network's weights does to attacks on loss and margin.

    Parameters
    ----------
    run : Run
        Training run of a power network.
    radius : float
        Whole-input l2.
    factor : float
        Of the weights.
    n_samples : int
        Training samples used.

    Returns
    -------
    dict
        ``changed``: decisions of margin attacks; ``true``, ``loss``: accuracies; ``dead``: share of samples.
    """
    data, threat = run.data.select(slice(n_samples)), Threat(radius=radius, scope="input")
    network = run.network
    scaled = PowerNetwork(
        factor * network.weights, power=network.power, activation=network.activation, signs=network.signs
    )
    loss, margin = pgd(threat, 40, objective="loss"), pgd(threat, 40)
    before, after = (run_attack(margin, model, data).robust for model in (network, scaled))
    blind = run_attack(loss, scaled, data)
    suite = [robustness(m, data, threat, run.rng(), certify=False).standing for m in (network, scaled)]
    return {
        "changed": float(np.sum(before != after) + np.sum(suite[0] != suite[1])),
        "true": float(np.mean(suite[0])),
        "loss": blind.robust_accuracy,
        "dead": float(np.mean(blind.dead_gradient)),
    }
