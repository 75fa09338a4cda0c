"""The one place that sets Numba's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# NaN and infinity keep their meaning, so that divergence shows; the default
# error model would put a branch behind every division and stop vectorisation.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}


def _compile(function: Function, **options: Any) -> Function:
    chosen = {**_OPTIONS, **options}
    try:
        compiled: Function = numba.njit(cache=True, **chosen)(function)
    except RuntimeError:  # neither the package nor the user's cache folder is writable
        compiled = numba.njit(**chosen)(function)
    return compiled


def jit(function: Function) -> Function:
    """Compile a kernel, with a cache on disk where one can be written."""
    return _compile(function)


def inner(function: Function) -> Function:
    """Compile a part of a kernel that only kernels call: no Python entry, half the compile time."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def precise(function: Function) -> Function:
    """Compile a part whose sums must keep their order: special functions in two-part arithmetic."""
    return _compile(function, fastmath={"contract"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
