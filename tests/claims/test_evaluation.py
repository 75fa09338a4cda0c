"""Claims on evaluation: they are in the ledger, and the quick size judges them as documented."""

import pytest

from featsim.claims import registry
from featsim.claims.cases import run_cases
from featsim.claims.evaluation import CLAIMS, CUBES, PATCHES
from featsim.claims.ledger import Verdict, judge


def test_the_ledger_has_them():
    assert [claim.id for claim in registry.select("evaluation")] == [f"evaluation/V{k}" for k in range(1, 5)]
    assert {claim.scenario for claim in CLAIMS} == {PATCHES.name, CUBES.name}


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_they_are_reproduced(claim):
    cases = claim.cases(True)
    assert judge(claim, run_cases(cases)).verdict is Verdict.REPRODUCED
