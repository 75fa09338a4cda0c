"""Names of axes: which arrays have which, and what labels their entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from featsim.traces.files import TraceError
from featsim.traces.npz import check_name

COORDINATES = MappingProxyType(
    {"step": "steps", "weight_step": "weight_steps", "class": "classes", "neuron": "neurons"}
)
"""For an axis, the name of the array that labels its entries; without one they count from 0."""

RECORD_AXES = (("step",), ("weight_step",))
"""First axes along which a run grows."""

_PER_NEURON = ("step", "class", "neuron")
STANDARD_AXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{coordinate: (axis,) for axis, coordinate in COORDINATES.items()},
        **dict.fromkeys(("robust_coef", "nonrobust_coef", "rest_norm"), _PER_NEURON),
        **dict.fromkeys(("robust_table", "nonrobust_table"), (*_PER_NEURON, "feature")),
        **dict.fromkeys(("robust_logit", "nonrobust_logit", "nonrobust_share"), ("step", "class")),
        "weights": ("weight_step", "class", "neuron", "dim"),
        "final_weights": ("class", "neuron", "dim"),
    }
)
"""Axes of the names that every theory shares; a one-dimensional array has the axis "step"."""


def resolve_axes(names: Iterable[Any], axes: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Return the axes of each name, from `axes` or, failing that, `STANDARD_AXES`.

    Parameters
    ----------
    names : iterable of str
        Arrays.
    axes : mapping of str to tuple of str, or None
        Axes of those that are not standard.

    Returns
    -------
    dict of str to tuple of str
        Axis names of each array.

    Raises
    ------
    TraceError
        If a name has no axes, or they are not distinct words.
    """
    given = axes or {}
    resolved = {}
    for name in names:
        found = given.get(check_name(name), STANDARD_AXES.get(name))
        if found is None:
            raise TraceError(f"axes must name the axes of {name}, for example ('step', 'class')")
        words = (found,) if isinstance(found, str) else tuple(found)
        if len(set(words)) != len(words) or not all(isinstance(word, str) and word for word in words):
            raise TraceError(f"the axes of {name} must be distinct names, got {words!r}")
        resolved[name] = words
    return resolved
