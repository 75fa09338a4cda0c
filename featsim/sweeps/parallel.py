"""Independent runs in parallel processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from featsim.kernels.blas import one_thread
from featsim.machine import TooLargeError, available_memory, in_words
from featsim.training import Progress
from featsim.validation import check_integer

Item = TypeVar("Item")
Result = TypeVar("Result")


def _one_thread(function: Callable[[Item], Result], item: Item) -> Result:
    with one_thread():
        return function(item)


def _check_memory(n_at_once: int, memory_bytes: int) -> None:
    available = available_memory()
    if available is None or n_at_once * memory_bytes <= available:
        return
    most = available // memory_bytes
    way = (
        f"use jobs={most}" if most else "one alone does not fit: record less, or stream to disk with out=..."
    )
    raise TooLargeError(
        f"{n_at_once} runs at once take {in_words(n_at_once * memory_bytes)}, {in_words(memory_bytes)} each, "
        f"and must fit into memory, where {in_words(available)} are available; {way}"
    )


def map_runs(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int = 1,
    progress: bool = False,
    label: str = "runs",
    memory_bytes: int = 0,
) -> list[Result]:
    """Apply `function` to every item and return the results in the order of the items.

    Linear algebra inside `function` has one thread, so results do not depend on `jobs`.

    Parameters
    ----------
    function : callable
        Takes one item; with `jobs` > 1 it and its result must be picklable.
    items : sequence
        What to run.
    jobs : int
        Processes, at least 1. Another joblib backend, chosen outside, spreads them over a cluster.
    progress : bool
        Whether to report progress on standard error.
    label : str
        For the progress report.
    memory_bytes : int
        What one run takes at its peak, such as ``estimate_run(...).memory_bytes``: if as many as run at once
        do not fit into the memory there is, nothing is started. 0 for no such check.

    Returns
    -------
    list
        One result per item.

    Raises
    ------
    TypeError, ValueError
        If `jobs` or `memory_bytes` is not an integer, `jobs` < 1 or `memory_bytes` < 0.
    TooLargeError
        If the runs at once do not fit into memory.
    """
    check_integer("jobs", jobs, minimum=1)
    check_integer("memory_bytes", memory_bytes, minimum=0)
    _check_memory(min(jobs, len(items)), memory_bytes)
    results: list[Result] = []
    with Progress(len(items), label, shown=progress) as report:
        if jobs == 1 or len(items) < 2:
            for item in items:
                results.append(_one_thread(function, item))
                report.advance(1)
            return results
        from joblib import Parallel, delayed

        # One at a time: joblib would hand out short runs in batches, of which one process gets the last.
        parallel = Parallel(n_jobs=min(jobs, len(items)), return_as="generator", batch_size=1)
        for result in parallel(delayed(_one_thread)(function, item) for item in items):
            results.append(result)
            report.advance(1)
    return results
