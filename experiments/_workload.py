"""Benchmark workloads: structured patches at four sizes, and the symmetric network at two.

A size is a few numbers, sent to every program's process, which draws the same arrays from it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

POWER, SMOOTHING, STEP_SIZE = 3.0, 0.5, 1.0
# Workload 2: bias and smoothing of the symmetric activation, step size, regulariser.
BIAS, GAUSSIAN, SYMMETRIC_STEP, DECAY = 0.12, 0.05, 1e-3, 1e-3


@dataclasses.dataclass(frozen=True)
class Case:
    """One timed training: clean (no norm), or attacked with `n_inner` steps per update."""

    norm: str | None
    n_inner: int
    overshoot: float = 2.5

    @property
    def name(self) -> str:
        if self.norm is not None and self.overshoot == 1.0 and self.n_inner == 1:
            return "FGM"
        return "clean" if self.norm is None else f"{self.norm} S={self.n_inner}"

    @property
    def radius(self) -> float:
        return 0.03 if self.norm == "linf" else 0.3

    @property
    def inner_step(self) -> float:
        return self.overshoot * self.radius / max(self.n_inner, 1)


@dataclasses.dataclass(frozen=True)
class PatchSize:
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

    @property
    def gemm_shape(self) -> tuple[int, int, int]:
        """Rows N, dimension d and neurons K of the forward product."""
        return self.n_samples * self.n_patches, self.dim, self.n_filters

    def make(self, seed: int = 0) -> PatchProblem:
        """Draw the arrays: noise on every patch, u_y on one of them, 0.3 v_y on the others."""
        rng = np.random.default_rng(seed)
        n, k, d = self.n_samples, self.n_classes, self.dim
        features = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((d, 2 * k)))[0].T)
        y = np.arange(n) % k
        X = rng.standard_normal((n, self.n_patches, d))
        X *= 0.5 / np.sqrt(d)
        roles = np.ones((n, self.n_patches), dtype=np.int8)
        roles[np.arange(n), rng.integers(self.n_patches, size=n)] = 0
        for i in range(n):
            X[i] += np.where(roles[i, :, None] == 0, features[y[i]], 0.3 * features[k + y[i]])
        weights = rng.standard_normal((self.n_filters, d)) * (0.6 / np.sqrt(d))
        return PatchProblem(self, X, y, features, roles, weights)


@dataclasses.dataclass(frozen=True, eq=False)
class PatchProblem:
    """Arrays of one size: X (n, P, d), y (n,), features (2k, d), roles (n, P), weights (K, d)."""

    size: PatchSize
    X: np.ndarray
    y: np.ndarray
    features: np.ndarray
    roles: np.ndarray
    weights: np.ndarray


@dataclasses.dataclass(frozen=True)
class SymmetricSize:
    """Dimension d, neurons m, samples n, and samples per step (all of them if None)."""

    name: str
    dim: int
    width: int
    n_samples: int
    batch: int | None = None

    @property
    def gemm_shape(self) -> tuple[int, int, int]:
        """Rows N, dimension d and neurons K of the forward product."""
        return self.batch or self.n_samples, self.dim, self.width

    def make(self, seed: int = 0) -> SymmetricProblem:
        """Draw sparse codes in the unit basis plus Gaussian noise, labelled by the sign of their sum."""
        rng = np.random.default_rng(seed)
        n, d, m = self.n_samples, self.dim, self.width
        active = min(0.5, 5.0 / d)
        codes = rng.choice([-1.0, 0.0, 1.0], size=(n, d), p=[active / 2, 1 - active, active / 2]) / np.sqrt(
            5.0
        )
        rule = rng.uniform(0.5, 1.5, d)
        signs = np.where(codes @ rule >= 0.0, 1.0, -1.0)
        X = codes + rng.standard_normal((n, d)) * (0.5 / np.sqrt(d))
        weights = rng.standard_normal((m, d)) * (0.3 / np.sqrt(d))
        return SymmetricProblem(self, X, signs, rule, weights)


@dataclasses.dataclass(frozen=True, eq=False)
class SymmetricProblem:
    """Arrays of one size: X (n, d), signs (n,), rule (d,), weights (m, d)."""

    size: SymmetricSize
    X: np.ndarray
    signs: np.ndarray
    rule: np.ndarray
    weights: np.ndarray

    def batches(self, n_steps: int) -> np.ndarray:
        """Rows of every step, shape (n_steps, B); B = 0 stands for all of them."""
        batch = self.size.batch
        if batch is None:
            return np.empty((n_steps, 0), dtype=np.int64)
        rows = np.arange(n_steps * batch, dtype=np.int64) % self.size.n_samples
        return rows.reshape(n_steps, batch)


Size = PatchSize | SymmetricSize
Problem = PatchProblem | SymmetricProblem

SIZES = (
    PatchSize("tiny", 2, 8, 8, 64, 64),
    PatchSize("small", 3, 10, 16, 128, 200),
    PatchSize("medium", 10, 20, 16, 256, 1000),
    PatchSize("large", 10, 50, 32, 512, 4000),
)
CASES = (Case(None, 0), Case("l2", 1), Case("l2", 10), Case("linf", 1), Case("linf", 10))
SYMMETRIC_SIZES = (
    SymmetricSize("d=100 m=500", 100, 500, 5000),
    SymmetricSize("d=500 m=2000", 500, 2000, 2000, batch=500),
)
SYMMETRIC_CASES = (Case(None, 0), Case("l2", 1, overshoot=1.0))
