r"""Training of the two-layer patch network, standard and adversarial.

Shapes: `X` (n*P, d) rows of patches, sample-major; `W` (K, d) filters, K = k*m,
class-major; `counts` (n*P,) multiplicity of a patch; `features` (J, d).

.. math::
    F_i(X) = \sum_{r \le m} \sum_p c_p\, s(\langle w_{i,r}, x_p \rangle), \qquad
    \frac{dL}{dw_{i,r}} = \frac1n \sum_s e_{s,i} \sum_p c_p\,
        s'(\langle w_{i,r}, \tilde x_p \rangle)\, \tilde x_p .

Samples are worked off in blocks whose arrays stay in cache, so no array of size
n*P x K exists. One inner step of an attack needs the input gradient ``A W``
(A: residual times slope). The perturbation is held in one of three coordinates:

* ``COEFFICIENT``: delta = C W. With M = W W^T, an l2 ascent step is
  C += t A, its effect on the preactivations t A M: no d-vector is touched.
* ``DIRECT``: delta itself, for l_inf and wherever d is small.
* ``SUBSPACE``: delta = Y E with the rows of E spanning the allowed directions.

These kernels call each other, so they share this file: Numba does not recompile
a cached caller when a callee in another file changes.
"""

from __future__ import annotations

import math

import numpy as np

from featsim.kernels._jit import inner, jit

BLOCK_ROWS = 256

# How the perturbation is represented.
CLEAN, COEFFICIENT, DIRECT, SUBSPACE = 0, 1, 2, 3
# Columns of the statistics a pass returns: means over samples (of the middle three over patches),
# but the last is the number of samples on which the attack met no gradient at the clean point.
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


@jit
def activation(z, q, rho, code, out):
    """Write s(z) to `out`; both 1-D."""
    for i in range(z.shape[0]):
        out[i] = _value(z[i], q, rho, code)


@jit
def activation_slope(z, q, rho, code, out):
    """Write s'(z) to `out`; both 1-D."""
    for i in range(z.shape[0]):
        out[i] = _slope(z[i], q, rho, code)


@inner
def _add_row(z, c, q, rho, code, acc):
    """Acc += c * s(z); a literal `code` in each loop is what lets LLVM vectorise it."""
    K = z.shape[0]
    if code == 3:
        for a in range(K):
            acc[a] += c * _value(z[a], 3.0, rho, 3)
    elif code == 2:
        for a in range(K):
            acc[a] += c * _value(z[a], 2.0, rho, 2)
    elif code == 4:
        for a in range(K):
            acc[a] += c * _value(z[a], 4.0, rho, 4)
    elif code == 1:
        for a in range(K):
            acc[a] += c * _value(z[a], 1.0, rho, 1)
    else:
        for a in range(K):
            acc[a] += c * _value(z[a], q, rho, 0)


@inner
def _scaled_slope(z, gain, q, rho, code, out):
    """Out = gain * s'(z) for one row."""
    K = z.shape[0]
    if code == 3:
        for a in range(K):
            out[a] = gain[a] * _slope(z[a], 3.0, rho, 3)
    elif code == 2:
        for a in range(K):
            out[a] = gain[a] * _slope(z[a], 2.0, rho, 2)
    elif code == 4:
        for a in range(K):
            out[a] = gain[a] * _slope(z[a], 4.0, rho, 4)
    elif code == 1:
        for a in range(K):
            out[a] = gain[a] * _slope(z[a], 1.0, rho, 1)
    else:
        for a in range(K):
            out[a] = gain[a] * _slope(z[a], q, rho, 0)


