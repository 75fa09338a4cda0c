"""Estimates with intervals, from SciPy: means over seeds, proportions, slopes and crossings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from featsim.claims.estimates import Estimate as Estimate
from featsim.claims.estimates import exactly as exactly
from featsim.claims.estimates import nothing as nothing
from featsim.claims.estimates import three_standard_errors as three_standard_errors
from featsim.claims.estimates import undefined as undefined
from featsim.models import wilson_interval
from featsim.validation import FloatArray, check_integer

CONFIDENCE = 0.95
_RESAMPLES = 1000


def without_missing(values: npt.ArrayLike) -> tuple[FloatArray, str]:
    """Leave out what is not finite, on purpose and with a note of how many.

    Parameters
    ----------
    values : array_like, shape (n,)
        One number per seed.

    Returns
    -------
    kept : ndarray, shape (n_kept,)
        The finite ones.
    note : str
        "3 of 10 left out", empty if none is; for :class:`Estimate`.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    kept = x[np.isfinite(x)]
    return kept, f"{len(x) - len(kept)} of {len(x)} left out" if len(kept) < len(x) else ""


def mean(values: npt.ArrayLike) -> Estimate:
    """Return the mean over seeds with its Student t interval.

    Parameters
    ----------
    values : array_like, shape (n,)
        One number per seed.

    Returns
    -------
    Estimate
        Without spread between seeds the interval is a point; one seed has none. Where a number is nan or
        infinite the mean is undefined and no rule accepts it: see :func:`without_missing`.
    """
    from scipy import stats  # takes as long to import as all else together

    x = np.asarray(values, dtype=np.float64).ravel()
    if not len(x):
        return nothing()
    if not np.isfinite(x).all():
        return undefined(len(x), f"{int(np.sum(~np.isfinite(x)))} of {len(x)} not finite")
    if len(x) == 1:
        return Estimate(float(x[0]), math.nan, math.nan, 1)
    sd = float(np.std(x, ddof=1))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(x) - 1)) * sd / math.sqrt(len(x))
    value = float(np.mean(x))
    return Estimate(value, value - half, value + half, len(x), sd)


def accuracy(values: npt.ArrayLike, n_samples: npt.ArrayLike | None = None) -> Estimate:
    """Return the mean over seeds of accuracies or shares, its t interval cut to [0, 1].

    Parameters
    ----------
    values : array_like, shape (n,)
        One number in [0, 1] per seed.
    n_samples : int or array_like, shape (n,), optional
        Samples behind each, for the Wilson interval of all of them together.

    Returns
    -------
    Estimate
        As :func:`mean`. The t interval is over seeds, and a point where all agree; the Wilson interval in
        the note takes samples as independent, also those of one seed, and is none.
    """
    found = mean(values)
    low, high = (
        min(max(edge, 0.0), 1.0) if math.isfinite(edge) else edge for edge in (found.low, found.high)
    )
    if n_samples is None or math.isnan(found.value):
        return dataclasses.replace(found, low=low, high=high)
    x = np.asarray(values, dtype=np.float64).ravel()
    sizes = np.broadcast_to(np.asarray(n_samples, dtype=np.int64), x.shape)
    n = int(sizes.sum())
    ends = wilson_interval(round(float(x @ sizes)), n, CONFIDENCE)
    note = f"Wilson [{ends[0]:.4g}, {ends[1]:.4g}] over {n} samples"
    return dataclasses.replace(found, low=low, high=high, note=note)


