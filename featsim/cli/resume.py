"""``featsim resume``."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

from featsim.cli.parser import FAILED, INTERRUPTED, OK, USAGE, UsageError, add_command, add_jobs, one_line
from featsim.cli.sweep import caught_warnings, run_all, was_stopped

_REFUSED = "refused"


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "resume",
        resume,
        """
        featsim resume runs/standard-seed-000.run
        featsim resume runs --jobs 2                # every stopped run in the folder
        """,
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        help="a run (its folder x.run, or the x.npz it is to become), or a folder of runs",
    )
    add_jobs(parser, "runs")


@dataclasses.dataclass(frozen=True)
class _Task:
    path: Path
    progress: bool


@dataclasses.dataclass(frozen=True)
class _Resumed:
    path: Path
    status: str
    message: str
    last_step: int | None
    warned: tuple[str, ...]

    @property
    def stopped(self) -> bool:
        """Whether the user interrupted it."""
        return was_stopped(self.status, self.message)


def resume(args: argparse.Namespace) -> int:
    """Go on with runs that were stopped, as if they never had been.

    The bits are those of an uninterrupted run. Seeds of `featsim run` that had not started yet are
    not known to their folder: repeat that command instead, which goes on with stopped runs too.
    """
    paths = _runs(Path(args.run))
    tasks = [_Task(path, progress=not args.quiet and args.jobs == 1) for path in paths]
    done, stopped = run_all(_resume, tasks, jobs=args.jobs, progress=not args.quiet)
    for found in done:
        if found.status == _REFUSED:
            print(f"featsim: error: {found.message}", file=sys.stderr)
            continue
        step = "" if found.last_step is None else f" at step {found.last_step}"
        print(f"{found.path}: {found.status}{step}" + (f": {found.message}" if found.message else ""))
        for text in found.warned:
            print(f"featsim: warning: {text}", file=sys.stderr)
    if not paths:
        print(f"nothing to resume: no stopped run in {args.run}")
    if stopped:
        command = shlex.join(["featsim", *args.words])
        print(f"featsim: interrupted; what was recorded is kept; go on with: {command}", file=sys.stderr)
        return INTERRUPTED
    statuses = {found.status for found in done}
    return USAGE if _REFUSED in statuses else OK if statuses <= {"completed"} else FAILED


def _runs(path: Path) -> list[Path]:
    """Return the runs that `path` stands for."""
    if path.suffix in (".run", ".npz") or not path.is_dir() or (path / "manifest.json").exists():
        return [path]
    found = sorted(child.parent for child in path.glob("*/manifest.json"))
    if not found and not any(path.glob("*.npz")):
        raise UsageError(f"{path} is not a run and holds none")
    return found


def _resume(task: _Task) -> _Resumed:
    from featsim.training import resume as resume_run

    try:
        with caught_warnings() as warned:
            trace = resume_run(task.path, progress=task.progress)
    except (ValueError, OSError) as error:  # of this run; the others go on
        return _Resumed(task.path, _REFUSED, one_line(error), None, ())
    finished = task.path.with_suffix(".npz")
    return _Resumed(
        path=finished if task.path.suffix == ".run" and finished.is_file() else task.path,
        status=trace.status,
        message=trace.message,
        last_step=int(trace.steps[-1]) if trace.n_records else None,
        warned=tuple(text for text in warned if text != trace.message),
    )
