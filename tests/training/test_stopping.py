"""Divergence, Ctrl-C, kill, full disk: what was computed stays, and a resumed run is the same run."""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from featsim.attacks import margin_step
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import TwoLayerSpec
from featsim.threats import Threat
from featsim.traces import RunFolder, TraceError, load_trace
from featsim.training import Recording, Schedule, loop, resume, train
from featsim.training.patch_stepper import PatchStepper

N_STEPS = 60
ATTACK = margin_step(Threat(radius=0.3), 1.0)


def problem(seed=3):
    rng = np.random.default_rng(seed)
    data = sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8, noise_std=0.1), 6, rng)
    return data, rng


def run(out=None, *, step_size=0.4, n_steps=N_STEPS, seed=3, **settings):
    data, rng = problem(seed)
    return train(
        TwoLayerSpec(width=2),
        data,
        schedule=Schedule(n_steps=n_steps, step_size=step_size, batch_size=4),
        attack=ATTACK,
        recording=Recording(weights_at=(0, 7, 33), every=3),
        rng=rng,
        out=out,
        **settings,
    )


def assert_same(found, expected):
    assert (found.status, found.message) == (expected.status, expected.message)
    assert found.spec == expected.spec and dict(found.axes) == dict(expected.axes)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.fixture(scope="module")
def whole():
    """The run that nothing stopped."""
    trace = run()
    assert trace.status == "completed"
    return trace


@pytest.fixture
def small_chunks(monkeypatch):
    """One step a stretch, each flushed at once."""
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_FLUSH_SECONDS", 0.0)


def stop_at(monkeypatch, step, action):
    """Do something in the place of the stretch that holds `step`, once."""
    advance = PatchStepper.advance

    def stopped(self, state, first, last, record, keep):
        if first <= step < last:
            monkeypatch.setattr(PatchStepper, "advance", advance)
            action()
        return advance(self, state, first, last, record, keep)

    monkeypatch.setattr(PatchStepper, "advance", stopped)


def press_ctrl_c():
    raise KeyboardInterrupt


# ---------------------------------------------------------------- divergence


def overflowing(attack=None, n_steps=50):
    """A huge step on equal samples with contrary labels: the losses overflow after one update."""
    rng = np.random.default_rng(0)
    X = 10 * rng.standard_normal((4, 3, 5))
    return dict(
        data=patch_data(np.concatenate([X, X]), [0] * 4 + [1] * 4),
        model=TwoLayerSpec(width=2),
        schedule=Schedule(n_steps=n_steps, step_size=1e306),
        initial_weights=0.5 * rng.standard_normal((2, 2, 5)),
        attack=attack,
    )


@pytest.mark.parametrize("attack", [None, ATTACK])
@pytest.mark.parametrize("n_steps", [1, 50])
def test_divergence_ends_the_run_at_the_first_step_that_is_not_finite(attack, n_steps):
    """With one step it is only the final state that shows it."""
    with pytest.warns(RuntimeWarning, match=r"not finite at step 1; try step_size below 5e\+305") as warned:
        trace = train(**overflowing(attack, n_steps))
    assert len(warned) == 1
    assert trace.status == "diverged" and "at step 1;" in trace.message
    np.testing.assert_array_equal(trace.steps, [0, 1])
    assert np.isfinite(trace["clean_loss"][0]) and not np.isfinite(trace["clean_loss"][1])
    assert trace.final_weights.shape == (2, 2, 5)


@pytest.mark.parametrize("attack", [None, ATTACK])
@pytest.mark.parametrize("bad", [0, 1, 5, 19])
def test_the_step_of_divergence_is_exact(attack, bad, tmp_path):
    """A minibatch whose sample overflows comes at step `bad`; the state before it is kept."""
    X = np.array([[[1.0, 0.5]], [[-0.5, 1.0]], [[1e300, 0.0]]])
    weights = np.array([[[0.3, 0.0]], [[1e10, 0.1]]])
    batches = np.tile([0, 1], (20, 1))
    batches[bad] = [0, 2]
    settings = dict(initial_weights=weights, attack=attack, recording=Recording(quantities=("rest_norm",)))
    model, data = TwoLayerSpec(width=1), patch_data(X, [1, 1, 0])
    with pytest.warns(RuntimeWarning, match=f"not finite at step {bad};"):
        trace = train(model, data, schedule=Schedule(n_steps=20), batches=batches, **settings)
    np.testing.assert_array_equal(trace.steps, np.arange(bad + 1))
    if bad:
        clean = data.select([0, 1])
        before = train(model, clean, schedule=Schedule(n_steps=bad), **settings)
        np.testing.assert_array_equal(before.final_weights, trace.final_weights)


