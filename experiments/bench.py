"""Speed and memory of training, beside plain NumPy, PyTorch and JAX in the same run.

Workload 1 is structured patches at four sizes, clean and attacked, with every coefficient, loss
and accuracy recorded at every step; workload 2 the symmetric network, clean and under one fast
gradient step. NumPy always takes part, PyTorch (eager, autograd) and JAX (jit and scan) where they
are installed: pip install '.[bench]'. Every program runs in a process of its own with the same
number of threads. Programs take turns, and must agree before anything is timed. Then come scaling
curves, some rows again with two threads for every program, and what is featsim's own: the price of
recording, seeds on two processors, the time to the first trajectory.

Without --quick or --full it takes at most a quarter of an hour: rows are given fewer rounds where
the machine is slow. Writes bench.json, bench.md and bench.png after every row, so that an
interrupted benchmark goes on with --join --seconds. Rows can be measured in several goes:
    bench.py --only 'patches/tiny/*'
    bench.py --only 'patches/small/*' --join
    bench.py --join --seconds 150          # what is not there yet, as much as fits
    bench.py --only nothing --join --table docs/benchmarks.rst
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import fnmatch
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _bench_budget import Budget
from _bench_curves import measure_point, points
from _bench_figure import draw
from _bench_own import STARTS, measure_seeds, measure_start, measure_tracing, seeds_rows, tracing_rows
from _bench_process import LABELS, Peer, installed, programs
from _bench_report import line, markdown, restructured, summary
from _bench_rows import DisagreementError, Effort, Row, forecast, measure, threads_rows, workload_rows

# For the rows of the workloads, points of the curves, and rows of featsim alone.
_EFFORTS = {
    "quick": (Effort(0.005, 2), Effort(0.002, 1), Effort(0.01, 1)),
    "default": (Effort(0.2, 4, row_seconds=15.0), Effort(0.06, 3, 4.0), Effort(0.25, 4)),
    "full": (Effort(2.0, 7, row_seconds=200.0), Effort(0.5, 5), Effort(1.0, 7)),
}
_LIMIT = {"default": 840.0}  # seconds, of the quarter of an hour
_OWN = {"start": 12.0, "tracing": 15.0, "seeds": 60.0}  # seconds, about


class Bench:
    """The programs that take part: fresh processes for a row, or those of earlier rows.

    Parameters
    ----------
    names : list of str
        Programs, featsim first.
    threads : int
        Threads of each.
    """

    def __init__(self, names: list[str], threads: int) -> None:
        self.names, self.threads = names, threads
        self._kept: dict[tuple[tuple[str, ...], int], list[Peer]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        """Return the bench."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes that were kept."""
        self._stack.close()

    def kept(self, names: list[str], threads: int) -> list[Peer]:
        """Return processes that stay: memory is not theirs alone, all else is."""
        key = tuple(names), threads
        if key not in self._kept:
            self._kept[key] = self._stack.enter_context(programs(names, threads))
        return self._kept[key]

    def row(self, row: Row, threads: int, effort: Effort, seconds: float) -> dict[str, Any]:
        """Measure a row in fresh processes: an allocator keeps what earlier rows needed."""
        (yardstick,) = self.kept(["numpy"], threads)
        with programs(self.names, threads) as peers:
            return measure(row, peers, yardstick, effort, seconds)


@dataclasses.dataclass(frozen=True)
class Task:
    """What gives one row: about how long it takes, and a function of the seconds that it may take."""

    forecast: float
    measure: Callable[[float], dict[str, Any]]


def tasks(size: str, bench: Bench) -> dict[str, Task]:
    """Return all that is measured, by key, in its order."""
    effort, of_points, own = _EFFORTS[size]
    names, threads = bench.names, bench.threads
    found: dict[str, Task] = {}

    def add_row(row: Row, n_threads: int) -> None:
        about = forecast(row, names, effort)
        found[row.key] = Task(about, lambda seconds: bench.row(row, n_threads, effort, seconds))

    def add(key: str, about: float, measured: Callable[[float], dict[str, Any]]) -> None:
        found[key] = Task(about, measured)

    for row in workload_rows(size):
        add_row(row, threads)
    for row in tracing_rows(size):
        add(
            row.key,
            _OWN["tracing"],
            lambda _, row=row: measure_tracing(row, bench.kept(["featsim"], 1)[0], own),
        )
    if (os.cpu_count() or 1) > 1:
        for row in seeds_rows(size):
            add(row.key, _OWN["seeds"], lambda _, row=row: measure_seeds(row, own))
        for row in threads_rows(size):
            add_row(row, 2)
    for what in STARTS[: 1 if size == "quick" else None]:
        add(f"start/{what}", _OWN["start"], lambda _, what=what: measure_start(what, own.rounds))
    for point in points(size):
        about = forecast(point.row, names, of_points)
        found[point.row.key] = Task(
            about,
            lambda seconds, point=point: measure_point(
                point, bench.kept(names, threads), bench.kept(["numpy"], threads)[0], of_points, seconds
            ),
        )
    return found


def chosen(known: dict[str, Task], patterns: list[str]) -> dict[str, Task]:
    """Return the tasks whose keys are matched by a pattern, as a shell does."""
    return {key: task for key, task in known.items() if any(fnmatch.fnmatchcase(key, p) for p in patterns)}


