r"""Certificates of models that are linear once their gates are known: tangent networks, frozen gates.

Each is :math:`f(x) = h(x) + \sum_j g_j(x)\,\langle v_j, x\rangle`. With :math:`g_j(x+\delta) = g_j + e_j`,
:math:`|e_j| \le G_j` on the budget, and :math:`\ell_j = \langle v_j, x \rangle` moved by at most
:math:`\lambda_j`,

.. math:: f(x+\delta) \ge f_0 + \Big\langle \sum_j g_j v_j, \delta \Big\rangle
    - \sum_j G_j (|\ell_j| + \lambda_j) ,

whose least value is given by the dual norm; smooth gates are expanded to first order as well.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.result import CertificateResult
from featsim.models import (
    FrozenGateNetwork,
    TangentNetwork,
    check_score_labels,
    model_scores,
    signs,
    symmetric_curvature,
    symmetric_slope,
)
from featsim.threats import Budget, Samples, Threat, as_samples, patched
from featsim.validation import FloatArray

if TYPE_CHECKING:
    from featsim.data import PatchData

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 256


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Gates:
    """Gates at some inputs and on the whole budget around them.

    Attributes
    ----------
    value, slope : ndarray, shape (n, m)
        g at the input, and its derivative by the preactivation (0 where it is not used).
    change : ndarray, shape (n, m)
        Bound on what g may change by.
    bend : ndarray, shape (n, m)
        Bound on the change of the derivative, inf where there is none.
    linear : ndarray, shape (m, d)
        v.
    filters : ndarray, shape (m, d)
        Direction in which each preactivation moves.
    """

    value: FloatArray
    slope: FloatArray
    change: FloatArray
    bend: FloatArray
    linear: FloatArray
    filters: FloatArray


def certify_gated(
    model: FrozenGateNetwork | TangentNetwork, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult:
    r"""Bound the margin of a model with frozen gates over a budget.

    The best of gates at their intervals (order 0), and, for smooth gates, of a first-order expansion with a
    bound on the remainder, counts for each sample.

    Parameters
    ----------
    model : FrozenGateNetwork or TangentNetwork
        Smooth or hard gates; any activation.
    data : PatchData or tuple (X, y)
        Samples of one patch, (n, 1, d) or (n, d).
    threat : Threat
        l2 or linf, with or without subspace, not the cap.

    Returns
    -------
    CertificateResult
        Sound lower bounds; nan where something is not finite.

    Raises
    ------
    TypeError, ValueError
        If the model is of another kind or the data do not fit it.

    References
    ----------
    .. [1] Own derivation [derived]; documentation, page "Evaluating a model", section "Certificates".
    """
    if not isinstance(model, FrozenGateNetwork | TangentNetwork):
        raise TypeError(f"model must have frozen gates, got {type(model).__name__}; use certify_model")
    given = as_samples(data)
    samples = patched(given)
    check_score_labels(samples.y, 1)
    model_scores(model, given.X[:1])  # refuses other shapes
    budget = samples.bind(threat)
    lower = np.empty(len(samples.y))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(lower), _BLOCK):
            block = slice(start, start + _BLOCK)
            lower[block] = _least(model, given, samples, budget.select(block), block)
    lower[~np.isfinite(lower)] = np.nan
    return CertificateResult(lower_margin=lower, method="gate intervals", threat=threat)


def _least(
    model: FrozenGateNetwork | TangentNetwork, given: Samples, samples: Samples, budget: Budget, block: slice
) -> FloatArray:
    x, y = samples.X[block][:, 0], signs(samples.y[block])
    gates = _frozen(model, x, budget) if isinstance(model, FrozenGateNetwork) else _tangent(model, x, budget)
    f = y * model_scores(model, given.X[block])[:, 0]
    inner = x @ gates.linear.T
    moved = _reach(gates.linear, x, budget)
    turned = _reach(gates.filters, x, budget)
    zero = gates.value @ gates.linear
    loss = np.sum(gates.change * (np.abs(inner) + moved), axis=1)
    best = f - _dual(zero, budget) - loss
    # First order: g l = g0 l0 + <g0 v + l0 g0' w, d> + (remainder of g)(l0 + <v, d>) + g0' <w, d><v, d>.
    first = zero + (gates.slope * inner) @ gates.filters
    remainder = np.minimum(gates.bend * turned, gates.change + np.abs(gates.slope) * turned)
    loss = np.sum(remainder * (np.abs(inner) + moved) + np.abs(gates.slope) * turned * moved, axis=1)
    best = np.fmax(best, f - _dual(first, budget) - loss)
    size = np.sum(np.abs(gates.value) * (np.abs(inner) + moved), axis=1) + np.abs(f)
    bound: FloatArray = best - 8 * (x.shape[1] + len(gates.linear) + 64) * _EPS * (size + loss)
    return bound


def _dual(gradient: FloatArray, budget: Budget) -> FloatArray:
    # The sign of f does not matter: the budget is symmetric.
    most: FloatArray = budget.radius * (1 + 1e-12) * budget.dual_norm(gradient[:, None, :])
    return most


def _reach(directions: FloatArray, x: FloatArray, budget: Budget) -> FloatArray:
    reach = np.broadcast_to(budget.radius * budget.reach(directions), (len(x), 1, len(directions)))[:, 0]
    rounding = 4 * (x.shape[1] + 2) * _EPS * (np.abs(x) @ np.abs(directions).T)
    return np.asarray(reach * (1 + 1e-12) + rounding)


def _frozen(model: FrozenGateNetwork, x: FloatArray, budget: Budget) -> Gates:
    trained, filters = model.weights
    spec = model.spec
    u, turned = x @ filters.T, _reach(filters, x, budget)
    if spec.gates == "hard":
        u = u + spec.shift
        value = (u >= 0.0).astype(np.float64)
        change = (np.abs(u) <= turned).astype(np.float64)
        nothing = np.zeros_like(u)
        return Gates(
            value=value, slope=nothing, change=change, bend=np.where(change > 0, np.inf, 0.0),
            linear=trained, filters=filters,
        )  # fmt: skip
    b, s = spec.bias, spec.smoothing
    value = symmetric_slope(u, b, s)
    # psi' is even and increases with |u|.
    high = symmetric_slope(np.abs(u) + turned, b, s)
    low = symmetric_slope(np.maximum(np.abs(u) - turned, 0.0), b, s)
    change = np.maximum(high - value, value - low) * (1 + 1e-12) + 4 * _EPS
    slope = symmetric_curvature(u, b, s)
    bend = np.full_like(u, np.inf)
    if s > 0.0:
        # |psi'''| <= 2 max |phi'| / s^2 = 2 phi(1) / s^2; the remainder of g is half of it times turned.
        bend = np.asarray(turned * (2.0 * np.exp(-0.5) / np.sqrt(2.0 * np.pi) / s**2) / 2.0)
    return Gates(value=value, slope=slope, change=change, bend=bend, linear=trained, filters=filters)


def _tangent(model: TangentNetwork, x: FloatArray, budget: Budget) -> Gates:
    r"""Gates of :math:`\sigma(z) + \sigma'(z)\langle w - w^0, x\rangle`: :math:`\sigma(z) = \bar\sigma(z) z`.

    With :math:`\bar\sigma(z) = \sigma(z)/z` both parts are gate times linear form; for softplus, which is
    not 0 at 0, the constant is part of f and moves by the gate's change only.
    """
    m, act = model.width, model.activation
    scale = np.concatenate([np.full(m // 2, 1.0), np.full(m // 2, -1.0)]) / np.sqrt(m)
    start, move = model.initial[0], model.weights[0] - model.initial[0]
    z, turned = x @ start.T, _reach(start, x, budget)
    low, high = z - turned, z + turned
    # The mean slope on [0, z] lies between the slopes of [min(0, z), max(0, z)] and increases with z.
    ratio, ratio_low, ratio_high = (_mean_slope(act, at) for at in (z, low, high))
    slope, slope_low, slope_high = act.slope(z), act.slope(low), act.slope(high)
    value = np.concatenate([ratio, slope], axis=1)
    change = np.concatenate(
        [
            np.maximum(ratio_high - ratio, ratio - ratio_low),
            np.maximum(slope_high - slope, slope - slope_low),
        ],
        axis=1,
    )
    linear = np.concatenate([start, move]) * np.concatenate([scale, scale])[:, None]
    zero = np.zeros_like(value)
    return Gates(
        value=value, slope=zero, change=change * (1 + 1e-12) + 8 * _EPS, bend=np.full_like(value, np.inf),
        linear=linear, filters=np.concatenate([start, start]),
    )  # fmt: skip


def _mean_slope(act: Any, z: FloatArray) -> FloatArray:
    """Return (sigma(z) - sigma(0)) / z, the slope at 0 there; not decreasing for convex sigma."""
    start = float(act.value(np.zeros(1))[0])
    quotient = (act.value(z) - start) / np.where(z == 0.0, 1.0, z)
    # The true quotient lies between the slopes at the ends; near 0 rounding may put it elsewhere.
    clipped: FloatArray = np.clip(quotient, act.slope(np.minimum(z, 0.0)), act.slope(np.maximum(z, 0.0)))
    return clipped
