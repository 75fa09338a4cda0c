r"""Training of the two-layer patch network, standard and adversarial.

Shapes: `X` (n*P, d) rows of patches, sample-major; `W` (K, d) filters, K = k*m,
class-major; `counts` (n*P,) multiplicity of a patch; `features` (J, d).

.. math::
    F_i(X) = \sum_{r \le m} \sum_p c_p\, s(\langle w_{i,r}, x_p \rangle), \qquad
    \frac{dL}{dw_{i,r}} = \frac1n \sum_s e_{s,i} \sum_p c_p\,
        s'(\langle w_{i,r}, \tilde x_p \rangle)\, \tilde x_p .

Samples are worked off in blocks whose arrays stay in cache, so no array of size
n*P x K exists. Arrays of a block have one row per filter and one column per patch (rows: the number
of patches in the block), so that every loop over entries runs along the patches, however few filters
there are. One inner step of an attack needs the input gradient A^T W (A: residual times slope). The
perturbation is held in one of three coordinates:

* coefficients: delta = C^T W. With M = W W^T, an l2 ascent step is C += t A, its effect on the
  preactivations t M A: no d-vector is touched.
* direct: delta itself, for l_inf and wherever d is small.
* subspace: delta = Y E with the rows of E spanning the allowed directions.

From a random start delta_0, coefficients have a part outside the filters' span: delta = b delta_0 + C^T W
with one number b per patch, which the projections shrink. It costs one product more, W delta_0^T.

What a run does not need is not compiled: an argument that is None prunes its branches. Arrays are copied
in loops: for ``a[:] = b`` Numba compiles the message of an error that cannot occur, which takes seconds.
"""

from __future__ import annotations

import math

import numpy as np

from featsim.kernels._copies import copy_table
from featsim.kernels._elementary import exp_nonpositive, log1p_nonnegative
from featsim.kernels._few_neurons import (
    BYTES,
    ROWS,
    VECTORS,
    ascend_signs,
    multiply_few,
    multiply_few_into_columns,
    multiply_few_left_transposed,
)
from featsim.kernels._few_passes import SPARE, gate_slopes, measure_gradient, move_coefficients, sum_classes
from featsim.kernels._jit import inner, jit
from featsim.kernels._matrix import multiply, multiply_left_transposed, multiply_right_transposed
from featsim.kernels.random_starts import draw_starts

BLOCK_ROWS = 256
# Networks of so few neurons, and of so few weights, have products of their own; their blocks are smaller,
# because patches and what they have moved to are to stay in cache beside the weights [measured].
FEW_NEURONS, FEW_WEIGHTS, FEW_BLOCK_ROWS = 64, 1 << 14, 64
# From here on the rows of the weights are so far apart that they push each other out of cache.
FAR_DIMENSION = 512

# Powers for which the smoothed ReLU and its slope are polynomials.
POLYNOMIAL = (1.0, 2.0, 3.0, 4.0)

# How the perturbation is represented.
CLEAN, COEFFICIENT, DIRECT, SUBSPACE = 0, 1, 2, 3
# Columns of the recorded statistics: means over samples (of the middle three over patches),
# but the last is the number of samples on which the attack met no gradient where it starts.
STATISTICS = (
    "clean_loss",
    "clean_accuracy",
    "attacked_loss",
    "attacked_accuracy",
    "error_probability",
    "robust_only_accuracy",
    "nonrobust_only_accuracy",
    "perturbation_cosine",
    "attacked_nonrobust",
    "attacked_robust",
    "dead_gradients",
)
N_STATISTICS = 11


def activation_shape(power, smoothing, dtype=np.float64):
    """Return the constants of s: 0, 1, rho, 1/rho, coefficients of t..t^4 in s and of 1..t^3 in s'.

    For q in 1, 2, 3, 4 both are polynomials in t = clip(z / rho, 0, 1); otherwise the coefficients are
    zero and the ninth number, rho/q, is not: t^q is a power.
    """
    value, slope = [0.0] * 4, [0.0] * 4
    if power in POLYNOMIAL:
        value[int(power) - 1] = smoothing / power
        slope[int(power) - 1] = 1.0
    factor = 0.0 if any(slope) else smoothing / power
    return np.array([0.0, 1.0, smoothing, 1.0 / smoothing, *value, *slope, factor, power], dtype=dtype)


def few_neurons(n_filters, d, power, dtype=np.float64):
    """Return True for a network that has products and passes of its own, and otherwise None.

    None, and not False, because what the other kind needs is then not compiled.
    """
    few = _padded(n_filters, dtype) <= FEW_NEURONS and _padded(n_filters, dtype) * d <= FEW_WEIGHTS
    return True if few and power in POLYNOMIAL else None


def _padded(n_filters, dtype):
    """Return the number of filters with the zeros behind the last that fill up a tile."""
    tile = VECTORS * BYTES // np.dtype(dtype).itemsize
    return (n_filters + tile - 1) // tile * tile


