"""Adversarial training of a linear rule against the exact l2 adversary, with normalised steps."""

from __future__ import annotations

import numpy as np

from featsim.validation import FloatArray, check_array, check_integer, check_real


def train_linear_adversarial(
    X: FloatArray, signs: FloatArray, *, radius: float, n_steps: int, step_size: float
) -> FloatArray:
    r"""Descend the exponential loss of the worst l2 perturbation from zero.

    The inner maximum is exact, :math:`\ell = \exp(-(y\langle w, x\rangle - \delta\|w\|))`; every step is
    divided by the mean loss, so that the direction converges in a few thousand steps [choice].

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples.
    signs : array_like, shape (n,)
        Labels +1 and -1.
    radius : float
        :math:`\delta \ge 0`.
    n_steps : int
        Steps, at least 1.
    step_size : float
        Step size, greater than 0.

    Returns
    -------
    ndarray, shape (n_steps + 1, d)
        Weights before every step, and at the end.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible.

    References
    ----------
    .. [1] ICLR-2023 text of Li & Li, arXiv:2306.01271, Theorem 5.1 [source].
    """
    points = check_array("X", X, ("n", "d")) * check_array("signs", signs, ("n",))[:, None]
    delta = check_real("radius", radius, minimum=0.0)
    eta = check_real("step_size", step_size, above=0.0)
    path = np.zeros((check_integer("n_steps", n_steps, minimum=1) + 1, points.shape[1]))
    for t in range(n_steps):
        path[t + 1] = adversarial_step(path[t], points, delta, eta)
    return path


def adversarial_step(w: FloatArray, points: FloatArray, radius: float, step_size: float) -> FloatArray:
    r"""Return w after one normalised step against the exact l2 adversary.

    Parameters
    ----------
    w : ndarray, shape (d,)
        Rule.
    points : ndarray, shape (n, d)
        Samples times their signs, :math:`y_i x_i`.
    radius, step_size : float
        :math:`\delta` and :math:`\eta`.

    Returns
    -------
    ndarray, shape (d,)
        :math:`w + \eta\,(\sum_i s_i y_i x_i - \delta w/\|w\|)`, with the share :math:`s_i` of each
        sample in the loss.
    """
    length = float(np.linalg.norm(w))
    margin = points @ w
    share = np.exp(-(margin - margin.min()))  # the common factor cancels in the normalised step
    share /= share.sum()
    pull = radius * w / length if length > 0.0 else 0.0
    after: FloatArray = w + step_size * (share @ points - pull)
    return after
