r"""Tangent kernels in closed form and by quadrature: arrays in, arrays out, no checks.

A kernel of the family :math:`K(x, y) = (|x||y|)^p\,G(\rho)`, :math:`\rho = \cos\theta(x, y)`, is given by
its profile G and slope G'. These are plain NumPy: element-wise functions of Gram matrices.
"""

from __future__ import annotations

import numpy as np

_SMALL_SINE = 1e-9
_REFINE = 1e-4
_TAIL = 9.0  # normal tails beyond are below 1e-18
_NODE_PAIRS = 1 << 15  # quadrature nodes times pairs of inputs that are evaluated at once
_KNOTS = (-3.0, 3.0)  # further edges of panels: one of length 9 takes three times the nodes


def cosines(X, Z):
    """Return cosines and sines of the angles between rows, (n, n') each, precise for parallel rows too."""
    lengths, others = np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1)
    U = X / np.where(lengths > 0, lengths, 1.0)[:, None]
    V = Z / np.where(others > 0, others, 1.0)[:, None]
    cosine = np.clip(U @ V.T, -1.0, 1.0)
    sine = np.sqrt((1.0 - cosine) * (1.0 + cosine))
    rows, columns = np.nonzero(np.abs(cosine) > 1.0 - _REFINE)
    # 1 - cos has lost half its digits there; |u -+ v| = 2 sin(theta/2) has not.
    sign = np.sign(cosine[rows, columns])
    half = 0.5 * np.linalg.norm(U[rows] - sign[:, None] * V[columns], axis=1)
    half = np.where(half < 1e-15, 0.0, half)
    sine[rows, columns] = 2.0 * half * np.sqrt(np.maximum(1.0 - half**2, 0.0))
    cosine[rows, columns] = sign * (1.0 - 2.0 * half**2)
    return cosine, sine


def angles(cosine, sine):
    """Return the angle in [0, pi] of given cosine and sine."""
    return np.arctan2(sine, cosine)


def arc_profiles(cosine, sine):
    r"""Return k0, k1, k2 of unit vectors: E over w ~ N(0, I) of 1*1, relu*relu, relu^2*relu^2."""
    rest = np.pi - angles(cosine, sine)
    k0 = rest / (2 * np.pi)
    k1 = (sine + rest * cosine) / (2 * np.pi)
    k2 = (3 * sine * cosine + rest * (1 + 2 * cosine**2)) / (2 * np.pi)
    return k0, k1, k2


def relu_profile(cosine, sine, both):
    """Return G and G' of the two-layer ReLU kernel (p = 1); `both` adds the output layer's part."""
    k0, k1, _ = arc_profiles(cosine, sine)
    value = cosine * k0 + (k1 if both else 0.0)
    steep = np.where(sine < _SMALL_SINE, 0.0, cosine / (2 * np.pi * np.where(sine > 0, sine, 1.0)))
    # dk1/drho = k0, dk0/drho = 1/(2 pi sin)
    return value, k0 + steep + (k0 if both else 0.0)


def quadratic_profile(cosine, sine, both):
    """Return G and G' of the two-layer quadratic-ReLU kernel (p = 2)."""
    k0, k1, k2 = arc_profiles(cosine, sine)
    value = 4 * cosine * k1 + (k2 if both else 0.0)
    slope = 4 * (k1 + cosine * k0) + (4 * k1 if both else 0.0)  # dk2/drho = 4 k1
    return value, slope


def deep_relu_profile(cosine, sine, depth):
    """Return G and G' of the deep ReLU kernel with `depth` trained layers (p = 1).

    (1/2) sum_h S_{h-1} prod_{k >= h} D_k with S_0 = rho, S_{h+1} = (sin + (pi - theta) cos)/pi,
    D_{h+1} = (pi - theta)/pi at theta = arccos S_h.
    """
    total, slope = np.zeros_like(cosine), np.zeros_like(cosine)
    change = np.ones_like(cosine)  # dS_h / drho
    for _ in range(depth):
        rest = np.pi - angles(cosine, sine)
        factor = rest / np.pi
        steep = np.where(sine < _SMALL_SINE, 0.0, 1.0 / (np.pi * np.where(sine > 0, sine, 1.0)))
        # Horner's scheme over layers: total <- (total + S_h) D_{h+1}
        slope = (slope + change) * factor + (total + cosine) * steep * change
        total = (total + cosine) * factor
        after = (sine + rest * cosine) / np.pi
        # 1 - S_{h+1} without cancellation near parallel vectors is not needed beyond the first layer
        change = change * factor
        cosine = np.clip(after, -1.0, 1.0)
        sine = np.sqrt((1.0 - cosine) * (1.0 + cosine))
    return 0.5 * total, 0.5 * slope


