"""One writer per run folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

from featsim.traces.files import TraceError

LOCK = "writer.lock"


class WriterLock:
    """Hold a run folder for this process; the system lets go when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        Run folder.

    Raises
    ------
    TraceError
        If another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        if sys.platform == "win32":
            return  # there two writers are not detected
        import fcntl

        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                self.release()
                raise TraceError(
                    f"{folder} is being written by another process; wait until it ends"
                ) from error
            # Some network file systems have no locks: go on without.

    def release(self) -> None:
        """Let another process write."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.release()
