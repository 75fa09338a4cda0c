"""Eight seeds by featsim's `map_runs`, in one process and in two, in turn; prints the seconds as JSON.

A process of its own: what a user's script would be. Beside it eight loops of plain Python, which share
nothing but the machine: their gain is what the machine gave at that moment.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from _bench_rows import workload_rows
from _peer_featsim import convert, prepare
from _workload import Case, Size

from featsim import map_runs

_N_SEEDS = 8
_LOOP_SECONDS = 0.5


def one_run(item: tuple[Size, Case, int, int]) -> dict[str, np.ndarray]:
    """Draw the data of a seed and train on them."""
    size, case, seed, n_steps = item
    return prepare(convert(size.make(seed)), case, n_steps)()


def loop(n: int) -> int:
    """Count, in plain Python."""
    total = 0
    for number in range(n):
        total += number
    return total


def main() -> None:
    """Time the seeds of the problem named on the command line."""
    name, case_name, seconds, rounds = json.loads(sys.argv[1])
    known = [*workload_rows("default"), *workload_rows("quick")]
    size, case = next(
        (row.size, row.case) for row in known if (row.size.name, row.case.name) == (name, case_name)
    )
    count = _steps(size, case, seconds)
    items = [(size, case, seed, count) for seed in range(_N_SEEDS)]
    begin = time.perf_counter()
    map_runs(one_run, [(*item[:3], 1) for item in items], jobs=2)
    start = time.perf_counter() - begin
    # Both processes are there now; the one that came later has yet to load the kernels.
    map_runs(one_run, items, jobs=2)
    times: dict[int, list[float]] = {1: [], 2: []}
    loops: dict[int, list[float]] = {1: [], 2: []}
    runs: dict[int, Any] = {}
    counts = [_numbers(_LOOP_SECONDS)] * _N_SEEDS
    for _ in range(rounds):
        for jobs in times:
            begin = time.perf_counter()
            runs[jobs] = map_runs(one_run, items, jobs=jobs)
            middle = time.perf_counter()
            map_runs(loop, counts, jobs=jobs)
            times[jobs].append(middle - begin)
            loops[jobs].append(time.perf_counter() - middle)
    pairs = zip(runs[1], runs[2], strict=True)
    same = all(np.array_equal(one[array], two[array]) for one, two in pairs for array in one)
    found = {"steps": count, "start": start, "one": times[1], "two": times[2], "same_bits": same}
    print(json.dumps({**found, "loops_one": loops[1], "loops_two": loops[2]}))


def _numbers(seconds: float) -> int:
    """Return how many numbers a loop counts in so much time."""
    begin = time.perf_counter()
    loop(5_000_000)
    return int(5_000_000 * seconds / (time.perf_counter() - begin))


def _steps(size: Size, case: Case, seconds: float) -> int:
    """Return for how many steps one seed takes as long as wanted."""
    count = 4
    one_run((size, case, 0, count))  # loads or compiles the kernels, which takes longer than many steps
    while True:
        begin = time.perf_counter()
        one_run((size, case, 0, count))
        taken = time.perf_counter() - begin
        if taken > 0.7 * seconds or count >= 20000:
            return count
        count = min(20000, max(2 * count, int(seconds * count / taken)))


if __name__ == "__main__":
    main()
