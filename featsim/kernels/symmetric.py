r"""Symmetric two-layer network with Gaussian-smoothed ReLU: scores, attacks, training.

Shapes: `X` (n, d) inputs, `sign` (n,) labels +-1, `WT` (d, m) weights, neurons along the
rows' direction; `bias` b >= 0 and `smoothing` s >= 0 are shared by all neurons.

.. math::
    f(x) = \sum_i \psi(\langle w_i, x \rangle), \qquad \psi(u) = h(u - b) - h(-u - b), \qquad
    h(v) = v\,\Phi(v/s) + s\,\phi(v/s), \qquad
    \frac{dL}{dw_i} = -\frac1n \sum_x y\,\sigma(-y f)\,\psi'(u_i)\,\tilde x
        + \lambda\,w_i (1 + \|w_i\|).

The normal density and tail come from one exponential each and one rational function, written so that LLVM
vectorises them: no table, no branch, no division by a runtime zero check. Samples are worked off in blocks
whose arrays stay in cache. Inputs with few nonzero entries (noise-free codes in the dictionary's own basis)
take sums of rows of `WT` instead of a matrix product; the caller chooses, by the data alone.

These kernels call each other, so they share this file: Numba does not recompile
a cached caller when a callee in another file changes.
"""

from __future__ import annotations

import math

import numpy as np

from featsim.kernels._elementary import bits_of, from_bits
from featsim.kernels._jit import inner, jit, precise
from featsim.kernels._matrix import multiply, multiply_left_transposed, multiply_right_transposed

BLOCK_ROWS = 256
NONE, L2, LINF = 0, 1, 2
# Columns of what every step of training leaves behind, means over its samples.
STEP_STATISTICS = ("clean_loss", "clean_accuracy", "attacked_loss", "attacked_accuracy")

_MAGIC = 6755399441055744.0  # adding 3 * 2^51 rounds to the nearest integer and leaves it in the low bits
_FAR = 37.6  # beyond, the density is below 1e-307


@precise
def _exponential(r):
    """e^r for |r| <= ln(2)/2: Taylor to degree 13, error below 1e-17."""
    a0 = 1.0 * r + 1.0
    a1 = 0.16666666666666666 * r + 0.5
    a2 = 0.008333333333333333 * r + 0.041666666666666664
    a3 = 0.0001984126984126984 * r + 0.001388888888888889
    a4 = 2.7557319223985893e-06 * r + 2.48015873015873e-05
    a5 = 2.505210838544172e-08 * r + 2.755731922398589e-07
    a6 = 1.6059043836821613e-10 * r + 2.08767569878681e-09
    r2 = r * r
    b0 = a1 * r2 + a0
    b1 = a3 * r2 + a2
    b2 = a5 * r2 + a4
    r4 = r2 * r2
    c0 = b1 * r4 + b0
    c1 = a6 * r4 + b2
    r8 = r4 * r4
    return c1 * r8 + c0


@precise
def _ramp_polynomial(t):
    """(1 + 2z)^2 (1 - x (1 - Phi(x))/phi(x)), z = x/sqrt(2); fitted at Chebyshev nodes to 3e-17."""
    a0 = -0.28891496883396167 * t + 2.3342903551819307
    a1 = 0.6467986050602161 * t - 0.347577943520837
    a2 = 0.29210856840834426 * t - 0.5696699339601281
    a3 = -0.09497624127604147 * t - 0.03218620581497581
    a4 = -0.05599207039282808 * t + 0.10091575662436966
    a5 = 0.00036482628624473983 * t + 0.016556312273766617
    a6 = 0.0007454082485393585 * t - 0.0025056712357486963
    a7 = -0.00015639302144542877 * t + 0.00018000329378080026
    a8 = 2.5884885074994697e-05 * t - 4.748034043404796e-07
    a9 = -4.220896792357077e-06 * t - 2.7986203398154775e-06
    a10 = 6.917291304045805e-07 * t + 7.138253515697622e-07
    a11 = -9.85285686651626e-08 * t - 1.2931974130575024e-07
    a12 = 8.332087772610304e-09 * t + 1.7390724994907802e-08
    t2 = t * t
    b0 = a1 * t2 + a0
    b1 = a3 * t2 + a2
    b2 = a5 * t2 + a4
    b3 = a7 * t2 + a6
    b4 = a9 * t2 + a8
    b5 = a11 * t2 + a10
    b6 = -1.3147491853753882e-09 * t2 + a12
    t4 = t2 * t2
    c0 = b1 * t4 + b0
    c1 = b3 * t4 + b2
    c2 = b5 * t4 + b4
    t8 = t4 * t4
    d0 = c1 * t8 + c0
    d1 = b6 * t8 + c2
    t16 = t8 * t8
    return d1 * t16 + d0