def stamp(bench: Bench, size: str) -> dict[str, Any]:
    """Return with what the rows are measured."""
    versions: dict[str, str] = {}
    for peer in bench.kept(bench.names, bench.threads):
        versions |= {name: version for name, version in peer("versions").items() if name not in versions}
    return {"size": size, "threads": bench.threads, "processors": os.cpu_count(), "versions": versions}


def joined(file: Path, now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows measured before; refuse those of another machine, size or set of versions."""
    if not file.is_file():
        return []
    before = json.loads(file.read_text(encoding="utf-8"))
    for name, value in now.items():
        if before[name] != value:
            raise SystemExit(
                f"{file} was measured with other {name} ({_difference(before[name], value)}); "
                "measure it again without --join"
            )
    rows: list[dict[str, Any]] = before["rows"]
    return rows


def _difference(before: Any, now: Any) -> str:
    """Name what differs of two values, or of two dictionaries."""
    if not isinstance(before, dict):
        return f"{before}, now {now}"
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name, 'absent')}, now {now.get(name, 'absent')}" for name in names)


def write(result: dict[str, Any], folder: Path, order: list[str]) -> None:
    """Write the results, in the order of the keys."""
    result["rows"].sort(key=lambda row: order.index(row["key"]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(markdown(result), encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the command line, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for what is written")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quick", action="store_true", help="small problems, a few steps: does it work?")
    group.add_argument("--full", action="store_true", help="longer runs, more rounds, denser curves")
    parser.add_argument(
        "--only",
        metavar="KEY",
        action="append",
        help="rows to measure, such as 'patches/tiny/*', 'symmetric/*' or 'curves/n/*'; may be repeated",
    )
    parser.add_argument("--join", action="store_true", help="keep the rows measured before in --results")
    parser.add_argument(
        "--seconds",
        type=float,
        help="begin no row after this time, and with --join none that is there already",
    )
    parser.add_argument("--peers", nargs="*", default=None, help="peers beside NumPy, of: torch jax")
    parser.add_argument("--threads", type=int, default=1, help="threads of every program")
    parser.add_argument(
        "--table",
        type=Path,
        help="documentation: write the table here, and the figure into images/ beside it",
    )
    options = parser.parse_args()
    here = installed()
    for name in options.peers or ():
        if name not in ("torch", "jax"):
            parser.error(f"--peers must be of torch, jax; got {name}")
        if name not in here:
            parser.error(f"--peers {name} is not installed; pip install '.[bench]'")
    if not 1 <= options.threads <= (os.cpu_count() or 1):
        parser.error(f"--threads must be in [1, {os.cpu_count()}], got {options.threads}")
    return options


def go_through(
    todo: dict[str, Task], result: dict[str, Any], write_now: Callable[[], None], limit: float, stop: float
) -> None:
    """Measure the rows one after the other, each written when it is there.

    With more than `limit` seconds in sight, rows have fewer rounds; after `stop` seconds none begins.
    """
    rows = result["rows"]
    budget = Budget({key: task.forecast for key, task in todo.items()}, limit)
    for number, (key, task) in enumerate(todo.items(), start=1):
        if budget.elapsed > stop:
            print(f"no time for {key} and what follows; go on with --join --seconds", flush=True)
            break
        begin = time.perf_counter()
        row = task.measure(budget.share(key))
        row["seconds_taken"] = time.perf_counter() - begin
        budget.done(key, row["seconds_taken"])
        rows[:] = [*(other for other in rows if other["key"] != key), row]
        print(f"[{number}/{len(todo)}, {budget}] {line(row)}", flush=True)
        write_now()


def main() -> int:
    """Measure the rows asked for, and write all there are."""
    options = arguments()
    size = "quick" if options.quick else ("full" if options.full else "default")
    here = installed()
    names = here if options.peers is None else ["featsim", "numpy", *options.peers]
    for absent in [name for name in ("torch", "jax") if name not in names]:
        why = "" if absent in here else f": it is not installed; {sys.executable} -m pip install '.[bench]'"
        print(f"{LABELS[absent]} takes no part{why}", flush=True)
    if size == "quick":
        print("quick: sizes at which a call costs more than its steps; they show that it works, not how fast")
    begin = time.perf_counter()
    with Bench(names, options.threads) as bench:
        known = tasks(size, bench)
        order = list(known)
        todo = chosen(known, options.only or ["*"])
        result = stamp(bench, size)
        rows = joined(options.results / "bench.json", result) if options.join else []
        result |= {"date": datetime.date.today().isoformat(), "rows": rows}
        if options.seconds:
            there = {row["key"] for row in rows}
            todo = {key: task for key, task in todo.items() if key not in there}
        # With a time of their own, rows are measured as if there were all the time they need.
        limit = float("inf") if options.seconds or options.only else _LIMIT.get(size, float("inf"))
        try:
            go_through(
                todo,
                result,
                lambda: write(result, options.results, order),
                limit,
                options.seconds or limit,
            )
        except DisagreementError as error:
            print(f"the programs disagree: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"interrupted; {len(rows)} rows are in {options.results / 'bench.json'}", file=sys.stderr)
            return 130
    write(result, options.results, order)
    draw(result, options.results / "bench.png")
    if options.table:
        options.table.write_text(restructured(result), encoding="utf-8")
        draw(result, options.table.parent / "images" / "benchmark.png")
    print(f"\n{summary(rows)} {time.perf_counter() - begin:.0f} s; see {options.results / 'bench.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
