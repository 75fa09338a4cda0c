"""The convergence theory in slow loops, written from the equations of docs/convergence.rst.

One neuron, one sample, one net point at a time; Python floats and inner products of vectors. Quadratic ReLU,
Huber loss (width 1/2), signs +1 for the first half of the neurons, ties within 1e-10 to the first candidate.
"""

import math

import numpy as np

TIE = 1e-10


def huber(score, target, width=0.5):
    error = abs(score - target)
    return error**2 / (2 * width) if error <= width else error - width / 2


def huber_slope(score, target, width=0.5):
    return max(-1.0, min(1.0, (score - target) / width))


def sign_of(r, m):
    return 1.0 if r < m // 2 else -1.0


def score(weights, x):
    m = len(weights)
    total = 0.0
    for r in range(m):
        z = float(np.dot(weights[r], x))
        total += sign_of(r, m) * max(z, 0.0) ** 2
    return total / math.sqrt(m)


def gradient_row(weights, r, points, slopes):
    m, n = len(weights), len(points)
    row = np.zeros(weights.shape[1])
    for x, slope in zip(points, slopes, strict=True):
        z = float(np.dot(weights[r], x))
        row = row + sign_of(r, m) / (n * math.sqrt(m)) * slope * 2 * max(z, 0.0) * x
    return row


def arc(x, half, size):
    """Points of the net, by ascending angle."""
    s, phi = math.hypot(x[0], x[1]), math.atan2(x[1], x[0])
    turns = [-half + 2 * half * j / (size - 1) for j in range(size)]
    return [np.array([s * math.cos(phi + t), s * math.sin(phi + t), x[2]]) for t in turns]


def worst_point(weights, x, y, half, size):
    points = arc(x, half, size)
    losses = [huber(score(weights, p), y) for p in points]
    top = max(losses)
    return next(p for p, loss in zip(points, losses, strict=True) if loss >= top - TIE)


def step(weights, start, X, signs, half, size, step_size, radius):
    """One update of projected adversarial descent; returns weights and the attacked loss before it."""
    points = [worst_point(weights, x, y, half, size) for x, y in zip(X, signs, strict=True)]
    scores = [score(weights, p) for p in points]
    loss = sum(huber(f, y) for f, y in zip(scores, signs, strict=True)) / len(X)
    slopes = [huber_slope(f, y) for f, y in zip(scores, signs, strict=True)]
    moved = np.array(
        [weights[r] - step_size * gradient_row(weights, r, points, slopes) for r in range(len(weights))]
    )
    distance = math.sqrt(float(np.sum((moved - start) ** 2)))
    if distance > radius:
        moved = start + (moved - start) * radius / distance
    return moved, loss


def deep_score(input_weights, layers, output_weights, x):
    """f = b^T h_H with h_0 = A x and h_k = relu(W_k h_{k-1})."""
    h = np.array([float(np.dot(row, x)) for row in input_weights])
    for weights in layers:
        h = np.array([max(float(np.dot(row, h)), 0.0) for row in weights])
    return float(np.dot(output_weights, h))
