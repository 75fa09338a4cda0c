"""One writer per run folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from pathlib import Path

from featsim.traces.files import TraceError

LOCK = "writer.lock"

# Some file systems know locks of processes only, or none at all: two writers in one process
# are told apart here.
_HELD: set[str] = set()
_HELD_GUARD = threading.Lock()


class WriterLock:
    """Hold a run folder for one writer; the system lets go when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        Run folder.

    Raises
    ------
    TraceError
        If another writer holds it, of this process or another.
    OSError
        If the folder is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        self._path = folder / LOCK
        self._process = os.getpid()
        self._key = os.path.realpath(folder)
        with _HELD_GUARD:
            if self._key in _HELD:
                self._key = ""
                raise TraceError(f"{folder} is being written by this very process; close that run first")
            _HELD.add(self._key)
        try:
            self._descriptor = _locked_file(self._path)
        except BaseException:
            self.release()
            raise
        if self._descriptor is None:
            self.release()
            raise TraceError(f"{folder} is being written by another process; wait until it ends")

    def release(self, *, remove: bool = False) -> None:
        """Let another writer in; with `remove`, without leaving the lock's file behind."""
        if remove and sys.platform != "win32":  # whoever waits for this file sees that it is gone
            self._path.unlink(missing_ok=True)
        if self._descriptor is not None:
            if sys.platform != "win32" and self._process == os.getpid():
                import fcntl

                # A forked process may hold the file open as well.
                with contextlib.suppress(OSError):
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None
        if remove and sys.platform == "win32":  # there an open file cannot be removed
            self._path.unlink(missing_ok=True)
        with _HELD_GUARD:
            _HELD.discard(self._key)
        self._key = ""

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError, TypeError):
            if self._key:
                self.release()


def _locked_file(path: Path) -> int | None:
    """Open the file and lock it; None if another process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if sys.platform == "win32":
            return descriptor  # there writers in two processes are not detected
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                os.close(descriptor)
                return None
            return descriptor  # some network file systems have no locks: go on without
        except BaseException:
            os.close(descriptor)
            raise
        # A run that was removed meanwhile took its file along: that lock holds nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)
