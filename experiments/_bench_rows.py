"""One row of the benchmark: agreement, rounds in turn, share of the dgemm bound, memory, targets."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from _bench_process import LABELS, Peer, together
from _workload import (
    CASES,
    SIZES,
    SYMMETRIC_CASES,
    SYMMETRIC_SIZES,
    Case,
    PatchSize,
    Size,
    SymmetricSize,
)

# Rounding differs between programs; nothing else may. In units of the largest number of an array, or 1.
AGREEMENT = 1e-9
_CHECK_STEPS = 5
_EXPENSIVE = 4e10  # FLOP above which agreement is checked on fewer steps

_WARM_SYMMETRIC = SymmetricSize("warm-up", 16, 8, 32)

# For the forecast alone: FLOP per second, how many times slower the programs are, seconds to start them all.
_RATE, _SLOWER, _START = 3e10, {"featsim": 1.2, "numpy": 4.0, "torch": 3.0, "jax": 1.8}, 6.0

# Share of the naive dgemm bound by size: clean and l_inf, then l2 with ten inner steps.
_SHARES = {"tiny": (0.85, 2.0), "small": (0.95, 3.0), "medium": (0.90, 2.0), "large": (0.90, 1.5)}
# Times faster than a peer: (size, case) -> peer -> ratio.
_RATIOS: dict[tuple[str, str], dict[str, float]] = {
    ("tiny", "clean"): {"torch": 7.0, "jax": 1.15},
    ("small", "clean"): {"torch": 3.0, "jax": 1.2},
    ("medium", "clean"): {"torch": 2.5, "jax": 1.3},
    ("large", "clean"): {"torch": 1.4, "jax": 1.05},
    ("tiny", "l2 S=10"): {"torch": 22.0, "jax": 3.0},
    ("small", "l2 S=10"): {"torch": 15.0, "jax": 4.5},
    ("medium", "l2 S=10"): {"torch": 5.0, "jax": 3.0},
    ("large", "l2 S=10"): {"torch": 2.5, "jax": 1.7},
    ("d=100 m=500", "clean"): {"torch": 7.0, "numpy": 3.0},
    ("d=500 m=2000", "clean"): {"torch": 1.8, "numpy": 1.4},
}


class DisagreementError(Exception):
    """Two programs did not compute the same; nothing may be timed."""


@dataclasses.dataclass(frozen=True)
class Row:
    """What is measured, under a key such as ``patches/tiny/clean``."""

    key: str
    size: Size
    case: Case


@dataclasses.dataclass(frozen=True)
class Effort:
    """Seconds of one timed run, most rounds, seconds of all rounds of a row, most steps of a run."""

    seconds: float = 0.5
    rounds: int = 5
    row_seconds: float = 60.0
    most_steps: int = 5000


def workload_rows(size: str) -> list[Row]:
    """Return the rows of both workloads at a benchmark size: quick, default or full."""
    if size == "quick":
        tiny = dataclasses.replace(SIZES[0], name="test", n_samples=16)
        small = SymmetricSize("d=20 m=30", 20, 30, 64)
        pairs = [("patches", tiny, case) for case in (CASES[0], CASES[2])]
        pairs += [("symmetric", small, case) for case in SYMMETRIC_CASES]
    else:
        pairs = [("patches", _cut(patches, case), case) for patches in SIZES for case in CASES]
        pairs += [("symmetric", net, case) for net in SYMMETRIC_SIZES for case in SYMMETRIC_CASES]
    return [Row(f"{kind}/{of.name}/{case.name}", of, case) for kind, of, case in pairs]


def threads_rows(size: str) -> list[Row]:
    """Return the rows that are measured again with two threads for every program."""
    chosen = ("tiny/clean", "small/clean", "small/l2 S=10", "medium/clean", "medium/l2 S=10")
    rows = {row.key: row for row in workload_rows(size)}
    found = [rows[f"patches/{name}"] for name in chosen if f"patches/{name}" in rows]
    return [dataclasses.replace(row, key=row.key.replace("patches/", "threads/")) for row in found]


def _cut(size: PatchSize, case: Case) -> PatchSize:
    """Attacked runs of the large size have 250 samples, which time per sample does not notice."""
    return dataclasses.replace(size, n_samples=250) if size.name == "large" and case.norm else size


def rehearsal(size: Size) -> Size:
    """Return a small problem of the same kind, for which every program loads and compiles the same code."""
    if isinstance(size, PatchSize):
        return dataclasses.replace(size, name="warm-up", n_samples=2 * size.n_classes)
    return _WARM_SYMMETRIC


def forecast(row: Row, names: Sequence[str], effort: Effort) -> float:
    """Return about how many seconds a row takes with all its rounds."""
    N, d, K = row.size.gemm_shape
    step = 4.0 * N * K * d * (row.case.n_inner + 1) / _RATE
    all_steps = step * sum(_SLOWER[name] for name in names)
    one_round = max(all_steps, effort.seconds * len(names))
    rounds = min(effort.rounds, max(2, round(effort.row_seconds / one_round)))
    return _START + 2.0 * all_steps + rounds * one_round


def measure(
    row: Row, peers: Sequence[Peer], yardstick: Peer, effort: Effort, seconds: float = float("inf")
) -> dict[str, Any]:
    """Return all numbers of a row.

    Parameters
    ----------
    row : Row
        Problem and case.
    peers : sequence of Peer
        The programs, featsim first.
    yardstick : Peer
        Measures the matrix product, so that the peers' memory is their own.
    effort : Effort
        Lengths and numbers of runs.
    seconds : float
        What the row may take; fewer rounds, but one, are made for it.

    Raises
    ------
    DisagreementError
        If a program's records differ from featsim's, before anything is timed.
    """
    begin = time.perf_counter()
    threads = peers[0].threads
    clock = 0 if threads == 1 else 1
    n_check = _check_steps(row)
    together(peers, "warm", rehearsal(row.size), row.case)
    data = together(peers, "load", row.size, row.case)
    together(peers, "prepare", n_check)
    outcomes = {peer.name: peer("run") for peer in peers}
    difference = largest_difference(row.key, outcomes)
    # Here, where every program has done the same steps and no others.
    memory = together(peers, "memory")
    trace = sum(values.nbytes for values in outcomes["featsim"].values()) / 2.0**20
    del outcomes
    steps, times = _calibrate(peers, effort, n_check, clock)
    one_round = sum(values[-1] * steps[name] for name, values in times.items())
    left = min(effort.row_seconds, seconds - (time.perf_counter() - begin))
    rounds = max(1, min(effort.rounds, int(left / max(one_round, 1e-9)) + 1))
    bounds = []
    while len(bounds) < rounds:
        bounds.append(_gemm_seconds(yardstick, row, effort, clock))
        # The calibrating runs are a first round: steps and programs were warm already.
        if len(bounds) > 1:
            for peer in peers:
                times[peer.name].append(peer("time")[clock] / steps[peer.name])
    result = {
        "key": row.key,
        "size": row.size.name,
        "case": row.case.name,
        "threads": threads,
        "steps": steps,
        "rounds": rounds,
        **_figures(row, times, statistics.median(bounds)),
        "data_megabytes": max(data.values()),
        "trace_megabytes": trace,
        "megabytes": memory,
        "largest_difference": difference,
        "checked_steps": n_check,
    }
    return {**result, "targets": targets(result)}


def _figures(row: Row, times: dict[str, list[float]], bound: float) -> dict[str, Any]:
    """Return what follows from seconds per step, and from seconds of the product (N, d) x (d, K)."""
    median = {name: statistics.median(values) for name, values in times.items()}
    N, d, K = row.size.gemm_shape
    flops = 4.0 * N * K * d * (row.case.n_inner + 1)
    rate = 2.0 * N * K * d / bound
    return {
        "shape": {"rows": N, "dim": d, "neurons": K, "inner_steps": row.case.n_inner},
        "seconds_per_step": median,
        "spread": {name: (max(v) - min(v)) / median[name] for name, v in times.items()},
        "steps_per_second": {name: 1.0 / value for name, value in median.items()},
        "times_faster_than": {
            name: value / median["featsim"] for name, value in median.items() if name != "featsim"
        },
        "dgemm_gflops": rate / 1e9,
        "share_of_dgemm_bound": flops / rate / median["featsim"],
    }


def _check_steps(row: Row) -> int:
    """Return how many steps are compared: five, or fewer where a step takes long."""
    N, d, K = row.size.gemm_shape
    return int(min(max(_EXPENSIVE / (4.0 * N * d * K * (row.case.n_inner + 1)), 1), _CHECK_STEPS))


def largest_difference(key: str, outcomes: dict[str, dict[str, np.ndarray]]) -> float:
    """Return the largest difference to featsim over all records, in units of the largest number or 1."""
    ours, worst = outcomes["featsim"], 0.0
    for peer, theirs in outcomes.items():
        for name, values in ours.items():
            if theirs[name].shape != values.shape:
                raise DisagreementError(
                    f"{key}: {name} has shape {values.shape} in featsim, "
                    f"{theirs[name].shape} in {LABELS[peer]}"
                )
            scale = max(1.0, float(np.abs(values).max()))
            apart = float(np.abs(theirs[name] - values).max()) / scale
            # Written so that NaN counts as a difference.
            if not apart < AGREEMENT:
                at = np.unravel_index(np.nanargmax(np.abs(theirs[name] - values)), values.shape)
                raise DisagreementError(
                    f"{key}: {name} at {tuple(int(i) for i in at)} is {values[at]:.12g} in featsim and "
                    f"{theirs[name][at]:.12g} in {LABELS[peer]}; nothing is timed"
                )
            worst = max(worst, apart)
    return worst


def _calibrate(
    peers: Sequence[Peer], effort: Effort, n_check: int, clock: int
) -> tuple[dict[str, int], dict[str, list[float]]]:
    """Return steps of a timed run of every program, and the seconds per step of a first one."""
    steps, times = {}, {}
    for peer in peers:
        count, seconds = n_check, peer("time")[clock]
        # Twice, because in a few steps the fixed costs of a call dominate.
        for _ in range(2):
            wanted = min(effort.most_steps, int(effort.seconds * count / max(seconds, 1e-6)))
            if wanted <= 1.5 * count:
                break
            count = wanted
            peer("prepare", count)
            seconds = peer("time")[clock]
        steps[peer.name], times[peer.name] = count, [seconds / count]
    return steps, times


def _gemm_seconds(peer: Peer, row: Row, effort: Effort, clock: int) -> float:
    return float(peer("gemm", row.size.gemm_shape, min(effort.seconds, 0.1))[clock])


def targets(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the row is held to: the number wanted, the number measured, whether it is met."""
    wanted: list[tuple[str, float, float | None]] = []
    kind, size, case = row["key"].split("/")
    if kind not in ("patches", "symmetric"):
        return []
    if kind == "patches" and size in _SHARES:
        share = row["share_of_dgemm_bound"]
        if case == "clean" or case.startswith("linf"):
            wanted.append(("share of the dgemm bound", _SHARES[size][0], share))
        elif case == "l2 S=10":
            wanted.append(("share of the dgemm bound", _SHARES[size][1], share))
    for peer, ratio in _RATIOS.get((size, case), {}).items():
        wanted.append((f"times {LABELS[peer]}", ratio, row["times_faster_than"].get(peer)))
    return [
        {"what": what, "target": target, "measured": value, "met": None if value is None else value >= target}
        for what, target, value in wanted
    ]
