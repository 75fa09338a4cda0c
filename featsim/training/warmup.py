"""Compiling kernels before they are needed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from featsim.attacks import fgm
from featsim.data import PatchDataSpec, SparseCodingSpec, sample_patches, sample_sparse_coding
from featsim.models import SymmetricNetworkSpec, TwoLayerSpec
from featsim.threats import Threat
from featsim.training.schedule import Schedule
from featsim.training.train import train


def warm_up() -> Iterator[tuple[str, float]]:
    """Run one step of each usual way to train that has a compiled kernel of its own.

    Random starts in training and float32 have further ones, compiled when they are first used.

    Yields
    ------
    label : str
        What was run.
    seconds : float
        Wall time, compilation included where the cache did not have it.
    """
    rng, schedule = np.random.default_rng(0), Schedule(n_steps=1)
    patches = sample_patches(PatchDataSpec(), n_samples=4, rng=rng)
    codes = sample_sparse_coding(SparseCodingSpec(dim=6, sparsity=2.0, dictionary="identity"), 8, rng)
    two_layer, symmetric = TwoLayerSpec(), SymmetricNetworkSpec(width=4)
    for label, model, data, attack in (
        ("two-layer, standard", two_layer, patches, None),
        ("two-layer, l2 attack", two_layer, patches, fgm(Threat(radius=0.1))),
        ("two-layer, linf attack or subspace", two_layer, patches, fgm(Threat(radius=0.1, norm="linf"))),
        ("symmetric", symmetric, codes, None),
    ):
        begin = time.perf_counter()
        train(model, data, schedule=schedule, attack=attack, rng=rng)
        yield label, time.perf_counter() - begin
