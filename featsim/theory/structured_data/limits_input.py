"""Whole-input l2 radii of pure networks, where density itself protects v."""

from __future__ import annotations

import math

import numpy as np

from featsim.theory.structured_data.activation import activation, check_activation
from featsim.theory.structured_data.limits import check_carriers, first_sign_change
from featsim.validation import check_integer, check_real


def written_output(amount: float, coef: float, n_patches: int, power: float, smoothing: float) -> float:
    r"""Return the largest output that an l2 amount of a foreign feature writes on the patches.

    Parameters
    ----------
    amount : float
        l2 norm e >= 0 of what is written, all patches together.
    coef : float
        Coefficient A >= 0 of one neuron along that feature.
    n_patches : int
        P >= 1 patches to write on.
    power, smoothing : float
        Exponent q >= 1 and width :math:`\varrho > 0` of the activation.

    Returns
    -------
    float
        Output per squared budget peaks at :math:`z^* = 2(1-1/q)\varrho`, so for q > 2: s(Ae) on one
        patch up to :math:`Ae = z^*`; :math:`(Ae)^2 q/(4(q-1)\varrho)` while
        :math:`n = (Ae/z^*)^2` patches are not all (exact at integer n, an upper bound
        between); :math:`P\,s(Ae/\sqrt P)` beyond. For q <= 2 spreading evenly is best. [derived]

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: F, why whole-input l2 is a no-go" [derived].
    """
    q, rho = check_activation(power, smoothing)
    z = check_real("amount", amount, minimum=0.0) * check_real("coef", coef, minimum=0.0)
    P = check_integer("n_patches", n_patches, minimum=1)
    best = 2.0 * (1.0 - 1.0 / q) * rho
    if q <= 2.0 or z >= best * math.sqrt(P):
        return P * _output(z / math.sqrt(P), q, rho)
    if z <= best:
        return _output(z, q, rho)
    return z * z * q / (4.0 * (q - 1.0) * rho)


def _output(z: float, power: float, smoothing: float) -> float:
    return float(activation(np.array(z), power, smoothing))


def input_l2_margin(
    radius: float,
    coef: float,
    strength: float,
    n_carriers: int,
    n_patches: int,
    power: float,
    smoothing: float,
) -> float:
    r"""Return the worst margin of a pure one-neuron-per-class network under whole-input l2.

    Removing c from each of the :math:`P_c` carriers costs :math:`P_c c^2`, the rest e writes:

    .. math:: \min_{P_c c^2 + e^2 = \epsilon^2} P_c\,s(A(\mathrm{strength} - c)) - \mathrm{written}(e).

    Parameters
    ----------
    radius : float
        :math:`\epsilon \ge 0`.
    coef : float
        A > 0.
    strength : float
        Strength of the feature, greater than 0.
    n_carriers, n_patches : int
        :math:`1 \le P_c \le P`.
    power, smoothing : float
        Exponent q >= 1 and width of the activation.

    Returns
    -------
    float
        :math:`F_y - F_t` at the optimal split, found by a scan refined by Brent's method.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: F, why whole-input l2 is a no-go" [derived].
    """
    from scipy.optimize import minimize_scalar  # not before it is needed: every training would wait for it

    eps = check_real("radius", radius, minimum=0.0)
    check_real("coef", coef, above=0.0)
    check_real("strength", strength, above=0.0)
    carriers, P = check_carriers(n_carriers, n_patches)
    q, rho = check_activation(power, smoothing)
    largest = min(strength, eps / math.sqrt(carriers))

    def margin(c: float) -> float:
        left = math.sqrt(max(eps**2 - carriers * c**2, 0.0))
        return carriers * _output(coef * (strength - c), q, rho) - written_output(left, coef, P, q, rho)

    grid = np.linspace(0.0, largest, 201)
    values = [margin(float(c)) for c in grid]
    best = int(np.argmin(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, 200)]
    if low == high:
        return values[best]
    refined = minimize_scalar(margin, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
    return min(values[best], float(refined.fun))


def input_l2_radius(
    coef: float, strength: float, n_carriers: int, n_patches: int, power: float, smoothing: float
) -> float:
    r"""Return the whole-input l2 radius of a pure network, the zero of :func:`input_l2_margin`.

    Parameters
    ----------
    coef : float
        A > 0, one neuron per class.
    strength : float
        Strength of the feature, greater than 0.
    n_carriers, n_patches : int
        :math:`1 \le P_c \le P`.
    power, smoothing : float
        Exponent q >= 1 and width of the activation.

    Returns
    -------
    float
        The smallest radius that brings the margin to 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: F, why whole-input l2 is a no-go" [derived].
    """
    upper = strength * math.sqrt(n_carriers)  # removes the feature altogether
    return first_sign_change(
        lambda eps: input_l2_margin(eps, coef, strength, n_carriers, n_patches, power, smoothing), upper
    )


def input_l2_power_limit(strength: float, n_carriers: int, power: float) -> float:
    r"""Return the whole-input l2 radius while all preactivations stay in the power region.

    Parameters
    ----------
    strength : float
        Strength of the feature, at least 0.
    n_carriers : int
        :math:`P_c \ge 1`.
    power : float
        Exponent q > 2.

    Returns
    -------
    float
        :math:`\mathrm{strength}\,P_c^{1/q}/\sqrt{1 + P_c^{2/q-1}}`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: F, why whole-input l2 is a no-go" [derived].
    """
    b = check_real("strength", strength, minimum=0.0)
    n = check_integer("n_carriers", n_carriers, minimum=1)
    q = check_real("power", power, above=2.0, hint="up to 2 the adversary spreads over all patches")
    return float(b * n ** (1.0 / q) / math.sqrt(1.0 + n ** (2.0 / q - 1.0)))


def input_l2_linear_limit(strength: float, n_carriers: int, n_patches: int) -> float:
    r"""Return the whole-input l2 radius of a pure network of very large coefficients.

    Parameters
    ----------
    strength : float
        Strength of the feature, at least 0.
    n_carriers, n_patches : int
        :math:`1 \le P_c \le P`.

    Returns
    -------
    float
        :math:`\mathrm{strength}\,P_c/\sqrt{P_c + P}`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: F, why whole-input l2 is a no-go" [derived].
    """
    carriers, P = check_carriers(n_carriers, n_patches)
    return check_real("strength", strength, minimum=0.0) * carriers / math.sqrt(carriers + P)