@inner
def _sum_activations(Z, counts, roles, row0, first, last, q, rho, code, parts, acc):
    """acc[a] = sum over rows first..last-1 of counts * s(Z).

    parts (3, K) keeps the sum over non-robust, robust and other patches apart; always, so that
    what is recorded does not change a bit of the trajectory.
    """
    parts[:] = 0.0
    for p in range(first, last):
        role = roles[row0 + p]
        part = 2 if role < 0 else (1 if role == 0 else 0)
        _add_row(Z[p], counts[row0 + p], q, rho, code, parts[part])
    for a in range(acc.shape[0]):
        acc[a] = parts[0, a] + parts[1, a] + parts[2, a]


@inner
def _head(acc, y, k, m, residual):
    """Return the soft and the hard margin and write the margin residual.

    With o over the classes other than y: soft = logsumexp_o F_o - F_y, hard = F_y - max_o F_o,
    residual = softmax over the others, -1 at y: the gradient of the soft margin in F. The
    cross-entropy is log(1 + e^soft), its residual sigmoid(soft) times this one. An infinite own
    score would pass for a loss of 0, so it gives nan.
    """
    largest = -math.inf
    for i in range(k):
        total = 0.0
        for r in range(m):
            total += acc[i * m + r]
        residual[i] = total
        if i != y and not (total <= largest):
            largest = total
    own = residual[y]
    weight = 0.0
    for i in range(k):
        if i != y:
            residual[i] = math.exp(residual[i] - largest)
            weight += residual[i]
    for i in range(k):
        residual[i] = -1.0 if i == y else residual[i] / weight
    if not math.isfinite(own):
        return math.nan, math.nan
    return largest + math.log(weight) - own, own - largest


@inner
def _softplus(g):
    """log(1 + e^g) without overflow."""
    if g > 0.0:
        return g + math.log1p(math.exp(-g))
    return math.log1p(math.exp(g))


@inner
def _sigmoid(g):
    if g >= 0.0:
        return 1.0 / (1.0 + math.exp(-g))
    e = math.exp(g)
    return e / (1.0 + e)


@inner
def _write_residual_slope(Z, first, last, residual, scale, k, m, q, rho, code, gain, A):
    """A[p, a] = scale * residual[class of a] * s'(Z[p, a]) for the rows of one sample."""
    for i in range(k):
        for r in range(m):
            gain[i * m + r] = scale * residual[i]
    for p in range(first, last):
        _scaled_slope(Z[p], gain, q, rho, code, A[p])


@inner
def _step_lengths(gg, dg, dd, step, unit, radius):
    """Return (t, scale, norm^2): delta <- scale * (delta + t g), within the l2 ball.

    gg = |g|^2, dg = <delta, g>, dd = |delta|^2; `unit` makes `step` the length of the step.
    A gradient that rounds to nothing moves nothing.
    """
    if not gg > 0.0:
        return 0.0, 1.0, dd
    length = math.sqrt(gg)
    # A raw step far outside the ball only needs its direction, and must not overflow.
    t = step / length if unit else min(step, 1e100 / length)
    moved = dd + 2.0 * t * dg + (t * length) * (t * length)
    if moved > radius * radius:
        return t, radius / math.sqrt(moved), radius * radius
    return t, 1.0, moved


@inner
def _ascend_coefficients(A, H, C, Z, Za, counts, row0, first, last, whole, step, unit, radius, dd):
    """One l2 ascent step of one sample in coefficient space. Return whether g is not zero."""
    K = A.shape[1]
    alive = False
    total_gg, total_dg, total_dd = 0.0, 0.0, 0.0
    if whole:
        for p in range(first, last):
            gg, dg = 0.0, 0.0
            for a in range(K):
                gg += A[p, a] * H[p, a]
                dg += C[p, a] * H[p, a]
            total_gg += counts[row0 + p] * gg
            total_dg += counts[row0 + p] * dg
        total_dd = dd[first]
        alive = total_gg > 0.0
        t, scale, total_dd = _step_lengths(total_gg, total_dg, total_dd, step, unit, radius)
        dd[first] = total_dd
    for p in range(first, last):
        if not whole:
            gg, dg = 0.0, 0.0
            for a in range(K):
                gg += A[p, a] * H[p, a]
                dg += C[p, a] * H[p, a]
            alive = alive or gg > 0.0
            t, scale, dd[p] = _step_lengths(gg, dg, dd[p], step, unit, radius)
        keep = 1.0 - scale
        for a in range(K):
            C[p, a] = scale * (C[p, a] + t * A[p, a])
            Za[p, a] = scale * (Za[p, a] + t * H[p, a]) + keep * Z[p, a]
    return alive


