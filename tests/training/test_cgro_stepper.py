"""Training of the power network through the shared loop: records, resume, divergence, refusals."""

import dataclasses
import warnings

import numpy as np
import pytest

from featsim.attacks import FeatureAttack, SignalAttack, fgm, pgd
from featsim.data import SignalNoiseSpec, patch_data
from featsim.models import PowerNetworkSpec
from featsim.scenarios import get_scenario
from featsim.theory.cgro import detect_phases
from featsim.threats import Threat
from featsim.traces import load_trace
from featsim.training import Mixture, Recording, Schedule, resume, train
from featsim.training.linear_adversary import train_linear_adversarial
from featsim.training.loop import _Run

A = get_scenario("cgro/A").with_settings({"schedule.n_steps": 40, "data.n_fresh": 50})
LINE = SignalAttack(radius=1.9)
WHOLE = Threat(radius=0.3, scope="input")


@pytest.fixture
def data(rng):
    return SignalNoiseSpec(dim=10, n_fresh=20).sample(8, rng)


def run(data, rng, **changes):
    settings = {"schedule": Schedule(n_steps=5, step_size=0.02), "attack": LINE, "rng": rng, **changes}
    return train(PowerNetworkSpec(width=4), data, **settings)


def test_every_quantity_of_the_theory_is_recorded(data, rng):
    trace = run(data, rng)
    for name in ("signal_coef", "signal_sum", "signal_score", "memorisation", "fresh_noise_sd"):
        assert name in trace
    for where in ("", "fresh_"):
        for attack in ("clean", "fixed", "worst", "attacked"):
            for what in ("loss", "accuracy"):
                assert f"{where}{attack}_{what}" in trace
    np.testing.assert_array_equal(trace["attacked_loss"], trace["fixed_loss"])
    assert trace.axes["signal_coef"] == ("step", "class", "neuron")
    assert "noise_coef" not in trace
    full = run(data, rng, recording=Recording(at=(0, 5), quantities=("noise_coef",)))
    assert full["noise_coef"].shape == (2, 8, 2, 4)
    assert trace.meta["radius"] == 1.9
    assert trace.meta["attacked_weight"] == 1.0


def test_summary_gives_the_times_of_the_phases():
    trace = get_scenario("cgro/A").with_settings({"data.n_fresh": 0}).run("adversarial", 0)
    phases = detect_phases(trace)
    assert trace.summary()["passages"] == [
        {"quantity": "signal_score", "level": 1.0, "step": phases.signal_step},
        {"quantity": "memorisation", "level": 1.0, "step": phases.memorisation_step},
    ]
    early = trace.select(steps=range(int(phases.signal_step) + 5))
    assert early.summary()["passages"][1]["step"] is None


def test_signal_score_of_the_odd_network_is_alpha_to_the_q_times_u(data, rng):
    trace = run(data, rng)
    np.testing.assert_allclose(trace["signal_score"], 2.0**3 * trace["signal_sum"], rtol=1e-12)
    np.testing.assert_allclose(trace["attacked_signal_score"], 0.1**3 * trace["signal_sum"], rtol=1e-10)


def test_weight_zero_is_standard_training(data, rng):
    start = PowerNetworkSpec(width=4).initial_weights(10, rng)
    common = {"schedule": Schedule(n_steps=20, step_size=0.05), "initial_weights": start}
    plain = train(PowerNetworkSpec(width=4), data, **common)
    mixed = train(PowerNetworkSpec(width=4), data, attack=Mixture(attack=LINE, weight=0.0), **common)
    np.testing.assert_allclose(mixed.final_weights, plain.final_weights, rtol=1e-13)
    assert "fixed_loss" in mixed
    assert "fixed_loss" not in plain
    zero = train(PowerNetworkSpec(width=4), data, attack=SignalAttack(radius=0.0), **common)
    np.testing.assert_allclose(zero.final_weights, plain.final_weights, rtol=1e-12)


def test_permuting_samples_patches_and_filters_changes_nothing(data, rng):
    model, schedule = PowerNetworkSpec(width=4), Schedule(n_steps=30, step_size=0.05)
    start = model.initial_weights(10, rng)
    attack = Mixture(attack=SignalAttack(radius=1.9, rule="worst"), weight=0.5)
    plain = train(model, data, schedule=schedule, attack=attack, initial_weights=start).final_weights
    order, patches, filters = rng.permutation(8), rng.permutation(3), rng.permutation(4)
    shuffled = dataclasses.replace(
        data.select(order), X=data.X[order][:, patches], roles=data.roles[order][:, patches]
    )
    moved = train(model, shuffled, schedule=schedule, attack=attack, initial_weights=start[:, filters])
    np.testing.assert_allclose(moved.final_weights, plain[:, filters], rtol=1e-10, atol=1e-13)


def test_rotating_everything_changes_no_score(data, rng):
    model, schedule = PowerNetworkSpec(width=4), Schedule(n_steps=30, step_size=0.05)
    start = model.initial_weights(10, rng)
    Q = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    turned = dataclasses.replace(data, X=data.X @ Q.T, signal=Q @ data.signal, fresh=None)
    one = train(model, data, schedule=schedule, attack=LINE, initial_weights=start)
    other = train(model, turned, schedule=schedule, attack=LINE, initial_weights=start @ Q.T)
    for name in ("signal_coef", "memorisation", "worst_loss"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("training", ["adversarial", "standard", "worst"])
def test_a_run_cut_anywhere_goes_on_bit_for_bit(training, tmp_path, monkeypatch):
    whole = A.run(training, 3)
    taken = _Run.take

    def stop_after(self, chunk, n_steps):
        taken(self, chunk, n_steps)
        self.flush()
        if self.step >= 13:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "take", stop_after)
    cut = A.run(training, 3, out=tmp_path / "x.npz")
    assert cut.status == "interrupted"
    monkeypatch.undo()
    on = resume(tmp_path / "x.npz")
    assert on.status == "completed"
    saved = load_trace(tmp_path / "x.npz")
    for name in whole:
        np.testing.assert_array_equal(on[name], whole[name], err_msg=name)
        np.testing.assert_array_equal(saved[name], whole[name], err_msg=name)


