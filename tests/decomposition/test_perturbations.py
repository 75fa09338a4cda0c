"""Parts of a perturbation: energies add up, directions are recognised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featsim.data import PatchDataSpec, patch_data
from featsim.decomposition import perturbation_parts


def small_data(seed: int, **fields):
    settings = {
        "n_classes": 3,
        "n_robust_patches": 2,
        "n_nonrobust_patches": 5,
        "dim": 9,
        "roles": "permuted",
    }
    return PatchDataSpec(**{**settings, **fields}).sample(6, np.random.default_rng(seed))


@given(st.integers(0, 1000), st.floats(1e-6, 1e6))
def test_energies_add_up_to_the_squared_norm(seed, scale):
    data = small_data(seed, noise_std=0.1)
    delta = scale * np.random.default_rng(seed + 1).standard_normal(data.X.shape)
    parts = perturbation_parts(delta, data)
    np.testing.assert_allclose(parts.energy, (delta**2).sum(axis=(1, 2)), rtol=1e-12)
    assert abs(sum(parts.shares.values()) - 1) < 1e-12
    assert all(-1 <= value <= 1 for value in parts.cosines.values())
    robust = np.where(data.roles == 0, (delta**2).sum(axis=2), 0).sum(axis=1)
    by_role = parts.robust_energy[:, 0] + parts.nonrobust_energy[:, 0] + parts.other_energy[:, 0]
    np.testing.assert_allclose(by_role, robust, rtol=1e-12)
    assert (parts.other_energy[:, 2] == 0).all()


def test_removal_and_writing_are_recognised():
    data = small_data(0)
    u, v, y = data.robust_features, data.nonrobust_features, data.y
    on_nonrobust = (data.roles == 1)[:, :, None]
    removal = np.where(on_nonrobust, -0.3 * v[y][:, None], 0.0)
    parts = perturbation_parts(removal, data)
    assert parts.cosines["nonrobust: -v_y"] == pytest.approx(1.0)
    assert parts.cosines["nonrobust: v_other"] == pytest.approx(0.0, abs=1e-12)
    assert parts.cosines["robust: -u_y"] == 0.0
    assert parts.remaining_nonrobust == pytest.approx(0.1)
    assert parts.remaining_robust == pytest.approx(1.0)
    assert parts.shares["nonrobust"] == pytest.approx(1.0)
    # The perturbation of A-feat: remove v_y, write v of the next class.
    split = np.where(on_nonrobust, (v[(y + 1) % 3] - v[y])[:, None], 0.0)
    parts = perturbation_parts(split, data)
    assert parts.cosines["nonrobust: -v_y"] == pytest.approx(np.sqrt(0.5))
    assert parts.cosines["nonrobust: v_other"] == pytest.approx(np.sqrt(0.5))
    diverted = perturbation_parts(np.broadcast_to(-u[y][:, None], data.X.shape), data)
    assert diverted.cosines["nonrobust: -u_y"] == pytest.approx(1.0)
    assert diverted.cosines["robust: -u_y"] == pytest.approx(1.0)
    assert diverted.shares["robust"] == pytest.approx(1.0)


def test_merged_repeats_give_the_same_parts():
    data = small_data(3, roles="fixed")
    merged = data.merge_repeats()
    small = np.random.default_rng(0).standard_normal(merged.X.shape)
    full = small[:, np.repeat([0, 1], [2, 5])]
    a, b = perturbation_parts(small, merged), perturbation_parts(full, data)
    for name in ("robust_energy", "nonrobust_energy", "other_energy"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12)
    assert a.cosines == pytest.approx(b.cosines)
    assert a.remaining_nonrobust == pytest.approx(b.remaining_nonrobust)


def test_no_perturbation_gives_zeros_without_warnings():
    parts = perturbation_parts(np.zeros((6, 7, 9)), small_data(0))
    assert set(parts.cosines.values()) == {0.0}
    assert set(parts.shares.values()) == {0.0}
    assert "share of energy, robust: 0.0000" in parts.summary()


def test_patches_of_unknown_role_have_their_own_column(rng):
    data = small_data(0)
    unknown = patch_data(
        data.X, data.y, robust_features=data.robust_features, nonrobust_features=data.nonrobust_features
    )
    parts = perturbation_parts(rng.standard_normal(data.X.shape), unknown)
    assert (parts.robust_energy[:, :2] == 0).all()
    assert (parts.robust_energy[:, 2] > 0).all()
    assert parts.cosines["robust: -u_y"] == 0.0


def test_impossible_arguments_are_refused():
    data = small_data(0)
    with pytest.raises(ValueError, match=r"perturbation must have shape \(6, 7, 9\), got \(6, 7\)"):
        perturbation_parts(np.zeros((6, 7)), data)
    with pytest.raises(ValueError, match="perturbation must be finite"):
        perturbation_parts(np.full(data.X.shape, np.nan), data)
    with pytest.raises(ValueError, match="data must have robust_features"):
        perturbation_parts(data.X, patch_data(data.X, data.y))
    with pytest.raises(TypeError, match="data must be a PatchData"):
        perturbation_parts(data.X, data.X)
