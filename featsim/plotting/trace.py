"""One trace at a glance: what was recorded, over the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featsim.plotting.style import COLOURS, PAGE_WIDTH, figure_style, new_figure
from featsim.traces.summary import run_title

if TYPE_CHECKING:
    from featsim.traces import Trace

_PANEL_HEIGHT = 1.9
_LEGEND_LINE = 0.15  # inches, of two names
_SPREAD = 0.1  # numbers of one panel are at least this share of the largest
# Lines of one panel are told apart by colour and, in grey, by their dashes and marks.
_LINES = (
    ("-", "#111111"), ("--", "#6a6a6a"), (":", "#2b7bba"), ("-.", "#d07a12"), ((0, (1, 3)), "#6a2c8c"),
    ((0, (6, 1, 1, 1, 1, 1)), "#1b7837"), ((0, (8, 3)), "#b2182b"),
)  # fmt: skip


def plot_trace(trace: Trace) -> Figure:
    """Draw everything that a trace recorded over its steps.

    Coefficients are drawn as the largest over the neurons of each class, one line per class;
    arrays with one entry per class likewise; then losses, accuracies and all other numbers, those
    of about the same size together.

    Parameters
    ----------
    trace : Trace
        Any trace with records, of a run that goes on too; what is not finite leaves a gap.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`save_figure`.

    Raises
    ------
    ValueError
        If there are no records, or none over steps.
    """
    panels = _panels(trace)
    if not trace.n_records or not panels:
        raise ValueError("trace must hold records over steps to be drawn, got none")
    rows = -(-len(panels) // 2)
    with figure_style():
        columns = min(2, len(panels))
        lines = [-(-len(names) // 2) if _has_legend(title, names) else 0 for title, names in panels.items()]
        legends = sum(max(lines[start : start + 2]) for start in range(0, len(lines), 2))
        figure = new_figure(0.5 + _PANEL_HEIGHT * rows + _LEGEND_LINE * legends)
        grid = figure.subplots(rows, columns, squeeze=False)
        for ax, (title, names) in zip(grid.flat, panels.items(), strict=False):
            _draw_panel(ax, trace, title, names)
        for ax in grid.flat[len(panels) :]:
            ax.remove()
        heading = ", ".join(filter(None, (run_title(trace), trace.status)))
        figure.suptitle(heading, fontsize=9, x=0.01, ha="left")
        figure.set_size_inches(PAGE_WIDTH if columns == 2 else PAGE_WIDTH / 2, figure.get_size_inches()[1])
    return figure


def _panels(trace: Trace) -> dict[str, list[str]]:
    """Return the names to draw, panel by panel, in the order of the panels."""
    panels: dict[str, list[str]] = {}
    for name in trace:
        axes = trace.axes[name]
        if name == "steps" or axes[:1] != ("step",) or trace[name].dtype.kind not in "biuf":
            continue
        if len(axes) == 3 and axes[1:] == ("class", "neuron"):
            kind = "coefficients" if name.endswith("_coef") else name
            title = f"{kind}, largest neuron of each class"
        elif len(axes) == 2 and axes[1] == "class":
            title = "logit of each class" if name.endswith("_logit") else f"{name} of each class"
        elif len(axes) == 1:
            title = next((word for word in ("loss", "accuracy") if name.endswith(word)), "other numbers")
            if name.startswith("fresh_") and title != "other numbers":
                title += ", fresh samples"
        else:
            continue  # full tables over all features are for figures of their own
        panels.setdefault(title, []).append(name)
    panels |= _by_size(trace, panels.pop("other numbers", []))
    order = {"loss": 1, "accuracy": 2, "other numbers": 3}
    return dict(sorted(panels.items(), key=lambda item: order.get(item[0].partition(",")[0], 0)))


def _by_size(trace: Trace, names: list[str]) -> dict[str, list[str]]:
    """Split names into panels, so that small numbers are not lost below large ones."""
    sizes = {}
    for name in names:
        values = np.abs(np.asarray(trace[name], dtype=np.float64))
        sizes[name] = float(values[np.isfinite(values)].max(initial=0.0))
    groups: list[list[str]] = []
    for name in sorted(names, key=lambda name: -sizes[name]):
        if groups and len(groups[-1]) < len(_LINES) and sizes[name] > _SPREAD * sizes[groups[-1][0]]:
            groups[-1].append(name)
        else:
            groups.append([name])
    if len(groups) < 2:
        return {"other numbers": groups[0]} if groups else {}
    return {f"other numbers, up to {sizes[group[0]]:.2g}": group for group in groups}


def _draw_panel(ax: Axes, trace: Trace, title: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        values = np.asarray(trace[name], dtype=np.float64)
        if values.ndim == 3:
            values = values.max(axis=2)
        values = np.where(np.isfinite(values), values, np.nan)
        dashes, color = _LINES[number % len(_LINES)]
        if name.startswith(("robust_", "nonrobust_")) and values.ndim == 2:
            color = COLOURS["robust" if name.startswith("robust_") else "nonrobust"]
        settings: dict[str, Any] = {"color": color, "linestyle": dashes, "linewidth": 1.1}
        if trace.n_records == 1:
            settings["marker"] = "o"
        lines = ax.plot(trace.steps, values.reshape(trace.n_records, -1), **settings)
        lines[0].set_label(name)
    ax.set_title(title)
    ax.set_xlabel("step")
    if title.startswith("loss") and all((trace[name] > 0).all() for name in names):
        ax.set_yscale("log")
    gaps = np.diff(trace.steps)
    if gaps.size > 2 and gaps[-2] > 3 * gaps[0]:  # recorded at logarithmic distances
        ax.set_xscale("symlog", linthresh=1.0)
        ax.set_xlim(trace.steps[0], trace.steps[-1])  # the margin of a logarithm reaches below step 0
    if _has_legend(title, names):
        # Below the panel, where it covers no curve; the layout makes room for it.
        ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.28), ncols=2, columnspacing=1, borderaxespad=0)


def _has_legend(title: str, names: list[str]) -> bool:
    """Return whether the title leaves open what is drawn."""
    return len(names) > 1 or title.startswith(("loss", "accuracy", "other numbers"))
