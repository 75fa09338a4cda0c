"""What attacks may do, changed in several attacks at once; attacks are given as their JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ALLOWED = ("radius", "norm", "scope", "subspace")
"""Settings that say which perturbations an attack may use."""

Json = dict[str, Any]


def _holder(attack: Json, name: str) -> Json | None:
    """Return the dict that holds the setting: the attack's threat, the attack itself, or none."""
    threat = attack.get("threat")
    if isinstance(threat, dict):
        return threat if name in threat else None
    return attack if name in attack else None


def shared_by_all(attacks: Sequence[Json]) -> Json:
    """Return the settings on which all attacks that have them agree, with their values."""
    found: Json = {}
    for name in ALLOWED:
        values = [holder[name] for attack in attacks if (holder := _holder(attack, name)) is not None]
        if values and all(value == values[0] for value in values):
            found[name] = values[0]
    return found


def set_allowed(attack: Json, name: str, value: Any) -> None:
    """Change one setting where the attack has it; unit steps keep their proportion to the radius.

    Parameters
    ----------
    attack : dict
        Changed in place.
    name : str
        One of `ALLOWED`.
    value : object
        What to set; the attack's own class checks it later.
    """
    holder = _holder(attack, name)
    if holder is None:
        return
    old, holder[name] = holder[name], value
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "radius" and attack.get("rule") == "unit" and real and old > 0:
        step = attack["step_size"]
        attack["step_size"] = value if step == old else step * (value / old)  # without a rounding in FGM


def follow(training: Json, evaluations: Sequence[Json], name: str, value: Any) -> None:
    """Change an attack in training, and with it the evaluations that allow the same perturbations.

    Parameters
    ----------
    training : dict
        Attack in training, changed in place.
    evaluations : sequence of dict
        Attacks, changed in place where threat or radius are those of `training` before the change.
    name : str
        One of `ALLOWED`.
    value : object
        What to set.
    """
    same = [attack for attack in evaluations if _allows_the_same(training, attack)]
    for attack in (training, *same):
        set_allowed(attack, name, value)


def _allows_the_same(one: Json, other: Json) -> bool:
    if isinstance(one.get("threat"), dict) and isinstance(other.get("threat"), dict):
        return bool(one["threat"] == other["threat"])
    radii = [(_holder(attack, "radius") or {}).get("radius") for attack in (one, other)]
    return radii[0] is not None and radii[0] == radii[1]
