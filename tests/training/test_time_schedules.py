"""Gradient flow and relative steps in the training loop: agreement with descent, cuts, stops, refusals."""

import numpy as np
import pytest

from featsim.attacks import SignalAttack, margin_step, pgd
from featsim.data import GramPatchSpec, GramSignalNoiseSpec, PatchDataSpec, SignalNoiseSpec, patch_data
from featsim.models import PowerNetworkSpec, TwoLayerSpec
from featsim.theory.cgro import closure_flow, closure_from_weights
from featsim.threats import Threat
from featsim.training import (
    FlowSchedule,
    Mixture,
    Recording,
    RelativeSchedule,
    Schedule,
    resume,
    train,
)
from featsim.training.loop import _Run

POWER, NETWORK = PowerNetworkSpec(width=5), TwoLayerSpec(width=3, init_std=0.05)
LINE = Mixture(attack=SignalAttack(radius=1.9), weight=0.5)
ATTACK = margin_step(Threat(radius=0.35), 100.0)
FLOW = FlowSchedule(n_steps=40, end_time=60.0, decades=6.0, tolerance=1e-9)


def flow(data, **changes):
    settings = {"schedule": FLOW, "attack": LINE, "rng": np.random.default_rng(1), **changes}
    return train(POWER, data, **settings)


@pytest.mark.parametrize(
    "spec", [SignalNoiseSpec(dim=40, n_fresh=30), GramSignalNoiseSpec(dim=1e6, n_fresh=30)]
)
def test_flow_in_the_loop_is_the_flow_of_the_closure(spec, rng):
    data = spec.sample_for(POWER, 6, rng) if isinstance(spec, GramSignalNoiseSpec) else spec.sample(6, rng)
    trace = flow(data, recording=Recording(weights_at=(0,)))
    times = trace["time"]
    assert times[0] == 0.0
    np.testing.assert_allclose(np.diff(np.log(times[1:])), 6 * np.log(10) / 39)
    start = closure_from_weights(trace["weights"][0], data)
    found = closure_flow(
        start, POWER, weight=0.5, left=2.0 - 1.9, end=60.0, record_at=times[1:], tolerance=1e-9
    )
    np.testing.assert_allclose(trace["signal_score"][1:], found.signal_score, atol=1e-6)
    np.testing.assert_allclose(trace["memorisation"][1:], found.memorisation, atol=1e-6)
    assert trace["fresh_clean_accuracy"][-1] == 1.0


def test_small_steps_of_descent_follow_the_flow(rng):
    data = SignalNoiseSpec(dim=40, n_fresh=5).sample(6, rng)
    start = POWER.initial_weights(40, rng)
    end = flow(data, initial_weights=start, schedule=FLOW.replace(end_time=20.0)).final_weights
    errors = [
        np.abs(
            train(POWER, data, attack=LINE, initial_weights=start,
                  schedule=Schedule(n_steps=n, step_size=20.0 / n)).final_weights - end
        ).max()
        for n in (1000, 2000)
    ]  # fmt: skip
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.1)


def relative(data, **changes):
    schedule = RelativeSchedule(**{"n_steps": 150, **changes.pop("schedule", {})})
    settings = {"attack": ATTACK, "rng": np.random.default_rng(1), **changes}
    return train(NETWORK, data, schedule=schedule, **settings)


def noisy(rng, dim=40):
    return PatchDataSpec(n_classes=2, n_nonrobust_patches=6, dim=dim, noise_std=0.02).sample(4, rng)


def test_no_class_moves_more_than_its_share(rng):
    trace = relative(noisy(rng), recording=Recording())
    for name in ("robust_coef", "nonrobust_coef"):
        table = trace[name]
        moved = np.abs(np.diff(table, axis=0)).max(axis=2) / np.abs(table[:-1]).max(axis=2)
        assert moved.max() <= 0.05 * (1 + 1e-9)
    steps, before = np.diff(trace["time"]), trace["time"][:-1]
    assert np.all(steps <= (1.0 + 0.05 * before) * (1 + 1e-12))
    assert np.any(steps >= (1.0 + 0.05 * before) * (1 - 1e-12))
    assert trace["time"][-1] > 150.0


def test_relative_steps_commute_with_rotation_and_follow_fixed_ones(rng):
    data = noisy(rng, dim=300)
    one, other = (relative(data, reduction=reduction) for reduction in ("never", "always"))
    assert other.meta["reduction"]["used"]
    np.testing.assert_allclose(one["nonrobust_coef"], other["nonrobust_coef"], atol=1e-9)
    loose = relative(data, attack=None, schedule={"n_steps": 300, "growth": 0.01, "largest_move": 0.01})
    last = loose["time"][-1]
    plain = train(NETWORK, data, schedule=Schedule(n_steps=round(2 * last), step_size=last / round(2 * last)),
                  rng=np.random.default_rng(1))  # fmt: skip
    np.testing.assert_allclose(
        loose["nonrobust_coef"][-1].max(axis=1), plain["nonrobust_coef"][-1].max(axis=1), rtol=0.05
    )


