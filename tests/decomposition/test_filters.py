"""Statistics of filters."""

import numpy as np
import pytest

from featsim.decomposition import filter_statistics, low_frequency_share, matched_cosines


def test_gaussian_noise_and_a_single_pixel():
    noise = filter_statistics(np.random.default_rng(0).standard_normal((4000, 8, 8)))
    # Of n Gaussian entries the ratio of sample moments has mean 3n/(n+2); weights favour larger filters.
    assert noise["kurtosis"] == pytest.approx(3 * 64 / 66, abs=0.02)
    assert noise["total_variation"] == pytest.approx(112 * 2 / np.sqrt(np.pi) / 8, rel=0.01)
    assert noise["low_frequency"] == pytest.approx(
        9 / 64, abs=0.003
    )  # frequencies (0 or 1)/8 in each direction
    single = np.zeros((1, 8, 8))
    single[0, 3, 3] = -2.0
    found = filter_statistics(single)
    assert found == pytest.approx(
        {"kurtosis": 64.0, "total_variation": 4.0, "top_energy": 1.0, "low_frequency": 9 / 64, "norm": 2.0}
    )


def test_means_are_weighted_by_energy():
    flat, single = np.ones((4, 4)) / 4, np.zeros((4, 4))
    single[0, 0] = 3.0
    found = filter_statistics(np.stack([flat, single, np.zeros((4, 4))]))
    assert found["kurtosis"] == pytest.approx((1.0 * 1.0 + 9.0 * 16.0) / 10.0)
    assert found["norm"] == pytest.approx(4.0 / 3.0)


def test_waves_are_low_or_high():
    x = np.arange(16)
    waves = np.stack([np.cos(2 * np.pi * k * x / 16)[None, :] * np.ones((16, 1)) for k in (1, 3, 4, 8)])
    np.testing.assert_allclose(low_frequency_share(waves, 0.2), [1.0, 1.0, 0.0, 0.0], atol=1e-12)


def test_cosines_and_refusals():
    a = np.random.default_rng(1).standard_normal((5, 7))
    np.testing.assert_allclose(matched_cosines(a, -2.0 * a), -1.0)
    with pytest.raises(ValueError, match="filters must not be zero"):
        matched_cosines(a, a * 0.0)
    with pytest.raises(ValueError, match="filters must not all be zero"):
        filter_statistics(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="top_share must be > 0"):
        filter_statistics(np.ones((1, 2, 2)), top_share=0.0)