def test_weights_of_minus_infinity_are_a_divergence():
    """They switch a neuron off: the loss stays finite, log 2."""
    with pytest.warns(RuntimeWarning, match="not finite at step 1;"):
        trace = train(
            TwoLayerSpec(width=1, power=1.0), patch_data([[[1e10]]], [1]),
            schedule=Schedule(n_steps=5, step_size=1e300), initial_weights=np.array([[[1.0]], [[-1.0]]]),
        )  # fmt: skip
    assert trace.status == "diverged"
    np.testing.assert_array_equal(trace.final_weights, [[[-np.inf]], [[-1.0]]])
    assert trace["clean_loss"][1] == pytest.approx(np.log(2))


def test_an_infinite_score_is_no_success():
    """A network whose own scores overflow would have loss 0."""
    data, _ = problem()
    weights = np.stack([1e308 * data.robust_features, 1e308 * data.nonrobust_features], axis=1)
    with pytest.warns(RuntimeWarning, match="not finite at step 0"):
        trace = train(TwoLayerSpec(width=2), data, schedule=Schedule(n_steps=3), initial_weights=weights)
    assert trace.status == "diverged" and trace["clean_accuracy"][0] < 1.0


def test_with_minibatches_only_their_own_loss_decides_whatever_is_recorded():
    """A sample outside every minibatch has an infinite loss: that must not depend on recording it."""
    X = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[1e300, 0.0]]])
    data = patch_data(X, [0, 1, 1])
    weights = np.array([[[1e10, 0.0]], [[0.0, 0.1]]])
    settings = dict(
        schedule=Schedule(n_steps=4), initial_weights=weights, batches=np.tile([0, 1], (4, 1)),
    )  # fmt: skip
    ends = [
        train(TwoLayerSpec(width=1), data, recording=Recording(at=at), **settings)
        for at in ((0, 1, 2, 3), ())
    ]
    assert ends[0].status == ends[1].status == "completed"  # the weights are finite
    with pytest.warns(
        RuntimeWarning, match="not finite at step 4"
    ):  # a record of the end speaks of all samples
        ends.append(train(TwoLayerSpec(width=1), data, recording=Recording(at=(4,)), **settings))
    np.testing.assert_array_equal(ends[0].final_weights, ends[1].final_weights)
    np.testing.assert_array_equal(ends[0].final_weights, ends[2].final_weights)
    assert not np.isfinite(ends[0]["clean_loss"]).any()


def test_a_diverged_run_on_disk_keeps_its_records_and_is_not_resumed(tmp_path, small_chunks):
    settings = overflowing()
    with pytest.warns(RuntimeWarning):
        plain = train(**settings)
    with pytest.warns(RuntimeWarning):
        kept = train(**settings, out=tmp_path / "run.npz")
    assert_same(kept, plain)
    assert_same(load_trace(tmp_path / "run.npz"), plain)
    assert_same(resume(tmp_path / "run.npz"), plain)


def test_a_run_killed_after_it_diverged_is_still_diverged(tmp_path, small_chunks, monkeypatch):
    """Its last step is recorded already: going on from the checkpoint would record it twice."""
    settings = overflowing()
    with pytest.warns(RuntimeWarning):
        plain = train(**settings)
    seal = RunFolder.seal

    def killed(*arguments):
        raise SystemExit("killed")

    monkeypatch.setattr(RunFolder, "seal", killed)
    with pytest.raises(SystemExit):
        train(**settings, out=tmp_path / "run")
    monkeypatch.setattr(RunFolder, "seal", seal)
    assert RunFolder.open(tmp_path / "run").status == "running"
    with pytest.warns(RuntimeWarning, match=re.escape(plain.message)):
        assert_same(resume(tmp_path / "run"), plain)


# ---------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("step", [0, 1, 20, N_STEPS - 1])
@pytest.mark.parametrize("on_disk", [False, True])
def test_an_interrupt_inside_a_stretch_keeps_the_trace(
    step, on_disk, monkeypatch, tmp_path, small_chunks, whole
):
    stop_at(monkeypatch, step, press_ctrl_c)
    trace = run(tmp_path / "run.npz" if on_disk else None)
    assert trace.status == "interrupted"
    assert trace.message == f"interrupted before step {step} of {N_STEPS}"
    np.testing.assert_array_equal(trace.steps, np.arange(0, step, 3))
    for name in ("robust_coef", "attacked_loss"):
        if len(trace.steps):
            np.testing.assert_array_equal(trace[name], whole[name][: len(trace.steps)])
    assert trace.final_weights.shape == (3, 2, 8)
    if on_disk:
        assert_same(load_trace(tmp_path / "run.run"), trace)
        assert_same(resume(tmp_path / "run.npz"), whole)
        assert not (tmp_path / "run.run").exists()


