"""What must not change a trajectory: symmetries, recording, chunks, merged repeats, a radius of 0."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featsim.attacks import fgm, margin_step, pgd, raw_step
from featsim.data import PatchDataSpec, patch_data, sample_patches
from featsim.models import TwoLayerSpec
from featsim.threats import Threat
from featsim.training import Recording, RunSpec, Schedule, loop, train
from featsim.training.patch_stepper import PatchStepper

K, M, D = 3, 2, 8
N_STEPS = 12

THREATS = st.sampled_from(
    [
        Threat(radius=0.3),
        Threat(radius=0.5, scope="input"),
        Threat(radius=0.1, norm="linf"),
        Threat(radius=0.3, subspace="own"),
        Threat(radius=0.4, scope="input", subspace="features"),
        Threat(radius=0.3, subspace="nonrobust"),
    ]
)
RULES = (
    lambda t: raw_step(t, 0.4),
    lambda t: margin_step(t, 0.4, n_steps=2),
    fgm,
    lambda t: pgd(t, 3, keep="last"),
)
ATTACKS = st.one_of(st.none(), st.builds(lambda rule, threat: rule(threat), st.sampled_from(RULES), THREATS))
SEEDS = st.integers(0, 2**32 - 1)
POWERS = st.sampled_from([1.0, 2.0, 3.0, 4.0, 2.5])


def problem(seed):
    rng = np.random.default_rng(seed)
    spec = PatchDataSpec(n_classes=K, n_nonrobust_patches=3, dim=D, noise_std=0.1, nonrobust_strength=0.7)
    return sample_patches(spec, 6, rng), 0.4 * rng.standard_normal((K, M, D)), rng


def run(data, weights, attack=None, *, power=3.0, batches=None, recording=None, out=None, n_steps=N_STEPS):
    return train(
        TwoLayerSpec(width=weights.shape[1], power=power),
        data,
        schedule=Schedule(n_steps=n_steps, step_size=0.4),
        attack=attack,
        recording=recording,
        initial_weights=weights,
        batches=batches,
        out=out,
    )


def assert_close(found, expected):
    """Sums in another order: a few ulp a step, which 12 steps multiply by less than 1e4."""
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)


@given(SEEDS, ATTACKS, POWERS)
def test_the_order_of_samples_does_not_matter(seed, attack, power):
    data, weights, rng = problem(seed)
    order = rng.permutation(data.n_samples)
    one, other = (
        run(data, weights, attack, power=power),
        run(data.select(order), weights, attack, power=power),
    )
    for name in one:
        assert_close(other[name], one[name])


@given(SEEDS, ATTACKS, POWERS)
def test_the_order_of_patches_does_not_matter(seed, attack, power):
    data, weights, rng = problem(seed)
    order = np.array([rng.permutation(data.n_patches) for _ in range(data.n_samples)])
    shuffled = dataclasses.replace(
        data,
        X=np.take_along_axis(data.X, order[:, :, None], axis=1),
        roles=np.take_along_axis(data.roles, order, axis=1),
    )
    one, other = run(data, weights, attack, power=power), run(shuffled, weights, attack, power=power)
    for name in one:
        assert_close(other[name], one[name])


@given(SEEDS, ATTACKS, POWERS)
def test_permuting_neurons_permutes_their_traces(seed, attack, power):
    data, weights, rng = problem(seed)
    orders = np.array([rng.permutation(M) for _ in range(K)])
    shuffled = np.take_along_axis(weights, orders[:, :, None], axis=1)
    one, other = run(data, weights, attack, power=power), run(data, shuffled, attack, power=power)
    for name in one:
        expected = one[name]
        if "neuron" in one.axes[name]:
            axis = one.axes[name].index("neuron")
            index = orders.reshape([{"class": K, "neuron": M}.get(word, 1) for word in one.axes[name]])
            expected = np.take_along_axis(expected, index, axis=axis)
        assert_close(other[name], expected)


@given(SEEDS, ATTACKS, POWERS)
def test_renaming_classes_renames_them_in_the_trace(seed, attack, power):
    data, weights, rng = problem(seed)
    order = rng.permutation(K)  # new class c is old class order[c]
    renamed = dataclasses.replace(
        data,
        y=np.argsort(order)[data.y],
        robust_features=data.robust_features[order],
        nonrobust_features=data.nonrobust_features[order],
    )
    one, other = run(data, weights, attack, power=power), run(renamed, weights[order], attack, power=power)
    for name in one:
        axes = one.axes[name]
        expected = np.take(one[name], order, axis=axes.index("class")) if "class" in axes else one[name]
        assert_close(other[name], expected)


@given(SEEDS, ATTACKS.filter(lambda attack: attack is None or attack.threat.norm == "l2"), POWERS)
def test_rotating_data_features_and_weights_together_changes_nothing(seed, attack, power):
    data, weights, rng = problem(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((D, D)))
    rotated = patch_data(
        data.X @ rotation,
        data.y,
        robust_features=data.robust_features @ rotation,
        nonrobust_features=data.nonrobust_features @ rotation,
        roles=data.roles,
        robust_strength=data.robust_strength,
        nonrobust_strength=data.nonrobust_strength,
    )
    one, other = (
        run(data, weights, attack, power=power),
        run(rotated, weights @ rotation, attack, power=power),
    )
    for name in one:
        expected = one[name] @ rotation if "dim" in one.axes[name] else one[name]
        assert_close(other[name], expected)


@given(SEEDS, st.sampled_from(RULES), THREATS, POWERS)
def test_radius_0_is_standard_training(seed, rule, threat, power):
    data, weights, _ = problem(seed)
    standard = run(data, weights, power=power)
    attacked = run(data, weights, rule(threat.replace(radius=0.0)), power=power)
    for name in standard:
        assert_close(attacked[name], standard[name])
    assert_close(attacked["attacked_loss"], standard["clean_loss"])


@given(SEEDS, ATTACKS, st.integers(1, 6))
def test_what_is_recorded_changes_no_bit(seed, attack, batch_size):
    data, weights, rng = problem(seed)
    batches = None if batch_size == 6 else np.array([rng.permutation(6)[:batch_size] for _ in range(N_STEPS)])
    full = run(data, weights, attack, batches=batches, recording=Recording(weights_at=range(N_STEPS + 1)))
    for recording in (
        Recording(at=()),
        Recording(every=5, quantities=("clean_loss",)),
        Recording(n_log=4, quantities=("robust_table", "rest_norm")),
        Recording(at=(3, 7), weights_at=(0, 4, N_STEPS)),
    ):
        other = run(data, weights, attack, batches=batches, recording=recording)
        np.testing.assert_array_equal(other.final_weights, full.final_weights)
        where = np.searchsorted(full.steps, other.steps)
        np.testing.assert_array_equal(full.steps[where], other.steps)
        for name in set(other) & set(full) - {"steps", "weight_steps", "weights", "final_weights"}:
            np.testing.assert_array_equal(other[name], full[name][where], err_msg=name)
        for step in other["weight_steps"]:
            np.testing.assert_array_equal(other.weights_at(step), full.weights_at(step))


@given(SEEDS, ATTACKS, st.lists(st.integers(1, N_STEPS), max_size=4))
def test_where_a_run_is_cut_changes_no_bit(seed, attack, cuts):
    data, weights, _ = problem(seed)
    spec = RunSpec(
        model=TwoLayerSpec(width=M), schedule=Schedule(n_steps=N_STEPS), recording=Recording(), attack=attack
    )
    stepper = PatchStepper(spec, data, weights, np.empty((N_STEPS, 0), np.int64))
    steps = np.arange(N_STEPS)
    whole = stepper.advance(stepper.initial_state(), 0, N_STEPS, steps, steps)
    state, parts = stepper.initial_state(), []
    for first, last in zip([0, *sorted(set(cuts))], [*sorted(set(cuts)), N_STEPS], strict=True):
        if first < last:
            inside = np.arange(first, last)
            parts.append(stepper.advance(state, first, last, inside, inside))
            state = parts[-1].state
    for name in whole.records:
        joined = np.concatenate([part.records[name] for part in parts])
        np.testing.assert_array_equal(joined, whole.records[name], err_msg=name)
    np.testing.assert_array_equal(state["weights"], whole.state["weights"])
    np.testing.assert_array_equal(stepper.initial_state()["weights"], weights)  # inputs are left alone


def test_the_pace_of_the_loop_changes_no_bit(monkeypatch, tmp_path):
    data, weights, _ = problem(1)
    whole = run(data, weights, fgm(Threat(radius=0.3)), n_steps=40)
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0.0)  # one step at a time
    monkeypatch.setattr(loop, "_FLUSH_SECONDS", 0.0)  # each into a file of its own
    cut = run(data, weights, fgm(Threat(radius=0.3)), n_steps=40, out=tmp_path / "run")
    assert len(list((tmp_path / "run").glob("chunk-*.npz"))) == 41
    assert set(cut) == set(whole)
    for name in whole:
        np.testing.assert_array_equal(cut[name], whole[name], err_msg=name)


@given(SEEDS, st.one_of(st.none(), st.sampled_from(RULES)), st.sampled_from(["patch", "input"]))
@settings(max_examples=25)
def test_merging_equal_patches_keeps_the_trajectory(seed, rule, scope):
    rng = np.random.default_rng(seed)
    data = sample_patches(
        PatchDataSpec(n_classes=K, n_robust_patches=2, n_nonrobust_patches=9, dim=D), 6, rng
    )
    weights = 0.4 * rng.standard_normal((K, M, D))
    attack = None if rule is None else rule(Threat(radius=0.3, scope=scope))
    merged = data.merge_repeats()
    assert merged.n_patches == 2
    one, other = run(data, weights, attack), run(merged, weights, attack)
    for name in one:
        assert_close(other[name], one[name])


def test_a_rerun_gives_the_same_bits_and_leaves_its_inputs_alone():
    data, weights, _ = problem(5)
    before = weights.copy()
    attack = margin_step(Threat(radius=0.3), 1000.0)
    one, other = run(data, weights, attack, n_steps=200), run(data, weights, attack, n_steps=200)
    for name in one:
        np.testing.assert_array_equal(other[name], one[name], err_msg=name)
    np.testing.assert_array_equal(weights, before)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 6])
def test_minibatches_pass_through_permutations(batch_size, rng):
    batches = Schedule(n_steps=7, batch_size=batch_size).draw_batches(6, rng)
    assert batches.shape == (7, batch_size)
    per_pass = 6 // batch_size
    for first in range(0, 7 - per_pass + 1, per_pass):
        drawn = batches[first : first + per_pass].ravel()
        assert len(set(drawn.tolist())) == per_pass * batch_size and set(drawn) <= set(range(6))


def test_drawn_minibatches_are_those_given_by_hand():
    data, _, _ = problem(3)
    schedule = Schedule(n_steps=8, step_size=0.4, batch_size=4)
    model = TwoLayerSpec(width=M)
    drawn = train(model, data, schedule=schedule, rng=np.random.default_rng(9))
    rng = np.random.default_rng(9)
    weights = model.initial_weights(K, D, rng)
    given = train(
        model, data, schedule=schedule, initial_weights=weights, batches=schedule.draw_batches(6, rng)
    )
    np.testing.assert_array_equal(drawn.final_weights, given.final_weights)
