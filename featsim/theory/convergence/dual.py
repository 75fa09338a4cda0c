"""Adversarial training of the tangent model in function space."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from featsim.models import first_largest
from featsim.theory.convergence.regret import LossFunction
from featsim.validation import FloatArray, IntArray, check_array, check_integer, check_real


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DualTrace:
    r"""Course of the function-space recursion.

    Attributes
    ----------
    scores : ndarray, shape (T + 1, n, G)
        f on every net, before each update and at the end.
    chosen : ndarray of int, shape (T + 1, n)
        The adversary's points.
    attacked_loss : ndarray, shape (T + 1,)
        L_A.
    distance : ndarray, shape (T + 1,)
        :math:`\sqrt{\beta^\top K\beta}`, the distance from W_0 of the weights behind f.
    coefficients : ndarray, shape (n * G,)
        beta at the end.
    """

    scores: FloatArray
    chosen: IntArray
    attacked_loss: FloatArray
    distance: FloatArray
    coefficients: FloatArray


def dual_recursion(
    gram: FloatArray,
    signs: FloatArray,
    *,
    loss: LossFunction,
    step_size: float,
    n_steps: int,
    ball_radius: float = math.inf,
) -> DualTrace:
    r"""Run adversarial training of the tangent model by its coefficients, f = K beta from f = 0.

    Parameters
    ----------
    gram : ndarray, shape (n * G, n * G)
        Kernel on the nets, sample after sample: the empirical one at W_0 for a finite network, a
        closed form for infinite width.
    signs : ndarray, shape (n,)
        Labels.
    loss : Loss
        Training loss.
    step_size : float
        alpha > 0.
    n_steps : int
        T >= 1.
    ball_radius : float
        R of the projection.

    Returns
    -------
    DualTrace
        Whole course; ties by the rule of :func:`featsim.models.first_largest`.

    Raises
    ------
    ValueError
        If the shapes do not fit or a number is out of range.

    References
    ----------
    .. [1] Algorithm of Gao et al., arXiv:1906.07916 [recalled], applied to the tangent model; by the
       representer theorem it stays in the span of the kernel on the nets [derived].
    """
    signs = check_array("signs", signs, ("n",))
    size = len(gram)
    gram = check_array("gram", gram, (size, size))
    n = len(signs)
    if size % n:
        raise ValueError(f"gram must have n * G rows for n = {n} nets of equal size, got {size}")
    check_integer("n_steps", n_steps, minimum=1)
    check_real("step_size", step_size, above=0.0)
    check_real("ball_radius", ball_radius, above=0.0, finite=False)
    beta, rows = np.zeros(size), np.arange(n)
    scores, chosen = np.empty((n_steps + 1, n, size // n)), np.empty((n_steps + 1, n), dtype=np.int64)
    attacked, distance = np.empty(n_steps + 1), np.empty(n_steps + 1)
    for t in range(n_steps + 1):
        values = gram @ beta
        distance[t] = math.sqrt(max(float(beta @ values), 0.0))
        if distance[t] > ball_radius:
            factor = ball_radius / distance[t]
            beta, values, distance[t] = beta * factor, values * factor, ball_radius
        scores[t] = values.reshape(n, -1)
        table = loss.value(scores[t], signs[:, None])
        chosen[t] = first_largest(table)
        attacked[t] = float(np.mean(table[rows, chosen[t]]))
        if t < n_steps:
            slope = loss.slope(scores[t][rows, chosen[t]], signs)
            beta[rows * (size // n) + chosen[t]] -= step_size / n * slope
    return DualTrace(
        scores=scores, chosen=chosen, attacked_loss=attacked, distance=distance, coefficients=beta
    )
