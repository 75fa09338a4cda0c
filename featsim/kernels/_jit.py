"""The one place that sets Numba's options."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from featsim._collector import uncollected
from featsim.kernels._parts import PartCompiler

Function = TypeVar("Function", bound=Callable[..., Any])

# NaN and infinity keep their meaning, so that divergence shows; the default
# error model would put a branch behind every division and stop vectorisation.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}


# Code for a part is made in the kernel that calls it, and inlined there: as a function of its own, it could
# be bound to the one of another kernel that is loaded, which may round differently.
_PART: dict[str, Any] = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "forceinline": True,
    "pipeline_class": PartCompiler,
}

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


def _without_collector(compile_for: Function) -> Function:
    """Compile, or load from the cache, without the garbage collector."""

    @functools.wraps(compile_for)
    def compile_signature(*args: Any) -> Any:
        with uncollected():
            return compile_for(*args)

    return cast(Function, compile_signature)


def jit(function: Function) -> Function:
    """Compile a kernel, with a cache on disk where one can be written."""
    try:
        compiled: Any = numba.njit(cache=True, **_OPTIONS)(function)
        # Numba looks at the function's own file only (at its date, before 0.68): a kernel it calls in
        # another file, or an upgrade that keeps dates, would be served stale.
        index: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
        if hasattr(index, "_source_stamp"):  # not where Numba is switched off
            index._source_stamp = (index._source_stamp, _stamp(Path(inspect.getfile(function))))
    except RuntimeError:  # neither the package nor the user's cache folder is writable
        compiled = numba.njit(**_OPTIONS)(function)
    if hasattr(compiled, "compile"):
        compiled.compile = _without_collector(compiled.compile)
    return cast(Function, compiled)


def inner(function: Function) -> Function:
    """Compile a part of a kernel, which only kernels call."""
    return cast(Function, numba.njit(**_OPTIONS, **_PART)(function))


def precise(function: Function) -> Function:
    """Compile a part whose sums must keep their order: special functions in two-part arithmetic."""
    return cast(Function, numba.njit(**{**_OPTIONS, **_PART, "fastmath": {"contract"}})(function))
