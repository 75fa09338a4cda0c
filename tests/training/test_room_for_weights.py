"""Initial weights and samples beyond memory: refused by their sizes before anything is drawn."""

import math

import numpy as np
import pytest
from training_cases import CASES, settings

from featsim import machine
from featsim.data import (
    GramPatchSpec,
    GramSignalNoiseSpec,
    MarginMixtureSpec,
    PatchDataSpec,
    SeparatedSphereSpec,
    SignalNoiseSpec,
    SparseCodingSpec,
    SphereSliceSpec,
)
from featsim.machine import TooLargeError, check_room
from featsim.models import PowerNetworkSpec, TwoLayerSpec
from featsim.training import Schedule, estimate_run, train

HUGE = 10**14  # a single number for each takes 800 TB, more than any machine has
DRAWN = [name for name, case in CASES.items() if hasattr(case[2], "width")]
LINES = [
    PatchDataSpec(dim=HUGE), PatchDataSpec(dim=HUGE, features="random"), SignalNoiseSpec(dim=HUGE),
    SparseCodingSpec(dim=HUGE, sparsity=2.0), SparseCodingSpec(dim=HUGE, sparsity=2.0, dictionary="identity"),
    MarginMixtureSpec(dim=HUGE), SeparatedSphereSpec(dim=HUGE), SphereSliceSpec(dim=HUGE),
]  # fmt: skip


def state(rng):
    return rng.bit_generator.state["state"]


@pytest.mark.parametrize("function", [train, estimate_run])
@pytest.mark.parametrize("name", DRAWN)
def test_a_width_beyond_memory_is_refused_before_anything_is_drawn(name, function):
    given = settings(name)
    given["model"] = given["model"].replace(width=HUGE)
    before = state(given["rng"])
    with pytest.raises(
        TooLargeError, match=rf"initial weights must fit into memory.* width {HUGE:,}, .*use a smaller width"
    ):
        function(**given)
    assert state(given["rng"]) == before


@pytest.mark.parametrize("spec", LINES, ids=lambda spec: f"{spec.kind}")
def test_a_dimension_beyond_memory_is_refused_before_anything_is_drawn(spec, rng):
    before = state(rng)
    with pytest.raises(TooLargeError, match=rf"must fit into memory.* dim {HUGE:,}.* use a smaller .*dim"):
        spec.sample(4, rng)
    assert state(rng) == before


@pytest.mark.parametrize("dim", [1e15, math.inf])
@pytest.mark.parametrize(
    ("spec", "model"), [(GramPatchSpec, TwoLayerSpec), (GramSignalNoiseSpec, PowerNetworkSpec)]
)
def test_coordinates_for_too_many_filters_are_refused(spec, model, dim, rng):
    n_filters = HUGE * (4 if model is TwoLayerSpec else 1)  # per class
    match = rf"samples must .* filters {n_filters:,} .*smaller n_samples or width"
    with pytest.raises(TooLargeError, match=match):
        spec(dim=dim).sample_for(model(width=HUGE), 4, rng)


def test_filters_beyond_memory_in_few_coordinates_are_refused(rng):
    spec, model = GramPatchSpec(dim=60.0), TwoLayerSpec(width=HUGE)
    data = spec.sample_for(model, 4, rng)
    with pytest.raises(TooLargeError, match=rf"initial weights .* filters {4 * HUGE:,}, coordinates 60"):
        train(model, data, schedule=Schedule(n_steps=1), rng=rng)


def test_minibatches_beyond_memory_are_refused_before_any_is_drawn(rng):
    before = state(rng)
    with pytest.raises(
        TooLargeError, match=rf"minibatches .* n_steps {HUGE:,}, batch_size 4 .*smaller n_steps"
    ):
        Schedule(n_steps=HUGE, batch_size=4).draw_batches(6, rng)
    assert state(rng) == before


def test_weights_that_are_given_are_not_counted(monkeypatch):
    given = settings("patches")
    weights = np.zeros((3, 2, 8))
    monkeypatch.setattr(machine, "available_memory", lambda: pytest.fail("asked for nothing"))
    assert train(**given, initial_weights=weights).status == "completed"


def test_room_is_refused_by_what_is_there(monkeypatch):
    """Twice the array: it is scaled into a second one."""
    sizes = {"width": 1 << 20, "dim": 2}
    for available in (1 << 25, None):
        monkeypatch.setattr(machine, "available_memory", lambda value=available: value)
        check_room("initial weights", **sizes)
    monkeypatch.setattr(machine, "available_memory", lambda: (1 << 25) - 1)
    with pytest.raises(TooLargeError) as caught:
        check_room("initial weights", **sizes)
    assert str(caught.value) == (
        "the initial weights must fit into memory, where 34 MB are available, but with width 1,048,576, "
        "dim 2 they take 17 MB, twice while they are drawn; use a smaller width"
    )
    monkeypatch.setattr(machine, "available_memory", lambda: 0)
    check_room("initial weights", width=1000, dim=1000)  # so small that nobody asks
