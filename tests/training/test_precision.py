"""Training with float32 products: how far from float64, where its range ends, and who does not know it."""

import dataclasses

import numpy as np
import pytest

from featsim.attacks import fgm, margin_step, pgd
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.kernels import patch_network as kernel
from featsim.models import PowerNetworkSpec, SymmetricNetworkSpec, TwoLayerSpec
from featsim.threats import Threat
from featsim.traces import RunFolder, TraceError
from featsim.traces.manifest import run_digest, write_manifest
from featsim.training import RelativeSchedule, Schedule, WhiteningSchedule, patch_stepper, resume, train
from featsim.training.loop import _Run

UNIT = 2.0**-24  # rounding of one float32 number, relative
PER_PATCH, BOX = Threat(radius=0.3), Threat(radius=0.1, norm="linf")
ATTACKS = {
    "clean": None,
    "l2": margin_step(PER_PATCH, 0.5, n_steps=2),
    "l2 to the edge": pgd(Threat(radius=0.5, scope="input"), 3, keep="last"),
    "linf": pgd(BOX, 2, keep="last"),
    "subspace": margin_step(Threat(radius=0.3, subspace="own"), 0.5),
}
# Each of the three kernels takes about 10 s to compile for float32: by default only that of coefficients.
EXPLICIT = pytest.mark.slow
KINDS = [pytest.param(name, marks=() if name.startswith("l2") else EXPLICIT) for name in ATTACKS]
MODES = [kernel.COEFFICIENT, pytest.param(kernel.DIRECT, marks=EXPLICIT)]
NORMS = ["l2", pytest.param("linf", marks=EXPLICIT)]


@pytest.fixture
def data(rng):
    return sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8, noise_std=0.15), 6, rng)


@pytest.fixture
def weights(rng):
    return 0.4 * rng.standard_normal((3, 2, 8))


def run(data, weights, attack=None, *, precision="float32", n_steps=20, step_size=0.4, **settings):
    return train(
        TwoLayerSpec(width=2, smoothing=0.5),
        data,
        schedule=Schedule(n_steps=n_steps, step_size=step_size, precision=precision),
        attack=attack,
        initial_weights=weights,
        **settings,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_of_a_step_is_rounding_and_grows_no_faster_than_the_run(kind, data, weights):
    """A sum of m rounded terms is off by up to m/2 roundings: here m = 8 entries and 24 rows, twice over for
    the l2 attack's inner products. An update is hence off by at most 64 roundings of its largest entry, and
    T of them by T times as much where nothing grows; measured over 30 seeds: at most 0.28 of that.
    """
    double, single = (run(data, weights, ATTACKS[kind], precision=p) for p in ("float64", "float32"))
    assert single.status == "completed" and single.final_weights.dtype == np.float64
    assert single.spec["schedule"]["precision"] == "float32"
    for name in ("robust_coef", "nonrobust_coef"):
        exact = double[name].reshape(21, -1)
        off = np.abs(single[name].reshape(21, -1) - exact).max(axis=1)
        moved = np.abs(np.diff(exact, axis=0)).max()
        assert off[0] == 0.0  # coefficients are those of the float64 weights
        assert 0.0 < off[1] <= 64 * UNIT * moved
        assert np.all(off <= 64 * UNIT * moved * np.arange(21))
    for name in ("clean_loss", "attacked_loss"):
        if name in double:
            np.testing.assert_allclose(single[name], double[name], rtol=64 * 20 * UNIT)


@pytest.mark.parametrize("mode", MODES)
def test_a_margin_far_out_has_a_gradient_in_float32_too(mode, monkeypatch, rng):
    """At margins near 60 the loss form's gradient, 1e-26, is above the least float32; its square is not."""
    planned = patch_stepper.plan_attack
    monkeypatch.setattr(
        patch_stepper, "plan_attack", lambda *given: dataclasses.replace(planned(*given), mode=mode)
    )
    data = sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8), 3, rng)
    weights = np.stack([20.0 * data.robust_features, 40.0 * data.nonrobust_features], axis=1)
    double, single = (
        run(data, weights, pgd(PER_PATCH, 1, objective="loss", keep="last"), precision=p, n_steps=1)
        for p in ("float64", "float32")
    )
    assert -np.log(double["error_probability"][0]) > 50.0
    np.testing.assert_array_equal(single["dead_gradients"], double["dead_gradients"])
    np.testing.assert_array_equal(single["dead_gradients"], 0.0)
    # The budget holds to the rounding of its own entries: v loses the radius less what its own patch has.
    np.testing.assert_allclose(
        single["attacked_nonrobust"], double["attacked_nonrobust"], atol=8 * UNIT * PER_PATCH.radius
    )


@EXPLICIT
def test_ties_of_linf_stay_ties(rng):
    """Where no filter and no patch has a part, the gradient is 0 and nothing moves, as in float64."""
    X = rng.standard_normal((4, 3, 8))
    X[..., 5:] = 0.0
    weights = 0.4 * rng.standard_normal((2, 2, 8))
    weights[..., 5:] = 0.0
    data = patch_data(X, [0, 1, 0, 1])
    for precision in ("float64", "float32"):
        trace = run(data, weights, fgm(BOX), precision=precision)
        np.testing.assert_array_equal(trace.final_weights[..., 5:], 0.0)
        assert np.abs(trace.final_weights[..., :5] - weights[..., :5]).max() > 0.01
    nothing = run(data, np.zeros_like(weights), fgm(BOX), n_steps=2)
    np.testing.assert_array_equal(nothing["dead_gradients"], 4.0)
    np.testing.assert_array_equal(nothing.final_weights, 0.0)


