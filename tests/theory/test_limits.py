"""Radii of pure networks against brute-force attacks on actual networks, and reference tables."""

import math

import numpy as np
import pytest
from scipy.linalg import hadamard
from scipy.optimize import brentq

import reference
from featsim.theory import (
    full_l2_window,
    input_l2_linear_limit,
    input_l2_margin,
    input_l2_power_limit,
    input_l2_radius,
    linf_nonrobust_limits,
    linf_nonrobust_radius,
    linf_robust_limits,
    linf_robust_radius,
    own_feature_radii,
    patch_l2_radius,
    writing_radius,
    written_output,
)

RHO = 0.5
ALPHA, BETA, P_R, P_NR = 1.0, 0.4, 1, 40


def patch_margin(weights, patch, power):
    """F_0 - F_1 of one patch under a two-class network."""
    F = reference.scores(weights, patch[None, :], power, RHO)
    return F[0] - F[1]


def flip_radius(worst_margin, upper):
    """The radius at which a brute-force margin, decreasing in the radius, changes sign."""
    return brentq(worst_margin, 1e-9, upper, xtol=1e-6)


def pure_network(coefs, features):
    """Two classes, neurons coefs[r] times the class's feature."""
    return np.array([[c * f for c in coefs] for f in features])


# ---------------------------------------------------------------- whole-input l2


@pytest.mark.parametrize(
    ("coef", "pure_u", "pure_v"),
    [
        (0.1, 0.707, 1.203),
        (0.5, 0.707, 1.205),
        (1.0, 0.707, 1.418),
        (2.0, 0.667, 1.654),
        (4.0, 0.527, 1.787),
        (6.6, 0.426, 1.783),
        (20.0, 0.257, 1.780),
        (100.0, 0.175, 1.778),
    ],
)
def test_table_of_whole_input_radii(coef, pure_u, pure_v):
    # the table has three digits; its 1.418 comes from a scan 0.002 coarse, we find 1.416
    assert input_l2_radius(coef, ALPHA, P_R, 41, 3.0, RHO) == pytest.approx(pure_u, abs=6e-4)
    assert input_l2_radius(coef, BETA, P_NR, 41, 3.0, RHO) == pytest.approx(pure_v, abs=2.5e-3)


def test_whole_input_limits():
    for strength, carriers in ((ALPHA, P_R), (BETA, P_NR)):
        small = input_l2_radius(0.01, strength, carriers, 41, 3.0, RHO)
        assert small == pytest.approx(input_l2_power_limit(strength, carriers, 3.0), rel=1e-6)
        large = input_l2_radius(1e7, strength, carriers, 41, 3.0, RHO)
        assert large == pytest.approx(input_l2_linear_limit(strength, carriers, 41), rel=1e-4)


def allocate(values, n_patches):
    """Best total of values[units] over all allocations of whole units to the patches, per budget."""
    best = np.full(len(values), -np.inf)
    best[0] = 0.0
    for _ in range(n_patches):
        best = np.array([max(best[u - w] + values[w] for w in range(u + 1)) for u in range(len(values))])
    return best


@pytest.mark.parametrize("power", [2.0, 3.0])
@pytest.mark.parametrize("coef", [0.3, 1.5, 6.6])
@pytest.mark.parametrize(("strength", "carriers"), [(ALPHA, 1), (BETA, 9)])
def test_whole_input_margin_against_dynamic_programme(power, coef, strength, carriers):
    # every allocation of the squared budget in units, to removal on each carrier and writing on each patch
    P, units = 10, 120
    for radius in (0.2, 0.5, 1.0):
        size = [radius * math.sqrt(u / units) for u in range(units + 1)]
        written = [reference.smoothed_relu(coef * e, power, RHO) for e in size]
        lost = [-reference.smoothed_relu(coef * (strength - c), power, RHO) for c in size]
        writing, removing = allocate(written, P), -allocate(lost, carriers)
        exact = min(removing[u] - writing[units - u] for u in range(units + 1))
        closed = input_l2_margin(radius, coef, strength, carriers, P, power, RHO)
        scale = carriers * reference.smoothed_relu(coef * strength, power, RHO)
        assert closed <= exact + 1e-9 * scale  # the formula never misses an allocation
        # above by the coarse units, below by counting a fraction of a patch
        assert exact - closed <= 3e-3 * max(scale, abs(exact))


def test_written_output_is_continuous_and_spreads_at_low_power():
    edge = 2.0 * (1.0 - 1.0 / 3.0) * RHO
    for z in (edge, edge * math.sqrt(7.0)):
        below, above = (written_output(z * (1.0 + s), 1.0, 7, 3.0, RHO) for s in (-1e-9, 1e-9))
        assert below == pytest.approx(above, rel=1e-7)
    for n in (1, 4):  # exact at whole numbers of patches
        amount = edge * math.sqrt(n)
        assert written_output(amount, 1.0, 7, 3.0, RHO) == pytest.approx(
            n * reference.smoothed_relu(edge, 3.0, RHO)
        )
    assert written_output(2.0, 1.0, 4, 1.0, RHO) == pytest.approx(4.0)


