"""Scaling curves: one number of a small problem at a time is varied, for every program."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from _bench_process import Peer, together
from _bench_rows import Effort, Row, measure
from _workload import Case, PatchSize

BASE = PatchSize("base", 3, 10, 16, 128, 100)
_INNER = 3
_POINTS: dict[str, dict[str, tuple[int, ...]]] = {
    "n": {"quick": (10, 20), "default": (25, 100, 400), "full": (25, 50, 100, 200, 400, 800, 1600)},
    "d": {"quick": (16, 32), "default": (32, 128, 512), "full": (32, 64, 128, 256, 512, 1024)},
    "P": {"quick": (2, 4), "default": (4, 16, 64), "full": (2, 4, 8, 16, 32, 64)},
    "K": {"quick": (6, 12), "default": (12, 30, 120, 300), "full": (12, 30, 60, 120, 240, 480)},
    "S": {"quick": (0, 1), "default": (0, 1, 3, 10), "full": (0, 1, 2, 5, 10, 20)},
    "T": {"quick": (2, 4), "default": (10, 100, 1000), "full": (10, 30, 100, 300, 1000, 3000)},
}
_FIELDS = {"n": "n_samples", "d": "dim", "P": "n_patches"}
LABELS = {
    "n": "samples n",
    "d": "dimension d",
    "P": "patches P",
    "K": "filters K",
    "S": "inner steps S",
    "T": "steps T",
}


@dataclasses.dataclass(frozen=True)
class Point:
    """One value of one number; `steps` fixes the length of the run, otherwise it is calibrated."""

    curve: str
    value: int
    row: Row
    steps: int | None = None


def points(size: str) -> list[Point]:
    """Return all points at a benchmark size: quick, default or full."""
    base = dataclasses.replace(BASE, n_patches=4, dim=16, n_samples=20) if size == "quick" else BASE
    found = []
    for curve, values in _POINTS.items():
        for value in values[size]:
            problem, case, steps = base, Case("l2", _INNER), None
            if curve in _FIELDS:
                problem = dataclasses.replace(base, **{_FIELDS[curve]: value})
            elif curve == "K":
                problem = dataclasses.replace(base, width=value // base.n_classes)
            elif curve == "S":
                case = Case("l2", value) if value else Case(None, 0)
            else:
                steps = value
            found.append(Point(curve, value, Row(f"curves/{curve}/{value}", problem, case), steps))
    return found


def measure_point(
    point: Point, peers: Sequence[Peer], yardstick: Peer, effort: Effort, seconds: float = float("inf")
) -> dict[str, Any]:
    """Return a row with the curve's name and value; along T the seconds are those of whole runs."""
    # A run of a given length is one that calibrating can neither lengthen nor shorten.
    if point.steps is not None:
        row = _measure_length(point, peers, effort)
    else:
        row = measure(point.row, peers, yardstick, effort, seconds)
        del row["megabytes"]  # of processes that have seen other rows
    return {**row, "curve": point.curve, "value": point.value}


def _measure_length(point: Point, peers: Sequence[Peer], effort: Effort) -> dict[str, Any]:
    """Return seconds per step of runs of `point.steps` steps, fixed costs of a call included."""
    clock = 0 if peers[0].threads == 1 else 1
    assert point.steps is not None
    times: dict[str, list[float]] = {peer.name: [] for peer in peers}
    together(peers, "warm", point.row.size, point.row.case)
    together(peers, "load", point.row.size, point.row.case)
    together(peers, "prepare", point.steps)
    for peer in peers:
        peer("time")
    for _ in range(effort.rounds):
        for peer in peers:
            times[peer.name].append(peer("time")[clock] / point.steps)
    return {
        "key": point.row.key,
        "steps": dict.fromkeys(times, point.steps),
        # The shortest of a few: what is looked for are fixed costs, which nothing makes smaller.
        "seconds_per_step": {name: min(values) for name, values in times.items()},
        "targets": [],
    }
