"""The benchmark's results as text, as a table in Markdown and reStructuredText, and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _bench_curves import LABELS as CURVES
from _bench_process import LABELS
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
Rows = list[dict[str, Any]]


def programs(rows: Rows) -> list[str]:
    """Return the programs that were timed, in a fixed order."""
    return [name for name in LABELS if any(name in row["seconds_per_step"] for row in rows)]


def line(row: dict[str, Any]) -> str:
    """Return a row as one line for the terminal."""
    if "curve" in row:
        values = ", ".join(f"{LABELS[name]} {1e6 * s:.4g}" for name, s in row["seconds_per_step"].items())
        return f"{row['key']}: {values} us/step"
    faster = ", ".join(f"{ratio:.2f} x {LABELS[name]}" for name, ratio in row["times_faster_than"].items())
    return (
        f"{row['key']}: {row['steps_per_second']['featsim']:.4g} steps/s, {faster}, "
        f"{100 * row['share_of_dgemm_bound']:.0f} % of the dgemm bound{_missed(row)}"
    )


def _missed(row: dict[str, Any]) -> str:
    missed = [target["what"] for target in row["targets"] if target["met"] is False]
    return f"; missed: {', '.join(missed)}" if missed else ""


def cells(rows: Rows) -> list[list[str]]:
    """Return the table of the workloads, its heading first."""
    rows = [row for row in rows if "curve" not in row]
    names = programs(rows)
    peers = [name for name in names if name != "featsim"]
    heading = ["size", "case", "steps/s", "% of dgemm bound"]
    heading += [f"x {LABELS[name]}" for name in peers]
    heading += ["MB: " + ", ".join(LABELS[name] for name in names), "targets"]
    table = [heading]
    for row in rows:
        table.append(
            [
                row["size"],
                row["case"],
                f"{row['steps_per_second']['featsim']:.4g}",
                f"{100 * row['share_of_dgemm_bound']:.0f}",
                *(f"{row['times_faster_than'][name]:.2f}" for name in peers),
                ", ".join(f"{row['raised_megabytes'][name]:.0f}" for name in names),
                _targets(row),
            ]
        )
    return table


def _targets(row: dict[str, Any]) -> str:
    """Return each target with its verdict."""
    words = {True: "met", False: "missed", None: "not measured"}
    found = []
    for target in row["targets"]:
        share = target["what"].startswith("share")
        wanted = (
            f"{100 * target['target']:.0f} %" if share else f"{target['target']:g} x {target['what'][6:]}"
        )
        found.append(f"{wanted} {words[target['met']]}")
    return ", ".join(found) or "none set"


def summary(rows: Rows) -> str:
    """Return how many targets are met."""
    verdicts = [target["met"] for row in rows for target in row["targets"]]
    return (
        f"{verdicts.count(True)} targets met, {verdicts.count(False)} missed, "
        f"{verdicts.count(None)} not measured."
    )


def machine(result: dict[str, Any]) -> list[str]:
    """Return what the table was measured with, a sentence each."""
    versions = result["versions"]
    apart = [row["largest_difference"] for row in result["rows"] if "curve" not in row]
    software = ", ".join(
        f"{name} {version}" for name, version in versions.items() if name not in ("cpu", "os")
    )
    clock = "CPU seconds" if result["threads"] == 1 else "wall seconds"
    return [
        f"Machine: {versions['cpu']}, {result['processors']} processors, {versions['os']}.",
        f"Software: {software}.",
        f"Measured {result['date']}; float64, threads per program: {result['threads']}; {clock}, median of "
        "rounds in turn, every program in its own process, every step recorded.",
        "Share of the dgemm bound: 4NKd(S+1) FLOP (N rows, K neurons, dimension d, S inner steps) over the "
        "rate of the product (N, d) x (d, K) in the same run, over the time of a step. l2 attacks in the "
        "coefficient space of the filters need fewer FLOP, so more than 100 % is possible.",
        "MB: peak of the process above what it held before the data were drawn; the data are in it.",
        "Largest difference between the programs, in units of the largest number of an array or 1: "
        f"{max(apart, default=0.0):.1e}.",
    ]


def markdown(result: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    heading, *body = cells(result["rows"])
    lines = ["| " + " | ".join(row) + " |" for row in (heading, ["---"] * len(heading), *body)]
    notes = "\n".join(f"- {note}" for note in machine(result))
    return "\n".join([*lines, "", summary(result["rows"]), "", notes]) + "\n"


def restructured(result: dict[str, Any]) -> str:
    """Return the table for the documentation."""
    lines = [".. Written by experiments/bench.py --table; measure again instead of changing it.", ""]
    lines += [".. list-table::", "   :header-rows: 1", ""]
    for row in cells(result["rows"]):
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return (
        "\n".join([*lines, "", summary(result["rows"]), "", *(f"- {note}" for note in machine(result))])
        + "\n"
    )


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw shares and ratios of all rows with their targets, and the scaling curves."""
    rows = [row for row in result["rows"] if "curve" not in row]
    curves = [row for row in result["rows"] if "curve" in row]
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
    ratios.legend(loc="upper right", fontsize=6)


def _draw_curves(figure: Figure, curves: Rows) -> None:
    axes = figure.subplots(2, 3).ravel()
    for ax, (curve, label) in zip(axes, CURVES.items(), strict=True):
        found = sorted((row for row in curves if row["curve"] == curve), key=lambda row: row["value"])
        for name in programs(found):
            values = [1e3 * row["seconds_per_step"][name] for row in found]
            places = [row["value"] for row in found]
            ax.plot(places, values, **_LINES[name], markersize=3.5, linewidth=1.2, label=LABELS[name])
        _axes(ax, label, curve, sorted({row["value"] for row in found}))
    axes[0].legend(fontsize=6, loc="upper left")


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
