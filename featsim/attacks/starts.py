"""Starting points of gradient attacks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from featsim.attacks.adaptive_spec import AdaptiveAttack
from featsim.attacks.direction import dense_direction
from featsim.attacks.specs import GradientAttack
from featsim.attacks.spread import spread_starts
from featsim.models import (
    LinearModel,
    Model,
    model_input_gradient,
    model_scores,
    signs,
    target_cotangent,
)
from featsim.threats import Budget, Samples
from featsim.validation import FloatArray, IntArray, check_generator

Start = tuple[str, IntArray, FloatArray]


def rival_targets(y: IntArray, n_scores: int) -> list[IntArray]:
    """Return one array of targets per round, so that every rival of every sample has its turn."""
    if n_scores == 1:
        return [np.full(len(y), -1, dtype=np.int64)]
    return [(y + offset) % n_scores for offset in range(1, n_scores)]


def start_points(
    attack: GradientAttack | AdaptiveAttack,
    model: Model,
    samples: Samples,
    budget: Budget,
    targets: list[IntArray],
    rng: np.random.Generator | None,
) -> Iterator[Start]:
    """Yield each start of an attack.

    Parameters
    ----------
    attack : GradientAttack or AdaptiveAttack
        Its starts are made in the order of its field.
    model : Model
        Source of filters.
    samples : Samples
        Source of features.
    budget : Budget
        Budget on the samples.
    targets : list of ndarray, shape (n,)
        Rivals that directed starts aim at, one start each.
    rng : Generator or None
        Source of random starts.

    Yields
    ------
    name : str
        Name of the start.
    target : ndarray, shape (n,)
        Rival it aims at, -1 for none.
    delta : ndarray, shape of X
        Perturbation inside the budget.

    Raises
    ------
    ValueError
        If a start needs what model, data or call do not offer.
    """
    shape, nobody = samples.X.shape, np.full(len(samples.y), -1, dtype=np.int64)
    for kind in attack.starts:
        if kind == "clean":
            yield "clean", nobody, np.zeros(shape)
        elif kind == "steepest":
            for target in targets:
                gradient = _margin_gradient(model, samples, target)
                yield "steepest", target, budget.project(budget.radius * budget.steepest(gradient))
        elif kind == "random":
            generator = _generator(rng)
            for draw in range(attack.n_random):
                yield f"random {draw}", nobody, budget.random(shape, generator)
        elif kind == "spread":
            for target in targets:
                for name, delta in spread_starts(model, samples, budget, target):
                    yield name, target, delta
        else:
            for target in targets:
                for name, direction in _directed(kind, model, samples, target):
                    yield name, target, budget.radius * budget.steepest(direction)


def _margin_gradient(model: Model, samples: Samples, target: IntArray) -> FloatArray:
    """Gradient of the rival's score minus the label's at the clean points, zero where it is not finite."""
    n_scores = model_scores(model, samples.X[:1]).shape[1]
    cotangent = target_cotangent(samples.y, target, n_scores)
    gradient = model_input_gradient(model, samples.X, cotangent)
    usable = np.isfinite(gradient).all(axis=tuple(range(1, gradient.ndim)), keepdims=True)
    return np.where(usable, gradient, 0.0)


def _generator(rng: np.random.Generator | None) -> np.random.Generator:
    if rng is None:
        raise ValueError("rng must be given for random starts; pass rng=np.random.default_rng(0)")
    return check_generator("rng", rng)


def _filter_directions(model: Model, samples: Samples, target: IntArray) -> Iterator[tuple[str, FloatArray]]:
    """Mean filter of the rival minus that of the label, one patch at a time and everywhere."""
    weights = np.asarray(getattr(model, "weights", None))
    if isinstance(model, LinearModel):
        yield "filters all", _swap(model.weights, samples.y, target)
        return
    if weights.ndim != 3 or samples.X.ndim != 3 or weights.shape[2] != samples.X.shape[2]:
        raise ValueError(
            "starts 'filters' must come with a model whose `weights` have shape (k, m, d), "
            f"got {type(model).__name__}; leave 'filters' out or give the model that attribute"
        )
    direction = _swap(weights.mean(axis=1), samples.y, target)
    everywhere = np.repeat(direction[:, None, :], samples.X.shape[1], axis=1)
    yield "filters all", everywhere
    for p in range(samples.X.shape[1]):
        alone = np.zeros(samples.X.shape)
        alone[:, p] = direction
        yield f"filters patch {p}", alone


def _directed(
    kind: str, model: Model, samples: Samples, target: IntArray
) -> Iterator[tuple[str, FloatArray]]:
    if kind == "filters":
        return _filter_directions(model, samples, target)
    return feature_directions(samples, target)


def has_features(samples: Samples) -> bool:
    """Return whether :func:`feature_directions` has something to say about these samples."""
    data = samples.data
    known = getattr(data, "robust_features", None) is not None
    known &= getattr(data, "nonrobust_features", None) is not None
    return known or getattr(data, "dense_direction", None) is not None


def feature_directions(samples: Samples, target: IntArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield the theory's directions, on all patches: swap v or u, write v or u, swap each where it lives.

    Parameters
    ----------
    samples : Samples
        With known features.
    target : ndarray, shape (n,)
        Rival of each sample, -1 for a single score.

    Yields
    ------
    name : str
        Name of the direction.
    direction : ndarray, shape of X
        Not scaled.

    Raises
    ------
    ValueError
        If the features are not known.
    """
    data = samples.data
    if getattr(data, "dense_direction", None) is not None:
        yield "features dense", dense_direction(samples)
        return
    if data is None or data.robust_features is None or data.nonrobust_features is None:
        raise ValueError(
            "starts 'features' must come with data that has robust_features and nonrobust_features; "
            "leave 'features' out or give the features"
        )
    label, rival = samples.y, target
    if np.all(target < 0):  # a single score: the rival is the other of two classes
        label = (samples.y == 1).astype(np.int64)
        rival = 1 - label
    u, v = data.robust_features, data.nonrobust_features
    swap_u, swap_v = u[rival] - u[label], v[rival] - v[label]
    shape = samples.X.shape
    for name, direction in (("v", swap_v), ("u", swap_u), ("write v", v[rival]), ("write u", u[rival])):
        yield f"features {name}", np.broadcast_to(direction[:, None, :], shape)
    own = np.where((data.roles == 0)[:, :, None], swap_u[:, None, :], swap_v[:, None, :])
    yield "features own", own


def _swap(table: FloatArray, y: IntArray, target: IntArray) -> FloatArray:
    """Row of the rival minus row of the label; minus the label's sign for a single score."""
    if len(table) == 1:
        return -signs(y).reshape((-1,) + (1,) * (table.ndim - 1)) * table
    return table[target] - table[y]
