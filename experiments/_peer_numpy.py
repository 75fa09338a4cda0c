"""The plain NumPy peer: the same gradients and the same trace with whole arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy
from _workload import (
    BIAS,
    DECAY,
    GAUSSIAN,
    SMOOTHING,
    STEP_SIZE,
    SYMMETRIC_STEP,
    Case,
    PatchProblem,
    Problem,
    SymmetricProblem,
)
from scipy.special import ndtr

Arrays = dict[str, np.ndarray]


def versions() -> dict[str, str]:
    """Return the versions of what computes here."""
    return {"numpy": np.__version__, "scipy": scipy.__version__}


def convert(problem: Problem) -> Problem:
    """Return the data as this program holds them: the arrays that were drawn."""
    return problem


def prepare(problem: Problem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    """Return the training as a function without arguments."""
    if isinstance(problem, PatchProblem):
        return lambda: train_patches(problem, case, n_steps)
    return lambda: train_symmetric(problem, case, n_steps)


def ascend(delta: np.ndarray, gradient: np.ndarray, case: Case) -> np.ndarray:
    """Return the perturbation after one projected step; first axis samples."""
    if case.norm == "linf":
        return np.clip(delta + case.inner_step * np.sign(gradient), -case.radius, case.radius)
    shape = delta.shape
    delta, gradient = delta.reshape(len(delta), -1), gradient.reshape(len(delta), -1)
    norm = np.linalg.norm(gradient, axis=1)
    delta = delta + gradient * (case.inner_step / np.where(norm > 0, norm, 1.0))[:, None]
    length = np.linalg.norm(delta, axis=1)
    return (delta * (case.radius / np.maximum(length, case.radius))[:, None]).reshape(shape)


def _activation(z: np.ndarray) -> np.ndarray:
    t = np.clip(z / SMOOTHING, 0.0, 1.0)
    return (SMOOTHING / 3.0) * t * t * t + np.maximum(z - SMOOTHING, 0.0)


def _slope(z: np.ndarray) -> np.ndarray:
    t = np.clip(z / SMOOTHING, 0.0, 1.0)
    return t * t


def _residuals(problem: PatchProblem, z: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return loss and hard margin per sample, and the loss and margin residuals per class."""
    n, size = len(problem.y), problem.size
    rows = np.arange(n)
    scores = _activation(z).reshape(n, size.n_patches, size.n_classes, size.width).sum(axis=(1, 3))
    own = scores[rows, problem.y]
    scores[rows, problem.y] = -np.inf
    largest = scores.max(axis=1)
    weights = np.exp(scores - largest[:, None])
    total = weights.sum(axis=1)
    soft = largest + np.log(total) - own
    margin = weights / total[:, None]
    margin[rows, problem.y] = -1.0
    loss = np.logaddexp(0.0, soft)
    return loss, own - largest, margin * np.exp(soft - loss)[:, None], margin


def train_patches(problem: PatchProblem, case: Case, n_steps: int) -> Arrays:
    """Train on patches, recording coefficients, losses and accuracies at every step."""
    size = problem.size
    n, P, d = problem.X.shape
    weights, X = problem.weights.copy(), problem.X.reshape(-1, d)
    coef = np.empty((n_steps, size.n_filters, len(problem.features)))
    stats = np.empty((n_steps, 4))
    spread = np.repeat(np.arange(size.n_classes), size.width)
    for t in range(n_steps):
        coef[t] = weights @ problem.features.T
        z = (X @ weights.T).reshape(n, P, -1)
        loss, hard, residual, margin = _residuals(problem, z)
        stats[t, :2] = stats[t, 2:] = loss.mean(), np.mean(hard > 0)
        attacked = X
        delta = np.zeros((n, P * d)) if case.n_inner else None
        for _ in range(case.n_inner):
            slope = _slope(z) * margin[:, None, spread]
            delta = ascend(delta, (slope.reshape(n * P, -1) @ weights).reshape(n, -1), case)
            attacked = X + delta.reshape(-1, d)
            z = (attacked @ weights.T).reshape(n, P, -1)
            loss, hard, residual, margin = _residuals(problem, z)
        if case.n_inner:
            stats[t, 2:] = loss.mean(), np.mean(hard > 0)
        weights -= STEP_SIZE / n * (_slope(z) * residual[:, None, spread]).reshape(n * P, -1).T @ attacked
    return {"coef": coef, "stats": stats, "weights": weights}


def _symmetric(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of every row of preactivations, and the slopes."""
    above, below = (u - BIAS) / GAUSSIAN, (-u - BIAS) / GAUSSIAN
    up, down = ndtr(above), ndtr(below)
    ramps = above * up - below * down
    bells = (np.exp(-0.5 * above * above) - np.exp(-0.5 * below * below)) / np.sqrt(2.0 * np.pi)
    return GAUSSIAN * (ramps + bells).sum(axis=1), up + down


def train_symmetric(problem: SymmetricProblem, case: Case, n_steps: int) -> Arrays:
    """Train the symmetric network, recording losses and accuracies at every step."""
    weights, stats = problem.weights.copy(), np.empty((n_steps, 4))
    for t, rows in enumerate(problem.batches(n_steps)):
        X, y = (problem.X[rows], problem.signs[rows]) if len(rows) else (problem.X, problem.signs)
        f, slope = _symmetric(X @ weights.T)
        stats[t, :2] = stats[t, 2:] = np.logaddexp(0.0, -y * f).mean(), np.mean(y * f > 0)
        attacked = X
        for _ in range(case.n_inner):
            attacked = X + ascend(attacked - X, -y[:, None] * (slope @ weights), case)
            f, slope = _symmetric(attacked @ weights.T)
        if case.n_inner:
            stats[t, 2:] = np.logaddexp(0.0, -y * f).mean(), np.mean(y * f > 0)
        residual = -y / (1.0 + np.exp(y * f)) / len(y)
        gradient = slope.T @ (residual[:, None] * attacked)
        lengths = np.linalg.norm(weights, axis=1, keepdims=True)
        weights -= SYMMETRIC_STEP * (gradient + DECAY * (1.0 + lengths) * weights)
    return {"stats": stats, "weights": weights}
