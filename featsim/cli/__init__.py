"""The command ``featsim``: argparse over the public functions of the package.

A command is a module with a function ``register(commands)``; a new one is added to `_COMMANDS`.
The modules import the rest of the package inside their functions, so that ``featsim --help`` is quick.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from featsim._version import __version__
from featsim.cli import certify, claims, data, evaluate, inspect, resume, run, scenarios, version, warmup
from featsim.cli.parser import EPILOG, INTERRUPTED, OK, USAGE, Parser, one_line

_COMMANDS = (run, scenarios, inspect, evaluate, certify, resume, claims, data, version, warmup)
_BAD_INPUT = (ValueError, TypeError, OSError, OverflowError, MemoryError, ImportError)
_BROKEN_PIPE = 141

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after ``featsim``; those of this process by default.

    Returns
    -------
    int
        Exit status: 0 fine; 1 a run diverged or stopped early, or a verdict is not the
        expected one, or image data are damaged; 2 bad usage or input, with one line on standard
        error; 130 interrupted.
    """
    words = sys.argv[1:] if argv is None else [str(word) for word in argv]
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:  # `featsim ... | head`: nobody reads on, which is no fault
        _mute_stdout()
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        print("featsim: interrupted", file=sys.stderr)
        return INTERRUPTED
    except _BAD_INPUT as error:
        if os.environ.get("FEATSIM_TRACEBACK"):
            raise
        print(f"featsim: error: {one_line(error)}", file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            return USAGE
        _mute_stdout()  # standard output is what cannot be written
        return USAGE
    return code


def _dispatch(words: list[str]) -> int:
    parser = Parser(
        prog="featsim",
        usage="featsim [-h] [--version] COMMAND ...",
        description="Feature-learning theories of adversarial training, simulated exactly.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"featsim {__version__}")
    # The long metavar makes argparse's column of names wide enough for `scenarios`.
    commands = parser.add_subparsers(prog="featsim", title="commands", metavar="COMMAND ...", dest="command")
    for command in _COMMANDS:
        command.register(commands)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:  # --help and --version; errors are raised by Parser.error
        return int(stop.code or OK)
    if args.command is None:
        parser.error(f"a command is missing; choose from {', '.join(commands.choices)}")
    args.words = words
    return int(args.function(args))


def _mute_stdout() -> None:
    """Let what is still buffered go nowhere, or Python would complain about it at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
