"""Reduced dynamics: against the network, against samples, against the reference's tables."""

import math

import numpy as np
import pytest

from featsim.attacks import fgm, run_attack
from featsim.data import SparseCodingSpec, sparse_coding_data
from featsim.models import SymmetricNetworkSpec
from featsim.theory import (
    Population,
    SampledCodes,
    SymmetricState,
    half_accuracy_radius,
    pure_window,
    symmetric_path,
    symmetric_weights,
)
from featsim.threats import Threat

STATE = SymmetricState(pure=0.6, dense=0.02, bias=0.25, smoothing=0.1, copies=2)


def all_codes(d, k):
    """Every code of a small law with label +1, with its probability."""
    grid = np.array(np.meshgrid(*[[-1, 0, 1]] * d)).reshape(d, -1).T
    active = np.abs(grid).sum(axis=1)
    weight = (k / d / 2) ** active * (1 - k / d) ** (d - active)
    right = grid.sum(axis=1) > 0
    return grid[right] / math.sqrt(k), weight[right] / weight[right].sum()


@pytest.mark.parametrize("radius", [0.0, 0.3])
def test_population_is_the_sum_over_all_codes(radius):
    d, k = 7, 2.0
    codes, weight = all_codes(d, k)
    population, samples = Population(d, k), SampledCodes(codes)
    network = SymmetricNetworkSpec(bias=0.25, smoothing=0.1).network(
        symmetric_weights(STATE, np.eye(d), np.ones(d))
    )
    data = sparse_coding_data(codes, np.ones(len(codes), int), dictionary=np.eye(d), label_weights=np.ones(d))
    margin = run_attack(fgm(Threat(radius=radius)), network, data).margin
    assert population.accuracy(STATE, radius) == pytest.approx(weight[margin > 0].sum(), abs=1e-12)
    each = np.array([SampledCodes(codes[i : i + 1]).moments(STATE, radius) for i in range(len(codes))])
    np.testing.assert_allclose(population.moments(STATE, radius), weight @ each, rtol=1e-12)
    assert samples.dim == d


def test_moments_are_the_networks_gradient(rng):
    """c and beta of the mean weight gradient on the samples, clean and at FGM points."""
    data = SparseCodingSpec(dim=9, sparsity=2.0, noise_norm=0.3).sample(50, rng)
    weights = symmetric_weights(STATE, data.dictionary, data.label_weights)
    network = SymmetricNetworkSpec(bias=0.25, smoothing=0.1).network(weights)
    for radius in (0.0, 0.2):
        X = data.X + run_attack(fgm(Threat(radius=radius)), network, data).perturbation
        table = -network.weight_gradient(X, data.y)[0] @ data.dictionary * data.label_weights
        signed = (
            table.reshape(2, 9, 9)
            * np.sign(data.label_weights)[:, None]
            * np.sign(data.label_weights)[:, None]
        )
        own = np.mean([np.trace(copy) for copy in signed]) / 9
        cross = np.mean([copy.sum() - np.trace(copy) for copy in signed]) / (9 * 8)
        # w_j = sign(w*_j) c M_j + beta sum w*_l M_l: the own coefficient is signed, the others are not.
        np.testing.assert_allclose(SampledCodes.of(data).moments(STATE, radius), (own, cross), rtol=1e-10)


def schedule(d, k, ratio, n_steps):
    start, end = 1.225 * 0.02 * math.sqrt(math.log(d)), 0.25 * math.sqrt(2 / k)
    along = np.minimum(np.arange(n_steps) / 300, 1.0)
    return start, start + along * (end - start), 0.233 * start + along * (ratio * end - 0.233 * start)


def test_reference_path_at_d_200():
    """Full symmetric net of the reference, d = 200, n = 3, r = 0.42: c and 100 beta by step."""
    start, bias, smoothing = schedule(200, 2, 0.42, 500)
    population = Population(200, 2.0)
    clean = symmetric_path(
        population,
        pure=1.5 * start,
        bias=bias,
        smoothing=smoothing,
        step_size=2.0,
        weight_decay=0.16 / 200,
        copies=3,
    )
    np.testing.assert_allclose(clean.pure[[125, 250, 375, 500]], [0.4557, 0.6065, 0.6768, 0.6972], atol=1e-4)
    np.testing.assert_allclose(
        100 * clean.dense[[125, 250, 375, 500]], [0.393, 0.791, 1.141, 1.332], atol=1e-3
    )
    later = symmetric_path(
        population,
        pure=clean.pure[-1],
        dense=clean.dense[-1],
        bias=np.full(100, 0.25),
        smoothing=np.full(100, 0.105),
        step_size=4.0,
        weight_decay=0.16 / 200,
        radius=0.24 / math.sqrt(2),
        copies=3,
    )
    np.testing.assert_allclose(later.pure[[50, 100]], [0.7328, 0.7441], atol=1e-4)
    np.testing.assert_allclose(100 * later.dense[[50, 100]], [0.340, 0.127], atol=1e-3)
    mu = later.mixture_ratio[-1]
    assert later.dense_share[-1] == pytest.approx(mu**2 / (1 + mu**2))


def test_half_accuracy_radius_is_where_half_of_the_codes_fall():
    population = Population(100, 2.0)
    radius = half_accuracy_radius(population, STATE)
    assert population.accuracy(STATE, radius * 0.999) > 0.5 >= population.accuracy(STATE, radius * 1.001)
    assert half_accuracy_radius(population, STATE, largest=1e-3) == 1e-3


def test_pure_window():
    low, high = pure_window([1.0, 2.0], 0.1, 4.0)
    np.testing.assert_allclose(low, [0.1, 0.2])
    np.testing.assert_allclose(high, [0.5, 1.0])


def test_impossible_requests_are_refused(rng):
    with pytest.raises(ValueError, match="dim must be >= 2"):
        Population(1, 1.0)
    with pytest.raises(ValueError, match="sparsity must be <= 5"):
        Population(5, 6.0)
    with pytest.raises(ValueError, match="smoothing must have shape"):
        symmetric_path(Population(5, 1.0), pure=0.1, bias=[0.1, 0.1], smoothing=[0.1], step_size=1.0)
    with pytest.raises(ValueError, match="step_size must be > 0"):
        symmetric_path(Population(5, 1.0), pure=0.1, bias=[0.1], smoothing=[0.1], step_size=0.0)
    uneven = SparseCodingSpec(dim=8, sparsity=2.0, label_spread=0.5).sample(5, rng)
    with pytest.raises(ValueError, match="label weights of size 1"):
        SampledCodes.of(uneven)
