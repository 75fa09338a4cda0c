"""Acceptance rules: the text and the test of it in one object, so that they cannot part."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from featsim.claims.estimates import Estimate, three_standard_errors


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a measured number must satisfy.

    Attributes
    ----------
    text : str
        The rule in words.
    holds : callable
        Takes the estimate, returns whether it does.
    """

    text: str
    holds: Callable[[Estimate], bool]


def at_least(limit: float, reason: str = "") -> Rule:
    """Accept a value of at least `limit`; `reason` says where the limit comes from."""
    return Rule(f">= {limit:g}{_because(reason)}", lambda e: e.value >= limit)


def at_most(limit: float, reason: str = "") -> Rule:
    """Accept a value of at most `limit`; `reason` says where the limit comes from."""
    return Rule(f"<= {limit:g}{_because(reason)}", lambda e: e.value <= limit)


def between(low: float, high: float, reason: str = "") -> Rule:
    """Accept a value from `low` to `high`; `reason` says where they come from."""
    return Rule(f"in [{low:g}, {high:g}]{_because(reason)}", lambda e: low <= e.value <= high)


def interval_covers(target: float) -> Rule:
    """Accept an interval that holds `target`."""
    return Rule(f"95 % interval holds {target:.4g}", lambda e: e.low <= target <= e.high)


def interval_above(limit: float) -> Rule:
    """Accept an interval that lies above `limit`; one observation has none."""
    return Rule(f"95 % interval above {limit:g}", lambda e: e.low > limit)


def covers_within(target: float, slack: float, reason: str = "") -> Rule:
    """Accept a value within `slack` of `target`; `reason` says where the slack comes from."""
    return Rule(f"{target:.4g} +- {slack:.2g}{_because(reason)}", lambda e: abs(e.value - target) <= slack)


def as_measured(value: float, sd: float, n: int) -> Rule:
    """Accept agreement with the reference's measured mean +- sd over n seeds, to three standard errors.

    The standard error is that of the difference: the reference's and ours together.
    """
    return Rule(
        f"reference's {value:g} +- {sd:g} over {n} seeds, to 3 standard errors of the difference",
        lambda e: not math.isnan(e.value) and abs(e.value - value) <= three_standard_errors(e, sd, n) + 1e-12,
    )


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
