"""Benchmark workload: structured patches at four sizes, and the plain NumPy peer.

The peer does what the kernel does (the same gradients, the same trace) with whole arrays.
"""

from __future__ import annotations

import dataclasses

import numpy as np

POWER, SMOOTHING, STEP_SIZE, OVERSHOOT = 3.0, 0.5, 1.0, 2.5


@dataclasses.dataclass(frozen=True)
class Size:
    """Classes k, filters m per class, patches P, dimension d, samples n."""

    name: str
    n_classes: int
    width: int
    n_patches: int
    dim: int
    n_samples: int

    @property
    def n_filters(self) -> int:
        return self.n_classes * self.width


@dataclasses.dataclass(frozen=True)
class Case:
    """One timed training: clean (no norm), or attacked with `n_inner` steps per update."""

    norm: str | None
    n_inner: int

    @property
    def name(self) -> str:
        return "clean" if self.norm is None else f"{self.norm} S={self.n_inner}"

    @property
    def radius(self) -> float:
        return 0.03 if self.norm == "linf" else 0.3

    @property
    def inner_step(self) -> float:
        return OVERSHOOT * self.radius / max(self.n_inner, 1)


SIZES = (
    Size("tiny", 2, 8, 8, 64, 64),
    Size("small", 3, 10, 16, 128, 200),
    Size("medium", 10, 20, 16, 256, 1000),
    Size("large", 10, 50, 32, 512, 4000),
)
CASES = (Case(None, 0), Case("l2", 1), Case("l2", 10), Case("linf", 1), Case("linf", 10))


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Arrays of one size: X (n, P, d), y (n,), features (2k, d), roles (n, P), weights (K, d)."""

    size: Size
    X: np.ndarray
    y: np.ndarray
    features: np.ndarray
    roles: np.ndarray
    weights: np.ndarray


def make_problem(size: Size, n_samples: int | None = None, seed: int = 0) -> Problem:
    """Draw the workload: noise on every patch, u_y on one of them, 0.3 v_y on the others."""
    rng = np.random.default_rng(seed)
    n, k, d = n_samples or size.n_samples, size.n_classes, size.dim
    features = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((d, 2 * k)))[0].T)
    y = np.arange(n) % k
    X = rng.standard_normal((n, size.n_patches, d)) * (0.5 / np.sqrt(d))
    roles = np.ones((n, size.n_patches), dtype=np.int8)
    roles[np.arange(n), rng.integers(size.n_patches, size=n)] = 0
    X += np.where(roles[:, :, None] == 0, features[y][:, None, :], 0.3 * features[k + y][:, None, :])
    weights = rng.standard_normal((size.n_filters, d)) * (0.6 / np.sqrt(d))
    return Problem(size, X, y, features, roles, weights)


def _activation(z: np.ndarray) -> np.ndarray:
    t = np.clip(z / SMOOTHING, 0.0, 1.0)
    return (SMOOTHING / 3.0) * t * t * t + np.maximum(z - SMOOTHING, 0.0)


def _slope(z: np.ndarray) -> np.ndarray:
    t = np.clip(z / SMOOTHING, 0.0, 1.0)
    return t * t


def _residuals(problem: Problem, z: np.ndarray, n_classes: int) -> tuple[np.ndarray, ...]:
    """Return loss and hard margin per sample, and the loss and margin residuals per class."""
    n, size = len(problem.y), problem.size
    rows = np.arange(n)
    scores = _activation(z).reshape(n, size.n_patches, n_classes, size.width).sum(axis=(1, 3))
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


def numpy_train(problem: Problem, case: Case, n_steps: int) -> dict[str, np.ndarray]:
    """Train with whole arrays, recording coefficients, losses and accuracies at every step."""
    size = problem.size
    n, P, d = problem.X.shape
    weights, X = problem.weights.copy(), problem.X.reshape(-1, d)
    coef = np.empty((n_steps, size.n_filters, len(problem.features)))
    stats = np.empty((n_steps, 4))
    spread = np.repeat(np.arange(size.n_classes), size.width)
    for t in range(n_steps):
        coef[t] = weights @ problem.features.T
        z = (X @ weights.T).reshape(n, P, -1)
        loss, hard, residual, margin = _residuals(problem, z, size.n_classes)
        stats[t, :2] = loss.mean(), np.mean(hard > 0)
        attacked = X
        for _ in range(case.n_inner):
            slope = _slope(z) * margin[:, None, spread]
            gradient = slope.reshape(n * P, -1) @ weights
            delta = attacked - X
            if case.norm == "linf":
                delta = np.clip(delta + case.inner_step * np.sign(gradient), -case.radius, case.radius)
            else:
                norm = np.linalg.norm(gradient.reshape(n, -1), axis=1)
                safe = np.where(norm > 0, norm, 1.0)[:, None]
                delta = delta.reshape(n, -1) + case.inner_step * gradient.reshape(n, -1) / safe
                length = np.linalg.norm(delta, axis=1)[:, None]
                delta = (delta * np.minimum(1.0, case.radius / np.maximum(length, case.radius))).reshape(
                    -1, d
                )
            attacked = X + delta
            z = (attacked @ weights.T).reshape(n, P, -1)
            loss, hard, residual, margin = _residuals(problem, z, size.n_classes)
        stats[t, 2:] = loss.mean(), np.mean(hard > 0)
        weights -= STEP_SIZE / n * (_slope(z) * residual[:, None, spread]).reshape(n * P, -1).T @ attacked
    return {"coef": coef, "stats": stats, "weights": weights}
