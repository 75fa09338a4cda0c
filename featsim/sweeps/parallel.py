"""Independent runs in parallel processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from featsim.training import Progress
from featsim.validation import check_integer

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_runs(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int = 1,
    progress: bool = False,
    label: str = "runs",
) -> list[Result]:
    """Apply `function` to every item and return the results in the order of the items.

    Every run pins its linear algebra to one thread, so results do not depend on `jobs`.

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

    Returns
    -------
    list
        One result per item.

    Raises
    ------
    ValueError
        If `jobs` < 1.
    """
    check_integer("jobs", jobs, minimum=1)
    results: list[Result] = []
    with Progress(len(items), label, shown=progress) as report:
        if jobs == 1 or len(items) < 2:
            for item in items:
                results.append(function(item))
                report.advance(1)
            return results
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=min(jobs, len(items)), return_as="generator")
        for result in parallel(delayed(function)(item) for item in items):
            results.append(result)
            report.advance(1)
    return results
