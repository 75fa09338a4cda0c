"""Per-patch l2 radii of pure networks: threats O and V, the full ball, the window of setting L."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from featsim.theory.structured_data.activation import check_activation, check_coefs, response
from featsim.theory.structured_data.limits import first_sign_change
from featsim.theory.structured_data.saturation import writing_radius
from featsim.validation import FloatArray, check_integer, check_real


class FeatureRadii(NamedTuple):
    """Radii of a pure-u and of a pure-v network.

    Parameters
    ----------
    robust, nonrobust : float
        The two radii.
    """

    robust: float
    nonrobust: float


def own_feature_radii(robust_strength: float, nonrobust_strength: float) -> FeatureRadii:
    r"""Return the radii of pure networks under the own-feature threat O.

    On every carrier the best split turns the feature by 45 degrees, and other patches
    cannot hold it: :math:`\alpha/\sqrt2` and :math:`\beta/\sqrt2`, for any activation
    and equal coefficients in all classes. [derived]

    Parameters
    ----------
    robust_strength, nonrobust_strength : float
        :math:`\alpha` and :math:`\beta`, at least 0.

    Returns
    -------
    FeatureRadii
        Pure u, pure v.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: O, V and UV" [derived].
    """
    alpha = check_real("robust_strength", robust_strength, minimum=0.0)
    beta = check_real("nonrobust_strength", nonrobust_strength, minimum=0.0)
    return FeatureRadii(alpha / math.sqrt(2.0), beta / math.sqrt(2.0))


def patch_l2_radius(
    coef: FloatArray | float, strength: float, n_carriers: int, n_others: int, power: float, smoothing: float
) -> float:
    r"""Return the per-patch l2 radius of a pure network, equal coefficients in all classes.

    Patches have budgets of their own, so the margin is

    .. math:: P_c \min_{c^2+e^2=\epsilon^2}[S(\mathrm{strength}-c) - S(e)] - P_o S(\epsilon).

    One formula for several threats: `n_others` = 0 is O; for pure v, the robust patches
    under V or the full ball; for pure u, the non-robust patches under the full ball
    (setting L). [derived]

    Parameters
    ----------
    coef : float or array_like, shape (m,)
        Coefficients along the feature; at least one must be positive.
    strength : float
        Strength of the feature, greater than 0.
    n_carriers, n_others : int
        :math:`P_c \ge 1` patches that hold the feature and :math:`P_o \ge 0` others that
        the threat lets the adversary write it on.
    power, smoothing : float
        Exponent q >= 1 and width of the activation.

    Returns
    -------
    float
        The radius, at most strength/sqrt 2.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: L, the full ball of every patch" [derived].
    """
    A = check_coefs("coef", coef)
    if A.max() <= 0.0:
        raise ValueError(f"coef must hold a positive coefficient, got largest {A.max()}")
    from scipy.optimize import minimize_scalar  # not before it is needed: every training would wait for it

    b = check_real("strength", strength, above=0.0)
    carriers = check_integer("n_carriers", n_carriers, minimum=1)
    others = check_integer("n_others", n_others, minimum=0)
    q, rho = check_activation(power, smoothing)
    angles = np.linspace(0.0, 0.5 * math.pi, 181)

    def carrier(angle: float, eps: float) -> float:
        return response(A, b - eps * math.cos(angle), q, rho) - response(A, eps * math.sin(angle), q, rho)

    def margin(eps: float) -> float:
        values = [carrier(float(angle), eps) for angle in angles]
        best = int(np.argmin(values))
        bounds = (angles[max(best - 1, 0)], angles[min(best + 1, len(angles) - 1)])
        refined = minimize_scalar(
            lambda x: carrier(x, eps), bounds=bounds, method="bounded", options={"xatol": 1e-10}
        )
        return carriers * min(values[best], float(refined.fun)) - others * response(A, eps, q, rho)

    # at strength/sqrt 2 a carrier shows both classes alike, and writing elsewhere decides
    return first_sign_change(margin, b / math.sqrt(2.0))


class RadiusWindow(NamedTuple):
    """Radii between which standard training falls and adversarial training can stand.

    Parameters
    ----------
    lower, upper : float
        The ends; the window is empty where `lower` >= `upper`.
    nonrobust_wins : bool
        Whether v wins the race on average, without which standard training does not fall.
    """

    lower: float
    upper: float
    nonrobust_wins: bool


def full_l2_window(
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
    power: float,
) -> RadiusWindow:
    r"""Return the window of setting L: full per-patch l2, activations in the power region.

    With :math:`R = (P_{NR}/P_R)^{1/q}` and :math:`\tau = \alpha/\beta`:
    :math:`\beta/\sqrt2 < \epsilon < \alpha/(1+R)`, and v wins the race iff :math:`R > \tau`.
    Nonempty iff :math:`R < \sqrt2\tau - 1`. The upper end is the radius of a pure-u
    network, the lower one surely breaks pure v. [derived]

    Parameters
    ----------
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R \ge 1` and :math:`P_{NR} \ge 0`.
    robust_strength, nonrobust_strength : float
        :math:`\alpha \ge 0` and :math:`\beta > 0`.
    power : float
        Exponent q > 2.

    Returns
    -------
    RadiusWindow
        Lower and upper radius, and the outcome of the race.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Threat models: L, the full ball of every patch" [derived].
    """
    q = check_real("power", power, above=2.0, hint="the race needs a power above 2")
    beta = check_real("nonrobust_strength", nonrobust_strength, above=0.0)
    upper = writing_radius(n_robust_patches, n_nonrobust_patches, robust_strength, q)
    wins = n_nonrobust_patches * beta**q > n_robust_patches * robust_strength**q
    return RadiusWindow(beta / math.sqrt(2.0), upper, wins)
