"""Colours and line conventions, the same in every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.figure import Figure

_STYLE_FILE = Path(__file__).with_name("featsim.mplstyle")

PAGE_WIDTH = 7.0
"""Width of a page-wide figure in inches, for which the style's font sizes are meant."""

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "robust": "#2b7bba",
        "nonrobust": "#f2a33a",
        "dense-mixture": "#6a2c8c",
        "noise": "#b9d98a",
        "other": "#8a8a8a",
        "standard": "#9a9a9a",
        "adversarial": "#111111",
    }
)
"""Colour of each kind of feature and of each training. The kinds of feature differ in lightness too, so
that a print in grey keeps them apart, and all are light enough for black dashes on top."""

SIMULATION: Mapping[str, Any] = MappingProxyType({"linestyle": "-", "linewidth": 2.2})
"""Line of what was simulated."""

THEORY: Mapping[str, Any] = MappingProxyType(
    {"linestyle": (0, (4, 2)), "linewidth": 0.9, "color": "black", "zorder": 3}
)
"""Line of what theory predicts: thin black dashes, drawn over the simulation."""

TRAININGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "standard": MappingProxyType(
            {"color": COLOURS["standard"], "marker": "o", "markerfacecolor": "white", "linewidth": 1.5}
        ),
        "adversarial": MappingProxyType({"color": COLOURS["adversarial"], "marker": "s", "linewidth": 1.5}),
    }
)
"""Lines of the two trainings where they share a panel: open circles and filled squares."""


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply ``featsim.mplstyle`` over matplotlib's defaults, ignoring the user's own settings.

    Make and save figures inside, so that they look the same on every machine.

    Yields
    ------
    None
        The settings before are back at the end.
    """
    with matplotlib.rc_context(fname=_STYLE_FILE):
        yield


def new_figure(height: float, width: float = PAGE_WIDTH) -> Figure:
    """Return an empty figure that belongs to no window.

    Parameters
    ----------
    height, width : float
        Size in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot, so nothing is ever shown and nothing needs closing.
    """
    return Figure(figsize=(width, height))
