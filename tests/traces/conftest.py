"""Traces and runs that the tests of this room share."""

from __future__ import annotations

import numpy as np
import pytest
from trace_records import AXES, SPEC, record

from featsim.traces import Trace


@pytest.fixture
def arrays():
    return {**record(0, 60), "final_weights": np.full((3, 4, 2), 0.5)}


@pytest.fixture
def trace(arrays):
    return Trace(
        arrays,
        AXES,
        spec=SPEC,
        message="as planned",
        meta={"competing": ["robust_coef", "nonrobust_coef"], "seed": 3},
        versions={"featsim": "0"},
    )


@pytest.fixture
def same():
    """A function that asserts two traces equal, in every bit and every word."""

    def compare(one, other):
        assert list(one) == list(other)
        for name in one:
            assert one[name].dtype == other[name].dtype
            assert one[name].shape == other[name].shape
            assert one[name].tobytes() == other[name].tobytes()
        for name in ("axes", "spec", "status", "message", "meta", "versions"):
            assert getattr(one, name) == getattr(other, name)

    return compare
