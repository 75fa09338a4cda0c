r"""Certificates of kernel machines: the gates of a tangent kernel turn at a bounded rate.

A tangent kernel of the first layer is :math:`K(x, z) = \langle x, z\rangle\, g_z(x)` with the gate
:math:`g_z(x) = E\,\sigma'(\langle w,x\rangle)\,\sigma'(\langle w,z\rangle)`, w standard normal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.result import CertificateResult
from featsim.models import (
    DeepTangentKernel,
    GateKernel,
    KernelMachine,
    TangentKernel,
    check_score_labels,
    model_scores,
    signs,
)
from featsim.threats import Budget, Threat, as_samples
from featsim.validation import FloatArray

if TYPE_CHECKING:
    from featsim.data import PatchData

_EPS = float(np.finfo(np.float64).eps)


def certify_kernel(
    machine: KernelMachine, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult | None:
    r"""Bound the margin of a kernel machine over a budget by the rate at which its gates turn.

    With :math:`f = \langle x, \sum_j \beta_j g_j z_j\rangle` the linear part has its least value by the dual
    norm, and a perturbation of length :math:`\epsilon` changes a gate by at most
    :math:`\arcsin(\epsilon/\|x\|)/2\pi` (ReLU), :math:`2\sqrt2\,\epsilon\,\|z\|` (quadratic ReLU),
    :math:`\epsilon \sqrt{2/\pi}\,\sup|\sigma''|` (smooth slopes in [0, 1]); a kernel of both layers
    adds :math:`E\,\sigma\sigma`, which is Lipschitz; a deep kernel is bounded by its Lipschitz constant.

    Parameters
    ----------
    machine : KernelMachine
        With a :class:`TangentKernel`, :class:`DeepTangentKernel` or :class:`GateKernel`.
    data : PatchData or tuple (X, y)
        Samples (n, d), none of them 0.
    threat : Threat
        l2 or linf, without subspace.

    Returns
    -------
    CertificateResult or None
        Sound lower bounds, loose where many coefficients are large; None for other kernels.

    Raises
    ------
    ValueError
        If the data do not fit.

    References
    ----------
    .. [1] Own derivation [derived]; documentation, page "Evaluating a model", section "Certificates".
    """
    kernel = machine.kernel
    if not isinstance(kernel, TangentKernel | DeepTangentKernel | GateKernel):
        return None
    samples = as_samples(data)
    check_score_labels(samples.y, 1)
    if threat.subspace is not None:
        raise ValueError(f"subspace must be None for a kernel machine, got {threat.subspace!r}")
    budget = samples.bind(threat)
    f = signs(samples.y) * model_scores(machine, samples.X)[:, 0]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lower = f - _most(machine, samples.X, budget)
    size = np.abs(kernel.matrix(samples.X, machine.points)) @ np.abs(machine.coefficients)
    # Closed forms and quadratures of the package are good to this.
    lower = lower - 1e-9 * size
    lower[~np.isfinite(lower)] = np.nan
    return CertificateResult(lower_margin=lower, method="gate turning rate", threat=threat)


def _most(machine: KernelMachine, x: FloatArray, budget: Budget) -> FloatArray:
    """Bound how far a score can move."""
    kernel, z, beta = machine.kernel, machine.points, np.abs(machine.coefficients)
    length = budget.radius * (np.sqrt(x.shape[1]) if budget.threat.norm == "linf" else 1.0) * (1 + 1e-12)
    sizes = np.linalg.norm(z, axis=1)
    if isinstance(kernel, DeepTangentKernel):
        h = np.arange(1, kernel.depth + 1)
        # |G| <= H/2, and |dG/dtheta| <= (1/2) sum_h [1 + (H - h + 1)/pi]: angles of layers do not expand.
        slope = 0.5 * np.sum(1.0 + (kernel.depth - h + 1) / np.pi)
        return np.full(len(x), length * np.hypot(0.5 * kernel.depth, slope) * float(beta @ sizes))
    inner = x @ z.T
    assert isinstance(kernel, TangentKernel | GateKernel)
    unknown: FloatArray | float = 0.0
    if isinstance(kernel, GateKernel):
        gates = kernel.probability(x, z)
    else:
        gates, unknown = _gates(kernel, x, z)
    moved = length * sizes
    linear = (gates * machine.coefficients) @ z
    most = budget.radius * (1 + 1e-12) * budget.dual_norm(linear)
    change = _change(kernel, x, sizes, length) + unknown
    total: FloatArray = most + np.sum(beta * change * (np.abs(inner) + moved), axis=1)
    if isinstance(kernel, TangentKernel) and kernel.layers == "both":
        total = total + _outer(kernel, x, beta, sizes, length)
    return total


def _gates(kernel: TangentKernel, x: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """E sigma' sigma' of each pair, and what it may be wrong by: the kernel over the inner product."""
    inner = x @ z.T
    value = kernel.replace(layers="first").matrix(x, z)
    largest = _largest(kernel, x, z)
    # Where the inner product is small the quotient says nothing, only that gates are not negative.
    safe = np.abs(inner) > 1e-4 * np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(z, axis=1)
    gates = np.clip(np.where(safe, value / np.where(safe, inner, 1.0), 0.5 * largest), 0.0, largest)
    return gates, np.where(safe, 1e-9, 0.5) * largest


def _largest(kernel: TangentKernel, x: FloatArray, z: FloatArray) -> FloatArray:
    top = np.ones((len(x), len(z)))
    if kernel.activation.name == "quadratic-relu":
        # 4 E relu relu <= 4 |x||z| / 2, by the inequality of Cauchy and Schwarz.
        top = 2.0 * np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(z, axis=1)
    return top


def _change(
    kernel: TangentKernel | GateKernel, x: FloatArray, sizes: FloatArray, length: float
) -> FloatArray:
    """Bound the change of each gate, shape (n, N)."""
    lengths = np.linalg.norm(x, axis=1)
    if isinstance(kernel, GateKernel):
        spread = np.hypot(kernel.weight_std * lengths, kernel.bias_std)
        far = kernel.weight_std * length
        turn = np.arcsin(np.minimum(far / spread, 1.0)) + np.where(far > spread, 0.5 * np.pi, 0.0)
        # Probability that the gate of x flips: its half-space turns, and its threshold b/|x| moves.
        nearest = np.maximum(spread - far, 0.0)
        shift = abs(kernel.offset) * (1.0 / nearest - 1.0 / spread) / np.sqrt(2.0 * np.pi)
        flip = turn / np.pi + (shift if kernel.offset else 0.0)
        return np.repeat(np.minimum(flip, 1.0)[:, None], len(sizes), axis=1)
    act = kernel.activation
    if act.name == "relu":
        turn = np.arcsin(np.minimum(length / lengths, 1.0)) + np.where(length > lengths, 0.5 * np.pi, 0.0)
        return np.repeat((turn / (2.0 * np.pi))[:, None], len(sizes), axis=1)
    if act.name == "quadratic-relu":  # 4 E |<w, d>| relu(<w, z>), by the inequality of Cauchy and Schwarz
        return np.broadcast_to(2.0 * np.sqrt(2.0) * length * sizes, (len(x), len(sizes)))
    if act.name == "softplus":
        bend = act.sharpness / 4.0
    elif act.power >= 2.0:
        bend = (act.power - 1.0) / act.smoothing
    else:  # the slope has no Lipschitz constant; it lies in [0, 1]
        return np.ones((len(x), len(sizes)))
    return np.full((len(x), len(sizes)), min(1.0, bend * length * np.sqrt(2.0 / np.pi)))


def _outer(
    kernel: TangentKernel, x: FloatArray, beta: FloatArray, sizes: FloatArray, length: float
) -> FloatArray:
    """Bound the change of sum_j beta_j E sigma(<w, x>) sigma(<w, z_j>)."""
    lengths = np.linalg.norm(x, axis=1)
    if kernel.activation.name == "quadratic-relu":
        # |s(a + e) - s(a)| <= (2|a| + |e|)|e|; normal moments E u^2 v^2 <= 3 |u|^2 |v|^2.
        return np.asarray(3.0 * (2.0 * lengths + length) * length * float(beta @ sizes**2))
    start = float(kernel.activation.value(np.zeros(1))[0])
    return np.full(len(x), length * float(beta @ (start + sizes)))  # slopes in [0, 1]
