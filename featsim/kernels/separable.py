r"""Ascent on single patches of a smoothed-ReLU network, from many starts.

For one label and target, with the K neurons of both (signs :math:`\sigma_a` = +1 target, -1 label)
and a patch of preactivations z (K,), climb in coordinates x (r,) of the allowed space, filters F (K, r):

.. math:: g(x) = \sum_a \sigma_a\, s(z_a + \langle F_a, x \rangle), \qquad
    \nabla g = \sum_a \sigma_a\, s'(z_a + \langle F_a, x \rangle)\, F_a, \qquad \|x\| \le \epsilon.

Kernels call each other, so they share this file with their own activation.
"""

from __future__ import annotations

import math

import numpy as np

from featsim.kernels._copies import copy_row
from featsim.kernels._jit import inner, jit


@inner
def _value(z, q, rho, code):
    """s(z); `code` is q where a product replaces the power, else 0."""
    t = z / rho
    t = 0.0 if t < 0.0 else t
    t = 1.0 if t > 1.0 else t
    tail = z - rho
    tail = 0.0 if tail < 0.0 else tail
    if code == 3:
        return (rho / 3.0) * (t * t * t) + tail
    if code == 2:
        return (0.5 * rho) * (t * t) + tail
    if code == 4:
        return (0.25 * rho) * (t * t) * (t * t) + tail
    if code == 1:
        return rho * t + tail
    return (rho / q) * t**q + tail


@inner
def _slope(z, q, rho, code):
    """s'(z), zero at and below 0 for every q."""
    t = z / rho
    t = 0.0 if t < 0.0 else t
    t = 1.0 if t > 1.0 else t
    if code == 3:
        return t * t
    if code == 2:
        return t
    if code == 4:
        return t * t * t
    if code == 1:
        return 1.0 if t > 0.0 else t
    return t ** (q - 1.0)


@inner
def _objective(z, shift, signs, q, rho, code):
    """Return g at preactivations z + shift; -inf where it is not finite."""
    total = 0.0
    if code == 3:  # a literal lets LLVM vectorise
        for a in range(z.shape[0]):
            total += signs[a] * _value(z[a] + shift[a], 3.0, rho, 3)
    else:
        for a in range(z.shape[0]):
            total += signs[a] * _value(z[a] + shift[a], q, rho, code)
    return total if math.isfinite(total) else -math.inf


@inner
def _shift(x, columns, out):
    """Write F x to `out`; `columns` (r, K) is the transpose of F."""
    out[:] = 0.0
    for j in range(x.shape[0]):
        for a in range(out.shape[0]):
            out[a] += x[j] * columns[j, a]


@inner
def _move(x, z, shift, filters, signs, length, radius, linf, q, rho, code, gradient):
    """One step of that length along the steepest direction, projected on the ball, in place."""
    gradient[:] = 0.0
    if code == 3:  # `shift` is overwritten with the slopes
        for a in range(z.shape[0]):
            shift[a] = signs[a] * _slope(z[a] + shift[a], 3.0, rho, 3)
    else:
        for a in range(z.shape[0]):
            shift[a] = signs[a] * _slope(z[a] + shift[a], q, rho, code)
    for a in range(z.shape[0]):
        if shift[a] != 0.0:  # most neurons sleep
            for j in range(x.shape[0]):
                gradient[j] += shift[a] * filters[a, j]
    largest = 0.0
    for j in range(x.shape[0]):
        largest = max(largest, abs(gradient[j]))
    if not (largest > 0.0 and math.isfinite(largest)):
        return
    if linf:
        for j in range(x.shape[0]):
            moved = x[j] + length * np.sign(gradient[j])
            x[j] = min(max(moved, -radius), radius)
        return
    square = 0.0
    for j in range(x.shape[0]):
        gradient[j] *= 1.0 / largest  # so that squares of tiny gradients do not vanish
        square += gradient[j] * gradient[j]
    scale, size = length / math.sqrt(square), 0.0
    for j in range(x.shape[0]):
        x[j] += scale * gradient[j]
        size += x[j] * x[j]
    if size > radius * radius:
        scale = radius / math.sqrt(size)
        for j in range(x.shape[0]):
            x[j] *= scale


