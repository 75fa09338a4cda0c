"""Two mirror points on the circle: one margin, solved by the Wright omega function."""

from __future__ import annotations

import numpy as np

from featsim.validation import FloatArray, check_integer, check_real


def mirror_margins(rate: float, step_size: float, n_steps: int) -> FloatArray:
    r"""Return the margin of the near ends of two mirror points under the logistic loss.

    Parameters
    ----------
    rate : float
        :math:`\kappa = K(z, z) - K(z, z')` of the two near ends, greater than 0.
    step_size : float
        alpha > 0.
    n_steps : int
        T >= 1.

    Returns
    -------
    ndarray, shape (T + 1,)
        :math:`u_0 = 0,\ u_{t+1} = u_t + (\alpha\kappa/2)/(1 + e^{u_t})`.

    References
    ----------
    .. [1] The recursion of :func:`dual_recursion` for two points that mirror each other, whose near ends stay
       the worst points [derived].
    """
    gain = check_real("step_size", step_size, above=0.0) * check_real("rate", rate, above=0.0) / 2.0
    margins = np.zeros(check_integer("n_steps", n_steps, minimum=1) + 1)
    for t in range(n_steps):
        margins[t + 1] = margins[t] + gain / (1.0 + np.exp(margins[t]))
    return margins


def mirror_flow(rate: float, step_size: float, steps: FloatArray) -> FloatArray:
    r"""Return the margin in the limit of small steps.

    Parameters
    ----------
    rate, step_size : float
        As in :func:`mirror_margins`.
    steps : ndarray
        Number of steps t.

    Returns
    -------
    ndarray
        :math:`u = 1 + \tau - W(e^{1+\tau})`, the solution of :math:`u + e^u = 1 + \tau` with
        :math:`\tau = \alpha\kappa t/2` and W the Lambert function.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    References
    ----------
    .. [1] Limit of small steps of :func:`mirror_margins` [derived].
    """
    from scipy.special import wrightomega

    gain = check_real("step_size", step_size, above=0.0) * check_real("rate", rate, above=0.0) / 2.0
    t = np.asarray(steps, dtype=np.float64)
    if not (t >= 0.0).all():
        raise ValueError(f"steps must be >= 0, got {t.min():g}")
    tau = gain * t
    return np.asarray(1.0 + tau - np.real(wrightomega(1.0 + tau)))
