"""A measured number with its interval, and what it takes to agree with an earlier one."""

from __future__ import annotations

import dataclasses
import math

from featsim.validation import check_integer, check_real


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A measured number with its interval.

    Attributes
    ----------
    value : float
        The number.
    low, high : float
        95 % interval; nan where one observation, or none, gives no interval.
    n : int
        Observations behind it: seeds, unless the quantity's name says otherwise. 0: nothing could
        be measured.
    sd : float
        Standard deviation of the observations (with n - 1); nan where it does not apply.
    note : str
        What a reader must know beside the number: observations left out, the number only a bound, the
        Wilson interval of all samples together.
    """

    value: float
    low: float
    high: float
    n: int
    sd: float = math.nan
    note: str = ""

    @property
    def standard_error(self) -> float:
        """Standard error of a mean, sd / sqrt(n)."""
        return self.sd / math.sqrt(self.n) if self.n else math.nan


def nothing() -> Estimate:
    """Return the estimate of a quantity that could not be measured."""
    return Estimate(math.nan, math.nan, math.nan, 0)


def undefined(n: int, note: str = "") -> Estimate:
    """Return the estimate of a quantity that was measured and has no value: no rule accepts it."""
    return Estimate(math.nan, math.nan, math.nan, n, note=note)


def exactly(value: float, n: int) -> Estimate:
    """Return a number that no sampling enters, such as a largest deviation over all `n` seeds."""
    return Estimate(float(value), float(value), float(value), n)


def three_standard_errors(estimate: Estimate, sd: float, n: int) -> float:
    r"""Return three standard errors of the difference between an estimate and an earlier one.

    Parameters
    ----------
    estimate : Estimate
        Mean with its own spread.
    sd : float
        Standard deviation of the earlier observations over all of them (with n), at least 0.
    n : int
        Their number, at least 2.

    Returns
    -------
    float
        :math:`3\sqrt{sd^2/(n-1) + se^2}`; a few seeds that happen to lie close together do not make
        the own standard error smaller than the earlier spread would for as many. An estimate
        without any spread is taken as exact.
    """
    earlier = check_real("sd", sd, minimum=0.0) ** 2 / (check_integer("n", n, minimum=2) - 1)
    own = max(estimate.sd**2, earlier * n) / estimate.n if estimate.sd > 0.0 else 0.0
    return 3.0 * math.sqrt(earlier + own)
