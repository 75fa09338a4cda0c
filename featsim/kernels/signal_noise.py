r"""Training of the power network on signal-plus-noise patches, and its exact closure.

Shapes: `X` (n*P, d) rows of patches, sample-major; `W` (m, d) filters; `signs` (m,) fixed
second layer a; `labels` (n,) of +1 and -1; `line` (n,) row of each signal patch.

.. math::
    f(X) = \sum_r a_r \sum_p \phi(\langle w_r, x_p \rangle), \qquad
    W \leftarrow W + \eta\,\frac1n \sum_i y_i \bigl[(1-\lambda)\,\psi(y_i f(X_i))\,\nabla f(X_i)
        + \lambda\,\psi(y_i f(\tilde X_i))\,\nabla f(\tilde X_i)\bigr],

with phi(z) = z |z|^(q-1) or max(z, 0)^q and psi(z) = 1/(1 + e^z). Both powers are z times
p(z), p = |z|^(q-1) or max(z, 0)^(q-1), and phi' = q p: one power serves value and slope.

An attack on the signal line moves one preactivation per filter by s <w_r, w*>, so it costs no
d-vector; an l2 attack on the input is held as delta = C W (see patch_network); l_inf directly.
Recording happens between calls: these kernels only step.
"""

from __future__ import annotations

import math

import numpy as np

from featsim.kernels._copies import copy_row, copy_table
from featsim.kernels._jit import inner, jit
from featsim.kernels._matrix import multiply, multiply_left_transposed, multiply_right_transposed

# How the adversarial example is made.
CLEAN, FIXED, WORST, COEFFICIENT, DIRECT = 0, 1, 2, 3, 4


@inner
def _powers(z, odd, q, code, out):
    """Write p(z) to `out`; 1-D. `code` is q where products replace the power, else 0."""
    for i in range(z.shape[0]):
        # Written so that nan stays nan.
        out[i] = 0.0 if (z[i] < 0.0 and not odd) else abs(z[i])
    if code == 3:
        for i in range(z.shape[0]):
            out[i] = out[i] * out[i]
    elif code == 4:
        for i in range(z.shape[0]):
            out[i] = out[i] * out[i] * out[i]
    elif code == 5:
        for i in range(z.shape[0]):
            square = out[i] * out[i]
            out[i] = square * square
    elif code != 2:
        for i in range(z.shape[0]):
            out[i] = out[i] ** (q - 1.0)


@inner
def _residual(z):
    """psi(z) = 1 / (1 + e^z) without overflow."""
    if z > 0.0:
        e = math.exp(-z)
        return e / (1.0 + e)
    return 1.0 / (1.0 + math.exp(z))


@inner
def _score(Z, powers, signs, first, last):
    """Sum over rows first..last-1 and filters of a * phi."""
    total = 0.0
    for p in range(first, last):
        for a in range(signs.shape[0]):
            total += signs[a] * Z[p, a] * powers[p, a]
    return total


@inner
def _shifted(z, u, shift, signs, odd, q, code, moved, powers):
    """Return sum_r a_r phi(z_r + shift u_r); leaves preactivations and powers in the buffers."""
    for a in range(u.shape[0]):
        moved[a] = z[a] + shift * u[a]
    _powers(moved, odd, q, code, powers)
    total = 0.0
    for a in range(u.shape[0]):
        total += signs[a] * moved[a] * powers[a]
    return total


@inner
def _line_shift(z, u, along, y, mode, radius, signs, odd, q, code, moved, powers):
    """Return the attack's shift along the signal and the signal score there.

    `along` = <w*, x> of the signal patch. y times the signal score is monotone in the position
    on either side of 0, so its minimum lies at an end of the interval, or at 0.
    """
    if mode == FIXED:
        best = -radius * y
        return best, _shifted(z, u, best, signs, odd, q, code, moved, powers)
    best, lowest = -radius * y, math.inf
    for candidate in range(3):
        shift = -radius * y
        if candidate == 1:
            shift = radius * y
        elif candidate == 2:
            if abs(along) > radius:
                continue
            shift = -along
        value = y * _shifted(z, u, shift, signs, odd, q, code, moved, powers)
        if value < lowest:
            best, lowest = shift, value
    return best, _shifted(z, u, best, signs, odd, q, code, moved, powers)


