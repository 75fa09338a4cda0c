r"""The race of robust and non-robust features in standard training.

While the error probability of a class is near 1 - 1/k, every positive own-class
coefficient below smoothing/strength obeys, with time in steps,

.. math:: \dot A = g S (A/\varrho)^{q-1},\qquad g = \eta\pi(1 - 1/k),\qquad S = P\,\mathrm{strength}^q,

on its own. Documentation, page "Structured data", section "The race" [derived].
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

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
        a = starting_coefs(start)
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
        a = starting_coefs(start)
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


def starting_coefs(start: FloatArray | float) -> FloatArray:
    """Return starting coefficients as a float array, refusing nan."""
    a = np.array(start, dtype=np.float64)
    if np.isnan(a).any():
        raise ValueError("start must hold numbers, got nan")
    return a