@inner
def _class_sums(Z, shape, m, S):
    """S[i] = sum of s(Z[a]) over the m filters a of class i."""
    rows = Z.shape[1]
    zero, one, rho, inverse = shape[0], shape[1], shape[2], shape[3]
    a1, a2, a3, a4, factor, power = shape[4], shape[5], shape[6], shape[7], shape[12], shape[13]
    for i in range(S.shape[0]):
        for r in range(rows):
            S[i, r] = zero
        for a in range(i * m, (i + 1) * m):
            if factor == zero:
                for r in range(rows):
                    z = Z[a, r]
                    t = z * inverse
                    t = zero if t < zero else t
                    t = one if t > one else t
                    tail = z - rho
                    tail = zero if tail < zero else tail
                    S[i, r] += t * (a1 + t * (a2 + t * (a3 + t * a4))) + tail
            else:
                for r in range(rows):
                    z = Z[a, r]
                    t = z * inverse
                    t = zero if t < zero else t
                    t = one if t > one else t
                    tail = z - rho
                    tail = zero if tail < zero else tail
                    S[i, r] += factor * t**power + tail


@inner
def _gated_slopes(Z, shape, m, E, A):
    """A[a] = E[class of a] * s'(Z[a]); s' is 0 at and below 0 for every q."""
    rows = Z.shape[1]
    zero, one, inverse = shape[0], shape[1], shape[3]
    b1, b2, b3, b4, factor, power = shape[8], shape[9], shape[10], shape[11], shape[12], shape[13] - shape[1]
    for i in range(E.shape[0]):
        for a in range(i * m, (i + 1) * m):
            if factor == zero:
                for r in range(rows):
                    t = Z[a, r] * inverse
                    t = zero if t < zero else t
                    t = one if t > one else t
                    step = b1 if t > zero else zero
                    A[a, r] = E[i, r] * (t * (b2 + t * (b3 + t * b4)) + step)
            else:
                for r in range(rows):
                    t = Z[a, r] * inverse
                    t = zero if t < zero else t
                    t = one if t > one else t
                    A[a, r] = E[i, r] * t**power


@jit
def activation(z, shape, out):
    """Write s(z) to `out`, both (rows, n)."""
    _class_sums(z, shape, 1, out)


@jit
def activation_slope(z, shape, out):
    """Write s'(z) to `out`, both (rows, n)."""
    _gated_slopes(z, shape, 1, np.ones_like(z), out)


@inner
def _score_samples(S, counts, row0, P, F):
    """F[i, s] = sum over the patches of sample s of count times S[i]."""
    for i in range(F.shape[0]):
        for s in range(F.shape[1]):
            total = 0.0
            for p in range(s * P, (s + 1) * P):
                total += counts[row0 + p] * S[i, p]
            F[i, s] = total


@inner
def _head(F, labels, judge, hard, loss, error, scratch):
    """Replace scores (k, n) by the residual of the soft margin; write margins, and losses if `judge`.

    With o over the classes other than y: soft margin logsumexp_o F_o - F_y, its residual the softmax
    over the others and -1 at y, hard margin h = F_y - max_o F_o. The cross-entropy is
    log(1 + e^soft), its residual error = sigmoid(soft) times this one. An infinite own score would pass
    for a loss of 0, so it gives nan.
    """
    k, n = F.shape
    largest, weight = scratch[0], scratch[1]
    for s in range(n):
        hard[s] = F[labels[s], s]
        F[labels[s], s] = -math.inf
        largest[s] = -math.inf
        weight[s] = 0.0
    for i in range(k):
        for s in range(n):
            largest[s] = F[i, s] if F[i, s] > largest[s] else largest[s]
    for i in range(k):
        for s in range(n):
            e = exp_nonpositive(F[i, s] - largest[s])
            F[i, s] = e
            weight[s] += e
    for s in range(n):
        # A comparison, because reassociation may cancel what only serves to make nan.
        hard[s] = hard[s] - largest[s] if hard[s] < math.inf else math.nan
    for i in range(k):
        for s in range(n):
            F[i, s] /= weight[s]
    for s in range(n):
        F[labels[s], s] = -1.0
    if judge:
        for s in range(n):
            h, w = hard[s], weight[s]
            e = exp_nonpositive(-abs(h))
            right = h >= 0.0
            # e^(soft margin) = w e^-h, written for either sign of h without overflow.
            rest = w * e if right else w
            one = 1.0 if right else e
            error[s] = rest / (rest + one)
            loss[s] = (0.0 if right else -h) + log1p_nonnegative(w * e if right else (w - 1.0) + e)


@inner
def _spread(F, error, in_loss, weighted, counts, row0, P, E):
    """E[i] = residual of each patch's sample, of the loss or the margin, times the count if `weighted`."""
    for i in range(F.shape[0]):
        for s in range(F.shape[1]):
            g = F[i, s] * error[s] if in_loss else F[i, s]
            for p in range(s * P, (s + 1) * P):
                E[i, p] = g * counts[row0 + p] if weighted else g


@inner
def _step_lengths(gg, dg, dd, step, unit, radius):
    """Return (t, scale, norm^2): delta <- scale * (delta + t g), within the l2 ball.

    gg = |g|^2, dg = <delta, g>, dd = |delta|^2; `unit` makes `step` the length of the step.
    A gradient that rounds to nothing moves nothing.
    """
    alive = gg > 0.0
    length = math.sqrt(gg if alive else 1.0)
    # A raw step far outside the ball only needs its direction, and must not overflow.
    most = 1e100 / length
    raw = step if step < most else most
    t = (step / length if unit else raw) if alive else 0.0
    moved = dd + 2.0 * t * (dg if alive else 0.0) + (t * length) * (t * length)
    outside = alive and moved > radius * radius
    scale = radius / math.sqrt(moved if outside else 1.0) if outside else 1.0
    return t, scale, radius * radius if outside else moved