def test_images_resume_without_a_signal(tmp_path, rng, monkeypatch):
    data = patch_data(rng.standard_normal((6, 1, 5)), [0, 1, 0, 1, 1, 0])
    attack = fgm(WHOLE)
    start = PowerNetworkSpec(width=4).initial_weights(5, rng)
    settings = {"schedule": Schedule(n_steps=20, step_size=0.05), "attack": attack, "initial_weights": start}
    whole = train(PowerNetworkSpec(width=4), data, **settings)
    taken = _Run.take

    def stop_after(self, chunk, n_steps):
        taken(self, chunk, n_steps)
        self.flush()
        raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "take", stop_after)
    train(PowerNetworkSpec(width=4), data, out=tmp_path / "run", **settings)
    monkeypatch.undo()
    on = resume(tmp_path / "run")
    np.testing.assert_array_equal(on.final_weights, whole.final_weights)
    np.testing.assert_array_equal(on["attacked_loss"], whole["attacked_loss"])


def test_divergence_keeps_the_trace_and_says_where(data, rng):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        trace = run(data, rng, schedule=Schedule(n_steps=200, step_size=1e3), recording=Recording(every=1))
    assert trace.status == "diverged"
    assert "try step_size below" in trace.message
    assert len(seen) == 1
    assert trace.n_records < 200
    assert np.isfinite(trace["clean_loss"][0])


def test_minus_infinity_in_a_score_is_divergence(data):
    weights = np.full((1, 4, 10), 1e120)
    with pytest.warns(RuntimeWarning, match="not finite at step 0"):
        trace = train(
            PowerNetworkSpec(width=4),
            data,
            schedule=Schedule(n_steps=3),
            attack=LINE,
            initial_weights=weights,
        )
    assert trace.status == "diverged"


PLAIN = patch_data(np.ones((4, 2, 3)), [0, 1, 0, 1])
THREE = patch_data(np.ones((3, 2, 3)), [0, 1, 2])


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"data": "no"}, TypeError, "data must be a SignalNoiseData or PatchData"),
        ({"data": PLAIN}, TypeError, "signal-plus-noise data"),
        ({"data": THREE, "attack": None}, ValueError, "data must have 2 classes"),
        ({"attack": FeatureAttack(radius=0.1)}, TypeError, "attack in training must be"),
        ({"attack": pgd(WHOLE, n_random=1, keep="last")}, ValueError, "must start at the clean point"),
        ({"attack": fgm(WHOLE).replace(rule="raw")}, ValueError, "must take unit steps"),
        ({"attack": fgm(Threat(radius=1.0, subspace="signal"))}, ValueError, "SignalAttack, which is exact"),
        ({"schedule": Schedule(n_steps=3, batch_size=2)}, ValueError, "batch_size must be None"),
        ({"batches": [[0, 1]] * 5}, ValueError, "batches must be None"),
        ({"rng": None}, ValueError, "rng must be given"),
        ({"initial_weights": np.ones((1, 3, 10))}, ValueError, "initial_weights must have shape"),
        ({"recording": Recording(quantities=("robust_coef",))}, ValueError, "quantities must be among"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, match, data, rng):
    given = {"data": data, **changes}
    with pytest.raises(error, match=match):
        run(given.pop("data"), given.pop("rng", rng), **given)


def test_repeated_patches_and_shared_pixels_are_refused(rng):
    repeated = patch_data(np.ones((4, 2, 3)), [0, 1, 0, 1], counts=np.full((4, 2), 2.0))
    with pytest.raises(ValueError, match="counts must be 1"):
        run(repeated, rng, attack=None)
    shared = patch_data(np.ones((4, 2, 3)), [0, 1, 0, 1], pixel_map=[[0, 1, 2], [2, 3, 4]])
    with pytest.raises(ValueError, match="must not share pixels"):
        run(shared, rng, attack=fgm(WHOLE))


def test_mixture_refuses_nonsense():
    with pytest.raises(ValueError, match="weight must be <= 1"):
        Mixture(attack=LINE, weight=1.5)
    with pytest.raises(TypeError, match="attack must be an attack spec"):
        Mixture(attack=Mixture(attack=LINE))
    assert Mixture(attack=LINE).label == "0.5 fixed"


def test_linear_adversary_finds_the_signal(rng):
    X = 0.3 * rng.standard_normal((60, 20))
    y = np.where(rng.random(60) < 0.5, 1.0, -1.0)
    X[:, 0] = 3.0 * y
    path = train_linear_adversarial(X, y, radius=1.5, n_steps=1000, step_size=0.05)
    assert path.shape == (1001, 20)
    assert path[-1, 0] / np.linalg.norm(path[-1]) > 0.999
    # One step from zero is the mean of y x.
    np.testing.assert_allclose(path[1], 0.05 * (y[:, None] * X).mean(axis=0), rtol=1e-12)
