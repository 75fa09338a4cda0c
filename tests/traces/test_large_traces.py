"""Traces beyond a size stay on disk when they are saved, read and joined; here that size is nearly zero."""

import mmap
import os
import tracemalloc

import numpy as np
import pytest
from trace_records import AXES, SPEC, record

from featsim.sweeps import map_runs
from featsim.traces import RunFolder, Trace, TraceError, TraceKeyError, files, load_trace, npz, run_reader
from featsim.traces import trace as trace_module

FINAL = {"final_weights": np.full((3, 4, 2), 0.5)}


@pytest.fixture
def mapped(monkeypatch):
    """Everything is large."""
    monkeypatch.setattr(run_reader, "MAPPED_BYTES", 0)
    monkeypatch.setattr(trace_module, "MAPPED_BYTES", 0)
    monkeypatch.setattr("featsim.traces.npz._SMALL", 0)


def run(path, n_chunks=4, finished=True):
    folder = RunFolder.create(
        path, SPEC, AXES, {"X": np.arange(3.0)}, meta={"a": 1}, versions={"featsim": "0"}
    )
    for first in range(0, 15 * n_chunks, 15):
        folder.append(record(first, first + 15))
    if finished:
        folder.seal("completed", "as planned", FINAL)
    folder.close()
    return folder


def is_on_disk(array):
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


def test_saving_by_parts_gives_the_same_bytes(tmp_path, monkeypatch, mapped):
    folder = run(tmp_path / "run")
    by_parts = folder.save(tmp_path / "new" / "a.npz").read_bytes()
    monkeypatch.undo()
    whole = folder.read()
    assert whole.save(tmp_path / "b.npz").read_bytes() == by_parts
    assert folder.save(tmp_path / "c.npz").read_bytes() == by_parts


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_is_read_from_disk_with_the_same_values(tmp_path, monkeypatch, same, mapped, finished):
    folder = run(tmp_path / "run", finished=finished)
    files = sorted(os.listdir(tmp_path / "run"))
    lazy = load_trace(tmp_path / "run")
    assert sorted(os.listdir(tmp_path / "run")) == files  # the joined file has no name any more
    assert is_on_disk(lazy["robust_coef"]) and not lazy["robust_coef"].flags.writeable
    monkeypatch.undo()
    same(lazy, folder.read())
    assert not is_on_disk(folder.read()["robust_coef"])


def test_a_file_is_read_from_disk_even_after_it_is_gone(tmp_path, same, monkeypatch, mapped):
    path = run(tmp_path / "run").save(tmp_path / "a.npz")
    lazy = load_trace(path)
    path.unlink()
    monkeypatch.undo()
    same(lazy, RunFolder.open(tmp_path / "run").read())
    part = lazy.select("robust_coef", steps=slice(3, 9))
    np.testing.assert_array_equal(part["robust_coef"], record(3, 9)["robust_coef"])


def test_damage_is_found_though_the_arrays_stay_on_disk(tmp_path, mapped):
    path = run(tmp_path / "run").save(tmp_path / "a.npz")
    whole = bytearray(path.read_bytes())
    place = whole.index(record(0, 60)["robust_coef"].tobytes()) + 1001
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(TraceError, match="CRC"):
        load_trace(path)
    chunk = tmp_path / "run" / "chunk-000002.npz"
    whole = bytearray(chunk.read_bytes())
    whole[whole.index(record(15, 30)["robust_coef"].tobytes()) + 11] ^= 1
    chunk.write_bytes(whole)
    with pytest.raises(TraceError, match="chunk-000002"):
        load_trace(tmp_path / "run")


def test_parts_by_name(tmp_path, mapped, monkeypatch):
    folder = run(tmp_path / "run")
    path = folder.save(tmp_path / "a.npz")
    for source in (tmp_path / "run", path):
        for _ in range(2):
            found = load_trace(source, ["clean_loss"])
            np.testing.assert_array_equal(found["clean_loss"], record(0, 60)["clean_loss"])
            assert set(found) == {"steps", "clean_loss"} == set(load_trace(source, "clean_loss"))
            with pytest.raises(TraceKeyError, match="no 'nothing'"):
                load_trace(source, ["nothing"])
            monkeypatch.undo()


def load_large(path):
    """Run in another process, which later tests may use: everything is large there for this once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_reader, "MAPPED_BYTES", 0)
        patched.setattr(trace_module, "MAPPED_BYTES", 0)
        patched.setattr(npz, "_SMALL", 0)
        found = load_trace(path)
    assert is_on_disk(found["robust_coef"])
    return found


def test_what_another_process_read_comes_back_though_its_file_has_no_name(tmp_path, same):
    folders = [run(tmp_path / name) for name in ("a", "b")]
    for folder, found in zip(folders, map_runs(load_large, [f.path for f in folders], jobs=2), strict=True):
        same(found, folder.read())


def test_what_a_killed_reader_left_goes_with_the_next_writer(tmp_path):
    for end in ("open", "remove"):
        folder = run(tmp_path / end)
        left = files._temporary(folder.path / "joined")
        left.mkdir()
        (left / "trace.npz").write_bytes(b"half of it")
        if end == "open":
            RunFolder.open(folder.path, write=True).close()
            assert not left.exists()
        else:
            folder.remove()
            assert not folder.path.exists()


def full(*_, **__):
    raise OSError(28, "No space left on device", "x")


def test_without_room_to_join_on_disk_it_is_joined_in_memory_or_refused(tmp_path, monkeypatch, same, mapped):
    run(tmp_path / "run")
    monkeypatch.setattr(Trace, "save", full)
    found = load_trace(tmp_path / "run")
    assert not is_on_disk(found["robust_coef"])
    monkeypatch.setattr(run_reader, "available_memory", lambda: 100)
    with pytest.raises(TraceError, match=r"no room to join them on disk \(No space left on device\).*names="):
        load_trace(tmp_path / "run")


def test_saving_and_reading_take_one_chunk_of_memory(tmp_path, mapped):
    folder = RunFolder.create(
        tmp_path / "run", {}, {"rest_norm": ("step", "class", "neuron")}, {}, versions={}
    )
    for i in range(20):
        folder.append({"steps": np.arange(100 * i, 100 * i + 100), "rest_norm": np.full((100, 10, 50), i)})
    folder.seal("completed")
    size = 20 * 100 * 500 * 8
    tracemalloc.start()
    found = load_trace(folder.save(tmp_path / "a.npz"))
    joined = folder.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["rest_norm"].nbytes == joined["rest_norm"].nbytes == size
    assert peak < 0.3 * size  # a chunk is 0.05
    folder.close()
