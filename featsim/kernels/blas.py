"""The BLAS that kernels multiply with: loaded early, and kept to one thread."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

import numpy.linalg  # noqa: F401  so that its BLAS is loaded
import scipy
from threadpoolctl import ThreadpoolController

_MODULE = "scipy.linalg.cython_blas"  # where Numba looks for BLAS when it first multiplies
_LOADING = threading.Lock()


def load_blas() -> None:
    """Load SciPy's BLAS, and not the rest of scipy.linalg, which would take 0.2 s of every program's start.

    Whoever imports scipy.linalg later gets all of it, and the same BLAS.
    """
    with _LOADING:
        if _MODULE in sys.modules:
            return
        spec = PathFinder.find_spec(_MODULE, [str(Path(scipy.__file__).with_name("linalg"))])
        if "scipy.linalg" in sys.modules or spec is None or spec.loader is None:
            importlib.import_module(_MODULE)
            return
        sys.modules[_MODULE] = module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ImportError:  # it needs its package after all
            del sys.modules[_MODULE]
            importlib.import_module(_MODULE)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep products to one thread each: results are the same on every machine, and kernels share no cores.

    Yields
    ------
    None
        While products take one thread; afterwards they take as many as before.
    """
    with _controller().limit(limits=1):
        yield


@functools.cache
def _controller() -> ThreadpoolController:
    """Return a hold of NumPy's and SciPy's BLAS; to look for them takes longer than a short run."""
    load_blas()  # what is not loaded yet is not found
    return ThreadpoolController().select(user_api="blas")
