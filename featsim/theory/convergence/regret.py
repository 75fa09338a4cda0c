"""The regret inequality of projected descent, exact for every network and step size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from featsim.theory.convergence.planting import Linearised
from featsim.validation import FloatArray, check_integer, check_real


class LossFunction(Protocol):
    """A loss of scores against targets, such as :class:`featsim.models.Loss`."""

    def value(self, scores: FloatArray, targets: FloatArray, /) -> FloatArray:
        """Return the loss, element by element."""
        ...

    def slope(self, scores: FloatArray, targets: FloatArray, /) -> FloatArray:
        """Return its derivative in the scores."""
        ...


def comparator_terms(
    build: Callable[[FloatArray], Linearised],
    weights: FloatArray,
    points: FloatArray,
    signs: FloatArray,
    comparator: FloatArray,
    loss: LossFunction,
) -> dict[str, FloatArray]:
    r"""Compare every step of a run with fixed weights W*.

    Parameters
    ----------
    build : callable
        From weights to the model, which offers scores and weight gradients.
    weights : ndarray, shape (T, ...)
        W_t before each update.
    points : ndarray, shape (T, n, d)
        The points that attack W_t.
    signs : ndarray, shape (n,)
        Labels.
    comparator : ndarray
        W*.
    loss : Loss
        Training loss.

    Returns
    -------
    dict of str to ndarray, shape (T,)
        ``"attacked_loss"`` L_t(W_t); ``"comparator_loss"`` L_t(W*); ``"squared_gradient"``; ``"slack"``
        :math:`L_t(W_t) - L_t(W^*) - \langle g_t, W_t - W^*\rangle`, at most 0 for a convex loss of a
        model that is linear in W.
    """
    other, rows = build(comparator), []
    for here, attacked in zip(weights, points, strict=True):
        model = build(here)
        scores = model.scores(attacked)[:, 0]
        gradient = model.weight_gradient(attacked, loss.slope(scores, signs)[:, None] / len(signs))
        own = float(np.mean(loss.value(scores, signs)))
        others = float(np.mean(loss.value(other.scores(attacked)[:, 0], signs)))
        slack = own - others - float(np.sum(gradient * (here - comparator)))
        rows.append((own, others, float(np.sum(gradient**2)), slack))
    table = np.array(rows).T
    names = ("attacked_loss", "comparator_loss", "squared_gradient", "slack")
    return dict(zip(names, table, strict=True))


def regret_sides(
    terms: dict[str, FloatArray], distance: float, step_size: float
) -> tuple[FloatArray, FloatArray]:
    r"""Return both sides of the regret inequality after 1, 2, ..., T steps.

    Parameters
    ----------
    terms : dict of str to ndarray, shape (T,)
        From :func:`comparator_terms`.
    distance : float
        :math:`D = |W_0 - W^*|_F`; W* lies in the ball of the projection.
    step_size : float
        alpha.

    Returns
    -------
    left : ndarray, shape (T,)
        Average of L_t(W_t).
    right : ndarray, shape (T,)
        Average of L_t(W*) + :math:`D^2/(2\alpha T) + (\alpha/2)` average of squared gradients + average
        slack.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, online-learning step of the convergence theorem [recalled]; exact
       form with slack, for every network and step size [derived].
    """
    check_real("step_size", step_size, above=0.0)
    steps = np.arange(1, len(terms["slack"]) + 1)
    mean = {name: np.cumsum(values) / steps for name, values in terms.items()}
    right = mean["comparator_loss"] + mean["slack"] + 0.5 * step_size * mean["squared_gradient"]
    return mean["attacked_loss"], right + distance**2 / (2.0 * step_size * steps)


def regret_rate(ball_radius: float, gradient_bound: float, n_steps: FloatArray) -> FloatArray:
    r"""Return the bound on the average regret at the best step size.

    Parameters
    ----------
    ball_radius : float
        R.
    gradient_bound : float
        G, such as :math:`\sqrt{K(x,x)}` times the Lipschitz constant of the loss.
    n_steps : ndarray
        T.

    Returns
    -------
    ndarray
        :math:`R G / \sqrt T`, attained with :math:`\alpha = R/(G\sqrt T)`.

    Raises
    ------
    TypeError, ValueError
        If a number is not positive.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, T = R^2/eps^2 of the convergence theorem [recalled]; the constant
       from :func:`regret_sides` without slack [derived].
    """
    radius = check_real("ball_radius", ball_radius, above=0.0)
    bound = check_real("gradient_bound", gradient_bound, above=0.0)
    steps = np.asarray(n_steps, dtype=np.float64)
    if not (steps > 0.0).all():
        raise ValueError(f"n_steps must be > 0, got {steps.min():g}")
    return np.asarray(radius * bound / np.sqrt(steps))


def theorem_width(ball_radius: float, accuracy: float, depth: int = 1) -> float:
    r"""Return the width that the convergence theorem asks for, without its constant.

    Parameters
    ----------
    ball_radius : float
        R.
    accuracy : float
        Wanted gap eps.
    depth : int
        H.

    Returns
    -------
    float
        :math:`R^9 H^{16} / \epsilon^7`; far beyond anything that can be run.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, convergence theorem [recalled].
    """
    radius = check_real("ball_radius", ball_radius, above=0.0)
    gap = check_real("accuracy", accuracy, above=0.0)
    return float(radius**9 * float(check_integer("depth", depth, minimum=1)) ** 16 / gap**7)
