"""The ledger as a table for the terminal, JSON, and Markdown for the documentation."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from featsim.claims.estimates import Estimate
from featsim.claims.ledger import ClaimResult
from featsim.claims.registry import position
from featsim.traces.files import atomic_write
from featsim.versions import version_report


def format_table(results: Sequence[ClaimResult]) -> str:
    """Return the ledger as text.

    Parameters
    ----------
    results : sequence of ClaimResult
        Judged claims.

    Returns
    -------
    str
        One block per claim: a line with its verdict, then one line per criterion; what fails its
        rule is marked with ``x``, a verdict that differs from the expected one with ``*`` and its
        explanation, one that differs from what the ledger documents with ``!``.
    """
    if not results:
        return "no claims"
    wide = max(len(result.claim.id) for result in results)
    lines = []
    for result in results:
        mark = "!" if not result.as_documented else " " if result.as_expected else "*"
        facts = [f"{result.n_seeds} seed{'s' * (result.n_seeds != 1)}", f"{result.seconds:.1f} s"]
        if result.quick:
            facts.append("quick")
        if result.claim.control:
            facts.append("control")
        if not result.as_expected:
            facts.append(f"expected: {result.claim.expected}")
        if not result.as_documented and result.claim.found is not None:
            facts.append(f"documented: {result.claim.documented}")
        lines.append(
            f"{mark} {result.claim.id:{wide}}  {str(result.verdict).upper():14}  "
            f"{result.claim.mark} {result.claim.scenario} ({', '.join(facts)})"
        )
        if result.skipped:
            lines.append(f"     {result.skipped}")
            continue
        for finding in result.findings:
            lines.append(
                f"  {'  ' if finding.holds else ' x'} {finding.criterion.quantity} "
                f"{format_estimate(finding.estimate)}  rule: {finding.criterion.rule.text}"
            )
        if not result.as_expected and result.claim.explanation:
            lines.append(f"     why: {result.claim.explanation}")
    return "\n".join([*lines, summary_line(results)])


def summary_line(results: Sequence[ClaimResult]) -> str:
    """Return how many verdicts there are of each kind, and how many differ from expected and documented."""
    kinds: dict[str, int] = {}
    for result in results:
        kinds[str(result.verdict)] = kinds.get(str(result.verdict), 0) + 1
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    different = [result for result in results if not result.as_expected]
    explained = sum(result.explained for result in different)
    tail = f"; {len(different)} not the expected verdict ({explained} explained)" if different else ""
    wrong = sum(not result.as_documented for result in results)
    return f"{len(results)} claims: {counts}{tail}; " + (
        f"{wrong} not as documented" if wrong else "all as documented"
    )


def format_estimate(estimate: Estimate) -> str:
    """Return a number with its interval, to three digits."""
    if estimate.n == 0:
        return "not measurable"
    text = f"{estimate.value:.3g}"
    if math.isfinite(estimate.low) and estimate.low != estimate.high:
        text += f" [{estimate.low:.3g}, {estimate.high:.3g}]"
    return f"{text} ({estimate.note})" if estimate.note else text


def format_markdown(results: Sequence[ClaimResult]) -> str:
    """Return the ledger as a Markdown table, with explanations below it.

    Parameters
    ----------
    results : sequence of ClaimResult
        Judged claims.

    Returns
    -------
    str
        One row per claim.
    """
    return _markdown([result.to_dict() for result in results])


def _markdown(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        "| id | statement | mark | measured [95 % interval] | rule | verdict | expected | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        measured = "; ".join(f"{row['quantity']} {_format_row(row)}" for row in entry["quantities"])
        cells = (
            entry["id"],
            entry["statement"] + (" (control)" if entry["control"] else ""),
            entry["mark"],
            measured,
            entry["rule"],
            f"**{entry['verdict']}**"
            + (f": {entry['skipped']}" if entry.get("skipped") else "")
            + (" (quick)" if entry["size"] == "quick" else ""),
            entry["expected"],
            str(entry["n_seeds"]),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    different = [entry for entry in entries if not entry["as_expected"]]
    notes = [f"* {entry['id']}: {entry['explanation']}" for entry in different if entry["explanation"]]
    kinds = Counter(entry["verdict"] for entry in entries)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    tail = f"; {len(different)} not the expected verdict" if different else ""
    parts = ["\n".join(rows), f"{len(entries)} claims: {counts}{tail}."]
    if notes:
        parts.append("Verdicts that differ from the expected ones:\n\n" + "\n".join(notes))
    return "\n\n".join(parts) + "\n"


def _format_row(row: Mapping[str, Any]) -> str:
    value, low, high = (math.nan if x is None else x for x in (row["value"], *row["interval"]))
    return format_estimate(Estimate(value, low, high, row["n"], note=row.get("note", "")))


def write_ledger(results: Sequence[ClaimResult], folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``claims.json`` and ``claims.md``, joining what is there.

    Parameters
    ----------
    results : sequence of ClaimResult
        Judged claims.
    folder : path-like
        Made if it does not exist.

    Returns
    -------
    json_path, markdown_path : pathlib.Path
        The two files: the claims judged now and all others that the folder held, in the order of the
        registry. Each entry has its own size, date and versions; a quick result does not replace one of
        the default size.

    Raises
    ------
    ValueError
        If ``claims.json`` is there and is not a ledger.
    OSError
        If the folder cannot be written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    json_path, markdown_path = target / "claims.json", target / "claims.md"
    entries = {entry["id"]: entry for entry in _read_ledger(json_path)}
    versions, date = version_report(), datetime.now(UTC).isoformat(timespec="seconds")
    for result in results:
        old = entries.get(result.claim.id)
        if result.skipped and old is not None:
            continue
        if old is None or not result.quick or old["size"] == "quick":
            entries[result.claim.id] = {**result.to_dict(), "date": date, "versions": versions}
    merged = sorted(entries.values(), key=lambda entry: position(entry["id"]))
    content = {"versions": versions, "claims": merged}
    texts = {
        json_path: json.dumps(content, indent=1, allow_nan=False) + "\n",
        markdown_path: _markdown(merged),
    }
    for path, text in texts.items():
        # Appears whole or not at all: a reader never sees half a ledger.
        with atomic_write(path) as file:
            file.write(text.encode("utf-8"))
    return json_path, markdown_path


def _read_ledger(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a ledger; those of before entries had versions get the file's."""
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {"date": None, "versions": content["versions"]}
        return [{**known, **entry, "id": entry["id"], "size": entry["size"]} for entry in content["claims"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be a ledger of claims to be added to, got other content; move it away"
        ) from error
