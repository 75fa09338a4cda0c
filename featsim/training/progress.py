"""Progress of long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import math
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

_LOG_SECONDS = 10.0


def duration(seconds: float) -> str:
    """Return a time in words, such as ``3 min``."""
    if math.isnan(seconds):
        return "unknown"
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{1 if seconds < 9.95 * size else 0}f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.2g} s"


class Progress:
    """Count steps done, on standard error; silent where `shown` is false.

    Parameters
    ----------
    total : int
        Steps of the whole work.
    label : str
        What is being done.
    shown : bool
        Whether to show anything.
    done : int
        Steps already done.
    """

    def __init__(self, total: int, label: str, *, shown: bool, done: int = 0) -> None:
        self._total, self._label, self._done = total, label, done
        self._bar: Any = None
        self._log = shown and not sys.stderr.isatty()
        self._last = self._start = time.monotonic()
        self._before = done
        if shown and not self._log:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=label, unit="step", leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n_steps: int) -> None:
        """Report `n_steps` more steps."""
        self._done += n_steps
        if self._bar is not None:
            self._bar.update(n_steps)
        elif self._log and time.monotonic() - self._last >= _LOG_SECONDS:
            self._last = time.monotonic()
            print(
                f"{self._label}: step {self._done} of {self._total}{self._left()}",
                file=sys.stderr,
                flush=True,
            )

    def compiling(self) -> AbstractContextManager[Any]:
        """Say so when a kernel is compiled meanwhile: that can take longer than the first steps."""
        if self._bar is None and not self._log:
            return nullcontext()
        from featsim.training.compilation import on_compilation

        return on_compilation(self._compilation_begun, self._compilation_done)

    def _compilation_begun(self) -> None:
        if self._bar is not None:
            self._bar.set_description(f"{self._label}: compiling the kernel")
        else:
            print(f"{self._label}: compiling the kernel", file=sys.stderr, flush=True)

    def _compilation_done(self, seconds: float) -> None:
        self._start += seconds  # what is left takes as long as the steps do
        if self._bar is not None:
            self._bar.start_t += seconds
            self._bar.set_description(self._label)
        else:
            print(f"{self._label}: compiled in {duration(seconds)}", file=sys.stderr, flush=True)

    def _left(self) -> str:
        """Say how long the rest takes at the rate so far."""
        done = self._done - self._before
        if not done or self._done >= self._total:
            return ""
        rate = (time.monotonic() - self._start) / done
        return f", about {duration(rate * (self._total - self._done))} left"