@inner
def _ascend(A, H, C, Z, Za, first, last, first_of_sample, step, radius, size):
    """One l2 ascent step of length `step` on the rows that share a ball, in coefficient space.

    size[first_of_sample] carries |delta|^2. A gradient that rounds to nothing moves nothing.
    """
    m = A.shape[1]
    gg, dg = 0.0, 0.0
    for p in range(first, last):
        for a in range(m):
            gg += A[p, a] * H[p, a]
            dg += C[p, a] * H[p, a]
    if not gg > 0.0:
        return
    t = step / math.sqrt(gg)
    moved = size[first_of_sample] + 2.0 * t * dg + step * step
    scale = 1.0
    if moved > radius * radius:
        scale = radius / math.sqrt(moved)
        moved = radius * radius
    size[first_of_sample] = moved
    for p in range(first, last):
        for a in range(m):
            C[p, a] = scale * (C[p, a] + t * A[p, a])
            Za[p, a] = scale * (Za[p, a] + t * H[p, a]) + (1.0 - scale) * Z[p, a]


@inner
def _ascend_box(G, Y, step, radius):
    """One l_inf ascent step on explicit perturbations `Y`."""
    for p in range(G.shape[0]):
        for c in range(G.shape[1]):
            g = G[p, c]
            move = step if g > 0.0 else (-step if g < 0.0 else 0.0)
            new = Y[p, c] + move
            Y[p, c] = radius if new > radius else (-radius if new < -radius else new)


