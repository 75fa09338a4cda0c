"""Runs on disk: kill, resume, full disk, damage, readers beside a writer."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from trace_records import AXES, SPEC, record

from featsim.traces import RunFolder, Trace, TraceError, load_trace

INPUTS = {"X": np.arange(12.0).reshape(2, 3, 2), "batches": np.array([[0, 1], [1, 0]])}
META = {"competing": ["robust_coef", "nonrobust_coef"], "seed": 3}
FINAL = {"final_weights": np.full((3, 4, 2), 0.5)}


def start(path, **changes):
    arguments = {"spec": SPEC, "axes": AXES, "inputs": INPUTS, "meta": META, "versions": {"featsim": "0"}}
    return RunFolder.create(path, **(arguments | changes))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_run(tmp_path, trace, same):
    run = start(tmp_path / "run")
    assert (run.status, run.last_checkpoint(), run.read().n_records) == ("running", None, 0)
    for first in range(0, 60, 15):
        run.append(record(first, first + 15))
        same(run.read(), partial(record(0, first + 15)))
        run.checkpoint(first + 15, {"weights": np.full(3, first)}, {"rng": {"state": 2**127 + first}})
    assert run.last_checkpoint().info == {"rng": {"state": 2**127 + 45}}
    finished = run.finish("completed", "as planned", FINAL, path=tmp_path / "done.npz")
    same(finished, trace)
    for path in (tmp_path / "run", tmp_path / "done.npz"):
        same(load_trace(path), trace)


def partial(arrays):
    return Trace(arrays, AXES, spec=SPEC, status="running", meta=META, versions={"featsim": "0"})


def test_what_a_run_keeps(tmp_path):
    start(tmp_path)
    run = RunFolder.open(tmp_path)
    assert (run.spec, run.manifest["meta"], run.axes["steps"]) == (SPEC, META, ("step",))
    assert {name: array.tolist() for name, array in run.inputs.items()} == {
        name: array.tolist() for name, array in INPUTS.items()
    }
    assert run.inputs["batches"].dtype == INPUTS["batches"].dtype
    assert "running" in repr(run)
    start(tmp_path / "other", versions=None).close()
    assert RunFolder.open(tmp_path / "other").manifest["versions"]["numpy"] == np.__version__


def interrupted_run(path, covered, loose):
    """A run killed after `loose` chunks of 10 beyond `covered` chunks before its checkpoint."""
    run = start(path)
    for i in range(covered + loose):
        run.append(record(10 * i, 10 * i + 10))
        if i + 1 == covered:
            run.checkpoint(10 * covered, {"weights": np.arange(5.0)})
    run.close()


@pytest.mark.parametrize(("covered", "loose"), [(0, 0), (0, 2), (1, 0), (2, 1), (3, 3)])
def test_resume_drops_what_lies_beyond_the_checkpoint(tmp_path, trace, same, covered, loose):
    interrupted_run(tmp_path / "run", covered, loose)
    leftovers = [
        ".chunk-000009.npz.77-0a1b2c3d.tmp",
        ".checkpoint.npz.77-00ff00ff.tmp",
        ".manifest.json.9-1.tmp",
    ]
    for name in leftovers:
        (tmp_path / "run" / name).write_bytes(b"half")
    seen = load_trace(tmp_path / "run")  # a reader takes all, and changes nothing
    assert seen.n_records == 10 * (covered + loose)
    assert set(leftovers) <= set(names(tmp_path / "run"))
    run = RunFolder.open(tmp_path / "run", write=True)
    assert not set(leftovers) & set(names(tmp_path / "run"))
    assert run.read().n_records == 10 * covered
    found = run.last_checkpoint()
    if covered:
        assert found.step == 10 * covered
        assert found.state["weights"].tolist() == [0, 1, 2, 3, 4]
        with pytest.raises(TraceError, match=f"steps must go on after {10 * covered - 1}, got 0"):
            run.append(record(0, 60))
    else:
        assert found is None
    run.append(record(10 * covered, 60))
    same(run.finish("completed", "as planned", FINAL), trace)
    assert names(tmp_path / "run").count(f"chunk-{covered + 2:06d}.npz") == 0


def test_an_interrupted_run_goes_on_and_a_finished_one_stays(tmp_path, same):
    run = start(tmp_path)
    run.append(record(0, 20))
    run.checkpoint(20, {})
    assert run.finish("interrupted", "Ctrl-C", FINAL).status == "interrupted"
    stopped = load_trace(tmp_path)
    assert (stopped.status, stopped.message) == ("interrupted", "Ctrl-C")
    assert "final_weights" in stopped
    with pytest.raises(TraceError, match="open it with write=True"):
        run.append(record(20, 30))
    run = RunFolder.open(tmp_path, write=True)
    assert (run.status, load_trace(tmp_path).status) == ("running", "running")
    assert "final_weights" not in load_trace(tmp_path)
    run.append(record(20, 40))
    done = run.finish("diverged", "nan at step 40", FINAL)
    run = start(tmp_path)  # the same call as before finds the result
    assert run.status == "diverged"
    same(run.read(), done)
    run.close()


def test_killed_between_the_last_file_and_the_status(tmp_path, monkeypatch):
    run = start(tmp_path)
    run.append(record(0, 20))
    monkeypatch.setattr(run, "_set_status", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run.finish("completed", "", FINAL)
    run.close()
    assert load_trace(tmp_path).status == "running"
    run = RunFolder.open(tmp_path, write=True)
    assert "final.npz" not in names(tmp_path)
    run.close()


def test_killed_while_starting(tmp_path):
    start(tmp_path).close()
    (tmp_path / "inputs.npz").unlink()
    with pytest.raises(TraceError, match=r"inputs\.npz does not exist"):
        RunFolder.open(tmp_path).inputs  # noqa: B018
    run = start(tmp_path)
    np.testing.assert_array_equal(run.inputs["X"], INPUTS["X"])
    run.close()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".manifest.json.7-abc.tmp").write_text("{")
    start(tmp_path / "new").close()
    assert names(tmp_path / "new") == ["inputs.npz", "manifest.json", "writer.lock"]


def test_another_run_is_refused(tmp_path):
    start(tmp_path).close()
    before = (tmp_path / "manifest.json").read_bytes()
    changed = {**SPEC, "schedule": {"step_size": 0.2, "n_steps": 60}}
    with pytest.raises(TraceError, match=r"other settings: schedule\.step_size is 0\.1 there, and 0\.2 now"):
        start(tmp_path, spec=changed)
    with pytest.raises(TraceError, match=r"starts\[1\] is 'random' there, and 'filters' now"):
        start(tmp_path, spec={**SPEC, "starts": ["clean", "filters"]})
    with pytest.raises(TraceError, match="extra is not set there, and 1 now"):
        start(tmp_path, spec={**SPEC, "extra": 1})
    with pytest.raises(TraceError, match="kind is 'test' there, and not set now"):
        start(tmp_path, spec={key: SPEC[key] for key in ("schedule", "starts")})
    with pytest.raises(TraceError, match=r"schedule\.n_steps is 60 there, and 60\.0 now"):
        start(tmp_path, spec={**SPEC, "schedule": {"step_size": 0.1, "n_steps": 60.0}})
    with pytest.raises(TraceError, match="other input arrays: X differs"):
        start(tmp_path, inputs=INPUTS | {"X": INPUTS["X"] + 1e-12})
    with pytest.raises(TraceError, match="other input arrays: W0 differs"):
        start(tmp_path, inputs=INPUTS | {"W0": np.zeros(2)})
    with pytest.raises(TraceError, match=r"axes\.margin is not set there"):
        start(tmp_path, axes=AXES | {"margin": ("step",)})
    assert (tmp_path / "manifest.json").read_bytes() == before
    run = RunFolder.open(tmp_path)
    run.check_same_run(SPEC)
    with pytest.raises(TraceError, match=r"step_size is 0\.1 there, and 0\.2 now"):
        run.check_same_run(changed)


def test_unusable_folders_are_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    with pytest.raises(TraceError, match="is not empty and holds no featsim run"):
        start(tmp_path / "full")
    assert names(tmp_path / "full") == ["thesis.tex"]
    with pytest.raises(OSError, match=r"cannot write in the output folder.*thesis\.tex"):
        start(tmp_path / "full" / "thesis.tex")
    for path, message in [
        ("full", "is not a featsim run folder: it has no manifest"),
        ("absent", "absent does not exist"),
        ("full/thesis.tex", "is not a folder"),
    ]:
        for write in (False, True):
            with pytest.raises(TraceError, match=message):
                RunFolder.open(tmp_path / path, write=write)
    assert names(tmp_path) == ["full"]
    assert names(tmp_path / "full") == ["thesis.tex"]


def test_chunks_must_fit(tmp_path):
    run = start(tmp_path)
    run.append(record(0, 10))
    good = record(10, 20)
    for change, message in [
        ({"steps": good["steps"] - 1}, "steps must go on after 9, got 9"),
        ({"clean_loss": good["clean_loss"][:-1]}, "clean_loss has 9 entries along 'step'"),
        ({"final_weights": FINAL["final_weights"]}, "no record axis in final_weights"),
        ({"margin": good["clean_loss"]}, "no record axis in margin"),
        ({"clean_loss": np.array([None] * 10)}, "must hold numbers"),
    ]:
        with pytest.raises(TraceError, match=message):
            run.append(good | change)
    with pytest.raises(TraceError, match="lacks clean_loss"):
        run.append({name: good[name] for name in good if name != "clean_loss"})
    run.append(record(10, 10))  # nothing to write
    assert [name for name in names(tmp_path) if "chunk" in name] == ["chunk-000001.npz"]
    run.append(good)
    run.append({**record(20, 30), "clean_loss": np.zeros(10, np.float32)})
    with pytest.raises(TraceError, match="disagree on the type or shape of clean_loss"):
        run.read()
    run.close()


def test_the_end_must_fit(tmp_path):
    run = start(tmp_path)
    run.append(record(0, 10))
    with pytest.raises(TraceError, match="status must be one of completed, diverged, interrupted"):
        run.finish("running")
    with pytest.raises(TraceError, match="clean_loss is recorded along the run"):
        run.finish("completed", "", {"clean_loss": np.zeros(10)})
    with pytest.raises(TraceError, match="axes must name the axes of extra"):
        run.finish("completed", "", {"extra": np.zeros(10)})
    assert load_trace(tmp_path).status == "running"
    run.finish("completed", "", FINAL)


def test_damaged_parts_are_named(tmp_path):
    interrupted_run(tmp_path, 3, 0)
    whole = {name: (tmp_path / name).read_bytes() for name in names(tmp_path) if name != "writer.lock"}

    def refuses(name, content, message, use):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TraceError, match=message) as caught:
            use()
        assert name in str(caught.value)
        (tmp_path / name).write_bytes(whole[name])

    def resume():
        RunFolder.open(tmp_path, write=True).close()

    for name, uses in {
        "chunk-000002.npz": [lambda: load_trace(tmp_path), resume],
        "checkpoint.npz": [lambda: RunFolder.open(tmp_path).last_checkpoint(), resume],
        "inputs.npz": [lambda: RunFolder.open(tmp_path).inputs],
    }.items():
        content = whole[name]
        middle = len(content) // 3
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        for use in uses:
            for cut in (0, 1, 50, len(content) // 2, len(content) - 1):
                refuses(name, content[:cut], "damaged|not a featsim", use)
            refuses(name, flipped, "damaged", use)
            refuses(
                name,
                whole["inputs.npz" if name != "inputs.npz" else "checkpoint.npz"],
                "it is a featsim",
                use,
            )
    resume()  # all in place again
    (tmp_path / "chunk-000002.npz").unlink()
    for use in (lambda: load_trace(tmp_path), resume):
        with pytest.raises(TraceError, match=r"chunk-000002\.npz is missing"):
            use()
    (tmp_path / "chunk-000003.npz").unlink()
    with pytest.raises(TraceError, match=r"chunk-000002\.npz is missing, but the checkpoint covers it"):
        resume()


def test_a_damaged_chunk_beyond_the_checkpoint_is_made_again(tmp_path):
    interrupted_run(tmp_path, 1, 1)
    (tmp_path / "chunk-000002.npz").write_bytes(b"PK")
    with pytest.raises(TraceError, match="chunk-000002"):
        load_trace(tmp_path)
    RunFolder.open(tmp_path, write=True).close()
    assert load_trace(tmp_path).n_records == 10


def test_unreadable_parts_are_named(tmp_path):
    interrupted_run(tmp_path, 1, 0)
    for name, use in {
        "chunk-000001.npz": lambda: load_trace(tmp_path),
        "manifest.json": lambda: RunFolder.open(tmp_path),
    }.items():
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        with pytest.raises(TraceError, match=f"{name} cannot be read: Is a directory"):
            use()


def test_a_chunk_of_another_run_is_refused(tmp_path):
    interrupted_run(tmp_path / "a", 1, 0)
    axes = {"margin": ("step",)}
    with_margin = start(tmp_path / "b", axes=axes)
    with_margin.append({"steps": [0], "margin": [1.0]})
    (tmp_path / "a" / "chunk-000002.npz").write_bytes((tmp_path / "b" / "chunk-000001.npz").read_bytes())
    with pytest.raises(TraceError, match="holds margin, which the manifest does not list"):
        load_trace(tmp_path / "a")


def test_repeated_chunks_are_refused(tmp_path):
    interrupted_run(tmp_path, 2, 0)
    (tmp_path / "chunk-000003.npz").write_bytes((tmp_path / "chunk-000002.npz").read_bytes())
    with pytest.raises(TraceError, match="their steps repeat or go back"):
        load_trace(tmp_path)


def test_inputs_of_another_run_are_refused(tmp_path):
    start(tmp_path / "a").close()
    start(tmp_path / "b", inputs={**INPUTS, "X": INPUTS["X"] + 1}).close()
    (tmp_path / "a" / "inputs.npz").write_bytes((tmp_path / "b" / "inputs.npz").read_bytes())
    with pytest.raises(TraceError, match="other input arrays: X differs"):
        RunFolder.open(tmp_path / "a").inputs  # noqa: B018


def test_every_truncation_of_the_manifest_is_refused(tmp_path):
    start(tmp_path).close()
    whole = (tmp_path / "manifest.json").read_bytes()
    for length in range(len(whole.rstrip())):
        (tmp_path / "manifest.json").write_bytes(whole[:length])
        with pytest.raises(TraceError, match=r"manifest\.json is damaged"):
            RunFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("spec", "schedule", "step_size"), 0.2, "was changed after the run started"),
        (("axes", "clean_loss"), ["step", "class"], "was changed after the run started"),
        (("inputs", "X", "sha256"), "0" * 64, "was changed after the run started"),
        (("meta", "seed"), 4, "does not match its checksum"),
        (("status",), "completed", "does not match its checksum"),
        (("checksum",), None, "does not match its checksum"),
        (("schema",), 99, "schema version 99; this featsim reads version 1"),
        (("featsim",), "trace", "is not the manifest of a featsim run"),
        (("spec",), [], "no usable 'spec'"),
        (("digest",), None, "no usable 'digest'"),
    ],
)
def test_a_tampered_manifest_is_refused(tmp_path, keys, value, message):
    start(tmp_path).close()
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    inner = manifest
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(manifest))
    for write in (False, True):
        with pytest.raises(TraceError, match=message):
            RunFolder.open(tmp_path, write=write)


@pytest.mark.parametrize("what", ["append", "checkpoint", "finish"])
def test_a_full_disk_keeps_what_was_written(tmp_path, monkeypatch, trace, same, what):
    run = start(tmp_path)
    run.append(record(0, 20))
    run.checkpoint(20, {"weights": np.ones(3)})
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    action = {
        "append": lambda: run.append(record(20, 60)),
        "checkpoint": lambda: run.checkpoint(40, {"weights": np.zeros(3)}),
        "finish": lambda: run.finish("completed", "", FINAL),
    }[what]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            action()
    assert str(tmp_path) in str(caught.value)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    # The trace with the records that found no room, without writing:
    kept = run.merge("interrupted", "disk full", FINAL, tail=record(20, 60))
    assert (kept.status, kept.n_records) == ("interrupted", 60)
    run.append(record(20, 60))  # room again: the run goes on
    same(run.finish("completed", "as planned", FINAL), trace)


def test_remove_deletes_only_the_run(tmp_path):
    interrupted_run(tmp_path / "a", 1, 1)
    interrupted_run(tmp_path / "b", 1, 1)
    (tmp_path / "b" / "notes.txt").write_text("mine")
    for name in ("a", "b"):
        RunFolder.open(tmp_path / name).remove()
    assert names(tmp_path) == ["b"]
    assert names(tmp_path / "b") == ["notes.txt"]


def test_merge_takes_the_size_of_its_result_and_little_more(tmp_path):
    import tracemalloc

    run = RunFolder.create(tmp_path, {}, {"rest_norm": ("step", "class", "neuron")}, {}, versions={})
    for i in range(20):
        run.append({"steps": np.arange(100 * i, 100 * i + 100), "rest_norm": np.full((100, 10, 50), i)})
    tracemalloc.start()
    trace = run.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = trace["rest_norm"].nbytes
    assert size == 20 * 100 * 500 * 8
    assert peak < 1.3 * size
    tracemalloc.start()
    trace.save(tmp_path / "t.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.3 * size
    run.close()


WRITER = """
import sys, numpy as np
from featsim.traces import RunFolder
run = RunFolder.create(sys.argv[1], {}, {"rest_norm": ("step", "class", "neuron")}, {}, versions={})
first = 0 if run.last_checkpoint() is None else run.last_checkpoint().step
print("ready", flush=True)
for i in range(first, int(sys.argv[2])):
    run.append({"steps": [i], "rest_norm": np.full((1, 20, 50), float(i))})
    if i % 3 == 2:
        run.checkpoint(i + 1, {"a": np.zeros(1000)})
