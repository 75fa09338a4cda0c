"""Race, hit times, saturation law and the writing attack against the equations they solve."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import linregress

from featsim.data import PatchDataSpec
from featsim.models import TwoLayerSpec
from featsim.theory import (
    Racer,
    escape_radius,
    linear_growth_share,
    nonrobust_escapes,
    predicted_winner,
    race_strength,
    reduced_adversarial,
    saturation_level,
    saturation_rate,
    tie_patch_count,
    win_probability,
    writing_attack_wins,
    writing_radius,
)


def racer(power, **changes):
    setting = {"n_patches": 40, "strength": 0.4, "smoothing": 0.5, "step_size": 0.02, "class_fraction": 0.25}
    return Racer(**{**setting, "n_classes": 4, "power": power, **changes})


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
def test_hit_times_solve_the_ode(power):
    r = racer(power)
    start, level = 0.05, 1.1
    time = float(r.hit_time(start, level))
    law = solve_ivp(
        lambda t, a: r.rate * (a / r.smoothing) ** (power - 1.0), (0.0, time), [start], rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(law.y[0, -1], level, rtol=1e-6)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0, 4.0])
def test_hit_times_add_up(power):
    r = racer(power)
    parts = r.hit_time(0.02, 0.3) + r.hit_time(0.3, 1.0)
    np.testing.assert_allclose(r.hit_time(0.02, 1.0), parts, rtol=1e-12)


def test_power_two_joins_its_neighbours():
    times = [float(racer(q).hit_time(0.02, 0.3)) for q in (2.0 - 1e-7, 2.0, 2.0 + 1e-7)]
    np.testing.assert_allclose(times, times[1], rtol=1e-6)


def test_blow_up_is_the_hit_time_of_infinity():
    # a wide power region, so that high levels are still inside it
    r = racer(3.0, smoothing=1e6)
    np.testing.assert_allclose(r.blow_up_time(0.03), r.hit_time(0.03, 1e6), rtol=1e-6)
    assert np.isinf(racer(2.0).blow_up_time(0.03))
    # the theorem's scaling: time ~ start^-(q-2)
    for q in (3.0, 4.0):
        np.testing.assert_allclose(racer(q).blow_up_time(0.01) / racer(q).blow_up_time(0.02), 2.0 ** (q - 2))


def test_hit_times_of_what_cannot_grow_or_is_there():
    times = racer(3.0).hit_time(np.array([[-0.1, 0.0], [0.3, 0.5]]), 0.3)
    np.testing.assert_array_equal(times, [[np.inf, np.inf], [0.0, 0.0]])
    assert np.isinf(racer(3.0).blow_up_time(-0.1))


def test_hit_times_follow_gradient_descent():
    # small steps, loss untouched: the recursion without attack against the formula
    r = racer(3.0, step_size=0.002, n_patches=60)
    start = np.zeros((4, 1, 4))
    start[range(4), 0, range(4)] = [0.03, 0.04, 0.05, 0.06]
    trace = reduced_adversarial(
        np.zeros((4, 1, 4)),
        start,
        gram0=None,
        subspace="own",
        class_fractions=[0.25] * 4,
        n_robust_patches=1,
        n_nonrobust_patches=60,
        robust_strength=1.0,
        nonrobust_strength=0.4,
        power=3.0,
        smoothing=0.5,
        step_size=0.002,
        n_steps=5000,
        record_every=5,
        radius=0.0,
        attack_step_size=0.0,
    )
    reached = 5 * np.argmax(trace.nonrobust_coef[:, :, 0] >= 0.12, axis=0)
    np.testing.assert_allclose(reached, r.hit_time(np.array([0.03, 0.04, 0.05, 0.06]), 0.12), rtol=0.01)


@pytest.mark.parametrize("power", [2.0, 3.0, 4.0])
def test_winner_is_the_first_to_blow_up(power, rng):
    A, B = rng.standard_normal((2, 200, 3))
    setting = {"n_robust_patches": 1, "robust_strength": 1.0, "nonrobust_strength": 0.4, "power": power}
    winner = predicted_winner(A, B, n_nonrobust_patches=16, **setting)
    if power > 2.0:
        t_u = racer(power, n_patches=1, strength=1.0).blow_up_time(A.max(axis=1))
        t_v = racer(power, n_patches=16).blow_up_time(B.max(axis=1))
        expected = np.where(t_v < t_u, "nonrobust", np.where(t_u < t_v, "robust", "none"))
        np.testing.assert_array_equal(winner, expected)
    assert set(winner) <= {"robust", "nonrobust", "none"}
    mirrored = predicted_winner(B, A, n_nonrobust_patches=16, **setting)
    assert (mirrored != winner).any()


def test_winner_ties_and_silence():
    setting = {
        "n_robust_patches": 2,
        "n_nonrobust_patches": 2,
        "robust_strength": 1.0,
        "nonrobust_strength": 1.0,
    }
    for power in (2.0, 3.0):
        winner = predicted_winner([[0.1], [-1.0], [-1.0]], [[0.1], [-0.1], [0.2]], power=power, **setting)
        assert winner.tolist() == ["tie", "none", "nonrobust"]
    with pytest.raises(ValueError, match="power must be >= 2"):
        predicted_winner([[0.1]], [[0.1]], power=1.0, **setting)
    with pytest.raises(ValueError, match=r"one shape \(k, m\)"):
        predicted_winner([[0.1]], [[0.1, 0.2]], power=3.0, **setting)


def test_race_strengths_of_s1():
    assert race_strength(40, 0.4, 3.0) == pytest.approx(2.56)
    assert tie_patch_count(1, 1.0, 0.4, 3.0) == pytest.approx(15.625)


@pytest.mark.parametrize(
    ("ratio", "width", "power"), [(0.3, 8, 3.0), (1.0, 8, 3.0), (4.0, 8, 3.0), (2.0, 1, 4.0)]
)
def test_win_probability_against_draws(ratio, width, power, rng):
    A, B = rng.standard_normal((2, 200_000, width))
    setting = {"n_robust_patches": 1, "n_nonrobust_patches": 1, "robust_strength": 1.0, "power": power}
    winner = predicted_winner(A, B, nonrobust_strength=ratio ** (1.0 / power), **setting)
    drawn = (winner == "nonrobust").mean()
    error = np.sqrt(drawn * (1.0 - drawn) / len(winner))
    assert abs(win_probability(ratio, width, power) - drawn) < 4.0 * error


def test_win_probability_at_the_ends():
    # at ratio 1 the two features are alike but for the classes that neither can win
    for width in (1, 8):
        assert win_probability(1.0, width, 3.0) == pytest.approx(0.5 * (1.0 - 0.25**width), abs=1e-12)
    assert win_probability(1e9, 8, 3.0) == pytest.approx(1.0 - 0.5**8, abs=1e-8)
    assert win_probability(1e-9, 8, 3.0) == pytest.approx(0.5**8 * (1.0 - 0.5**8), abs=1e-8)


@pytest.mark.parametrize(
    "bad", [{"n_patches": 0}, {"strength": 0.0}, {"class_fraction": 1.5}, {"n_classes": 1}]
)
def test_impossible_racers_are_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
        racer(3.0, **bad)


def test_levels_beyond_the_joint_are_refused():
    with pytest.raises(ValueError, match="level must be <= 1.25.*the growth law ends"):
        racer(3.0).hit_time(0.1, 2.0)
    with pytest.raises(ValueError, match="start must hold numbers, got nan"):
        racer(3.0).hit_time(np.nan, 0.2)


# ---------------------------------------------------------------- saturation


def one_neuron_plateau(attack_step_size, power, n_steps):
    """B of an isolated neuron per class after adversarial training without robust patches (check T5)."""
    start = np.zeros((4, 1, 4))
    start[range(4), 0, range(4)] = 0.1
    return reduced_adversarial(
        np.zeros((4, 1, 4)),
        start,
        gram0=start[:, 0] @ start[:, 0].T,
        class_fractions=[0.25] * 4,
        n_robust_patches=0,
        n_nonrobust_patches=40,
        robust_strength=0.0,
        nonrobust_strength=0.4,
        power=power,
        smoothing=0.5,
        step_size=1.0,
        n_steps=n_steps,
        radius=10.0,
        attack_step_size=attack_step_size,
        record_every=100,
    )


@pytest.mark.parametrize("power", [3.0, 4.0])
def test_t5_saturation_law(power):
    steps = np.array([3.0, 10.0, 30.0, 100.0])
    level = [saturation_level(s, nonrobust_strength=0.4, power=power, smoothing=0.5) for s in steps]
    plateau = [one_neuron_plateau(s, power, 1000).nonrobust_coef[-1, 0, 0] for s in steps]
    # B nears B* from below; up to 30 % below for networks with extra weight
    ratio = np.array(plateau) / level
    assert (ratio < 1.0).all()
    assert (ratio > 0.95).all()
    assert linregress(np.log(steps), np.log(level)).slope == pytest.approx(-1.0 / power)
    assert linregress(np.log(steps), np.log(plateau)).slope == pytest.approx(-1.0 / power, abs=0.01)


@pytest.mark.parametrize(("power", "step"), [(3.0, 3.0), (3.0, 30.0), (4.0, 10.0)])
def test_one_neuron_follows_its_rate(power, step):
    trace = one_neuron_plateau(step, power, 600)
    setting = {"n_nonrobust_patches": 40, "nonrobust_strength": 0.4, "power": power, "smoothing": 0.5}
    rest = {"step_size": 1.0, "class_fraction": 0.25, "n_classes": 4}
    law = solve_ivp(
        lambda t, b: saturation_rate(b, step, **setting, **rest),
        (0.0, 600.0),
        [0.1],
        t_eval=trace.steps,
        method="LSODA",
        rtol=1e-9,
        atol=1e-12,
    )
    # the error of Euler's method, and 1 - p below 1 - 1/k once B contributes
    np.testing.assert_allclose(trace.nonrobust_coef[2:, 0, 0], law.y[0, 2:], rtol=0.01)


def test_rate_vanishes_at_the_level_and_is_the_race_without_attack():
    setting = {"n_nonrobust_patches": 40, "nonrobust_strength": 0.4, "power": 3.0, "smoothing": 0.5}
    rest = {"step_size": 0.02, "class_fraction": 0.25, "n_classes": 4}
    level = saturation_level(30.0, nonrobust_strength=0.4, power=3.0, smoothing=0.5)
    rate = saturation_rate(np.array([0.9, 1.0 + 1e-12]) * level, 30.0, **setting, **rest)
    assert rate[0] > 0.0
    assert rate[1] == 0.0
    free = saturation_rate(0.1, 0.0, **setting, **rest)
    np.testing.assert_allclose(free, racer(3.0).rate * (0.1 / 0.5) ** 2)


def test_saturation_level_in_the_linear_region_is_continuous():
    def level(step):
        return saturation_level(step, nonrobust_strength=0.4, power=3.0, smoothing=0.5)

    joint = 0.4**2 / 0.5  # where B* = smoothing / strength
    assert level(joint * (1.0 - 1e-9)) == pytest.approx(level(joint * (1.0 + 1e-9)), rel=1e-8)
    assert level(0.1) == pytest.approx(4.0)
    loss_form = saturation_level(
        100.0, nonrobust_strength=0.4, power=3.0, smoothing=0.5, error_probability=0.01
    )
    assert loss_form == pytest.approx(level(1.0))


def test_saturation_is_refused_where_it_does_not_exist():
    common = {"nonrobust_strength": 0.4, "smoothing": 0.5}
    with pytest.raises(ValueError, match="radius must be >= 0.4.*the clip binds"):
        saturation_level(10.0, power=3.0, radius=0.35, **common)
    with pytest.raises(ValueError, match="power must be > 1"):
        saturation_level(10.0, power=1.0, **common)
    with pytest.raises(ValueError, match="attack_step_size must be finite"):
        saturation_level(np.inf, power=3.0, **common)


# ---------------------------------------------------------------- clipped race and writing attack


def test_escape_rule():
    s1 = {
        "n_robust_patches": 1,
        "n_nonrobust_patches": 40,
        "robust_strength": 1.0,
        "nonrobust_strength": 0.4,
        "power": 3.0,
    }
    # equal coefficients: standard training is the plain race; a radius near beta turns it round
    assert nonrobust_escapes(0.1, 0.1, radius=0.0, **s1)
    assert not nonrobust_escapes(0.1, 0.1, radius=0.35, **s1)
    assert not nonrobust_escapes(0.1, 5.0, radius=0.4, **s1)
    # the rate falls to 1/64 at 3/4 of beta
    A = 40 * 0.1**3 * 0.2 / 0.7**3  # the tie at radius 0.3, B = 0.2
    np.testing.assert_array_equal(
        nonrobust_escapes([A * 0.99, A * 1.01], 0.2, radius=0.3, **s1), [True, False]
    )
    assert nonrobust_escapes(-1.0, 0.1, radius=0.35, **s1)


def test_writing_attack():
    radius = writing_radius(1, 40, 1.0, 3.0)
    assert radius == pytest.approx(1.0 / (1.0 + 40 ** (1.0 / 3.0)))
    assert not writing_attack_wins(radius * 0.999, 1, 40, 1.0, 3.0)
    assert writing_attack_wins(radius * 1.001, 1, 40, 1.0, 3.0)
    # S1 at beta/sqrt 2: 2.56 > 1.04
    assert writing_attack_wins(0.4 / np.sqrt(2.0), 1, 40, 1.0, 3.0)
    assert writing_attack_wins(1.0, 1, 0, 1.0, 3.0)


def test_linear_growth_share_is_that_of_the_squares():
    assert linear_growth_share(1, 5, 1.0, 0.4) == pytest.approx(4.0 / 5.0)
    assert linear_growth_share(1, 0, 1.0, 0.4) == 0.0
    assert linear_growth_share(0, 0, 1.0, 0.4) == 0.5


@pytest.mark.parametrize("power", [2.0, 3.0, 4.0])
def test_escape_radius_is_where_the_clipped_race_turns(power):
    race = {
        "n_robust_patches": 1,
        "n_nonrobust_patches": 40,
        "robust_strength": 1.0,
        "nonrobust_strength": 0.4,
        "power": power,
    }
    even = escape_radius(0.03, 0.085, **race)
    assert 0.0 < even < 0.4
    assert nonrobust_escapes(0.03, 0.085, radius=even - 1e-9, **race)
    assert not nonrobust_escapes(0.03, 0.085, radius=even + 1e-9, **race)
    if power > 2.0:  # a better start of u: v is given up earlier
        assert escape_radius(0.06, 0.085, **race) < even
    assert escape_radius(0.03, 0.085, **{**race, "n_nonrobust_patches": 1, "power": 2.0}) == 0.0
    with pytest.raises(ValueError, match="robust_strength must be > 0.4"):
        escape_radius(0.03, 0.085, **{**race, "robust_strength": 0.3})


def test_racer_of_nonrobust_is_balanced_classes():
    racer = Racer.of_nonrobust(PatchDataSpec(), TwoLayerSpec(), 0.5)
    assert racer.rate == pytest.approx(0.5 / 4 * (1 - 1 / 4) * 40 * 0.4**3)
