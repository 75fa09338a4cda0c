"""`train` as a user meets it: schedules, recordings, quantities, and refusals before any work."""

import json

import numpy as np
import pytest

from featsim.attacks import FeatureAttack, fgm, pgd
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import (
    BiasedReluSpec,
    LinearModel,
    NtkSpec,
    PowerNetworkSpec,
    TwoLayerNetwork,
    TwoLayerSpec,
)
from featsim.specs import spec_from_dict
from featsim.threats import Threat
from featsim.training import (
    Adam,
    ProjectedDescent,
    RampSchedule,
    Recording,
    RunSpec,
    Schedule,
    WhiteningSchedule,
    train,
)
from featsim.training.patch_stepper import PatchStepper

DATA_SPEC = PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8)
MODEL = TwoLayerSpec(width=2)
SCHEDULE = Schedule(n_steps=10, step_size=0.4)


@pytest.fixture
def data(rng):
    return sample_patches(DATA_SPEC, 6, rng)


def never(*_):
    pytest.fail("work was done before the error")


# ---------------------------------------------------------------- what a trace holds


def test_the_record_of_a_step_is_the_state_before_its_update(data, rng):
    weights = 0.3 * rng.standard_normal((3, 2, 8))
    trace = train(
        MODEL, data, schedule=SCHEDULE, initial_weights=weights, recording=Recording(weights_at=(0, 4, 10))
    )
    assert trace.steps.tolist() == list(range(11)) and trace.status == "completed"
    np.testing.assert_array_equal(trace.weights_at(0), weights)
    np.testing.assert_array_equal(trace.weights_at(10), trace.final_weights)
    for step in (0, 4, 10):
        net = TwoLayerNetwork(trace.weights_at(step))
        np.testing.assert_allclose(trace.at(step)["clean_loss"], net.loss(data.X, data.y), rtol=1e-13)
        own = np.einsum("kmd,kd->km", net.weights, data.robust_features)
        np.testing.assert_allclose(trace.at(step)["robust_coef"], own, rtol=1e-12, atol=1e-15)


def test_the_trace_carries_its_whole_configuration(data, rng):
    attack = fgm(Threat(radius=0.3))
    trace = train(
        MODEL, data, schedule=SCHEDULE, attack=attack, rng=rng, scenario="a/b", training="c", seed=7
    )
    spec = spec_from_dict(json.loads(json.dumps(trace.spec)))
    assert spec == RunSpec(
        model=MODEL, data=DATA_SPEC, attack=attack, schedule=SCHEDULE, recording=Recording(),
        scenario="a/b", training="c", seed=7,
    )  # fmt: skip
    assert spec.label == "a/b c seed 7"
    assert {"featsim", "numpy", "numba"} <= set(trace.versions)


def test_everything_but_the_tables_is_recorded_unless_asked(data, rng):
    standard = train(MODEL, data, schedule=SCHEDULE, rng=rng)
    attacked = train(MODEL, data, schedule=SCHEDULE, rng=rng, attack=fgm(Threat(radius=0.3)))
    assert set(attacked) - set(standard) == {
        "attacked_loss", "attacked_accuracy", "dead_gradients",
        "perturbation_cosine", "attacked_nonrobust", "attacked_robust",
    }  # fmt: skip
    assert "nonrobust_share" in standard and "robust_table" not in standard
    chosen = train(MODEL, data, schedule=SCHEDULE, rng=rng, recording=Recording(quantities=("robust_table",)))
    assert set(chosen) == {"steps", "robust_table", "weight_steps", "weights", "final_weights"}
    assert chosen["robust_table"].shape == (11, 3, 2, 3)
    none = train(MODEL, data, schedule=SCHEDULE, rng=rng, recording=Recording(quantities=()))
    assert none.n_records == 11


def test_shares_are_those_of_the_own_class_logits(data, rng):
    weights = (
        np.abs(rng.standard_normal((3, 2, 1))) * (data.robust_features + data.nonrobust_features)[:, None]
    )
    trace = train(MODEL, data, schedule=SCHEDULE, initial_weights=weights)
    assert ((trace["nonrobust_share"] > 0.1) & (trace["nonrobust_share"] < 0.9)).any()
    np.testing.assert_allclose(
        trace["nonrobust_share"] * (trace["robust_logit"] + trace["nonrobust_logit"]),
        trace["nonrobust_logit"],
        rtol=1e-13,
    )
    net = TwoLayerNetwork(trace.final_weights)
    robust = net.scores(data.without("nonrobust").X)[np.arange(6), data.y]
    np.testing.assert_allclose(trace["robust_logit"][-1][data.y], robust, rtol=1e-12, atol=1e-15)