@pytest.mark.parametrize("attack", NORMS)
def test_steps_up_to_the_limit_only_show_their_direction(attack, data, weights):
    threat = PER_PATCH if attack == "l2" else BOX
    edge, far = (run(data, weights, make, n_steps=5) for make in (fgm(threat), margin_step(threat, 1e8)))
    # t and the scale that undoes it are rounded once each, in each of 5 steps.
    np.testing.assert_allclose(far.final_weights, edge.final_weights, atol=5 * 64 * UNIT)


@pytest.mark.parametrize("kind", NORMS)
def test_a_run_that_leaves_the_range_has_diverged(kind, data, weights):
    attack = ATTACKS[kind]
    with pytest.warns(RuntimeWarning, match="not finite at step"):
        trace = run(data, weights, attack, n_steps=50, step_size=1e17)
    assert trace.status == "diverged" and trace.n_records < 10
    assert np.isfinite(trace["robust_coef"]).all() and np.isfinite(trace.final_weights).all()
    inside = run(data, 1e12 * weights, attack, n_steps=1)
    assert inside.status == "completed"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"weights": 2e15}, "initial_weights must be within 1e"),
        ({"X": 2e15}, "data must be within"),
        ({"smoothing": 1e-16}, "model.smoothing must be within"),
        ({"attack": fgm(Threat(radius=1e16))}, "attack.threat.radius must be within"),
        ({"attack": margin_step(PER_PATCH, 2e8)}, "attack.step_size must be within 1e.08"),
    ],
)
def test_numbers_beyond_its_range_are_refused(change, message, data, weights):
    model = TwoLayerSpec(width=2, smoothing=change.get("smoothing", 0.5))
    data = patch_data(data.X * change.get("X", 1.0) / np.abs(data.X).max(), data.y)
    weights = weights / np.abs(weights).max() * change.get("weights", 1.0)
    with pytest.raises(ValueError, match=message):
        train(model, data, schedule=Schedule(n_steps=1, precision="float32"), attack=change.get("attack"),
              initial_weights=weights)  # fmt: skip


@pytest.mark.parametrize("model", [PowerNetworkSpec(), SymmetricNetworkSpec(width=2)])
def test_other_models_refuse_it(model, data, rng):
    with pytest.raises(ValueError, match="precision must be 'float64' for a"):
        train(model, data, schedule=Schedule(n_steps=1, precision="float32"), rng=rng)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="precision must be one of"):
        Schedule(n_steps=1, precision="float16")


@pytest.mark.slow  # compiles the clean kernel for float32
@pytest.mark.parametrize("schedule", [RelativeSchedule, WhiteningSchedule])
def test_the_other_schedules_of_patch_networks_know_it(schedule, data, weights):
    double, single = (
        train(
            TwoLayerSpec(width=2),
            data,
            schedule=schedule(n_steps=10, step_size=0.1, precision=p),
            initial_weights=weights,
        )
        for p in ("float64", "float32")
    )
    assert np.any(single.final_weights != double.final_weights)
    np.testing.assert_allclose(single.final_weights, double.final_weights, atol=10 * 64 * UNIT)


def test_in_the_span_of_its_inputs_it_is_the_same_run_up_to_rounding(rng):
    data = sample_patches(PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=60), 4, rng)
    weights = 0.3 * rng.standard_normal((2, 2, 60))
    traces = [run(data, weights, ATTACKS["l2"], reduction=how) for how in ("never", "always")]
    assert traces[1].meta["reduction"]["used"]
    np.testing.assert_allclose(
        traces[0]["robust_coef"], traces[1]["robust_coef"], rtol=0.0, atol=20 * 64 * UNIT
    )


def stop_after(monkeypatch, n_chunks):
    """Interrupt the next run after some stretches."""
    take, calls = _Run.take, []

    def stopping(self, chunk, n_steps):
        take(self, chunk, n_steps)
        calls.append(n_steps)
        if len(calls) == n_chunks:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "take", stopping)


def test_a_stopped_run_goes_on_with_the_same_bits_and_an_older_one_in_float64(
    data, weights, tmp_path, monkeypatch
):
    whole = run(data, weights, ATTACKS["l2"])
    with monkeypatch.context() as patched:
        stop_after(patched, 2)
        part = run(data, weights, ATTACKS["l2"], out=tmp_path / "a.npz")
    assert part.status == "interrupted" and part.n_records < 21
    with pytest.raises(TraceError, match=r"schedule.precision is 'float32' there, and 'float64' now"):
        run(data, weights, ATTACKS["l2"], precision="float64", out=tmp_path / "a.npz")
    assert RunFolder.open(tmp_path / "a.run").spec["schedule"]["precision"] == "float32"
    found = resume(tmp_path / "a.npz")
    for name in whole:
        np.testing.assert_array_equal(found[name], whole[name], err_msg=name)
    # A run of a version that did not know of it: its manifest has no such field.
    with monkeypatch.context() as patched:
        stop_after(patched, 2)
        run(data, weights, ATTACKS["l2"], precision="float64", out=tmp_path / "b.npz")
    manifest = dict(RunFolder.open(tmp_path / "b.run").manifest)
    manifest["spec"] = {**manifest["spec"], "schedule": dict(manifest["spec"]["schedule"])}
    del manifest["spec"]["schedule"]["precision"]
    write_manifest(tmp_path / "b.run", {**manifest, "digest": run_digest(manifest)})
    with pytest.raises(TraceError, match=r"schedule.precision is 'float64' there, and 'float32' now"):
        run(data, weights, ATTACKS["l2"], out=tmp_path / "b.npz")
    old = run(data, weights, ATTACKS["l2"], precision="float64", out=tmp_path / "b.npz")
    np.testing.assert_array_equal(
        old.final_weights, run(data, weights, ATTACKS["l2"], precision="float64").final_weights
    )
