"""What a result was computed with: versions of the software, and the machine."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from featsim._version import __version__

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite")
_OTHERS = ("matplotlib", "joblib", "threadpoolctl", "tqdm")
_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
)


def version_report() -> dict[str, str]:
    """Return everything about software and machine that can change a number's last bits.

    Returns
    -------
    dict of str to str
        Keys ``featsim``, ``python``, ``numpy``, ``scipy``, ``numba``, ``llvmlite``,
        ``blas``, ``os`` and ``cpu``. What cannot be found out is ``"unknown"``. The
        report does not depend on thread counts or on what was imported before.
    """
    return dict(_report())


def full_report() -> dict[str, str]:
    """Return :func:`version_report` and what changes no number, for reports of problems.

    Returns
    -------
    dict of str to str
        Also the versions of the other packages, and the thread settings: ``threads NAME``
        for the variables of the environment, and ``threads`` for what the libraries use now.
        None of these is written into traces.
    """
    threads = {f"threads {name}": os.environ[name] for name in _THREADS if name in os.environ}
    return {
        **version_report(),
        **{name: _package_version(name) for name in _OTHERS},
        **threads,
        "threads": _threads_now(),
    }


def _threads_now() -> str:
    from threadpoolctl import threadpool_info

    found = {f"{library['internal_api']} {library['num_threads']}" for library in threadpool_info()}
    return ", ".join([*sorted(found), f"{os.cpu_count()} processors"])


@cache
def _report() -> dict[str, str]:
    return {
        "featsim": __version__,
        "python": platform.python_version(),
        **{name: _package_version(name) for name in _PACKAGES},
        "blas": _blas(),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu(),
    }


def _package_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _blas() -> str:
    # NumPy and SciPy bring a BLAS each, and threadpoolctl sees only what is loaded:
    # the kernels use SciPy's (through Numba), everything else NumPy's.
    from threadpoolctl import threadpool_info

    for module in ("numpy.linalg", "scipy.linalg.cython_blas"):
        importlib.import_module(module)
    found = {
        " ".join(str(library[key]) for key in ("internal_api", "version", "architecture") if library.get(key))
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    # Apple's Accelerate is not known to threadpoolctl.
    return ", ".join(sorted(found)) or ("Accelerate" if sys.platform == "darwin" else "unknown")


def _cpu() -> str:
    import llvmlite.binding

    # The name LLVM compiles for decides which instructions the kernels use.
    return f"{_cpu_model()} ({llvmlite.binding.get_host_cpu_name()})"


def _cpu_model() -> str:
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return platform.machine()
        return answer.stdout.strip() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine() or "unknown"
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
