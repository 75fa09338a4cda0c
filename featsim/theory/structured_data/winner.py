"""Who wins the race of robust and non-robust features, and how often.

Documentation, page "Structured data", section "The race" [derived].
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from featsim.theory.structured_data.race import race_strength, starting_coefs
from featsim.validation import FloatArray, check_integer, check_real


def predicted_winner(
    robust_coef0: FloatArray,
    nonrobust_coef0: FloatArray,
    *,
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
    power: float,
) -> npt.NDArray[np.str_]:
    r"""Return which feature wins each class in standard training.

    Non-robust wins class i iff :math:`S_{NR}(B_{0,i}^+)^{q-2} > S_R(A_{0,i}^+)^{q-2}`, that is,
    iff its blow-up time is the smaller; at q = 2 the rates alone decide. [derived]

    Parameters
    ----------
    robust_coef0, nonrobust_coef0 : array_like, shape (k, m)
        Own-class coefficients A and B at the start.
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R` and :math:`P_{NR}`, at least 0.
    robust_strength, nonrobust_strength : float
        :math:`\alpha` and :math:`\beta`, at least 0.
    power : float
        Exponent q >= 2; below there is no race.

    Returns
    -------
    ndarray of str, shape (k,)
        "robust", "nonrobust", "tie", or "none" where neither feature can grow.

    Raises
    ------
    ValueError
        If shapes differ or `power` < 2.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The race" [derived].
    """
    check_real("power", power, minimum=2.0, hint="below 2 both features grow and neither wins")
    robust, nonrobust = starting_coefs(robust_coef0), starting_coefs(nonrobust_coef0)
    if robust.ndim != 2 or robust.shape != nonrobust.shape:
        raise ValueError(
            f"robust_coef0 and nonrobust_coef0 must have one shape (k, m), "
            f"got {robust.shape} and {nonrobust.shape}"
        )
    speed_u = _race_speed(robust, race_strength(n_robust_patches, robust_strength, power), power)
    speed_v = _race_speed(nonrobust, race_strength(n_nonrobust_patches, nonrobust_strength, power), power)
    decided = np.where(speed_v > speed_u, "nonrobust", np.where(speed_u > speed_v, "robust", "tie"))
    return np.where((speed_u == 0.0) & (speed_v == 0.0), "none", decided)


def _race_speed(coef: FloatArray, race: float, power: float) -> FloatArray:
    """S max_r(coef)^(q-2), and 0 without a positive coefficient, also at q = 2."""
    best = np.maximum(coef.max(axis=1), 0.0)
    return np.asarray(np.where(best > 0.0, race * best ** (power - 2.0), 0.0))


def linear_growth_share(
    n_robust_patches: int, n_nonrobust_patches: int, robust_strength: float, nonrobust_strength: float
) -> float:
    r"""Return the share of the logit on v where both features grow linearly, at q = 1.

    Coefficients grow as :math:`P_R\alpha : P_{NR}\beta` and logits as their squares. [derived]

    Parameters
    ----------
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R` and :math:`P_{NR}`, at least 0.
    robust_strength, nonrobust_strength : float
        :math:`\alpha` and :math:`\beta`, at least 0.

    Returns
    -------
    float
        :math:`(P_{NR}\beta)^2/((P_R\alpha)^2 + (P_{NR}\beta)^2)`; 1/2 where neither can grow.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The race" [derived].
    """
    robust = race_strength(n_robust_patches, robust_strength, 1.0) ** 2
    nonrobust = race_strength(n_nonrobust_patches, nonrobust_strength, 1.0) ** 2
    return float(nonrobust / (robust + nonrobust)) if robust + nonrobust > 0.0 else 0.5


def win_probability(strength_ratio: float, width: int, power: float) -> float:
    r"""Return how often the non-robust feature wins a class over Gaussian initial weights.

    The rule of :func:`predicted_winner` with :math:`A_0^+` and :math:`B_0^+` the maxima of m
    independent centred Gaussians of one variance. A class where neither can grow
    (probability :math:`4^{-m}`) counts as not won. [derived]

    Parameters
    ----------
    strength_ratio : float
        :math:`S_{NR}/S_R`, greater than 0.
    width : int
        Neurons per class m, at least 1.
    power : float
        Exponent q > 2.

    Returns
    -------
    float
        :math:`2^{-m}(1 - 2^{-m}) + \int_0^\infty m\,\varphi(a)\,\Phi(a)^{m-1}(1 - \Phi(ca)^m)\,da`
        with :math:`c = (S_R/S_{NR})^{1/(q-2)}`.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The race" [derived].
    """
    from scipy.special import ndtr  # not before it is needed: every training would wait for it

    ratio = check_real("strength_ratio", strength_ratio, above=0.0)
    m = check_integer("width", width, minimum=1)
    q = check_real("power", power, above=2.0, hint="at power 2 the larger race strength always wins")
    c = ratio ** (-1.0 / (q - 2.0))
    # the integrand varies on the scales 1 and 1/c; beyond 12 the density is below 1e-31
    edges = sorted({0.0, 12.0, min(12.0, 1.0), min(12.0, 1.0 / c), min(12.0, 10.0 / c)})
    nodes, weights = np.polynomial.legendre.leggauss(200)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        a = 0.5 * (high - low) * nodes + 0.5 * (high + low)
        density = m * np.exp(-0.5 * a**2) / math.sqrt(2.0 * math.pi) * ndtr(a) ** (m - 1)
        total += 0.5 * (high - low) * float(weights @ (density * (1.0 - ndtr(c * a) ** m)))
    return 0.5**m * (1.0 - 0.5**m) + total
