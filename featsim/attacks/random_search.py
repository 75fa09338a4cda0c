"""Black-box random search; see :class:`featsim.attacks.RandomSearch`."""

from __future__ import annotations

import numpy as np

from featsim.attacks.adaptive_spec import RandomSearch
from featsim.attacks.ascent import Incumbent
from featsim.attacks.result import AttackResult
from featsim.models import Model, check_score_labels, margins, model_scores
from featsim.threats import Samples
from featsim.validation import FloatArray, IntArray, check_generator


def random_search(
    attack: RandomSearch, model: Model, samples: Samples, rng: np.random.Generator | None
) -> AttackResult:
    """Run random search; see :class:`RandomSearch`."""
    if rng is None:
        raise ValueError("rng must be given for random search; pass rng=np.random.default_rng(0)")
    generator = check_generator("rng", rng)
    X, y = samples.X, samples.y
    budget = samples.bind(attack.threat)
    scores = model_scores(model, X, samples.counts)
    check_score_labels(y, scores.shape[1])
    clean = margins(scores, y)
    best = Incumbent.none(X.shape)
    best.margin[:] = clean
    nobody = np.full(len(y), -1, dtype=np.int64)
    for query in range(attack.n_queries):
        rows = np.arange(len(y))
        if attack.stop_when_broken:
            rows = rows[best.margin > 0]
            if not len(rows):
                break
        size = budget.radius * 2.0 * 0.005 ** (query / attack.n_queries)
        own = budget.select(rows)
        move = own.steepest(_direction(X.shape, rows, query, generator))
        delta = own.project(best.perturbation[rows] + size * move)
        counts = None if samples.counts is None else samples.counts[rows]
        margin = margins(model_scores(model, X[rows] + delta, counts), y[rows])
        best.offer(rows, margin, delta, "search", query + 1, nobody[rows])
    n = len(y)
    return AttackResult(
        attack=attack,
        clean_margin=clean,
        margin=best.margin,
        perturbation=best.perturbation,
        objective=np.full(n, "black box"),
        start=best.start.astype(np.str_),
        step=best.step,
        target=nobody,
        dead_gradient=np.zeros(n, dtype=bool),
    )


def _direction(shape: tuple[int, ...], rows: IntArray, query: int, rng: np.random.Generator) -> FloatArray:
    """Return normal entries, every other time in one patch; drawn for all, whatever rows are left."""
    direction = rng.standard_normal(shape)
    if query % 2 and len(shape) == 3:
        chosen = rng.integers(shape[1], size=shape[0])
        direction *= (np.arange(shape[1]) == chosen[:, None])[:, :, None]
    return direction[rows]
