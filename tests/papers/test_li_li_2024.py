"""Claims of Li & Li, arXiv:2410.08503: T1, T2, T7 and T8 of docs/structured_data.rst.

The paper's constants could not be read; scenario S1 and all thresholds are ours: a [choice], or
[measured] over ten seeds with a reference written independently of this package. Eight seeds here: a
mean over them has a standard error of sd / sqrt(8), sd being the spread over those ten seeds; a mean
must agree within four of them.
"""

import functools
import math

import numpy as np
import pytest

from featsim.attacks import FeatureAttack, fgm, run_attack
from featsim.evaluation import part_accuracy
from featsim.models import TwoLayerNetwork
from featsim.scenarios import get_scenario
from featsim.theory import reduced_from_weights, saturation_level
from featsim.training import Recording, Schedule, train

S1 = get_scenario("structured-data/S1").replace(merge_repeats=True)
RADIUS = S1.trainings["adversarial"].attack.threat.radius
SEEDS = range(8)


@functools.cache
def trace(training, seed):
    return S1.run(training, seed)


def traces(training):
    return [trace(training, seed) for seed in SEEDS]


def network(training, seed):
    return TwoLayerNetwork(trace(training, seed).final_weights, power=3.0, smoothing=0.5)


def accuracy_under(attack, training):
    return np.array(
        [run_attack(attack, network(training, seed), S1.problem(seed)[0]).robust_accuracy for seed in SEEDS]
    )


def final(training, name):
    return np.array([t[name][-1] for t in traces(training)])


def strongest(training, name):
    """Mean over classes of the largest own-class coefficient at the end: A+ or B+ of each seed."""
    return np.array([t[name][-1].max(axis=-1).mean() for t in traces(training)])


def agrees(found, mean, spread):
    """Whether a mean over SEEDS is within four standard errors of one over the reference's ten seeds."""
    return abs(np.mean(found) - mean) <= 4 * spread * math.sqrt(1 / len(found) + 1 / 10)


# ---------------------------------------------------------------- T1: standard training learns v


def test_t1_standard_training_fits_with_the_nonrobust_features():
    assert all(t.status == "completed" for t in traces("standard"))
    assert np.all(final("standard", "clean_accuracy") == 1.0)
    # The theory's 1, less a class that u wins: with 40 non-robust patches v wins nine of ten [measured].
    alone = final("standard", "nonrobust_only_accuracy")
    assert agrees(alone, 0.9, math.sqrt(0.9 * 0.1 / 4)) and np.median(alone) == 1.0
    share = final("standard", "nonrobust_share").mean(axis=1)
    assert share.mean() >= 0.9  # criterion of T1
    # An initial maximum of 0.03 stays what it was, but for the class whose race u wins now and then.
    robust = np.array([t["robust_coef"].max(axis=-1) for t in traces("standard")])
    assert np.median(robust[:, -1] / robust[:, 0]) < 3.0
    assert agrees(strongest("standard", "nonrobust_coef"), 1.48, 0.12)
    assert agrees(final("standard", "nonrobust_logit").mean(axis=1), 10.80, 0.87)


def test_t1_the_feature_swap_breaks_it():
    broken = accuracy_under(FeatureAttack(radius=RADIUS), "standard")
    assert broken.mean() <= 0.10 + 0.11 / math.sqrt(len(SEEDS))  # 0.05 +- 0.11 [measured], criterion 0.10
    # With the optimal split it flips a pure-v network from beta / sqrt 2 on, and not below.
    weak = accuracy_under(FeatureAttack(radius=0.9 * 0.4 / math.sqrt(2)), "standard")
    assert weak.mean() > 0.9


# ---------------------------------------------------------------- T2: adversarial training learns u


