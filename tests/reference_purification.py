"""The purification theory in slow loops, written from the equations: one neuron, one sample at a time.

Shapes: weights (m, d), X (n, d), sign (n,) labels +-1. Python floats and inner products of vectors only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def ramp(v: float, s: float) -> float:
    """h(v) = E ReLU(v + rho), rho ~ N(0, s^2)."""
    return max(v, 0.0) if s == 0.0 else v * cdf(v / s) + s * density(v / s)


def psi(u: float, b: float, s: float) -> float:
    return ramp(u - b, s) - ramp(-u - b, s)


def psi_slope(u: float, b: float, s: float) -> float:
    if s == 0.0:
        step = {True: 1.0, False: 0.0}
        return sum(0.5 if v == 0.0 else step[v > 0.0] for v in (u - b, -u - b))
    return cdf((u - b) / s) + cdf((-u - b) / s)


def score(w: Array, x: Array, b: float, s: float) -> float:
    return sum(psi(float(np.dot(row, x)), b, s) for row in w)


def input_gradient(w: Array, x: Array, b: float, s: float) -> Array:
    total = np.zeros(len(x))
    for row in w:
        total += psi_slope(float(np.dot(row, x)), b, s) * row
    return total


def attacked(
    w: Array, x: Array, y: float, b: float, s: float, norm: str, radius: float, n_steps: int, step: float
) -> Array:
    """Unit steps of -y f from the clean point, projected on the ball."""
    delta = np.zeros(len(x))
    for _ in range(n_steps):
        g = input_gradient(w, x + delta, b, s)
        if norm == "linf":
            delta = np.clip(delta - y * step * np.sign(g), -radius, radius)
        else:
            delta = delta - y * step * g / math.sqrt(float(np.dot(g, g)))
            size = math.sqrt(float(np.dot(delta, delta)))
            if size > radius:
                delta = delta * (radius / size)
    return x + delta


def weight_gradient(w: Array, X: Array, sign: Array, b: float, s: float) -> Array:
    """Gradient of the mean logistic loss at the given points."""
    gradient = np.zeros_like(w)
    for x, y in zip(X, sign, strict=True):
        g = -y / (1.0 + math.exp(y * score(w, x, b, s)))
        for i, row in enumerate(w):
            gradient[i] += g * psi_slope(float(np.dot(row, x)), b, s) * x / len(X)
    return gradient


def train(
    w: Array,
    X: Array,
    sign: Array,
    *,
    n_steps: int,
    step_size: float,
    bias: Array,
    smoothing: Array,
    decay: float = 0.0,
    attack: dict[str, Any] | None = None,
    batches: npt.NDArray[np.int64] | None = None,
) -> Array:
    """w <- w - eta (gradient + lambda w (1 + |w|)) at attacked points."""
    w = w.copy()
    for t in range(n_steps):
        index = range(len(X)) if batches is None else batches[t]
        points, signs = [X[i] for i in index], [sign[i] for i in index]
        if attack is not None:
            points = [
                attacked(w, x, y, bias[t], smoothing[t], **attack) for x, y in zip(points, signs, strict=True)
            ]
        gradient = weight_gradient(w, np.array(points), np.array(signs), bias[t], smoothing[t])
        for i in range(len(w)):
            gradient[i] += decay * w[i] * (1.0 + math.sqrt(float(np.dot(w[i], w[i]))))
        w -= step_size * gradient
    return w


def parts(w: Array, dictionary: Array, rule: Array) -> tuple[Array, Array, Array]:
    """Pure, dense and rest part of one neuron."""
    c = [float(np.dot(w, dictionary[:, j])) for j in range(dictionary.shape[1])]
    winner = max(range(len(c)), key=lambda j: (abs(c[j]), -j))
    others = [j for j in range(len(c)) if j != winner]
    beta = sum(rule[j] * c[j] for j in others) / sum(rule[j] ** 2 for j in others)
    pure = c[winner] * dictionary[:, winner]
    dense = sum((beta * rule[j] * dictionary[:, j] for j in others), np.zeros(len(w)))
    return pure, dense, w - pure - dense


def polynomial(v: Array, w: Array, x: Array, power: int) -> float:
    return float(np.dot(v, x)) + sum(float(np.dot(row, x)) ** power for row in w)


def frozen_gates(v: Array, w0: Array, x: Array, b: float, s: float) -> float:
    return sum(
        psi_slope(float(np.dot(gate, x)), b, s) * float(np.dot(row, x))
        for row, gate in zip(v, w0, strict=True)
    )
