"""What the runs of ``featsim run`` will take, each and together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from featsim.machine import available_memory, in_words_of
from featsim.training import RunEstimate
from featsim.training.progress import duration

if TYPE_CHECKING:
    from featsim.cli.runs import Task


def estimates(tasks: Sequence[Task], method: str = "auto") -> dict[str, RunEstimate]:
    """Return the estimate of every training, by its first seed: the others have the same sizes."""
    found: dict[str, RunEstimate] = {}
    for task in tasks:
        if task.training not in found:
            found[task.training] = task.scenario.estimate(
                task.training,
                task.seed,
                recording=task.recording,
                out=task.out,
                reduction=task.reduction,
                method=method,
            )
    return found


def totals(tasks: Sequence[Task], found: Mapping[str, RunEstimate], jobs: int) -> dict[str, Any]:
    """Return time, memory and disk of all runs, `jobs` of them at once."""
    each = [found[task.training] for task in tasks]
    at_once = min(jobs, len(each))
    largest = sorted((run.memory_bytes for run in each), reverse=True)[:at_once]
    seconds = [run.seconds for run in each]
    available = available_memory()
    # Finished runs stay as one file each; the last ones may still be chunks and file.
    disk = sum(run.data_bytes + run.trace_bytes for run in each if run.disk_bytes)
    disk += max((run.trace_bytes for run in each if run.disk_bytes), default=0) * at_once
    free = min((run.free_bytes for run in each if run.free_bytes is not None), default=None)
    return {
        "runs": len(each),
        "at_once": at_once,
        # Runs are handed out one by one: no longer than this if they come in a good order.
        "seconds": math.nan if math.isnan(sum(seconds)) else max(sum(seconds) / at_once, *seconds),
        "memory_bytes": sum(largest),
        "available_bytes": available,
        "disk_bytes": disk,
        "free_bytes": free,
        "fits": (available is None or sum(largest) <= available) and (free is None or disk <= free),
    }


def as_text(tasks: Sequence[Task], found: Mapping[str, RunEstimate], jobs: int) -> str:
    """Return what is printed."""
    blocks = []
    for name, run in found.items():
        lines = run.describe().splitlines()
        if run.earlier_seconds:
            lines.append(f"        of which {duration(run.earlier_seconds)} for the training it starts from")
        blocks.append("\n".join([f"{tasks[0].scenario.name} {name}, one run", *(f"  {x}" for x in lines)]))
    every = totals(tasks, found, jobs)
    memory = in_words_of(every["memory_bytes"], every["available_bytes"])
    disk = in_words_of(every["disk_bytes"], every["free_bytes"])
    lines = [
        f"runs in all: {every['runs']}, at once: {every['at_once']} (evaluation not counted)",
        f"  time    {duration(every['seconds'])}",
        f"  memory  {memory}",
        *([f"  disk    {disk}"] if every["disk_bytes"] else []),
        "  " + ("fits" if every["fits"] else "DOES NOT FIT: record less, run fewer at once, or free space"),
    ]
    return "\n\n".join([*blocks, "\n".join(lines)])


def as_json(tasks: Sequence[Task], found: Mapping[str, RunEstimate], jobs: int) -> dict[str, Any]:
    """Return the same as data."""
    runs = {
        name: {**dataclasses.asdict(run), "seconds": run.seconds, "fits": run.fits}
        for name, run in found.items()
    }
    return {"scenario": tasks[0].scenario.name, "trainings": runs, "all": totals(tasks, found, jobs)}
