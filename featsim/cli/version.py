"""``featsim version``."""

from __future__ import annotations

import argparse
from typing import Any

from featsim.cli.parser import OK, add_command, print_json


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "version",
        version,
        """
        featsim version
        featsim version --json
        """,
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def version(args: argparse.Namespace) -> int:
    """Print the versions and the machine that results depend on.

    A report of a problem should quote all of it. `featsim --version` prints featsim's version alone.
    """
    from featsim.versions import full_report

    report = full_report()
    if args.json:
        print_json(report)
    else:
        width = max(map(len, report))
        print("\n".join(f"{name:<{width}}  {value}" for name, value in report.items()))
    return OK
