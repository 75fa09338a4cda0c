"""Training from random starts: what may not change it, where it goes on, and where it is refused."""

import numpy as np
import pytest

from featsim.attacks import fgm, margin_step, pgd
from featsim.data import GramPatchSpec, PatchDataSpec, SignalNoiseSpec, patch_data, sample_patches
from featsim.models import PowerNetworkSpec, TwoLayerSpec
from featsim.threats import Threat
from featsim.traces import RunFolder
from featsim.training import Recording, RelativeSchedule, Schedule, WhiteningSchedule, loop, resume, train

THREATS = {
    "l2": Threat(radius=0.3),
    "l2 whole input": Threat(radius=0.5, scope="input"),
    "linf": Threat(radius=0.1, norm="linf"),
    "own": Threat(radius=0.3, subspace="own"),
}


def started(attack):
    return attack.replace(starts=("random",), n_random=1)


@pytest.fixture
def data(rng):
    return sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8, noise_std=0.1), 6, rng)


def run(data, threat, *, seed=0, schedule=None, **settings):
    return train(
        TwoLayerSpec(width=2, init_std=0.4),
        data,
        schedule=schedule or Schedule(n_steps=30, step_size=0.4, batch_size=4),
        attack=started(pgd(threat, 2, keep="last")),
        rng=np.random.default_rng(seed),
        **settings,
    )


@pytest.mark.parametrize("threat", THREATS.values(), ids=THREATS)
def test_the_same_generator_is_the_same_run_however_it_is_recorded_and_cut(threat, data, monkeypatch):
    whole = run(data, threat, recording=Recording(weights_at=(7,)))
    assert whole.status == "completed" and np.all(whole["dead_gradients"] == 0)
    again = run(data, threat, recording=Recording(weights_at=(7,)))
    other = run(data, threat, seed=1)
    sparse = run(data, threat, recording=Recording(at=(3, 11), weights_at=(7,), quantities=("clean_loss",)))
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_CHUNK_SECONDS", 0.0)  # one step at a time
        cut = run(data, threat, recording=Recording(weights_at=(7,)))
    for name in whole:
        np.testing.assert_array_equal(again[name], whole[name], err_msg=name)
        np.testing.assert_array_equal(cut[name], whole[name], err_msg=name)
    np.testing.assert_array_equal(sparse.final_weights, whole.final_weights)
    np.testing.assert_array_equal(sparse.weights_at(7), whole.weights_at(7))
    np.testing.assert_array_equal(sparse["clean_loss"], whole["clean_loss"][[3, 11]])
    assert np.abs(other.final_weights - whole.final_weights).max() > 1e-3


@pytest.mark.parametrize("threat", [THREATS["l2"], THREATS["linf"]], ids=["l2", "linf"])
def test_a_stopped_run_goes_on_with_the_same_bits(threat, data, tmp_path, monkeypatch):
    whole = run(data, threat)
    take, calls = loop._Run.take, []

    def stopping(self, chunk, n_steps):
        take(self, chunk, n_steps)
        calls.append(n_steps)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop._Run, "take", stopping)
        assert run(data, threat, out=tmp_path / "a.npz").status == "interrupted"
    assert RunFolder.open(tmp_path / "a.run").inputs["start_seed"].shape == ()
    found = resume(tmp_path / "a.npz")
    assert found.status == "completed"
    for name in whole:
        np.testing.assert_array_equal(found[name], whole[name], err_msg=name)


def test_the_starts_are_drawn_after_weights_and_batches(data):
    """An attack from the clean point draws what it always did, and one from random starts the same before."""
    generators = [np.random.default_rng(4) for _ in range(2)]
    traces = [
        train(
            TwoLayerSpec(width=2), data, schedule=Schedule(n_steps=2, batch_size=4), attack=attack, rng=rng,
            recording=Recording(weights_at=(0,)),
        )
        for attack, rng in zip((fgm(THREATS["l2"]), started(fgm(THREATS["l2"]))), generators, strict=True)
    ]  # fmt: skip
    np.testing.assert_array_equal(traces[0].weights_at(0), traces[1].weights_at(0))
    generators[0].integers(2**62)  # what the seed of the starts took
    assert generators[0].bit_generator.state == generators[1].bit_generator.state
    assert np.any(traces[0].final_weights != traces[1].final_weights)


