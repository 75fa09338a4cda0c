"""How long the benchmark takes: a forecast for every row, corrected by the rows measured, and a limit.

A row whose forecast does not fit into what is left of the time is given fewer rounds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping


class Budget:
    """Seconds that are left, shared among the rows that are left.

    Parameters
    ----------
    forecasts : mapping of str to float
        Seconds of every row with all its rounds, by key.
    limit : float
        Seconds for all of them; infinite for no limit.
    """

    def __init__(self, forecasts: Mapping[str, float], limit: float = float("inf")) -> None:
        self._left = dict(forecasts)
        self._limit = limit
        self._begin = time.perf_counter()
        self._foreseen = self._spent = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    @property
    def remaining(self) -> float:
        """Forecast of the rows that are left, corrected by how wrong the forecasts were so far."""
        # The first rows count little: a forecast of seconds may be twice what it takes, of minutes not.
        scale = (self._spent + 30.0) / (self._foreseen + 30.0)
        return scale * sum(self._left.values())

    def share(self, key: str) -> float:
        """Return the seconds that a row may take: all of its forecast if there is time, or its part."""
        remaining = self.remaining
        if remaining <= 0.0:
            return 0.0
        thin = min(1.0, max(self._limit - self.elapsed, 0.0) / remaining)
        scale = remaining / sum(self._left.values())
        return thin * scale * self._left[key] if thin < 1.0 else float("inf")

    def done(self, key: str, seconds: float) -> None:
        """Take note of what a row took."""
        self._foreseen += self._left.pop(key)
        self._spent += seconds

    def __str__(self) -> str:
        return f"{self.elapsed:.0f} s, about {self.remaining:.0f} s to go"
