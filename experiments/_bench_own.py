"""featsim alone: the price of recording, seeds on two processors, the time to the first trajectory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _bench_process import Peer
from _bench_rows import Effort, Row, workload_rows
from _workload import SIZES, Case

_RECORDING = 0.05  # most that recording everything may cost, from small on
_TWO_PROCESSORS = 1.9
_SECONDS = {"import": 0.5, "first trajectory, warm cache": 1.0, "first trajectory, empty cache": 10.0}
_SEEDS = Path(__file__).with_name("_bench_seeds.py")
_PROGRAMS = {
    "import": "import featsim",
    "first trajectory, warm cache": """
import numpy as np
from featsim import PatchDataSpec, Schedule, TwoLayerSpec, sample_patches, train
rng = np.random.default_rng(0)
data = sample_patches(PatchDataSpec(), n_samples=64, rng=rng)
train(TwoLayerSpec(), data, schedule=Schedule(n_steps=100), rng=rng)
""",
}
_PROGRAMS["first trajectory, empty cache"] = _PROGRAMS["first trajectory, warm cache"]


def target(what: str, wanted: float, measured: float, most: bool = False) -> dict[str, Any]:
    """Return what a row is held to; `most` says that less is better."""
    met = measured <= wanted if most else measured >= wanted
    return {"what": what, "target": wanted, "measured": measured, "met": met}


def tracing_rows(size: str) -> list[Row]:
    """Return the problems on which recording is timed: clean steps, to which it adds most."""
    if size == "quick":
        return [Row("tracing/test", workload_rows("quick")[0].size, Case(None, 0))]
    rows = {row.key: row for row in workload_rows(size)}
    # The large problem of the attacked rows: time per sample does not depend on their number.
    sizes = [rows[f"patches/{of.name}/{'linf S=1' if of.name == 'large' else 'clean'}"].size for of in SIZES]
    return [Row(f"tracing/{of.name}", of, Case(None, 0)) for of in sizes]


def measure_tracing(row: Row, peer: Peer, effort: Effort) -> dict[str, Any]:
    """Return how much longer training takes that records everything at every step, not the last state only.

    Everything is every quantity that training can record of this problem, with the products of all filters
    and all features.
    """
    peer("warm", row.size, row.case)
    peer("load", row.size, row.case)
    count = _steps(peer, effort)
    seconds: dict[str, list[float]] = {"everything": [], "last": []}
    # The difference of two times needs more rounds than their ratio to a peer's.
    for _ in range(2 * effort.rounds + 1):
        for recorded, times in seconds.items():
            peer("prepare", count, recorded)
            times.append(peer("time")[0])
    ratios = [one / other for one, other in zip(*seconds.values(), strict=True)]
    cost = statistics.median(ratios) - 1.0
    wanted = [] if row.size.name in ("tiny", "test") else [target("recording", _RECORDING, cost, most=True)]
    return {
        "key": row.key,
        "size": row.size.name,
        "steps": {"featsim": count},
        "seconds_per_step": {"featsim": statistics.median(seconds["everything"]) / count},
        "seconds_without": statistics.median(seconds["last"]) / count,
        "cost": cost,
        "spread": max(ratios) - min(ratios),
        "targets": wanted,
    }


def _steps(peer: Peer, effort: Effort) -> int:
    """Return for how many steps a run takes as long as wanted."""
    count = 2
    while True:
        peer("prepare", count, "last")
        seconds = peer("time")[0]
        if seconds > 0.5 * effort.seconds or count >= effort.most_steps:
            return count
        count = min(effort.most_steps, max(2 * count, int(effort.seconds * count / seconds)))


def seeds_rows(size: str) -> list[Row]:
    """Return the problems whose seeds are trained side by side."""
    if size == "quick":
        return [Row("seeds/test/clean", workload_rows("quick")[0].size, Case(None, 0))]
    cases = (Case(None, 0), Case("l2", 10))
    return [Row(f"seeds/{SIZES[1].name}/{case.name}", SIZES[1], case) for case in cases]


def measure_seeds(row: Row, effort: Effort) -> dict[str, Any]:
    """Return how much sooner eight seeds are ready with two processes than with one."""
    # Runs of a second: starting them takes 10 ms each, which is not what is asked.
    request = json.dumps([row.size.name, row.case.name, 2.0 * effort.seconds, min(effort.rounds, 3)])
    answer = subprocess.run(
        [sys.executable, str(_SEEDS), request], check=True, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(answer.stdout)
    gain = _gain(found["one"], found["two"])
    return {
        "key": row.key,
        "size": row.size.name,
        "case": row.case.name,
        "steps": {"featsim": found["steps"]},
        "seconds_per_step": {"featsim": statistics.median(found["one"]) / (8 * found["steps"])},
        "seconds_one": statistics.median(found["one"]),
        "seconds_two": statistics.median(found["two"]),
        "seconds_to_start": found["start"],
        "same_bits": found["same_bits"],
        "gain": gain,
        "gain_of_loops": _gain(found["loops_one"], found["loops_two"]),
        "targets": [] if row.size.name == "test" else [target("two processes", _TWO_PROCESSORS, gain)],
    }


def _gain(one: list[float], two: list[float]) -> float:
    """Return the median over the rounds."""
    return statistics.median(alone / both for alone, both in zip(one, two, strict=True))


def measure_start(what: str, repeats: int) -> dict[str, Any]:
    """Return the wall seconds of a fresh Python, from its start to its end, the fastest of `repeats`."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        seconds = [_once(what, environment)]
        if "empty" not in what:  # the first was a rehearsal, which filled the cache
            seconds = [_once(what, environment) for _ in range(repeats)]
    best = min(seconds)
    return {
        "key": f"start/{what}",
        "size": what,
        "seconds_per_step": {},
        "seconds": best,
        "targets": [target("seconds", _SECONDS[what], best, most=True)],
    }


def _once(what: str, environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", _PROGRAMS[what]], check=True, env=environment)
    return time.perf_counter() - begin


STARTS = tuple(_PROGRAMS)