def test_a_start_leaves_the_span_but_not_a_subspace(rng):
    data = sample_patches(PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=60, noise_std=0.05), 4, rng)
    settings = {"schedule": Schedule(n_steps=20, step_size=0.4)}
    free = run(data, THREATS["l2"], **settings)
    assert free.meta["reduction"] == {
        "used": False,
        "reason": "the random starts of the attack leave the span",
    }
    with pytest.raises(ValueError, match="reduction must not be 'always' here: the random starts"):
        run(data, THREATS["l2"], reduction="always", **settings)
    direct, turned = (run(data, THREATS["own"], reduction=how, **settings) for how in ("never", "always"))
    assert turned.meta["reduction"]["used"]
    for name in ("robust_coef", "nonrobust_coef", "attacked_loss", "attacked_robust"):
        np.testing.assert_allclose(turned[name], direct[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_in_the_limit_of_many_dimensions_within_features(rng):
    """Coordinates in a span hold starts within the features, and no others."""
    data = GramPatchSpec(dim=1e6, n_nonrobust_patches=5, noise_norm=0.1).sample_for(
        TwoLayerSpec(width=2), 4, rng
    )
    assert run(data, THREATS["own"], schedule=Schedule(n_steps=3)).status == "completed"
    with pytest.raises(ValueError, match="random start leaves the span; give the threat a subspace"):
        run(data, THREATS["l2"], schedule=Schedule(n_steps=3))


@pytest.mark.parametrize(
    "schedule", [RelativeSchedule(n_steps=12, step_size=0.4), WhiteningSchedule(n_steps=12, step_size=0.1)],
    ids=["relative", "whitening"],
)  # fmt: skip
def test_the_other_schedules_of_patch_networks(schedule, data):
    whole, sparse = (
        run(data, THREATS["l2"], schedule=schedule, recording=recording)
        for recording in (Recording(), Recording(at=(12,)))
    )
    np.testing.assert_array_equal(whole.final_weights, sparse.final_weights)
    other = run(data, THREATS["l2"], schedule=schedule, seed=1)
    assert np.any(other.final_weights != whole.final_weights)


def test_a_radius_of_zero_is_standard_training(data):
    weights = 0.4 * np.random.default_rng(1).standard_normal((3, 2, 8))
    schedule = Schedule(n_steps=20, step_size=0.4)
    plain = train(TwoLayerSpec(width=2), data, schedule=schedule, initial_weights=weights)
    for threat in THREATS.values():
        trace = run(data, threat.replace(radius=0.0), schedule=schedule, initial_weights=weights)
        np.testing.assert_allclose(trace.final_weights, plain.final_weights, rtol=1e-12, atol=1e-14)


@pytest.mark.slow  # compiles two kernels for float32
@pytest.mark.parametrize("threat", THREATS.values(), ids=THREATS)
def test_in_float32_it_starts_from_the_same_points(threat, data):
    double, single = (
        run(data, threat, schedule=Schedule(n_steps=20, step_size=0.4, precision=p))
        for p in ("float64", "float32")
    )
    moved = np.abs(np.diff(double["robust_coef"], axis=0)).max()
    off = np.abs(single["robust_coef"] - double["robust_coef"]).max()
    assert 0.0 < off <= 20 * 64 * 2.0**-24 * moved  # as for attacks from the clean point


@pytest.mark.parametrize(
    "change, message",
    [
        ({"starts": ("clean", "random"), "n_random": 1}, "must have one start"),
        ({"starts": ("random",), "n_random": 2}, "must have one start"),
        ({"starts": ("steepest",)}, "must have one start"),
        ({"starts": ("random",), "n_random": 1, "keep": "best"}, "keep must be 'last'"),
    ],
)
def test_what_training_does_not_follow_is_refused(change, message, data, rng):
    attack = pgd(THREATS["l2"], 2, keep="last").replace(**change)
    with pytest.raises(ValueError, match=message):
        train(TwoLayerSpec(), data, schedule=Schedule(n_steps=1), attack=attack, rng=rng)


def test_where_starts_cannot_be_drawn_they_are_refused(data, rng):
    schedule = Schedule(n_steps=1)
    attack = started(margin_step(THREATS["l2"], 0.5))
    with pytest.raises(ValueError, match="rng must be given for random starts"):
        train(
            TwoLayerSpec(width=2), data, schedule=schedule, attack=attack, initial_weights=np.zeros((3, 2, 8))
        )
    pixels = np.array([[0, 1, 2], [1, 2, 3]])
    images = patch_data(rng.uniform(size=(4, 4))[:, pixels], [0, 1, 0, 1], pixel_map=pixels)
    whole = started(fgm(THREATS["l2 whole input"]))
    with pytest.raises(ValueError, match=r"starts must be \('clean',\) for patches that share pixels"):
        train(TwoLayerSpec(), images, schedule=schedule, attack=whole, rng=rng)
    with pytest.raises(ValueError, match="must start at the clean point alone"):
        train(PowerNetworkSpec(), SignalNoiseSpec(dim=10, n_fresh=0).sample(4, rng), schedule=schedule,
              attack=whole, rng=rng)  # fmt: skip