@inner
def _ascend_rows(G, Y, counts, row0, first, last, whole, linf, step, unit, radius):
    """One ascent step of one sample on explicit coordinates `Y`. Return whether g is not zero."""
    r = G.shape[1]
    alive = False
    if linf:
        for p in range(first, last):
            for c in range(r):
                g = G[p, c]
                if g != 0.0:
                    alive = True
                if unit:
                    move = step if g > 0.0 else (-step if g < 0.0 else g)
                else:
                    move = 0.0 if g == 0.0 else step * g
                new = Y[p, c] + move
                Y[p, c] = radius if new > radius else (-radius if new < -radius else new)
        return alive
    gg, dg, dd = 0.0, 0.0, 0.0
    for p in range(first, last):
        if not whole:
            gg, dg, dd = 0.0, 0.0, 0.0
        c_p = counts[row0 + p] if whole else 1.0
        for c in range(r):
            gg += c_p * G[p, c] * G[p, c]
            dg += c_p * Y[p, c] * G[p, c]
            dd += c_p * Y[p, c] * Y[p, c]
        if not whole:
            alive = alive or gg > 0.0
            t, scale, _ = _step_lengths(gg, dg, dd, step, unit, radius)
            for c in range(r):
                Y[p, c] = scale * (Y[p, c] + t * G[p, c])
    if whole:
        alive = gg > 0.0
        t, scale, _ = _step_lengths(gg, dg, dd, step, unit, radius)
        for p in range(first, last):
            for c in range(r):
                Y[p, c] = scale * (Y[p, c] + t * G[p, c])
    return alive


@inner
def _ascend_pixels(G, Y, first, last, pixel_map, fold, pixels, whole, linf, step, unit, radius):
    """One ascent step of one image whose patches share pixels.

    `fold` (1, n_pixels) is scratch, `pixels` (1, n_pixels) the perturbation of this image.
    """
    r = G.shape[1]
    fold[:] = 0.0
    for p in range(first, last):
        for c in range(r):
            fold[0, pixel_map[p - first, c]] += G[p, c]
    one = np.ones(1)
    alive = _ascend_rows(fold, pixels, one, 0, 0, 1, whole, linf, step, unit, radius)
    for p in range(first, last):
        for c in range(r):
            Y[p, c] = pixels[0, pixel_map[p - first, c]]
    return alive


@inner
def _mask_rows(G, roles, row0, rows, mask):
    """Zero the coordinates that a patch of its role may not move in."""
    for p in range(rows):
        role = 0 if roles[row0 + p] == 0 else 1
        for c in range(G.shape[1]):
            G[p, c] *= mask[role, c]


@inner
def _correct(acc, y, k, m):
    """1.0 where the class sums of `acc` are largest at y alone, else 0.0."""
    own, largest = 0.0, -math.inf
    for i in range(k):
        total = 0.0
        for r in range(m):
            total += acc[i * m + r]
        if i == y:
            own = total
        elif not (total <= largest):
            largest = total
    return 1.0 if own > largest else 0.0