# ---------------------------------------------------------------- linf


def box_sets(dim_v):
    """u on coordinates 0 and 1, v two Hadamard columns on the other dim_v."""
    u = np.eye(2 + dim_v)[:2]
    v = np.hstack([np.zeros((2, 2)), hadamard(dim_v)[:, 1:3].T / math.sqrt(dim_v)])
    return u, v


@pytest.mark.parametrize("power", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("coef", [0.3, 2.0, 20.0])
def test_linf_radius_of_spread_features(power, coef):
    _, v = box_sets(16)
    network = pure_network([coef, 0.5 * coef], v)
    agree = v[0] * v[1] > 0.0
    grid = np.linspace(-1.0, 1.0, 9)
    # all perturbations constant in sign pattern on the coordinates where the two columns agree or differ
    moves = [np.sign(v[0]) * np.where(agree, a, b) for a in grid for b in grid]

    def worst(eps):
        carrier = min(patch_margin(network, BETA * v[0] + eps * move, power) for move in moves)
        other = min(patch_margin(network, eps * move, power) for move in moves)
        return P_NR * carrier + P_R * other

    found = flip_radius(worst, BETA / 4.0)
    closed = linf_nonrobust_radius(
        [coef, 0.5 * coef],
        [coef, 0.5 * coef],
        nonrobust_strength=BETA,
        n_nonrobust_patches=P_NR,
        n_patches=41,
        spread_dim=16,
        power=power,
        smoothing=RHO,
    )
    assert closed == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("power", [2.0, 3.0])
@pytest.mark.parametrize("coef", [0.3, 2.0, 20.0])
def test_linf_radius_of_localised_features(power, coef):
    u, _ = box_sets(4)
    own, rival = [coef, 0.2 * coef], [1.3 * coef, 0.1 * coef]
    network = np.array([[c * u[0] for c in own], [c * u[1] for c in rival]])
    moves = [a * u[0] + b * u[1] for a in np.linspace(-1, 1, 9) for b in np.linspace(-1, 1, 9)]

    def worst(eps):
        robust = min(patch_margin(network, ALPHA * u[0] + eps * move, power) for move in moves)
        other = min(patch_margin(network, eps * move, power) for move in moves)
        return P_R * robust + P_NR * other

    setting = {
        "robust_strength": ALPHA,
        "n_robust_patches": P_R,
        "n_patches": 41,
        "power": power,
        "smoothing": RHO,
    }
    closed = linf_robust_radius(own, rival, **setting)
    assert closed == pytest.approx(flip_radius(worst, ALPHA), rel=1e-3)
    # l1 norms larger than the coefficients can only shrink the radius
    norms = {"own_norms": np.array(own) + 0.05, "rival_norms": np.array(rival) + 0.05}
    assert linf_robust_radius(own, rival, **setting, **norms) < closed
    with pytest.raises(ValueError, match="own_norms must hold one l1 norm"):
        linf_robust_radius(own, rival, **setting, own_norms=[0.0, 0.0])


def test_linf_limits_in_s1():
    robust = linf_robust_limits(ALPHA, P_R, 41, 3.0)
    np.testing.assert_allclose(robust, (0.225, 0.024), atol=5e-4)
    nonrobust = linf_nonrobust_limits(BETA, P_NR, 41, 256, 3.0)
    np.testing.assert_allclose(nonrobust.power, 0.0193, atol=5e-5)
    np.testing.assert_allclose(nonrobust.linear, BETA * P_NR / 41 / 16)
    u = {"robust_strength": ALPHA, "n_robust_patches": P_R, "n_patches": 41, "power": 3.0, "smoothing": RHO}
    v = {"nonrobust_strength": BETA, "n_nonrobust_patches": P_NR, "n_patches": 41, "spread_dim": 256}
    for coef, which in ((0.01, 0), (1e7, 1)):
        assert linf_robust_radius(coef, coef, **u) == pytest.approx(robust[which], rel=1e-4)
        radius = linf_nonrobust_radius(coef, coef, **v, power=3.0, smoothing=RHO)
        assert radius == pytest.approx(nonrobust[which], rel=1e-4)
    # without other patches there is nowhere to write
    alone = linf_nonrobust_radius(1.0, 1.0, **{**v, "n_patches": 40}, power=3.0, smoothing=RHO)
    assert alone == pytest.approx(BETA / 16)


# ---------------------------------------------------------------- per-patch l2


def ball_attack(network, features, strength, carriers, others, power):
    """The worst margin over a grid of angles and lengths in the plane of the two features."""
    turns = [
        length * (math.cos(g) * features[0] + math.sin(g) * features[1])
        for g in np.linspace(0.5 * math.pi, math.pi, 181)
        for length in (0.25, 0.5, 0.75, 1.0)
    ]

    def worst(eps):
        carrier = min(patch_margin(network, strength * features[0] + eps * t, power) for t in turns)
        other = min(patch_margin(network, eps * t, power) for t in turns) if others else 0.0
        return carriers * carrier + others * other

    return worst


@pytest.mark.parametrize("power", [2.0, 3.0])
@pytest.mark.parametrize("coef", [0.3, 2.0, 7.0])
@pytest.mark.parametrize(
    ("strength", "carriers", "others"),
    [(ALPHA, P_R, 0), (BETA, P_NR, 0), (BETA, P_NR, P_R), (ALPHA, P_R, P_NR)],
    ids=["O-u", "O-v", "V-v", "full-u"],
)
def test_patch_radii_against_grid_attack(power, coef, strength, carriers, others):
    features = np.eye(2)
    network = pure_network([coef, 0.4 * coef], features)
    worst = ball_attack(network, features, strength, carriers, others, power)
    closed = patch_l2_radius([coef, 0.4 * coef], strength, carriers, others, power, RHO)
    assert closed == pytest.approx(flip_radius(worst, strength), rel=1e-3)


def test_own_feature_radii():
    radii = own_feature_radii(ALPHA, BETA)
    np.testing.assert_allclose(radii, (ALPHA / math.sqrt(2), BETA / math.sqrt(2)))
    for coef in (0.1, 1.5, 30.0):
        assert patch_l2_radius(coef, ALPHA, P_R, 0, 3.0, RHO) == pytest.approx(radii.robust)
        assert patch_l2_radius(coef, BETA, P_NR, 0, 3.0, RHO) == pytest.approx(radii.nonrobust)


def test_pure_v_flips_earlier_under_v_than_under_o():
    # the robust patches also write v_t: below beta/sqrt 2 = 0.2828, which would be the radius without them
    assert patch_l2_radius(0.1, BETA, P_NR, P_R, 3.0, RHO) == pytest.approx(0.2795, abs=1e-4)


def test_window_of_setting_l():
    for n, upper in ((1800, 0.0760),):
        window = full_l2_window(1, n, 1.0, 0.1, 3.0)
        np.testing.assert_allclose((window.lower, window.upper), (0.0707, upper), atol=5e-5)
        assert window.nonrobust_wins
    window = full_l2_window(1, 12000, 1.0, 0.05, 3.0)
    np.testing.assert_allclose((window.lower, window.upper), (0.0354, 0.0419), atol=5e-5)
    # S1 is empty; nonempty iff R < sqrt2 tau - 1
    s1 = full_l2_window(1, 40, ALPHA, BETA, 3.0)
    assert s1.lower > s1.upper
    edge = (math.sqrt(2.0) * 10.0 - 1.0) ** 3
    inside, outside = (full_l2_window(1, int(n), 1.0, 0.1, 3.0) for n in (edge * 0.99, edge * 1.01))
    assert inside.lower < inside.upper
    assert outside.lower > outside.upper
    assert not full_l2_window(1, 999, 1.0, 0.1, 3.0).nonrobust_wins
    # its upper end is the radius of a pure-u network in the power region
    assert patch_l2_radius(0.1, 1.0, 1, 12000, 3.0, 40.0) == pytest.approx(writing_radius(1, 12000, 1.0, 3.0))


def test_trained_l_network_outside_the_power_region_loses_its_radius():
    # smoothing 0.5 instead of 40: the trained network is linear, its radius is 0.019
    assert patch_l2_radius(12.0, 1.0, 1, 12000, 3.0, 0.5) < 0.03


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: input_l2_power_limit(1.0, 1, 2.0), "power must be > 2"),
        (lambda: input_l2_linear_limit(1.0, 5, 4), "n_patches must be >= 5"),
        (lambda: input_l2_margin(-1.0, 1.0, 1.0, 1, 2, 3.0, 0.5), "radius must be >= 0"),
        (lambda: patch_l2_radius(-1.0, 1.0, 1, 0, 3.0, 0.5), "coef must hold a positive coefficient"),
        (lambda: own_feature_radii(-1.0, 0.4), "robust_strength must be >= 0"),
        (lambda: full_l2_window(0, 4, 1.0, 0.4, 3.0), "n_robust_patches must be >= 1"),
        (lambda: linf_robust_limits(1.0, 0, 4, 3.0), "n_carriers must be >= 1"),
    ],
)
def test_impossible_limits_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
