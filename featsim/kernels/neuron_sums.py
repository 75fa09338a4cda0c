r"""Least values of sums of neurons over a ball: branch and bound, and descent from many starts.

For one sample and one rival (or one patch of them), with P patches, K neurons, R coordinates each:

.. math:: \min_x \; g(x) = g_0 + \langle t, x \rangle
    + \sum_{p,a} A_{pa}\, \phi(z_{pa} + \langle V_{pa}, x_p \rangle),

.. math:: \sum_p \|x_p\|^2 \le \epsilon^2, \quad \ell \le x \le u .

A node is a box. On it every term is bounded below by a line (tangent of a convex piece, chord of a
concave one), and the sum of lines is minimised over box and ball by the multiplier of the ball; any
multiplier gives a lower bound. Boxes are cut where the lines are furthest from the terms.

Kernels call each other, so they share this file with their own activations.
"""

from __future__ import annotations

import math

import numpy as np

from featsim.kernels._copies import copy_row, copy_table
from featsim.kernels._jit import inner, jit

# Kinds of activation: s(z) of the smoothed ReLU, max(z, 0)^q, sgn(z)|z|^q, Gaussian-smoothed ReLU,
# softplus log(1 + e^(rho z)) / rho.
SMOOTHED, POWER, ODD, GAUSSIAN, SOFTPLUS = 0, 1, 2, 3, 4
CERTIFIED, BROKEN, CLOSED, OPEN, INVALID = 0, 1, 2, 3, 4

_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_EPS = 2.220446049250313e-16
_SMALLEST = 1e-290  # what underflows may be lost, and is allowed for


@inner
def _power(base, q):
    if q == 3.0:
        return base * base * base
    if q == 2.0:
        return base * base
    if q == 1.0:
        return base
    return base**q


@inner
def _value(z, kind, q, rho):
    """phi(z)."""
    if kind == SMOOTHED:
        t = min(max(z, 0.0), rho) / rho
        return (rho / q) * _power(t, q) + max(z - rho, 0.0)
    if kind == POWER:
        return _power(max(z, 0.0), q)
    if kind == ODD:
        return _power(z, q) if z >= 0.0 else -_power(-z, q)
    if kind == SOFTPLUS:
        return max(z, 0.0) + math.log1p(math.exp(-rho * abs(z))) / rho
    if rho == 0.0:
        return max(z, 0.0)
    t = z / rho
    if t < -36.0:
        return 0.0
    return rho * (t * 0.5 * math.erfc(-t * _ROOT_HALF) + _DENSITY * math.exp(-0.5 * t * t))


@inner
def _slope(z, kind, q, rho):
    """phi'(z), a subgradient at a kink."""
    if kind == SMOOTHED:
        t = min(max(z, 0.0), rho) / rho
        if q == 1.0:
            return 1.0 if t > 0.0 else 0.0
        return _power(t, q - 1.0)
    if kind == POWER:
        if q == 1.0:
            return 1.0 if z > 0.0 else 0.0
        return q * _power(max(z, 0.0), q - 1.0)
    if kind == ODD:
        return q * _power(abs(z), q - 1.0)
    if kind == SOFTPLUS:
        small = math.exp(-rho * abs(z))
        return (1.0 if z >= 0.0 else small) / (1.0 + small)
    if rho == 0.0:
        return 1.0 if z > 0.0 else 0.0
    return 0.5 * math.erfc(-z / rho * _ROOT_HALF)


@inner
def _chord(low, high, at_low, at_high):
    width = high - low
    return (at_high - at_low) / width if width > 0.0 else 0.0


