"""Estimates of a run: sizes, products, times; nothing is trained, drawn or written."""

import math
import time

import pytest
from training_cases import CASES, settings

from featsim.attacks import pgd
from featsim.data import PatchDataSpec
from featsim.models import TwoLayerSpec
from featsim.scenarios import get_scenario
from featsim.threats import Threat
from featsim.training import Recording, Schedule, estimate_run, train
from featsim.training.progress import Progress, duration

MODELLED = {"patches", "minibatches", "subspace", "whitening", "symmetric"}


@pytest.mark.parametrize("name", CASES)
def test_every_theory_has_an_estimate_that_leaves_no_trace(name, tmp_path):
    given = settings(name)
    before = given["rng"].bit_generator.state
    found = estimate_run(**given, recording=Recording(every=3), out=tmp_path / "a.npz")
    assert given["rng"].bit_generator.state == before and not any(tmp_path.iterdir())
    trace = train(**given, recording=Recording(every=3))
    assert found.source == "measure" and found.seconds > 0.0 and found.fits
    assert (found.n_steps, found.n_records) == (12, trace.n_records)
    assert found.trace_bytes >= sum(array.nbytes for array in trace.arrays.values()) * 0.5
    assert found.memory_bytes >= found.data_bytes + found.work_bytes
    assert found.disk_bytes == found.data_bytes + 2 * found.trace_bytes
    assert math.isnan(found.step_flop) == (name not in MODELLED)


@pytest.mark.parametrize("name", CASES)
def test_only_some_theories_have_a_model_of_their_steps(name):
    if name in MODELLED:
        assert estimate_run(**settings(name), method="model").source == "model"
        return
    with pytest.raises(ValueError, match="method must be 'auto' or 'measure' here, got 'model'"):
        estimate_run(**settings(name), method="model")


@pytest.mark.parametrize("norm, n_steps", [(None, 0), ("l2", 1), ("l2", 10), ("linf", 3)])
def test_products_are_those_of_the_cost_model(norm, n_steps, rng):
    """4NKd for clean steps; 2NK^2 (S + 1) and 4 K^2 d more in coefficient space; 4NKd (S + 1) directly."""
    data = PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=30, noise_std=0.1).sample(12, rng)
    N, K, d = 12 * data.n_patches, 3 * 4, 30
    attack = None
    if norm is not None:
        attack = pgd(Threat(radius=0.1, norm=norm, scope="input"), n_steps=n_steps, keep="last")
    expected = 4 * N * K * d
    if norm == "l2":
        expected += 2 * N * K**2 * (n_steps + 1) + 4 * K**2 * d
    elif norm == "linf":
        expected *= n_steps + 1
    found = estimate_run(
        TwoLayerSpec(width=4), data, schedule=Schedule(n_steps=5), attack=attack, rng=rng, method="model",
        reduction="never",
    )  # fmt: skip
    assert found.step_flop == expected


def test_single_precision_and_minibatches_are_counted(rng):
    given = settings("patches")
    double = estimate_run(**given, method="none")
    single = given["schedule"].replace(precision="float32")
    copied = estimate_run(**{**given, "schedule": single}, method="none")
    assert copied.work_bytes == double.work_bytes + given["data"].X.nbytes // 2
    batches = estimate_run(**settings("minibatches"), method="model")
    whole = estimate_run(**{**settings("minibatches"), "schedule": Schedule(n_steps=12)}, method="model")
    assert batches.step_flop == pytest.approx(whole.step_flop * 4 / 6)


@pytest.mark.slow
@pytest.mark.parametrize("norm, n_steps", [(None, 0), ("l2", 1), ("l2", 10), ("linf", 3)])
@pytest.mark.parametrize("method", ["model", "measure"])
def test_times_are_right_within_a_factor_of_two(norm, n_steps, method, rng):
    """CPU time of one thread; two is what is promised."""
    data = PatchDataSpec(n_classes=3, n_nonrobust_patches=15, dim=128, noise_std=0.1).sample(201, rng)
    attack = None
    if norm is not None:
        attack = pgd(Threat(radius=0.1, norm=norm, scope="input"), n_steps=n_steps, keep="last")
    given = dict(
        model=TwoLayerSpec(width=10), data=data, schedule=Schedule(n_steps=60), attack=attack,
        initial_weights=0.05 * rng.standard_normal((3, 10, 128)), recording=Recording(at=()),
    )  # fmt: skip
    train(**{**given, "schedule": Schedule(n_steps=1)})
    begin = time.thread_time()
    train(**given)
    actual = time.thread_time() - begin
    assert 0.5 < estimate_run(**given, method=method).seconds / actual < 2.0


def test_sizes_alone_need_no_time():
    found = estimate_run(**settings("patches"), method="none")
    assert found.source == "none" and math.isnan(found.seconds)
    assert "time    unknown (not estimated)" in found.describe()


def test_trainings_that_come_first_are_counted():
    scenario = get_scenario("purification/A")
    later = next(name for name, training in scenario.trainings.items() if training.start_from)
    found = scenario.estimate(later, recording=Recording(at=()), method="measure")
    first = scenario.trainings[later].start_from
    assert found.earlier_seconds > 0.0
    assert scenario.estimate(first, method="none").earlier_seconds == 0.0


@pytest.mark.parametrize(
    "seconds, words",
    [(0.0123, "0.012 s"), (42.3, "42 s"), (89, "89 s"), (600, "10 min"), (8000, "2.2 h"), (1e6, "12 days"),
     (math.nan, "unknown")],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_log_says_how_long_the_rest_takes(capsys, monkeypatch):
    from featsim.training import progress

    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress(1000, "run", shown=True, done=200) as report:
        clock[0] += 20.0
        report.advance(100)  # a tenth of the rest in 20 seconds
    assert capsys.readouterr().err == "run: step 300 of 1000, about 2.3 min left\n"