def test_an_interrupt_in_the_middle_of_long_stretches(monkeypatch, tmp_path, whole):
    stop_at(monkeypatch, 20, press_ctrl_c)
    assert run(tmp_path / "run").status == "interrupted"
    assert_same(run(tmp_path / "run"), whole)  # the same call goes on


def start(tmp_path, body):
    """Run Python code in a process of its own that trains slowly into tmp_path / 'run'."""
    code = textwrap.dedent(
        f"""
        import importlib.util, sys, time
        sys.path[:0] = {sys.path!r}
        spec = importlib.util.spec_from_file_location("stopping", {__file__!r})
        stopping = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(stopping)
        out = {str(tmp_path / "run")!r}
        stopping.loop._CHUNK_SECONDS = 0.0
        stopping.loop._FLUSH_SECONDS = 0.0
        advance = stopping.PatchStepper.advance
        def slow(*arguments):
            time.sleep(0.02)
            return advance(*arguments)
        stopping.PatchStepper.advance = slow
        """
    ) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(process, path, seconds=60.0):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)


def test_ctrl_c_in_a_real_process(tmp_path, whole):
    process = start(tmp_path, "trace = stopping.run(out); print(trace.status, trace.message)")
    wait_for(process, tmp_path / "run" / "chunk-000003.npz")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output.startswith("interrupted interrupted before step ")
    stored = load_trace(tmp_path / "run")
    assert stored.status == "interrupted" and 2 <= len(stored.steps) < len(whole.steps)
    assert_same(resume(tmp_path / "run"), whole)


def test_killed_in_the_middle_and_resumed(tmp_path, whole):
    process = start(tmp_path, "stopping.run(out)")
    wait_for(process, tmp_path / "run" / "chunk-000004.npz")
    process.kill()
    process.communicate(timeout=60)
    stored = load_trace(tmp_path / "run")
    assert stored.status == "running"
    assert 3 <= len(stored.steps) < len(whole.steps)
    np.testing.assert_array_equal(stored["robust_coef"], whole["robust_coef"][: len(stored.steps)])
    assert_same(resume(tmp_path / "run"), whole)
    assert_same(resume(tmp_path / "run"), whole)  # finished: read, not run again


# ---------------------------------------------------------------- full disk


