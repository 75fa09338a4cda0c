"""The PyTorch peer: eager mode, gradients by autograd, on the CPU."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
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
from torch.nn.functional import cross_entropy, softplus

Arrays = dict[str, np.ndarray]
Tensor = Any

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.set_default_dtype(torch.float64)


def versions() -> dict[str, str]:
    """Return the versions of what computes here."""
    return {"torch": torch.__version__}


def convert(problem: Problem) -> Problem:
    """Return the data as this program holds them: tensors share the arrays that were drawn."""
    return problem


def prepare(problem: Problem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    """Share the data with PyTorch, and return the training as a function without arguments."""
    if isinstance(problem, PatchProblem):
        return _patches(problem, case, n_steps)
    return _symmetric(problem, case, n_steps)


def _ascend(delta: Tensor, gradient: Tensor, case: Case) -> Tensor:
    if case.norm == "linf":
        return (delta + case.inner_step * gradient.sign()).clamp(-case.radius, case.radius)
    norm = gradient.flatten(1).norm(dim=1)
    shape = (-1,) + (1,) * (delta.dim() - 1)
    delta = delta + gradient * (case.inner_step / torch.where(norm > 0, norm, 1.0)).view(shape)
    length = delta.flatten(1).norm(dim=1)
    return delta * (case.radius / length.clamp(min=case.radius)).view(shape)


def _attacked(X: Tensor, forward: Any, losses: Any, case: Case) -> tuple[Tensor, Tensor]:
    """Return the attacked inputs, and the clean scores from the attack's first forward pass."""
    delta = torch.zeros_like(X)
    clean = None
    for _ in range(case.n_inner):
        delta.requires_grad_(True)
        scores = forward(X + delta)
        clean = scores.detach() if clean is None else clean
        (gradient,) = torch.autograd.grad(losses(scores), delta)
        with torch.no_grad():
            delta = _ascend(delta.detach(), gradient, case)
    return X + delta, clean


def _patches(problem: PatchProblem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    size = problem.size
    X, y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)
    features = torch.from_numpy(problem.features)

    def forward(inputs: Tensor, weights: Tensor) -> Tensor:
        z = inputs @ weights.T
        t = (z / SMOOTHING).clamp(0.0, 1.0)
        values = (SMOOTHING / 3.0) * t * t * t + (z - SMOOTHING).relu()
        return values.view(len(y), size.n_patches, size.n_classes, size.width).sum((1, 3))

    def record(scores: Tensor, row: Tensor) -> None:
        row[0] = cross_entropy(scores, y)
        row[1] = (scores.argmax(1) == y).double().mean()

    def run() -> Arrays:
        weights = torch.from_numpy(problem.weights).clone()
        coef = torch.empty((n_steps, size.n_filters, len(features)))
        stats = torch.empty((n_steps, 4))
        for t in range(n_steps):
            torch.mm(weights, features.T, out=coef[t])
            inputs, clean = X, None
            if case.n_inner:
                inputs, clean = _attacked(
                    X,
                    lambda Z, W=weights: forward(Z, W),
                    lambda scores: cross_entropy(scores, y, reduction="sum"),
                    case,
                )
            weights.requires_grad_(True)
            scores = forward(inputs, weights)
            loss = cross_entropy(scores, y)
            (gradient,) = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                record(scores if clean is None else clean, stats[t, :2])
                record(scores, stats[t, 2:])
                weights = weights.detach() - STEP_SIZE * gradient
        return {"coef": coef.numpy(), "stats": stats.numpy(), "weights": weights.numpy()}

    return run


def _smoothed(v: Tensor) -> Tensor:
    bell = torch.exp(-0.5 * v * v) / math.sqrt(2.0 * math.pi)
    return GAUSSIAN * (v * torch.special.ndtr(v) + bell)


def _symmetric(problem: SymmetricProblem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    all_X, all_y = torch.from_numpy(problem.X), torch.from_numpy(problem.signs)
    batches = torch.from_numpy(problem.batches(n_steps))

    def forward(inputs: Tensor, weights: Tensor) -> Tensor:
        u = inputs @ weights.T
        return (_smoothed((u - BIAS) / GAUSSIAN) - _smoothed((-u - BIAS) / GAUSSIAN)).sum(1)

    def run() -> Arrays:
        weights, stats = torch.from_numpy(problem.weights).clone(), torch.empty((n_steps, 4))
        for t, rows in enumerate(batches):
            X, y = (all_X[rows], all_y[rows]) if len(rows) else (all_X, all_y)
            inputs, clean = X, None
            if case.n_inner:
                inputs, clean = _attacked(
                    X,
                    lambda Z, W=weights: forward(Z, W),
                    lambda f, y=y: softplus(-y * f, threshold=40.0).sum(),
                    case,
                )
            weights.requires_grad_(True)
            scores = forward(inputs, weights)
            loss = softplus(-y * scores, threshold=40.0).mean()
            (gradient,) = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for first, f in ((0, scores if clean is None else clean), (2, scores)):
                    stats[t, first] = softplus(-y * f, threshold=40.0).mean()
                    stats[t, first + 1] = (y * f > 0).double().mean()
                weights = weights.detach()
                lengths = weights.norm(dim=1, keepdim=True)
                weights = weights - SYMMETRIC_STEP * (gradient + DECAY * (1.0 + lengths) * weights)
        return {"stats": stats.numpy(), "weights": weights.numpy()}

    return run
