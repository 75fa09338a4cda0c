"""What the commands share: parsing words, names with suggestions, results as JSON."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from featsim.machine import TooLargeError

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses."""

EPILOG = """\
exit status:
  0    fine
  1    a run diverged or stopped early, a verdict is not the expected one, or image data are damaged
  2    bad usage or input, with one line on standard error
  130  interrupted (Ctrl-C); what was recorded is kept under --out

`featsim COMMAND --help` describes a command, with examples. With FEATSIM_TRACEBACK=1 in the
environment, errors show where they were raised.
"""

Function = Callable[[argparse.Namespace], int]


class UsageError(ValueError):
    """Words on the command line that cannot be understood."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose examples keep their lines."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", _Formatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def add_command(commands: Any, name: str, function: Function, examples: str) -> argparse.ArgumentParser:
    """Add a command that calls `function`, described by its docstring; return its parser."""
    text = inspect.cleandoc(function.__doc__ or "")
    summary = text.partition("\n")[0].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary[:1].lower() + summary[1:],
        description=text,
        epilog="examples:\n" + inspect.cleandoc(examples).replace("\n", "\n  ").join(("  ", "")),
    )
    parser.set_defaults(function=function)
    return parser


def whole_number(minimum: int) -> Callable[[str], int]:
    """Return an argparse type: an integer >= `minimum`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"must be >= {minimum}, got {number}")
        return number

    return parse


def step_list(text: str) -> tuple[int, ...]:
    """Read ``0,10,100`` as an argparse type."""
    number = whole_number(0)
    return tuple(number(part.strip()) for part in text.split(",") if part.strip())


def name_list(text: str) -> tuple[str, ...]:
    """Read ``robust_coef,clean_loss`` as an argparse type."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def add_jobs(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--jobs`` and ``--quiet``."""
    parser.add_argument(
        "--jobs", type=whole_number(1), default=1, metavar="J", help=f"{what} at the same time (default 1)"
    )
    parser.add_argument("--quiet", action="store_true", help="report no progress")


def check_name(what: str, name: str, names: Collection[str], where: str = "") -> str:
    """Return `name` if it is one of `names`; the error names those that are close, or else all."""
    if name in names:
        return name
    raise UsageError(f"unknown {what} {name!r}{where}; {suggestion(name, names)}")


def suggestion(name: str, names: Collection[str]) -> str:
    """Say which of `names` may have been meant."""
    scores = {candidate: _likeness(name.lower(), candidate.lower()) for candidate in names}
    best = max(scores.values(), default=0.0)
    # One that fits plainly better than the rest is named alone.
    close = [candidate for candidate, score in scores.items() if score >= max(0.5, best - 0.1)]
    if close:
        return f"did you mean {' or '.join(close[:4])}?"
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names) or 'none'}"


def _likeness(name: str, candidate: str) -> float:
    """Compare two dotted or slashed names, by their last parts where nothing else differs."""
    separator = "/" if "/" in candidate else "."
    last = candidate.rpartition(separator)[2]
    if separator in name and name.rpartition(separator)[0] == candidate.rpartition(separator)[0]:
        return _likeness(name.rpartition(separator)[2], last)
    if len(name) > 1 and last.startswith(name):
        return 1.0 if last == name else 0.85
    return max(difflib.SequenceMatcher(None, name, known).ratio() for known in (candidate, last))


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line."""
    if isinstance(error, MemoryError) and not isinstance(error, TooLargeError):
        return f"not enough memory ({error}); ask for less" if str(error) else "not enough memory"
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(text.split()) or type(error).__name__


def print_json(value: Any) -> None:
    """Print plain data as JSON; numbers that are not finite become text."""
    from featsim.traces.files import plain_json

    print(json.dumps(plain_json(value, "result"), indent=2, allow_nan=False))
