"""JSON of specs: floats that are not finite, and texts that look like them."""

import dataclasses
import json
import math
from typing import Any, ClassVar

import pytest

from featsim.specs import Spec, spec_from_dict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Holder(Spec):
    """Holds anything."""

    kind: ClassVar[str] = "test-holder"

    value: Any


@pytest.mark.parametrize(
    "value", ["inf", "nan", "-inf", math.inf, -math.inf, ("inf", math.inf), {"a": math.inf, "b": "nan"}, 1.5]
)
def test_texts_and_floats_come_back_as_they_were(value):
    spec = Holder(value=value)
    back = spec_from_dict(json.loads(spec.to_json(), parse_constant=pytest.fail))
    assert back == spec and repr(back) == repr(spec)
    assert back.digest() == spec.digest()


def test_nan_comes_back():
    spec = Holder(value=math.nan)
    assert json.loads(spec.to_json())["value"] == {"float": "nan"}
    assert math.isnan(spec_from_dict(spec.to_dict()).value)


def test_a_text_is_told_from_a_float():
    assert Holder(value="inf").digest() != Holder(value=math.inf).digest()
    with pytest.raises(TypeError, match="must not look like an encoded float"):
        Holder(value={"float": "inf"}).to_dict()
    assert spec_from_dict(Holder(value={"float": "x"}).to_dict()).value == {"float": "x"}
