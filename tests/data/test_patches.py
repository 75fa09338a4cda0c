"""The sampled patch distribution against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.data import PatchDataSpec, feature_basis, hadamard_columns, sample_like, sample_patches
from featsim.specs import spec_from_dict


@st.composite
def specs(draw):
    k = draw(st.integers(2, 5))
    features = draw(st.sampled_from(["random", "axis", "localised-spread"]))
    dim = (
        k + 8 * 2 ** draw(st.integers(0, 2))
        if features == "localised-spread"
        else 2 * k + draw(st.integers(0, 9))
    )
    return PatchDataSpec(
        n_classes=k,
        n_robust_patches=draw(st.integers(0, 3)),
        n_nonrobust_patches=draw(st.integers(1, 6)),
        dim=dim,
        robust_strength=draw(st.floats(0, 3)),
        nonrobust_strength=draw(st.floats(0, 1)),
        strength_spread=draw(st.floats(0, 0.99)),
        noise_std=draw(st.sampled_from([0.0, 0.1])),
        noise_off_features=draw(st.booleans()),
        features=features,
        roles=draw(st.sampled_from(["fixed", "permuted"])),
        classes=draw(st.sampled_from(["balanced", "random"])),
    )


@given(specs(), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_samples_follow_the_specification(spec, seed, per_class):
    n = per_class * spec.n_classes
    data = sample_patches(spec, n, np.random.default_rng(seed))
    assert data.X.shape == (n, spec.n_patches, spec.dim)
    assert (data.n_samples, data.n_patches, data.dim) == data.X.shape
    np.testing.assert_allclose(data.features @ data.features.T, np.eye(2 * spec.n_classes), atol=1e-12)
    assert ((data.roles == 0).sum(axis=1) == spec.n_robust_patches).all()
    assert ((data.roles == 1).sum(axis=1) == spec.n_nonrobust_patches).all()
    if spec.roles == "fixed":
        assert (data.roles[:, : spec.n_robust_patches] == 0).all()
    if spec.classes == "balanced":
        assert (np.bincount(data.y, minlength=spec.n_classes) == per_class).all()
    again = sample_patches(spec, n, np.random.default_rng(seed))
    np.testing.assert_array_equal(data.X, again.X)
    np.testing.assert_array_equal(data.y, again.y)
    for array in (data.X, data.y, data.roles, data.counts, data.robust_features, data.nonrobust_features):
        assert array.flags.c_contiguous
        assert not array.flags.writeable
    assert spec_from_dict(spec.to_dict()) == spec


@given(specs(), st.integers(0, 2**32 - 1))
def test_noise_free_patches_carry_their_own_feature_within_the_spread(spec, seed):
    spec = spec.replace(noise_std=0.0)
    data = spec.sample(2 * spec.n_classes, np.random.default_rng(seed))
    coef = np.einsum("npd,jd->npj", data.X, data.features)
    own = data.y[:, None] + spec.n_classes * (data.roles == 1)
    strength = np.take_along_axis(coef, own[:, :, None], axis=2)[:, :, 0]
    centre = np.where(data.roles == 0, spec.robust_strength, spec.nonrobust_strength)
    assert (np.abs(strength - centre) <= centre * spec.strength_spread + 1e-12).all()
    rest = data.X - strength[:, :, None] * data.features[own]
    assert np.abs(rest).max() <= 1e-12


@given(specs(), st.integers(0, 2**32 - 1))
def test_noise_off_features_is_orthogonal_to_them(spec, seed):
    spec = spec.replace(noise_std=1.0, noise_off_features=True, strength_spread=0.0)
    noisy = spec.sample(2 * spec.n_classes, np.random.default_rng(seed))
    coef = noisy.X @ noisy.features.T
    own = noisy.y[:, None] + spec.n_classes * (noisy.roles == 1)
    centre = np.where(noisy.roles == 0, spec.robust_strength, spec.nonrobust_strength)
    expected = centre[:, :, None] * np.eye(2 * spec.n_classes)[own]
    np.testing.assert_allclose(coef, expected, atol=1e-12)


def test_noise_has_the_asked_standard_deviation(rng):
    spec = PatchDataSpec(noise_std=0.3, classes="random", dim=30)
    data = spec.sample(400, rng)
    own = np.where(
        (data.roles == 0)[:, :, None],
        data.robust_features[data.y][:, None],
        0.4 * data.nonrobust_features[data.y][:, None],
    )
    noise = (data.X - own).ravel()
    # Standard errors of mean and variance of N Gaussians; five of them never fail by chance.
    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(noise.size)
    assert abs(noise.var() - 0.09) < 5 * 0.09 * np.sqrt(2 / noise.size)


def test_random_classes_and_strengths_are_uniform(rng):
    spec = PatchDataSpec(classes="random", strength_spread=0.5, n_nonrobust_patches=4)
    data = spec.sample(4000, rng)
    frequency = np.bincount(data.y, minlength=4) / 4000
    assert np.abs(frequency - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 4000)
    strength = np.einsum("npd,nd->np", data.X, data.nonrobust_features[data.y])[:, 1:].ravel() / 0.4
    assert abs(strength.mean() - 1) < 5 * np.sqrt(1 / 12 / strength.size)
    assert abs(strength.var() - 1 / 12) < 0.01


def test_permuted_roles_permute_the_patches_of_a_sample():
    fixed = PatchDataSpec(n_robust_patches=2, n_nonrobust_patches=5)
    a = fixed.sample(8, np.random.default_rng(3))
    b = fixed.replace(roles="permuted").sample(8, np.random.default_rng(3))
    np.testing.assert_array_equal(a.features, b.features)
    order = np.argsort(b.roles, axis=1, kind="stable")
    np.testing.assert_array_equal(np.take_along_axis(b.X, order[:, :, None], axis=1), a.X)
    assert len({row.tobytes() for row in b.roles}) > 1


def test_sample_like_keeps_the_features_and_draws_new_noise(rng):
    data = PatchDataSpec(noise_std=0.1).sample(8, rng)
    fresh = sample_like(data, 12, rng)
    np.testing.assert_array_equal(fresh.features, data.features)
    assert fresh.n_samples == 12
    assert fresh.spec == data.spec
    assert np.abs(fresh.X[:8] - data.X).min() > 0


def test_localised_spread_features_have_the_l1_norms_of_the_note(rng):
    u, v = feature_basis("localised-spread", 4, 260, rng)
    np.testing.assert_array_equal(u, np.eye(4, 260))
    np.testing.assert_allclose(np.abs(v).sum(axis=1), 16.0)
    np.testing.assert_allclose(np.abs(v[:, 4:]), 1 / 16)
    agree = (v[0, 4:] == v[1, 4:]).sum()
    assert agree == 128  # two Hadamard columns agree on half the coordinates


def test_hadamard_columns_are_sylvesters_matrix():
    matrix = np.ones((1, 1))
    for _ in range(4):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    np.testing.assert_array_equal(hadamard_columns(16, np.arange(16)), matrix.T)
    with pytest.raises(ValueError, match="size must be a power of two, got 12"):
        hadamard_columns(12, np.arange(2))
    with pytest.raises(ValueError, match=r"columns must lie in 0..3"):
        hadamard_columns(4, np.array([4]))


def test_random_basis_does_not_prefer_a_sign(rng):
    first = np.array([feature_basis("random", 2, 4, rng)[0][0, 0] for _ in range(400)])
    assert abs(first.mean()) < 5 * 0.5 / np.sqrt(400)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"n_classes": 1}, ValueError, "n_classes must be >= 2, got 1"),
        ({"dim": 7}, ValueError, r"dim must be >= 2 n_classes = 8, got 7"),
        ({"noise_std": -0.1}, ValueError, "noise_std must be >= 0, got -0.1"),
        ({"noise_std": float("nan")}, ValueError, "noise_std must be a number"),
        ({"robust_strength": -1}, ValueError, "robust_strength must be >= 0"),
        ({"nonrobust_strength": -1}, ValueError, "nonrobust_strength must be >= 0"),
        ({"nonrobust_strength": float("inf")}, ValueError, "nonrobust_strength must be finite"),
        ({"strength_spread": 1.0}, ValueError, "strength_spread must be < 1, got 1.0"),
        ({"strength_spread": -0.1}, ValueError, "strength_spread must be >= 0"),
        ({"n_robust_patches": 0, "n_nonrobust_patches": 0}, ValueError, "must be >= 1, got 0"),
        ({"n_robust_patches": -1}, ValueError, "n_robust_patches must be >= 0"),
        ({"features": "fourier"}, ValueError, "features must be one of 'random', 'axis'"),
        ({"features": "localised-spread"}, None, ""),
        (
            {"features": "localised-spread", "dim": 21},
            ValueError,
            "dim must be n_classes plus a power of two.*try 20 or 36",
        ),
        ({"roles": "mixed"}, ValueError, "roles must be one of"),
        ({"classes": "half"}, ValueError, "classes must be one of"),
        ({"noise_off_features": 1}, TypeError, "noise_off_features must be True or False"),
        ({"dim": 20.0}, TypeError, "dim must be an integer"),
    ],
)
def test_impossible_specifications_are_refused(fields, error, message):
    if error is None:
        PatchDataSpec(**fields)
    else:
        with pytest.raises(error, match=message):
            PatchDataSpec(**fields)


def test_impossible_requests_are_refused(rng):
    spec = PatchDataSpec()
    with pytest.raises(ValueError, match="n_samples must be >= 1, got 0"):
        spec.sample(0, rng)
    with pytest.raises(ValueError, match=r"got 6; use a multiple or classes='random'"):
        spec.sample(6, rng)
    with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator"):
        spec.sample(4, 0)
    with pytest.raises(TypeError, match="spec must be a PatchDataSpec"):
        sample_patches({}, 4, rng)


def test_whole_numbers_and_floats_give_one_digest():
    assert PatchDataSpec(robust_strength=1).digest() == PatchDataSpec(robust_strength=1.0).digest()