@inner
def _plan_steps(sums, counts, row0, P, whole, step, unit, radius, norms, steps, dead):
    """Step lengths of one l2 ascent of a block.

    sums (2, rows): |g|^2 and <delta, g> of each patch. norms (2, rows): |delta|^2 of each patch, and in
    the first n entries of each sample. steps (3, rows): t, scale and 1 - scale of each patch. dead (n,):
    whether no patch of the sample has a gradient.
    """
    for s in range(dead.shape[0]):
        first, last = s * P, (s + 1) * P
        if whole:
            gg, dg = 0.0, 0.0
            for p in range(first, last):
                gg += counts[row0 + p] * sums[0, p]
                dg += counts[row0 + p] * sums[1, p]
            t, scale, norms[1, s] = _step_lengths(gg, dg, norms[1, s], step, unit, radius)
            dead[s] = 0.0 if gg > 0.0 else 1.0
            for p in range(first, last):
                moved = norms[0, p] + 2.0 * t * sums[1, p] + t * t * sums[0, p]
                norms[0, p] = scale * scale * moved
                steps[0, p], steps[1, p] = t, scale
        else:
            dead[s] = 1.0
            for p in range(first, last):
                t, scale, norms[0, p] = _step_lengths(sums[0, p], sums[1, p], norms[0, p], step, unit, radius)
                steps[0, p], steps[1, p] = t, scale
                dead[s] = 0.0 if sums[0, p] > 0.0 else dead[s]
    for p in range(dead.shape[0] * P):
        steps[2, p] = 1.0 - steps[1, p]


@inner
def _measure_gradient(A, H, C, from_start, least, sums):
    """sums[0] = sum_a A H = |g|^2, 0 up to `least`, and sums[1] = sum_a C H = <delta, g> of each patch.

    Sums of doubles: in float32 the square of a gradient of 1e-22 would be 0, and of 1e-19 have few bits.
    """
    rows = A.shape[1]
    for r in range(rows):
        sums[0, r] = 0.0
        sums[1, r] = 0.0
    for a in range(A.shape[0]):
        if from_start:
            for r in range(rows):
                sums[0, r] += np.float64(A[a, r]) * H[a, r]
        else:
            for r in range(rows):
                sums[0, r] += np.float64(A[a, r]) * H[a, r]
                sums[1, r] += np.float64(C[a, r]) * H[a, r]
    for r in range(rows):
        sums[0, r] = sums[0, r] if sums[0, r] > least else 0.0


@inner
def _measure_start(A, Zd, carried, sums):
    """Add to sums[1] = <delta, g> the part b <delta_0, g>, where <delta_0, g> = sum_a A Zd."""
    for a in range(A.shape[0]):
        for r in range(A.shape[1]):
            sums[1, r] += carried[r] * (np.float64(A[a, r]) * Zd[a, r])


@inner
def _add_carried(x, carried, Y):
    """Y = x + b Y."""
    for p in range(Y.shape[0]):
        b = Y.dtype.type(carried[p])
        for c in range(Y.shape[1]):
            Y[p, c] = x[p, c] + b * Y[p, c]


@inner
def _move_coefficients(A, H, Z, steps, from_start, C, Za):
    """C = scale (C + t A) and its effect Za = scale (Za + t H) + (1 - scale) Z, from 0 `from_start`."""
    rows = A.shape[1]
    for a in range(A.shape[0]):
        if from_start:
            for r in range(rows):
                C[a, r] = steps[1, r] * (steps[0, r] * A[a, r])
            for r in range(rows):
                Za[a, r] = Z[a, r] + steps[1, r] * (steps[0, r] * H[a, r])
        else:
            for r in range(rows):
                C[a, r] = steps[1, r] * (C[a, r] + steps[0, r] * A[a, r])
            for r in range(rows):
                Za[a, r] = steps[1, r] * (Za[a, r] + steps[0, r] * H[a, r]) + steps[2, r] * Z[a, r]


@inner
def _ascend_rows(G, Y, counts, row0, first, last, from_start, whole, linf, step, unit, radius):
    """One ascent step of one sample on explicit coordinates `Y`.

    Return whether g is not zero, which l_inf looks at in the step `from_start` only.
    """
    r = G.shape[1]
    if linf:
        reach, bound = G.dtype.type(step), G.dtype.type(radius)
        zero, nonzero = reach - reach, 0
        for p in range(first, last):
            if from_start:
                for c in range(r):
                    nonzero += 0 if G[p, c] == zero else 1
            if unit:
                for c in range(r):
                    g = G[p, c]
                    new = Y[p, c] + (reach if g > zero else (-reach if g < zero else g))
                    new = bound if new > bound else new
                    Y[p, c] = -bound if new < -bound else new
            else:
                for c in range(r):
                    new = Y[p, c] + reach * G[p, c]
                    new = bound if new > bound else new
                    Y[p, c] = -bound if new < -bound else new
        return nonzero > 0
    alive = False
    gg, dg, dd = 0.0, 0.0, 0.0
    for p in range(first, last):
        c_p = 1.0
        if whole:
            c_p = counts[row0 + p]
        else:
            gg, dg, dd = 0.0, 0.0, 0.0
        for c in range(r):
            gg += c_p * G[p, c] * G[p, c]
            dg += c_p * Y[p, c] * G[p, c]
            dd += c_p * Y[p, c] * Y[p, c]
        if whole and p < last - 1:
            continue
        alive = alive or gg > 0.0
        t, scale, _ = _step_lengths(gg, dg, dd, step, unit, radius)
        for q in range(first if whole else p, p + 1):
            for c in range(r):
                Y[q, c] = scale * (Y[q, c] + t * G[q, c])
    return alive