def test_a_run_stops_moving_where_its_loss_is_small_whatever_is_recorded(rng):
    data = noisy(rng)
    trace = relative(data, attack=None, schedule={"n_steps": 600, "stop_loss": 0.1})
    end = np.flatnonzero(np.diff(trace["time"]) == 0.0)[0]
    assert trace["clean_loss"][end] < 0.1 <= trace["clean_loss"][end - 1]
    np.testing.assert_array_equal(
        trace["robust_coef"][end:], trace["robust_coef"][end:][:1].repeat(601 - end, 0)
    )
    sparse = relative(
        data,
        attack=None,
        schedule={"n_steps": 600, "stop_loss": 0.1},
        recording=Recording(every=97, quantities=("robust_coef",)),
    )
    np.testing.assert_array_equal(sparse.final_weights, trace.final_weights)


def test_a_run_stops_moving_at_its_time(rng):
    data = noisy(rng)
    free, stopped = (relative(data, schedule={"n_steps": 300, "stop_time": end}) for end in (None, 1e3))
    at = int(np.flatnonzero(free["time"] >= 1e3)[0])
    assert 0 < at < 300 and free["time"][-1] > 1e3
    for name in ("time", "robust_coef"):
        np.testing.assert_array_equal(stopped[name][: at + 1], free[name][: at + 1])
        np.testing.assert_array_equal(stopped[name][at:], stopped[name][at:][:1].repeat(301 - at, 0))


@pytest.mark.parametrize("theory", ["flow", "relative"])
def test_a_cut_run_goes_on_with_the_same_bits(theory, rng, tmp_path, monkeypatch):
    if theory == "flow":
        data = GramSignalNoiseSpec(dim=1e4, n_fresh=10).sample_for(POWER, 6, rng)
    else:
        data = GramPatchSpec(dim=1e4, n_nonrobust_patches=5, noise_norm=0.1).sample_for(NETWORK, 4, rng)

    def run(**changes):
        return flow(data, **changes) if theory == "flow" else relative(data, **changes)

    whole = run()
    original, calls = _Run.take, []

    def take(self, chunk, n_steps):
        original(self, chunk, n_steps)
        calls.append(n_steps)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "take", take)
    assert run(out=tmp_path / "a.npz").status == "interrupted"
    monkeypatch.setattr(_Run, "take", original)
    trace = resume(tmp_path / "a.npz")
    assert trace.status == "completed"
    for name in whole:
        np.testing.assert_array_equal(trace[name], whole[name], err_msg=name)


@pytest.mark.parametrize("subspace", [None, "own"])
def test_structured_data_have_a_limit_where_the_filters_norm_does_not_matter(subspace):
    """Standard training, and attacks within features: the same normals, orthogonal noise against d = 1e12."""
    attack = subspace and margin_step(Threat(radius=0.35, subspace=subspace), 100.0)
    specs = [
        GramPatchSpec(dim=dim, n_classes=2, n_nonrobust_patches=6, noise_norm=0.1) for dim in (1e12, np.inf)
    ]
    finite, limit = (spec.sample_for(NETWORK, 4, np.random.default_rng(5)) for spec in specs)
    weights = specs[0].initial_weights(NETWORK, finite, np.random.default_rng(6))
    schedule = Schedule(n_steps=200, step_size=0.3)
    runs = [
        train(NETWORK, d, schedule=schedule, attack=attack, initial_weights=weights) for d in (finite, limit)
    ]
    moved = np.abs(runs[0]["nonrobust_coef"][-1] - runs[0]["nonrobust_coef"][0]).max()
    assert moved > 0.05
    # Noise products differ by d^(-1/2) = 1e-6, times what 200 steps make of it.
    np.testing.assert_allclose(runs[0]["nonrobust_coef"], runs[1]["nonrobust_coef"], atol=1e-5)
    drawn = train(NETWORK, limit, schedule=schedule, attack=attack, rng=np.random.default_rng(6))
    assert drawn.status == "completed"


def test_what_does_not_fit_is_refused(rng):
    data = SignalNoiseSpec(dim=10, n_fresh=0).sample(4, rng)
    with pytest.raises(ValueError, match="SignalAttack or None for the flow"):
        flow(data, attack=pgd(Threat(radius=0.1, scope="input"), n_steps=1, keep="last"))
    with pytest.raises(TypeError, match="model must be a TwoLayerSpec with the schedule RelativeSchedule"):
        train(POWER, data, schedule=RelativeSchedule(), rng=rng)
    with pytest.raises(TypeError, match="SignalNoiseData for the flow"):
        flow(patch_data(np.ones((2, 3, 4)), [0, 1]), attack=None)
    with pytest.raises(ValueError, match="must have features"):
        train(NETWORK, patch_data(np.ones((2, 3, 4)), [0, 1]), schedule=RelativeSchedule(), rng=rng)
    for bad in ({"end_time": 0.0}, {"decades": -1.0}, {"tolerance": 1.0}, {"batch_size": 2}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            FlowSchedule(**bad)
    wrong = {"largest_move": 0.0, "growth": -1.0, "stop_loss": 0.0, "stop_time": 0.0, "batch_size": 2}
    for bad in ({name: value} for name, value in wrong.items()):
        with pytest.raises(ValueError, match=next(iter(bad))):
            RelativeSchedule(**bad)
