"""The ledger as a table for the terminal, JSON, and Markdown for the documentation."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from featsim.claims.ledger import ClaimResult
from featsim.claims.statistics import Estimate
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
        rule is marked with ``x``, a verdict that differs from the expected one with ``!`` and its
        explanation.
    """
    if not results:
        return "no claims"
    wide = max(len(result.claim.id) for result in results)
    lines = []
    for result in results:
        mark = " " if result.as_expected else "!"
        facts = [f"{result.n_seeds} seed{'s' * (result.n_seeds != 1)}", f"{result.seconds:.1f} s"]
        if result.quick:
            facts.append("quick")
        if result.claim.control:
            facts.append("control")
        if not result.as_expected:
            facts.append(f"expected: {result.claim.expected}")
        lines.append(
            f"{mark} {result.claim.id:{wide}}  {str(result.verdict).upper():14}  "
            f"{result.claim.mark} {result.claim.scenario} ({', '.join(facts)})"
        )
        for finding in result.findings:
            lines.append(
                f"  {'  ' if finding.holds else ' x'} {finding.criterion.quantity} "
                f"{format_estimate(finding.estimate)}  rule: {finding.criterion.rule.text}"
            )
        if not result.as_expected and result.claim.explanation:
            lines.append(f"     why: {result.claim.explanation}")
    return "\n".join([*lines, summary_line(results)])


def summary_line(results: Sequence[ClaimResult]) -> str:
    """Return how many verdicts there are of each kind, and how many differ from the expected ones."""
    kinds: dict[str, int] = {}
    for result in results:
        kinds[str(result.verdict)] = kinds.get(str(result.verdict), 0) + 1
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    different = [result for result in results if not result.as_expected]
    explained = sum(result.explained for result in different)
    tail = f"; {len(different)} not the expected verdict ({explained} explained)" if different else ""
    return f"{len(results)} claims: {counts}{tail}"


def format_estimate(estimate: Estimate) -> str:
    """Return a number with its interval, to three digits."""
    if estimate.n == 0:
        return "not measurable"
    text = f"{estimate.value:.3g}"
    if math.isfinite(estimate.low) and estimate.low != estimate.high:
        text += f" [{estimate.low:.3g}, {estimate.high:.3g}]"
    return text


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
    rows = [
        "| id | statement | mark | measured [95 % interval] | rule | verdict | expected | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        claim = result.claim
        measured = "; ".join(
            f"{finding.criterion.quantity} {format_estimate(finding.estimate)}" for finding in result.findings
        )
        cells = (
            claim.id,
            claim.statement + (" (control)" if claim.control else ""),
            claim.mark,
            measured,
            claim.rule,
            f"**{result.verdict}**" + (" (quick)" if result.quick else ""),
            str(claim.expected),
            str(result.n_seeds),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    notes = [
        f"* {result.claim.id}: {result.claim.explanation}"
        for result in results
        if result.claim.explanation and not result.as_expected
    ]
    parts = ["\n".join(rows), summary_line(results) + "."]
    if notes:
        parts.append("Verdicts that differ from the expected ones:\n\n" + "\n".join(notes))
    return "\n\n".join(parts) + "\n"


def write_ledger(results: Sequence[ClaimResult], folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``claims.json`` and ``claims.md``.

    Parameters
    ----------
    results : sequence of ClaimResult
        Judged claims.
    folder : path-like
        Made if it does not exist.

    Returns
    -------
    json_path, markdown_path : pathlib.Path
        The two files.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    content = {"versions": version_report(), "claims": [result.to_dict() for result in results]}
    texts = {
        "claims.json": json.dumps(content, indent=1, allow_nan=False) + "\n",
        "claims.md": format_markdown(results),
    }
    paths = []
    for name, text in texts.items():
        # Written aside and renamed: a reader never sees half a ledger.
        aside = target / f".{name}.part"
        aside.write_text(text, encoding="utf-8")
        paths.append(aside.replace(target / name))
    return paths[0], paths[1]