def homogeneous_gram(X, Z, power, profile):
    """Return K(x, z) = (|x||z|)^p G(rho), (n, n')."""
    value, _ = profile(*cosines(X, Z))
    return np.outer(np.linalg.norm(X, axis=1) ** power, np.linalg.norm(Z, axis=1) ** power) * value


def homogeneous_gradient(X, Z, coefficients, power, profile):
    """Return sum_j beta_j grad_x K(x, z_j), (n, d); every x must be nonzero."""
    lengths, others = np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1)
    cosine, sine = cosines(X, Z)
    value, slope = profile(cosine, sine)
    weights = lengths[:, None] ** (power - 1) * (others**power * coefficients)[None, :]
    U = X / lengths[:, None]
    V = Z / np.where(others > 0, others, 1.0)[:, None]
    along = np.sum(weights * (power * value - slope * cosine), axis=1, keepdims=True)
    return along * U + (weights * slope) @ V


def panel_rule(n_nodes):
    """Return nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def normal_panels(edges, nodes, weights):
    """Return nodes and weights for E over N(0, 1) on panels between `edges` (..., e): (..., (e+1) q)."""
    knots = np.broadcast_to(_KNOTS, (*edges.shape[:-1], len(_KNOTS)))
    edges = np.sort(np.concatenate([np.clip(edges, -_TAIL, _TAIL), knots], axis=-1), axis=-1)
    low, length = edges[..., :-1, None], np.diff(edges, axis=-1)[..., None]
    points = low + length * nodes
    density = length * weights * np.exp(-0.5 * points**2) / np.sqrt(2 * np.pi)
    shape = (*edges.shape[:-1], -1)
    return points.reshape(shape), density.reshape(shape)


def smooth_expectations(X, Z, left, right, joints, rule, order):
    """Return E left(<w,x>) right(<w,z>) a^i b^j for (i, j) = (0,0) and, if order is 1, (1,0) and (0,1).

    a and b are the coordinates of w along x and along the part of z orthogonal to it. Both integrals are
    cut where an argument passes one of `joints`, which Gauss-Hermite nodes would integrate across.
    """
    lengths, others = np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1)
    cosine, sine = cosines(X, Z)
    ends = np.array([-np.inf, *joints, np.inf])
    outer, outer_weights = normal_panels(ends / lengths[:, None], *rule)
    plain, first, second = np.zeros(cosine.shape), np.zeros(cosine.shape), np.zeros(cosine.shape)
    spread = np.maximum(others * sine, 1e-300)[..., None]
    for a, weight in zip(outer.T, outer_weights.T, strict=True):
        inner = left(lengths * a) * weight
        centre = others * cosine * a[:, None]
        b, density = normal_panels((ends - centre[..., None]) / spread, *rule)
        term = density * right(centre[..., None] + spread * b)
        value = term.sum(axis=-1)
        plain += inner[:, None] * value
        if order:
            first += (inner * a)[:, None] * value
            second += inner[:, None] * np.sum(b * term, axis=-1)
    return plain, first, second


def gate_probability(h, k, correlation, nodes, weights):
    r"""Return P(xi >= -h, eta >= -k) for standard normals of given correlation: Plackett's integral.

    Phi(h)Phi(k) + (1/2pi) int_0^{arcsin rho} exp(-(h^2 - 2hk sin t + k^2)/(2 cos^2 t)) dt, where the
    exponent is -((h-k)^2/(2 cos^2 t) + hk/(1 + sin t)), so that nothing cancels at t -> pi/2.
    """
    from scipy.special import ndtr

    end = np.arcsin(np.clip(correlation, -1.0, 1.0))
    gap, product = (h - k) ** 2 / 2.0, h * k
    total = np.zeros(np.broadcast(h, k, correlation).shape)
    several = max(1, _NODE_PAIRS // max(total.size, 1))  # nodes at a time
    for first in range(0, len(nodes), several):
        part = slice(first, first + several)
        sine = np.sin(0.5 * end[..., None] * (nodes[part] + 1.0))
        square = np.maximum(1.0 - sine**2, 1e-300)
        values = np.exp(-(gap[..., None] / square + product[..., None] / (1.0 + sine)))
        total += 0.5 * values @ weights[part]
    return ndtr(h) * ndtr(k) + end * total / (2 * np.pi)
