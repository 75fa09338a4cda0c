r"""Adam on the network c + sum_r v_r relu(<w_r, x> + b_r), with projected gradient attacks.

Shapes: X (n, d), sign (n,), weights (m, d + 2) of rows (w, b, v), noise (T, n, d) random starts.
"""

from __future__ import annotations

import numpy as np

from featsim.kernels._copies import copy_row
from featsim.kernels._jit import inner, jit


@inner
def _score(weights, bias, x, gates):
    """Return f(x) and fill gates (m,) with the preactivations."""
    m, d = weights.shape[0], x.shape[0]
    total = bias
    for r in range(m):
        z = weights[r, d]
        for k in range(d):
            z += weights[r, k] * x[k]
        gates[r] = z
        if z > 0.0:
            total += weights[r, d + 1] * z
    return total


@inner
def _ascend(weights, bias, x, sign, start, radius, step, n_steps, gates, slope, delta, point):
    """Move `delta` from `start` by unit steps along -sign grad f, kept in the l2 ball; fill `point`."""
    m, d = weights.shape[0], x.shape[0]
    for k in range(d):
        delta[k] = start[k]
        point[k] = x[k] + delta[k]
    for _ in range(n_steps):
        _score(weights, bias, point, gates)
        for k in range(d):
            slope[k] = 0.0
        for r in range(m):
            if gates[r] > 0.0:
                for k in range(d):
                    slope[k] += weights[r, d + 1] * weights[r, k]
        size = 0.0
        for k in range(d):
            size += slope[k] * slope[k]
        if size > 0.0:
            factor = -sign * step / np.sqrt(size)
            for k in range(d):
                delta[k] += factor * slope[k]
        length = 0.0
        for k in range(d):
            length += delta[k] * delta[k]
        length = np.sqrt(length)
        if length > radius:
            for k in range(d):
                delta[k] *= radius / length
        for k in range(d):
            point[k] = x[k] + delta[k]


@jit
def adam_trajectory(
    X, sign, weights, bias, first, second, bias_moments, noise, step, radius, attack_step, n_attack,
    rate, beta1, beta2, floor, update, stats,
):  # fmt: skip
    """Do len(noise) Adam steps on the logistic loss at the attacked points, in place.

    weights (m, d + 2), bias (1,), first and second like weights, bias_moments (2,); stats (T, 4) gets clean
    loss and accuracy, attacked loss and accuracy before every step. Returns the steps done before a score
    that is not finite.
    """
    n, d = X.shape
    m = weights.shape[0]
    gates, slope, delta, point = np.empty(m), np.empty(d), np.empty(d), np.empty(d)
    gradient = np.empty_like(weights)
    for t in range(len(noise)):
        gradient[:] = 0.0
        by_bias = 0.0
        stats[t] = 0.0
        for i in range(n):
            margin = sign[i] * _score(weights, bias[0], X[i], gates)
            stats[t, 0] += max(-margin, 0.0) + np.log1p(np.exp(-abs(margin)))
            stats[t, 1] += 1.0 if margin > 0.0 else 0.0
            if n_attack > 0:
                _ascend(weights, bias[0], X[i], sign[i], noise[t, i], radius, attack_step, n_attack,
                        gates, slope, delta, point)  # fmt: skip
                margin = sign[i] * _score(weights, bias[0], point, gates)
            else:
                copy_row(X[i], point)
            stats[t, 2] += max(-margin, 0.0) + np.log1p(np.exp(-abs(margin)))
            stats[t, 3] += 1.0 if margin > 0.0 else 0.0
            weight = -sign[i] / (1.0 + np.exp(margin)) / n
            by_bias += weight
            for r in range(m):
                if gates[r] > 0.0:
                    scaled = weight * weights[r, d + 1]
                    for k in range(d):
                        gradient[r, k] += scaled * point[k]
                    gradient[r, d] += scaled
                    gradient[r, d + 1] += weight * gates[r]
        stats[t] /= n
        if not np.isfinite(stats[t, 2]):
            return t
        if not update:
            continue
        power = step + t + 1.0
        correct1, correct2 = 1.0 - beta1**power, 1.0 - beta2**power
        for r in range(m):
            for k in range(d + 2):
                g = gradient[r, k]
                first[r, k] = beta1 * first[r, k] + (1.0 - beta1) * g
                second[r, k] = beta2 * second[r, k] + (1.0 - beta2) * g * g
                weights[r, k] -= rate * (first[r, k] / correct1) / (np.sqrt(second[r, k] / correct2) + floor)
        bias_moments[0] = beta1 * bias_moments[0] + (1.0 - beta1) * by_bias
        bias_moments[1] = beta2 * bias_moments[1] + (1.0 - beta2) * by_bias * by_bias
        bias[0] -= rate * (bias_moments[0] / correct1) / (np.sqrt(bias_moments[1] / correct2) + floor)
    return len(noise)
