"""Claims of the convergence theory: searches without a result, and the intervals of accuracies."""

import dataclasses
import math

import numpy as np
import pytest

from featsim.claims import Verdict, select
from featsim.claims.cases import Case, Measure, Outcome, Run
from featsim.claims.convergence import baselines, function_space, models
from featsim.claims.ledger import judge
from featsim.scenarios.convergence import capacity
from featsim.sweeps import LeastWidth
from featsim.theory import Interpolant

RUN = Run(capacity(0.8, 8, 4), None, 0, None)


def stub_widths(monkeypatch, standard, adversarial):
    def found(data, *, attack=None, **others):
        return LeastWidth(adversarial if attack is not None else standard, 1)

    monkeypatch.setattr(baselines, "least_width", found)


def test_an_adversarial_search_without_a_fit_counts_at_the_largest_width(monkeypatch):
    stub_widths(monkeypatch, 3, None)
    found = baselines.least_widths(RUN)
    assert found == {"beyond": 1.0, "standard": 3.0, "adversarial": 48.0, "ratio": 16.0}
    stub_widths(monkeypatch, 3, 6)
    assert baselines.least_widths(RUN) == {"beyond": 0.0, "standard": 3.0, "adversarial": 6.0, "ratio": 2.0}


def test_a_standard_search_without_a_fit_leaves_no_ratio(monkeypatch):
    stub_widths(monkeypatch, None, 6)
    assert math.isnan(baselines.least_widths(RUN)["ratio"])


def capacity_outcomes(changes):
    """Outcomes of C12 with ratio 2 everywhere but where `changes` has (size, seed)."""
    outcomes = []
    for case in models.C12.cases(True):
        size = next(s for s in models.SIZES if capacity(*s).digest() == case.scenario.digest())
        wide = 2.0 if size[1] == 8 else 3.0
        value = {"beyond": 0.0, "standard": wide, "adversarial": 2.1 * wide, "ratio": 2.1}
        if size[0] == 0.4:
            value |= {"adversarial": 1.2 * wide, "ratio": 1.2}
        outcomes.append(Outcome(case, value | changes.get((size, case.seed), {}), 0.0))
    return outcomes


def test_capacity_claim_takes_missing_widths_as_what_they_are():
    result = judge(models.C12, capacity_outcomes({}))
    assert result.verdict is Verdict.REPRODUCED
    bound = {"beyond": 1.0, "adversarial": 48.0, "ratio": 16.0}
    result = judge(models.C12, capacity_outcomes({(models.SIZES[1], 0): bound}))
    notes = [finding.estimate.note for finding in result.findings]
    assert any("1 of 4 adversarial searches ended at width 48" in note for note in notes)
    missing = {"standard": math.nan, "ratio": math.nan}
    result = judge(models.C12, capacity_outcomes({(models.SIZES[1], 0): missing}))
    assert not result.findings[1].holds and result.verdict is not Verdict.REPRODUCED


def test_norms_that_were_not_found_reproduce_nothing(monkeypatch):
    zero = np.zeros(1)
    none = Interpolant(coefficients=zero, norm=7.0, error=1.0, ridge=0.0, reached=False)
    monkeypatch.setattr(baselines, "robust_interpolant", lambda *words: none)
    found = baselines.gap_growth(RUN, function_space.GAPS, function_space.TOLERANCE)
    assert all(np.isnan(norms).all() for norms in found.values())
    case = Case(RUN.scenario, None, 0, Measure(baselines.gap_growth))
    result = judge(function_space.C10, [Outcome(case, found, 0.0)])
    assert result.verdict is Verdict.NOT_REPRODUCED


def tables(names, rows):
    return dict.fromkeys(names, rows)


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        (models.C13, [tables(baselines.MODELS, (1.0, share)) for share in (0.5, 0.75)]),
        (models.TRAP, [tables(("kernel logistic", "linear"), (share, 0.25)) for share in (1.0, 0.75)]),
    ],
    ids=["C13", "loss-trap"],
)
def test_every_accuracy_has_its_binomial_interval(claim, values):
    cases = claim.cases(True)
    outcomes = [Outcome(dataclasses.replace(cases[0], seed=k), value, 0.0) for k, value in enumerate(values)]
    for finding in judge(claim, outcomes).findings:
        name = finding.criterion.quantity
        if "accuracy" in name and " less " not in name:
            assert finding.estimate.note.startswith("Wilson [") and "over 32 samples" in finding.estimate.note


def test_ids_are_those_of_the_documentation():
    wanted = {f"convergence/C{k}" for k in range(1, 14)}
    assert wanted < {claim.id for claim in select("convergence")}