@precise
def _density(a):
    """phi(a) for a >= 0; the square is formed in two parts, so that far tails keep their digits."""
    c = _FAR if a > _FAR else a
    high = float(np.float32(c))
    low = 0.5 * (c - high) * (c + high)
    y = -0.5 * high * high
    shifted = y * 1.4426950408889634 + _MAGIC
    k = shifted - _MAGIC
    r = (y - k * 0.6931471803691238) - k * 1.9082149292705877e-10
    scale = 0.3989422804014327 - 0.3989422804014327 * low * (1.0 - 0.5 * low * (1.0 - low / 3.0))
    value = _exponential(r) * scale * from_bits((bits_of(shifted) << 52) + (1023 << 52))
    return 0.0 if a > _FAR else value


@precise
def _argument(a):
    """Return (z - 3.75)/(z + 3.75) and 1/(1 + 2z), z = a/sqrt(2), a >= 0, with one division."""
    z = 0.7071067811865476 * (1e8 if a > 1e8 else a)
    u, v = 1.0 + 2.0 * z, z + 3.75
    inverse = 1.0 / (u * v)
    return (z - 3.75) * u * inverse, v * inverse


# Training works with c = x sqrt(log2(e)/2), where the density is 2^(-c^2) and c^2 is split by rounding alone.
_SCALE = 0.8493218002880191
_FAR_SCALED = 31.9  # _FAR times _SCALE, and below 32: 2^(-c^2) is a normal number


@precise
def _bell(w):
    """_SCALE phi(x), w = (_SCALE x)^2 <= 1020; a polynomial of degree 11 to 5e-18 in 2^(-v), |v| <= 1/2."""
    shifted = _MAGIC - w
    v = w + (shifted - _MAGIC)
    v2 = v * v
    even = 2.396951912243469e-09 * v2 + 4.477789972523254e-07
    odd = -1.5097664563847962e-10 * v2 - 3.4486349079665464e-08
    even = even * v2 + 5.2191840156943855e-05
    odd = odd * v2 - 5.168089539535739e-06
    even = even * v2 + 0.003258914300031641
    odd = odd * v2 - 0.0004517814517518756
    even = even * v2 + 0.08139603763044666
    odd = odd * v2 - 0.01880647799743172
    even = even * v2 + 0.3388303758015525
    odd = odd * v2 - 0.23485931967491283
    # The rounded exponent sits in the low bits, and moves to that of the polynomial.
    return from_bits(bits_of(odd * v + even) + (bits_of(shifted) << 52))


@precise
def _mills(c, w):
    """Numerator and denominator of (1 - Phi(x)) / (_SCALE phi(x)), c = _SCALE x >= 0, w = c^2.

    Monic polynomials of degree 9 and 10, fitted to 1e-16 relative. The upper coefficients are divided by
    factors w + r at the roots -r of the odd part, which takes one multiplication for two degrees; the lower
    ones follow Horner, where such factors would cancel.
    """
    above = 22.465741305407807 * c + (w + 170.60625515006194)
    below = 22.465741305347578 * c + (w + 170.60625518694644)
    above = (w + 52.25239922150919) * above - 6055.141942794789
    below = (w + 55.57893247723734) * below - 6055.141883140395
    above = (w + 24.93731133985823) * above + 1635.1619527398739
    below = (w + 14.030049561030498) * below - 24117.83951572438
    above = above * c + 126041.76693144288
    below = (w + 8.302076015824925) * below - 15819.389065225378
    above = above * c + 138351.24796911536
    below = below * c + 141523.9911908096
    return above * c + 75035.02495560398, below * c + 50848.291407972334