@inner
def _line(a, at, low, high, at_low, at_high, kind, q, rho, kappa):
    """Slope and intercept of a line below a phi on [low, high]; `at` is where it should be close."""
    point = min(max(at, low), high)
    if kind != ODD:
        if a > 0.0:
            steep = _slope(point, kind, q, rho)
            return a * steep, a * (_value(point, kind, q, rho) - steep * point)
        steep = _chord(low, high, at_low, at_high)
        return a * steep, a * max(at_low - steep * low, at_high - steep * high)
    # a > 0 here: the caller reflects neurons of negative sign.
    if low >= 0.0:
        steep = _slope(point, kind, q, rho)
        return a * steep, a * (_value(point, kind, q, rho) - steep * point)
    touch = -kappa * low  # the line from the left end touches the convex piece here
    if high <= touch:
        steep = _chord(low, high, at_low, at_high)
        # Concave up to 0, and convex beyond, where it stays above the line as it does at `high`.
        if high <= 0.0:
            return a * steep, a * min(at_low - steep * low, at_high - steep * high)
        least = _tangency(steep, q)
        rest = _value(min(least, high), kind, q, rho) - steep * min(least, high)
        return a * steep, a * min(at_low - steep * low, rest)
    touch = max(touch, point)
    steep = _slope(touch, kind, q, rho)
    return a * steep, a * min(at_low - steep * low, _value(touch, kind, q, rho) - steep * touch)


@inner
def _tangency(steep, q):
    """Return the z > 0 where q z^(q-1) equals a slope."""
    return (max(steep, 0.0) / q) ** (1.0 / (q - 1.0))


@inner
def _minimise_linear(c, lo, hi, radius, x):
    """Minimise <c, x> over box and ball: x is feasible, the value returned a lower bound for any rounding."""
    P, R = c.shape
    total = 0.0
    value = 0.0
    size = 0.0
    for p in range(P):
        for i in range(R):
            x[p, i] = lo[p, i] if c[p, i] > 0.0 else hi[p, i]
            if c[p, i] == 0.0:
                x[p, i] = min(max(0.0, lo[p, i]), hi[p, i])
            total += x[p, i] * x[p, i]
            value += c[p, i] * x[p, i]
            size += c[p, i] * c[p, i]
    if not total > radius * radius or size == 0.0:
        return value
    # x(lam) = clip(-c / (2 lam)): its norm falls with the multiplier lam.
    high = math.sqrt(size) / (2.0 * radius)  # the plain ball's multiplier, without the box
    low = 0.0
    for _ in range(60):  # boxes away from 0 may need more
        if _norm_at(c, lo, hi, high) <= radius * radius:
            break
        low = high
        high *= 4.0
    for _ in range(40):
        if high - low <= 1e-9 * high:
            break
        middle = 0.5 * (low + high)
        if _norm_at(c, lo, hi, middle) <= radius * radius:
            high = middle
        else:
            low = middle
    value = -high * radius * radius
    for p in range(P):
        for i in range(R):
            x[p, i] = min(max(-c[p, i] / (2.0 * high), lo[p, i]), hi[p, i])
            value += c[p, i] * x[p, i] + high * x[p, i] * x[p, i]
    return value


@inner
def _norm_at(c, lo, hi, lam):
    total = 0.0
    for p in range(c.shape[0]):
        for i in range(c.shape[1]):
            x = min(max(-c[p, i] / (2.0 * lam), lo[p, i]), hi[p, i])
            total += x * x
    return total


@inner
def _objective(A, z, V, tilt, offset, x, kind, q, rho):
    total = offset
    for p in range(z.shape[0]):
        for i in range(x.shape[1]):
            total += tilt[p, i] * x[p, i]
        for a in range(z.shape[1]):
            if A[p, a] != 0.0:
                shift = z[p, a]
                for i in range(x.shape[1]):
                    shift += V[p, a, i] * x[p, i]
                total += A[p, a] * _value(shift, kind, q, rho)
    return total


