"""Projected gradient ascent from several starts."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from featsim.attacks.adaptive import AdaptiveAscent
from featsim.attacks.adaptive_spec import AdaptiveAttack
from featsim.attacks.ascent import Ascent, Incumbent, order_of
from featsim.attacks.result import AttackResult
from featsim.attacks.specs import GradientAttack
from featsim.attacks.starts import rival_targets, start_points
from featsim.models import Model, check_score_labels, margins, model_scores
from featsim.threats import Samples
from featsim.validation import FloatArray


def gradient_attack(
    attack: GradientAttack | AdaptiveAttack, model: Model, samples: Samples, rng: np.random.Generator | None
) -> AttackResult:
    """Run a gradient attack; see :func:`featsim.attacks.run_attack`.

    A model whose true gradient is blind may offer `surrogates`, models with its own scores and other
    gradients: the attack then runs through each of them, and the worst counts.
    """
    surrogates = getattr(model, "surrogates", ())
    if surrogates:
        return _worst([gradient_attack(attack, surrogate, samples, rng) for surrogate in surrogates])
    X, y = samples.X, samples.y
    budget = samples.bind(attack.threat)
    scores = model_scores(model, X, samples.counts)
    n_scores = scores.shape[1]
    check_score_labels(y, n_scores)
    clean_margin = margins(scores, y)
    best = Incumbent.none(X.shape)
    if attack.keep == "best":
        best.margin[:] = clean_margin
    rivals = rival_targets(y, n_scores)
    dead = np.ones(len(y), dtype=bool)
    climber = AdaptiveAscent if isinstance(attack, AdaptiveAttack) else Ascent
    # A targeted attack runs once per rival; the others run once, with starts towards every rival.
    for aim in rivals if attack.objective == "targeted" else [None]:
        ascent = climber(attack, model, samples, budget, best, aim)
        dead &= ~_moves(budget.restrict(ascent.gradient(np.arange(len(y)), X, scores)))
        for name, towards, delta in start_points(
            attack, model, samples, budget, rivals if aim is None else [aim], rng
        ):
            ascent.climb(name, towards if aim is None else aim, delta)
    return AttackResult(
        attack=attack,
        clean_margin=clean_margin,
        margin=best.margin,
        perturbation=best.perturbation,
        objective=np.full(len(y), attack.objective),
        start=best.start.astype(np.str_),
        step=best.step,
        target=best.target,
        dead_gradient=dead,
    )


def _worst(results: list[AttackResult]) -> AttackResult:
    """Keep, sample by sample, what went furthest; the gradient is dead where it is in all of them."""
    chosen = np.argmin([order_of(result.margin) for result in results], axis=0)
    rows = np.arange(len(chosen))
    fields = ("margin", "perturbation", "objective", "start", "step", "target")
    picked = {name: np.array([getattr(result, name) for result in results])[chosen, rows] for name in fields}
    dead = np.all([result.dead_gradient for result in results], axis=0)
    notes = {**results[0].notes, "n_surrogates": len(results)}
    return dataclasses.replace(results[0], **picked, dead_gradient=dead, notes=notes)


def _moves(gradient: FloatArray) -> npt.NDArray[np.bool_]:
    moves: npt.NDArray[np.bool_] = np.any(gradient != 0.0, axis=tuple(range(1, gradient.ndim)))
    return moves