@inner
def _respond(z, b, s, slope):
    """Write psi'(z) of one row to `slope`; return the sum of psi(z).

    Both terms share one division. To 3e-16 absolute; the tails' relative error is that of an argument
    rounded to two units in the last place, 2e-14 at nine standard deviations.
    """
    total = 0.0
    if s == 0.0:
        for i in range(z.shape[0]):
            a = abs(z[i])
            p = a - b
            slope[i] = (1.0 if p > 0.0 else (0.5 if p == 0.0 else 0.0)) + (0.5 if a + b == 0.0 else 0.0)
            v = p if p > 0.0 else p * 0.0
            total += v if z[i] > 0.0 else -v
        return total
    inverse = _SCALE / s
    for i in range(z.shape[0]):
        u = z[i]
        a = abs(u)
        p, q = (a - b) * inverse, (a + b) * inverse
        e = abs(p)
        c1, c2 = _FAR_SCALED if e > _FAR_SCALED else e, _FAR_SCALED if q > _FAR_SCALED else q
        w1, w2 = c1 * c1, c2 * c2
        above1, below1 = _mills(c1, w1)
        above2, below2 = _mills(c2, w2)
        # First the division, then the exponentials, which do not wait for it.
        shared = 1.0 / (below1 * below2)
        bell1, bell2 = _bell(w1), _bell(w2)
        bell1, bell2 = 0.0 if e > _FAR_SCALED else bell1, 0.0 if q > _FAR_SCALED else bell2
        tail1, tail2 = bell1 * (above1 * below2 * shared), bell2 * (above2 * below1 * shared)
        slope[i] = (1.0 - tail1 if p > 0.0 else tail1) + tail2
        v = (p if p > 0.0 else 0.0) + ((bell1 - c1 * tail1) - (bell2 - c2 * tail2))
        total += v if u > 0.0 else -v
    return total * (s / _SCALE)


@precise
def _ramp(x):
    """Return h at s = 1, x Phi(x) + phi(x), accurate in both tails."""
    a = abs(x)
    t, w = _argument(a)
    rest = _density(a) * w * w * _ramp_polynomial(t)
    return x + rest if x > 0.0 else rest


@precise
def _cdf(x):
    a = abs(x)
    c = _SCALE * (_FAR if a > _FAR else a)
    above, below = _mills(c, c * c)
    tail = _density(a) * _SCALE * above / below
    return 1.0 - tail if x > 0.0 else tail


@jit
def gaussian_relu(v, s, out):
    """Write h(v) to `out`; both 1-D."""
    for i in range(v.shape[0]):
        if s == 0.0:
            out[i] = v[i] if v[i] > 0.0 else v[i] * 0.0
        else:
            out[i] = s * _ramp(v[i] / s)


@jit
def gaussian_relu_slope(v, s, out):
    """Write h'(v) to `out`; both 1-D."""
    for i in range(v.shape[0]):
        if s == 0.0:
            out[i] = 1.0 if v[i] > 0.0 else (0.5 if v[i] == 0.0 else v[i] * 0.0)
        else:
            out[i] = _cdf(v[i] / s)


@jit
def gaussian_relu_curvature(v, s, out):
    """Write h''(v), s > 0, to `out`; both 1-D."""
    for i in range(v.shape[0]):
        out[i] = _density(abs(v[i] / s)) / s


@inner
def _psi(u, b, s):
    """psi(u), accurate near 0 and in the tails."""
    a = abs(u)
    sign = 1.0 if u > 0.0 else -1.0
    if s == 0.0:
        return sign * (a - b) if a > b else u * 0.0
    t, beta = a / s, b / s
    if t * (1.0 + beta) < 2e-3:  # the difference below would cancel: Taylor, next term of order t^6 relative
        slope = 2.0 * _cdf(-beta)
        cubic = 2.0 * _density(beta) * beta
        fifth = -2.0 * _density(beta) * beta * (3.0 - beta * beta)
        t2 = t * t
        return sign * s * t * (slope + t2 * (cubic / 6.0 + t2 * fifth / 120.0))
    return sign * s * (_ramp(t - beta) - _ramp(-t - beta))


