"""The exhaustive attack on arcs, and its tie rule."""

import numpy as np
import pytest

from featsim.attacks import ArcAttack, arc_net, pgd, run_attack
from featsim.data import CircleSpec, SphereSliceSpec
from featsim.models import NtkNetwork, NtkSpec, first_largest
from featsim.specs import spec_from_dict


@pytest.fixture
def trained(rng):
    data = CircleSpec().sample(4, rng)
    weights = NtkSpec(width=32).initial_weights(3, rng) + 0.3 * rng.standard_normal((1, 32, 3))
    return data, NtkNetwork(weights)


def test_ties_within_rounding_go_to_the_first():
    np.testing.assert_array_equal(
        first_largest(np.array([[1.0, 1.0 + 5e-11, 0.0], [0.0, 1.0, 1.0 + 1e-9]])), [0, 2]
    )
    np.testing.assert_array_equal(
        first_largest(np.array([[0.0, np.nan, 3.0], [np.inf, 1.0, np.inf]])), [1, 0]
    )


def test_net_holds_the_input_and_spans_the_arc(trained):
    data, _ = trained
    net = arc_net(ArcAttack(half=0.3), data.X, data.y)
    np.testing.assert_array_equal(net[:, 10], data.X)
    attack = ArcAttack(half=0.3)
    assert attack.threat.bind(data).contains(net[:, 0] - data.X).all()
    np.testing.assert_allclose(np.linalg.norm(net[:, 0] - data.X, axis=1), attack.threat.radius, rtol=1e-12)
    reversed_net = arc_net(ArcAttack(half=0.3, order="label"), data.X, data.y)
    for own, turned, y in zip(net, reversed_net, data.y, strict=True):
        np.testing.assert_allclose(turned, own if y == 1 else own[::-1], atol=1e-15)


def test_it_is_the_worst_of_the_net_and_no_gradient_attack_is_far_worse(trained):
    data, network = trained
    attack = ArcAttack(half=0.3, n_points=201)
    result = run_attack(attack, network, data)
    net = arc_net(attack, data.X, data.y)
    margins = data.signs[:, None] * network.scores(net.reshape(-1, 3)).reshape(4, -1)
    np.testing.assert_allclose(result.margin, margins.min(axis=1), atol=1e-10)
    assert np.all(result.margin <= result.clean_margin)
    climbed = run_attack(pgd(attack.threat, n_steps=60, n_random=3), network, data, np.random.default_rng(0))
    assert np.all(climbed.margin >= result.margin - 1e-3)
    assert np.all(climbed.margin <= result.margin + 1e-2)
    assert "net of 201" in result.summary() and "cap" not in result.settings["attack"]


def test_pairs_of_arrays_give_the_same(trained):
    data, network = trained
    both = [run_attack(ArcAttack(half=0.2), network, form).margin for form in (data, (data.X, data.y))]
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"half": -0.1}, "half must be >= 0"),
        ({"half": 0.1, "n_points": 4}, "n_points must be odd"),
        ({"half": 0.1, "constant": 1.0}, "constant must be < 1"),
        ({"half": 0.1, "order": "random"}, "order must be one of"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ArcAttack(**fields)


def test_points_elsewhere_are_refused(rng, trained):
    data = SphereSliceSpec(dim=5, separation=0.1).sample(4, rng)
    with pytest.raises(ValueError, match=r"X must have shape \(n, 3\) for an arc attack"):
        run_attack(ArcAttack(half=0.1), trained[1], data)
    with pytest.raises(ValueError, match="give the attack the constant of the data"):
        run_attack(ArcAttack(half=0.1, constant=0.2), trained[1], trained[0])


def test_spec_survives_json():
    attack = ArcAttack(half=0.25, n_points=5, order="label", objective="margin")
    assert spec_from_dict(attack.to_dict()) == attack
