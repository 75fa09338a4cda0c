"""What this machine has to spare: memory within the limits of the process, room on a disk."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_NO_LIMIT = 1 << 60  # version 1 of control groups writes a number beyond this for "none"
_SMALL = 1 << 20  # numbers: where these do not fit, Python hardly does
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


class TooLargeError(MemoryError):
    """What was asked for does not fit into this machine; the message says what would."""


def available_memory(root: str | os.PathLike[str] = "/") -> int | None:
    """Return how many bytes this process can still take without swapping or being killed.

    The smallest of what the system has available, what the control groups of the process leave
    (containers and batch systems set them; pages of files, which the system drops when memory is asked for,
    count as free), and what is left of the limit of its address space. Where the system does not say what is
    available (macOS), all of its physical memory counts.

    Parameters
    ----------
    root : path-like
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    int or None
        Bytes; None where nothing can be found out.
    """
    base = Path(root)
    found = [_system_memory(base), _address_space(base), *_control_groups(base)]
    known = [value for value in found if value is not None]
    return max(min(known), 0) if known else None


def check_room(what: str, *, n_numbers: int | None = None, change: str = "width", **sizes: int) -> None:
    """Refuse arrays that do not fit into memory before anything of them is drawn.

    Parameters
    ----------
    what : str
        Their name, for the message; a plural.
    n_numbers : int, optional
        Float64 numbers in all; the product of `sizes` by default.
    change : str
        Which of the sizes, or what else, should be smaller.
    **sizes : int
        Sizes that the user has chosen, by their names.

    Raises
    ------
    TooLargeError
        Naming the sizes, what there is, and the way out.
    """
    count = math.prod(sizes.values()) if n_numbers is None else n_numbers
    if count < _SMALL:
        return
    # Samples and weights are scaled after they are drawn, into a second array; a run takes more than that.
    available, needed = available_memory(), 8 * count
    if available is not None and 2 * needed > available:
        chosen = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        raise TooLargeError(
            f"the {what} must fit into memory, where {in_words(available)} are available, but with {chosen} "
            f"they take {in_words(needed)}, twice while they are drawn; use a smaller {change}"
        )


def _system_memory(base: Path) -> int | None:
    available = _fields(base / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        return available * 1024
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    return None


def _address_space(base: Path) -> int | None:
    """Return what ``ulimit -v`` leaves, None without such a limit."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = _fields(base / "proc/self/status").get("VmSize:")
    if limit == resource.RLIM_INFINITY or used is None:
        return None
    return limit - used * 1024


def _control_groups(base: Path) -> Iterator[int]:
    """Yield what each memory limit leaves that holds for this process, of either version."""
    for line in _lines(base / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2
            names = ("memory.max", "memory.current", "inactive_file", "active_file")
            yield from _limits(base / "sys/fs/cgroup", path, *names)
        elif "memory" in controllers.split(","):
            names = (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
                "total_active_file",
            )
            yield from _limits(base / "sys/fs/cgroup/memory", path, *names)


def _limits(mount: Path, path: str, limit: str, used: str, *droppable: str) -> Iterator[int]:
    """Yield what the limits of a group and of all groups around it leave."""
    # Inside a container the path may be that on the host: what is not there limits nothing.
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        group = mount.joinpath(*parts[:depth])
        largest, now = _number(group / limit), _number(group / used)
        if largest is None or now is None or largest >= _NO_LIMIT:
            continue
        kept = _fields(group / "memory.stat")
        yield largest - now + sum(kept.get(name, 0) for name in droppable)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _fields(path: Path) -> dict[str, int]:
    """Return the first number on each line, by the line's first word."""
    words = (line.split() for line in _lines(path))
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def free_disk(path: str | os.PathLike[str]) -> int | None:
    """Return the free bytes of the file system that `path` is, or is to be, on; None if it does not say."""
    folder = Path(path).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


def in_words(n_bytes: float) -> str:
    """Return a number of bytes as text with two digits and a decimal unit, such as ``1.3 GB``."""
    for unit, size in _UNITS:
        if n_bytes >= size * 0.995:
            return f"{n_bytes / size:,.{1 if n_bytes < 9.95 * size else 0}f} {unit}"
    return f"{n_bytes:.0f} B"


def in_words_of(taken: int, there: int | None) -> str:
    """Return how much of what there is, such as ``1.3 GB of 24 GB``; only the first where that is unknown."""
    return in_words(taken) + ("" if there is None else f" of {in_words(there)}")
