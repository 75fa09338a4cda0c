"""Every kind of model has a sound certificate: below the exact margin, which is below any attack's."""

import numpy as np
import pytest
from model_kinds import Case, cases

from featsim.attacks import pgd, run_attack
from featsim.certificates import branch_and_bound, certify_model
from featsim.models import margins, neuron_sum
from featsim.threats import Threat

CASES = cases()
THREATS = [
    Threat(radius=radius, norm=norm, scope="input")
    for norm, radii in (("l2", (0.02, 0.3, 1.5)), ("linf", (0.01, 0.2)))
    for radius in radii
]


def lowest_found(case, threat, rng, n_random=40, n_steps=15):
    """Smallest margin over random and adversarial perturbations, always inside the budget."""
    budget = threat.bind()
    found = margins(case.model.scores(case.X), case.y)
    for _ in range(n_random):
        delta = budget.random(case.X.shape, rng)
        if rng.uniform() < 0.5:  # to the edge
            delta = threat.radius * budget.steepest(delta)
        found = np.minimum(found, margins(case.model.scores(case.X + delta), case.y))
    attack = pgd(threat, n_steps, objective="targeted", starts=("clean", "steepest"))
    return np.minimum(found, run_attack(attack, case.model, (case.X, case.y)).margin)


@pytest.mark.parametrize("name", CASES)
def test_certified_is_at_most_attacked_is_at_most_clean(name, rng):
    case, useful = CASES[name], False
    # Kernels without a closed form are integrated, which is slow.
    effort = (
        (3, 2) if name in ("kernel smoothed", "kernel softplus both", "kernel biased gates") else (40, 15)
    )
    if effort[0] == 3:
        case = Case(case.model, case.X[:4], case.y[:4])
    clean = margins(case.model.scores(case.X), case.y)
    for threat in THREATS:
        bound = certify_model(case.model, (case.X, case.y), threat)
        found = lowest_found(case, threat, rng, *effort)
        assert np.all(bound.lower_margin <= found), threat.describe()
        assert np.all(found <= clean)
        useful |= bound.certified_accuracy > 0.0
    assert useful  # not only sound: it says something at the smallest radius


@pytest.mark.parametrize("name", CASES)
def test_radius_0_certifies_what_is_right(name):
    case = CASES[name]
    bound = certify_model(case.model, (case.X, case.y), Threat(radius=0.0, scope="input")).lower_margin
    np.testing.assert_allclose(bound, margins(case.model.scores(case.X), case.y), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if neuron_sum(case.model) is not None])
def test_certified_exact_attacked_clean_in_this_order(name, rng):
    case = CASES[name]
    data = (case.X, case.y)
    for threat in THREATS[1:2] + THREATS[4:]:
        bound = certify_model(case.model, data, threat).lower_margin
        exact = branch_and_bound(case.model, data, threat, max_nodes=2000)
        found = lowest_found(case, threat, rng)
        assert np.all(exact.lower_margin <= exact.upper_margin + 1e-12)
        assert np.all(bound <= exact.upper_margin + 1e-12)
        assert np.all(exact.lower_margin <= found)
        assert np.all(exact.upper_margin <= margins(case.model.scores(case.X), case.y))
        assert threat.bind().contains(exact.perturbation.reshape(case.X.shape)).all()
        assert set(exact.status) <= {"certified", "broken", "open"}
        np.testing.assert_array_equal(exact.status == "broken", ~exact.certified & (exact.upper_margin <= 0))
        # Every sample that lines certify is certified by cutting boxes as well, where nodes suffice.
        assert np.all(exact.certified[(bound > 1e-9) & (exact.status != "open")])
