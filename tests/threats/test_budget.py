"""Budgets: projection, steepest step, norms; every norm, scope, subspace and pixel map."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from featsim.data import PatchData, PatchDataSpec, patch_data, sample_patches
from featsim.specs import spec_from_dict
from featsim.threats import Threat, as_samples

KINDS = [
    (norm, scope, subspace)
    for norm, scope, subspace in itertools.product(
        ("l2", "linf"), ("patch", "input"), (None, "own", "nonrobust", "features")
    )
    if norm == "l2" or subspace is None
]


def patches(seed: int, counts: bool = False) -> PatchData:
    spec = PatchDataSpec(n_classes=2, n_nonrobust_patches=3, dim=6, roles="permuted", noise_std=0.1)
    data = sample_patches(spec, 4, np.random.default_rng(seed))
    if not counts:
        return data
    return patch_data(
        data.X,
        data.y,
        robust_features=data.robust_features,
        nonrobust_features=data.nonrobust_features,
        roles=data.roles,
        counts=[1, 2, 5, 1],
    )


def overlapping(seed: int) -> PatchData:
    """Two 2x2 patches of a 2x3 image: the middle column is shared."""
    rng = np.random.default_rng(seed)
    pixel_map = np.array([[0, 1, 3, 4], [1, 2, 4, 5]])
    return patch_data(rng.standard_normal((4, 6))[:, pixel_map], [0, 1, 0, 1], pixel_map=pixel_map)


def cases(seed: int):
    for norm, scope, subspace in KINDS:
        for counts in (False, True):
            data = patches(seed, counts)
            yield Threat(radius=0.3, norm=norm, scope=scope, subspace=subspace).bind(data), data
    for norm in ("l2", "linf"):
        data = overlapping(seed)
        yield Threat(radius=0.3, norm=norm, scope="input").bind(data), data


def pairing(budget, gradient, delta):
    weights = 1.0 if budget.counts is None else budget.counts[:, :, None]
    return np.sum(weights * gradient * delta, axis=(1, 2))


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.0, 1e-200, 1e-3, 0.5, 100.0, 1e200]))
def test_projection_stays_in_the_budget_and_is_idempotent(seed, scale):
    rng = np.random.default_rng(seed)
    for budget, data in cases(seed):
        delta = budget.project(scale * rng.standard_normal(data.X.shape))
        assert budget.contains(delta).all()
        np.testing.assert_allclose(budget.project(delta), delta, rtol=1e-12, atol=1e-16)


@given(seed=st.integers(0, 1000))
def test_projection_is_the_nearest_point(seed):
    # For a convex set: p is nearest to x if and only if <x - p, q - p> <= 0 for every allowed q.
    rng = np.random.default_rng(seed)
    for budget, data in cases(seed):
        x = rng.standard_normal(data.X.shape)
        if budget.pixels is not None:
            x = budget.pixels.gather(rng.standard_normal((len(x), len(budget.pixels.coverage))))
        p = budget.project(x)
        for _ in range(5):
            q = budget.random(x.shape, rng)
            if budget.pixels is None:
                inner = pairing(budget, x - p, q - p)
            else:
                coverage = budget.pixels.coverage
                inner = np.sum(budget.pixels.fold(x - p) * budget.pixels.fold(q - p) / coverage**2, axis=1)
            assert np.all(inner <= 1e-12)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-300, 1e-9, 1.0, 1e250]))
def test_steepest_step_attains_the_dual_norm_and_nothing_allowed_exceeds_it(seed, scale):
    rng = np.random.default_rng(seed)
    for budget, data in cases(seed):
        gradient = scale * rng.standard_normal(data.X.shape)
        step = budget.steepest(gradient)
        dual = budget.dual_norm(gradient)
        np.testing.assert_allclose(pairing(budget, gradient, step), dual, rtol=1e-10)
        assert budget.contains(0.3 * step).all()
        for _ in range(5):
            other = budget.random(data.X.shape, rng)
            assert budget.contains(other).all()
            assert np.all(pairing(budget, gradient, other) <= 0.3 * dual * (1 + 1e-12))


def test_zero_gradient_gives_zero_step():
    for budget, data in cases(0):
        assert not budget.steepest(np.zeros(data.X.shape)).any()
        assert not budget.dual_norm(np.zeros(data.X.shape)).any()


def test_zero_radius_allows_nothing_but_zero():
    for budget, data in cases(0):
        none = budget.threat.replace(radius=0.0).bind(data)
        assert not none.project(data.X).any()
        assert none.contains(np.zeros(data.X.shape)).all()
        assert not none.contains(data.X).any()
        assert not none.random(data.X.shape, np.random.default_rng(0)).any()


@pytest.mark.parametrize(("norm", "scope", "subspace"), KINDS)
@pytest.mark.parametrize("counts", [False, True])
def test_agrees_with_the_slow_reference(norm, scope, subspace, counts, rng):
    data = patches(3, counts)
    u, v = data.robust_features, data.nonrobust_features
    bases = {
        None: None,
        "own": {0: u, 1: v},
        "nonrobust": {0: v, 1: v},
        "features": {0: data.features, 1: data.features},
    }[subspace]
    slow = reference.Budget(radius=0.3, norm=norm, scope=scope, bases=bases)
    budget = Threat(radius=0.3, norm=norm, scope=scope, subspace=subspace).bind(data)
    gradient = rng.standard_normal(data.X.shape)
    for s in range(data.n_samples):
        c = data.counts[s]
        allowed = reference.restrict(slow, gradient[s], data.roles[s])
        np.testing.assert_allclose(budget.restrict(gradient)[s], allowed, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(
            budget.project(gradient)[s], reference.project(slow, allowed, c), rtol=1e-10, atol=1e-14
        )
        np.testing.assert_allclose(
            budget.steepest(gradient)[s], reference.steepest(slow, allowed, c), rtol=1e-10, atol=1e-14
        )


def test_restricted_directions_lie_in_the_span(rng):
    data = patches(5)
    own = Threat(radius=1.0, subspace="own").bind(data).project(rng.standard_normal(data.X.shape))
    robust = data.roles == 0
    assert np.abs(own[robust] @ data.nonrobust_features.T).max() < 1e-12
    assert np.abs(own[~robust] @ data.robust_features.T).max() < 1e-12


def test_pixel_budget_is_the_norm_of_the_image():
    data = overlapping(0)
    budget = Threat(radius=0.3, scope="input").bind(data)
    pixels = np.arange(6.0)
    delta = np.repeat(pixels[data.pixel_map][None], 4, axis=0)
    np.testing.assert_allclose(budget.norm(delta), np.linalg.norm(pixels))
    # A gradient on two overlapping entries acts on one pixel: it adds up.
    gradient = np.zeros((4, 2, 4))
    gradient[:, 0, 1] = gradient[:, 1, 0] = 1.0
    np.testing.assert_allclose(budget.dual_norm(gradient), 2.0)
    one_sided = np.zeros((4, 2, 4))
    one_sided[:, 0, 1] = 0.1
    assert not budget.contains(one_sided).any()


def test_select_and_reach(rng):
    data = patches(1)
    filters = rng.standard_normal((7, data.dim))
    for norm, scope, subspace in KINDS:
        budget = Threat(radius=0.3, norm=norm, scope=scope, subspace=subspace).bind(data)
        reach = np.broadcast_to(budget.reach(filters), (4, data.n_patches, 7))
        alone = np.zeros(data.X.shape)
        alone[:, 2] = filters[4]
        np.testing.assert_allclose(reach[:, 2, 4], budget.dual_norm(alone), rtol=1e-12)
        part = budget.select([2, 0])
        np.testing.assert_array_equal(part.project(data.X[[2, 0]]), budget.project(data.X)[[2, 0]])


def test_reach_of_patches_with_counts_below_one(rng):
    X = rng.standard_normal((3, 4, 5))
    counts = np.array([0.25, 0.5, 1.0, 4.0])
    data = patch_data(X, [0, 1, 0], counts=counts)
    filters = rng.standard_normal((6, 5))
    budget = Threat(radius=0.3, scope="input").bind(data)
    reach = np.broadcast_to(budget.radius * budget.reach(filters), (3, 4, 6))
    for p, count in enumerate(counts):
        alone = np.zeros(X.shape)
        alone[:, p] = filters[0]
        moved = budget.project(100 * alone)[:, p]  # the whole budget on one patch
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.3 / np.sqrt(count))
        found = moved @ filters[0]
        assert np.all(found <= reach[:, p, 0] * (1 + 1e-12))
        if count <= 1:
            np.testing.assert_allclose(found, reach[:, p, 0])
    per_patch = Threat(radius=0.3).bind(data).reach(filters)
    np.testing.assert_allclose(np.broadcast_to(per_patch, (1, 1, 6))[0, 0], np.linalg.norm(filters, axis=1))
    with pytest.raises(ValueError, match="counts must be > 0, got 0"):
        dataclasses.replace(budget, counts=np.array([[1.0, 0.0]]))


def test_plain_arrays_of_any_shape(rng):
    budget = Threat(radius=0.5, scope="input").bind()
    delta = budget.project(rng.standard_normal((3, 2, 2, 5)))
    np.testing.assert_allclose(budget.norm(delta), 0.5)
    with pytest.raises(ValueError, match="use scope='input'"):
        Threat(radius=0.5).bind().project(np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"radius": -0.1}, r"radius must be >= 0, got -0\.1"),
        ({"radius": float("nan")}, "radius must be a number, not nan"),
        ({"radius": float("inf")}, "radius must be finite"),
        ({"radius": 1, "norm": "l1"}, "norm must be one of"),
        ({"radius": 1, "scope": "pixel"}, "scope must be one of"),
        ({"radius": 1, "subspace": "u"}, "subspace must be one of"),
        ({"radius": 1, "norm": "linf", "subspace": "own"}, "subspace must be None with norm 'linf'"),
    ],
)
def test_impossible_threats(fields, message):
    with pytest.raises(ValueError, match=message):
        Threat(**fields)


def test_impossible_bindings():
    bare = patch_data(np.ones((2, 3, 4)), [0, 1])
    with pytest.raises(ValueError, match="must come with data"):
        Threat(radius=1, subspace="own").bind()
    with pytest.raises(ValueError, match="use subspace=None or give the features"):
        Threat(radius=1, subspace="features").bind(bare)
    with pytest.raises(ValueError, match="roles are all -1"):
        Threat(radius=1, subspace="own").bind(
            patch_data(
                np.ones((2, 3, 4)), [0, 1], robust_features=np.eye(4)[:2], nonrobust_features=np.eye(4)[2:]
            )
        )
    with pytest.raises(ValueError, match="scope must be 'input' for patches that share pixels"):
        Threat(radius=1).bind(overlapping(0))
    with pytest.raises(ValueError, match="subspace must be None for patches that share pixels"):
        Threat(radius=1, scope="input", subspace="features").bind(overlapping(0))
    counted = dataclasses.replace(overlapping(0), counts=np.full((4, 2), 2.0))
    with pytest.raises(ValueError, match="counts must be 1 for patches that share pixels"):
        Threat(radius=1, scope="input").bind(counted)
    twice = dataclasses.replace(overlapping(0), pixel_map=np.array([[0, 0, 1, 2], [1, 2, 3, 4]]))
    with pytest.raises(ValueError, match="at most once within a patch"):
        Threat(radius=1, scope="input").bind(twice)
    with pytest.raises(ValueError, match="like pixel_map"):
        Threat(radius=1, scope="input").bind(overlapping(0)).project(np.zeros((4, 3, 3)))
    with pytest.raises(ValueError, match=r"arrays must have shape \(n, \.\.\.\)"):
        Threat(radius=1, scope="input").bind().project(np.zeros(4))
    with pytest.raises(ValueError, match="like the budget's data"):
        Threat(radius=1, subspace="own").bind(patches(0)).project(np.zeros((9, 4, 6)))


def test_threat_goes_to_json_and_back():
    threat = Threat(radius=0.3, subspace="own")
    assert spec_from_dict(threat.to_dict()) == threat
    assert "own" in threat.describe()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.ones(3), [0, 1, 0]), "X must have shape"),
        ((np.ones((0, 3)), []), "X must have shape"),
        ((np.full((2, 3), np.nan), [0, 1]), "X must be finite"),
        ((np.ones((2, 3)), [0, 0.5]), "y must hold 2 integer labels"),
        ((np.ones((2, 3)), [0]), "y must hold 2 integer labels"),
        ((np.ones((2, 3)), [0, 1], 1), "tuple of length 3"),
    ],
)
def test_bad_samples(data, message):
    with pytest.raises(ValueError, match=message):
        as_samples(data)
    with pytest.raises(TypeError, match="PatchData or a pair"):
        as_samples(3)
