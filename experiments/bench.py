"""Speed and memory of training, beside plain NumPy, PyTorch and JAX in the same run.

Workload 1 is structured patches at four sizes, clean and attacked, with every coefficient, loss
and accuracy recorded at every step; workload 2 the symmetric network, clean and under one fast
gradient step. NumPy always takes part, PyTorch (eager, autograd) and JAX (jit and scan) where they
are installed: pip install '.[bench]'. Every program runs in a process of its own with the same
number of threads. Programs take turns, and must agree before anything is timed.

Writes bench.json, bench.md and bench.png. Rows can be measured in several goes:
    bench.py --only 'patches/tiny/*'
    bench.py --only 'patches/small/*' --join
    bench.py --join --seconds 150          # what is not there yet, as much as fits
    bench.py --only nothing --join --table docs/benchmarks.rst
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _bench_curves import measure_point, points
from _bench_process import Peer, installed
from _bench_report import draw, line, markdown, restructured, summary
from _bench_rows import DisagreementError, Effort, measure, workload_rows

_EFFORTS = {
    "quick": (Effort(seconds=0.005, rounds=2), Effort(seconds=0.002, rounds=1)),
    "default": (Effort(seconds=0.3, rounds=4), Effort(seconds=0.08, rounds=3)),
    "full": (Effort(seconds=2.0, rounds=7, expensive_rounds=3), Effort(seconds=0.5, rounds=5)),
}


def tasks(size: str, patterns: list[str]) -> dict[str, Callable[..., dict[str, Any]]]:
    """Return what is measured, by key; `patterns` choose among the keys as a shell does."""
    of_rows, of_points = _EFFORTS[size]
    found: dict[str, Callable[..., dict[str, Any]]] = {}
    for row in workload_rows(size):
        found[row.key] = lambda peers, threads, row=row: measure(row, peers, of_rows, threads)
    for point in points(size):
        found[point.row.key] = lambda peers, threads, point=point: measure_point(
            point, peers, of_points, threads
        )
    return {key: task for key, task in found.items() if any(fnmatch.fnmatchcase(key, p) for p in patterns)}


def stamp(peers: list[Peer], size: str, threads: int) -> dict[str, Any]:
    """Return with what the rows are measured."""
    versions: dict[str, str] = {}
    for peer in peers:
        versions |= {name: version for name, version in peer("versions").items() if name not in versions}
    return {"size": size, "threads": threads, "processors": os.cpu_count(), "versions": versions}


def joined(file: Path, now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows measured before; refuse those of another machine, size or set of versions."""
    if not file.is_file():
        return []
    before = json.loads(file.read_text(encoding="utf-8"))
    for name, value in now.items():
        if before[name] != value:
            raise SystemExit(
                f"{file} was measured with another {name} ({before[name]}, now {value}); measure it again "
                "without --join"
            )
    rows: list[dict[str, Any]] = before["rows"]
    return rows


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


def main() -> int:
    """Measure the rows asked for, and write all there are."""
    options = arguments()
    size = "quick" if options.quick else ("full" if options.full else "default")
    order = list(tasks(size, ["*"]))
    chosen = tasks(size, options.only or ["*"])
    here = installed()
    names = here if options.peers is None else ["featsim", "numpy", *options.peers]
    for absent in {"torch", "jax"} - set(names):
        print(f"{absent} takes no part{'' if absent in here else ': it is not installed'}", flush=True)
    begin = time.perf_counter()
    peers = [Peer(name, options.threads) for name in names]
    try:
        result = stamp(peers, size, options.threads)
        rows = joined(options.results / "bench.json", result) if options.join else []
        result |= {"date": datetime.date.today().isoformat(), "rows": rows}
        known = {row["key"] for row in rows} if options.seconds else set()
        for key, task in chosen.items():
            if key in known:
                continue
            if options.seconds and time.perf_counter() - begin > options.seconds:
                print(f"no time for {key} and what follows; go on with --join", flush=True)
                break
            if size != "quick" and not key.startswith("curves"):
                # An allocator keeps what earlier rows needed: memory is that of a fresh process.
                for peer in peers:
                    peer.close()
                peers[:] = [Peer(name, options.threads) for name in names]
            row = task(peers, options.threads)
            rows[:] = [*(other for other in rows if other["key"] != key), row]
            print(line(row), flush=True)
            write(result, options.results, order)
    except DisagreementError as error:
        print(f"the programs disagree: {error}", file=sys.stderr)
        return 1
    finally:
        for peer in peers:
            peer.close()
    write(result, options.results, order)
    draw(result, options.results / "bench.png")
    if options.table:
        options.table.write_text(restructured(result), encoding="utf-8")
        draw(result, options.table.parent / "images" / "benchmark.png")
    print(f"\n{summary(rows)} {time.perf_counter() - begin:.0f} s; see {options.results / 'bench.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
