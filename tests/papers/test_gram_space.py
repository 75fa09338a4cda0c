"""Equality in law of sampled coordinates and sampled vectors, by two-sample tests over seeds.

Kolmogorov-Smirnov tests of final and initial statistics; a test rejects below ALPHA over the number of tests,
so that all of them together raise a false alarm with probability at most ALPHA. A control with the wrong
dimension must be rejected: the tests can fail.
"""

import numpy as np
import pytest
from scipy import stats

from featsim.attacks import margin_step
from featsim.data import GramPatchSpec, GramSignalNoiseSpec, PatchDataSpec, SignalNoiseSpec
from featsim.models import PowerNetworkSpec, TwoLayerSpec
from featsim.theory.cgro import closure_from_weights
from featsim.threats import Threat
from featsim.training import Recording, Schedule, train

ALPHA = 1e-3
POWER, NETWORK = PowerNetworkSpec(width=6), TwoLayerSpec(width=4, init_std=0.05)
ATTACK = margin_step(Threat(radius=0.35), 1000.0)


def rejected(first, second):
    """Names of the statistics whose laws differ."""
    p = {name: stats.ks_2samp(first[name], second[name]).pvalue for name in first}
    return [name for name, value in p.items() if value < ALPHA / len(p)]


def collect(one, n_seeds, offset=0):
    found = [one(np.random.default_rng(offset + seed)) for seed in range(n_seeds)]
    return {name: np.array([f[name] for f in found]) for name in found[0]}


def cgro(rng, dim, sampled):
    if sampled:
        spec = GramSignalNoiseSpec(dim=dim, n_fresh=0)
        data = spec.sample_for(POWER, 8, rng)
        weights = spec.initial_weights(POWER, data, rng)
    else:
        data = SignalNoiseSpec(dim=dim, n_fresh=0).sample(8, rng)
        weights = POWER.initial_weights(dim, rng)
    start = closure_from_weights(weights, data)
    run = start.run(POWER, weight=0.5, radius=1.9, step_size=0.02, n_steps=400)
    gram, memory = start.gram, run.memorisation[-1]
    return {
        "gram diagonal": gram[0, 0],
        "gram off diagonal": gram[0, 1],
        "gram determinant": np.linalg.slogdet(gram + 0.1 * np.eye(len(gram)))[1],
        "u at the start": start.signal_coef[0],
        "v at the start": start.noise_coef[0, 0, 0],
        "trace H": np.sum(weights**2),
        "off-diagonal H": weights[0, 0] @ weights[0, 1],
        "signal score": run.signal_score[-1],
        "mean V": memory.mean(),
        "least V": memory.min(),
        "median V": np.median(memory),
        "largest v": run.noise_coef.max(),
    }


@pytest.mark.parametrize("dim", [10, 50, 400])
def test_signal_and_noise_have_one_law(dim):
    """At d = 10 there are 22 vectors in 9 dimensions."""
    direct = collect(lambda rng: cgro(rng, dim, sampled=False), 120)
    sampled = collect(lambda rng: cgro(rng, dim, sampled=True), 120, offset=1000)
    assert rejected(direct, sampled) == []


def test_another_dimension_has_another_law():
    right = collect(lambda rng: cgro(rng, 10, sampled=False), 120)
    wrong = collect(lambda rng: cgro(rng, 50, sampled=True), 120, offset=1000)
    assert len(rejected(right, wrong)) >= 3


def structured(rng, dim, sampled):
    shared = {"n_classes": 3, "n_nonrobust_patches": 8}
    if sampled:
        data = GramPatchSpec(dim=dim, noise_norm=0.05 * np.sqrt(dim), **shared).sample_for(NETWORK, 6, rng)
    else:
        data = PatchDataSpec(dim=dim, noise_std=0.05, **shared).sample(6, rng)
    schedule, ends = Schedule(n_steps=40), Recording(every=1000)
    trace = train(NETWORK, data, schedule=schedule, attack=ATTACK, rng=rng, recording=ends)
    gram = data.X[0, 1] @ data.X[1, 1]
    return {
        "product of patches": gram,
        "A at the start": trace["robust_coef"][0, 0, 0],
        "rest at the start": trace["rest_norm"][0, 0, 0],
        "largest A": trace["robust_coef"][-1].max(),
        "largest B": trace["nonrobust_coef"][-1].max(),
        "least B": trace["nonrobust_coef"][-1].min(),
        "rest": trace["rest_norm"][-1].mean(),
        "clean loss": trace["clean_loss"][-1],
        "attacked loss": trace["attacked_loss"][-1],
        "share": trace["nonrobust_share"][-1].mean(),
    }


@pytest.mark.parametrize(
    ("dim", "n_seeds"),
    [(50, 50), pytest.param(50, 250, marks=pytest.mark.slow), pytest.param(400, 250, marks=pytest.mark.slow)],
)
def test_structured_data_have_one_law(dim, n_seeds):
    """At d = 50 there are 66 vectors in 44 dimensions."""
    direct = collect(lambda rng: structured(rng, dim, sampled=False), n_seeds)
    sampled = collect(lambda rng: structured(rng, dim, sampled=True), n_seeds, offset=1000)
    assert rejected(direct, sampled) == []