@inner
def _ranges(z, V, slack, lo, hi, radius, low, high):
    """Interval of every preactivation over box and ball; False where box and ball do not meet."""
    P, K, R = V.shape
    nearest = 0.0
    for p in range(P):
        for i in range(R):
            x = min(max(0.0, lo[p, i]), hi[p, i])
            nearest += x * x
    ball = math.isfinite(radius)
    if ball and nearest > radius * radius * (1.0 + 1e-9):
        return False
    for p in range(P):
        own = 0.0
        for i in range(R):
            x = min(max(0.0, lo[p, i]), hi[p, i])
            own += x * x
        room = math.sqrt(max(radius * radius - (nearest - own), 0.0)) * (1.0 + 1e-9) if ball else 0.0
        cut = 0.0  # what the cut coordinates take of the ball at least
        if ball:
            for i in range(R):
                if lo[p, i] > -room or hi[p, i] < room:
                    x = min(max(0.0, lo[p, i]), hi[p, i])
                    cut += x * x
        rest = math.sqrt(max(room * room - cut, 0.0)) if ball else 0.0
        for a in range(K):
            up, down, free, full = 0.0, 0.0, 0.0, 0.0
            for i in range(R):
                v = V[p, a, i]
                full += v * v
                if not ball or lo[p, i] > -room or hi[p, i] < room:
                    left, right = lo[p, i], hi[p, i]
                    if ball:
                        left, right = max(left, -room), min(right, room)
                    up += v * right if v > 0.0 else v * left
                    down += v * left if v > 0.0 else v * right
                else:
                    free += v * v
            if ball:
                free = math.sqrt(free) * rest
                full = math.sqrt(full) * room
                up = min(up + free, full)
                down = max(down - free, -full)
            wide = slack[p, a] + 1e-12 * max(abs(up), abs(down))
            low[p, a] = z[p, a] + down - wide
            high[p, a] = z[p, a] + up + wide
    return True


@inner
def _choose(gap, V, lo, hi, x, radius):
    """Return patch, coordinate and place of the cut that touches most of the gap; patch -1 for none."""
    P, K, R = V.shape
    best, patch, coordinate = 0.0, -1, 0
    share = np.empty(K)  # of a neuron's gap, per unit of what its preactivation can move
    for p in range(P):
        for a in range(K):
            share[a] = 0.0
            if gap[p, a] > 0.0:
                total = 0.0
                for j in range(R):
                    total += abs(V[p, a, j]) * (min(hi[p, j], radius) - max(lo[p, j], -radius))
                if total > 0.0:
                    share[a] = gap[p, a] / total
        for i in range(R):
            width = min(hi[p, i], radius) - max(lo[p, i], -radius)
            score = 0.0
            if width > 0.0:
                for a in range(K):
                    score += share[a] * abs(V[p, a, i]) * width
            if score > best:
                best, patch, coordinate = score, p, i
    place = 0.0
    if patch >= 0:
        left, right = max(lo[patch, coordinate], -radius), min(hi[patch, coordinate], radius)
        place = min(max(x[patch, coordinate], left + 0.25 * (right - left)), right - 0.25 * (right - left))
        if not (left < place < right):
            patch = -1
    return patch, coordinate, place


@inner
def _bound_node(
    A,
    z,
    V,
    tilt,
    offset,
    slack,
    lo,
    hi,
    radius,
    start,
    n_rounds,
    kind,
    q,
    rho,
    kappa,
    work,
    c,
    x,
    s,
    best_x,
    gap,
):
    """Lower bound of g on a node; `best_x` is where its lines are least, and g there the second value."""
    P, K, R = V.shape
    low, high, at_low, at_high = work[0], work[1], work[2], work[3]
    if not _ranges(z, V, slack, lo, hi, radius, low, high):
        return math.inf, math.inf
    interval = offset + _minimise_linear(tilt, lo, hi, radius, s)
    for p in range(P):
        for a in range(K):
            at_low[p, a] = _value(low[p, a], kind, q, rho)
            at_high[p, a] = _value(high[p, a], kind, q, rho)
            interval += A[p, a] * (at_low[p, a] if A[p, a] > 0.0 else at_high[p, a])
    for p in range(P):
        for i in range(R):
            x[p, i] = min(max(start[p, i], lo[p, i]), hi[p, i])
    bound, seen = -math.inf, math.inf
    for k in range(n_rounds):
        constant = offset
        for p in range(P):
            for i in range(R):
                c[p, i] = tilt[p, i]
            for a in range(K):
                if A[p, a] == 0.0:
                    continue
                at = z[p, a]
                for i in range(R):
                    at += V[p, a, i] * x[p, i]
                steep, intercept = _line(
                    A[p, a], at, low[p, a], high[p, a], at_low[p, a], at_high[p, a], kind, q, rho, kappa
                )
                constant += intercept + steep * z[p, a]
                work[4, p, a], work[5, p, a] = steep, intercept
                for i in range(R):
                    c[p, i] += steep * V[p, a, i]
        found = constant + _minimise_linear(c, lo, hi, radius, s)
        if math.isnan(found):
            return found, seen
        value = offset
        better = found > bound
        if better:
            bound = found
            copy_table(s, best_x)
        for p in range(P):
            for i in range(R):
                value += tilt[p, i] * s[p, i]
            for a in range(K):
                if A[p, a] != 0.0:
                    at = z[p, a]
                    for i in range(R):
                        at += V[p, a, i] * s[p, i]
                    term = A[p, a] * _value(at, kind, q, rho)
                    value += term
                    if better:
                        gap[p, a] = term - work[4, p, a] * at - work[5, p, a]
                elif better:
                    gap[p, a] = 0.0
        if better:
            seen = value
        if value - bound <= 1e-12 * abs(value):
            break
        share = 2.0 / (k + 2.0)
        for p in range(P):
            for i in range(R):
                x[p, i] += share * (s[p, i] - x[p, i])
    return max(bound, interval), seen