@jit
def activation(u, b, s, out):
    """Write psi(u) to `out`; both 1-D."""
    for i in range(u.shape[0]):
        out[i] = _psi(u[i], b, s)


@jit
def activation_slope(u, b, s, out):
    """Write psi'(u) to `out`; both 1-D."""
    _respond(u, b, s, out)


@jit
def activation_curvature(u, b, s, out):
    """Write psi''(u), s > 0, to `out`; both 1-D."""
    for i in range(u.shape[0]):
        a = abs(u[i])
        p, q = (a - b) / s, (a + b) / s
        value = (_density(abs(p)) - _density(q)) / s
        beta = b / s
        if a / s * (1.0 + beta) < 1e-3:  # the two densities would cancel
            t = a / s
            value = 2.0 * _density(beta) * beta * t * (1.0 - (3.0 - beta * beta) * t * t / 6.0) / s
        out[i] = value if u[i] > 0.0 else -value


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
def _respond_power(z, power, slope):
    """Write the slopes of z_0 + sum_{i>0} z_i^q in each z_i to `slope`; return that sum."""
    slope[0] = 1.0
    total = z[0]
    for i in range(1, z.shape[0]):
        u = z[i]
        square = u * u
        below = square if power == 3 else (square * square if power == 5 else abs(u) ** (power - 1))
        slope[i] = power * below
        total += u * below
    return total


@inner
def _score(z, power, b, s, slope):
    """Score of one row of preactivations, and its derivatives in them; power 0 is the symmetric network."""
    if power > 0:
        return _respond_power(z, power, slope)
    return _respond(z, b, s, slope)


@inner
def _rows_per_block(n):
    """Blocks of equal length, none longer than BLOCK_ROWS."""
    blocks = (n + BLOCK_ROWS - 1) // BLOCK_ROWS
    return (n + blocks - 1) // blocks


@inner
def _project(X, WT, sparse, Z):
    """Z = X WT; `sparse` sums the rows of WT that X picks."""
    if not sparse:
        multiply(X, WT, 0.0, Z)
        return
    m = WT.shape[1]
    for r in range(X.shape[0]):
        row = Z[r]
        row[:] = 0.0
        for j in range(X.shape[1]):
            x = X[r, j]
            if x != 0.0:
                for i in range(m):
                    row[i] += x * WT[j, i]


@inner
def _ascend(G, sign, X, delta, Y, norm, step, radius):
    """One steepest step of -y f by `step`, projected; Y = X + delta. G is the gradient of f.

    Rows are scaled by their largest entry first, so that tiny gradients keep their direction.
    """
    d = X.shape[1]
    for r in range(X.shape[0]):
        g = G[r]
        largest = 0.0
        for c in range(d):
            a = abs(g[c])
            largest = a if a > largest else largest
        if norm == LINF:
            for c in range(d):
                move = -sign[r] * step
                move = move if g[c] > 0.0 else (-move if g[c] < 0.0 else g[c])
                new = delta[r, c] + move
                delta[r, c] = radius if new > radius else (-radius if new < -radius else new)
        elif largest > 0.0:
            square = 0.0
            for c in range(d):
                square += (g[c] / largest) * (g[c] / largest)
            length = -sign[r] * step / (largest * math.sqrt(square))
            moved = 0.0
            for c in range(d):
                delta[r, c] += length * g[c]
                moved += delta[r, c] * delta[r, c]
            # One step from the centre lands on the sphere already, up to rounding.
            if moved > radius * radius * (1.0 + 4e-16):
                scale = radius / math.sqrt(moved)
                for c in range(d):
                    delta[r, c] *= scale
        for c in range(d):
            Y[r, c] = X[r, c] + delta[r, c]


