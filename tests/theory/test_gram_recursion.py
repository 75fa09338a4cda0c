"""Recursion in inner products against training on vectors, with noise, spread and repeated patches."""

import numpy as np
import pytest

from featsim.attacks import fgm, margin_step, raw_step
from featsim.data import GramPatchSpec, PatchDataSpec, patch_data
from featsim.models import TwoLayerSpec
from featsim.theory import GramStart, gram_from_weights, reduced_from_weights
from featsim.threats import Threat
from featsim.training import Recording, Schedule, train

NETWORK = TwoLayerSpec(width=4, init_std=0.05)
ATTACKS = {
    "standard": (None, {}),
    "margin": (margin_step(Threat(radius=0.35), 1000.0), {"radius": 0.35, "attack_step_size": 1000.0}),
    "raw": (
        raw_step(Threat(radius=0.35), 3.0),
        {"radius": 0.35, "attack_step_size": 3.0, "objective": "loss"},
    ),
    "unit": (fgm(Threat(radius=0.2)), {"radius": 0.2}),
    "input": (fgm(Threat(radius=0.5, scope="input")), {"radius": 0.5, "scope": "input"}),
}


def compare(data, weights, attack, settings, n_steps=60, step_size=1.0):
    trace = train(
        NETWORK,
        data,
        schedule=Schedule(n_steps=n_steps, step_size=step_size),
        attack=attack,
        initial_weights=weights,
        recording=Recording(every=10),
    )
    found = gram_from_weights(weights, data).run(
        power=3.0, smoothing=0.5, step_size=step_size, n_steps=n_steps, record_every=10, **settings
    )
    np.testing.assert_array_equal(found.steps, trace.steps)
    for name in ("robust_coef", "nonrobust_coef", "clean_loss"):
        # Rounding of two orders of summation, carried through 60 steps.
        np.testing.assert_allclose(getattr(found, name), trace[name], rtol=1e-11, atol=1e-11, err_msg=name)
    if attack is not None:
        np.testing.assert_allclose(found.attacked_loss, trace["attacked_loss"], atol=1e-11)
    filters = trace.final_weights.reshape(12, -1)
    length = np.linalg.norm(filters, axis=1)
    cosines = filters @ filters.T / np.outer(length, length)
    np.testing.assert_allclose(found.gram / np.outer(length, length), cosines, atol=1e-10)
    assert np.abs(trace["nonrobust_coef"][-1] - trace["nonrobust_coef"][0]).max() > 0.01  # it has moved


@pytest.mark.parametrize("name", ATTACKS)
def test_noise_spread_and_vectors(name, rng):
    spec = PatchDataSpec(n_classes=3, n_nonrobust_patches=12, dim=40, noise_std=0.05, strength_spread=0.2)
    data = spec.sample(6, rng)
    compare(data, NETWORK.initial_weights(3, 40, rng), *ATTACKS[name])


@pytest.mark.parametrize(("dim", "n_steps", "step_size"), [(1e3, 60, 10.0), (1e8, 290, 300.0)])
def test_coordinates_at_any_dimension(dim, n_steps, step_size, rng):
    """The scale is chosen so that coefficients move: at a fixed one nothing does at huge d."""
    spec = GramPatchSpec(n_classes=3, n_nonrobust_patches=12, dim=dim, noise_norm=0.1)
    model = NETWORK.replace(init_std=0.1 / np.sqrt(dim))
    data = spec.sample_for(model, 6, rng)
    weights = spec.initial_weights(model, data, rng)
    compare(data, weights, *ATTACKS["margin"], n_steps=n_steps, step_size=step_size)


def test_counts_stand_for_repeats_and_agree_with_the_noise_free_recursion(rng):
    data = PatchDataSpec(n_classes=3, n_nonrobust_patches=40, dim=30).sample(3, rng).merge_repeats()
    weights = NETWORK.initial_weights(3, 30, rng)
    compare(data, weights, *ATTACKS["input"], n_steps=60)
    settings = {"power": 3.0, "smoothing": 0.5, "step_size": 1.0, "n_steps": 60, "radius": 0.35}
    ours = gram_from_weights(weights, data).run(**settings, attack_step_size=100.0)
    theirs = reduced_from_weights(weights, data).adversarial(**settings, attack_step_size=100.0)
    np.testing.assert_allclose(ours.nonrobust_table, theirs.nonrobust_table, atol=1e-12)


def test_impossible_starts_are_refused(rng):
    with pytest.raises(ValueError, match="must know its features"):
        gram_from_weights(rng.standard_normal((2, 3, 5)), patch_data(rng.random((2, 3, 5)), [0, 1]))
    start = {"preactivations": np.zeros((6, 4)), "gram": np.eye(4), "patch_gram": np.eye(6),
             "counts": np.ones(6), "patch_table": np.zeros((6, 4))}  # fmt: skip
    with pytest.raises(ValueError, match="one per sample"):
        GramStart(**start, table=np.zeros((4, 4)), labels=[0, 1, 0, 1])
    for labels in ([0, 2], [0, -1]):
        with pytest.raises(ValueError, match=r"labels must .*0\.\.1"):
            GramStart(**start, table=np.zeros((4, 4)), labels=labels)
    with pytest.raises(ValueError, match="table must have shape"):
        GramStart(**{**start, "patch_table": np.zeros((6, 3))}, table=np.zeros((3, 4)), labels=[0, 1])
    good = GramStart(**start, table=np.zeros((4, 4)), labels=[0, 1])
    with pytest.raises(ValueError, match="stay finite"):
        GramStart(**{**start, "preactivations": np.full((6, 4), 1e200)}, table=np.zeros((4, 4)),
                  labels=[0, 1]).run(power=3.0, smoothing=0.5, step_size=1e300, n_steps=3)  # fmt: skip
    with pytest.raises(ValueError, match="step_size must be > 0"):
        good.run(power=3.0, smoothing=0.5, step_size=0.0, n_steps=1)
