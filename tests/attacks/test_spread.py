"""Whole-input l2: the strongest attack against the closed form of pure networks."""

import numpy as np
import pytest

from featsim.attacks import pgd, run_attack
from featsim.attacks.spread import _counts
from featsim.data import PatchDataSpec, sample_patches
from featsim.evaluation import strongest_attack
from featsim.models import TwoLayerNetwork
from featsim.theory import input_l2_margin, input_l2_radius
from featsim.threats import Threat

S1 = PatchDataSpec()
SHAPE = {"power": 3.0, "smoothing": 0.5}


def pure(rng, kind, coef):
    data = sample_patches(S1, 4, rng)
    features = data.robust_features if kind == "u" else data.nonrobust_features
    return TwoLayerNetwork(coef * features[:, None, :], **SHAPE), data.select([0])


def carriers(kind):
    return (1.0, 1) if kind == "u" else (0.4, 40)


@pytest.mark.parametrize(
    ("kind", "coef"), [("u", 0.4), ("u", 2.0), ("u", 6.6), ("v", 0.5), ("v", 1.5), ("v", 4.0)]
)
def test_pure_networks_fall_at_the_closed_form_radius(rng, kind, coef):
    network, data = pure(rng, kind, coef)
    strength, n = carriers(kind)
    radius = input_l2_radius(coef, strength, n, 41, **SHAPE)

    def stands(factor):
        threat = Threat(radius=factor * radius, scope="input")
        attack = strongest_attack(threat, network, data).replace(stop_when_broken=True)
        return run_attack(attack, network, data).robust[0]

    # Below it nothing can succeed: the closed form bounds every n, integer or not.
    assert stands(0.999) and not stands(1.02)


@pytest.mark.parametrize(("kind", "coef", "radius"), [("u", 6.6, 0.3), ("u", 2.0, 0.5), ("v", 1.5, 1.2)])
def test_margins_reach_the_closed_form_and_never_pass_it(rng, kind, coef, radius):
    network, data = pure(rng, kind, coef)
    attack = strongest_attack(Threat(radius=radius, scope="input"), network, data)
    result = run_attack(attack, network, data)
    exact = input_l2_margin(radius, coef, *carriers(kind), 41, **SHAPE)
    assert exact - 1e-9 <= result.margin[0] <= exact + 0.03 * result.clean_margin[0]
    assert np.linalg.norm(result.perturbation) <= radius * (1 + 1e-12)


def test_the_spread_start_is_what_finds_it(rng):
    network, data = pure(rng, "u", 6.6)
    threat = Threat(radius=1.02 * input_l2_radius(6.6, 1.0, 1, 41, **SHAPE), scope="input")
    without = pgd(threat, n_steps=40, objective="targeted", starts=("clean", "filters", "features"))
    assert run_attack(without, network, data).robust[0]
    found = run_attack(without.replace(starts=("clean", "spread")), network, data)
    assert not found.robust[0] and found.start[0].startswith("spread")


def test_counts_end_at_all_patches():
    assert _counts(1) == [1] and _counts(5) == [1, 2, 3, 4, 5]
    assert _counts(41) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 41]


def test_spread_is_for_budgets_that_patches_share(rng):
    for threat in (Threat(radius=0.1), Threat(radius=0.1, norm="linf", scope="input")):
        with pytest.raises(ValueError, match="'spread' only with an l2 threat"):
            pgd(threat, starts=("spread",))
    network, data = pure(rng, "u", 1.0)
    whole = pgd(Threat(radius=0.1, scope="input"), objective="targeted", starts=("spread",))
    unknown = TwoLayerNetwork(network.weights, **SHAPE)
    run_attack(whole, unknown, (data.X, data.y))  # filters will do
    with pytest.raises(ValueError, match="leave 'spread' out"):
        run_attack(whole, Scores(network), (data.X, data.y))


class Scores:
    """A model without weights."""

    def __init__(self, model):
        self.scores, self.input_gradient = model.scores, model.input_gradient
