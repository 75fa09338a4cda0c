"""The benchmark's results as text, and as tables in Markdown and reStructuredText."""

from __future__ import annotations

from typing import Any

from _bench_process import LABELS

Rows = list[dict[str, Any]]
Table = tuple[str, list[list[str]]]  # caption, and rows of which the first is the heading


def programs(rows: Rows) -> list[str]:
    """Return the programs that were timed, in a fixed order."""
    return [name for name in LABELS if any(name in row["seconds_per_step"] for row in rows)]


def kind(row: dict[str, Any]) -> str:
    """Return what a row is of: patches, symmetric, threads, tracing, seeds, start or curves."""
    return str(row["key"].split("/")[0])


def of_kind(rows: Rows, *kinds: str) -> Rows:
    """Return the rows of these kinds."""
    return [row for row in rows if kind(row) in kinds]


def line(row: dict[str, Any]) -> str:
    """Return a row as one line for the terminal."""
    return f"{row['key']}: {_measured(row)}{_missed(row)}"


def _measured(row: dict[str, Any]) -> str:
    if kind(row) == "curves":
        return ", ".join(f"{LABELS[name]} {1e6 * s:.4g} us" for name, s in row["seconds_per_step"].items())
    if kind(row) == "tracing":
        return f"recording everything costs {100 * row['cost']:.1f} %"
    if kind(row) == "seeds":
        return f"{row['gain']:.2f} x with two processes, loops of plain Python {row['gain_of_loops']:.2f} x"
    if kind(row) == "start":
        return f"{row['seconds']:.2f} s"
    faster = ", ".join(f"{ratio:.2f} x {LABELS[name]}" for name, ratio in row["times_faster_than"].items())
    share = f"{100 * row['share_of_dgemm_bound']:.0f} % of the dgemm bound"
    memory = ", ".join(f"{value:.0f}" for value in row["megabytes"].values())
    return f"{row['steps_per_second']['featsim']:.4g} steps/s, {faster}, {share}, {memory} MB"


def _missed(row: dict[str, Any]) -> str:
    missed = [target["what"] for target in row["targets"] if target["met"] is False]
    return f"; missed: {', '.join(missed)}" if missed else ""


def tables(result: dict[str, Any]) -> list[Table]:
    """Return the tables of all kinds of rows that are there."""
    rows = result["rows"]
    found = []
    if main := of_kind(rows, "patches", "symmetric"):
        found.append(("One thread" if result["threads"] == 1 else "The workloads", _against_peers(main)))
    if threads := of_kind(rows, "threads"):
        found.append(("Two threads for every program, wall time", _against_peers(threads, targets=False)))
    if own := of_kind(rows, "tracing", "seeds", "start"):
        found.append(("featsim alone", _own(own)))
    return found


def _against_peers(rows: Rows, targets: bool = True) -> list[list[str]]:
    """Return the table of rows in which the programs are compared, its heading first."""
    names = programs(rows)
    peers = [name for name in names if name != "featsim"]
    heading = ["size", "case", "steps/s", "% of dgemm bound"]
    heading += [f"x {LABELS[name]}" for name in peers]
    heading += ["MB: " + ", ".join(["data", *(LABELS[name] for name in names)])]
    table = [heading + ["targets"] * targets]
    for row in rows:
        megabytes = [row["data_megabytes"], *(row["megabytes"][name] for name in names)]
        cells = [
            row["size"],
            row["case"],
            f"{row['steps_per_second']['featsim']:.4g}",
            f"{100 * row['share_of_dgemm_bound']:.0f}",
            *(f"{row['times_faster_than'][name]:.2f}" for name in peers),
            ", ".join(f"{value:.0f}" for value in megabytes),
        ]
        table.append(cells + [_targets(row)] * targets)
    return table


def _targets(row: dict[str, Any]) -> str:
    """Return each target with its verdict."""
    found = []
    for target in row["targets"]:
        share = target["what"].startswith("share")
        wanted = (
            f"{100 * target['target']:.0f} %" if share else f"{target['target']:g} x {target['what'][6:]}"
        )
        found.append(f"{wanted} {_verdict(target)}")
    return ", ".join(found) or "none set"


