"""Claims of Gao et al., arXiv:1906.07916 (C1 to C13 of docs/convergence.rst) at their quick size.

The paper's text could not be read; settings and thresholds are ours [choice], its statements [recalled] or
[source] as each claim says. Rules: thresholds stated before the runs, or values of a
reference implementation to three standard errors.
"""

import numpy as np
import pytest

from featsim.claims import Verdict, format_table, run_claims, select
from featsim.scenarios import get_scenario
from featsim.training import Recording

FAST = ("C1", "C2", "C3", "C7", "C8", "C9", "C10", "C11", "theorem-width", "loss-trap")
SLOW = ("C4", "C5", "C6", "C12", "C12-small-radius", "C12-dimension", "C13", "C1-deep")


@pytest.fixture(scope="module")
def results():
    found = run_claims(select("convergence", FAST), quick=True)
    return {result.claim.id.partition("/")[2]: result for result in found}


def test_every_claim_is_tested():
    assert {claim.id.partition("/")[2] for claim in select("convergence")} == {*FAST, *SLOW}


@pytest.mark.parametrize("name", FAST)
def test_verdict_is_the_expected_one(results, name):
    assert results[name].as_expected, format_table([results[name]])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_verdict_of_a_longer_claim_is_the_expected_one(name):
    (result,) = run_claims(select("convergence", (name,)), quick=True)
    assert result.as_expected, format_table([result])


def test_theorems_width_is_vacuous(results):
    result = results["theorem-width"]
    assert result.verdict is Verdict.VACUOUS
    assert result.findings[1].estimate.value > 1e3


def test_adversary_strength_in_one_seed():
    """C5: what is trained against falls, what is not does not."""
    scenario = get_scenario("convergence/strength")
    late = {
        name: {q: float(trace[q][-60:].mean()) for q in ("attacked_loss", "robust_loss")}
        for name in ("standard", "short-step", "adversarial")
        for trace in [scenario.run(name, 1, recording=Recording(every=5))]
    }
    assert late["standard"]["attacked_loss"] < 0.01 < late["standard"]["robust_loss"]
    assert late["short-step"]["robust_loss"] > 3 * late["short-step"]["attacked_loss"]
    exact = late["adversarial"]
    assert exact["robust_loss"] == exact["attacked_loss"] < late["standard"]["robust_loss"]


def test_ball_stops_the_loss_at_its_optimum():
    """C4: a smaller ball leaves a larger loss, and the projection stays active."""
    base = get_scenario("convergence/ball")
    losses = []
    for radius in (0.5, 1.5, 3.0):
        trace = base.with_settings({"ball_radius": radius}).run("adversarial", 0)
        assert trace["distance"].max() <= radius * (1 + 1e-12)
        losses.append(trace["attacked_loss"].min())
        if radius == 0.5:
            assert trace["projected"][:-1].mean() > 0.9
    assert np.all(np.diff(losses) < 0)
