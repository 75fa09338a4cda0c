"""Claims on the exact population at large dimension: small but fatal, and what the leak does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featsim.claims import statistics
from featsim.claims.cases import Case, Measure, Outcome
from featsim.claims.estimates import Estimate
from featsim.claims.ledger import Claim, Criterion
from featsim.claims.purification import population_measures as measures
from featsim.claims.rules import at_least, at_most, between, covers_within
from featsim.scenarios import get_scenario

_NAMED = get_scenario("purification/headline")  # the recursion draws nothing from it
RADIUS = 0.17
DIMS = (200, 400, 800, 1600, 6400, 25600)
_POINTS = {dim: Measure(measures.scaling_point, (dim, RADIUS)) for dim in DIMS}
_FATAL = (
    ("leak", "leak A(0)", -0.71, "-3/4"),
    ("dense_to_pure", "beta/c", -0.76, "-3/4"),
    ("mixture_ratio", "mu", -0.26, "-1/4"),
    ("dense_share", "dense share Q", -0.49, "-1/2"),
)


def _exact(*chosen: Measure) -> Callable[[bool], list[Case]]:
    """Cases that need no seeds: nothing is drawn."""
    return lambda quick: [Case(_NAMED, None, 0, measure) for measure in chosen]


def _fatal(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    dims = [float(o.case.measure.arguments[0]) for o in outcomes]
    return {
        f"slope in d, {name}": statistics.log_slope(dims, [o.value[key] for o in outcomes])
        for key, name, _, _ in _FATAL
    }


SCALING = Claim(
    id="purification/fatal-mixture",
    statement="The mixture that is just fatal at a fixed radius gets small with d: small and fatal at once",
    mark="[derived]",
    scenario=_NAMED.name,
    criteria=tuple(
        Criterion(f"slope in d, {name}", covers_within(slope, 0.05, "about the reference's table"), theory)
        for _, name, slope, theory in _FATAL
    ),
    cases=_exact(*_POINTS.values()),
    analyse=_fatal,
)


def _removed(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    n = len(outcomes)
    return {
        "largest dense share, purified": statistics.exactly(
            max(o.value["purified_share"] for o in outcomes), n
        ),
        "smallest half-accuracy radius, purified": statistics.exactly(
            min(o.value["purified_radius"] for o in outcomes), n
        ),
    }


REMOVED = Claim(
    id="purification/fatal-removed",
    statement="Adversarial training of the population takes the just fatal mixture out at every d",
    mark="[derived]",
    scenario=_NAMED.name,
    criteria=(
        Criterion("largest dense share, purified", at_most(1e-3), "0"),
        Criterion(
            "smallest half-accuracy radius, purified",
            at_least(0.4, "the purified nets' order at d = 50 to 400"),
            "that of a pure net, from 0.17",
        ),
    ),
    cases=_exact(*_POINTS.values()),
    analyse=_removed,
)

_QUIET_DIMS = (50, 100, 200, 400, 800, 1600, 6400)
_QUIET = {dim: Measure(measures.both_phases, (dim, 0.2)) for dim in _QUIET_DIMS}


def _no_leak(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    dims = [float(o.case.measure.arguments[0]) for o in outcomes]
    ratios = [o.value["clean_dense_to_pure"] for o in outcomes]
    return {
        "slope of log beta/c on log d": statistics.log_slope(dims, ratios),
        "(beta/c) d / k at d = 6400": statistics.exactly(ratios[-1] * dims[-1] / 2.0, 1),
    }


NO_LEAK = Claim(
    id="purification/no-leak",
    statement="Without leak (r = 0.2) the mixture is of order k/d: harmless at a fixed k and large d",
    mark="[derived]",
    scenario=_NAMED.name,
    criteria=(
        Criterion("slope of log beta/c on log d", covers_within(-1.0, 0.05), "-1"),
        Criterion(
            "(beta/c) d / k at d = 6400", between(0.57, 0.67, "the reference's 0.62 at k = 2"), "order 1"
        ),
    ),
    cases=_exact(*_QUIET.values()),
    analyse=_no_leak,
)

_FIXED = {100: 0.07, 200: 0.08, 400: 0.11, 800: 0.17, 1600: 0.27, 6400: 0.58}
_LEAKY = {dim: Measure(measures.both_phases, (dim, 0.42)) for dim in _FIXED}


def _fixed_leak(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {o.case.measure.arguments[0]: o.value for o in outcomes}
    learned = [value for dim, value in found.items() if dim <= 1600]
    shares = {
        f"dense share at d = {dim}": statistics.exactly(value["clean_dense_share"], 1)
        for dim, value in found.items()
    }
    return {
        **shares,
        "smallest purified radius, d to 1600": statistics.exactly(min(v["half_radius"] for v in learned), 5),
        "largest purified |beta/c|, d to 1600": statistics.exactly(
            max(v["dense_to_pure"] for v in learned), 5
        ),
    }


FIXED_LEAK = Claim(
    id="purification/fixed-leak",
    statement="At a fixed r = 0.42 silent neurons leak as much at every d, and the dense share grows with d",
    mark="[measured]",
    scenario=_NAMED.name,
    criteria=(
        *(
            Criterion(f"dense share at d = {dim}", covers_within(share, 0.006, "two digits"), "grows")
            for dim, share in _FIXED.items()
        ),
        Criterion("smallest purified radius, d to 1600", at_least(0.43), "0.43 to 0.50"),
        Criterion("largest purified |beta/c|, d to 1600", at_most(0.007), "about 0"),
    ),
    cases=_exact(*_LEAKY.values()),
    analyse=_fixed_leak,
)

_TRAPS = {copies: Measure(measures.trapped, (800, 0.06, copies)) for copies in (2, 4)}


def _trap(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    n = len(outcomes)
    return {
        "smallest dense share": statistics.exactly(min(o.value["dense_share"] for o in outcomes), n),
        "largest FGM accuracy": statistics.exactly(max(o.value["fgm"] for o in outcomes), n),
        "smallest clean accuracy": statistics.exactly(min(o.value["clean"] for o in outcomes), n),
    }


TRAP = Claim(
    id="purification/start-trap",
    statement="From c/sqrt k below the initial bias no unit fires, and the symmetric net ends as a mixture",
    mark="[measured]",
    scenario=_NAMED.name,
    criteria=(
        Criterion("smallest dense share", at_least(0.92), "all mixture"),
        Criterion("largest FGM accuracy", at_most(0.001), "0"),
        Criterion("smallest clean accuracy", at_least(0.999), "unharmed: the linear rule"),
    ),
    cases=_exact(*_TRAPS.values()),
    analyse=_trap,
    control=True,
)

_RATES = {rate: Measure(measures.both_phases, (25600, 0.36, rate)) for rate in (0.02, 0.001)}


def _rates(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    found = {o.case.measure.arguments[2]: o.value for o in outcomes}
    return {
        "beta/c with e = 0.001": statistics.exactly(found[0.001]["dense_to_pure"], 1),
        "half-accuracy radius with e = 0.001": statistics.exactly(found[0.001]["half_radius"], 1),
        "half-accuracy radius with e = 0.02": statistics.exactly(found[0.02]["half_radius"], 1),
    }


LARGE = Claim(
    id="purification/large-d",
    statement="At d = 25600 and r = 0.36 adversarial training restores the pure net with a small enough step",
    mark="[measured]",
    scenario=_NAMED.name,
    criteria=(
        Criterion("beta/c with e = 0.001", at_most(0.007), "0, step size e d"),
        Criterion("half-accuracy radius with e = 0.001", at_least(0.43), "that of a pure net"),
        Criterion("half-accuracy radius with e = 0.02", between(0.0, 0.02), "collapses: too large a step"),
    ),
    cases=_exact(*_RATES.values()),
    analyse=_rates,
)

CLAIMS = (SCALING, REMOVED, NO_LEAK, FIXED_LEAK, TRAP, LARGE)
