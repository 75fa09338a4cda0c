"""The JAX peer: gradients by automatic differentiation, the whole training one compiled scan, on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
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
from jax.scipy.special import ndtr

Arrays = dict[str, np.ndarray]
Array = Any

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")


def versions() -> dict[str, str]:
    """Return the versions of what computes here."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


def convert(problem: Problem) -> Problem:
    """Return the data as this program holds them: copies, of which the drawn arrays are freed."""
    return dataclasses.replace(problem, X=jnp.array(problem.X))


def prepare(problem: Problem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    """Compile the training for this number of steps; return it as a function without arguments."""
    if isinstance(problem, PatchProblem):
        program, arrays = _patches(problem, case)
        steps = np.arange(n_steps)
    else:
        program, arrays = _symmetric(problem, case)
        steps = problem.batches(n_steps)
    arguments = [jnp.asarray(array) for array in (problem.weights, steps, *arrays)]

    @jax.jit
    def trajectory(weights: Array, steps: Array, *data: Array) -> tuple[Array, dict[str, Array]]:
        return jax.lax.scan(lambda W, rows: program(W, rows, *data), weights, steps)

    compiled = trajectory.lower(*arguments).compile()

    def run() -> Arrays:
        weights, records = jax.block_until_ready(compiled(*arguments))
        return {name: np.asarray(values) for name, values in {**records, "weights": weights}.items()}

    return run


def _ascend(delta: Array, gradient: Array, case: Case) -> Array:
    if case.norm == "linf":
        return jnp.clip(delta + case.inner_step * jnp.sign(gradient), -case.radius, case.radius)
    axes = tuple(range(1, delta.ndim))
    norm = jnp.sqrt(jnp.sum(gradient * gradient, axis=axes, keepdims=True))
    delta = delta + gradient * (case.inner_step / jnp.where(norm > 0, norm, 1.0))
    length = jnp.sqrt(jnp.sum(delta * delta, axis=axes, keepdims=True))
    return delta * (case.radius / jnp.maximum(length, case.radius))


def _attacked(X: Array, loss: Any, case: Case) -> tuple[Array, Array]:
    """Return the attacked inputs, and the clean scores from the attack's first forward pass."""
    climb = jax.grad(loss, has_aux=True)
    gradient, clean = climb(X)
    delta = _ascend(jnp.zeros_like(X), gradient, case)
    if case.n_inner > 1:
        delta = jax.lax.fori_loop(
            1, case.n_inner, lambda _, moved: _ascend(moved, climb(X + moved)[0], case), delta
        )
    return X + delta, clean


def _patches(problem: PatchProblem, case: Case) -> tuple[Any, tuple[np.ndarray, ...]]:
    size = problem.size

    def forward(inputs: Array, weights: Array) -> Array:
        z = inputs @ weights.T
        t = jnp.clip(z / SMOOTHING, 0.0, 1.0)
        values = (SMOOTHING / 3.0) * t * t * t + jnp.maximum(z - SMOOTHING, 0.0)
        return values.reshape(-1, size.n_patches, size.n_classes, size.width).sum((1, 3))

    def losses(scores: Array, y: Array) -> Array:
        own = jnp.take_along_axis(scores, y[:, None], axis=1)[:, 0]
        return jax.scipy.special.logsumexp(scores, axis=1) - own

    def record(scores: Array, y: Array) -> list[Array]:
        return [losses(scores, y).mean(), jnp.mean(scores.argmax(1) == y, dtype=scores.dtype)]

    def step(weights: Array, _: Array, X: Array, y: Array, features: Array) -> tuple[Array, Any]:
        def inner(Z: Array) -> tuple[Array, Array]:
            scores = forward(Z, weights)
            return losses(scores, y).sum(), scores

        def outer(W: Array) -> tuple[Array, Array]:
            scores = forward(inputs, W)
            return losses(scores, y).mean(), scores

        inputs, clean = _attacked(X, inner, case) if case.n_inner else (X, None)
        gradient, scores = jax.grad(outer, has_aux=True)(weights)
        stats = jnp.stack(record(scores if clean is None else clean, y) + record(scores, y))
        return weights - STEP_SIZE * gradient, {"coef": weights @ features.T, "stats": stats}

    return step, (problem.X, problem.y, problem.features)


def _smoothed(v: Array) -> Array:
    return GAUSSIAN * (v * ndtr(v) + jnp.exp(-0.5 * v * v) / np.sqrt(2.0 * np.pi))


def _symmetric(problem: SymmetricProblem, case: Case) -> tuple[Any, tuple[np.ndarray, ...]]:
    def forward(inputs: Array, weights: Array) -> Array:
        u = inputs @ weights.T
        return (_smoothed((u - BIAS) / GAUSSIAN) - _smoothed((-u - BIAS) / GAUSSIAN)).sum(1)

    def losses(f: Array, y: Array) -> Array:
        return jnp.logaddexp(0.0, -y * f)

    def record(f: Array, y: Array) -> list[Array]:
        return [losses(f, y).mean(), jnp.mean(y * f > 0, dtype=f.dtype)]

    def step(weights: Array, rows: Array, all_X: Array, all_y: Array) -> tuple[Array, Any]:
        X, y = (all_X[rows], all_y[rows]) if rows.shape[0] else (all_X, all_y)

        def inner(Z: Array) -> tuple[Array, Array]:
            f = forward(Z, weights)
            return losses(f, y).sum(), f

        def outer(W: Array) -> tuple[Array, Array]:
            f = forward(inputs, W)
            return losses(f, y).mean(), f

        inputs, clean = _attacked(X, inner, case) if case.n_inner else (X, None)
        gradient, scores = jax.grad(outer, has_aux=True)(weights)
        stats = jnp.stack(record(scores if clean is None else clean, y) + record(scores, y))
        lengths = jnp.sqrt(jnp.sum(weights * weights, axis=1, keepdims=True))
        weights = weights - SYMMETRIC_STEP * (gradient + DECAY * (1.0 + lengths) * weights)
        return weights, {"stats": stats}

    return step, (problem.X, problem.signs)
