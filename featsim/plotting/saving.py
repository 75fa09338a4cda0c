"""Figures as files that appear whole, and are the same bytes when drawn again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from featsim.plotting.style import figure_style
from featsim.traces.files import atomic_write
from featsim.validation import check_choice

# Dates and program versions would make equal figures differ.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure in the format that the file's name ends in.

    Parameters
    ----------
    figure : Figure
        From :func:`plot_trace` or made inside :func:`figure_style`.
    path : path-like
        File to make or replace; ends in ``.png``, ``.pdf`` or ``.svg``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the name has another ending.
    OSError
        If the file cannot be written; one that was there is untouched then.
    """
    target = Path(path)
    ending = target.suffix.lower().removeprefix(".")
    check_choice("path ending", ending, _METADATA, hint=f"the file was {target.name}")
    with figure_style(), atomic_write(target) as file:
        figure.savefig(file, format=ending, metadata=_METADATA[ending])
    return target
