"""Being told when a kernel is compiled."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from numba.core import event


class _Compilations(event.Listener):
    """Calls one function when a kernel begins to be compiled, and another with the seconds it took."""

    def __init__(self, begun: Callable[[], None], done: Callable[[float], None]) -> None:
        self._begun, self._done = begun, done
        self._depth, self._begin = 0, 0.0

    def on_start(self, _: Any) -> None:
        """Count how deep: the parts of a kernel are compiled within it."""
        self._depth += 1
        if self._depth == 1:
            self._begin = time.monotonic()
            self._begun()

    def on_end(self, _: Any) -> None:
        """Tell of the end of the outermost."""
        self._depth -= 1
        if self._depth == 0:
            self._done(time.monotonic() - self._begin)


def on_compilation(begun: Callable[[], None], done: Callable[[float], None]) -> AbstractContextManager[Any]:
    """Call functions around every compilation that happens meanwhile; loading from the cache is none.

    Parameters
    ----------
    begun : callable
        Called before.
    done : callable
        Called after, with the seconds it took; also where compiling failed.

    Returns
    -------
    context manager
        In which they are called.
    """
    found: AbstractContextManager[Any] = event.install_listener("numba:compile", _Compilations(begun, done))
    return found
