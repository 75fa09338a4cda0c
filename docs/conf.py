"""Sphinx configuration of the featsim documentation, built by `make docs`."""

import ast
import inspect
import shutil
from importlib import import_module
from pathlib import Path

import featsim

DOCS = Path(__file__).resolve().parent
GENERATED = DOCS / "_generated"

project = "featsim"
author = "The featsim developers"
project_copyright = "2026, The featsim developers"
version = release = featsim.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
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


def gallery() -> str:
    """Return the page of pictures: those that `make figures` drew, with their script's docstring."""
    page = title("Gallery", "=")
    page += "Drawn by ``make figures``; building the documentation does not draw them again.\n\n"
    for script in sorted(DOCS.parent.glob("experiments/plot_*.py")):
        name = script.stem.removeprefix("plot_")
        docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or name
        heading, _, body = docstring.partition("\n")
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


# Written before Sphinx looks for its sources; anew, because a page of a name that is gone would be an orphan.
shutil.rmtree(GENERATED, ignore_errors=True)
GENERATED.mkdir()
(GENERATED / "gallery.rst").write_text(gallery(), encoding="utf-8")
(GENERATED / "reference.rst").write_text(api(), encoding="utf-8")
