"""``featsim inspect``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featsim.cli.parser import OK, UsageError, add_command, print_json, whole_number
from featsim.cli.tables import flat, number, shown, table

if TYPE_CHECKING:
    from featsim.traces import Trace


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "inspect",
        inspect,
        """
        featsim inspect runs/standard-seed-000.npz
        featsim inspect runs/adversarial-seed-000.run            # a run that goes on, or was killed
        featsim inspect runs/standard-seed-000.npz --at 100
        featsim inspect runs/standard-seed-000.npz --config      # every setting
        featsim inspect runs/standard-seed-000.npz --plot trace.pdf --csv trace.csv
        """,
    )
    parser.add_argument("trace", metavar="TRACE", help="trace (.npz), or the folder of a run")
    parser.add_argument(
        "--at", type=whole_number(0), metavar="STEP", help="values at a recorded step instead of the last"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the trace (png, pdf, svg)")
    parser.add_argument("--csv", metavar="FILE", help="write what was recorded, one row per step")
    parser.add_argument(
        "--config", action="store_true", help="print the whole configuration and the versions behind it too"
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")


def inspect(args: argparse.Namespace) -> int:
    """Say what a trace holds: status, values, winners, and with --config every setting.

    Values are given with their spread over classes and neurons. The trace of a run that goes on,
    or was killed, is read up to what it last wrote.
    """
    trace = _load(Path(args.trace))
    view = trace
    if args.at is not None:
        trace.at(args.at)  # its error names the nearest record
        view = trace.select(steps=[args.at])
    written = [_draw(trace, Path(args.plot))] if args.plot else []
    if args.csv:
        written.append(_to_csv(trace, Path(args.csv)))
    if args.json:
        print_json(_as_json(trace, view, args.at))
    else:
        _print(args.trace, trace, view, args.at)
        _print_configuration(trace, whole=args.config)
    for path in written:
        print(f"wrote {path}", file=sys.stderr if args.json else sys.stdout)
    return OK


def _load(path: Path) -> Trace:
    from featsim.traces import load_trace

    if path.is_dir() and not (path / "manifest.json").exists():
        inside = sorted(found.name for pattern in ("*.npz", "*.run") for found in path.glob(pattern))
        if inside:
            names = ", ".join(inside[:6]) + (", ..." if len(inside) > 6 else "")
            raise UsageError(f"{path} is not a trace but holds some; name one of {names}")
    return load_trace(path)


def _draw(trace: Trace, path: Path) -> Path:
    from featsim.plotting import plot_trace, save_figure
    from featsim.traces import check_writable

    if not path.suffix:
        raise UsageError(f"--plot must name a file with an ending such as .png, .pdf or .svg, got {path}")
    check_writable(path.parent)
    save_figure(plot_trace(trace), path)
    return path


def _to_csv(trace: Trace, path: Path) -> Path:
    from featsim.traces import check_writable

    check_writable(path.parent)
    return trace.to_csv(path)


def _summary(trace: Trace) -> dict[str, Any]:
    import numpy as np

    with np.errstate(all="ignore"):  # infinities are shown, not warned about
        return trace.summary()


def _arrays(view: Trace, at: int | None) -> dict[str, dict[str, Any]]:
    """Return the summary of every array; with a step, of those that have a record there."""
    arrays: dict[str, dict[str, Any]] = _summary(view)["arrays"]
    if at is None:
        return arrays
    return {name: what for name, what in arrays.items() if what["axes"][:1] == ("step",)}


def _as_json(trace: Trace, view: Trace, at: int | None) -> dict[str, Any]:
    summary = {**_summary(trace), "winners": _summary(view)["winners"], "arrays": _arrays(view, at)}
    if at is not None:
        summary["step"] = at
        record = trace.at(at)
        summary["values"] = {name: record[name].tolist() for name in summary["arrays"]}
    return {**summary, "spec": trace.spec, "versions": trace.versions, "meta": trace.meta}


def _print(path: str, trace: Trace, view: Trace, at: int | None) -> None:
    from featsim.traces.summary import run_title

    summary = _summary(trace)
    print(path)
    print(f"  run      {run_title(trace) or 'of no scenario'}")
    print(f"  status   {trace.status}{': ' + trace.message if trace.message else ''}")
    if trace.status in ("running", "interrupted"):
        print(
            f"           (up to what it last wrote; a run that stopped goes on with: featsim resume {path})"
        )
    if not trace.n_records:
        print("  records  none yet" if trace.status == "running" else "  records  none")
    else:
        print(f"  records  {trace.n_records}, steps {summary['first_step']} to {summary['last_step']}")
        which = f"step {at}" if at is not None else f"last record, step {summary['last_step']}"
        print(f"\nvalues ({which})")
    print(_value_table(_arrays(view, at)))
    for line in [*_winner_lines(_summary(view)["winners"]), *_passage_lines(summary["passages"])]:
        print(line)


def _print_configuration(trace: Trace, *, whole: bool) -> None:
    if not whole:
        made = trace.versions.get("featsim")
        with_what = f", made with featsim {made}" if made else ""
        print(f"\n{len(dict(flat(trace.spec)))} settings{with_what}; --config prints them")
        return
    print("\nconfiguration")
    _print_pairs(dict(flat(trace.spec)))
    print("\nmade with")
    _print_pairs(trace.versions, plain=True)


def _value_table(arrays: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, what in arrays.items():
        axes = " x ".join(
            f"{length} {axis}" for axis, length in zip(what["axes"], what["shape"], strict=True)
        )
        final = what["final"]
        if final is None:
            cells = ["-"] * 4
        elif "n_different" in final:
            name = f"{name} ({final['n_different']} different)"
            cells = ["-"] * 4
        elif final["count"] == 1 and not final["n_nonfinite"]:
            cells = [number(final["mean"]), "", "", ""]
        else:
            cells = [number(final[key]) for key in ("mean", "sd", "min", "max")]
        bad = str(final["n_nonfinite"]) if final and final["n_nonfinite"] else ""
        rows.append([name, *cells, bad, axes])
    header = ["name", "mean", "sd", "min", "max", "not finite", "axes"]
    if not any(row[5] for row in rows):
        header, rows = header[:5] + header[6:], [row[:5] + row[6:] for row in rows]
    return table(header, rows)


def _winner_lines(winners: list[dict[str, Any]]) -> list[str]:
    if not winners:
        return []
    lines = ["", "winner of each class (largest coefficient)"]
    for entry in winners:
        largest = ", ".join(f"{name} {number(value)}" for name, value in entry["largest"].items())
        won = f"{entry['winner']} (neuron {entry['neuron']})" if entry["winner"] else "none"
        lines.append(f"  class {entry['class']}: {won}; largest {largest}")
    return lines


def _passage_lines(passages: list[dict[str, Any]]) -> list[str]:
    if not passages:
        return []
    lines = ["", "first recorded step at a level (median over entries)"]
    for entry in passages:
        step = "never" if entry["step"] is None else f"step {number(entry['step'])}"
        lines.append(f"  {entry['quantity']} >= {number(entry['level'])}: {step}")
    return lines


def _print_pairs(pairs: Mapping[str, Any], plain: bool = False) -> None:
    kept = {key: value for key, value in pairs.items() if key.rpartition(".")[2] != "kind"}
    width = max(map(len, kept), default=0)
    for key, value in kept.items():
        print(f"  {key:<{width}}  {value if plain else shown(value)}")
