"""The one place that sets Numba's options."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# NaN and infinity keep their meaning, so that divergence shows; the default
# error model would put a branch behind every division and stop vectorisation.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}


# A process that compiles a kernel also holds each of its parts on its own, optimised once; one that loads the
# kernel from the cache has the parts optimised with it. The two may round differently, unless all is inlined.
_PART: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}

_IMPORT = re.compile(r"^from featsim\.kernels\.(\w+) import", re.MULTILINE)


@functools.cache
def _stamp(path: Path) -> str:
    """Return a digest of a kernel file and of all kernel files that it calls."""
    folder, found, waiting = path.parent, set[str](), [path.stem]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _IMPORT.findall(_source(folder / f"{name}.py"))
    sources = [_source(folder / f"{name}.py") for name in sorted(found)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


@functools.cache
def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # a zipped or frozen package: Numba's own stamp has to do
        return ""


def _compile(function: Function, **options: Any) -> Function:
    chosen = {**_OPTIONS, **options}
    try:
        compiled: Function = numba.njit(cache=True, **chosen)(function)
        # Numba looks at the function's own file only (at its date, before 0.68): a kernel it calls in
        # another file, or an upgrade that keeps dates, would be served stale.
        index: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
        if hasattr(index, "_source_stamp"):  # not where Numba is switched off
            index._source_stamp = (index._source_stamp, _stamp(Path(inspect.getfile(function))))
    except RuntimeError:  # neither the package nor the user's cache folder is writable
        compiled = numba.njit(**chosen)(function)
    return compiled


def jit(function: Function) -> Function:
    """Compile a kernel, with a cache on disk where one can be written."""
    return _compile(function)


def inner(function: Function) -> Function:
    """Compile a part of a kernel that only kernels call: no Python entry, half the compile time."""
    return _compile(function, **_PART)


def precise(function: Function) -> Function:
    """Compile a part whose sums must keep their order: special functions in two-part arithmetic."""
    return _compile(function, fastmath={"contract"}, **_PART)