def test_t2_adversarial_training_learns_the_robust_features_instead():
    assert all(t.status == "completed" for t in traces("adversarial"))
    assert final("adversarial", "clean_accuracy").mean() >= 0.99
    assert final("adversarial", "robust_only_accuracy").mean() >= 0.99
    robust, nonrobust = (strongest("adversarial", name) for name in ("robust_coef", "nonrobust_coef"))
    assert np.all(robust / nonrobust >= 5.0)  # criterion of T2
    assert agrees(robust, 6.66, 1.03) and agrees(nonrobust, 0.12, 0.02)
    phi, psi = (final("adversarial", name) for name in ("robust_logit", "nonrobust_logit"))
    assert np.mean(psi.sum(axis=1) / (phi + psi).sum(axis=1)) < 0.01
    # Some runs leave one class untrained (19 of seeds 100 to 199 [measured], the same ones in the exact
    # reduced recursion): its filters are dead under attack, and its share speaks of two numbers near 0.
    trained = phi > 1.0
    assert np.all(trained.sum(axis=1) >= 3) and np.mean(trained.all(axis=1)) >= 0.5
    assert np.all(final("adversarial", "nonrobust_share")[trained] < 0.05)
    assert np.all(final("adversarial", "clean_loss")[trained.all(axis=1)] < 0.03)
    untrained = final("adversarial", "clean_loss")[~trained.all(axis=1)]
    np.testing.assert_allclose(untrained, math.log(4) / 4, rtol=0.02)
    assert agrees(phi[trained.all(axis=1)].mean(axis=1), 10.23, 0.73)


def test_t2_it_stands_the_feature_swap_and_the_one_step_attack():
    assert accuracy_under(FeatureAttack(radius=RADIUS), "adversarial").mean() >= 0.9  # criterion
    threat = S1.trainings["adversarial"].attack.threat
    one_step = {training: accuracy_under(fgm(threat), training) for training in ("standard", "adversarial")}
    assert agrees(one_step["adversarial"], 0.97, 0.08)
    error = 0.18 / math.sqrt(len(SEEDS))  # of the mean 0.62 of standard training
    assert one_step["adversarial"].mean() > one_step["standard"].mean() + error


@pytest.mark.parametrize("training", ["standard", "adversarial"])
def test_recorded_part_accuracies_are_those_of_the_evaluation(training):
    for seed in SEEDS[:3]:
        parts = part_accuracy(network(training, seed), S1.problem(seed)[0])
        last = trace(training, seed).at(S1.trainings[training].schedule.n_steps)
        assert parts.clean == last["clean_accuracy"]
        assert parts.robust_only == last["robust_only_accuracy"]
        assert parts.nonrobust_only == last["nonrobust_only_accuracy"]


# ---------------------------------------------------------------- T7: the order of events


def first_step(condition):
    assert condition.any()
    return int(np.argmax(condition))


def test_t7_v_stops_at_its_plateau_long_before_u_takes_the_loss_down():
    plateau_reached, loss_dropped, plateaus = [], [], []
    for t in traces("adversarial"):
        mean_strongest = t["nonrobust_coef"].max(axis=-1).mean(axis=-1)
        plateau = mean_strongest[150:250].mean()
        plateaus.append(plateau)
        plateau_reached.append(first_step(np.abs(mean_strongest / plateau - 1.0) < 0.2))
        loss_dropped.append(first_step(np.append(t["clean_loss"] < 0.1, True)))
        # Nothing is fitted when standard training has fitted, at 40 +- 12 steps [measured]: a fitted
        # class would take log(4)/4 = 0.35 off the mean loss.
        assert np.all(np.abs(t["clean_loss"][: 40 + 12] - math.log(4)) < math.log(4) / 8)
    standard_fits = [first_step(t["clean_loss"] < 0.1) for t in traces("standard")]
    assert agrees(standard_fits, 40, 12)
    # Steps 36 to 73 over ten seeds [measured], when standard training would blow up: a mean of eight
    # lies within that range.
    assert 36 <= np.mean(plateau_reached) <= 73
    # B* with (1 - p) to the power 0: the attack is in margin form. Plateaus sit 10 to 30% below it, and
    # 0.050 to 0.070 against 0.085 [measured].
    level = saturation_level(power=3.0, smoothing=0.5, nonrobust_strength=0.4, attack_step_size=1000.0)
    assert level == pytest.approx((0.5**2 / (1000.0 * 0.4)) ** (1 / 3), rel=1e-12)
    assert 0.050 <= np.mean(plateaus) <= 0.070 < level
    # 687 +- 363 steps against 40 +- 12 [measured], any run that never gets there being the latest: each
    # run comes later than the standard ones by four of their spreads, the median within 377 to 1423,
    # the range over ten seeds.
    assert np.min(loss_dropped) > 40 + 4 * 12
    assert 377 <= np.median(loss_dropped) <= 1423


