"""linf radii of pure networks: u on coordinates of their own, v spread as signs (setting B)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from featsim.theory.structured_data.activation import activation, check_activation, check_coefs, response
from featsim.theory.structured_data.limits import check_carriers, first_sign_change
from featsim.validation import FloatArray, check_integer, check_real


class Limits(NamedTuple):
    """Radii in the two extreme regions of the activation.

    Parameters
    ----------
    power : float
        Radius while every preactivation stays in the power region (small coefficients).
    linear : float
        Radius in the linear region (coefficients to infinity).
    """

    power: float
    linear: float


def linf_robust_radius(
    own_coef: FloatArray | float,
    rival_coef: FloatArray | float,
    *,
    robust_strength: float,
    n_robust_patches: int,
    n_patches: int,
    power: float,
    smoothing: float,
    own_norms: FloatArray | float | None = None,
    rival_norms: FloatArray | float | None = None,
) -> float:
    r"""Return the linf radius of a pure-u network, every u on a coordinate of its own.

    Robust iff :math:`P_R S_y(\alpha-\epsilon) > P\,S_t(\epsilon)`: the box moves all coordinates
    fully and independently. With l1 norms :math:`\|w_{ir}\|_1` given, :math:`A_{ir}\epsilon`
    is replaced by :math:`\epsilon\|w_{ir}\|_1` on both sides, which is conservative for
    trained weights that hold more than u. [derived]

    Parameters
    ----------
    own_coef, rival_coef : float or array_like, shape (m,)
        Coefficients of the label's neurons along its u, and of the target's along its own.
    robust_strength : float
        :math:`\alpha > 0`.
    n_robust_patches, n_patches : int
        :math:`1 \le P_R \le P`.
    power, smoothing : float
        Exponent q >= 1 and width of the activation.
    own_norms, rival_norms : float or array_like, shape (m,), optional
        l1 norms of the same neurons.

    Returns
    -------
    float
        The radius.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: B and R, the box" [derived].
    """
    alpha = check_real("robust_strength", robust_strength, above=0.0)
    carriers, P = check_carriers(n_robust_patches, n_patches)
    q, rho = check_activation(power, smoothing)
    own, rival = check_coefs("own_coef", own_coef), check_coefs("rival_coef", rival_coef)
    own_norm = own if own_norms is None else check_coefs("own_norms", own_norms)
    rival_norm = rival if rival_norms is None else check_coefs("rival_norms", rival_norms)
    for name, norms, coefs in (("own_norms", own_norm, own), ("rival_norms", rival_norm, rival)):
        if norms.shape != coefs.shape or (norms is not coefs and (norms < np.abs(coefs)).any()):
            raise ValueError(f"{name} must hold one l1 norm >= |coef| per coefficient, got {norms}")

    def margin(eps: float) -> float:
        kept = activation(own * alpha - own_norm * eps, q, rho).sum()
        return float(carriers * kept - P * activation(rival_norm * eps, q, rho).sum())

    return first_sign_change(margin, alpha)


def linf_robust_limits(robust_strength: float, n_robust_patches: int, n_patches: int, power: float) -> Limits:
    r"""Return the linf radii of pure-u networks of very small and very large coefficients.

    Parameters
    ----------
    robust_strength : float
        :math:`\alpha \ge 0`.
    n_robust_patches, n_patches : int
        :math:`1 \le P_R \le P`.
    power : float
        Exponent q >= 1.

    Returns
    -------
    Limits
        power :math:`\alpha/(1+(P/P_R)^{1/q})`, linear :math:`\alpha P_R/(P+P_R)`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: B and R, the box" [derived].
    """
    alpha = check_real("robust_strength", robust_strength, minimum=0.0)
    carriers, P = check_carriers(n_robust_patches, n_patches)
    q = check_real("power", power, minimum=1.0)
    return Limits(alpha / (1.0 + (P / carriers) ** (1.0 / q)), alpha * carriers / (P + carriers))


def linf_nonrobust_radius(
    own_coef: FloatArray | float,
    rival_coef: FloatArray | float,
    *,
    nonrobust_strength: float,
    n_nonrobust_patches: int,
    n_patches: int,
    spread_dim: int,
    power: float,
    smoothing: float,
) -> float:
    r"""Return the linf radius of a pure-v network, v being signs spread over :math:`d_v` coordinates.

    Two Hadamard columns agree on half the coordinates, so the box moves the two inner
    products over :math:`|c|+|e| \le b = \epsilon\sqrt{d_v}`. Pure removal is best on carriers,
    the other patches take v_t in full: robust iff
    :math:`P_{NR}S_y(\beta-b) > P_R S_t(b)`; exact for equal coefficients. [derived]

    Parameters
    ----------
    own_coef, rival_coef : float or array_like, shape (m,)
        Coefficients of the label's neurons along its v, and of the target's along its own.
    nonrobust_strength : float
        :math:`\beta > 0`.
    n_nonrobust_patches, n_patches : int
        :math:`1 \le P_{NR} \le P`.
    spread_dim : int
        :math:`d_v \ge 1`.
    power, smoothing : float
        Exponent q >= 1 and width of the activation.

    Returns
    -------
    float
        The radius, at most :math:`\beta/\sqrt{d_v}`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: B and R, the box" [derived].
    """
    beta = check_real("nonrobust_strength", nonrobust_strength, above=0.0)
    carriers, P = check_carriers(n_nonrobust_patches, n_patches)
    d_v = check_integer("spread_dim", spread_dim, minimum=1)
    q, rho = check_activation(power, smoothing)
    own, rival = check_coefs("own_coef", own_coef), check_coefs("rival_coef", rival_coef)

    def margin(b: float) -> float:
        return carriers * response(own, beta - b, q, rho) - (P - carriers) * response(rival, b, q, rho)

    if carriers == P:
        return beta / math.sqrt(d_v)  # nowhere to write: robust until nothing is left
    return first_sign_change(margin, beta) / math.sqrt(d_v)


def linf_nonrobust_limits(
    nonrobust_strength: float, n_nonrobust_patches: int, n_patches: int, spread_dim: int, power: float
) -> Limits:
    r"""Return the linf radii of pure-v networks of very small and very large coefficients.

    Parameters
    ----------
    nonrobust_strength : float
        :math:`\beta \ge 0`.
    n_nonrobust_patches, n_patches : int
        :math:`1 \le P_{NR} \le P`.
    spread_dim : int
        :math:`d_v \ge 1`.
    power : float
        Exponent q >= 1.

    Returns
    -------
    Limits
        :math:`b/\sqrt{d_v}` with power :math:`b = \beta/(1+(P_R/P_{NR})^{1/q})`, linear
        :math:`b = \beta P_{NR}/P`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: B and R, the box" [derived].
    """
    beta = check_real("nonrobust_strength", nonrobust_strength, minimum=0.0)
    carriers, P = check_carriers(n_nonrobust_patches, n_patches)
    scale = math.sqrt(check_integer("spread_dim", spread_dim, minimum=1))
    q = check_real("power", power, minimum=1.0)
    b = beta / (1.0 + ((P - carriers) / carriers) ** (1.0 / q))
    return Limits(b / scale, beta * carriers / P / scale)