@inner
def _losses(f, sign, n, residual, statistics):
    """Add loss and accuracy to `statistics` (2,); residual[r] = dL/df of a mean over n samples."""
    for r in range(f.shape[0]):
        margin = sign[r] * f[r]
        statistics[0] += _softplus(-margin) / n
        statistics[1] += (1.0 if margin > 0.0 else 0.0) / n
        residual[r] = -sign[r] * _sigmoid(-margin) / n


@inner
def _workspace(n, d, m, attacked):
    """Arrays that every step over n samples overwrites; made once, since fresh pages cost time."""
    R = _rows_per_block(n)
    moved = R if attacked else 1
    return (
        np.empty((R, m)), np.empty((R, m)),  # preactivations, slopes
        np.empty((moved, d)), np.empty((moved, d)), np.empty((moved, d)),  # input gradient, move, attacked
        np.empty((R, d)), np.empty(R), np.empty(R), np.empty(R),  # samples, scores, residuals, signs
    )  # fmt: skip


@inner
def _step_gradient(
    X, sign, index, WT, sparse, power, b, s, norm, radius, n_inner, inner_step, workspace, dWT, statistics
):  # fmt: skip
    """Write the gradient of the mean attacked loss over the samples `index` (all if empty) to dWT.

    Where dWT is empty only the statistics are wanted. Flags are passed on, not written as literals:
    Numba would compile all of this once for every literal.
    """
    d, m = WT.shape
    gather = index.shape[0] > 0
    n = index.shape[0] if gather else X.shape[0]
    R = _rows_per_block(n)
    Z, A, G, delta, Y, gathered, f, residual, signs = workspace
    attacked = norm != NONE
    dense_update = attacked or not sparse
    statistics[:] = 0.0
    if not dense_update:
        dWT[:] = 0.0
    for start in range(0, n, R):
        rows = min(R, n - start)
        for r in range(rows):
            i = index[start + r] if gather else start + r
            signs[r] = sign[i]
            for c in range(d):
                gathered[r, c] = X[i, c]
        Xb, yb = gathered[:rows], signs[:rows]
        _project(Xb, WT, sparse, Z[:rows])
        for r in range(rows):
            f[r] = _score(Z[r], power, b, s, A[r])
        _losses(f[:rows], yb, n, residual, statistics[:2])
        if attacked:
            delta[:rows] = 0.0
            for _ in range(n_inner):
                multiply_right_transposed(A[:rows], WT, 0.0, G[:rows])
                _ascend(G[:rows], yb, Xb, delta[:rows], Y[:rows], norm, inner_step, radius)
                multiply(Y[:rows], WT, 0.0, Z[:rows])
                for r in range(rows):
                    f[r] = _score(Z[r], power, b, s, A[r])
            _losses(f[:rows], yb, n, residual, statistics[2:])
        if dWT.shape[0] == 0:
            continue
        if not dense_update:
            for r in range(rows):
                for j in range(d):
                    x = residual[r] * Xb[r, j]
                    if x != 0.0:
                        for i in range(m):
                            dWT[j, i] += x * A[r, i]
            continue
        # Scaling the inputs touches d numbers per row, scaling the slopes would touch m.
        for r in range(rows):
            for c in range(d):
                gathered[r, c] = residual[r] * (Y[r, c] if attacked else gathered[r, c])
        multiply_left_transposed(Xb, A[:rows], 0.0 if start == 0 else 1.0, dWT)


@inner
def _squares(WT, out):
    """out[i] = |w_i|^2."""
    out[:] = 0.0
    for j in range(WT.shape[0]):
        for i in range(WT.shape[1]):
            out[i] += WT[j, i] * WT[j, i]