def test_the_generator_draws_weights_unless_they_are_given(data):
    drawn = train(MODEL, data, schedule=SCHEDULE, rng=np.random.default_rng(1))
    weights = MODEL.initial_weights(3, 8, np.random.default_rng(1))
    given = train(MODEL, data, schedule=SCHEDULE, initial_weights=weights)
    np.testing.assert_array_equal(given.final_weights, drawn.final_weights)
    as_list = train(MODEL, data, schedule=SCHEDULE, initial_weights=weights.tolist())
    np.testing.assert_array_equal(as_list.final_weights, drawn.final_weights)


# ---------------------------------------------------------------- recordings


@pytest.mark.parametrize(
    ("recording", "steps"),
    [
        (Recording(), range(11)),
        (Recording(every=4), [0, 4, 8, 10]),
        (Recording(every=99), [0, 10]),
        (Recording(at=(7, 3, 3)), [3, 7]),
        (Recording(at=()), []),
        (Recording(n_log=5), [0, 1, 2, 5, 10]),
    ],
)
def test_steps_recorded(recording, steps, data, rng):
    trace = train(MODEL, data, schedule=SCHEDULE, rng=rng, recording=recording)
    assert trace.steps.tolist() == list(steps)
    assert spec_from_dict(recording.to_dict()) == recording


