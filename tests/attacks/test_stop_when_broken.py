"""Leaving broken samples alone must not trip over the moment when none is left."""

import numpy as np

from featsim.attacks import pgd, run_attack
from featsim.images import Patching, load, patch_images
from featsim.models import TwoLayerSpec
from featsim.threats import Threat


def test_all_samples_break_at_once_on_patches_that_share_pixels() -> None:
    rng = np.random.default_rng(0)
    data = patch_images(load("digits", n=6), Patching(size=4, stride=2))
    spec = TwoLayerSpec(width=3, init_std=0.5)
    network = spec.network(spec.initial_weights(data.n_classes, data.dim, rng))
    attack = pgd(Threat(radius=5.0, scope="input"), n_steps=10)
    stopping = run_attack(attack.replace(stop_when_broken=True), network, data)
    assert stopping.robust_accuracy == run_attack(attack, network, data).robust_accuracy == 0.0
