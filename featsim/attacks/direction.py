"""Moves along a direction that does not look at the model: the dense mixture, or a random one."""

from __future__ import annotations

from typing import Any

import numpy as np

from featsim.attacks.direction_spec import DirectionAttack
from featsim.attacks.result import AttackResult
from featsim.models import Model, check_score_labels, margins, model_scores, signs
from featsim.threats import Samples
from featsim.validation import FloatArray, check_generator


def direction_attack(
    attack: DirectionAttack, model: Model, samples: Samples, rng: np.random.Generator | None
) -> AttackResult:
    """Run an attack along a fixed direction; see :class:`DirectionAttack`."""
    X, y = samples.X, samples.y
    budget = samples.bind(attack.threat)
    scores = model_scores(model, X, samples.counts)
    check_score_labels(y, scores.shape[1])
    if attack.direction == "dense":
        towards = dense_direction(samples)
    else:
        if rng is None:
            raise ValueError("rng must be given for a random direction; pass rng=np.random.default_rng(0)")
        towards = check_generator("rng", rng).standard_normal(X.shape)
    delta = budget.project(budget.radius * budget.steepest(towards))
    n = len(y)
    return AttackResult(
        attack=attack,
        clean_margin=margins(scores, y),
        margin=margins(model_scores(model, X + delta, samples.counts), y),
        perturbation=delta,
        objective=np.full(n, "direction"),
        start=np.full(n, attack.direction),
        step=np.ones(n, dtype=np.int64),
        target=np.full(n, -1, dtype=np.int64),
        dead_gradient=np.zeros(n, dtype=bool),
    )


def dense_direction(samples: Samples) -> FloatArray:
    """Return the dense direction of every sample, -y M w*.

    Parameters
    ----------
    samples : Samples
        Of sparse-coding data.

    Returns
    -------
    ndarray, shape of X
        Unit vectors.

    Raises
    ------
    ValueError
        If the samples are of another kind.
    """
    data: Any = samples.data
    direction = getattr(data, "dense_direction", None)
    if direction is None:
        raise ValueError("the dense direction must come with sparse-coding data; use sparse_coding_data")
    moved: FloatArray = -signs(samples.y)[:, None, None] * direction
    return moved
