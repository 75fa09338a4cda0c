"""Speed and memory of training beside a plain NumPy peer, in the same run.

Every step records all coefficients, losses and accuracies. Both sides use one thread, take
turns, and must agree before they are timed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _workload import CASES, POWER, SIZES, SMOOTHING, STEP_SIZE, Case, Problem, make_problem, numpy_train
from threadpoolctl import threadpool_limits

from featsim import (
    GradientAttack,
    Recording,
    Schedule,
    Threat,
    TwoLayerSpec,
    patch_data,
    train,
    version_report,
)

_AGREEMENT = 1e-9
_SECONDS_PER_CASE = 2.0
_ROUNDS = 3


def featsim_train(problem: Problem, case: Case, n_steps: int) -> dict[str, np.ndarray]:
    """Train with featsim, recording what the peer records and the weights' remainder."""
    size = problem.size
    k = size.n_classes
    data = patch_data(
        problem.X,
        problem.y,
        n_classes=k,
        robust_features=problem.features[:k],
        nonrobust_features=problem.features[k:],
        roles=problem.roles,
    )
    attack = None
    if case.norm is not None:
        threat = Threat(radius=case.radius, norm=case.norm, scope="input")
        attack = GradientAttack(threat=threat, step_size=case.inner_step, n_steps=case.n_inner, keep="last")
    attacked = () if attack is None else ("attacked_loss", "attacked_accuracy")
    names = ("robust_table", "nonrobust_table", "clean_loss", "clean_accuracy", *attacked)
    trace = train(
        TwoLayerSpec(width=size.width, power=POWER, smoothing=SMOOTHING),
        data,
        schedule=Schedule(n_steps=n_steps, step_size=STEP_SIZE),
        attack=attack,
        recording=Recording(quantities=names),
        initial_weights=problem.weights.reshape(k, size.width, size.dim),
    )
    table = np.concatenate([trace["robust_table"], trace["nonrobust_table"]], axis=3)
    clean = [trace["clean_loss"], trace["clean_accuracy"]]
    stats = np.stack(clean + ([trace[name] for name in attacked] or clean), axis=1)
    weights = trace.final_weights.reshape(size.n_filters, size.dim)
    return {
        "coef": table[:-1].reshape(n_steps, size.n_filters, 2 * k),
        "stats": stats[:-1],
        "weights": weights,
    }


PROGRAMS: dict[str, Callable[[Problem, Case, int], dict[str, np.ndarray]]] = {
    "featsim": featsim_train,
    "numpy": numpy_train,
}


def check_agreement(problem: Problem, case: Case, n_steps: int = 5) -> float:
    """Return the largest difference over a short run; refuse to time programs that disagree."""
    ours, theirs = (program(problem, case, n_steps) for program in PROGRAMS.values())
    difference = max(float(np.max(np.abs(ours[name] - theirs[name]))) for name in ours)
    if not difference < _AGREEMENT:
        raise SystemExit(
            f"{problem.size.name} {case.name}: programs differ by {difference:.1e}; nothing is timed"
        )
    return difference


def gemm_rate(problem: Problem) -> float:
    """Return FLOP per second of this machine's dgemm at the shape of the forward pass."""
    X = problem.X.reshape(-1, problem.size.dim)
    filters = np.ascontiguousarray(problem.weights.T)
    seconds = []
    for _ in range(7):
        begin = time.process_time()
        X @ filters
        seconds.append(time.process_time() - begin)
    return 2.0 * X.shape[0] * filters.size / min(seconds)


def seconds_per_step(program: Any, problem: Problem, case: Case, n_steps: int) -> float:
    """Return CPU seconds per step of one run."""
    begin = time.process_time()
    program(problem, case, n_steps)
    return (time.process_time() - begin) / n_steps


def time_case(problem: Problem, case: Case) -> dict[str, Any]:
    """Time both programs in turns: median CPU seconds per step, fixed costs of a call included."""
    agreement = check_agreement(problem, case)
    n_steps = {}
    for name, program in PROGRAMS.items():
        # Estimated twice: in two steps the fixed costs of a call would dominate.
        count = 2
        for _ in range(2):
            seconds = seconds_per_step(program, problem, case, count)
            count = max(2, min(5000, int(_SECONDS_PER_CASE / _ROUNDS / seconds)))
        n_steps[name] = count
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(_ROUNDS):
        for name, program in PROGRAMS.items():
            times[name].append(seconds_per_step(program, problem, case, n_steps[name]))
    median = {name: statistics.median(values) for name, values in times.items()}
    n, P, d = problem.X.shape
    bound = 4.0 * n * P * problem.size.n_filters * d * (case.n_inner + 1) / gemm_rate(problem)
    return {
        "size": problem.size.name,
        "case": case.name,
        "steps_per_second": 1.0 / median["featsim"],
        "times_faster_than_numpy": median["numpy"] / median["featsim"],
        "share_of_dgemm_bound": bound / median["featsim"],
        "largest_difference": agreement,
    }


def _peak(name: str, problem: Problem, case: Case) -> float:
    """Return by how many MB a short run raises the peak memory of a fresh process."""
    warm = make_problem(SIZES[0])
    PROGRAMS[name](warm, case, 2)
    scale = 1024.0 if sys.platform == "linux" else 1024.0**2
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    PROGRAMS[name](problem, case, 2)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / scale


def peak_memory(problem: Problem, case: Case) -> dict[str, float]:
    """Return the extra peak memory of each program, in MB, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for name in PROGRAMS:
        with context.Pool(1) as pool:
            peaks[name] = pool.apply(_peak, (name, problem, case))
    return peaks


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| size | case | steps/s | x NumPy | % of naive dgemm bound | peak MB, featsim / NumPy |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        memory = row["peak_megabytes"]
        lines.append(
            f"| {row['size']} | {row['case']} | {row['steps_per_second']:.4g} "
            f"| {row['times_faster_than_numpy']:.2f} | {100 * row['share_of_dgemm_bound']:.0f} "
            f"| {memory['featsim']:.0f} / {memory['numpy']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder for bench.json and bench.md"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quick", action="store_true", help="tiny only")
    group.add_argument("--full", action="store_true", help="all four sizes")
    options = parser.parse_args()
    sizes = SIZES[:1] if options.quick else (SIZES if options.full else SIZES[:3])
    rows = []
    with threadpool_limits(1, user_api="blas"):
        for size in sizes:
            for case in CASES:
                # The attacked large runs are cut to n = 250, as in the reference measurements.
                cut = 250 if size.name == "large" and case.norm else None
                problem = make_problem(size, cut)
                row = time_case(problem, case)
                row["peak_megabytes"] = peak_memory(problem, case)
                rows.append(row)
                print(table(rows).splitlines()[-1] if len(rows) > 1 else table(rows), flush=True)
    result = {
        "sizes": [dataclasses.asdict(size) for size in sizes],
        "rows": rows,
        "versions": version_report(),
    }
    options.results.mkdir(parents=True, exist_ok=True)
    machine = (
        f"{os.cpu_count()} CPUs seen, 1 thread used; CPU seconds, median of {_ROUNDS} interleaved rounds"
    )
    (options.results / "bench.json").write_text(json.dumps(result, indent=1))
    (options.results / "bench.md").write_text(f"{table(rows)}\n\n{machine}.\n")
    print(f"\n{machine}.")


if __name__ == "__main__":
    main()
