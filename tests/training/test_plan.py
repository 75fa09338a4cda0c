"""Sizes of a run before it starts: exact for the trace, refused where they do not fit."""

import numpy as np
import pytest
from training_cases import CASES, settings

from featsim.machine import TooLargeError
from featsim.traces import load_trace
from featsim.training import Recording, plan, train
from featsim.training.patch_stepper import PatchStepper
from featsim.training.plan import Plan
from featsim.training.preparation import prepare_run

RECORDINGS = [
    Recording(every=5, weights_at=(0, 3, 12)),
    Recording(at=(2, 7)),
    Recording(at=(), weights_at=(1,)),
]


def planned(name, recording, n_steps=12):
    given = {"recording": recording, "initial_weights": None, "batches": None, "reduction": "auto"}
    return Plan.of(*prepare_run(**{**settings(name, n_steps), **given}))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("recording", RECORDINGS)
def test_the_size_of_records_and_weights_is_known_to_the_byte(name, recording):
    """Final arrays beside the weights, such as a comparator, are not counted."""
    trace = train(**settings(name), recording=recording)
    expected = sum(
        array.nbytes
        for key, array in trace.arrays.items()
        if trace.axes[key][:1] in (("step",), ("weight_step",)) or key == "final_weights"
    )
    found = planned(name, recording)
    assert found.trace_bytes == expected + 8  # the step of the final weights is not stored
    assert found.footprint.work > 0


def test_large_tables_count_where_they_are_asked_for():
    tables = planned("patches", Recording(quantities=("robust_table",)))
    assert tables.record_bytes == 8 * (1 + 3 * 2 * 3)


def test_a_stretch_ends_before_its_records_are_too_large():
    found = planned("patches", Recording(at=(0, 1, 2, 9), weights_at=(4, 5, 6)))
    one = found.record_bytes + found.footprint.per_record
    assert found.fits(0, 12, 2 * one) == 2
    assert found.fits(3, 12, 2 * found.kept_bytes) == 6
    assert found.fits(3, 12, 10**9) == 12
    assert found.fits(1, 12, 1) == 2  # one step at least


def never(*_):
    pytest.fail("work was done before the error")


@pytest.fixture
def no_work(monkeypatch):
    for name in ("advance", "observe"):
        monkeypatch.setattr(PatchStepper, name, never)


def test_a_trace_beyond_memory_is_refused_with_the_ways_out(no_work, monkeypatch):
    size = planned("patches", Recording(), 5000)
    monkeypatch.setattr(plan, "available_memory", lambda: size.memory_bytes - 1)
    with pytest.raises(
        TooLargeError, match=r"takes .*: .* 5,001 records of .* for .*stream it to disk with out="
    ):
        train(**settings("patches", 5000), recording=Recording())
    monkeypatch.setattr(plan, "available_memory", lambda: size.footprint.work)
    with pytest.raises(TooLargeError, match="use fewer samples or a smaller network"):
        train(**settings("patches"), recording=Recording(at=()))


def test_what_fits_or_is_unknown_is_not_refused(monkeypatch):
    size = planned("patches", Recording())
    for available in (size.memory_bytes, None):
        monkeypatch.setattr(plan, "available_memory", lambda value=available: value)
        assert train(**settings("patches"), recording=Recording()).status == "completed"


def test_a_streamed_run_needs_little_memory_and_its_disk(no_work, monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "BUFFER_BYTES", 1000)
    many = 10**5
    long = {**settings("patches", n_steps=many), "recording": Recording()}
    size = Plan.of(*prepare_run(**long, initial_weights=None, batches=None, reduction="auto"))
    assert size.trace_bytes > 100 * many
    monkeypatch.setattr(plan, "available_memory", lambda: size.footprint.work + 10_000)
    monkeypatch.setattr(plan, "free_disk", lambda path: 1.5 * size.trace_bytes)
    long = {**settings("patches", n_steps=many), "recording": Recording()}
    with pytest.raises(OSError, match=r"has .* left, .*, twice while .* a folder as out=") as caught:
        train(**long, out=tmp_path / "run.npz")
    assert caught.value.filename == str(tmp_path / "run.run") and not any(tmp_path.iterdir())


def test_a_folder_needs_its_disk_once(monkeypatch, tmp_path):
    size = planned("patches", Recording())
    monkeypatch.setattr(plan, "free_disk", lambda path: 1.1 * (size.data_bytes + size.trace_bytes))
    trace = train(**settings("patches"), recording=Recording(), out=tmp_path / "run")
    np.testing.assert_array_equal(load_trace(tmp_path / "run").steps, trace.steps)
    with pytest.raises(OSError, match="twice while"):
        train(**settings("patches"), recording=Recording(), out=tmp_path / "other.npz")
    monkeypatch.setattr(plan, "free_disk", lambda path: None)
    assert train(**settings("patches"), recording=Recording(), out=tmp_path / "b.npz").status == "completed"


@pytest.mark.parametrize(
    "recording", [Recording(), Recording(every=7), Recording(n_log=20), Recording(at=(3, 9))]
)
@pytest.mark.parametrize("n_steps", [9, 14, 1000])
def test_records_are_counted_without_listing_them(recording, n_steps):
    listed = len(recording.steps(n_steps))
    assert listed <= recording.count(n_steps) <= listed + (20 if recording.n_log else 1)


def test_more_records_than_can_be_listed_are_refused_at_once(no_work):
    """The steps of a million million records would take terabytes before anything else did."""
    with pytest.raises(TooLargeError, match=r"list of recorded steps.* record less, with Recording"):
        train(**settings("patches", 10**12))
