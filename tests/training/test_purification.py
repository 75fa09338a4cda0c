"""Training of the symmetric net: symmetries, phases, fresh samples, going on, refusals."""

import numpy as np
import pytest

from featsim.attacks import GradientAttack, fgm, pgd, raw_step
from featsim.data import SparseCodingSpec, sparse_coding_data
from featsim.models import SymmetricNetworkSpec
from featsim.scenarios import get_scenario
from featsim.threats import Threat
from featsim.training import RampSchedule, Recording, Schedule, resume, train

SPEC = SparseCodingSpec(dim=10, sparsity=2.0, noise_norm=0.3)
MODEL = SymmetricNetworkSpec(width=8, bias=0.12, smoothing=0.05, init_std=0.1)
RAMP = RampSchedule(
    n_steps=12,
    step_size=0.5,
    batch_size=6,
    ramp_steps=8,
    bias_start=0.03,
    smoothing_start=0.02,
    weight_decay=0.01,
)
FRESH = RampSchedule(n_steps=12, step_size=0.5, batch_size=6, fresh=True)
ATTACKS = {
    "clean": None,
    "fgm": fgm(Threat(radius=0.2)),
    "pgd": pgd(Threat(radius=0.2), n_steps=3, keep="last"),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_rotating_inputs_and_weights_together_changes_nothing(attack, rng):
    """M = identity and M = random give the same trajectory, in turned coordinates."""
    data = SPEC.replace(dictionary="identity").sample(40, rng)
    rotation = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    turned = sparse_coding_data(
        data.inputs @ rotation.T, data.y, dictionary=rotation, label_weights=data.label_weights
    )
    weights, batches = MODEL.initial_weights(10, rng), rng.integers(40, size=(12, 6))
    options = {"schedule": RAMP, "attack": attack, "batches": batches}
    plain = train(MODEL, data, initial_weights=weights, **options)
    other = train(MODEL, turned, initial_weights=weights @ rotation.T, **options)
    np.testing.assert_allclose(plain.final_weights @ rotation.T, other.final_weights, atol=1e-12)
    np.testing.assert_array_equal(plain["winner"], other["winner"])
    for name in ("pure_share", "dense_share", "rest_share", "dense_weight", "clean_loss"):
        np.testing.assert_allclose(plain[name], other[name], atol=1e-11)


def test_permuting_neurons_commutes(rng):
    data, weights = SPEC.sample(30, rng), MODEL.initial_weights(10, rng)
    order = rng.permutation(8)
    schedule = Schedule(n_steps=5, step_size=0.5)
    plain, other = (
        train(MODEL, data, schedule=schedule, initial_weights=w) for w in (weights, weights[:, order])
    )
    np.testing.assert_allclose(plain.final_weights[:, order], other.final_weights, atol=1e-13)


def test_radius_zero_is_standard_training(rng):
    data, weights = SPEC.sample(30, rng), MODEL.initial_weights(10, rng)
    plain, other = (
        train(
            MODEL, data, schedule=Schedule(n_steps=5, step_size=0.5), attack=attack, initial_weights=weights
        )
        for attack in (None, fgm(Threat(radius=0.0)))
    )
    np.testing.assert_allclose(plain.final_weights, other.final_weights, atol=1e-14)


@pytest.mark.parametrize("schedule", [RAMP, FRESH, RAMP.replace(rank=2), FRESH.replace(rank=3)])
def test_recording_changes_nothing_and_interruption_leaves_no_trace(schedule, rng, tmp_path):
    data = SPEC.sample(40, rng)
    options = {"schedule": schedule, "attack": ATTACKS["fgm"]}
    plain = train(MODEL, data, rng=np.random.default_rng(2), recording=Recording(at=()), **options)
    kept = train(
        MODEL,
        data,
        rng=np.random.default_rng(2),
        recording=Recording(every=1, weights_at=(0, 5)),
        out=tmp_path / "a.npz",
        **options,
    )
    np.testing.assert_array_equal(plain.final_weights, kept.final_weights)
    assert kept["pure_weight"].shape == (13, 1, 8)
    assert kept.weights_at(5).shape == (1, 8, 10)


@pytest.mark.parametrize("schedule", [RAMP, FRESH, RAMP.replace(rank=2)])
def test_resume_goes_on_bit_for_bit(schedule, rng, tmp_path, monkeypatch):
    from featsim.training.purification_stepper import PurificationStepper

    data = SPEC.sample(40, rng)
    options = {"schedule": schedule, "attack": ATTACKS["fgm"]}
    whole = train(MODEL, data, rng=np.random.default_rng(2), **options)
    advance = PurificationStepper.advance

    def stop(self, state, first, last, record, keep):
        if first >= 1:
            raise KeyboardInterrupt
        return advance(self, state, first, last, record, keep)

    with monkeypatch.context() as patch:
        patch.setattr(PurificationStepper, "advance", stop)
        cut = train(MODEL, data, rng=np.random.default_rng(2), out=tmp_path / "a", **options)
    assert cut.status == "interrupted"
    assert 0 < cut.n_records < 12
    again = resume(tmp_path / "a")
    np.testing.assert_array_equal(again.final_weights, whole.final_weights)
    for name in ("dense_weight", "attacked_loss", "bias"):
        np.testing.assert_array_equal(again[name], whole[name])


def test_fresh_samples_are_new_in_every_step_and_repeatable(rng):
    data = SPEC.sample(1, rng)
    first, second = (train(MODEL, data, schedule=FRESH, rng=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.final_weights, second.final_weights)
    assert len(set(first["clean_loss"][:-1].tolist())) == 12
    third = train(MODEL, data, schedule=FRESH, rng=np.random.default_rng(8))
    assert not np.array_equal(first.final_weights, third.final_weights)


def test_ramps_end_at_the_models_values(rng):
    trace = train(MODEL, SPEC.sample(20, rng), schedule=RAMP, rng=rng)
    np.testing.assert_allclose(trace["bias"][[0, 4, 8, 12]], [0.03, 0.075, 0.12, 0.12])
    np.testing.assert_allclose(trace["smoothing"][[0, 4, 8, 12]], [0.02, 0.035, 0.05, 0.05])


def test_divergence_is_reported(rng):
    data = SPEC.sample(20, rng)
    schedule = RampSchedule(n_steps=60, step_size=1e6, weight_decay=10.0)
    with pytest.warns(RuntimeWarning, match="try step_size below"):
        trace = train(MODEL, data, schedule=schedule, rng=rng)
    assert trace.status == "diverged"
    assert 0 < trace.n_records < 60


def test_phases_of_a_scenario_start_from_each_other():
    scenario = get_scenario("purification/C").with_settings(
        {
            "n_samples": 200,
            "n_steps": 6,
            "standard.schedule.ramp_steps": 3,
            "scratch-ramp.schedule.ramp_steps": 3,
        }
    )
    ends = {
        name: scenario.run(name, 1, recording=Recording(at=(), weights_at=(0,)))
        for name in scenario.trainings
    }
    clean = ends["standard"].final_weights
    for name in ("adversarial", "control", "low-rank"):
        np.testing.assert_array_equal(ends[name].weights_at(0), clean)
    np.testing.assert_array_equal(ends["scratch"].weights_at(0), ends["scratch-ramp"].final_weights)
    np.testing.assert_array_equal(ends["low-rank-scratch"].weights_at(0), ends["standard"].weights_at(0))
    change = ends["low-rank"].final_weights[0] - clean[0]
    assert np.linalg.matrix_rank(change, tol=1e-9 * np.linalg.norm(change)) <= 16


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attack": raw_step(Threat(radius=0.1), 1.0)}, ValueError, "unit steps"),
        (
            {"attack": pgd(Threat(radius=0.1), n_random=1, keep="last")},
            ValueError,
            "start at the clean point",
        ),
        ({"attack": fgm(Threat(radius=0.1, subspace="own"))}, ValueError, "subspace must be None"),
        ({"attack": SPEC}, TypeError, "attack in training must be a GradientAttack"),
        (
            {"initial_weights": np.zeros((1, 3, 10))},
            ValueError,
            r"initial_weights must have shape \(1, 8, 10\)",
        ),
        ({"initial_weights": np.full((1, 8, 10), np.nan)}, ValueError, "initial_weights must be finite"),
        ({"batches": np.full((12, 3), 99)}, ValueError, "batches must hold sample indices"),
        ({"rng": None}, ValueError, "rng must be given"),
        ({"recording": Recording(quantities=("accuracy",))}, ValueError, "quantities must be among"),
        ({"schedule": FRESH, "batches": np.zeros((12, 3), int)}, ValueError, "batches must be None"),
    ],
)
def test_impossible_requests_are_refused(options, error, message, rng):
    given = {"schedule": RAMP, "rng": rng, **options}
    with pytest.raises(error, match=message):
        train(MODEL, SPEC.sample(20, rng), **given)


def test_impossible_data_are_refused(rng):
    own = sparse_coding_data(
        rng.standard_normal((6, 10)), [0, 1] * 3, dictionary=np.eye(10), label_weights=np.ones(10)
    )
    assert train(MODEL, own, schedule=Schedule(n_steps=2), rng=rng).status == "completed"
    with pytest.raises(ValueError, match="fresh samples need data from a SparseCodingSpec"):
        train(MODEL, own, schedule=FRESH, rng=rng)
    with pytest.raises(TypeError, match="data must be SparseCodingData"):
        train(MODEL, (own.X, own.y), schedule=Schedule(n_steps=2), rng=rng)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ramp_steps": 0}, "ramp_steps must be > 0 when bias_start"),
        ({"bias_start": -0.1}, "bias_start must be >= 0"),
        ({"weight_decay": -1.0}, "weight_decay must be >= 0"),
        ({"rank": 0}, "rank must be >= 1"),
        ({"fresh": True, "batch_size": None}, "batch_size must be given"),
    ],
)
def test_impossible_schedules_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RAMP.replace(**change)


def test_attack_of_training_is_a_gradient_attack():
    assert isinstance(get_scenario("purification/A").trainings["adversarial"].attack, GradientAttack)