def _verdict(target: dict[str, Any]) -> str:
    return {True: "met", False: "missed", None: "not measured"}[target["met"]]


def _own(rows: Rows) -> list[list[str]]:
    table = [["what", "of", "measured", "target"]]
    for row in rows:
        met = _verdict(row["targets"][0]) if row["targets"] else ""
        if kind(row) == "tracing":
            what = "every quantity at every step, against the last state only: time added"
            wanted = f"at most {100 * row['targets'][0]['target']:.0f} %, {met}" if met else "none set"
            table.append([what, f"{row['size']}, clean", f"{100 * row['cost']:.1f} %", wanted])
        elif kind(row) == "seeds":
            what = "8 seeds with two processes, which are there already: times sooner"
            measured = (
                f"{row['gain']:.2f} ({row['seconds_one']:.1f} and {row['seconds_two']:.1f} s); "
                f"loops of plain Python {row['gain_of_loops']:.2f}"
            )
            wanted = f"at least {row['targets'][0]['target']:g}, {met}" if met else "none set"
            table.append([what, f"{row['size']}, {row['case']}", measured, wanted])
        else:
            wanted = f"at most {row['targets'][0]['target']:g} s, {met}"
            table.append(["a new Python, start to end", row["size"], f"{row['seconds']:.2f} s", wanted])
    return table


def summary(rows: Rows) -> str:
    """Return how many targets are met."""
    verdicts = [target["met"] for row in rows for target in row["targets"]]
    return (
        f"{verdicts.count(True)} targets met, {verdicts.count(False)} missed, "
        f"{verdicts.count(None)} not measured."
    )


def machine(result: dict[str, Any]) -> list[str]:
    """Return what the tables were measured with, a sentence each."""
    versions, rows = result["versions"], result["rows"]
    apart = [row["largest_difference"] for row in rows if "largest_difference" in row]
    checked = [row["checked_steps"] for row in rows if "checked_steps" in row]
    software = ", ".join(
        f"{name} {version}" for name, version in versions.items() if name not in ("cpu", "os")
    )
    clock = "CPU seconds" if result["threads"] == 1 else "wall seconds"
    found = [
        f"Machine: {versions['cpu']}, {result['processors']} processors, {versions['os']}.",
        f"Software: {software}.",
        f"Measured {result['date']}; float64, threads per program: {result['threads']}; {clock}, median of "
        "rounds in turn, every program in its own process, every step recorded.",
        "Share of the dgemm bound: 4NKd(S+1) FLOP (N rows, K neurons, dimension d, S inner steps) over the "
        "rate of the product (N, d) x (d, K) in the same run, over the time of a step. l2 attacks in the "
        "coefficient space of the filters need fewer FLOP, so more than 100 % is possible.",
    ]
    if checked:
        found.append(
            f"MB: of the data (float64), and how far the peak of each process, fresh for the row, is above "
            f"what it held before the data were there; after at most {max(checked)} recorded steps."
        )
    return [
        *found,
        "Largest difference between the programs, in units of the largest number of an array or 1: "
        f"{max(apart, default=0.0):.1e}.",
    ]


def markdown(result: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    lines: list[str] = []
    for caption, (heading, *body) in tables(result):
        lines += [f"**{caption}**", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (heading, ["---"] * len(heading), *body)]
        lines.append("")
    notes = [f"- {note}" for note in machine(result)]
    return "\n".join([*lines, summary(result["rows"]), "", *notes]) + "\n"


def restructured(result: dict[str, Any]) -> str:
    """Return the tables for the documentation."""
    lines = [".. Written by experiments/bench.py --table; measure again instead of changing it.", ""]
    for caption, rows in tables(result):
        lines += [f".. list-table:: {caption}", "   :header-rows: 1", ""]
        for row in rows:
            lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
        lines.append("")
    notes = [f"- {note}" for note in machine(result)]
    return "\n".join([*lines, summary(result["rows"]), "", *notes]) + "\n"