@inner
def _neuron_parts(CT, squares, label_weights, winner, pure, dense, rest):
    """Split every neuron; CT (D, m) holds <w_i, M_j>, squares |w_i|^2.

    winner: feature of largest |c|; pure: its c; dense: coefficient of the label's mixture of the
    other features; rest: norm of what remains, the part outside of the dictionary included.
    """
    D, m = CT.shape
    best, total, mixed = np.zeros(m), np.zeros(m), np.zeros(m)
    winner[:] = 0
    weight = 0.0
    for j in range(D):
        w = label_weights[j]
        weight += w * w
        for i in range(m):
            c = CT[j, i]
            a = abs(c)
            larger = a > best[i]
            best[i] = a if larger else best[i]
            winner[i] = j if larger else winner[i]
            mixed[i] += w * c
            total[i] += c * c
    for i in range(m):
        j = winner[i]
        w = label_weights[j]
        pure[i] = CT[j, i]
        dense[i] = (mixed[i] - w * pure[i]) / (weight - w * w) if D > 1 else 0.0
        outside = squares[i] - total[i]
        # The dictionary may span everything: what is left then is rounding.
        rest[i] = outside if outside > 1e-12 * squares[i] else 0.0
    for j in range(D):
        w = label_weights[j]
        for i in range(m):
            r = CT[j, i] - dense[i] * w
            rest[i] += 0.0 if winner[i] == j else r * r
    for i in range(m):
        rest[i] = math.sqrt(rest[i])


@jit
def neuron_parts(CT, squares, label_weights, winner, pure, dense, rest):
    """Split every neuron into its parts; see `_neuron_parts`."""
    _neuron_parts(CT, squares, label_weights, winner, pure, dense, rest)


@jit
def scores(X, WT, power, b, s, f):
    """f[r], the score of each row of X."""
    R = _rows_per_block(X.shape[0])
    Z, A = np.empty((R, WT.shape[1])), np.empty(WT.shape[1])
    for start in range(0, X.shape[0], R):
        rows = min(R, X.shape[0] - start)
        multiply(X[start : start + rows], WT, 0.0, Z[:rows])
        for r in range(rows):
            f[start + r] = _score(Z[r], power, b, s, A)


@jit
def input_gradients(X, WT, power, b, s, G):
    """G[r], the gradient of the score at each row of X."""
    R = _rows_per_block(X.shape[0])
    Z, A = np.empty((R, WT.shape[1])), np.empty((R, WT.shape[1]))
    for start in range(0, X.shape[0], R):
        rows = min(R, X.shape[0] - start)
        multiply(X[start : start + rows], WT, 0.0, Z[:rows])
        for r in range(rows):
            _score(Z[r], power, b, s, A[r])
        multiply_right_transposed(A[:rows], WT, 0.0, G[start : start + rows])


@jit
def weight_gradient(
    X, sign, index, WT, sparse, power, b, s, norm, radius, n_inner, inner_step, dWT, statistics
):  # fmt: skip
    """Gradient of the mean loss at attacked points over the rows `index` (all if empty), STEP_STATISTICS."""
    n = index.shape[0] if index.shape[0] > 0 else X.shape[0]
    workspace = _workspace(n, WT.shape[0], WT.shape[1], norm != NONE)
    _step_gradient(
        X, sign, index, WT, sparse, power, b, s, norm, radius, n_inner, inner_step, workspace, dWT, statistics
    )  # fmt: skip


