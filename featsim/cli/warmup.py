"""``featsim warmup``."""

from __future__ import annotations

import argparse
import time
from typing import Any

from featsim.cli.parser import OK, add_command


def register(commands: Any) -> None:
    """Add the command."""
    add_command(commands, "warmup", warmup, "featsim warmup")


def warmup(args: argparse.Namespace) -> int:
    """Compile the training kernels once, so that later runs start at once.

    Kernels are compiled when they are first used and kept in Numba's cache (NUMBA_CACHE_DIR, the
    installed package, or the user's cache folder, whichever can be written first). An upgrade
    compiles them anew; where nothing can be written, every process compiles what it uses.
    Training in float32, or from random starts, is compiled when it is first used.
    """
    from featsim.training import warm_up

    begin = time.perf_counter()
    for label, seconds in warm_up():
        print(f"{label:<40} {seconds:6.2f} s", flush=True)
    print(f"{'in all':<40} {time.perf_counter() - begin:6.2f} s")
    return OK