@inner
def _ascend_signs(G, X, step, unit, radius, moved):
    """One l_inf step of a block on patches of their own, which stay within `radius` of X."""
    reach, bound = G.dtype.type(step), G.dtype.type(radius)
    zero = reach - reach
    for p in range(G.shape[0]):
        if unit:
            for c in range(G.shape[1]):
                g = G[p, c]
                new = moved[p, c] + (reach if g > zero else (-reach if g < zero else g))
                high, low = X[p, c] + bound, X[p, c] - bound
                new = high if new > high else new
                moved[p, c] = low if new < low else new
        else:
            for c in range(G.shape[1]):
                new = moved[p, c] + reach * G[p, c]
                high, low = X[p, c] + bound, X[p, c] - bound
                new = high if new > high else new
                moved[p, c] = low if new < low else new


@inner
def _find_dead(X, moved, A, W, P, dead):
    """dead[s] = whether the gradient A^T W of sample s is zero, which after one step shows in what moved."""
    for s in range(dead.shape[0]):
        still = True
        for p in range(s * P, (s + 1) * P):
            for c in range(X.shape[1]):
                if still and moved[p, c] != X[p, c]:
                    still = False
            if not still:
                break
        if still:  # or the step was 0, or lost beside the patch
            for p in range(s * P, (s + 1) * P):
                for c in range(X.shape[1]):
                    g = 0.0
                    for a in range(A.shape[0]):
                        g += A[a, p] * W[a, c]
                    still = still and g == 0.0
        dead[s] = 1.0 if still else 0.0


@inner
def _ascend_explicitly(
    G, Y, counts, roles, row0, P, mask, pixel_map, pixels, fold, one,
    from_start, whole, linf, step, unit, radius, dead,
):  # fmt: skip
    """One ascent step of a block on explicit coordinates; G and Y (rows, r).

    mask (2, r): coordinates a robust patch, and any other one, may move in; (0, r) for all. Patches that
    share pixels move with them: pixels (n, n_pixels) is their perturbation, `fold` (1, n_pixels) scratch.
    """
    if mask.shape[0] > 0:
        for p in range(G.shape[0]):
            allowed = 0 if roles[row0 + p] == 0 else 1
            for c in range(G.shape[1]):
                G[p, c] *= mask[allowed, c]
    shared = pixel_map.shape[0] > 0
    for s in range(dead.shape[0]):
        first, last = s * P, (s + 1) * P
        g, y, weights, offset, low, high = G, Y, counts, row0, first, last
        if shared:
            fold[:] = 0.0
            for p in range(first, last):
                for c in range(G.shape[1]):
                    fold[0, pixel_map[p - first, c]] += G[p, c]
            g, y, weights, offset, low, high = fold, pixels[s : s + 1], one, 0, 0, 1
        alive = _ascend_rows(g, y, weights, offset, low, high, from_start, whole, linf, step, unit, radius)
        dead[s] = 0.0 if alive else 1.0
        if shared:
            for p in range(first, last):
                for c in range(G.shape[1]):
                    Y[p, c] = pixels[s, pixel_map[p - first, c]]


@inner
def _part_accuracies(S, counts, roles, row0, P, labels, totals, stats):
    """Count the samples right without their non-robust patches, and without their robust ones.

    Patches of other roles stay in both. A tie is an error.
    """
    k = S.shape[0]
    for s in range(labels.shape[0]):
        for i in range(k):
            totals[0, i] = totals[1, i] = 0.0
            for p in range(s * P, (s + 1) * P):
                value = counts[row0 + p] * S[i, p]
                totals[0, i] += 0.0 if roles[row0 + p] == 1 else value
                totals[1, i] += 0.0 if roles[row0 + p] == 0 else value
        for part in range(2):
            own, wins = totals[part, labels[s]], 1.0
            for i in range(k):
                if i != labels[s] and not own > totals[part, i]:
                    wins = 0.0
            stats[5 + part] += wins


