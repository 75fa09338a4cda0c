"""Descent in whitened coordinates."""

import numpy as np
import pytest

from featsim.attacks import pgd
from featsim.data import patch_data
from featsim.images import ImageDataSpec, Patching
from featsim.models import TwoLayerSpec
from featsim.threats import Threat
from featsim.training import Recording, Schedule, WhiteningSchedule, train, whitening_matrix

DATA = ImageDataSpec(images="digits", patching=Patching(size=4, stride=2)).sample(
    60, np.random.default_rng(0)
)
MODEL = TwoLayerSpec(width=2, init_std=0.1)
STEPS = {"n_steps": 8, "step_size": 0.3, "batch_size": 20}


def test_it_is_training_on_whitened_patches():
    whitening = whitening_matrix(DATA, 0.1)
    white = patch_data(DATA.X @ whitening, DATA.y, n_classes=10)
    assert np.sum(white.X**2, axis=2).mean() == pytest.approx(1.0)
    raw = train(MODEL, DATA, schedule=WhiteningSchedule(**STEPS, floor=0.1), rng=np.random.default_rng(1))
    plain = train(MODEL, white, schedule=Schedule(**STEPS), rng=np.random.default_rng(1))
    np.testing.assert_allclose(raw.final_weights, plain.final_weights @ whitening, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(raw["clean_loss"], plain["clean_loss"], rtol=1e-10)


def test_a_small_floor_whitens():
    whitening = whitening_matrix(DATA, 1e-9)
    rows = (DATA.X @ whitening).reshape(-1, 16)
    np.testing.assert_allclose(rows.T @ rows / len(rows), np.eye(16) / 16, atol=1e-6)


def test_it_does_not_depend_on_how_a_run_is_cut():
    attack = pgd(Threat(radius=0.5, scope="input"), n_steps=2, keep="last")
    schedule = WhiteningSchedule(**STEPS)
    whole, recorded = (
        train(
            MODEL, DATA, schedule=schedule, attack=attack, rng=np.random.default_rng(2), recording=recording
        )
        for recording in (Recording(at=()), Recording(every=1, weights_at=(3, 8)))
    )
    np.testing.assert_array_equal(whole.final_weights, recorded.final_weights)
    np.testing.assert_array_equal(recorded.weights_at(8), recorded.final_weights)


def test_the_floor_must_be_positive():
    with pytest.raises(ValueError, match="floor must be > 0"):
        WhiteningSchedule(**STEPS, floor=0.0)