@inner
def _box(node, parent, cut, place, side, root_lo, root_hi, lo, hi):
    """Write the box of a node, from its cuts up to the root."""
    copy_table(root_lo, lo)
    copy_table(root_hi, hi)
    R = lo.shape[1]
    while node > 0:
        p, i = cut[parent[node]] // R, cut[parent[node]] % R
        if side[node] == 0:
            hi[p, i] = min(hi[p, i], place[parent[node]])
        else:
            lo[p, i] = max(lo[p, i], place[parent[node]])
        node = parent[node]


@inner
def _push(heap, size, node, bound):
    heap[size] = node
    at = size
    while at > 0:
        up = (at - 1) // 2
        if bound[heap[up]] <= bound[heap[at]]:
            break
        heap[up], heap[at] = heap[at], heap[up]
        at = up


@inner
def _pop(heap, size, bound):
    """Take the node of least bound; `size` counts it."""
    top = heap[0]
    heap[0] = heap[size - 1]
    at, n = 0, size - 1
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and bound[heap[child + 1]] < bound[heap[child]]:
            child += 1
        if bound[heap[at]] <= bound[heap[child]]:
            break
        heap[at], heap[child] = heap[child], heap[at]
        at = child
    return top


@inner
def _allowance(A, z, V, tilt, offset, slack, lo, hi, radius, dim, kind, q, rho, work):
    """Bound on the rounding of any bound: terms times eps times the largest terms; nan if they overflow."""
    P, K, R = V.shape
    low, high = work[0], work[1]
    _ranges(z, V, slack, lo, hi, radius, low, high)
    total = abs(offset)
    for p in range(P):
        for i in range(R):
            total += abs(tilt[p, i]) * max(abs(lo[p, i]), abs(hi[p, i]))
        for a in range(K):
            far = max(abs(low[p, a]), abs(high[p, a]))
            steep = max(abs(_slope(low[p, a], kind, q, rho)), abs(_slope(high[p, a], kind, q, rho)))
            value = max(abs(_value(low[p, a], kind, q, rho)), abs(_value(high[p, a], kind, q, rho)))
            total += abs(A[p, a]) * (
                value + 2.0 * steep * far + steep * slack[p, a] / _EPS + _SMALLEST / _EPS
            )
    allowance = 16.0 * _EPS * (P * K + P * R + dim + 64) * total
    return allowance if math.isfinite(allowance) else math.nan