@inner
def _perturbation_statistics(X, norms, moved, counts, roles, row0, first, last, y, k, features, sums):
    """Add what the perturbation does to the feature of its patch.

    norms (rows,): |delta_p|; moved (rows, J): <delta_p, feature>. sums: cosine with -v_y on
    non-robust patches, their weight, <x+delta, v_y> on them, <x+delta, u_y> on robust patches,
    their weight.
    """
    d = X.shape[1]
    for p in range(first, last):
        role = roles[row0 + p]
        if role != 0 and role != 1:
            continue
        j = y if role == 0 else k + y
        inner = 0.0
        for c in range(d):
            inner += X[p, c] * features[j, c]
        weight = counts[row0 + p]
        if role == 1:
            if norms[p] > 0.0:
                sums[0] -= weight * moved[p, j] / norms[p]
            sums[1] += weight
            sums[2] += weight * (inner + moved[p, j])
        else:
            sums[3] += weight * (inner + moved[p, j])
            sums[4] += weight


@inner
def _attack_block(
    Z, A, H, C, Za, Y, G, dd, counts, roles, labels, row0, rows, P, W, M, WE, mask, pixel_map, pixels, fold,
    attack, steps, margin, step, unit, radius, whole, linf, k, m, q, rho, code,
    parts, acc, residual, gain, soft, hard, dead,
):  # fmt: skip
    """Run the attack on one block.

    On entry A holds the attack residual times slope at the clean point; on return
    the LOSS residual times slope at the attacked point, and C or Y the perturbation.
    """
    n_block = rows // P
    use_pixels = pixel_map.shape[0] > 0
    for p in range(rows):
        dd[p] = 0.0
        for a in range(Z.shape[1]):
            Za[p, a] = Z[p, a]
    if attack == COEFFICIENT:
        C[:rows] = 0.0
    else:
        Y[:rows] = 0.0
        if use_pixels:
            pixels[:n_block] = 0.0
    for s in range(n_block):
        dead[s] = 0.0
    for ascent in range(steps):
        if attack == COEFFICIENT:
            np.dot(A[:rows], M, H[:rows])
        else:
            np.dot(A[:rows], WE, G[:rows])
            if attack == SUBSPACE:
                _mask_rows(G, roles, row0, rows, mask)
        for s in range(n_block):
            first, last = s * P, (s + 1) * P
            if attack == COEFFICIENT:
                alive = _ascend_coefficients(
                    A, H, C, Z, Za, counts, row0, first, last, whole, step, unit, radius, dd
                )
            elif use_pixels:
                alive = _ascend_pixels(
                    G, Y, first, last, pixel_map, fold, pixels[s : s + 1], whole, linf, step, unit, radius
                )
            else:
                alive = _ascend_rows(G, Y, counts, row0, first, last, whole, linf, step, unit, radius)
            if ascent == 0 and not alive:
                dead[s] = 1.0
        if attack != COEFFICIENT:
            np.dot(Y[:rows], WE.T, H[:rows])
            for p in range(rows):
                for a in range(Z.shape[1]):
                    Za[p, a] = Z[p, a] + H[p, a]
        for s in range(n_block):
            first, last = s * P, (s + 1) * P
            _sum_activations(Za, counts, roles, row0, first, last, q, rho, code, parts, acc)
            soft[s], hard[s] = _head(acc, labels[s], k, m, residual)
            scale = 1.0 if (margin and ascent < steps - 1) else _sigmoid(soft[s])
            _write_residual_slope(Za, first, last, residual, scale, k, m, q, rho, code, gain, A)


