"""Every program of the benchmark in a process of its own, with the same threads, asked over pipes.

Run as a script, it is such a process; imported, it starts them.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Callable
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
        self.name = name
        self._warm: set[Any] = set()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Return the answer; an error there is an error here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((method, arguments), self._process.stdin)
        self._process.stdin.flush()
        try:
            worked, answer = pickle.load(self._process.stdout)
        except EOFError:
            raise RuntimeError(f"the process of {self.name} died during {method!r}") from None
        if not worked:
            raise RuntimeError(f"{self.name} failed in {method!r}: {answer}")
        return answer

    def warm(self, size: Any, case: Any) -> None:
        """Run two steps of a small problem, once for every kind of training."""
        kind = type(size).__name__, case.norm
        if kind not in self._warm:
            self("warm", size, case)
            self._warm.add(kind)

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


class Worker:
    """What a process does when asked: draw the data, prepare the training, run it, time it."""

    def __init__(self, name: str) -> None:
        self._module = importlib.import_module(f"_peer_{name}")
        self._problem: Any = None
        self._run: Callable[[], Any] = dict
        self._before = 0.0

    def versions(self) -> dict[str, str]:
        """Return the versions of the program's packages."""
        return dict(self._module.versions())

    def warm(self, size: Any, case: Any) -> None:
        """Run two steps of a small problem: libraries are loaded, kernels compiled."""
        self._module.prepare(size.make(), case, 2)()

    def load(self, size: Any, case: Any) -> None:
        """Draw the data; memory counts from here."""
        self._problem = None
        gc.collect()
        self._before = _resident()
        self._problem, self._case = size.make(), case
        _forget_peak()

    def prepare(self, n_steps: int) -> None:
        """Convert the data and compile, as far as the program does so; not timed."""
        self._run = self._module.prepare(self._problem, self._case, n_steps)

    def run(self) -> Any:
        """Return all that the training recorded."""
        return self._run()

    def time(self) -> tuple[float, float]:
        """Return CPU and wall seconds of one training."""
        wall, cpu = time.perf_counter(), time.process_time()
        self._run()
        return time.process_time() - cpu, time.perf_counter() - wall

    def memory(self) -> tuple[float, float]:
        """Return the process's peak, and how far it is above the state before the data, in MB."""
        peak = _peak()
        return peak, peak - self._before

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


def main() -> None:
    """Serve the program named on the command line, on as many processors as it has threads."""
    name, threads = sys.argv[1], int(sys.argv[2])
    # Answers go to the pipe; whatever a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    _serve(Worker(name), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