def median(values: npt.ArrayLike, rng: np.random.Generator | None = None) -> Estimate:
    """Return the median over seeds with its percentile bootstrap interval.

    Parameters
    ----------
    values : array_like, shape (n,)
        One number per seed; infinity is a number here, as of a run that never gets there.
    rng : numpy.random.Generator, optional
        Draws the resamples; seeded with 0 if not given, so that a ledger can be repeated.

    Returns
    -------
    Estimate
        One seed has no interval. With infinite numbers it is that of order statistics. A nan makes the
        median undefined.
    """
    from scipy import stats  # takes as long to import as all else together

    x = np.asarray(values, dtype=np.float64).ravel()
    if not len(x):
        return nothing()
    if np.isnan(x).any():
        return undefined(len(x), f"{int(np.sum(np.isnan(x)))} of {len(x)} not a number")
    if len(x) == 1 or x.min() == x.max():
        edge = float(x[0]) if len(x) > 1 else math.nan
        return Estimate(float(x[0]), edge, edge, len(x))
    if np.isinf(x).any():
        x = np.sort(x)
        rank = max(int(stats.binom.ppf((1.0 - CONFIDENCE) / 2.0, len(x), 0.5)), 1)
        middle = 0.5 * (x[(len(x) - 1) // 2] + x[len(x) // 2])
        return Estimate(float(middle), float(x[rank - 1]), float(x[-rank]), len(x))
    low, high = _bootstrap((x,), np.median, rng)
    return Estimate(float(np.median(x)), low, high, len(x))


def ratio_of_means(first: npt.ArrayLike, second: npt.ArrayLike) -> Estimate:
    """Return mean(first) / mean(second) of independent seeds with its percentile bootstrap interval.

    Parameters
    ----------
    first, second : array_like, shapes (n,) and (m,)
        One number per seed.

    Returns
    -------
    Estimate
        Undefined where a number is not finite or the second mean is 0; n counts the smaller group.
    """
    a, b = (np.asarray(v, dtype=np.float64).ravel() for v in (first, second))
    n = min(len(a), len(b))
    if n == 0:
        return nothing()
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or b.mean() == 0.0:
        return undefined(n)
    value = float(a.mean() / b.mean())
    if n == 1:
        return Estimate(value, math.nan, math.nan, 1)
    if np.ptp(a) == 0.0 and np.ptp(b) == 0.0:
        return Estimate(value, value, value, n)
    return Estimate(value, *_bootstrap((a, b), _mean_ratio, None), n)


def ratio_of_spreads(first: npt.ArrayLike, second: npt.ArrayLike) -> Estimate:
    """Return sd(first) / sd(second) of independent seeds with its percentile bootstrap interval.

    Parameters
    ----------
    first, second : array_like, shapes (n,) and (m,)
        One number per seed, at least two of each.

    Returns
    -------
    Estimate
        Undefined where a number is not finite or the second does not spread; n counts the smaller group.
    """
    a, b = (np.asarray(v, dtype=np.float64).ravel() for v in (first, second))
    n = min(len(a), len(b))
    if n < 2:
        return nothing()
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or np.ptp(b) == 0.0:
        return undefined(n)
    value = float(np.std(a, ddof=1) / np.std(b, ddof=1))
    return Estimate(value, *_bootstrap((a, b), _spread_ratio, None), n)


def _mean_ratio(a: FloatArray, b: FloatArray, axis: int = -1) -> FloatArray:
    return np.asarray(a.mean(axis=axis) / b.mean(axis=axis))


def _spread_ratio(a: FloatArray, b: FloatArray, axis: int = -1) -> FloatArray:
    # A resample of one observation over and over has no spread: its ratio is huge, or 1 where both have none.
    top, bottom = np.std(a, axis=axis, ddof=1), np.std(b, axis=axis, ddof=1)
    return np.asarray(np.divide(top, bottom, out=np.where(top > 0, 1e300, 1.0), where=bottom > 0))


def _bootstrap(
    samples: tuple[FloatArray, ...], statistic: Any, rng: np.random.Generator | None
) -> tuple[float, float]:
    from scipy import stats  # takes as long to import as all else together

    found = stats.bootstrap(
        samples,
        statistic,
        confidence_level=CONFIDENCE,
        n_resamples=2000,
        method="percentile",
        random_state=np.random.default_rng(0) if rng is None else rng,
    ).confidence_interval
    return float(found.low), float(found.high)


def proportion(n_hits: int, n: int) -> Estimate:
    """Return a share with its Wilson interval.

    Parameters
    ----------
    n_hits, n : int
        Hits among n independent trials.

    Returns
    -------
    Estimate
        The share; nothing for n = 0.

    Raises
    ------
    ValueError
        If not 0 <= n_hits <= n.
    """
    check_integer("n", n, minimum=0)
    check_integer("n_hits", n_hits, minimum=0, maximum=n)
    if n == 0:
        return nothing()
    return Estimate(n_hits / n, *wilson_interval(n_hits, n, CONFIDENCE), n)


def paired_difference(first: npt.ArrayLike, second: npt.ArrayLike) -> Estimate:
    """Return the mean of first - second over shared seeds, with the t interval of the differences.

    Parameters
    ----------
    first, second : array_like, shape (n,)
        Two numbers per seed, in the same order of seeds.

    Returns
    -------
    Estimate
        The spread that both share, from data and initial weights, drops out.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"first and second must have one entry per seed each, got {a.shape} and {b.shape}")
    return mean(a - b)


def log_slope(x: npt.ArrayLike, y: npt.ArrayLike) -> Estimate:
    r"""Return the exponent b of :math:`y \propto x^b` by regression on logarithms.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Positive numbers.

    Returns
    -------
    Estimate
        Slope of log y on log x with its t interval; n counts points. Undefined where one is not finite.

    Raises
    ------
    ValueError
        If there are fewer than three points, or fewer than two values of x, or one is not positive.
    """
    from scipy import stats  # takes as long to import as all else together

    a, b = (np.asarray(v, dtype=np.float64).ravel() for v in (x, y))
    missing = int(np.sum(~(np.isfinite(a) & np.isfinite(b))))
    if missing:
        return undefined(len(a), f"{missing} of {len(a)} points not finite")
    if len(a) < 3 or np.ptp(a) == 0.0:
        raise ValueError(f"x must hold at least three finite points of two or more values, got {len(a)}")
    if a.min() <= 0.0 or b.min() <= 0.0:
        raise ValueError("x and y must be > 0 for a slope on logarithms; leave the other points out")
    fit = stats.linregress(np.log(a), np.log(b))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(a) - 2)) * float(fit.stderr)
    return Estimate(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half, len(a))


def logistic_crossing(x: npt.ArrayLike, hits: npt.ArrayLike, trials: npt.ArrayLike) -> Estimate:
    r"""Return where a success probability crosses 1/2, by a logistic fit.

    Parameters
    ----------
    x : array_like, shape (g,)
        Values of the swept parameter (give its logarithm for a scale).
    hits, trials : array_like, shape (g,)
        Successes among independent trials at each value.

    Returns
    -------
    Estimate
        :math:`x_0` of :math:`p = 1/(1+e^{-b(x-x_0)})`, rising or falling, at maximum likelihood,
        with the interval of all :math:`x_0` whose profile likelihood a :math:`\chi^2_1` test does not
        reject; n counts trials. Undefined, and accepted by no rule, if the successes do not vary: the
        crossing then lies outside the range.

    Raises
    ------
    ValueError
        If the shapes differ or hits exceed trials.
    """
    from scipy import stats  # takes as long to import as all else together

    a, h, n = (np.asarray(v, dtype=np.float64) for v in (x, hits, trials))
    if not a.shape == h.shape == n.shape or a.ndim != 1:
        raise ValueError(f"x, hits and trials must have one shape (g,), got {a.shape}, {h.shape}, {n.shape}")
    if np.any(h < 0) or np.any(h > n):
        raise ValueError("hits must lie in 0..trials")
    if n.sum() == 0.0 or np.ptp(a) == 0.0:
        return nothing()
    if h.sum() in (0.0, n.sum()):
        return undefined(int(n.sum()), f"no crossing in [{a.min():.3g}, {a.max():.3g}]")
    scale = float(np.ptp(a))
    if np.sum(n * (a - np.average(a, weights=n)) * (h / np.maximum(n, 1.0))) < 0.0:
        h = n - h  # falling: the failures rise, and cross 1/2 at the same place

    def cost(centre: float, log_steepness: float) -> float:
        z = math.exp(log_steepness) / scale * (a - centre)
        return float(np.sum(h * np.logaddexp(0.0, -z) + (n - h) * np.logaddexp(0.0, z)))

    def profile(centre: float) -> float:
        # steepness bounded: perfectly separated counts have no finite maximum
        best = optimize.minimize_scalar(lambda s: cost(centre, s), bounds=(-4.0, 8.0), method="bounded")
        return float(best.fun)

    grid = np.linspace(a.min(), a.max(), 201)
    values = np.array([profile(float(c)) for c in grid])
    best = int(np.argmin(values))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, 200)]
    found = optimize.minimize_scalar(profile, bounds=ends, method="bounded")
    inside = grid[values <= float(found.fun) + float(stats.chi2.ppf(CONFIDENCE, 1)) / 2]
    low, high = (inside.min(), inside.max()) if len(inside) else ends
    centre = float(found.x)
    return Estimate(centre, min(float(low), centre), max(float(high), centre), int(n.sum()))


def resampled(values: npt.ArrayLike, statistic: Callable[[FloatArray], float]) -> Estimate:
    """Return a statistic of all seeds together, with its percentile bootstrap interval over seeds.

    For what is not a mean over seeds: the exponent of medians, the crossing of a mean.

    Parameters
    ----------
    values : array_like, shape (n, ...)
        What each seed gave; seeds are resampled whole.
    statistic : callable
        From an array of that shape to a number; nan where it has none.

    Returns
    -------
    Estimate
        Undefined if the statistic of all seeds is not finite. Resamples without a value are left out,
        and counted in the note. One seed has no interval.
    """
    table = np.asarray(values, dtype=np.float64)
    if not len(table):
        return nothing()
    value = float(statistic(table))
    if not math.isfinite(value):
        return undefined(len(table))
    if len(table) == 1:
        return Estimate(value, math.nan, math.nan, 1)
    rng = np.random.default_rng(0)
    draws = np.array([statistic(table[rng.integers(len(table), size=len(table))]) for _ in range(_RESAMPLES)])
    kept = draws[np.isfinite(draws)]
    note = f"{len(draws) - len(kept)} of {len(draws)} resamples have none" if len(kept) < len(draws) else ""
    if not len(kept):
        return Estimate(value, math.nan, math.nan, len(table), note=note)
    low, high = np.quantile(kept, ((1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0))
    return Estimate(value, min(float(low), value), max(float(high), value), len(table), note=note)