@inner
def patch_pass(
    X, labels, counts, roles, index, P, W, features, basis, mask, pixel_map, n_pixels,
    attack, steps, margin, step, unit, radius, whole, linf, k, m, q, rho, code,
    update, record, coef, dW, stats,
):  # fmt: skip
    """One sweep over the samples `index` (all of them where it is empty).

    Writes the gradient of the mean attacked loss to `dW` (K, d) if `update`, and the
    STATISTICS to `stats` if `record`; `coef` (K, J) holds W features^T where recorded. Returns
    the sum of the losses, for the test of divergence.
    """
    K, d = W.shape
    J = features.shape[0]
    n = index.shape[0] if index.shape[0] > 0 else labels.shape[0]
    gather = index.shape[0] > 0
    per_block = max(1, BLOCK_ROWS // P)
    R = per_block * P
    Z, A = np.empty((R, K)), np.empty((R, K))
    parts, acc, gain, residual = np.empty((3, K)), np.empty(K), np.empty(K), np.empty(k)
    soft, hard, dead = np.empty(per_block), np.empty(per_block), np.empty(per_block)
    block_labels = np.empty(per_block, np.int64)
    attacked = attack != CLEAN
    r = 1
    if attack == SUBSPACE:
        r = basis.shape[0]
    elif attack == DIRECT:
        r = d
    r_rows = R if attacked else 1
    rep_cols = K if attack == COEFFICIENT else 1
    H, Za = np.empty((r_rows, K)), np.empty((r_rows, K))
    C, dd = np.empty((r_rows, rep_cols)), np.empty(r_rows)
    explicit = attacked and attack != COEFFICIENT
    Y, G = np.empty((r_rows if explicit else 1, r)), np.empty((r_rows if explicit else 1, r))
    pixels = np.empty((per_block if n_pixels > 0 else 1, max(n_pixels, 1)))
    fold = np.empty((1, max(n_pixels, 1)))
    gathered = np.empty((R if gather else 1, d))
    row_counts, row_roles = np.empty(R if gather else 1), np.empty(R if gather else 1, roles.dtype)
    M = np.empty((1, 1))
    WE = W
    TW = np.empty((1, 1))
    if attack == COEFFICIENT:
        M = np.dot(W, W.T)
        TW = np.zeros((K, K))
    elif attack == SUBSPACE:
        WE = np.dot(W, basis.T)
        TW = np.zeros((K, r))
    to_features = np.empty((1, 1))
    moved, norms = np.empty((1, 1)), np.empty(1)
    if record and attacked and J > 0:
        moved, norms = np.empty((R, J)), np.empty(R)
        if attack == COEFFICIENT:
            to_features = coef
        elif attack == SUBSPACE:
            to_features = np.dot(basis, features.T)
        else:
            to_features = np.ascontiguousarray(features.T)
    small = np.empty((K, d))
    if update:
        dW[:] = 0.0
    sums = np.zeros(5)
    total_loss = 0.0
    if record:
        stats[:] = 0.0
    for start in range(0, n, per_block):
        n_block = min(per_block, n - start)
        rows = n_block * P
        if gather:
            for s in range(n_block):
                i = index[start + s]
                block_labels[s] = labels[i]
                for p in range(P):
                    row_counts[s * P + p] = counts[i * P + p]
                    row_roles[s * P + p] = roles[i * P + p]
                    for c in range(d):
                        gathered[s * P + p, c] = X[i * P + p, c]
            Xb, cb, rb, row0 = gathered[:rows], row_counts, row_roles, 0
        else:
            row0 = start * P
            Xb, cb, rb = X[row0 : row0 + rows], counts, roles
            for s in range(n_block):
                block_labels[s] = labels[start + s]
        np.dot(Xb, W.T, Z[:rows])
        for s in range(n_block):
            first, last = s * P, (s + 1) * P
            _sum_activations(Z, cb, rb, row0, first, last, q, rho, code, parts, acc)
            soft[s], hard[s] = _head(acc, block_labels[s], k, m, residual)
            scale = 1.0 if (attacked and margin) else _sigmoid(soft[s])
            _write_residual_slope(Z, first, last, residual, scale, k, m, q, rho, code, gain, A)
            loss = _softplus(soft[s])
            total_loss += loss
            if record:
                stats[0] += loss
                stats[1] += 1.0 if hard[s] > 0.0 else 0.0
                stats[4] += _sigmoid(soft[s])
                if J > 0:
                    # Without the non-robust patches, then without the robust ones; others stay in both.
                    for a in range(K):
                        parts[1, a] += parts[2, a]
                        parts[0, a] += parts[2, a]
                    stats[5] += _correct(parts[1], block_labels[s], k, m)
                    stats[6] += _correct(parts[0], block_labels[s], k, m)
        if attacked:
            _attack_block(
                Z, A, H, C, Za, Y, G, dd, cb, rb, block_labels, row0, rows, P, W, M, WE, mask, pixel_map,
                pixels, fold, attack, steps, margin, step, unit, radius, whole, linf, k, m, q, rho, code,
                parts, acc, residual, gain, soft, hard, dead,
            )  # fmt: skip
            for s in range(n_block):
                loss = _softplus(soft[s])
                total_loss += loss
                if record:
                    stats[2] += loss
                    stats[3] += 1.0 if hard[s] > 0.0 else 0.0
                    stats[10] += dead[s]
        if record and attacked and J > 0:
            if attack == COEFFICIENT:
                np.dot(C[:rows], to_features, moved[:rows])
                np.dot(C[:rows], M, H[:rows])
            else:
                np.dot(Y[:rows], to_features, moved[:rows])
            for p in range(rows):
                square = 0.0
                if attack == COEFFICIENT:
                    for a in range(K):
                        square += C[p, a] * H[p, a]
                else:
                    for c in range(r):
                        square += Y[p, c] * Y[p, c]
                norms[p] = math.sqrt(square) if square > 0.0 else 0.0
            for s in range(n_block):
                _perturbation_statistics(
                    Xb, norms, moved, cb, rb, row0, s * P, (s + 1) * P, block_labels[s], k, features, sums
                )
        if update:
            for p in range(rows):
                weight = cb[row0 + p]
                if weight != 1.0:
                    for a in range(K):
                        A[p, a] *= weight
            if attack == DIRECT:
                for p in range(rows):
                    for c in range(d):
                        Y[p, c] += Xb[p, c]
                np.dot(A[:rows].T, Y[:rows], small)
            else:
                np.dot(A[:rows].T, Xb, small)
                if attack == COEFFICIENT:
                    TW += np.dot(A[:rows].T, C[:rows])
                elif attack == SUBSPACE:
                    TW += np.dot(A[:rows].T, Y[:rows])
            dW += small
    if update:
        if attack == COEFFICIENT:
            np.dot(TW, W, small)
            dW += small
        elif attack == SUBSPACE:
            np.dot(TW, basis, small)
            dW += small
        for a in range(K):
            for c in range(d):
                dW[a, c] /= n
    if record:
        for c in range(7):
            stats[c] /= n
        stats[7] = sums[0] / sums[1] if sums[1] > 0.0 else math.nan
        stats[8] = sums[2] / sums[1] if sums[1] > 0.0 else math.nan
        stats[9] = sums[3] / sums[4] if sums[4] > 0.0 else math.nan
    return total_loss


@inner
def _record_weights(W, features, coef, rest):
    """Coef = W features^T; rest[a] = |w_a - its part in the features' span|."""
    K, d = W.shape
    if features.shape[0] > 0:
        np.dot(W, features.T, coef)
        left = W - np.dot(coef, features)
    else:
        left = W
    for a in range(K):
        total = 0.0
        for c in range(d):
            total += left[a, c] * left[a, c]
        rest[a] = math.sqrt(total)


@inner
def _squares_finite(W):
    """Whether every entry is a number whose square is finite."""
    wrong = 0
    for a in range(W.shape[0]):
        for c in range(W.shape[1]):
            # Beyond this a square is infinite; nan compares false.
            wrong += 0 if abs(W[a, c]) < 1e150 else 1
    return wrong == 0


@jit
def patch_trajectory(
    X, labels, counts, roles, batches, P, W, features, basis, mask, pixel_map, n_pixels,
    attack, steps, margin, step, unit, radius, whole, linf, k, m, q, rho, code,
    step_size, n_steps, record_at, keep_at, update, coef, rest, stats, kept,
):  # fmt: skip
    """`n_steps` steps of gradient descent on `W` in place; states recorded before each.

    record_at (n_steps,) and keep_at (n_steps,): whether to record and to keep the weights;
    `batches` (n_steps, B) sample indices or (n_steps, 0) for full batch. Records go to coef
    (T, K, J), rest (T, K), stats (T, N_STATISTICS) and kept (T', K, d), in order. Statistics
    always speak of all samples, also when steps use minibatches. Returns the number of steps
    done, smaller than `n_steps` where the loss of a step or the weights were not finite.
    """
    K, d = W.shape
    dW = np.empty((K, d))
    none = np.empty(0, batches.dtype)
    scratch_coef, scratch_stats = np.empty((K, features.shape[0])), np.empty(N_STATISTICS)
    minibatch = batches.shape[1] > 0
    t_record, t_keep = 0, 0
    for t in range(n_steps):
        now_coef, now_stats = scratch_coef, scratch_stats
        if record_at[t]:
            _record_weights(W, features, coef[t_record], rest[t_record])
            now_coef, now_stats = coef[t_record], stats[t_record]
            t_record += 1
        if keep_at[t]:
            kept[t_keep] = W
            t_keep += 1
        # First the sweep over all samples (recorded, or the step itself), then the minibatch.
        loss = 0.0
        for sweep in range(2):
            if sweep == 0 and minibatch and not record_at[t]:
                continue
            if sweep == 1 and not (minibatch and update):
                continue
            swept = patch_pass(
                X, labels, counts, roles, batches[t] if sweep == 1 else none, P, W, features, basis, mask,
                pixel_map, n_pixels, attack, steps, margin, step, unit, radius, whole, linf,
                k, m, q, rho, code, update and minibatch == (sweep == 1), record_at[t] and sweep == 0,
                now_coef, dW, now_stats,
            )  # fmt: skip
            # Only the loss of the step decides: what is recorded must not change the run.
            if minibatch == (sweep == 1):
                loss = swept
        # Weights of -inf switch a neuron off and leave the loss finite.
        if not (math.isfinite(loss) and _squares_finite(W)):
            return t
        if update:
            for a in range(K):
                for c in range(d):
                    W[a, c] -= step_size * dW[a, c]
    return n_steps


@jit
def feature_margins(Z, robust, labels, V, removed, written, k, m, q, rho, code, clean, attacked):
    """Hard margins from preactivations, clean and under the worst target of the feature swap.

    Z (n*P, K); robust (P,) whether a patch of every sample carries the robust feature; V (k, K) the
    filters' coefficients of v; removed, written (n*P,): on the other patches v_y loses and v_target gains
    so much. Writes clean (n,) and attacked (n,), the swap's worst target, the clean point not counted.
    """
    K, P = Z.shape[1], robust.shape[0]
    own, acc, moved, residual = np.empty(K), np.empty(K), np.empty(K), np.empty(k)
    for s in range(labels.shape[0]):
        y = labels[s]
        own[:] = 0.0
        acc[:] = 0.0
        for p in range(P):
            if robust[p]:
                _add_row(Z[s * P + p], 1.0, q, rho, code, own)
            else:
                _add_row(Z[s * P + p], 1.0, q, rho, code, acc)
        for a in range(K):
            acc[a] += own[a]
        clean[s] = _head(acc, y, k, m, residual)[1]
        attacked[s] = math.inf
        for target in range(k):
            if target == y:
                continue
            acc[:] = own
            for p in range(P):
                if robust[p]:
                    continue
                row = s * P + p
                for a in range(K):
                    moved[a] = Z[row, a] + written[row] * V[target, a] - removed[row] * V[y, a]
                _add_row(moved, 1.0, q, rho, code, acc)
            margin = _head(acc, y, k, m, residual)[1]
            attacked[s] = margin if margin < attacked[s] else attacked[s]
