"""Check the public docstrings of featsim against its signatures.

Whatever a docstring states must agree with the signature. A docstring of one sentence is enough
inside a room; what a room exports must have all its sections, and a docstring with sections must say
what the body raises. This runs on imported objects because
numpydoc's hook, which reads source, does not see the fields of a dataclass as parameters.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType

from numpydoc.validate import validate

import featsim

# What is written is right.
FORMAT = {
    *("GL01", "GL03", "GL06", "GL07", "GL08", "GL10", "SS01", "SS03"),
    *("PR02", "PR03", "PR04", "PR10", "RT03", "YD01"),
}
# Sphinx takes a mark at the beginning of a line of the references for a citation.
MARK_FIRST = re.compile(r"^ *\[(source|recalled|derived|choice|measured)\]", re.MULTILINE)
# Parameters and the returned value are described.
SECTIONS = {"PR01", "RT01"}


def modules() -> Iterator[ModuleType]:
    """Yield every public module of the package."""
    for info in pkgutil.walk_packages(featsim.__path__, "featsim."):
        if not info.name.rpartition(".")[2].startswith("_"):
            yield importlib.import_module(info.name)


def public_members(module: ModuleType) -> Iterator[tuple[str, object, bool]]:
    """Yield name, object and whether it is a method, of all that `module` itself defines in public."""
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", None) == module.__name__
        if name.startswith("_") or not is_own or not (inspect.isfunction(value) or inspect.isclass(value)):
            continue
        yield f"{module.__name__}.{name}", value, False
        if inspect.isclass(value):
            for key, method in vars(value).items():
                unwrapped = getattr(method, "__func__", method)
                if not key.startswith("_") and (
                    inspect.isfunction(unwrapped) or isinstance(unwrapped, property)
                ):
                    yield f"{module.__name__}.{name}.{key}", method, True


def is_protocol(value: object) -> bool:
    """Say whether `value` is a protocol, which nobody makes instances of."""
    return bool(getattr(value, "_is_protocol", False))


def raises_directly(value: object) -> bool:
    """Say whether a function, or what makes an object, raises a ValueError or TypeError itself."""
    parts = [value]
    if inspect.isclass(value):
        parts = [vars(value)[name] for name in ("__init__", "__post_init__") if name in vars(value)]
    for part in parts:
        function = getattr(part, "fget", None) or getattr(part, "__func__", part)
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError):  # made by a decorator: there is no source
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if isinstance(error, ast.Name) and error.id in ("ValueError", "TypeError"):
                    return True
    return False


def errors(name: str, value: object, must_have_sections: bool) -> Iterator[str]:
    """Yield one line for each fault of the docstring of the object called `name`."""
    report = validate(name)
    docstring = report["docstring"] or ""
    checks = FORMAT
    # The fields of a result may be described as attributes, which numpydoc does not count.
    if (must_have_sections or "---" in docstring) and "Attributes\n" not in docstring:
        checks = FORMAT | SECTIONS
    if checks is not FORMAT and "Raises\n" not in docstring and raises_directly(value):
        yield f"{report['file']}:{report['file_line']}: {name}: no Raises section, but it raises"
    if MARK_FIRST.search(docstring.partition("References\n")[2]):
        yield f"{report['file']}:{report['file_line']}: {name}: a line of the references begins with a mark"
    for code, message in report["errors"]:
        if code in checks:
            yield f"{report['file']}:{report['file_line']}: {name}: {code} {message}"


def main() -> int:
    """Print all faults; the exit code says whether there are any."""
    all_modules = list(modules())
    exported = {
        id(getattr(module, name))
        for module in all_modules
        if hasattr(module, "__path__")
        for name in getattr(module, "__all__", ())
    }
    members = [member for module in all_modules for member in public_members(module)]
    faults = [
        fault
        for name, value, is_method in members
        for fault in errors(name, value, id(value) in exported and not is_method and not is_protocol(value))
    ]
    print("\n".join([*faults, f"docstrings: {len(members)} checked, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