@jit
def branch_and_bound(
    A,
    z,
    V,
    tilt,
    offset,
    slack,
    root_lo,
    root_hi,
    radius,
    dim,
    kind,
    q,
    rho,
    kappa,
    enough,
    tolerance,
    n_rounds,
    max_nodes,
    best_x,
):
    r"""Bound :math:`\min g` from below, cutting boxes until it is known well enough.

    Shapes: A, z, slack (P, K); V (P, K, R); tilt, boxes and `best_x` (P, R). `slack` bounds the
    rounding of z. Stops when the bound exceeds `enough` (CERTIFIED), a value at or below 0 was found and
    `enough` is finite and not negative (BROKEN), bound and value are within `tolerance` (CLOSED), or
    `max_nodes` are spent (OPEN).
    Returns bound, least value found (at `best_x`), nodes, status.
    """
    P, K, R = V.shape
    work = np.empty((6, P, K))
    c, x, s, lean, start = (
        np.zeros((P, R)),
        np.zeros((P, R)),
        np.zeros((P, R)),
        np.zeros((P, R)),
        np.zeros((P, R)),
    )
    lo, hi, gap = np.empty((P, R)), np.empty((P, R)), np.zeros((P, K))
    size = 2 * max_nodes + 3
    parent, cut, place = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size)
    side, bound, heap = np.zeros(size, np.int64), np.zeros(size), np.zeros(size, np.int64)
    best_x[:] = 0.0
    allowance = _allowance(A, z, V, tilt, offset, slack, root_lo, root_hi, radius, dim, kind, q, rho, work)
    upper = _objective(A, z, V, tilt, offset, best_x, kind, q, rho)
    if math.isnan(allowance) or not math.isfinite(upper):
        return math.nan, math.nan, 0, INVALID
    n, in_heap, closed = 1, 0, math.inf
    parent[0] = -1
    for step in range(max_nodes + 1):
        if step == 0:
            first, last = 0, 1
        else:
            node = _pop(heap, in_heap, bound)
            in_heap -= 1
            parent[n], parent[n + 1] = node, node
            side[n], side[n + 1] = 0, 1
            first, last = n, n + 2
            n += 2
        for child in range(first, last):
            _box(child, parent, cut, place, side, root_lo, root_hi, lo, hi)
            found, value = _bound_node(
                A,
                z,
                V,
                tilt,
                offset,
                slack,
                lo,
                hi,
                radius,
                start,
                n_rounds,
                kind,
                q,
                rho,
                kappa,
                work,
                c,
                x,
                s,
                lean,
                gap,
            )
            found -= allowance
            if math.isnan(found):
                return math.nan, upper, n, INVALID
            if child > 0:
                found = max(found, bound[parent[child]])
            bound[child] = found
            if value < upper:
                upper = value
                copy_table(lean, best_x)
            if found >= upper - tolerance:
                closed = min(closed, found)
                continue
            patch, coordinate, at = _choose(gap, V, lo, hi, lean, radius)
            if patch < 0:
                closed = min(closed, found)
                continue
            cut[child], place[child] = patch * R + coordinate, at
            _push(heap, in_heap, child, bound)
            in_heap += 1
        lower = closed
        if in_heap > 0:
            lower = min(lower, bound[heap[0]])
        if lower > enough:
            return lower, upper, n, CERTIFIED
        if upper <= 0.0 and enough >= 0.0 and math.isfinite(enough):
            return lower, upper, n, BROKEN
        if in_heap == 0 or bound[heap[0]] > closed:
            return lower, upper, n, CLOSED
    return lower, upper, n, OPEN


@inner
def _slopes(shift, A, out, kind, q, rho):
    """Return sum_a A phi(shift), and write A phi'(shift) to `out`; literals let LLVM vectorise."""
    total = 0.0
    K = shift.shape[0]
    if kind == SMOOTHED and q == 3.0:
        for a in range(K):
            t = min(max(shift[a], 0.0), rho) / rho
            total += A[a] * ((rho / 3.0) * t * t * t + max(shift[a] - rho, 0.0))
            out[a] = A[a] * t * t
    elif kind == SMOOTHED and q == 2.0:
        for a in range(K):
            t = min(max(shift[a], 0.0), rho) / rho
            total += A[a] * ((0.5 * rho) * t * t + max(shift[a] - rho, 0.0))
            out[a] = A[a] * t
    elif kind == ODD and q == 3.0:
        for a in range(K):
            square = shift[a] * shift[a]
            total += A[a] * square * shift[a]
            out[a] = 3.0 * A[a] * square
    elif kind == POWER and q == 3.0:
        for a in range(K):
            t = max(shift[a], 0.0)
            total += A[a] * t * t * t
            out[a] = 3.0 * A[a] * t * t
    else:
        for a in range(K):
            total += A[a] * _value(shift[a], kind, q, rho)
            out[a] = A[a] * _slope(shift[a], kind, q, rho)
    return total


@inner
def _gradient(A, z, columns, tilt, offset, x, kind, q, rho, shift, steep, out):
    """Return g(x) and write its gradient; `columns` (P, R, K) are the filters transposed."""
    P, R, K = columns.shape
    total = offset
    for p in range(P):
        copy_row(z[p], shift)
        for i in range(R):
            for a in range(K):
                shift[a] += x[p, i] * columns[p, i, a]
        total += _slopes(shift, A[p], steep, kind, q, rho)
        for i in range(R):
            along = 0.0
            for a in range(K):
                along += steep[a] * columns[p, i, a]
            out[p, i] = along + tilt[p, i]
            total += tilt[p, i] * x[p, i]
    return total if math.isfinite(total) else math.inf


