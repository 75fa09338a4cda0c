"""One writer per run folder, in one process, in threads and in processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from featsim.traces import RunFolder, TraceError, lock
from featsim.traces.lock import WriterLock

AXES = {"rest_norm": ("step", "class", "neuron")}
INPUTS = {"X": np.arange(6.0)}


def create(path):
    return RunFolder.create(path, {"a": 1}, AXES, INPUTS, versions={"featsim": "0"})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("set_only", [False, True])
def test_two_writers_in_one_process(tmp_path, monkeypatch, set_only):
    if set_only:  # a file system whose locks belong to the process
        monkeypatch.setattr(lock, "_locked_file", lambda path: os.open(path, os.O_RDWR | os.O_CREAT))
    first = create(tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    half = tmp_path / "run" / ".chunk-000001.npz.1-ab.tmp"
    half.write_bytes(b"being written")
    for path in (tmp_path / "run", tmp_path / "link"):
        for again in (lambda path=path: create(path), lambda path=path: RunFolder.open(path, write=True)):
            with pytest.raises(TraceError, match="is being written by this very process; close that run"):
                again()
    with pytest.raises(TraceError, match="being written"):
        RunFolder.open(tmp_path / "run").remove()
    assert half.exists()  # nobody else's files were swept away
    # The refused ones did not free the folder.
    with pytest.raises(TraceError, match="being written"):
        create(tmp_path / "run")
    first.append({"steps": [0], "rest_norm": np.zeros((1, 2, 3))})
    first.close()
    create(tmp_path / "run").close()


def test_a_lock_of_the_system_alone_tells_writers_apart(tmp_path, monkeypatch):
    first = create(tmp_path)
    monkeypatch.setattr(lock, "_HELD", set())  # as another process would see it
    for _ in range(2):  # a refused writer that lets go frees nothing
        with pytest.raises(TraceError, match="is being written by another process"):
            create(tmp_path)
    first.close()
    create(tmp_path).close()


def test_threads_that_create_the_same_run(tmp_path):
    n = 8
    for attempt in range(4):
        folder, barrier, end = tmp_path / str(attempt), threading.Barrier(n), threading.Event()
        winners, refused, other = [], [], []

        def work(folder=folder, barrier=barrier, end=end, found=(winners, refused, other)):
            barrier.wait()
            try:
                run = create(folder)
            except TraceError as error:
                found[1].append(str(error))
            except BaseException as error:
                found[2].append(error)
            else:
                found[0].append(run)
                end.wait(10)
                run.close()

        threads = [threading.Thread(target=work) for _ in range(n)]
        for thread in threads:
            thread.start()
        while len(winners) + len(refused) + len(other) < n:
            end.wait(0.001)
        end.set()
        for thread in threads:
            thread.join()
        assert (len(winners), len(refused), other) == (1, n - 1, [])
        assert all("being written" in message for message in refused)
        assert names(folder) == ["inputs.npz", "manifest.json", "writer.lock"]


MANY = """
import sys, time
import numpy as np
from featsim.traces import RunFolder, TraceError
won = refused = 0
print("ready", flush=True)
sys.stdin.readline()
while won < 5:
    time.sleep(0.002)
    try:
        run = RunFolder.create(sys.argv[1], {}, {"rest_norm": ("step", "class", "neuron")}, {"X": np.ones(3)},
                               versions={})
    except TraceError as error:
        assert "being written" in str(error), error
        refused += 1
        continue
    won += 1
    assert run.status == "running" and run.read().n_records == 0
    run.append({"steps": [0], "rest_norm": np.ones((1, 2, 3))})
    assert run.read().n_records == 1
    run.remove()
print(won, refused)
"""


def test_processes_that_create_and_remove_the_same_run(tmp_path):
    command = [sys.executable, "-c", MANY, str(tmp_path / "run")]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    counts = []
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        counts.append([int(word) for word in out.split()])
    assert [won for won, _ in counts] == [5, 5, 5]
    assert sum(refused for _, refused in counts) > 0
    create(tmp_path / "run").remove()
    assert not (tmp_path / "run").exists()


def test_a_run_is_locked_until_its_last_file_is_gone(tmp_path, monkeypatch):
    run = create(tmp_path / "run")
    seen = []
    unlink = type(tmp_path).unlink

    def watched(path, missing_ok=False):
        if path.name != "writer.lock":
            with pytest.raises(TraceError, match="being written"):
                WriterLock(tmp_path / "run")
            seen.append(path.name)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(type(tmp_path), "unlink", watched)
    run.remove()
    assert seen[-2:] == ["inputs.npz", "manifest.json"]
    assert not (tmp_path / "run").exists()


def test_a_refused_folder_is_left_as_it_was(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(TraceError, match="is not empty"):
        create(tmp_path)
    assert names(tmp_path) == ["thesis.tex"]
    (tmp_path / "thesis.tex").unlink()
    create(tmp_path).remove()
