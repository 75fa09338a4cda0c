"""The training loop: stretches of steps, records, checkpoints, interruption."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featsim.kernels.blas import one_thread
from featsim.traces import RunFolder, Trace
from featsim.training.plan import Plan
from featsim.training.progress import Progress
from featsim.training.records import PendingRecords, RecordStore
from featsim.training.stepper import Arrays, Chunk, Stepper
from featsim.validation import IntArray
from featsim.versions import version_report

_CHUNK_SECONDS = 0.25  # how long Ctrl-C waits for at most, compilation aside
_FLUSH_SECONDS = 5.0
_CHUNK_BYTES = 1 << 26  # of records at most between two chunks on disk


class _Pause:
    """Whether the user asked to stop."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def _catch_interrupt() -> Iterator[_Pause]:
    """Turn the first Ctrl-C into a request to stop at the next stretch; the second one raises."""
    pause = _Pause()
    if threading.current_thread() is not threading.main_thread():
        yield pause
        return
    previous = signal.getsignal(signal.SIGINT)

    def ask(signum: int, frame: Any) -> None:
        if pause.asked:
            raise KeyboardInterrupt
        pause.asked = True

    signal.signal(signal.SIGINT, ask)
    try:
        yield pause
    finally:
        signal.signal(signal.SIGINT, previous if previous is not None else signal.SIG_DFL)


class _Run:
    """One run in progress: its records in memory, or on disk but for the latest."""

    def __init__(self, stepper: Stepper, plan: Plan, folder: RunFolder | None) -> None:
        self.stepper, self.plan, self.folder = stepper, plan, folder
        self.step = 0
        self.state = stepper.initial_state()
        self.diverged: int | None = None  # the step, once it has happened
        self.store = RecordStore(stepper.axes, len(plan.record), len(plan.keep))
        self.pending = PendingRecords(stepper.axes)
        self._flush_time = time.monotonic()
        if folder is not None and (found := folder.last_checkpoint()) is not None:
            self.step, self.state = found.step, found.state
            self.diverged = found.info.get("diverged")

    def take(self, chunk: Chunk, n_steps: int) -> None:
        """Add what a stretch of `n_steps` gave; it was cut short where the run diverged."""
        (self.store if self.folder is None else self.pending).add(chunk.records)
        self.state = chunk.state
        self.step += chunk.n_done
        if chunk.n_done < n_steps:
            self.diverged = self.step
        if self.pending.n_bytes > _CHUNK_BYTES or time.monotonic() - self._flush_time > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet, then a checkpoint."""
        if self.folder is not None and len(self.pending):
            self.folder.append(self.pending.joined())
            self.pending.clear()
            # A diverged run has recorded its last step: going on from there would record it twice.
            self.folder.checkpoint(self.step, self.state, {"diverged": self.diverged})
        self._flush_time = time.monotonic()

    def end(self, status: str, message: str, collect: Callable[[], Trace] | None) -> Trace:
        """Close the run with what was computed, on disk if that is possible."""
        final = self.stepper.final_arrays(self.state)
        if self.folder is None:
            return self._in_memory(status, message, final)
        try:
            self.flush()
            self.folder.seal(status, message, final)
        except OSError as error:
            advice = f"{error}; free space, then resume {self.folder.path}"
            message = f"{message}; {advice}" if message else advice
            warnings.warn(message, RuntimeWarning, stacklevel=4)
            tail = self.pending.joined() if len(self.pending) else None
            return self.folder.merge("interrupted", message, final, tail)
        return self.folder.read() if collect is None else collect()

    def _in_memory(self, status: str, message: str, final: Arrays) -> Trace:
        arrays = {**self.store.arrays(), **final}
        axes = {name: words for name, words in self.stepper.axes.items() if name in arrays}
        return Trace(
            arrays,
            axes,
            spec=self.plan.spec,
            status=status,
            message=message,
            meta=self.stepper.meta,
            versions=version_report(),
        )


def run_stepper(
    stepper: Stepper,
    plan: Plan,
    *,
    folder: RunFolder | None = None,
    collect: Callable[[], Trace] | None = None,
    progress: bool = False,
) -> Trace:
    """Train from the stepper's state, or from the folder's checkpoint, to the end.

    Parameters
    ----------
    stepper : Stepper
        Update rule.
    plan : Plan
        How long, and what to record.
    folder : RunFolder or None
        Where to write while running.
    collect : callable, optional
        Returns the trace of a run that has ended in `folder`; by default it is read there.
    progress : bool
        Whether to report progress.

    Returns
    -------
    Trace
        With status ``"completed"``, ``"diverged"`` or ``"interrupted"``.
    """
    n_steps = plan.n_steps
    run = _Run(stepper, plan, folder)
    status, message = "completed", ""
    # One BLAS thread: more would change the bits, and the blocks are too small to gain.
    with (
        one_thread(),
        _catch_interrupt() as pause,
        Progress(n_steps, plan.label, shown=progress, done=run.step) as report,
        report.compiling(),
    ):
        try:
            _advance(run, lambda: pause.asked, report)
            if run.diverged is not None:
                status = "diverged"
                message = (
                    f"loss or weights are not finite at step {run.diverged}; "
                    f"try step_size below {plan.step_size / 2:.3g}"
                )
            elif run.step <= n_steps:
                raise KeyboardInterrupt
            elif pause.asked:  # too late to stop this run, but a caller may have more to do
                message = "interrupted after the last step: the run is complete"
        except KeyboardInterrupt:
            status, message = "interrupted", f"interrupted before step {run.step} of {n_steps}"
        except OSError as error:
            status, message = "interrupted", f"stopped before step {run.step}: {error}"
        trace = run.end(status, message, collect)
    if status == "diverged":  # now that all is safe, as a caller may turn warnings into errors
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return trace


def _advance(run: _Run, asked: Callable[[], bool], report: Progress) -> None:
    """Train until the end, until divergence, or until asked to stop.

    At the very end `run.step` is n_steps + 1: the final state has been observed too.
    """
    plan, n_steps = run.plan, run.plan.n_steps
    length, rate = 1, 0.0
    while run.step < n_steps and run.diverged is None and not asked():
        first, last = run.step, plan.fits(run.step, min(n_steps, run.step + length), _CHUNK_BYTES)
        begin = time.monotonic()
        chunk = run.stepper.advance(
            run.state, first, last, _between(plan.record, first, last), _between(plan.keep, first, last)
        )
        seconds = time.monotonic() - begin
        run.take(chunk, last - first)
        report.advance(chunk.n_done)
        # Lengthen with care: the first stretch may have been compilation.
        rate = max(seconds / (last - first), 1e-9)
        length = max(int(min(_CHUNK_SECONDS / rate, 8 * (last - first))), 1)
    if run.step == n_steps and run.diverged is None and not asked():
        run.take(run.stepper.observe(run.state, n_steps, n_steps in plan.record, n_steps in plan.keep), 1)


def _between(steps: IntArray, first: int, last: int) -> IntArray:
    return steps[(steps >= first) & (steps < last)]


def run_paths(out: str | Path) -> tuple[Path, Path | None]:
    """Return the run folder behind `out` and the file of the finished trace.

    ``runs/a.npz`` grows in the folder ``runs/a.run``, which goes away once the trace is
    finished, whichever of the two is named; any other `out` is itself the folder, and stays.
    """
    path = Path(out)
    if path.suffix in (".npz", ".run"):
        return path.with_suffix(".run"), path.with_suffix(".npz")
    return path, None