@jit
def trajectory(
    X, sign, batches, sparse, WT, power, base, left, right, bias, smoothing, step_size, decay,
    norm, radius, n_inner, inner_step, dictionary, label_weights,
    record_at, keep_at, update, winner, pure, dense, rest, statistics, kept,
):  # fmt: skip
    """Gradient descent on WT (d, m) in place, states recorded before each step.

    power: 0 for the symmetric network; q for <v, x> + sum_i <w_i, x>^q, whose first column is v.
    bias, smoothing (T,): b and s of each step; batches (T, B) rows of X, or (T, 0) for all of them.
    `base` (d, m) with right (d, r) and left (m, r): WT = base + right left^T, and only the factors
    move; r = 0 trains WT itself. `dictionary` (d, D), or (0, 0) for the identity.
    winner, pure, dense, rest (T', m) and kept (T'', m, d) are filled in order; statistics (T, 4)
    of every step. Returns the number of steps done, smaller than T where a loss or a weight was not finite.
    """
    d, m = WT.shape
    dWT = np.empty((d if update else 0, m))
    squares = np.empty(m)
    low_rank = left.shape[1] > 0
    by_left, by_right = np.empty(left.shape), np.empty(right.shape)
    rotated = dictionary.shape[0] > 0
    table = np.empty((dictionary.shape[1], m if rotated else 0))
    t_record, t_keep = 0, 0
    n = batches.shape[1] if batches.shape[1] > 0 else X.shape[0]
    workspace = _workspace(n, d, m, norm != NONE)
    for t in range(bias.shape[0]):
        _squares(WT, squares)
        if record_at[t] and winner.shape[1] > 0:
            if rotated:
                multiply_left_transposed(dictionary, WT, 0.0, table)
            CT = table if rotated else WT
            _neuron_parts(
                CT, squares, label_weights, winner[t_record], pure[t_record], dense[t_record], rest[t_record]
            )
            t_record += 1
        if keep_at[t]:
            for j in range(d):
                for i in range(m):
                    kept[t_keep, i, j] = WT[j, i]
            t_keep += 1
        _step_gradient(
            X, sign, batches[t], WT, sparse, power, bias[t], smoothing[t], norm, radius, n_inner, inner_step,
            workspace, dWT, statistics[t],
        )  # fmt: skip
        total = statistics[t, 0] + statistics[t, 2]
        for i in range(m):
            total += squares[i]
        if not math.isfinite(total):
            return t
        if not update:
            continue
        for i in range(m):
            squares[i] = decay * (1.0 + math.sqrt(squares[i]))
        if low_rank:
            for j in range(d):
                for i in range(m):
                    dWT[j, i] += squares[i] * WT[j, i]
            multiply_left_transposed(dWT, right, 0.0, by_left)
            multiply(dWT, left, 0.0, by_right)
            for k in range(left.shape[1]):
                for i in range(m):
                    left[i, k] -= step_size * by_left[i, k]
                for j in range(d):
                    right[j, k] -= step_size * by_right[j, k]
            multiply_right_transposed(right, left, 0.0, dWT)
            for j in range(d):
                for i in range(m):
                    WT[j, i] = base[j, i] + dWT[j, i]
        else:
            for j in range(d):
                for i in range(m):
                    WT[j, i] -= step_size * (dWT[j, i] + squares[i] * WT[j, i])
    return bias.shape[0]


@inner
def _gates(z, hard, b, s, gate):
    """Write the gates of one row of <w0_i, x> (+ b_i where hard): psi'(z), or 1[z >= 0]."""
    if not hard:
        _respond(z, b, s, gate)
        return
    for i in range(z.shape[0]):
        gate[i] = 1.0 if z[i] >= 0.0 else z[i] * 0.0


@inner
def _gate_derivative(z, v, hard, sharpness, b, s, gate, out):
    """Write v_i times the gate's derivative to `out`; a sigmoid takes the place of a hard gate."""
    for i in range(z.shape[0]):
        if hard:
            g = _sigmoid(sharpness * z[i])
            gate[i] = g
            out[i] = v[i] * sharpness * g * (1.0 - g)
        elif s == 0.0:
            out[i] = 0.0
        else:
            a = abs(z[i])
            bend = (_density(abs(a - b) / s) - _density((a + b) / s)) / s
            out[i] = v[i] * (bend if z[i] > 0.0 else -bend)


@inner
def _gate_gradient(Z, V, VT, WT, hard, sharpness, b, s, A, B, G):
    """G = A V + (V's preactivations times the gates' derivatives) W0 on a block."""
    for r in range(Z.shape[0]):
        _gate_derivative(Z[r], V[r], hard, sharpness, b, s, A[r], B[r])
    multiply_right_transposed(A, VT, 0.0, G)
    multiply_right_transposed(B, WT, 1.0, G)