@inner
def _rank(z, shifts, signs, q, rho, code, values, chosen):
    """Fill `chosen` with the zero start (the last) and the best others, best first; return the count."""
    last = shifts.shape[0] - 1
    chosen[0] = last
    values[last] = _objective(z, shifts[last], signs, q, rho, code)
    count = 1
    for s in range(last):
        values[s] = _objective(z, shifts[s], signs, q, rho, code)
        if count == chosen.shape[0] and (count == 1 or values[s] <= values[chosen[count - 1]]):
            continue
        place = min(count, chosen.shape[0] - 1)
        while place > 1 and values[chosen[place - 1]] < values[s]:
            chosen[place] = chosen[place - 1]
            place -= 1
        chosen[place] = s
        count = min(count + 1, chosen.shape[0])
    return count


@inner
def _halve(order, count, values):
    """Put the better half of the climbers first in `order`; return how many they are."""
    keep = (count + 1) // 2
    for i in range(keep):
        best = i
        for j in range(i + 1, count):
            if values[order[j]] > values[order[best]]:
                best = j
        order[i], order[best] = order[best], order[i]
    return keep


@jit
def climb_patches(
    z, filters, signs, starts, radius, linf, n_climbs, n_steps, length0, decay, q, rho, code,
    point, gain, start, step,
):  # fmt: skip
    """Search every patch.

    z (n, K), filters (K, r), signs (K,), starts (S, r), the last of which is 0; `length0` is the first step.
    Writes point (n, r), gain (n,) over zero, start (n,) and step (n,).
    """
    n, K = z.shape
    S, r = starts.shape
    climbers = min(n_climbs, S)
    columns = np.ascontiguousarray(filters.T)
    shifts = np.empty((S, K))
    for s in range(S):
        _shift(starts[s], columns, shifts[s])
    values, chosen = np.empty(S), np.empty(climbers, dtype=np.int64)
    x, best_x = np.empty((climbers, r)), np.empty((climbers, r))
    best, best_step = np.empty(climbers), np.empty(climbers, dtype=np.int64)
    order, shift, gradient = np.empty(climbers, dtype=np.int64), np.empty(K), np.empty(r)
    quarter, half = (n_steps + 3) // 4, (n_steps + 1) // 2
    for p in range(n):
        count = _rank(z[p], shifts, signs, q, rho, code, values, chosen)
        running = count
        for c in range(count):
            order[c], best[c], best_step[c] = c, values[chosen[c]], 0
            copy_row(starts[chosen[c]], x[c])
            copy_row(x[c], best_x[c])
        length = length0
        for t in range(n_steps):
            for i in range(running):
                c = order[i]
                _shift(x[c], columns, shift)
                value = _objective(z[p], shift, signs, q, rho, code)
                if value > best[c]:
                    best[c], best_step[c] = value, t
                    copy_row(x[c], best_x[c])
                _move(x[c], z[p], shift, filters, signs, length, radius, linf, q, rho, code, gradient)
            if t + 1 == quarter or t + 1 == half:
                running = _halve(order, running, best)
            length *= decay
        winner = 0
        for i in range(running):
            c = order[i]
            _shift(x[c], columns, shift)
            value = _objective(z[p], shift, signs, q, rho, code)
            if value > best[c]:
                best[c], best_step[c] = value, n_steps
                copy_row(x[c], best_x[c])
        for c in range(1, count):
            if best[c] > best[winner]:
                winner = c
        copy_row(best_x[winner], point[p])
        gain[p] = best[winner] - values[S - 1]
        start[p], step[p] = chosen[winner], best_step[winner]
