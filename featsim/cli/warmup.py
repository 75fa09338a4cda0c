"""``featsim warmup``."""

from __future__ import annotations

import argparse
import time
from typing import Any

from featsim.cli.parser import OK, add_command


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "warmup",
        warmup,
        """
        featsim warmup
        featsim warmup --precision float32 --random-starts
        featsim warmup --all
        """,
    )
    parser.add_argument(
        "--precision",
        choices=("float64", "float32"),
        default="float64",
        help="number type of a patch network's products (default: float64)",
    )
    parser.add_argument(
        "--random-starts", action="store_true", help="also adversarial training from random starts"
    )
    parser.add_argument(
        "--wide", action="store_true", help="also patch networks of more than 64 filters, classes times width"
    )
    parser.add_argument("--all", action="store_true", help="all of these, in either precision: some minutes")


def warmup(args: argparse.Namespace) -> int:
    """Compile the training kernels once, so that later runs start at once.

    Kernels are compiled when they are first used and kept in Numba's cache (NUMBA_CACHE_DIR, the
    installed package, or the user's cache folder, whichever can be written first). An upgrade
    compiles them anew; where nothing can be written, every process compiles what it uses.
    Without options these are the kernels of small patch networks and of the symmetric network; what is
    left out is compiled when it is first used, and a run that shows its progress says so.
    """
    from featsim.training import warm_up

    begin = time.perf_counter()
    for precision in ("float64", "float32") if args.all else (args.precision,):
        kinds = {"random_starts": args.random_starts or args.all, "wide": args.wide or args.all}
        for label, seconds in warm_up(precision=precision, **kinds):
            print(f"{label:<64} {seconds:6.2f} s", flush=True)
    print(f"{'in all':<64} {time.perf_counter() - begin:6.2f} s")
    return OK