@inner
def _gate_forward(X, VT, WT, shift, hard, b, s, Z, V, A, f):
    """Preactivations of gates and of V, gates and scores on a block."""
    multiply(X, WT, 0.0, Z)
    multiply(X, VT, 0.0, V)
    for r in range(X.shape[0]):
        if hard:
            for i in range(Z.shape[1]):
                Z[r, i] += shift[i]
        _gates(Z[r], hard, b, s, A[r])
        total = 0.0
        for i in range(Z.shape[1]):
            total += A[r, i] * V[r, i]
        f[r] = total


@jit
def gate_scores(X, VT, WT, shift, hard, sharpness, b, s, f, G):
    """Scores f of p(x) = sum_i gate_i(x) <v_i, x> with frozen gates, and their input gradients G.

    VT, WT (d, m); shift (m,) biases of hard gates, whose gradient is that of sigmoid(sharpness z).
    """
    n, m = X.shape[0], VT.shape[1]
    R = _rows_per_block(n)
    Z, V, A, B = np.empty((R, m)), np.empty((R, m)), np.empty((R, m)), np.empty((R, m))
    block = np.empty((R, X.shape[1]))  # X is read-only: another type, and all would be compiled again
    for start in range(0, n, R):
        rows = min(R, n - start)
        Xb, Gb = block[:rows], G[start : start + rows]
        for r in range(rows):
            for c in range(X.shape[1]):
                Xb[r, c] = X[start + r, c]
        _gate_forward(Xb, VT, WT, shift, hard, b, s, Z[:rows], V[:rows], A[:rows], f[start : start + rows])
        _gate_gradient(Z[:rows], V[:rows], VT, WT, hard, sharpness, b, s, A[:rows], B[:rows], Gb)


@jit
def gate_trajectory(
    X, sign, batches, VT, WT, shift, hard, sharpness, b, s, step_size, decay, norm, radius, n_inner,
    inner_step, n_steps, keep_at, update, statistics, kept,
):  # fmt: skip
    """Gradient descent on VT (d, m) in place, the gates WT frozen; arguments as for `trajectory`."""
    d, m = VT.shape
    full = batches.shape[1] == 0
    n = X.shape[0] if full else batches.shape[1]
    Xb, yb, f, residual = np.empty((n, d)), np.empty(n), np.empty(n), np.empty(n)
    Z, V, A, B = np.empty((n, m)), np.empty((n, m)), np.empty((n, m)), np.empty((n, m))
    G, delta, Y = np.empty((n, d)), np.empty((n, d)), np.empty((n, d))
    dVT, squares = np.empty((d, m)), np.empty(m)
    t_keep = 0
    for t in range(n_steps):
        if keep_at[t]:
            for j in range(d):
                for i in range(m):
                    kept[t_keep, i, j] = VT[j, i]
            t_keep += 1
        for r in range(n):
            row = r if full else batches[t, r]
            yb[r] = sign[row]
            for c in range(d):
                Xb[r, c] = X[row, c]
                Y[r, c] = X[row, c]
        statistics[t] = 0.0
        _gate_forward(Xb, VT, WT, shift, hard, b, s, Z, V, A, f)
        _losses(f, yb, n, residual, statistics[t, :2])
        if norm != NONE:
            delta[:] = 0.0
            for _ in range(n_inner):
                _gate_gradient(Z, V, VT, WT, hard, sharpness, b, s, A, B, G)
                _ascend(G, yb, Xb, delta, Y, norm, inner_step, radius)
                _gate_forward(Y, VT, WT, shift, hard, b, s, Z, V, A, f)
            _losses(f, yb, n, residual, statistics[t, 2:])
        _squares(VT, squares)
        total = statistics[t, 0] + statistics[t, 2]
        for i in range(m):
            total += squares[i]
        if not math.isfinite(total):
            return t
        if not update:
            continue
        for r in range(n):
            for c in range(d):
                Y[r, c] *= residual[r]
        multiply_left_transposed(Y, A, 0.0, dVT)
        for i in range(m):
            squares[i] = decay * (1.0 + math.sqrt(squares[i]))
        for j in range(d):
            for i in range(m):
                VT[j, i] -= step_size * (dVT[j, i] + squares[i] * VT[j, i])
    return n_steps