@inner
def _attack_input(X, W, M, labels, signs, P, odd, q, code, mode, radius, n_inner, step, whole,
                  Z, Za, powers, A, H, C, G, size):  # fmt: skip
    """Projected ascent of -y f from the clean point on all samples; C or G's partner hold delta.

    On return Za, powers belong to the attacked point; in DIRECT mode C holds delta itself.
    """
    rows, m = Z.shape
    for p in range(rows):
        size[p] = 0.0
        for a in range(m):
            Za[p, a] = Z[p, a]
    C[:] = 0.0
    for _ in range(n_inner):
        for p in range(rows):
            y = labels[p // P]
            for a in range(m):
                A[p, a] = -y * q * signs[a] * powers[p, a]
        if mode == COEFFICIENT:
            multiply(A, M, 0.0, H)
            if whole:
                for s in range(labels.shape[0]):
                    _ascend(A, H, C, Z, Za, s * P, (s + 1) * P, s * P, step, radius, size)
            else:
                for p in range(rows):
                    _ascend(A, H, C, Z, Za, p, p + 1, p, step, radius, size)
        else:
            multiply(A, W, 0.0, G)
            _ascend_box(G, C, step, radius)
            multiply_right_transposed(C, W, 0.0, H)
            for p in range(rows):
                for a in range(m):
                    Za[p, a] = Z[p, a] + H[p, a]
        _powers(Za.reshape(-1), odd, q, code, powers.reshape(-1))


@jit
def power_trajectory(
    X, labels, line, W, signs, signal, P, odd, q, code, weight,
    mode, radius, n_inner, step, whole, step_size, n_steps, update, clean, attacked,
):  # fmt: skip
    """`n_steps` steps of gradient descent on `W` in place, or one evaluation without `update`.

    Writes y f at the clean and at the attacked point of the last pass to `clean` and `attacked`
    (n,). Returns the number of updates done, fewer than `n_steps` where a score was not finite.
    """
    rows, d = X.shape
    m, n = W.shape[0], labels.shape[0]
    on_line = mode in (FIXED, WORST)
    whole_input = mode in (COEFFICIENT, DIRECT)
    big = rows if whole_input else 1
    Z, powers, A = np.empty((rows, m)), np.empty((rows, m)), np.empty((rows, m))
    Za, attacked_powers, H = np.empty((big, m)), np.empty((big, m)), np.empty((big, m))
    C = np.empty((big, m if mode == COEFFICIENT else d))
    G = np.empty((big if mode == DIRECT else 1, d))
    Aa, size = np.empty((big, m)), np.empty(big)
    u, along, shift_sum = np.zeros(m), np.zeros(n), np.zeros(m)
    moved, moved_powers = np.empty(m), np.empty(m)
    dW, M = np.empty((m, d)), np.empty((m, m))
    if on_line:
        for s in range(n):
            for c in range(d):
                along[s] += X[line[s], c] * signal[c]
    for t in range(n_steps):
        multiply_right_transposed(X, W, 0.0, Z)
        _powers(Z.reshape(-1), odd, q, code, powers.reshape(-1))
        if on_line:
            shift_sum[:] = 0.0
            for a in range(m):
                u[a] = 0.0
                for c in range(d):
                    u[a] += W[a, c] * signal[c]
        if whole_input:
            if mode == COEFFICIENT:
                multiply_right_transposed(W, W, 0.0, M)
            copy_table(powers, attacked_powers)
            _attack_input(X, W, M, labels, signs, P, odd, q, code, mode, radius, n_inner, step, whole,
                          Z, Za, attacked_powers, Aa, H, C, G, size)  # fmt: skip
        finite = True
        for s in range(n):
            y, first, last = labels[s], s * P, (s + 1) * P
            f = _score(Z, powers, signs, first, last)
            clean[s] = y * f
            attacked[s] = y * f
            own = -1
            shift = 0.0
            if on_line:
                own = line[s]
                shift, score = _line_shift(
                    Z[own], u, along[s], y, mode, radius, signs, odd, q, code, moved, moved_powers
                )
                attacked[s] = y * (f - _score(Z, powers, signs, own, own + 1) + score)
            elif whole_input:
                attacked[s] = y * _score(Za, attacked_powers, signs, first, last)
            finite = finite and math.isfinite(clean[s]) and math.isfinite(attacked[s])
            gain = y * q * (1.0 - weight) * _residual(clean[s])
            gain_attacked = y * q * weight * _residual(attacked[s])
            for p in range(first, last):
                for a in range(m):
                    at_attacked = powers[p, a]
                    if p == own:
                        at_attacked = moved_powers[a]
                        shift_sum[a] += shift * gain_attacked * signs[a] * at_attacked
                    elif whole_input:
                        at_attacked = attacked_powers[p, a]
                        Aa[p, a] = gain_attacked * signs[a] * at_attacked
                    A[p, a] = signs[a] * (gain * powers[p, a] + gain_attacked * at_attacked)
        if not finite:
            return t
        if not update:
            return t + 1
        multiply_left_transposed(A, X, 0.0, dW)
        if mode == COEFFICIENT:
            multiply_left_transposed(Aa, C, 0.0, M)
            multiply(M, W, 1.0, dW)
        elif mode == DIRECT:
            multiply_left_transposed(Aa, C, 1.0, dW)
        for a in range(m):
            for c in range(d):
                W[a, c] += step_size * (dW[a, c] + shift_sum[a] * signal[c]) / n
    return n_steps


@jit
def closure_trajectory(
    u, v, gram, labels, signs, strength, odd, q, code, weight, mode, radius, step_size, record, u_out, V_out,
    memorised_at,
):  # fmt: skip
    r"""Advance (u_r, v_ijr) alone, in place: the exact closure with the noise Gram matrix.

    u (m,), v (n*J, m), gram (n*J, n*J). The updates are those of `power_trajectory` with every
    inner product of two noise patches read from `gram` and noise orthogonal to the signal.
    record (T,) increasing steps; u_out (T, m) and V_out (T, n) states before those steps;
    memorised_at (n+2,): first step with V_i >= 1 for each i, with the signal score >= 1, and
    with mean V >= 1; -1 where it never happened. Returns the number of records made.
    """
    rows, m = v.shape
    n = labels.shape[0]
    J = rows // n
    powers, A, push = np.empty((rows, m)), np.empty((rows, m)), np.empty((rows, m))
    z, z_powers = np.empty(m), np.empty(m)
    moved, moved_powers, zero = np.empty(m), np.empty(m), np.zeros(m)
    du = np.empty(m)
    memorised_at[:] = -1
    t, t_record = 0, 0
    while True:
        _powers(v.reshape(-1), odd, q, code, powers.reshape(-1))
        recording = t == record[t_record]
        du[:] = 0.0
        finite = True
        signal_total, memory_total = 0.0, 0.0
        for s in range(n):
            y = labels[s]
            noise = _score(v, powers, signs, s * J, (s + 1) * J)
            signal = _shifted(zero, u, strength * y, signs, odd, q, code, z, z_powers)
            shift, attacked = 0.0, signal
            if mode != CLEAN:
                shift, attacked = _line_shift(
                    z, u, strength * y, y, mode, radius, signs, odd, q, code, moved, moved_powers
                )
            else:
                copy_row(z_powers, moved_powers)
            memory = y * noise
            finite = finite and math.isfinite(memory) and math.isfinite(signal)
            signal_total += y * signal
            memory_total += memory
            if memory >= 1.0 and memorised_at[s] < 0:
                memorised_at[s] = t
            if recording:
                V_out[t_record, s] = memory
            gain = y * q * (1.0 - weight) * _residual(y * signal + memory)
            gain_attacked = y * q * weight * _residual(y * attacked + memory)
            for a in range(m):
                du[a] += signs[a] * (
                    gain * strength * y * z_powers[a]
                    + gain_attacked * (strength * y + shift) * moved_powers[a]
                )
            for p in range(s * J, (s + 1) * J):
                for a in range(m):
                    A[p, a] = signs[a] * (gain + gain_attacked) * powers[p, a]
        if signal_total >= n and memorised_at[n] < 0:
            memorised_at[n] = t
        if memory_total >= n and memorised_at[n + 1] < 0:
            memorised_at[n + 1] = t
        if recording:
            copy_row(u, u_out[t_record])
            t_record += 1
            if t_record == record.shape[0]:
                return t_record
        if not finite:
            return t_record
        multiply(gram, A, 0.0, push)
        for a in range(m):
            u[a] += step_size * du[a] / n
        for p in range(rows):
            for a in range(m):
                v[p, a] += step_size * push[p, a] / n
        t += 1


@jit
def closure_field(
    u, c, noise_coef0, gram, labels, signs, strength, left, odd, q, code, weight, worst, du, dc, v, scores
):  # fmt: skip
    r"""Write the time derivative of the closure in (u, c), v = v0 + K c, to `du` (m,) and `dc` (n*J, m).

    Time is step size times steps. `left` is what the attack leaves of the signal, passed by itself so that
    it keeps its digits where it is small; `worst` lets the attack choose the other end, or 0, where that
    is worse. v (n*J, m) is left filled, scores (n+2,) with V_i, and the clean and the attacked signal
    score averaged over samples.
    """
    rows, m = c.shape
    n = labels.shape[0]
    J = rows // n
    powers, moved, moved_powers = np.empty((rows, m)), np.empty(m), np.empty(m)
    z, z_powers, zero = np.empty(m), np.empty(m), np.zeros(m)
    multiply(gram, c, 0.0, v)
    for p in range(rows):
        for a in range(m):
            v[p, a] += noise_coef0[p, a]
    _powers(v.reshape(-1), odd, q, code, powers.reshape(-1))
    du[:] = 0.0
    scores[n] = 0.0
    scores[n + 1] = 0.0
    for s in range(n):
        y = labels[s]
        memory = y * _score(v, powers, signs, s * J, (s + 1) * J)
        signal = _shifted(zero, u, strength * y, signs, odd, q, code, z, z_powers)
        place = left * y
        attacked = _shifted(zero, u, place, signs, odd, q, code, moved, moved_powers)
        if worst:
            for candidate in range(2):
                other = (2.0 * strength - left) * y if candidate == 0 else 0.0
                if candidate == 1 and left > 0.0:
                    continue
                value = _shifted(zero, u, other, signs, odd, q, code, moved, moved_powers)
                if y * value < y * attacked:
                    place, attacked = other, value
            attacked = _shifted(zero, u, place, signs, odd, q, code, moved, moved_powers)
        scores[s] = memory
        scores[n] += y * signal / n
        scores[n + 1] += y * attacked / n
        gain = y * q * (1.0 - weight) * _residual(y * signal + memory) / n
        gain_attacked = y * q * weight * _residual(y * attacked + memory) / n
        for a in range(m):
            du[a] += signs[a] * (gain * strength * y * z_powers[a] + gain_attacked * place * moved_powers[a])
        for p in range(s * J, (s + 1) * J):
            for a in range(m):
                dc[p, a] = signs[a] * (gain + gain_attacked) * powers[p, a]
