"""Training in the span of its inputs: the same run to rounding, when it is chosen, when it is refused."""

import numpy as np
import pytest

from featsim.attacks import SignalAttack, fgm, margin_step, pgd
from featsim.cli import main
from featsim.data import GramPatchSpec, PatchDataSpec, SignalNoiseSpec, SparseCodingSpec, patch_data
from featsim.images import ImageDataSpec, Patching
from featsim.models import PowerNetworkSpec, SymmetricNetworkSpec, TwoLayerSpec
from featsim.scenarios import get_scenario
from featsim.threats import Threat
from featsim.traces import load_trace
from featsim.training import (
    FlowSchedule,
    Mixture,
    Recording,
    RelativeSchedule,
    Schedule,
    WhiteningSchedule,
    resume,
    train,
)
from featsim.training.loop import _Run
from featsim.training.subspace import spanning_basis

PATCH, WHOLE = Threat(radius=0.35), Threat(radius=0.35, scope="input")
ATTACKS = {
    "standard": None,
    "margin": margin_step(PATCH, 1000.0),
    "own": margin_step(Threat(radius=0.35, subspace="own"), 1000.0),
    "input": fgm(WHOLE),
    "steps": pgd(PATCH, n_steps=5, keep="last"),
}
NETWORK, POWER = TwoLayerSpec(width=4), PowerNetworkSpec(width=4)
KEPT = Recording(every=5, weights_at=(7,))
SHORT = Schedule(n_steps=30)
STEEP = Schedule(n_steps=60, step_size=0.02)


def patches(dim, attack, reduction, **changes):
    rng = np.random.default_rng(1)
    spec = PatchDataSpec(n_classes=3, n_nonrobust_patches=8, dim=dim, noise_std=0.05, **changes)
    data = spec.sample(6, rng)
    return train(NETWORK, data, schedule=SHORT, attack=attack, rng=rng, recording=KEPT, reduction=reduction)


def signals(dim, attack, reduction, seed=1, **settings):
    rng = np.random.default_rng(seed)
    data = SignalNoiseSpec(dim=dim, n_fresh=30, signal="random").sample(6, rng)
    return train(POWER, data, schedule=STEEP, attack=attack, rng=rng, reduction=reduction, **settings)


def assert_same(direct, reduced, atol):
    assert set(direct) == set(reduced)
    for name in direct:
        np.testing.assert_allclose(reduced[name], direct[name], atol=atol, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("dim", [50, 200, 2000])
@pytest.mark.parametrize("name", ATTACKS)
def test_structured_data_are_the_same_to_rounding(dim, name):
    direct, reduced = (patches(dim, ATTACKS[name], reduction) for reduction in ("never", "always"))
    rank = min(6 + 54 + 12, dim)
    assert reduced.meta["reduction"] == {"used": True, "rank": rank, "dim": dim}
    assert direct.meta["reduction"] == {"used": False, "reason": "not wanted"}
    assert reduced.final_weights.shape == (3, 4, dim)
    # Cosines of gradients that nearly vanish amplify rounding.
    assert_same(direct, reduced, 1e-10)


@pytest.mark.parametrize("dim", [50, 200, 2000])
@pytest.mark.parametrize(
    "attack",
    [
        SignalAttack(radius=1.9),
        Mixture(attack=SignalAttack(radius=1.9, rule="worst"), weight=0.5),
        pgd(Threat(radius=0.5, scope="input"), n_steps=2, keep="last"),
    ],
)
def test_signal_and_noise_are_the_same_to_rounding(dim, attack):
    direct, reduced = (signals(dim, attack, reduction) for reduction in ("never", "always"))
    assert reduced.meta["reduction"]["rank"] == min(1 + 12 + 4, dim)
    assert_same(direct, reduced, 1e-12)


def test_an_axis_attack_would_change_and_is_left_alone():
    """Control: the l_inf run on rotated data is another one."""
    box = fgm(Threat(radius=0.01, norm="linf"))
    trace = patches(2000, box, "auto")
    assert trace.meta["reduction"]["used"] is False
    assert "linf ball of the attack depends on the axes" in trace.meta["reduction"]["reason"]
    with pytest.raises(ValueError, match="must not be 'always' here: the linf ball"):
        patches(2000, box, "always")
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 30)))[0]
    data = PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=30).sample(2, np.random.default_rng(1))
    turned = patch_data(data.X @ rotation, data.y)
    start = NETWORK.initial_weights(2, 30, np.random.default_rng(2))
    runs = [
        train(NETWORK, d, schedule=SHORT, attack=box, initial_weights=w).arrays["clean_loss"][-1]
        for d, w in ((patch_data(data.X, data.y), start), (turned, start @ rotation))
    ]
    assert abs(runs[0] - runs[1]) > 1e-6


def test_whitening_would_change_and_is_left_alone():
    """Control: the floor, a share of the mean eigenvalue, is another one in fewer dimensions."""
    rng = np.random.default_rng(1)
    data = PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=200, noise_std=0.05).sample(4, rng)
    schedule = WhiteningSchedule(n_steps=5)
    weights = NETWORK.initial_weights(2, 200, rng)
    trace = train(NETWORK, data, schedule=schedule, initial_weights=weights)
    assert "floor of the whitening" in trace.meta["reduction"]["reason"]
    with pytest.raises(ValueError, match="must not be 'always' here: the floor of the whitening"):
        train(NETWORK, data, schedule=schedule, initial_weights=weights, reduction="always")
    basis = spanning_basis({"X": data.X, "weights": weights})
    inside = train(NETWORK, patch_data(data.X @ basis.T, data.y), schedule=schedule,
                   initial_weights=weights @ basis.T, reduction="never")  # fmt: skip
    moved = np.abs(trace.final_weights - weights).max()
    assert np.abs(inside.final_weights @ basis - trace.final_weights).max() > 0.01 * moved


