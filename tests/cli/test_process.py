"""The command as a process of its own: signals, pipes, start-up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from featsim import load_trace

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "featsim"]
# Writes every 0.2 s instead of 5 s, so that there is something to go on with soon.
IMPATIENT = (
    "import sys; import featsim.training.loop as loop; loop._FLUSH_SECONDS = 0.2; "
    "from featsim.cli import main; sys.exit(main())"
)
LONG = ("run", "structured-data/S1", "--training", "standard", "--record-every", "100", "--no-evaluation")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}


def call(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env=environment(), timeout=120
    )


def test_exit_status_and_streams():
    done = call("inspect", "no-such-file.npz")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "featsim: error: no-such-file.npz does not exist\n"
    assert call("--version").stdout.startswith("featsim ")


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], {"numpy", "scipy", "numba", "matplotlib", "joblib"}),
        (["run", "--help"], {"numpy", "scipy", "numba", "matplotlib", "joblib"}),
        (["version"], {"numba", "matplotlib", "joblib"}),
        (["inspect", "none.npz"], {"scipy", "numba", "matplotlib", "joblib"}),
    ],
)
def test_start_up_is_light(words, absent):
    code = (
        "import sys, time; start = time.process_time(); from featsim.cli import main; "
        f"main({words!r}); print(time.process_time() - start, *sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    last = [
        subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
        .stderr.splitlines()[-1]
        .split()
        for _ in range(3)
    ]
    assert not absent.intersection(last[0][1:])
    assert min(float(words[0]) for words in last) < 0.5, "of computing: other tests may be running"


@pytest.mark.parametrize("words", [["scenarios"], ["--help"], ["version"]])
def test_closed_pipe_is_quiet(words):
    # The reading end is closed before anything is written.
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    # argparse itself swallows the error where Python does not buffer.
    assert process.wait(60) in ((0, 141) if words == ["--help"] else (141,))
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_standard_output():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "scenarios"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment()
        )
    assert done.returncode == 2 and done.stderr == "featsim: error: No space left on device\n"


def start(out: Path, n_steps: int, *words: str) -> subprocess.Popen[str]:
    changes = ("--set", f"n_steps={n_steps}")
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, *LONG, *words, "--out", str(out), *changes],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip


def wait_for(pattern: str, out: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 100
    while not list(out.glob(pattern)):
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_stopped_in_the_middle_and_gone_on_with(tmp_path, how):
    """The trace so far is kept, and resuming gives the bits of a run that never stopped."""
    n_steps = 150000
    process = start(tmp_path / "cut", n_steps, "--seeds", "2")
    run = tmp_path / "cut" / "standard-seed-000.run"
    wait_for("*.run/chunk-000003.npz", tmp_path / "cut", process)
    os.kill(process.pid, signal.SIGINT if how == "interrupt" else signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    if how == "interrupt":
        assert process.returncode == 130
        assert "1 interrupted" in out and "Traceback" not in err
        assert err.splitlines()[-1].startswith("featsim: interrupted; what was recorded is kept in")
        assert f"--out {tmp_path / 'cut'} --set n_steps={n_steps}" in err
    assert not list((tmp_path / "cut").glob("*-001.*")), "the next seed was not started"
    done = call("inspect", run)
    assert done.returncode == 0 and f"resume {run}" in done.stdout
    assert 1 < load_trace(run).n_records < n_steps // 100
    done = call("resume", tmp_path / "cut", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    whole = start(tmp_path / "whole", n_steps, "--quiet")
    whole.communicate(timeout=100)
    one, two = (load_trace(tmp_path / name / "standard-seed-000.npz") for name in ("whole", "cut"))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupted_parallel_runs(tmp_path):
    process = start(tmp_path, 10**6, "--seeds", "3", "--jobs", "2")
    wait_for("*.run/chunk-000001.npz", tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "go on with: featsim run" in err
    assert "Traceback" not in err
    kept = [path for path in tmp_path.glob("*.run") if list(path.glob("chunk-*.npz"))]
    assert kept and all(load_trace(path).n_records > 1 for path in kept)
