"""The claims on Gram space at the quick size, and what they measure."""

import math

import numba
import numpy as np
import pytest

from featsim.claims import Verdict, all_as_documented, format_table, run_claims, select
from featsim.claims.cases import Case, Measure, Run, run_cases
from featsim.claims.gram_space import measures
from featsim.claims.gram_space.structured import critical_norm
from featsim.scenarios import get_scenario
from featsim.scenarios.gram_space import attacked_strength, paper_exponents, structured
from featsim.theory import barrier_norm
from featsim.training import Recording


def measure(function, *arguments, scenario, seed=0, training=None, **fields):
    (outcome,) = run_cases([Case(scenario, training, seed, Measure(function, arguments), **fields)])
    return outcome.value


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="takes minutes as plain Python")
@pytest.mark.parametrize("ids", [("factor", "E5"), ("flow",)])
def test_verdicts_at_the_quick_size(ids):
    results = run_claims(select("gram-space", list(ids)), quick=True)
    assert len(results) == len(ids)
    assert all_as_documented(results), format_table(results)


@pytest.mark.slow
def test_whole_quick_ledger_gives_the_expected_verdicts():
    results = run_claims(select("gram-space"), quick=True)
    assert all_as_documented(results), format_table(results)
    assert all(result.verdict is not Verdict.VACUOUS for result in results)


def test_stages_at_a_dimension_that_no_vector_reaches():
    found = measure(measures.stages, True, 20_000, scenario=paper_exponents(1e8))
    # Eight seeds give .954 +- .023, .999 +- .009 and .9936 +- .0014: the offset and four deviations.
    assert found["signal_time"] / found["predicted_signal_time"] == pytest.approx(1.0, abs=0.14)
    assert found["memorisation_time"] / found["predicted_memorisation_time"] == pytest.approx(1.0, abs=0.04)
    assert found["score"] == pytest.approx(found["predicted_score"], rel=0.012)
    assert found["train_robust"] == found["clean"] == found["memorised_share"] == 1.0
    assert 0.0 < found["excess"] < 3e-6
    # Measured with another program: 13.6 and 2.5e-9; over eight seeds 13.55 +- .07 and 2.42e-9 +- 4 %.
    assert found["memorisation"] == pytest.approx(13.6, abs=0.3)
    assert found["noise_sd"] == pytest.approx(2.5e-9, rel=0.2)


def test_the_scenario_of_the_command_line_is_the_flow_of_the_claims():
    scenario = paper_exponents(1e4).with_settings({"data.n_fresh": 50})
    trace = scenario.run("adversarial", 3, recording=Recording(every=1))
    flow, _, _ = measures.paper_flow(Run(scenario, None, 3, None), True)
    common = trace["time"][(trace["time"] > 1.0) & (trace["time"] < flow.times[-1])]
    ours = np.interp(np.log(common), np.log(flow.times), flow.signal_score)
    theirs = np.interp(common, trace["time"], trace["signal_score"])
    # A score of about 16: what is left is linear interpolation between the points of two grids.
    np.testing.assert_allclose(theirs, ours, atol=0.01)


def test_attacked_strength_is_the_difference_without_its_cancellation():
    for dim in (1e2, 1e8):
        scenario = paper_exponents(dim)
        radius = scenario.trainings["adversarial"].attack.attack.radius
        left = scenario.data.signal_strength - radius
        assert attacked_strength(dim) == pytest.approx(left, rel=1e-9)
    assert attacked_strength(1e4, False) == pytest.approx(attacked_strength(1e4) * math.log(1e4))


def test_barrier_norm_is_where_the_dead_zone_closes():
    """Where the attack takes more than z from a preactivation z, for some z, and where for none."""
    eps, inner, q, rho = 0.35, 1000.0, 3.0, 0.5
    critical = barrier_norm(eps, inner, power=q, smoothing=rho)
    assert critical == pytest.approx(0.0894, abs=1e-4) == critical_norm()
    z = np.geomspace(1e-6, 1.0, 20000)
    for norm, empty in ((0.99 * critical, True), (1.01 * critical, False)):
        taken = np.minimum(inner * (z / rho) ** (q - 1) * norm, eps) * norm
        assert bool(np.any(taken > z)) is not empty
    with pytest.raises(ValueError, match="power must be > 2"):
        barrier_norm(eps, inner, power=2.0, smoothing=rho)


@pytest.mark.parametrize(("times", "learns"), [(0.8, True), (2.0, False)])
def test_the_barrier_decides_at_large_d(times, learns):
    scenario = structured(1e6, noise_norm=0.0, start_norm=times * critical_norm(0.42), n_steps=1800)
    found = measure(
        measures.learned, scenario=scenario, training="adversarial", seed=1, recording=Recording(at=(1800,))
    )
    assert (found["learned"] > 0.5) is learns
    assert found["escaped"] == 0.0


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_run_times_do_not_depend_on_the_dimension():
    """Processor time, the least of several, as the claim; in turn, for other tests run beside this one."""
    base = get_scenario("gram-space/A-1e8").with_settings({"data.n_fresh": 0})
    found = [
        [
            measure(measures.run_times, 1000, 7, scenario=base.with_settings({"data.dim": dim}))
            for dim in (1e3, 1e12)
        ]
        for _ in range(3)
    ]
    for part in ("train", "draw"):
        low, high = (min(times[part] for times in runs) for runs in zip(*found, strict=True))
        assert high < 1.5 * low


def test_every_scenario_runs_in_few_steps():
    for name in ("A-1e8", "A-limit", "S1-1e6", "S1-1e8", "cgro-1e8", "vectors"):
        scenario = get_scenario(f"gram-space/{name}").with_settings({"schedule.n_steps": 3})
        trace = scenario.run("adversarial", 0)
        assert trace.status == "completed"
        assert trace.n_records == 4