@pytest.mark.parametrize("schedule", [RelativeSchedule(n_steps=60), FlowSchedule(n_steps=20, end_time=50.0)])
def test_schedules_that_read_inner_products_are_the_same_to_rounding(schedule):
    runs = []
    for reduction in ("never", "always"):
        rng = np.random.default_rng(2)
        settings = {"schedule": schedule, "rng": rng, "reduction": reduction}
        if isinstance(schedule, RelativeSchedule):
            data = PatchDataSpec(n_classes=3, n_nonrobust_patches=5, dim=300, noise_std=0.05).sample(6, rng)
            runs.append(train(NETWORK, data, attack=ATTACKS["margin"], **settings))
        else:
            data = SignalNoiseSpec(dim=400, n_fresh=20, signal="random").sample(6, rng)
            runs.append(train(POWER, data, attack=SignalAttack(radius=1.9), **settings))
    assert runs[1].meta["reduction"]["used"] is True
    assert_same(*runs, 1e-10)  # rounding, which steps of adaptive length carry on


def test_it_is_chosen_where_the_rank_is_below_half_the_dimension():
    for dim, used in ((2 * 72 + 1, True), (2 * 72, False)):
        meta = patches(dim, None, "auto").meta["reduction"]
        assert meta["used"] is used
    assert "not below half the dimension" in meta["reason"]
    # Noise-free patches lie in the span of the features, however many there are.
    data = PatchDataSpec(n_nonrobust_patches=300, dim=200).sample(4, np.random.default_rng(0))
    trace = train(TwoLayerSpec(), data, schedule=Schedule(n_steps=2), rng=np.random.default_rng(0))
    assert trace.meta["reduction"] == {"used": True, "rank": 8 + 32, "dim": 200}


def test_minibatches_are_the_same_to_rounding():
    runs = []
    for reduction in ("never", "always"):
        rng = np.random.default_rng(3)
        data = PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=300, noise_std=0.1).sample(12, rng)
        schedule = Schedule(n_steps=30, batch_size=4)
        runs.append(train(NETWORK, data, schedule=schedule, rng=rng, reduction=reduction))
    assert_same(*runs, 1e-12)


def test_what_the_reduction_does_not_fit_is_refused(rng):
    data = ImageDataSpec(images="digits", patching=Patching(size=4)).sample(20, rng)
    with pytest.raises(ValueError, match="share pixels"):
        train(NETWORK, data, schedule=SHORT, rng=rng, reduction="always")
    coding = SparseCodingSpec(dim=8).sample(8, rng)
    with pytest.raises(ValueError, match="only the patch networks"):
        train(SymmetricNetworkSpec(width=4), coding, schedule=SHORT, rng=rng, reduction="always")
    with pytest.raises(ValueError, match="reduction must be one of"):
        patches(20, None, "sometimes")
    coordinates = GramPatchSpec(n_nonrobust_patches=3).sample_for(NETWORK, 4, rng)
    trace = train(NETWORK, coordinates, schedule=SHORT, rng=rng)
    assert "coordinates in their span already" in trace.meta["reduction"]["reason"]


def test_a_run_that_was_stopped_goes_on_in_its_subspace(tmp_path, monkeypatch):
    attack = SignalAttack(radius=1.9)
    whole = signals(100, attack, "auto")
    assert whole.meta["reduction"]["used"] is True
    original, calls = _Run.take, []

    def take(self, chunk, n_steps):
        original(self, chunk, n_steps)
        calls.append(n_steps)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "take", take)
    part = signals(100, attack, "auto", out=tmp_path / "a.npz")
    assert part.status == "interrupted"
    monkeypatch.setattr(_Run, "take", original)
    trace = resume(tmp_path / "a.npz")
    assert trace.status == "completed"
    assert trace.meta == whole.meta
    for name in whole:
        np.testing.assert_array_equal(trace[name], whole[name], err_msg=name)


def test_basis_is_orthonormal_and_spans_the_inputs(rng):
    inputs = {
        "X": np.concatenate([rng.standard_normal((4, 3, 40)), np.zeros((1, 3, 40))]),
        "weights": 1e-9 * rng.standard_normal((1, 5, 40)),
        "signal": np.eye(40)[3],
    }
    basis = spanning_basis(inputs)
    assert basis.shape == (18, 40)
    np.testing.assert_allclose(basis @ basis.T, np.eye(18), atol=1e-13)
    for vectors in inputs.values():
        rows = vectors.reshape(-1, 40)
        np.testing.assert_allclose(rows @ basis.T @ basis, rows, atol=1e-13 * max(np.abs(rows).max(), 1e-12))
    assert spanning_basis(inputs, limit=18) is None


def test_a_scenario_passes_the_choice_on():
    scenario = get_scenario("cgro/E").with_settings({"schedule.n_steps": 2, "data.n_fresh": 5})
    assert scenario.run("adversarial", 0).meta["reduction"]["used"] is True
    assert scenario.run("adversarial", 0, reduction="never").meta["reduction"]["used"] is False


def test_the_command_line_passes_the_choice_on(tmp_path, capsys):
    words = ["run", "cgro/E", "--training", "adversarial", "--set", "n_steps=2", "n_fresh=5", "--quiet"]
    for how, used in (("auto", True), ("never", False)):
        out = tmp_path / how
        assert main([*words, "--no-evaluation", "--reduction", how, "--out", str(out)]) == 0
        assert load_trace(out / "adversarial-seed-000.npz").meta["reduction"]["used"] is used
    capsys.readouterr()