@inner
def _perturbation_statistics(moved, norms, counts, roles, row0, P, labels, stats):
    """Add what the perturbation does to the feature of its patch; averages are taken at the end.

    moved (J, rows): <feature, delta_p>, u then v; norms (rows,): |delta_p|^2. Sums: cosine with -v_y on
    non-robust patches, <delta, v_y> on them, <delta, u_y> on robust ones.
    """
    k = moved.shape[0] // 2
    for p in range(labels.shape[0] * P):
        role, y = roles[row0 + p], labels[p // P]
        weight = counts[row0 + p]
        if role == 1:
            if norms[p] > 0.0:
                stats[7] -= weight * moved[k + y, p] / math.sqrt(norms[p])
            stats[8] += weight * moved[k + y, p]
        elif role == 0:
            stats[9] += weight * moved[y, p]


@inner
def _explicit_statistics(Y, features, counts, roles, row0, P, labels, stats):
    """Add the same from the perturbations Y (rows, r) and features (J, r): one feature for each patch."""
    k = features.shape[0] // 2
    for p in range(labels.shape[0] * P):
        role, weight = roles[row0 + p], counts[row0 + p]
        if role == 0 or role == 1:
            feature = labels[p // P] + k * role
            along, square = 0.0, 0.0
            for c in range(Y.shape[1]):
                along += features[feature, c] * Y[p, c]
                square += Y[p, c] * Y[p, c]
            if role == 1:
                if square > 0.0:
                    stats[7] -= weight * along / math.sqrt(square)
                stats[8] += weight * along
            else:
                stats[9] += weight * along


@inner
def _record_weights(W, features, coef, rest, left):
    """Coef = W features^T; rest[a] = |w_a - its part in the features' span|; left (K, d) is scratch."""
    left[:] = 0.0
    if features.shape[0] > 0:
        multiply_right_transposed(W, features, 0.0, coef)
        multiply(coef, features, 0.0, left)
    for a in range(W.shape[0]):
        total = 0.0
        for c in range(W.shape[1]):
            total += (W[a, c] - left[a, c]) * (W[a, c] - left[a, c])
        rest[a] = math.sqrt(total)


@inner
def _cast(source, target):
    """Copy, and return whether the squares of the entries, and sums of them, are finite in `target`."""
    wrong, largest = 0, 1e150 if target.itemsize == 8 else 1e15
    for a in range(source.shape[0]):
        for c in range(source.shape[1]):
            # Nan compares false.
            wrong += 0 if abs(source[a, c]) < largest else 1
            target[a, c] = source[a, c]
    return wrong == 0


@inner
def _add(x, y, out):
    """Out = x + y."""
    for p in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[p, c] = x[p, c] + y[p, c]


@inner
def _subtract(x, y, out):
    """Out = x - y."""
    for p in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[p, c] = x[p, c] - y[p, c]


@inner
def _gather(X, labels, counts, roles, index, P, rows, row_labels, row_counts, row_roles):
    """Copy the samples `index` to the front of a block."""
    for s in range(index.shape[0]):
        i = index[s]
        row_labels[s] = labels[i]
        for p in range(P):
            row_counts[s * P + p] = counts[i * P + p]
            row_roles[s * P + p] = roles[i * P + p]
            for c in range(X.shape[1]):
                rows[s * P + p, c] = X[i * P + p, c]


@inner
def _preactivations(W, by_column, X, Z):
    """Z = W X^T; `by_column` is W^T where the network is of few neurons, and otherwise empty."""
    if by_column.shape[0] > 0 and X.shape[0] >= ROWS:
        multiply_few_into_columns(X, by_column, Z)
    else:
        multiply_right_transposed(W, X, 0.0, Z)


@inner
def _add_weight_gradient(A, X, few, beta, dW):
    """DW = A X + beta dW, beta 0 or 1."""
    if few is not None and X.shape[1] < FAR_DIMENSION:
        multiply_few(A, X, beta > 0.0, dW)
    else:
        multiply(A, X, beta, dW)


@inner
def _vector(n, dtype):
    return np.empty((1, n), dtype)[0]


@jit
def patch_trajectory(
    X, labels, counts, roles, batches, P, W, features, totals, shape, m,
    few, coefficients, explicit, starts, n_ascents, margin, step, unit, radius, whole,
    step_size, n_steps, record_at, keep_at, update, parts, moves, coef, rest, stats, kept,
):  # fmt: skip
    """`n_steps` steps of gradient descent on `W` in place; states recorded before each.

    coefficients: True for perturbations as combinations of filters, else None. explicit: None, or
    (basis (r, d), mask, pixel_map, n_pixels, linf) for explicit ones, directly in d where r = 0.
    Without either, training is standard. few: what :func:`few_neurons` says. starts: None for attacks from
    the clean point, or (key, step) for one random start of `draw_starts`; `step` numbers the first step.
    record_at (n_steps,) and keep_at (n_steps,): whether to record and to keep the weights;
    `batches` (n_steps, B) sample indices or (n_steps, 0) for full batch. Records go to coef
    (T, K, J), rest (T, K), stats (T, N_STATISTICS) and kept (T', K, d), in order. Statistics
    always speak of all samples, also when steps use minibatches. `parts`, `moves`: whether those of
    single parts of a sample, and of the perturbation's direction, are wanted; totals (4,): sum of the
    counts of non-robust and of robust patches, then of count <x_p, own feature> over them. Returns the
    number of steps done, smaller than `n_steps` where the loss of a step or the weights were not finite.
    """
    n_filters, d = W.shape
    J, k = features.shape[0], n_filters // m
    # Filters of zeros are put behind the last one: the rest that does not fill a tile, or an odd number
    # that BLAS would be slow on, costs as much as a full one.
    tile = 4 if few is None else VECTORS * BYTES // X.itemsize
    K = (n_filters + tile - 1) // tile * tile
    dtype = X.dtype
    per_block = max(1, (BLOCK_ROWS if few is None else FEW_BLOCK_ROWS) // P)
    R = per_block * P
    minibatch = batches.shape[1] > 0
    # One array per purpose, for all blocks of all steps; views give it the shape of a block. All begin as
    # tables of a given type, because Numba compiles every other way to call np.empty once more.
    double = W.dtype
    z_all, a_all = _vector(K * R, dtype), _vector(K * R, dtype)
    sum_all, gain_all, moved_all = _vector(k * R, dtype), _vector(k * R, dtype), _vector(J * R, dtype)
    score_all, scratch = _vector(k * per_block, double), np.empty((2, per_block), double)
    hard_all, loss_all = _vector(per_block, double), _vector(per_block, double)
    error_all, dead_all = _vector(per_block, double), _vector(per_block, double)
    label_all, part_totals = _vector(per_block, labels.dtype), np.empty((2, k), double)
    gather_rows = R if minibatch else 0
    gathered = np.empty((gather_rows, d), dtype)
    row_counts, row_roles = _vector(gather_rows, double), _vector(gather_rows, roles.dtype)
    now, cast_coef, dW = np.empty((K, d), dtype), np.empty((K, J), dtype), np.empty((K, d), dtype)
    cast_features = np.empty((J, d), dtype)
    _cast(features, cast_features)
    by_column = np.empty((0 if few is None else d, K), dtype)
    left, norms = np.empty((n_filters, d), double), np.empty((2, R), double)
    scratch_coef, scratch_stats = np.empty((n_filters, J), double), _vector(N_STATISTICS, double)
    now[:] = 0.0
    cast_coef[:] = 0.0
    norms[:] = 0.0
    dead_all[:] = 0.0
    if coefficients is not None:
        h_all, c_all, za_all = _vector(K * R, dtype), _vector(K * R, dtype), _vector(K * R, dtype)
        gram, fold_back = np.empty((K, K), dtype), np.empty((K, K), dtype)
        sums, moves_by = np.empty((2, R + SPARE), double), np.empty((3, R + SPARE), dtype)
        moves_by[:] = 0.0
        # A unit step along less would need a factor beyond float32: such a gradient counts as none.
        least = 0.0 if X.itemsize == 8 else 1e-60
        if starts is not None:
            d_all, zd_all, carried = _vector(R * d, dtype), _vector(K * R, dtype), _vector(R, double)
            start_all = _vector(J * R, dtype)
            mask, linf = np.empty((0, 1), double), False
    if explicit is not None:
        basis, mask, pixel_map, n_pixels, linf = explicit
        subspace = basis.shape[0] > 0
        r = basis.shape[0] if subspace else d
        za_all, g_all, y_all = _vector(K * R, dtype), _vector(r * R, dtype), _vector(r * R, dtype)
        x_all = _vector(0 if subspace else d * R, dtype)
        pixels, fold = np.empty((per_block, n_pixels), dtype), np.empty((1, n_pixels), dtype)
        one = _vector(1, double)
        one[0] = 1.0
        directions, along = np.empty((K if subspace else 0, r), dtype), np.empty((K, r), dtype)
        seen = cast_features
        if subspace:
            seen = np.empty((J, r), dtype)
            if J > 0:
                multiply_right_transposed(cast_features, basis, 0.0, seen)
        signs = linf and not subspace and n_pixels == 0 and starts is None
    started = starts is not None
    if starts is not None:
        key, first_step = starts
        index_all = _vector(per_block, labels.dtype)
        n_coordinates = d
        if explicit is not None:
            n_coordinates = r
        row = _vector((n_coordinates + 3) // 4 * 4, double)
    t_record, t_keep = 0, 0
    for t in range(n_steps):
        now_coef, now_stats = scratch_coef, scratch_stats
        if record_at[t]:
            _record_weights(W, features, coef[t_record], rest[t_record], left)
            now_coef, now_stats = coef[t_record], stats[t_record]
            now_stats[:] = 0.0
            t_record += 1
        if keep_at[t]:
            copy_table(W, kept[t_keep])
            t_keep += 1
        finite = _cast(W, now)
        if few is not None:
            for a in range(K):
                for col in range(d):
                    by_column[col, a] = now[a, col]
        if coefficients is not None:
            multiply_right_transposed(now, now, 0.0, gram)
            if record_at[t] and moves:
                _cast(now_coef, cast_coef)
        if explicit is not None:  # noqa: SIM102  what stands under `is not None` alone is pruned
            if subspace:
                multiply_right_transposed(now, basis, 0.0, directions)
        loss_of_step = 0.0
        # First the sweep over all samples (recorded, or the step itself), then the minibatch.
        for sweep in range(2):
            recorded, updated = record_at[t] and sweep == 0, update and minibatch == (sweep == 1)
            if not (recorded or updated or (sweep == 0 and not update)):
                continue
            n = batches.shape[1] if sweep == 1 else labels.shape[0]
            beta, swept = 0.0, 0.0
            for start in range(0, n, per_block):
                n_block = min(per_block, n - start)
                rows, row0 = n_block * P, start * P
                Z, A = z_all[: K * rows].reshape(K, rows), a_all[: K * rows].reshape(K, rows)
                S, E = sum_all[: k * rows].reshape(k, rows), gain_all[: k * rows].reshape(k, rows)
                F, y = score_all[: k * n_block].reshape(k, n_block), label_all[:n_block]
                hard, loss, error, dead = (
                    hard_all[:n_block], loss_all[:n_block], error_all[:n_block], dead_all[:n_block]
                )  # fmt: skip
                if sweep == 1:
                    _gather(
                        X, labels, counts, roles, batches[t, start : start + n_block], P,
                        gathered, y, row_counts, row_roles,
                    )  # fmt: skip
                    x, c, o, row0 = gathered[:rows], row_counts, row_roles, 0
                else:
                    x, c, o = X[row0 : row0 + rows], counts, roles
                    for s in range(n_block):
                        y[s] = labels[start + s]
                _preactivations(now, by_column, x, Z)
                A[n_filters:] = 0.0
                V = Z
                if coefficients is not None:
                    H, C = h_all[: K * rows].reshape(K, rows), c_all[: K * rows].reshape(K, rows)
                    Za = za_all[: K * rows].reshape(K, rows)
                    norms[:] = 0.0
                if explicit is not None:
                    Za = za_all[: K * rows].reshape(K, rows)
                    G, Y = g_all[: rows * r].reshape(rows, r), y_all[: rows * r].reshape(rows, r)
                    moved_x = x_all[: x_all.shape[0] // R * rows].reshape(rows, x_all.shape[0] // R)
                    if not signs:
                        Y[:] = 0.0
                        pixels[:] = 0.0
                    elif few is None or not unit:
                        copy_table(x, moved_x)
                if starts is not None:
                    index = index_all[:n_block]
                    for s in range(n_block):
                        index[s] = batches[t, start + s] if sweep == 1 else start + s
                # Before a random start there is a look at the clean point, if it is recorded.
                for ascent in range(-1 if started else 0, n_ascents + 1):
                    first, last = ascent == (-1 if started else 0), ascent == n_ascents
                    if started and first and not recorded:
                        continue
                    if starts is not None:  # noqa: SIM102
                        if ascent == 0:
                            if coefficients is not None:
                                D = d_all[: rows * d].reshape(rows, d)
                                Zd = zd_all[: K * rows].reshape(K, rows)
                                draw_starts(
                                    key, first_step + t, index, P, c, o, row0, mask, whole, linf, radius, row,
                                    D, norms,
                                )  # fmt: skip
                                _preactivations(now, by_column, D, Zd)
                                _add(Z, Zd, Za)
                                C[:] = 0.0
                                carried[:] = 1.0
                            if explicit is not None:
                                draw_starts(
                                    key, first_step + t, index, P, c, o, row0, mask, whole, linf, radius, row,
                                    Y, norms,
                                )  # fmt: skip
                                if subspace:
                                    copy_table(Z, Za)
                                    multiply_right_transposed(directions, Y, 1.0, Za)
                                else:
                                    _add(x, Y, moved_x)
                                    _preactivations(now, by_column, moved_x, Za)
                            V = Za
                    if ascent > 0:
                        if coefficients is not None:
                            if few is not None:
                                multiply_few(gram, A, False, H)
                                measure_gradient(A, H, C, ascent == 1, least, sums)
                            else:
                                multiply(gram, A, 0.0, H)
                                _measure_gradient(A, H, C, ascent == 1, least, sums)
                            if starts is not None:
                                _measure_start(A, Zd, carried, sums)
                            _plan_steps(
                                sums, c, row0, P, whole, step, unit, radius, norms, moves_by, dead
                            )  # fmt: skip
                            from_clean = ascent == 1 and not started
                            if few is not None:
                                move_coefficients(A, H, Z, moves_by, from_clean, C, Za)
                            else:
                                _move_coefficients(A, H, Z, moves_by, from_clean, C, Za)
                            if starts is not None:
                                for p in range(rows):
                                    carried[p] *= moves_by[1, p]
                            V = Za
                        if explicit is not None:
                            if few is None:
                                multiply_left_transposed(A, directions if subspace else now, 0.0, G)
                            elif signs and unit:
                                ascend_signs(
                                    A, now, x, x if ascent == 1 else moved_x, dtype.type(step),
                                    dtype.type(radius), moved_x,
                                )  # fmt: skip
                            else:
                                multiply_few_left_transposed(A, directions if subspace else now, False, G)
                            if not signs:
                                _ascend_explicitly(
                                    G, Y, c, o, row0, P, mask, pixel_map, pixels, fold, one,
                                    ascent == 1, whole, linf, step, unit, radius, dead,
                                )  # fmt: skip
                                if not subspace:
                                    _add(x, Y, moved_x)
                            elif few is None or not unit:
                                _ascend_signs(G, x, step, unit, radius, moved_x)
                            if signs and recorded and ascent == 1:
                                _find_dead(x, moved_x, A, now, P, dead)
                            if subspace:
                                copy_table(Z, Za)
                                multiply_right_transposed(directions, Y, 1.0, Za)
                            else:
                                _preactivations(now, by_column, moved_x, Za)
                            V = Za
                        if recorded and ascent == 1:
                            for s in range(n_block):
                                now_stats[10] += dead[s]
                    if few is None:
                        _class_sums(V, shape, m, S)
                    else:
                        sum_classes(V, shape, m, S)
                    _score_samples(S, c, row0, P, F)
                    _head(F, y, first or last or not margin, hard, loss, error, scratch)
                    if first or last:
                        if last or not started:
                            for s in range(n_block):
                                swept += loss[s]
                        if recorded:
                            column = 0 if first else 2
                            for s in range(n_block):
                                now_stats[column] += loss[s]
                                now_stats[column + 1] += 1.0 if hard[s] > 0.0 else 0.0
                    if recorded and first:
                        for s in range(n_block):
                            now_stats[4] += error[s]
                        if parts:
                            _part_accuracies(S, c, o, row0, P, y, part_totals, now_stats)
                    if (last and not updated) or (first and started):
                        continue
                    _spread(F, error, last or not margin, last, c, row0, P, E)
                    if few is None:
                        _gated_slopes(V, shape, m, E, A)
                    else:
                        gate_slopes(V, shape, m, E, A)
                if recorded and moves:
                    if coefficients is not None:
                        moved = moved_all[: J * rows].reshape(J, rows)
                        if few is not None:
                            multiply_few_left_transposed(cast_coef, C, False, moved)
                        else:
                            multiply_left_transposed(cast_coef, C, 0.0, moved)
                        if starts is not None:
                            from_start = start_all[: J * rows].reshape(J, rows)
                            multiply_right_transposed(cast_features, D, 0.0, from_start)
                            for j in range(J):
                                for p in range(rows):
                                    moved[j, p] += carried[p] * from_start[j, p]
                        _perturbation_statistics(moved, norms[0], c, o, row0, P, y, now_stats)
                    if explicit is not None:
                        if signs:
                            _subtract(moved_x, x, Y)
                        _explicit_statistics(Y, seen, c, o, row0, P, y, now_stats)
                if updated:
                    if explicit is not None:
                        if subspace:
                            _add_weight_gradient(A, x, few, beta, dW)
                            multiply(A, Y, beta, along)
                        else:
                            _add_weight_gradient(A, moved_x, few, beta, dW)
                    elif starts is None:
                        _add_weight_gradient(A, x, few, beta, dW)
                    if coefficients is not None:
                        if starts is not None:
                            _add_carried(x, carried, D)
                            _add_weight_gradient(A, D, few, beta, dW)
                        multiply_right_transposed(A, C, beta, fold_back)
                    beta = 1.0
            if recorded:
                for column in range(7):
                    now_stats[column] /= n
                now_stats[7] = now_stats[7] / totals[0] if totals[0] > 0.0 else math.nan
                now_stats[8] = (now_stats[8] + totals[2]) / totals[0] if totals[0] > 0.0 else math.nan
                now_stats[9] = (now_stats[9] + totals[3]) / totals[1] if totals[1] > 0.0 else math.nan
            if updated:
                # Only the loss of the step decides: what is recorded must not change the run.
                loss_of_step = swept
                if coefficients is not None:
                    multiply(fold_back, now, 1.0, dW)
                if explicit is not None:  # noqa: SIM102
                    if subspace:
                        multiply(along, basis, 1.0, dW)
            elif not update:
                loss_of_step = swept
        # Weights of -inf switch a neuron off and leave the loss finite.
        if not (math.isfinite(loss_of_step) and finite):
            return t
        if update:
            factor = step_size / (batches.shape[1] if minibatch else labels.shape[0])
            for a in range(n_filters):
                for col in range(d):
                    W[a, col] -= factor * dW[a, col]
    return n_steps


@inner
def _add_row(z, shape, acc):
    """Acc += s(z), entry by entry."""
    rho, inverse, factor, power = shape[2], shape[3], shape[12], shape[13]
    a1, a2, a3, a4 = shape[4], shape[5], shape[6], shape[7]
    for a in range(z.shape[0]):
        t = z[a] * inverse
        t = 0.0 if t < 0.0 else t
        t = 1.0 if t > 1.0 else t
        tail = z[a] - rho
        tail = 0.0 if tail < 0.0 else tail
        bent = t * (a1 + t * (a2 + t * (a3 + t * a4))) if factor == 0.0 else factor * t**power
        acc[a] += bent + tail


@inner
def _hard_margin(acc, y, k, m):
    """F_y - max of the others, where F_i is the sum of the m entries of class i."""
    own, largest = 0.0, -math.inf
    for i in range(k):
        total = 0.0
        for a in range(i * m, (i + 1) * m):
            total += acc[a]
        if i == y:
            own = total
        elif not (total <= largest):
            largest = total
    return own - largest if math.isfinite(own) else math.nan


@jit
def feature_margins(Z, robust, labels, V, removed, written, k, m, shape, clean, attacked):
    """Hard margins from preactivations, clean and under the worst target of the feature swap.

    Z (n*P, K); robust (P,) whether a patch of every sample carries the robust feature; V (k, K) the
    filters' coefficients of v; removed, written (n*P,): on the other patches v_y loses and v_target gains
    so much. Writes clean (n,) and attacked (n,), the swap's worst target, the clean point not counted.
    """
    K, P = Z.shape[1], robust.shape[0]
    own, acc, moved = np.empty(K), np.empty(K), np.empty(K)
    for s in range(labels.shape[0]):
        y = labels[s]
        own[:] = 0.0
        acc[:] = 0.0
        for p in range(P):
            _add_row(Z[s * P + p], shape, own if robust[p] else acc)
        for a in range(K):
            acc[a] += own[a]
        clean[s] = _hard_margin(acc, y, k, m)
        attacked[s] = math.inf
        for target in range(k):
            if target == y:
                continue
            for a in range(K):
                acc[a] = own[a]
            for p in range(P):
                if robust[p]:
                    continue
                row = s * P + p
                for a in range(K):
                    moved[a] = Z[row, a] + written[row] * V[target, a] - removed[row] * V[y, a]
                _add_row(moved, shape, acc)
            margin = _hard_margin(acc, y, k, m)
            attacked[s] = margin if margin < attacked[s] else attacked[s]
