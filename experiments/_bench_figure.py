"""The benchmark's figure: shares and ratios of all rows with their targets, and the scaling curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _bench_curves import LABELS as CURVES
from _bench_process import LABELS
from _bench_report import Rows, of_kind, programs
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from featsim.plotting import figure_style, new_figure, save_figure

# Programs are no features and have no colour of theirs: greys, told apart by their markers.
_LINES: dict[str, dict[str, Any]] = {
    "featsim": {"color": "black", "marker": "s", "linestyle": "-"},
    "numpy": {"color": "#6f6f6f", "marker": "o", "linestyle": "--"},
    "torch": {"color": "#9a9a9a", "marker": "^", "linestyle": "-."},
    "jax": {"color": "#4a4a4a", "marker": "D", "linestyle": ":"},
}


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw shares and ratios of all rows with their targets, and the scaling curves."""
    rows, curves = of_kind(result["rows"], "patches", "symmetric"), of_kind(result["rows"], "curves")
    with figure_style():
        figure = new_figure(8.2 if curves else 4.6)
        figure.set_layout_engine("constrained")
        top, *rest = figure.subfigures(2, 1, height_ratios=(1.15, 1.0)) if curves else [figure]
        if rows:
            _draw_rows(top, rows)
        if rest:
            _draw_curves(rest[0], curves)
        save_figure(figure, path)


def _draw_rows(figure: Any, rows: Rows) -> None:
    shares, ratios = figure.subplots(1, 2, sharey=True)
    places = list(range(len(rows)))
    shares.barh(places, [100 * row["share_of_dgemm_bound"] for row in rows], color="#b5b5b5", height=0.7)
    shares.axvline(100.0, color="#8a8a8a", linewidth=0.8)
    for name in programs(rows):
        if name != "featsim":
            style = {**_LINES[name], "linestyle": "none"}
            values = [row["times_faster_than"].get(name, float("nan")) for row in rows]
            ratios.plot(values, places, **style, markersize=3.5, label=LABELS[name])
    ratios.axvline(1.0, color="#8a8a8a", linewidth=0.8)
    for place, row in zip(places, rows, strict=True):
        for target in row["targets"]:
            if target["what"].startswith("share"):
                value = 100 * target["target"]
                shares.plot([value, value], [place - 0.42, place + 0.42], color="black", linewidth=1.2)
                continue
            style = next(_LINES[name] for name, label in LABELS.items() if target["what"].endswith(label))
            style = {**style, "linestyle": "none", "markerfacecolor": "none"}
            ratios.plot(target["target"], place, **style, markersize=5.0, zorder=1)
    shares.set_yticks(places, [f"{row['size']}, {row['case']}" for row in rows], fontsize=6)
    shares.invert_yaxis()
    shares.set_xlabel("share of the naive dgemm bound in % (black: target)")
    ratios.set_xscale("log")
    ratios.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ratios.set_xlabel("times faster than the peer (open: target)")
    ratios.tick_params(axis="y", labelleft=False)
    ratios.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=7)


def _draw_curves(figure: Figure, curves: Rows) -> None:
    axes = figure.subplots(2, 3).ravel()
    for ax, (curve, label) in zip(axes, CURVES.items(), strict=True):
        found = sorted((row for row in curves if row["curve"] == curve), key=lambda row: row["value"])
        for name in programs(found):
            values = [1e3 * row["seconds_per_step"][name] for row in found]
            places = [row["value"] for row in found]
            ax.plot(places, values, **_LINES[name], markersize=3.5, linewidth=1.2, label=LABELS[name])
        _axes(ax, label, curve, sorted({row["value"] for row in found}))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=7)


def _axes(ax: Axes, label: str, curve: str, places: list[int]) -> None:
    ax.set_xlabel(label)
    # S begins at 0, the clean step.
    ax.set_xscale("symlog" if curve == "S" else "log")
    ax.set_xticks(places, [str(place) for place in places])
    ax.set_xticks([], minor=True)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("ms per step")