run.finish("completed", "done")
"""


def writer(path, n_steps):
    command = [sys.executable, "-c", WRITER, str(path), str(n_steps)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def check_steps(trace):
    assert trace.steps.tolist() == list(range(trace.n_records))
    if trace.n_records:
        expected = np.broadcast_to(np.arange(trace.n_records)[:, None, None], (trace.n_records, 20, 50))
        np.testing.assert_array_equal(trace["rest_norm"], expected)


def test_reading_beside_a_writer_killing_it_and_going_on(tmp_path):
    process = writer(tmp_path, 100_000)
    counts = []
    try:
        with pytest.raises(TraceError, match="is being written by another process"):
            RunFolder.open(tmp_path, write=True)
        stop = time.monotonic() + 30
        while time.monotonic() < stop and len(set(counts)) < 8:
            trace = load_trace(tmp_path)
            assert trace.status == "running"
            check_steps(trace)
            counts.append(trace.n_records)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert counts == sorted(counts)
    assert len(set(counts)) >= 8
    left = load_trace(tmp_path)
    assert left.n_records >= counts[-1]
    check_steps(left)
    total = left.n_records + 7
    process = writer(tmp_path, total)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    done = load_trace(tmp_path)
    assert (done.status, done.n_records) == ("completed", total)
    check_steps(done)
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


def test_a_reader_looks_again_when_chunks_vanish(tmp_path, monkeypatch):
    from featsim.traces import run_reader

    interrupted_run(tmp_path, 1, 2)
    reader = RunFolder.open(tmp_path)
    real, calls = run_reader.merge_chunks, []

    def vanishing(*arguments, **names):
        calls.append(1)
        if len(calls) == 1:  # a writer comes back in the middle of the first attempt
            RunFolder.open(tmp_path, write=True).close()
            raise run_reader.MissingFileError("chunk-000003.npz does not exist")
        return real(*arguments, **names)

    monkeypatch.setattr(run_reader, "merge_chunks", vanishing)
    assert reader.read().n_records == 10
    assert len(calls) == 2


def test_a_chunk_replaced_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    from featsim.traces import merge

    interrupted_run(tmp_path, 0, 1)
    real = merge.read_npz

    def replacing(path, kind, names=None):
        result = real(path, kind, names)
        if names == ():  # after its header was read
            run = RunFolder.open(tmp_path, write=True)
            run.append(record(0, 7))
            run.close()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(merge, "read_npz", replacing)
        with pytest.raises(TraceError, match="was replaced while it was read"):
            merge.merge_chunks(tmp_path, RunFolder.open(tmp_path).axes)
    assert load_trace(tmp_path).n_records == 7
