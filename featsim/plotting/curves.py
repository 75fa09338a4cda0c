"""Curves over training steps: seeds as a band, theory on top, events as a strip of dots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from featsim.plotting.style import SIMULATION, THEORY
from featsim.validation import check_array

BAND = (0.1, 0.9)
"""Quantiles over seeds between which the band lies."""

_MEANING = "_band: "  # legends leave out names that begin so
_SEEDS = f"middle {100 * (BAND[1] - BAND[0]):.0f} % of"
_MARKER_DISTANCE = 0.1  # along the line, as a fraction of the diagonal of the axes


def draw_seeds(ax: Axes, x: npt.ArrayLike, values: npt.ArrayLike, *, color: str, **line: Any) -> Axes:
    """Draw the median over seeds as a line, and the middle 80 % of the seeds as a band.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x : array_like, shape (t,)
        Steps, or what else the values belong to.
    values : array_like, shape (n_seeds, t)
        One row per seed; nan leaves a gap.
    color : str
        Colour of line and band.
    **line
        Further settings of the line, such as `label` and `marker`; a marker is put on
        some points only. The default is the solid line of a simulation.

    Returns
    -------
    Axes
        `ax`.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit.
    """
    where = check_array("x", x, ("t",))
    table = check_array("values", values, ("seeds", where.size), finite=False)
    settings: dict[str, Any] = {**SIMULATION, **line, "color": color}
    if "marker" in settings:
        settings.setdefault("markevery", _MARKER_DISTANCE)
    if len(table) > 1:
        low, high = np.quantile(table, BAND, axis=0)
        draw_band(ax, where, low, high, color=color, meaning=f"{_SEEDS} {len(table)} seeds")
    ax.plot(where, np.median(table, axis=0), **settings)
    return ax


def draw_band(
    ax: Axes,
    x: npt.ArrayLike,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    color: str,
    meaning: str,
    alpha: float = 0.25,
) -> Axes:
    """Draw a band that knows what it is, for :func:`name_bands`.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x, low, high : array_like, shape (t,)
        Places, and the edges of the band.
    color : str
        Colour.
    meaning : str
        What lies between the edges, such as "certified to attacked accuracy".
    alpha : float
        Opacity.

    Returns
    -------
    Axes
        `ax`.

    Raises
    ------
    ValueError
        If `meaning` is empty.
    """
    if not meaning:
        raise ValueError("meaning must say what the band is, got ''")
    where, lower, upper = (np.asarray(values, dtype=np.float64) for values in (x, low, high))
    ax.fill_between(where, lower, upper, color=color, alpha=alpha, linewidth=0, label=_MEANING + meaning)
    return ax


def bands_in_words(figure: Figure) -> str:
    """Return what the bands of a figure are, for a place where it says so itself.

    Parameters
    ----------
    figure : Figure
        With bands of :func:`draw_seeds` and :func:`draw_band`.

    Returns
    -------
    str
        Empty if there are none, or a title or legend names them already.
    """
    labels = [str(band.get_label()) for band in figure.findobj(PolyCollection)]
    meanings = [label.removeprefix(_MEANING) for label in labels if label.startswith(_MEANING)]
    written = " ".join(text.get_text() for text in figure.findobj(Text))
    missing = [meaning for meaning in dict.fromkeys(meanings) if meaning not in written]
    if not missing:
        return ""
    lines = "lines: medians; " if any(meaning.startswith(_SEEDS) for meaning in missing) else ""
    return f"{lines}bands: {'; '.join(missing)}"


def name_bands(figure: Figure) -> str:
    """Write below a figure what its bands are, unless it says so already.

    Parameters
    ----------
    figure : Figure
        As for :func:`bands_in_words`.

    Returns
    -------
    str
        What was written; empty if nothing had to be.
    """
    note = bands_in_words(figure)
    if note:
        above = figure.get_supxlabel()
        figure.supxlabel(f"{above}\n{note}" if above else note, fontsize=7, x=0.01, ha="left")
    return note


def draw_theory(ax: Axes, x: npt.ArrayLike, values: npt.ArrayLike, **line: Any) -> Axes:
    """Draw a prediction: thin dashes over the simulation.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x : array_like, shape (t,)
        As for :func:`draw_seeds`.
    values : array_like, shape (t,) or (n_seeds, t)
        Prediction; of several rows the median is drawn, as of the simulation.
    **line
        Further settings of the line.

    Returns
    -------
    Axes
        `ax`.
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    ax.plot(np.asarray(x), np.median(table, axis=0), **{**THEORY, **line})
    return ax


def draw_events(ax: Axes, events: Mapping[str, npt.ArrayLike], colors: Sequence[str]) -> Axes:
    """Draw when things happen: a row per event, a dot per seed, a bar at the median.

    Parameters
    ----------
    ax : Axes
        Where to draw; its y axis becomes the list of events, first on top.
    events : mapping of str to array_like, shape (n_seeds,)
        Steps; nan for a seed in which the event does not happen, which enters the median
        as later than all others. A row says how many seeds have it if not all do.
    colors : sequence of str
        Colour of each row.

    Returns
    -------
    Axes
        `ax`.
    """
    for row, (given, color) in enumerate(zip(events.values(), colors, strict=True)):
        steps = np.asarray(given, dtype=np.float64)
        happened = steps[np.isfinite(steps)]
        # Spread over the height of the row in a fixed pattern, so that equal steps stay visible.
        height = row + 0.22 * np.linspace(-1, 1, happened.size) if happened.size > 1 else np.full(1, row)
        ax.plot(
            happened, height[: happened.size], "o", color=color, markersize=3.2, alpha=0.75, markeredgewidth=0
        )
        middle = float(np.median(np.where(np.isfinite(steps), steps, np.inf)))
        if np.isfinite(middle):
            ax.plot([middle, middle], [row - 0.36, row + 0.36], color="black", linewidth=1.4)
        if happened.size < steps.size:
            ax.annotate(
                f"{happened.size} of {steps.size} seeds",
                (1.01, row),
                xycoords=ax.get_yaxis_transform(),
                va="center",
                fontsize="small",
            )
    ax.set_yticks(range(len(events)), list(events))
    ax.set_ylim(len(events) - 0.4, -0.6)
    ax.grid(False, axis="y")
    return ax


def step_axis(ax: Axes, last: float, *, linear_until: float = 10.0, label: str = "step") -> Axes:
    """Make x an axis of steps: step 0, then logarithmic from `linear_until` on.

    Parameters
    ----------
    ax : Axes
        Axes to set.
    last : float
        Last step shown.
    linear_until : float
        The axis is linear up to here.
    label : str
        Label with unit; empty for none.

    Returns
    -------
    Axes
        `ax`.
    """
    ax.set_xscale("symlog", linthresh=linear_until, linscale=0.35)
    decades = [10.0**e for e in range(12) if linear_until <= 10.0**e <= last]
    ax.set_xticks([0.0, *decades], ["0", *(f"{decade:,.0f}" for decade in decades)])
    ax.set_xlim(0, last)
    if label:
        ax.set_xlabel(label)
    return ax
