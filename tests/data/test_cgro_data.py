"""Signal-plus-noise data, the hard cube, and margin mixtures."""

import numpy as np
import pytest

from featsim.data import (
    HardCubeSpec,
    MarginMixtureSpec,
    SignalNoiseSpec,
    sample_like,
    signal_noise_data,
)


@pytest.mark.parametrize("signal", ["axis", "random"])
def test_signal_patches_and_orthogonal_noise(signal, rng):
    spec = SignalNoiseSpec(
        n_patches=4, dim=30, signal_strength=1.5, noise_norm=2.0, signal=signal, n_fresh=50
    )
    data = spec.sample(40, rng)
    own = data.X[np.arange(40), data.signal_patch]
    np.testing.assert_allclose(own, 1.5 * data.signs[:, None] * data.signal, atol=1e-12)
    assert np.abs(data.noise @ data.signal).max() < 1e-14
    assert data.noise.shape == (40, 3, 30)
    assert len(set(data.signal_patch.tolist())) == 4
    norms = np.linalg.norm(data.fresh.noise, axis=2)
    assert abs(np.mean(norms**2) / (4.0 * 29 / 30) - 1.0) < 0.1
    np.testing.assert_array_equal(data.fresh.signal, data.signal)


def test_the_linear_rule_is_robust_up_to_alpha(rng):
    data = SignalNoiseSpec(signal_strength=2.0).sample(30, rng)
    margin = data.signs * (data.X @ data.signal).sum(axis=1)
    np.testing.assert_allclose(margin, 2.0, rtol=1e-12)


def test_same_generator_same_samples_and_fresh_ones_share_the_signal():
    spec = SignalNoiseSpec(signal="random", n_fresh=5)
    one, other = (spec.sample(6, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.X, other.X)
    more = sample_like(one, 9, np.random.default_rng(4))
    np.testing.assert_array_equal(more.signal, one.signal)
    assert more.fresh is None
    assert more.n_samples == 9
    assert one.select([0, 2]).n_samples == 2


def test_first_position_and_no_fresh_samples(rng):
    data = SignalNoiseSpec(position="first", n_fresh=0).sample(8, rng)
    assert data.fresh is None
    assert np.all(data.signal_patch == 0)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: SignalNoiseSpec(n_patches=1), "n_patches must be >= 2"),
        (lambda: SignalNoiseSpec(signal_strength=0.0), "signal_strength must be > 0"),
        (lambda: SignalNoiseSpec(noise_norm=-1.0), "noise_norm must be >= 0"),
        (lambda: SignalNoiseSpec(dim=1), "dim must be >= 2"),
        (lambda: SignalNoiseSpec(position="last"), "position must be one of"),
        (lambda: SignalNoiseSpec().sample(0, np.random.default_rng(0)), "n_samples must be >= 1"),
        (lambda: HardCubeSpec(bits=0), "bits must be >= 1"),
        (lambda: HardCubeSpec(tag=0.0), "tag must be > 0"),
        (lambda: MarginMixtureSpec(small_share=1.5), "small_share must be <= 1"),
        (lambda: MarginMixtureSpec(noise_norm=0.0), "noise_norm must be > 0"),
    ],
)
def test_impossible_specs_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def arrays(rng):
    X = rng.standard_normal((4, 3, 5))
    X[:, :, 0] = 0.0
    X[:, 1] = np.array([1.0, -1.0, 1.0, -1.0])[:, None] * np.eye(5)[0]
    return X, [1, 0, 1, 0], {"signal": np.eye(5)[0], "signal_patch": [1, 1, 1, 1]}


def test_own_arrays(rng):
    X, y, rest = arrays(rng)
    data = signal_noise_data(X, y, **rest)
    assert data.signal_strength == 1.0
    X[0, 0, 1] = 99.0
    assert data.X[0, 0, 1] != 99.0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"signal": np.full(5, 1.0)}, "signal must be a unit vector"),
        ({"signal_patch": [0, 1, 1, 1]}, "signal patches must be multiples"),
        ({"signal_patch": [3, 1, 1, 1]}, "signal_patch must lie in 0..2"),
        ({"y": [1, 0, 2, 0]}, "y must lie in 0..1"),
        ({"X": np.full((4, 3, 5), np.nan)}, "X must be finite"),
        ({"X": np.ones((4, 1, 5))}, "X must have at least 2 patches"),
    ],
)
def test_impossible_arrays_are_refused(changes, match, rng):
    X, y, rest = arrays(rng)
    given = {"X": X, "y": y, **rest, **changes}
    with pytest.raises(ValueError, match=match):
        signal_noise_data(given.pop("X"), given.pop("y"), **given)


def test_cube_has_every_vertex_with_its_tag():
    spec = HardCubeSpec(bits=4, tag=0.1)
    every = spec.points(np.arange(16))
    assert len(np.unique(every.X[:, 0, :4], axis=0)) == 16
    np.testing.assert_array_equal(every.X[:, 0, 4], np.where(every.y == 1, 0.1, -0.1))
    drawn = spec.sample(200, np.random.default_rng(0))
    cells = (drawn.X[:, 0, :4] @ 2 ** np.arange(4)).astype(int)
    np.testing.assert_array_equal(drawn.y, spec.table[cells])
    assert spec.coverage(16) == pytest.approx(1 - (1 - 1 / 16) ** 16)
    assert spec.coverage(0) == 0.0


def test_margin_mixture_has_two_margins(rng):
    spec = MarginMixtureSpec(dim=50, small_share=0.3)
    data = spec.sample(2000, rng)
    small = spec.small(data)
    assert abs(small.mean() - 0.3) < 0.04
    np.testing.assert_allclose(np.abs(data.X[small, 0, 0]), 0.2)
    np.testing.assert_allclose(np.abs(data.X[~small, 0, 0]), 2.0)
