"""Draw every figure that is out of date, several at a time, the longest first; ``make figures`` calls this.

``python experiments/figures.py --quick --jobs 2``. One process draws many figures: of what a single small
one takes, most is starting Python, importing, and measuring text for the first time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import runpy
import sys
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = tuple(sorted(path.stem.removeprefix("plot_") for path in HERE.glob("plot_*.py")))
LONGEST = (
    "purification_trends", "gram_space_noise", "purification_digits", "images_complexity",
    "evaluation_attacks", "purification_robust_accuracy", "purification_headline", "cgro_digits",
    "evaluation_intervals", "convergence_lazy", "gram_space_barrier", "structured_data_threat_models",
)  # fmt: skip
"""Begun first, so that no core waits for one of them at the end [measured]."""
_WAYS_IN = ("*.py", "*.npz", "*.mplstyle")


def outputs(name: str, figures: Path, results: Path) -> tuple[Path, Path, Path]:
    """Return the files of a figure: two pictures and its numbers."""
    return figures / f"{name}.png", figures / f"{name}.pdf", results / f"{name}.npz"


def newest_source() -> float:
    """Return when the package, or what all scripts share, was last changed."""
    package = HERE.parent / "featsim"
    sources = [path for pattern in _WAYS_IN for path in package.rglob(pattern)]
    return max(path.stat().st_mtime for path in [*sources, *HERE.glob("_*.py")])


def is_stale(script: Path, files: Iterable[Path], sources: float) -> bool:
    """Return whether a file is missing, empty, or older than the script or the sources."""
    try:
        found = [file.stat() for file in files]
    except FileNotFoundError:
        return True
    newest = max(sources, script.stat().st_mtime)
    return any(stat.st_size == 0 or stat.st_mtime < newest for stat in found)


def draw(script: Path, words: list[str], files: tuple[Path, ...]) -> int:
    """Run a script in this process and return its exit status; 1 if it left out a file."""
    sys.argv = [str(script), *words]
    try:
        runpy.run_path(str(script), run_name="__main__")
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    if status == 0:
        for file in files:
            if not file.is_file() or file.stat().st_size == 0:
                print(f"{script} did not write {file}", file=sys.stderr)
                return 1
            os.utime(file)  # numbers that were computed before are up to date too
    return status


def draw_all(jobs: list[tuple[Path, list[str], tuple[Path, ...]]], n_processes: int) -> list[str]:
    """Draw figures in processes that each draw many; return the scripts that failed."""
    failed, waiting = [], list(reversed(jobs))
    running: dict[Future[int], str] = {}
    # Started afresh, not forked: libraries with threads do not survive a fork everywhere.
    with ProcessPoolExecutor(n_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        while waiting or running:
            while waiting and len(running) < n_processes:  # no more: an interruption begins nothing new
                job = waiting.pop()
                running[pool.submit(draw, *job)] = job[0].name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                script = running.pop(future)
                status = future.result()
                if status == 130:
                    raise KeyboardInterrupt
                failed += [script] if status else []
    return failed


def main() -> int:
    """Draw; exit status 1 if a figure failed."""
    parser = argparse.ArgumentParser(description="Draw every figure that is out of date.")
    parser.add_argument("--figures", type=Path, default=Path("figures"), help="folder for PNG and PDF")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for the data")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help="only this (repeat)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: cores)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="test size")
    size.add_argument("--full", action="store_true", help="full size: more seeds")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs must be >= 1, got {options.jobs}")
    chosen = options.only or NAMES
    ordered = [name for name in LONGEST if name in chosen] + [name for name in chosen if name not in LONGEST]
    words = ["--figures", str(options.figures), "--results", str(options.results), "--jobs", "1"]
    words += ["--quick"] * options.quick + ["--full"] * options.full
    begin, sources, jobs = time.monotonic(), newest_source(), []
    for name in ordered:
        script, files = HERE / f"plot_{name}.py", outputs(name, options.figures, options.results)
        if is_stale(script, files, sources):
            jobs.append((script, words, files))
    try:
        failed = draw_all(jobs, options.jobs)
    except KeyboardInterrupt:
        print("interrupted; figures that were finished are kept", file=sys.stderr)
        return 130
    except BrokenProcessPool as error:
        print(f"a process that draws figures was killed: {error}", file=sys.stderr)
        return 1
    kept, wrong = len(ordered) - len(jobs), f"; failed: {', '.join(failed)}" if failed else ""
    seconds = time.monotonic() - begin
    print(f"{len(jobs) - len(failed)} figures drawn, {kept} up to date ({seconds:.0f} s){wrong}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
