"""Specifications: frozen, keyword-only dataclasses that are written as JSON.

Every description of *what* to simulate (data, model, threat, attack, schedule,
scenario) is a :class:`Spec`. A spec checks itself when it is made, compares by
value, and goes to plain JSON and back, so that a result can carry the full
configuration that produced it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

_REGISTRY: dict[str, type[Spec]] = {}
_NON_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_FLOAT = "float"  # JSON has no infinities: such a float is written {"float": "inf"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Base of all specifications.

    A subclass is a frozen, keyword-only dataclass that sets the class attribute
    `kind`, the name under which it is written, and checks its fields in
    ``__post_init__``.
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("kind"):
            _REGISTRY[cls.kind] = cls

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON-ready data, its `kind` included.

        Returns
        -------
        dict
            Nested specs become dicts, tuples become lists, and non-finite
            floats become ``{"float": "inf"}`` and the like.
        """
        fields = {f.name: _encode(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"kind": self.kind, **fields}

    def to_json(self) -> str:
        """Return the spec as one line of canonical JSON."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def digest(self) -> str:
        """Return a SHA-256 fingerprint of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the named fields changed, checked again."""
        unknown = set(changes) - {f.name for f in dataclasses.fields(self)}
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no field {sorted(unknown)[0]!r}; "
                f"its fields are {', '.join(f.name for f in dataclasses.fields(self))}"
            )
        return dataclasses.replace(self, **changes)


def _encode(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_dict()
    if isinstance(value, Mapping):
        if is_encoded_float(value):
            raise TypeError(f"a spec field must not look like an encoded float, got {dict(value)!r}")
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {_FLOAT: "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")}
    raise TypeError(f"a spec field must be JSON data or a spec, got {type(value).__name__}")


def is_encoded_float(value: Any) -> bool:
    """Say whether JSON data stand for a float that is not finite."""
    return isinstance(value, Mapping) and value.keys() == {_FLOAT} and value[_FLOAT] in tuple(_NON_FINITE)


def decode_float(value: Any) -> Any:
    """Return the float that JSON data stand for where it is not finite, and other data as they are."""
    return _NON_FINITE[value[_FLOAT]] if is_encoded_float(value) else value


def _decode(value: Any) -> Any:
    if is_encoded_float(value):
        return decode_float(value)
    if isinstance(value, dict):
        if "kind" in value:
            return spec_from_dict(value)
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    return value


def with_defaults(data: Any) -> Any:
    """Return JSON data with the fields that a spec in them does not mention, at their defaults.

    What an older version wrote lacks the fields that came later, whose defaults are what it did.

    Parameters
    ----------
    data : JSON data
        From :meth:`Spec.to_dict`, or holding such data; of unknown kinds nothing is added.

    Returns
    -------
    JSON data
        A copy.
    """
    if isinstance(data, Mapping):
        found = {key: with_defaults(value) for key, value in data.items()}
        kind = data.get("kind")
        cls = _REGISTRY.get(kind) if isinstance(kind, str) else None
        for field in dataclasses.fields(cls) if cls else ():
            if field.default is not dataclasses.MISSING:
                found.setdefault(field.name, _encode(field.default))
        return found
    return [with_defaults(item) for item in data] if isinstance(data, (list, tuple)) else data


def spec_from_dict(data: Mapping[str, Any]) -> Any:
    """Rebuild a spec from what :meth:`Spec.to_dict` returned.

    Parameters
    ----------
    data : mapping
        JSON data with the key ``"kind"``.

    Returns
    -------
    Spec
        An instance of the class registered under that kind.

    Raises
    ------
    ValueError
        If the kind is missing or unknown, or a field is not one of the class.
    """
    kind = data.get("kind")
    if kind not in _REGISTRY:
        raise ValueError(
            f"`kind` must be one of {', '.join(sorted(_REGISTRY))}, got {kind!r}; "
            "was this written by another version of featsim?"
        )
    cls = _REGISTRY[kind]
    names = {f.name for f in dataclasses.fields(cls)}
    fields = {key: _decode(item) for key, item in data.items() if key != "kind"}
    unknown = set(fields) - names
    if unknown:
        raise ValueError(
            f"{kind} has no field {sorted(unknown)[0]!r}; its fields are {', '.join(sorted(names))}"
        )
    return cls(**fields)
