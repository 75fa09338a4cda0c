"""Sphinx configuration of the featsim documentation, built by `make docs`."""

import ast
import inspect
import json
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import featsim
from featsim.claims import Claim, select

DOCS = Path(__file__).resolve().parent
GENERATED = DOCS / "_generated"

project = "featsim"
author = "The featsim developers"
project_copyright = "2026, The featsim developers"
version = release = featsim.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
# These tables are parts of performance.rst.
exclude_patterns = ["_build", "benchmarks.rst", "float32.rst", "estimates.rst"]
html_theme = "alabaster"
html_theme_options = {"description": "Feature-learning theories of adversarial training, simulated exactly"}
default_role = "code"  # single back-ticks name parameters, as numpydoc has it
autosummary_generate = True
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
nitpicky = False


def title(text: str, line: str) -> str:
    """Return a reStructuredText title."""
    return f"{text}\n{line * len(text)}\n\n"


def escaped(text: str) -> str:
    """Return text in which reStructuredText finds no markup."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def figure_docstrings() -> dict[str, str]:
    """Return the docstring of every figure script, by the name of its figure."""
    trees = {
        script.stem.removeprefix("plot_"): ast.parse(script.read_text(encoding="utf-8"))
        for script in sorted(DOCS.parent.glob("experiments/plot_*.py"))
    }
    return {name: ast.get_docstring(tree) or "" for name, tree in trees.items()}


def gallery() -> str:
    """Return the page of pictures: those that `make figures` drew, with their script's docstring."""
    page = title("Gallery", "=")
    page += "Drawn by ``make figures``; building the documentation does not draw them again.\n\n"
    for name, docstring in FIGURES.items():
        heading, _, body = (docstring or name).partition("\n")
        page += f".. _figure-{name}:\n\n" + title(heading.rstrip("."), "-") + f"{body.strip()}\n\n"
        picture = DOCS.parent / "figures" / f"{name}.png"
        if picture.is_file():
            shutil.copy2(picture, GENERATED / picture.name)
            page += f".. image:: {picture.name}\n   :alt: {heading}\n   :width: 100%\n\n"
        page += f"``make figure-{name}``\n\n"
    return page


def api() -> str:
    """Return the page that lists every public name, room by room."""
    rooms: dict[str, list[str]] = {}
    for name, room in featsim._PUBLIC.items():
        rooms.setdefault(room, []).append(name)
    page = title("Reference", "=") + "Everything is also importable from ``featsim`` itself.\n\n"
    for room, names in rooms.items():
        summary = (inspect.getdoc(import_module(room)) or room).partition("\n")[0]
        page += title(f"``{room}``", "-") + f"{summary}\n\n.. autosummary::\n   :toctree: api\n\n"
        page += "".join(f"   {room}.{name}\n" for name in names) + "\n"
    return page


def claim_label(claim_id: str) -> str:
    """Return the label of a claim on the page of the ledger."""
    return "claim-" + claim_id.replace("/", "-")


def ledger() -> str:
    """Return the page of all claims, with what `make claims` measured if it has been run."""
    path = DOCS.parent / "results" / "claims.json"
    results = {}
    page = title("Claims", "=")
    page += (
        "Every claim is run and judged by a rule that was written before the run: ``make claims``, or "
        "``featsim claims --id ID`` for one of them. A control says what must *not* happen. "
    )
    if path.is_file():
        results = {result["id"]: result for result in json.loads(path.read_text(encoding="utf-8"))["claims"]}
        page += "The numbers are those of the last ``make claims``, with 95 % intervals over seeds.\n\n"
    else:
        page += "They had not been run when this page was built, so it shows no measured numbers.\n\n"
    theory = ""
    for claim in CLAIMS.values():
        if claim.theory != theory:
            theory = claim.theory
            page += title(theory, "-")
        page += ledger_entry(claim, results.get(claim.id))
    return page


def ledger_entry(claim: Claim, result: dict[str, Any] | None) -> str:
    """Return one claim: statement, origin, verdict, and a row for each criterion."""
    entry = f".. _{claim_label(claim.id)}:\n\n" + title(f"``{claim.id}``", "^")
    verdict = f"expected: {claim.expected}"
    if result is not None:
        size = ", quick size" if result["size"] == "quick" else ""
        verdict = f"**{result['verdict']}** ({verdict}; {result['n_seeds']} seeds{size})"
    figures = [f"figure {link}" for link in figure_links([claim.id])]
    facts = [claim.mark, *(["control"] if claim.control else []), f"scenario ``{claim.scenario}``", verdict]
    entry += f"{escaped(claim.statement)}. " + "; ".join([*facts, *figures]) + ".\n\n"
    if claim.explanation:
        entry += f"Why not reproduced: {escaped(claim.explanation)}\n\n"
    entry += ".. list-table::\n   :header-rows: 1\n\n"
    measured = {} if result is None else {row["quantity"]: row for row in result["quantities"]}
    entry += table_row(["measured", "prediction", "rule", *(["found", "holds"] if measured else [])])
    for criterion in claim.criteria:
        cells = [criterion.quantity, criterion.prediction, criterion.rule.text]
        if measured:
            row = measured.get(criterion.quantity, {})
            cells += [interval(row), {True: "yes", False: "no"}.get(row.get("holds"), "")]
        entry += table_row(cells)
    return entry + "\n"


def table_row(cells: list[str]) -> str:
    """Return one row of a list-table."""
    lines = [f"{'*' if i == 0 else ' '} - {escaped(cell)}".rstrip() for i, cell in enumerate(cells)]
    return "".join(f"   {line}\n" for line in lines)


def interval(row: dict[str, Any]) -> str:
    """Return a measured value with its interval."""
    if row.get("value") is None:
        return str(row.get("note", ""))
    low, high = row["interval"]
    bounds = "" if low is None or high is None or low == high else f" [{low:.3g}, {high:.3g}]"
    note = f" ({row['note']})" if row.get("note") else ""
    return f"{row['value']:.3g}{bounds}{note}"


def figure_links(claim_ids: list[str]) -> list[str]:
    """Return links to the figures whose script names one of the claims."""
    return [
        f":ref:`{name} <figure-{name}>`"
        for name, docstring in FIGURES.items()
        if any(f"``{claim_id}``" in docstring for claim_id in claim_ids)
    ]


def link_names(app: Any, page: str, source: list[str]) -> None:
    """Write links for ``:claim:`ID ...``` and for ``:figures:`ID ...```, the figures of these claims."""

    def link(found: re.Match[str]) -> str:
        role, ids = found[1], found[2].split()
        if role == "figures":
            return ", ".join(figure_links(ids))
        return ", ".join(
            f":ref:`{name.partition('/')[2]} <{claim_label(name)}>`" if name in CLAIMS else f"``{name}``"
            for name in ids
        )

    source[0] = re.sub(r":(claim|figures):`([^`]+)`", link, source[0])


def setup(app: Any) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("source-read", link_names)


FIGURES = figure_docstrings()
CLAIMS = {claim.id: claim for claim in select()}

# Written before Sphinx looks for its sources; anew, because a page of a name that is gone would be an orphan.
shutil.rmtree(GENERATED, ignore_errors=True)
GENERATED.mkdir()
(GENERATED / "gallery.rst").write_text(gallery(), encoding="utf-8")
(GENERATED / "reference.rst").write_text(api(), encoding="utf-8")
(GENERATED / "claims.rst").write_text(ledger(), encoding="utf-8")
