"""Runs one after the other or in parallel processes, which Ctrl-C stops without losing any."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Finished(Protocol):
    """What a run gave."""

    @property
    def stopped(self) -> bool:
        """Whether the user interrupted it."""
        ...


Task = TypeVar("Task")
Outcome = TypeVar("Outcome", bound=Finished)


def run_all(
    function: Callable[[Task], Outcome],
    tasks: Sequence[Task],
    *,
    jobs: int,
    progress: bool,
    memory_bytes: int = 0,
) -> tuple[list[Outcome], bool]:
    """Return the outcomes in the order of the tasks, and whether the user interrupted.

    `memory_bytes` is what one run takes.

    After an interruption the rest is not started. In parallel, outcomes are then lost here, but not
    what was written.
    """
    from featsim.sweeps import map_runs

    done: list[Outcome] = []

    def run(task: Task) -> None:
        done.append(function(task))
        if done[-1].stopped:
            raise KeyboardInterrupt

    shown = progress and len(tasks) > 1
    try:
        if jobs == 1:
            map_runs(run, tasks, jobs=1, progress=shown)
        else:
            done = map_runs(function, tasks, jobs=jobs, progress=shown, memory_bytes=memory_bytes)
    except KeyboardInterrupt:
        return done, True
    return done, any(outcome.stopped for outcome in done)


def was_stopped(status: str, message: str) -> bool:
    """Say whether the user pressed Ctrl-C during a run, and it was not, for instance, a full disk."""
    return status in ("interrupted", "completed") and message.startswith("interrupted")


@contextmanager
def caught_warnings() -> Iterator[list[str]]:
    """Collect the texts of warnings, each once, instead of printing them in the midst of a bar.

    Yields
    ------
    list of str
        Filled at the end.
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield texts
    texts.extend(dict.fromkeys(str(warning.message) for warning in caught))
