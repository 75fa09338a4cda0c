"""Claims on low-complexity models: E10, and where the theorem is out of reach."""

from __future__ import annotations

from collections.abc import Sequence

from featsim.claims import statistics
from featsim.claims.cases import Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion, Verdict
from featsim.claims.purification import measures
from featsim.claims.purification.measures import ENDS
from featsim.claims.purification.purifying import ATTACKED, N_SEEDS, A
from featsim.claims.rules import at_least, at_most
from featsim.claims.structured_data.study import both, by_seed, study
from featsim.scenarios import get_scenario

MODELS = ("linear", "cubic", "quintic", "ntk", "ntk-hard")
_RIVALS = {name: get_scenario(f"purification/A-{name}") for name in MODELS}
_SECOND = get_scenario("purification/d-100-ntk")
BASELINE = Measure(measures.baseline)
ORACLE = Measure(measures.oracle, ((3.0, 10.0, 30.0, 100.0),))


def _e10(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    network = [found["pgd"] for found in by_seed(outcomes, ATTACKED, "adversarial", A)]
    found: dict[str, Estimate] = {}
    for name, scenario in _RIVALS.items():
        robust = [value["pgd"] for value in by_seed(outcomes, BASELINE, "adversarial", scenario)]
        found[f"robust accuracy, {name}"] = statistics.accuracy(robust)
        found[f"gap to the network, {name}"] = statistics.paired_difference(network, robust)
    return found


E10 = Claim(
    id="purification/E10",
    statement="Linear, polynomial and tangent-kernel models stay fragile where the network is robust",
    mark="[source]",
    scenario="purification/A",
    criteria=(
        *(Criterion(f"gap to the network, {name}", at_least(0.3), "far below") for name in MODELS),
        *(Criterion(f"robust accuracy, {name}", at_most(0.5), "<= 1/2 + o(1)") for name in MODELS),
    ),
    cases=both(
        study(A, "adversarial", N_SEEDS, ATTACKED, recording=ENDS),
        *(study(s, "adversarial", N_SEEDS, BASELINE, recording=ENDS) for s in _RIVALS.values()),
    ),
    analyse=_e10,
)
E10_ORACLE = Claim(
    id="purification/E10-oracle",
    statement="Even the cubic that knows the features is at most half robust",
    mark="[recalled]",
    scenario=A.name,
    criteria=(Criterion("robust accuracy, oracle cubic, best ratio", at_most(0.5), "needs d >> k^const"),),
    cases=study(A, None, N_SEEDS, ORACLE),
    analyse=lambda outcomes: {
        "robust accuracy, oracle cubic, best ratio": statistics.accuracy([o.value for o in outcomes])
    },
    expected=Verdict.NOT_REPRODUCED,
    explanation=(
        "With one scale of codes the cubes shrink what the adversary puts on silent coordinates to its third "
        "power, so that the cubic is partly robust. The theorem needs the two-scale law and d >> k^const, "
        "and speaks of d out of reach here; cubics that are trained are as fragile as linear models (E10)."
    ),
)
E10_SECOND = Claim(
    id="purification/E10-k2",
    statement="The tangent kernel is at most half robust at k = 2 and d = 100 too",
    mark="[recalled]",
    scenario=_SECOND.name,
    criteria=(Criterion("robust accuracy, ntk at k = 2", at_most(0.5), "needs d >> k^const"),),
    cases=study(_SECOND, "adversarial", (3, 1), BASELINE, recording=ENDS),
    analyse=lambda outcomes: {
        "robust accuracy, ntk at k = 2": statistics.accuracy([o.value["pgd"] for o in outcomes])
    },
    expected=Verdict.NOT_REPRODUCED,
    explanation=(
        "At k = 2 two large coordinates decide, and random gates of width 2d sense them well enough. The "
        "theorem's <= 1/2 + o(1) is asymptotic in d; the gap to the network only opens with d at fixed k."
    ),
)

CLAIMS = (E10, E10_ORACLE, E10_SECOND)
