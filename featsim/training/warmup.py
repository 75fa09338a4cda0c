"""Compiling kernels before they are needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from featsim.attacks import GradientAttack, fgm
from featsim.data import PatchDataSpec, SparseCodingSpec, sample_patches, sample_sparse_coding
from featsim.models import SymmetricNetworkSpec, TwoLayerSpec
from featsim.threats import Threat
from featsim.training.schedule import PRECISIONS, Schedule
from featsim.training.train import train
from featsim.validation import check_bool, check_choice

# Filters of four classes: up to 64 have kernels of their own.
_WIDTHS = {"": 8, ", wide": 24}
# l2 attacks on so few filters in so many dimensions are combinations of filters; those on more, and in fewer
# dimensions, share a kernel with l_inf and subspaces.
_DIM = 128


def warm_up(
    *, precision: str = "float64", random_starts: bool = False, wide: bool = False
) -> Iterator[tuple[str, float]]:
    """Run one step of each usual way to train that has a compiled kernel of its own.

    Parameters
    ----------
    precision : {"float64", "float32"}
        Number type of the patch network's products. The symmetric network is compiled with float64 alone.
    random_starts : bool
        Whether to compile attacks from random starts too.
    wide : bool
        Whether to compile patch networks of more than 64 filters too.

    Yields
    ------
    label : str
        What was run.
    seconds : float
        Wall time, compilation included where the cache did not have it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of these.
    """
    schedule = Schedule(n_steps=1, precision=check_choice("precision", precision, PRECISIONS))
    check_bool("random_starts", random_starts)
    for label, run in _runs(precision, random_starts, check_bool("wide", wide)):
        begin = time.perf_counter()
        train(**run, schedule=schedule, rng=np.random.default_rng(0), reduction="never")
        yield label, time.perf_counter() - begin


def _runs(precision: str, random_starts: bool, wide: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield model, data and attack of the smallest run of every kind."""
    rng = np.random.default_rng(0)
    patches = sample_patches(PatchDataSpec(dim=_DIM), n_samples=4, rng=rng)
    attacks: dict[str, GradientAttack | None] = {
        "standard": None,
        "l2 attack": fgm(Threat(radius=0.1)),
        "linf or subspace attack": fgm(Threat(radius=0.1, norm="linf")),
    }
    if random_starts:
        started = {name: attack for name, attack in attacks.items() if attack is not None}
        for name, clean in started.items():
            attacks[f"{name}, random start"] = clean.replace(starts=("random",), n_random=1, keep="last")
    ending = "" if precision == "float64" else f", {precision}"
    for filters, width in _WIDTHS.items():
        if filters and not wide:
            continue
        for name, attack in attacks.items():
            run = {"model": TwoLayerSpec(width=width), "data": patches, "attack": attack}
            yield f"two-layer, {name}{filters}{ending}", run
    if not ending:
        spec = SparseCodingSpec(dim=6, sparsity=2.0, dictionary="identity")
        codes = sample_sparse_coding(spec, 8, rng)
        yield "symmetric", {"model": SymmetricNetworkSpec(width=4), "data": codes, "attack": None}
