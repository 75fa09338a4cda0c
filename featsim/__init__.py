"""featsim: feature-learning theories of adversarial training, simulated exactly.

Every public name below is loaded when it is first used, so that ``import featsim``
costs next to nothing and pulls in neither SciPy, Numba nor Matplotlib.
"""

from importlib import import_module
from typing import Any

from featsim._version import __version__

# Public name -> room that exports it. To publish a name, add it here.
_PUBLIC: dict[str, str] = {
    "version_report": "featsim.versions",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Load a public name from its room on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'featsim' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