@inner
def _move(x, before, gradient, eta, momentum, radius, linf, out):
    """Write Proj(x - eta * steepest + momentum * (x - before)); False where the gradient is 0."""
    P, R = x.shape
    largest = 0.0
    for p in range(P):
        for i in range(R):
            largest = max(largest, abs(gradient[p, i]))
    if not (largest > 0.0 and math.isfinite(largest)):
        return False
    size = 0.0
    for p in range(P):
        for i in range(R):
            size += (gradient[p, i] / largest) ** 2
    scale = eta / (largest * math.sqrt(size))
    total = 0.0
    for p in range(P):
        for i in range(R):
            if linf:
                sign = 1.0 if gradient[p, i] > 0.0 else (-1.0 if gradient[p, i] < 0.0 else 0.0)
                y = x[p, i] - eta * sign + momentum * (x[p, i] - before[p, i])
                out[p, i] = min(max(y, -radius), radius)
            else:
                out[p, i] = x[p, i] - scale * gradient[p, i] + momentum * (x[p, i] - before[p, i])
                total += out[p, i] * out[p, i]
    if not linf and total > radius * radius:
        factor = radius / math.sqrt(total)
        for p in range(P):
            for i in range(R):
                out[p, i] *= factor
    return True


@jit
def climb(
    A, z, V, tilt, offset, starts, radius, linf, kind, q, rho,
    n_steps, n_climbs, momentum, goal, best_x, tally,
):  # fmt: skip
    r"""Descend on g from many starts with adaptive steps; the best go on.

    Shapes as in :func:`branch_and_bound`; starts (S, P, R). A step that lowers g is kept and makes the next
    one a quarter longer, one that does not is halved. After a tenth of the steps the `n_climbs` best starts
    go on, after half of them the better half. Ends at once when g <= `goal`. Returns the least value;
    writes where to `best_x`, and its start and step to `tally`.
    """
    S, P, R = starts.shape
    K = z.shape[1]
    columns = np.empty((P, R, K))
    for p in range(P):
        for i in range(R):
            for a in range(K):
                columns[p, i, a] = V[p, a, i]
    shift, steep = np.empty(K), np.empty(K)
    x, before, value, eta = starts.copy(), starts.copy(), np.empty(S), np.full(S, 0.5 * radius)
    gradient, ahead, new = np.empty((P, R)), np.empty((P, R)), np.empty((P, R))
    live, done = np.ones(S, np.bool_), np.zeros(S, np.int64)
    best = math.inf
    stages = (max(n_steps // 10, 1), max(n_steps // 2, 1), n_steps)
    for stage in range(3):
        keep = S if stage == 0 else (n_climbs if stage == 1 else max((n_climbs + 1) // 2, 1))
        if stage > 0:
            order = np.argsort(value)
            for rank in range(keep, S):
                live[order[rank]] = False
        for s in range(S):
            if not live[s]:
                continue
            value[s] = _gradient(A, z, columns, tilt, offset, x[s], kind, q, rho, shift, steep, gradient)
            if value[s] < best:
                best = value[s]
                copy_table(x[s], best_x)
                tally[0], tally[1] = s, done[s]
            while done[s] < stages[stage] and eta[s] > 1e-6 * radius and best > goal:
                done[s] += 1
                if not _move(x[s], before[s], gradient, eta[s], momentum, radius, linf, new):
                    break
                found = _gradient(A, z, columns, tilt, offset, new, kind, q, rho, shift, steep, ahead)
                copy_table(x[s], before[s])
                if found < value[s]:
                    copy_table(new, x[s])
                    value[s] = found
                    copy_table(ahead, gradient)
                    eta[s] = min(1.25 * eta[s], 2.0 * radius)
                else:
                    eta[s] *= 0.5
                if value[s] < best:
                    best = value[s]
                    copy_table(x[s], best_x)
                    tally[0], tally[1] = s, done[s]
            if best <= goal:
                return best
    return best
