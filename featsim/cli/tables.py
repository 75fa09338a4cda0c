"""Numbers and tables as text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from featsim.specs import decode_float, is_encoded_float

_WORDS = ("settings", "axes")


def number(value: float | None) -> str:
    """Return a number with five significant digits; a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e6):
        return str(int(value))
    return f"{value:.5g}"


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return mean and sample standard deviation; None where there are too few values."""
    n = len(values)
    if n == 0:
        return None, None
    if not all(math.isfinite(value) for value in values):
        return math.nan, None if n == 1 else math.nan
    mean = math.fsum(values) / n
    if n == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, indent: str = "  ") -> str:
    """Return rows in columns; the first `left` of them and a last one of words are flush left."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    flush_left = {*range(left), *([len(header) - 1] if header[-1] in _WORDS else [])}
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if i in flush_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(text)


def flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Take nested JSON data apart.

    Parameters
    ----------
    node : JSON data
        Dicts are taken apart, lists are not; numbers that JSON cannot write are decoded.
    path : str
        Name of `node` itself.

    Yields
    ------
    tuple of str and object
        Every value under its dotted name.
    """
    if is_encoded_float(node):
        yield path, decode_float(node)
    elif isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def shown(value: Any) -> str:
    """Return a JSON value as ``--set`` would read it back."""
    return json.dumps(value, ensure_ascii=False, default=str)