@contextlib.contextmanager
def largest_file(n_bytes):
    """No file may grow beyond `n_bytes`: writing fails as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_keeps_the_trace_and_the_run_goes_on_later(tmp_path, whole):
    with largest_file(12_000), pytest.warns(RuntimeWarning, match="free space, then resume"):
        trace = run(tmp_path / "run.npz")  # all records in one chunk, which does not fit
    assert trace.status == "interrupted" and "could not write" in trace.message
    for name in ("steps", "robust_coef", "weights", "final_weights"):
        np.testing.assert_array_equal(trace[name], whole[name])
    assert not list(tmp_path.rglob("*.tmp"))
    assert_same(resume(tmp_path / "run.npz"), whole)


def test_a_disk_that_fills_up_in_the_middle(tmp_path, whole, monkeypatch, small_chunks):
    limits = contextlib.ExitStack()
    stop_at(monkeypatch, 20, lambda: limits.enter_context(largest_file(100)))
    with limits, pytest.warns(RuntimeWarning, match="free space, then resume"):
        trace = run(tmp_path / "run")
    assert trace.status == "interrupted" and trace.message.startswith("stopped before step 2")
    for name in ("steps", "robust_coef"):  # what the disk refused is in memory
        np.testing.assert_array_equal(trace[name], whole[name][: len(trace.steps)])
    assert len(trace.steps) >= 7
    assert_same(resume(tmp_path / "run"), whole)


def test_a_disk_too_full_for_the_finished_file(tmp_path, whole, small_chunks):
    with (
        largest_file(12_000),
        pytest.warns(RuntimeWarning, match="the run is whole in .*run.run: free space"),
    ):
        trace = run(tmp_path / "run.npz")
    assert trace.status == "interrupted"
    np.testing.assert_array_equal(trace["robust_coef"], whole["robust_coef"])
    assert not (tmp_path / "run.npz").exists()
    assert_same(resume(tmp_path / "run.npz"), whole)
    assert_same(load_trace(tmp_path / "run.npz"), whole)


# ---------------------------------------------------------------- going on


def test_the_finished_file_takes_the_place_of_the_folder(tmp_path, whole):
    assert_same(run(tmp_path / "deep" / "run.npz"), whole)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run.npz"]
    assert_same(load_trace(tmp_path / "deep" / "run.npz"), whole)
    assert_same(resume(tmp_path / "deep" / "run.npz"), whole)
    with pytest.raises(TraceError, match="exists already; choose another name or remove it"):
        run(tmp_path / "deep" / "run.npz")


def test_a_run_folder_may_be_named_as_it_grows(tmp_path, whole, monkeypatch, small_chunks):
    stop_at(monkeypatch, 20, press_ctrl_c)
    run(tmp_path / "run.run")
    assert_same(resume(tmp_path / "run.run"), whole)
    assert_same(load_trace(tmp_path / "run.npz"), whole)


def test_a_folder_stays_a_folder_and_is_read_when_asked_again(tmp_path, whole, monkeypatch):
    assert_same(run(tmp_path / "run"), whole)
    monkeypatch.setattr(PatchStepper, "advance", lambda *_: pytest.fail("trained again"))
    assert_same(run(tmp_path / "run"), whole)
    assert_same(resume(tmp_path / "run"), whole)


def interrupted(folder, monkeypatch):
    stop_at(monkeypatch, 20, press_ctrl_c)
    assert run(folder).status == "interrupted"
    return folder


def test_going_on_with_other_settings_is_refused(tmp_path, monkeypatch, small_chunks, whole):
    folder = interrupted(tmp_path / "run", monkeypatch)
    with pytest.raises(TraceError, match=r"schedule.step_size is 0.4 there, and 0.3 now"):
        run(folder, step_size=0.3)
    with pytest.raises(TraceError, match=r"schedule.n_steps is 60 there, and 61 now"):
        run(folder, n_steps=61)
    with pytest.raises(TraceError, match="other input arrays: .* differs"):
        run(folder, seed=4)
    assert_same(resume(folder), whole)  # and nothing was harmed


@pytest.mark.parametrize("change", ["setting", "status", "input"])
def test_a_run_that_was_tampered_with_is_refused(change, tmp_path, monkeypatch, small_chunks):
    folder = interrupted(tmp_path / "run", monkeypatch)
    manifest = json.loads((folder / "manifest.json").read_text())
    if change == "setting":
        manifest["spec"]["schedule"]["step_size"] = 0.3
    elif change == "status":
        manifest["status"] = "completed"
    else:
        inputs = dict(np.load(folder / "inputs.npz"))
        name = next(name for name in inputs if inputs[name].dtype == float and inputs[name].ndim == 3)
        np.savez(folder / "inputs.npz", **{**inputs, name: inputs[name] + 1.0})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(PatchStepper, "advance", lambda *_: pytest.fail("trained on what was changed"))
    with pytest.raises(TraceError, match="changed|damaged|differs|checksum"):
        resume(folder)


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(TraceError, match="is not a run: there is neither a folder"):
        resume(tmp_path / "nothing.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match="is not a featsim run folder"):
        resume(tmp_path / "empty")


def test_weights_kept_where_nothing_is_recorded_reach_the_disk(tmp_path, small_chunks):
    data, rng = problem()
    weights = 0.1 * rng.standard_normal((3, 2, 8))
    settings = dict(schedule=Schedule(n_steps=9), initial_weights=weights)
    for number, recording in enumerate(
        (Recording(at=(), weights_at=(0, 5)), Recording(every=6, weights_at=(5,)))
    ):
        plain = train(TwoLayerSpec(width=2), data, recording=recording, **settings)
        out = tmp_path / f"{number}.npz"
        assert_same(train(TwoLayerSpec(width=2), data, recording=recording, out=out, **settings), plain)
        assert_same(load_trace(out), plain)


@pytest.mark.parametrize("out", ["file/run.npz", "file/run", "file"])
def test_an_output_that_cannot_be_written_is_an_error_before_any_work(out, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(PatchStepper, "advance", lambda *_: pytest.fail("trained first"))
    with pytest.raises(OSError, match="cannot write in the output folder .*choose another folder"):
        run(tmp_path / out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir(mode=0o500)
    monkeypatch.setattr(PatchStepper, "advance", lambda *_: pytest.fail("trained first"))
    with pytest.raises(OSError, match="cannot write in the output folder"):
        run(tmp_path / "locked" / "run.npz")