def test_logarithmic_steps_are_spaced_by_a_constant_factor():
    steps = Recording(n_log=20).steps(100_000)
    assert steps[0] == 0 and steps[-1] == 100_000 and len(steps) <= 21
    ratio = steps[8:] / steps[7:-1]
    assert ratio.max() / ratio.min() < 1.1
    assert Recording(n_log=2).steps(1).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"every": 0}, ValueError, "every must be >= 1"),
        ({"every": 1.5}, TypeError, "every must be an integer"),
        ({"n_log": 1}, ValueError, "n_log must be >= 2"),
        ({"n_log": 5, "at": (1,)}, ValueError, "at must be None when n_log is given"),
        ({"at": (1, -1)}, ValueError, r"at\[1\] must be >= 0"),
        ({"at": 5}, TypeError, r"at must be a sequence of steps, got 5; write \(5,\) for one"),
        ({"at": "5"}, TypeError, "at must be a sequence of steps"),
        ({"weights_at": None}, TypeError, "weights_at must be a sequence of steps"),
        ({"weights_at": (0.5,)}, TypeError, r"weights_at\[0\] must be an integer"),
        ({"quantities": "clean_loss"}, ValueError, "quantities must be a tuple of names"),
    ],
)
def test_bad_recordings(settings, error, message):
    with pytest.raises(error, match=message):
        Recording(**settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_steps": 0}, ValueError, "n_steps must be >= 1"),
        ({"n_steps": True}, TypeError, "n_steps must be an integer"),
        ({"n_steps": 5, "step_size": 0.0}, ValueError, "step_size must be > 0"),
        ({"n_steps": 5, "step_size": float("nan")}, ValueError, "step_size must be a number, not nan"),
        ({"n_steps": 5, "step_size": float("inf")}, ValueError, "step_size must be finite"),
        ({"n_steps": 5, "batch_size": 0}, ValueError, "batch_size must be >= 1"),
    ],
)
def test_bad_schedules(settings, error, message):
    with pytest.raises(error, match=message):
        Schedule(**settings)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"model": LinearModel(np.zeros((2, 3)))},
            TypeError,
            "model must be one of .*TwoLayerSpec.*, got LinearModel",
        ),
        (
            {"data": np.zeros((2, 3, 8))},
            TypeError,
            r"data must be a PatchData, got ndarray; use patch_data\(X, y\)",
        ),
        ({"schedule": 10}, TypeError, "schedule must be a Schedule, got int"),
        ({"recording": "clean_loss"}, TypeError, "recording must be a Recording or None, got str"),
        ({"recording": Recording(quantities=("loss",))}, ValueError, "quantities must be among .*got 'loss'"),
        (
            {"recording": Recording(quantities=("attacked_loss",))},
            ValueError,
            "for this data and attack, got 'attack",
        ),
        ({"recording": Recording(at=(11,))}, ValueError, r"at must lie in 0..n_steps = 0..10, got 11"),
        (
            {"recording": Recording(weights_at=(99,))},
            ValueError,
            "weights_at must lie in 0..n_steps = 0..10, got 99",
        ),
        ({"rng": None}, ValueError, "rng must be given when initial_weights is not"),
        ({"rng": 5}, TypeError, "rng must be a numpy.random.Generator"),
        (
            {"initial_weights": np.zeros((3, 2, 7))},
            ValueError,
            r"initial_weights must have shape \(3, 2, 8\), got",
        ),
        (
            {"initial_weights": np.zeros((3, 2))},
            ValueError,
            r"initial_weights must have shape \(3, 2, 8\), got",
        ),
        (
            {"initial_weights": np.full((3, 2, 8), np.nan)},
            ValueError,
            "initial_weights must be finite, got nan",
        ),
        (
            {"initial_weights": np.full((3, 2, 8), np.inf)},
            ValueError,
            "initial_weights must be finite, got inf",
        ),
        (
            {"initial_weights": np.zeros((3, 2, 8), complex)},
            TypeError,
            "must hold real numbers, got dtype complex",
        ),
        ({"initial_weights": [["a"]]}, TypeError, "initial_weights must hold real numbers"),
        (
            {"batches": np.zeros((9, 2), int)},
            ValueError,
            r"\(n_steps, B\) = \(10, B\), got .* shape \(9, 2\)",
        ),
        ({"batches": np.zeros((10, 2))}, ValueError, "batches must hold integers .* got dtype float64"),
        ({"batches": np.zeros(10, int)}, ValueError, "batches must hold integers of shape"),
        ({"batches": np.full((10, 2), 6)}, ValueError, r"sample indices in 0..5, got 6..6"),
        ({"batches": np.full((10, 2), -1)}, ValueError, r"sample indices in 0..5, got -1..-1"),
        (
            {"schedule": Schedule(n_steps=10, batch_size=7)},
            ValueError,
            "batch_size must be <= n_samples = 6, got 7",
        ),
        ({"attack": "A-pgd"}, TypeError, "attack in training must be a GradientAttack or None, got str"),
        (
            {"attack": FeatureAttack(radius=0.3)},
            TypeError,
            "attack in training must be a GradientAttack or None",
        ),
        ({"attack": pgd(Threat(radius=0.3), n_random=2)}, ValueError, "must have one start"),
        (
            {"attack": pgd(Threat(radius=0.3), objective="targeted")},
            ValueError,
            "objective in training must be",
        ),
        ({"attack": pgd(Threat(radius=0.3))}, ValueError, r"keep must be 'last' .* got 'best'; use pgd"),
        (
            {"attack": pgd(Threat(radius=0.3), keep="last", stop_when_broken=True)},
            ValueError,
            "stop_when_broken must be False",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(settings, error, message, data, rng, monkeypatch):
    monkeypatch.setattr(PatchStepper, "advance", never)
    arguments = {"model": MODEL, "data": data, "schedule": SCHEDULE, "rng": rng, **settings}
    with pytest.raises(error, match=message):
        train(**arguments)


def test_minibatches_need_a_generator(data):
    with pytest.raises(ValueError, match="rng must be given when the schedule draws minibatches"):
        train(MODEL, data, schedule=Schedule(n_steps=3, batch_size=2), initial_weights=np.zeros((3, 2, 8)))


def test_quantities_that_the_data_cannot_give(data, rng):
    bare = patch_data(data.X, data.y)
    with pytest.raises(ValueError, match="quantities must be among rest_norm, .*got 'robust_coef'"):
        train(MODEL, bare, schedule=SCHEDULE, rng=rng, recording=Recording(quantities=("robust_coef",)))
    with pytest.raises(ValueError, match="subspace 'own' must come with data that has robust_features"):
        train(MODEL, bare, schedule=SCHEDULE, rng=rng, attack=fgm(Threat(radius=0.3, subspace="own")))


# ---------------------------------------------------------------- progress


def test_training_is_silent_unless_asked_and_writes_plain_lines_into_a_log(data, rng, capsys, monkeypatch):
    train(MODEL, data, schedule=SCHEDULE, rng=rng)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("featsim.training.progress._LOG_SECONDS", 0.0)
    train(MODEL, data, schedule=SCHEDULE, rng=rng, progress=True, scenario="a/b", training="standard", seed=1)
    output, errors = capsys.readouterr()
    assert output == "" and "\r" not in errors
    assert errors.splitlines()[-1] == "a/b standard seed 1: step 10 of 10"


@pytest.mark.parametrize(
    ("model", "schedule", "message"),
    [
        (NtkSpec(), Adam(n_steps=3), "with the schedule Adam, got NtkSpec; use a schedule of kind Schedule"),
        (MODEL, ProjectedDescent(n_steps=3, ball_radius=1.0), "NtkSpec or DeepNtkSpec with the"),
        (PowerNetworkSpec(), ProjectedDescent(n_steps=3), "with the schedule ProjectedDescent, got Power"),
        (PowerNetworkSpec(), RampSchedule(n_steps=3), "with the schedule RampSchedule, got Power"),
        (NtkSpec(), WhiteningSchedule(n_steps=3), "with the schedule WhiteningSchedule, got NtkSpec"),
        (BiasedReluSpec(), RampSchedule(n_steps=3), "got BiasedReluSpec; use a schedule of kind Adam"),
    ],
)
def test_a_schedule_whose_fields_would_be_ignored_is_refused(data, rng, model, schedule, message):
    with pytest.raises(TypeError, match=message):
        train(model, data, schedule=schedule, rng=rng)
