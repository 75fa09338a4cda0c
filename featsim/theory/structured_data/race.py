r"""The race of robust and non-robust features in standard training.

While the error probability of a class is near 1 - 1/k, every positive own-class
coefficient below smoothing/strength obeys, with time in steps,

.. math:: \dot A = g S (A/\varrho)^{q-1},\qquad g = \eta\pi(1 - 1/k),\qquad S = P\,\mathrm{strength}^q,

on its own. Documentation, page "Structured data", section "The race" [derived].
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.theory.structured_data.activation import check_activation
from featsim.validation import FloatArray, check_integer, check_real


def race_strength(n_patches: int, strength: float, power: float) -> float:
    r"""Return S = P strength^q, what a feature brings to the race.

    Parameters
    ----------
    n_patches : int
        Number of patches that carry the feature, at least 0.
    strength : float
        Its strength, at least 0.
    power : float
        Exponent q >= 1.

    Returns
    -------
    float
        :math:`S_R` or :math:`S_{NR}`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The race" [derived].
    """
    n = check_integer("n_patches", n_patches, minimum=0)
    size = check_real("strength", strength, minimum=0.0)
    return float(n * size ** check_real("power", power, minimum=1.0))


def tie_patch_count(
    n_robust_patches: int, robust_strength: float, nonrobust_strength: float, power: float
) -> float:
    r"""Return the number of non-robust patches at which :math:`S_{NR} = S_R`.

    Parameters
    ----------
    n_robust_patches : int
        :math:`P_R`, at least 0.
    robust_strength, nonrobust_strength : float
        :math:`\alpha \ge 0` and :math:`\beta > 0`.
    power : float
        Exponent q >= 1.

    Returns
    -------
    float
        :math:`P_R (\alpha/\beta)^q`, where with equal starts either feature wins as often.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The race" [derived].
    """
    beta = check_real("nonrobust_strength", nonrobust_strength, above=0.0)
    return race_strength(n_robust_patches, robust_strength, power) / race_strength(1, beta, power)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Racer:
    r"""One feature in the race: its growth law while the loss of its class is untouched.

    Parameters
    ----------
    n_patches : int
        Number of patches that carry the feature, at least 1.
    strength : float
        Its strength, greater than 0.
    power, smoothing : float
        Exponent q >= 1 and width :math:`\varrho > 0` of the activation.
    step_size : float
        :math:`\eta > 0`.
    class_fraction : float
        Fraction :math:`\pi` of the samples in the class, in (0, 1].
    n_classes : int
        k >= 2.

    Raises
    ------
    TypeError, ValueError
        If a parameter is impossible.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The race" [derived].
    """

    n_patches: int
    strength: float
    power: float
    smoothing: float
    step_size: float
    class_fraction: float
    n_classes: int

    def __post_init__(self) -> None:
        check_integer("n_patches", self.n_patches, minimum=1)
        check_real("strength", self.strength, above=0.0)
        check_activation(self.power, self.smoothing)
        check_real("step_size", self.step_size, above=0.0)
        check_real("class_fraction", self.class_fraction, above=0.0, maximum=1.0)
        check_integer("n_classes", self.n_classes, minimum=2)

    @property
    def rate(self) -> float:
        r"""The factor :math:`g S` of the growth law, per step."""
        g = self.step_size * self.class_fraction * (1.0 - 1.0 / self.n_classes)
        return g * race_strength(self.n_patches, self.strength, self.power)

    @property
    def joint(self) -> float:
        """The coefficient smoothing/strength at which the activation turns linear."""
        return self.smoothing / self.strength

    def blow_up_time(self, start: FloatArray | float) -> FloatArray:
        r"""Return the time at which the growth law diverges, in steps.

        Parameters
        ----------
        start : array_like
            Coefficients at time 0; what is not positive never grows.

        Returns
        -------
        ndarray, shape of `start`
            :math:`\varrho^{q-1} A_0^{2-q} / ((q-2) g S)` for q > 2, inf for q <= 2, where
            growth is exponential or slower.

        Raises
        ------
        TypeError, ValueError
            If an argument is not a number of its kind, or outside its range.

        References
        ----------
        .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
           section "The race" [derived].
        """
        a = _starts(start)
        times = np.full_like(a, math.inf)
        if self.power > 2.0:
            scale = self.smoothing ** (self.power - 1.0) / ((self.power - 2.0) * self.rate)
            positive = a > 0.0
            times[positive] = scale * a[positive] ** (2.0 - self.power)
        return times

    @classmethod
    def of_nonrobust(cls, data: Any, model: Any, step_size: float) -> Racer:
        """Return the growth law of v for balanced classes.

        Parameters
        ----------
        data : PatchDataSpec
            Patch counts, strengths and number of classes.
        model : TwoLayerSpec
            Activation.
        step_size : float
            Step size of training.

        Returns
        -------
        Racer
            Of the non-robust feature of any class.
        """
        return cls(
            n_patches=data.n_nonrobust_patches,
            strength=data.nonrobust_strength,
            power=model.power,
            smoothing=model.smoothing,
            step_size=step_size,
            class_fraction=1.0 / data.n_classes,
            n_classes=data.n_classes,
        )

    def hit_time(self, start: FloatArray | float, level: float) -> FloatArray:
        r"""Return the time at which a coefficient reaches a level, in steps.

        Parameters
        ----------
        start : array_like
            Coefficients at time 0; what is not positive never grows.
        level : float
            Level in (0, smoothing/strength].

        Returns
        -------
        ndarray, shape of `start`
            With g S the rate: :math:`\varrho^{q-1}(A_0^{2-q} - A_1^{2-q})/((q-2) g S)`, for q = 2
            :math:`\varrho\log(A_1/A_0)/(g S)`, for q = 1 :math:`(A_1 - A_0)/(g S)`; 0 at or above
            the level, inf from a start that is not positive.

        Raises
        ------
        ValueError
            If the level is not positive or beyond the joint of the activation.

        References
        ----------
        .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
           section "The race" [derived].
        """
        a = _starts(start)
        check_real("level", level, above=0.0)
        # at power 1 there is no polynomial part and the law holds on the whole line
        if self.power > 1.0:
            check_real(
                "level",
                level,
                maximum=self.joint * (1.0 + 1e-12),
                hint="the growth law ends at smoothing/strength",
            )
        q = self.power
        scale = self.smoothing ** (q - 1.0) / self.rate
        times = np.full_like(a, math.inf)
        times[a >= level] = 0.0
        growing = (a > 0.0) & (a < level)
        x = np.log(level / a[growing])
        # (a^(2-q) - level^(2-q))/(q-2) through expm1: no cancellation as q -> 2
        exponent = (q - 2.0) * x
        per_log = np.where(
            exponent == 0.0, 1.0, np.expm1(exponent) / np.where(exponent == 0.0, 1.0, exponent)
        )
        times[growing] = scale * level ** (2.0 - q) * x * per_log
        return times


def _starts(start: FloatArray | float) -> FloatArray:
    """Return starting coefficients as a float array, refusing nan."""
    a = np.array(start, dtype=np.float64)
    if np.isnan(a).any():
        raise ValueError("start must hold numbers, got nan")
    return a


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
    robust, nonrobust = _starts(robust_coef0), _starts(nonrobust_coef0)
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
