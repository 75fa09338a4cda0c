"""How near a wide network stays to its linearisation."""

from __future__ import annotations

import math

from featsim.validation import check_integer, check_real


def tangent_gap_bound(curvature: float, ball_radius: float, width: int) -> float:
    r"""Return the largest possible distance between a two-layer network and its tangent model.

    Parameters
    ----------
    curvature : float
        :math:`\beta \ge |\sigma''|`, such as :attr:`featsim.models.Activation.largest_curvature`.
    ball_radius : float
        R, at least :math:`|W - W_0|_F`.
    width : int
        Neurons m.

    Returns
    -------
    float
        :math:`|f(W, x) - f_{lin}(W, x)| \le \beta R^2 / (2\sqrt m)` for every W in the ball and every x
        with :math:`|x| \le 1`.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, width R^4/eps^2 of the theorem on robust networks near their
       start [recalled], which this Taylor remainder explains [derived].
    """
    beta = check_real("curvature", curvature, minimum=0.0, finite=False)
    radius = check_real("ball_radius", ball_radius, minimum=0.0)
    return beta * radius**2 / (2.0 * math.sqrt(check_integer("width", width, minimum=1)))
