"""What a long run says on standard error, compilation included."""

import numba
import pytest
from numba.core import event
from training_cases import settings

from featsim.training import Progress, progress, train
from featsim.training.patch_stepper import PatchStepper


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def compile_for(clock, seconds):
    """Send what Numba sends: parts of a kernel are compiled within it."""
    with event.trigger_event("numba:compile"), event.trigger_event("numba:compile"):
        clock[0] += seconds


def test_a_log_tells_of_a_compilation_once_and_does_not_count_it(clock, capsys):
    with Progress(1000, "run", shown=True, done=200) as report, report.compiling():
        compile_for(clock, 30.0)
        clock[0] += 20.0
        report.advance(100)  # a tenth of the rest in 20 seconds
    compile_for(clock, 30.0)
    assert capsys.readouterr().err.splitlines() == [
        "run: compiling the kernel", "run: compiled in 30 s", "run: step 300 of 1000, about 2.3 min left",
    ]  # fmt: skip


def test_a_bar_tells_of_a_compilation(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with Progress(1000, "run", shown=True) as report, report.compiling():
        capsys.readouterr()
        with event.trigger_event("numba:compile"):
            shown = capsys.readouterr().err
            assert "run: compiling the kernel:   0%" in shown
        shown = capsys.readouterr().err
        assert "run:   0%" in shown and "compiling" not in shown


def test_nothing_is_watched_where_nothing_is_shown(clock, capsys):
    with Progress(10, "run", shown=False) as report, report.compiling():
        compile_for(clock, 30.0)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_numba_sends_what_is_listened_to(capsys):
    @numba.njit
    def part(x):
        return x + 1

    @numba.njit
    def kernel(x):
        return part(x)

    with Progress(1000, "run", shown=True) as report, report.compiling():
        assert kernel(1) == kernel(2) - 1 == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "run: compiling the kernel" and second.startswith("run: compiled in ")


def test_a_training_tells_of_its_compilation_where_progress_is_asked_for(capsys, monkeypatch):
    """Most tests find the kernel compiled: the event is sent by hand."""
    advance = PatchStepper.advance

    def compiled(self, *given):
        with event.trigger_event("numba:compile"):
            return advance(self, *given)

    monkeypatch.setattr(PatchStepper, "advance", compiled)
    train(**settings("patches", 1), progress=True)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(": compiling the kernel") and ": compiled in " in second
    train(**settings("patches", 1))
    assert capsys.readouterr().err == ""