# ---------------------------------------------------------------- T8: full against reduced dynamics


def both(training, seed, n_steps, attack_step_size=None):
    """Coefficient tables (t, k, m, 2k) of the full run and of the reduced recursion."""
    data, rng = S1.problem(seed)
    weights = S1.model.initial_weights(4, 20, rng)
    attack = S1.trainings[training].attack
    if attack is not None:
        attack = attack.replace(step_size=attack_step_size)
    full = train(
        S1.model,
        data,
        schedule=Schedule(n_steps=n_steps, step_size=1.0),
        attack=attack,
        initial_weights=weights,
        recording=Recording(quantities=("robust_table", "nonrobust_table", "clean_loss")),
    )
    start = reduced_from_weights(weights, data)
    settings = dict(power=3.0, smoothing=0.5, step_size=1.0, n_steps=n_steps)
    if attack is None:
        reduced = start.standard(**settings)
    else:
        reduced = start.adversarial(**settings, radius=RADIUS, attack_step_size=attack_step_size)
    return tuple(
        np.concatenate([t.robust_table, t.nonrobust_table], axis=-1) for t in (Tables(full), reduced)
    )


class Tables:
    """A trace read like a reduced one."""

    def __init__(self, trace):
        self.robust_table, self.nonrobust_table = trace["robust_table"], trace["nonrobust_table"]


@pytest.mark.parametrize("seed", SEEDS)
def test_t8_standard_training_is_the_reduced_recursion(seed):
    full, reduced = both("standard", seed, 400)
    assert len(full) == 401 and np.abs(full[-1] - full[0]).max() > 0.5
    np.testing.assert_allclose(full, reduced, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_t8_adversarial_training_is_the_reduced_recursion(seed):
    full, reduced = both("adversarial", seed, 300, attack_step_size=100.0)
    assert len(full) == 301 and np.abs(full[-1] - full[0]).max() > 0.05
    np.testing.assert_allclose(full, reduced, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_t8_at_the_inner_step_of_s1_until_rounding_is_amplified(seed):
    """At eta_in = 1000 activation edges amplify rounding: two full runs part at 1e-12 from step 138 on."""
    full, reduced = both("adversarial", seed, 100, attack_step_size=1000.0)
    np.testing.assert_allclose(full, reduced, rtol=0, atol=1e-10)


def test_t8_consequences_of_the_standard_recursion():
    """Off-diagonal coefficients never grow, negative own ones and the rest of the weights are frozen."""
    data, rng = S1.problem(0)
    recording = Recording(quantities=("robust_table", "nonrobust_table", "rest_norm"))
    run = train(S1.model, data, schedule=S1.trainings["standard"].schedule, rng=rng, recording=recording)
    np.testing.assert_allclose(
        run["rest_norm"], np.broadcast_to(run["rest_norm"][0], run["rest_norm"].shape), atol=1e-13
    )
    for name in ("robust_table", "nonrobust_table"):
        table = run[name]
        own = np.arange(4)
        others = np.delete(table.transpose(0, 2, 1, 3).reshape(len(table), 8, 16), own * 5, axis=2)
        assert np.diff(others, axis=0).max() <= 1e-14
        diagonal = table[:, own, :, own]
        negative = diagonal[:, 0] < 0
        moved = np.abs(diagonal - diagonal[:, :1]).max(axis=1)
        assert negative.any() and moved[negative].max() <= 1e-13 and moved[~negative].max() > 0.01
