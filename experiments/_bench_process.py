"""Every program of the benchmark in a process of its own, with the same threads, asked over pipes.

Run as a script, it is such a process; imported, it starts them.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import importlib
import importlib.util
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

# Program -> the packages it needs.
PROGRAMS = {"featsim": "featsim", "numpy": "numpy", "torch": "torch", "jax": "jax"}
LABELS = {"featsim": "featsim", "numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}

_THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def installed() -> list[str]:
    """Return the programs whose packages are here; featsim and NumPy always are."""
    return [name for name, package in PROGRAMS.items() if importlib.util.find_spec(package)]


class Peer:
    """A program in its own process; every method asks it and waits for the answer."""

    def __init__(self, name: str, threads: int = 1) -> None:
        environment = {**os.environ, **{variable: str(threads) for variable in _THREAD_VARIABLES}}
        if name == "jax" and threads == 1:
            flags = environment.get("XLA_FLAGS", "")
            environment["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        self.name, self.threads = name, threads
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Return the answer; an error there is an error here."""
        self.send(method, *arguments)
        return self.receive(method)

    def send(self, method: str, *arguments: Any) -> None:
        """Ask without waiting."""
        assert self._process.stdin is not None
        pickle.dump((method, arguments), self._process.stdin)
        self._process.stdin.flush()

    def receive(self, method: str) -> Any:
        """Return the answer to what was asked."""
        assert self._process.stdout is not None
        try:
            worked, answer = pickle.load(self._process.stdout)
        except EOFError:
            raise RuntimeError(f"the process of {self.name} died during {method!r}") from None
        if not worked:
            raise RuntimeError(f"{self.name} failed in {method!r}: {answer}")
        return answer

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was asked last may not have been read.
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:  # interrupted in the middle of a long run
            self._process.kill()
            self._process.wait()


def together(peers: Sequence[Peer], method: str, *arguments: Any) -> dict[str, Any]:
    """Ask all at once, as far as nothing is timed, and return the answers by name."""
    for peer in peers:
        peer.send(method, *arguments)
    return {peer.name: peer.receive(method) for peer in peers}


@contextmanager
def programs(names: Sequence[str], threads: int) -> Iterator[list[Peer]]:
    """Start the programs, and end them."""
    peers = [Peer(name, threads) for name in names]
    try:
        yield peers
    finally:
        for peer in peers:
            peer.close()


class Worker:
    """What a process does when asked: draw the data, prepare the training, run it, time it."""

    def __init__(self, name: str) -> None:
        self._module = importlib.import_module(f"_peer_{name}")
        self._problem: Any = None
        self._run: Callable[[], Any] = dict
        self._before = 0.0
        self._warm: set[Any] = set()

    def versions(self) -> dict[str, str]:
        """Return the versions of the program's packages."""
        return dict(self._module.versions())

    def warm(self, size: Any, case: Any) -> None:
        """Run two steps of a small problem, once for each kind: libraries are loaded, kernels compiled."""
        if (size, case.norm) not in self._warm:
            self._module.prepare(self._module.convert(size.make()), case, 2)()
            self._warm.add((size, case.norm))

    def load(self, size: Any, case: Any) -> float:
        """Draw the data and hold them as the program does; return their MB. Memory counts from before."""
        self._problem, self._run = None, dict
        _release()
        self._before = _resident()
        drawn, self._case = size.make(), case
        values = (getattr(drawn, field.name) for field in dataclasses.fields(drawn))
        held = sum(value.nbytes for value in values if hasattr(value, "nbytes"))
        self._problem = self._module.convert(drawn)
        del drawn, values
        _release()
        _forget_peak()
        return held / 2.0**20

    def prepare(self, n_steps: int, *options: Any) -> None:
        """Compile, as far as the program does so; not timed."""
        self._run = self._module.prepare(self._problem, self._case, n_steps, *options)

    def run(self) -> Any:
        """Return all that the training recorded."""
        return self._run()

    def time(self) -> tuple[float, float]:
        """Return CPU and wall seconds of one training."""
        wall, cpu = time.perf_counter(), time.process_time()
        self._run()
        return time.process_time() - cpu, time.perf_counter() - wall

    def memory(self) -> float:
        """Return how far the peak is above the state before the data, in MB."""
        return _peak() - self._before

    def gemm(self, shape: tuple[int, int, int], seconds: float) -> tuple[float, float]:
        """Return CPU and wall seconds of the fastest product (N, d) x (d, K)."""
        import numpy as np

        N, d, K = shape
        rng = np.random.default_rng(0)
        left, right, out = rng.standard_normal((N, d)), rng.standard_normal((d, K)), np.empty((N, K))
        best, spent, count = (np.inf, np.inf), 0.0, 0
        while spent < seconds or count < 3:
            wall, cpu = time.perf_counter(), time.process_time()
            # Short products are timed ten at a time: the clock is read in microseconds.
            repeats = 10 if 2.0 * N * d * K < 1e8 else 1
            for _ in range(repeats):
                np.dot(left, right, out)
            one = ((time.process_time() - cpu) / repeats, (time.perf_counter() - wall) / repeats)
            best = (min(best[0], one[0]), min(best[1], one[1]))
            spent, count = spent + one[1] * repeats, count + 1
        return best


def _release() -> None:
    """Give memory that is free back to the system, so that what is resident is what is held."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim is not None:
            trim(0)


def _resident() -> float:
    return _status("VmRSS:")


def _peak() -> float:
    return _status("VmHWM:")


def _status(field: str) -> float:
    """Return a field of /proc/self/status in MB; elsewhere the peak stands for both."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        scale = 1024.0**2 if sys.platform == "darwin" else 1024.0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024.0


def _forget_peak() -> None:
    """Let the peak start from now where the system can: drawing the data is not the program's."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _serve(worker: Worker, requests: BinaryIO, answers: BinaryIO) -> None:
    while True:
        try:
            method, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = True, getattr(worker, method)(*arguments)
        except Exception as error:
            answer = False, f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers)
        answers.flush()


def _pin(threads: int) -> None:
    """Hold every thread of this process on as many processors as it may use."""
    if sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))[:threads]
        for task in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(task), processors)


def main() -> None:
    """Serve the program named on the command line, on as many processors as it has threads."""
    name, threads = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    # Answers go to the pipe; whatever a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Programs start side by side, each on any processor; only then all are held on the same ones.
    worker = Worker(name)
    _pin(threads)
    _serve(worker, sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
