"""The claims on structured data, their measures, and their verdicts at the quick size."""

import math

import numpy as np
import pytest

from featsim.attacks import run_attack
from featsim.certificates import tangent_chord
from featsim.claims import Verdict, all_as_documented, format_table, run_claims, select
from featsim.claims.cases import Case, Measure, run_cases
from featsim.claims.structured_data import scaling, threat_measures
from featsim.claims.structured_data.learning import S1
from featsim.claims.structured_data.measures import learned, order_of_events, reduction_error
from featsim.claims.structured_data.race_measures import hit_times, plateaus, winners
from featsim.claims.structured_data.threat_measures import pure_flip, robustness, soundness
from featsim.evaluation import strongest_attack
from featsim.scenarios import get_scenario
from featsim.training import Recording


def measure(function, *arguments, scenario=S1, training="standard", seed=0, **fields):
    (outcome,) = run_cases([Case(scenario, training, seed, Measure(function, arguments), **fields)])
    return outcome.value


@pytest.mark.parametrize(
    "ids",
    [
        ("T1", "T2", "T8"),
        ("O", "V", "UV", "worst-case", "masking"),
        ("T9", "sign-step", "noise", "O-boundary"),
    ],
)
def test_verdicts_at_the_quick_size(ids):
    results = run_claims(select("structured-data", list(ids)), quick=True)
    assert len(results) == len(ids)
    assert all_as_documented(results), format_table(results)


@pytest.mark.slow
def test_whole_quick_ledger_gives_the_expected_verdicts():
    results = run_claims(select("structured-data"), quick=True)
    assert all_as_documented(results), format_table(results)
    assert all(result.verdict is not Verdict.VACUOUS for result in results)


def test_learned_agrees_with_the_trace():
    trace = S1.run("standard", 0)
    found = measure(learned)
    assert found["B"] == pytest.approx(trace["nonrobust_coef"][-1].max(axis=1).mean())
    assert found["share"] == pytest.approx(trace["nonrobust_share"][-1].mean())
    step = int(found["fit_step"])
    assert trace["clean_loss"][step] < 0.1 <= trace["clean_loss"][step - 1]
    unfitted = measure(learned, scenario=S1.with_settings({"standard.schedule.n_steps": 5}))
    assert math.isinf(unfitted["fit_step"])


def test_order_of_events_reads_the_trace():
    short = S1.replace(merge_repeats=True).with_settings({"adversarial.schedule.n_steps": 300})
    found = measure(order_of_events, scenario=short, training="adversarial")
    trace = short.run("adversarial", 0)
    level = trace["nonrobust_coef"].max(axis=2).mean(axis=1)
    reached = int(found["reached"])
    assert level[reached] >= 0.8 * found["plateau"] > level[:reached].max()
    assert 0.05 <= found["plateau"] <= 0.07 and 0.9 < found["loss_then"] <= 1.01
    assert math.isinf(found["fit_step"])  # 300 steps are too few


def test_reduction_error_sees_an_error():
    tables = Recording(quantities=("robust_table", "nonrobust_table"), weights_at=(0,))
    short = S1.with_settings({"n_steps": 60})
    assert measure(reduction_error, 60, scenario=short, recording=tables) < 1e-13
    # noise is outside the reduction, which refuses it instead of approximating
    with pytest.raises(ValueError, match="noise-free"):
        measure(reduction_error, 60, scenario=short.with_settings({"noise_std": 1e-3}), recording=tables)


def test_robustness_attacks_what_is_not_certified():
    scenario = get_scenario("structured-data/own-clean")
    for training in ("standard", "adversarial"):
        found = measure(robustness, scenario=scenario, training=training)
        network = scenario.model.network(scenario.run(training, 0).final_weights)
        data, _ = scenario.problem(0)
        threat = scenario.trainings["adversarial"].attack.threat
        full = run_attack(strongest_attack(threat), network, data)
        assert found["accuracy"] == full.robust_accuracy
        assert found["certified"] == tangent_chord(network, data, threat).certified_accuracy
        assert measure(soundness, scenario=scenario, training=training)["slack"] >= 0.0


def test_fresh_samples_share_features_but_not_noise():
    scenario = get_scenario("structured-data/own").with_settings({"n_steps": 5})
    found = measure(robustness, 8, scenario=scenario)
    assert found["n"] == 8 and found == measure(robustness, 8, scenario=scenario)


def test_a_pure_network_flips_at_its_closed_form_radius():
    scenario = get_scenario("structured-data/linf")
    found = measure(pure_flip, "v", 0.8, scenario=scenario, training=None)
    # The bisection ends at a width of 2e-4 of the closed form and gives the middle of it.
    assert found["ratio"] == pytest.approx(1.0, abs=1e-4) and not found["bound"]


def test_a_flip_beyond_the_search_is_a_bound_and_holds_no_rule(monkeypatch):
    scenario = get_scenario("structured-data/own-clean")
    for wrong, end in ((0.5, 1.1), (2.0, 0.9)):
        monkeypatch.setattr(
            threat_measures, "predicted_flip", lambda run, kind, coef, f=wrong: f / np.sqrt(2)
        )
        found = measure(pure_flip, "u", 6.0, scenario=scenario, training=None)
        assert found == {"ratio": end, "bound": True}


def test_certified_samples_are_checked_and_a_fall_counts(monkeypatch):
    scenario = get_scenario("structured-data/own-clean")
    monkeypatch.setattr(threat_measures, "CHECKED_SHARE", 1.0)
    found = measure(robustness, scenario=scenario, training="adversarial")
    assert found["certified_attacked"] == 4 * found["certified"] > 0 and found["certified_broken"] == 0

    # a certificate that lies is found out
    class Lie:
        certified = np.ones(4, dtype=bool)

    monkeypatch.setattr(threat_measures, "tangent_chord", lambda *_: Lie)
    found = measure(robustness, scenario=scenario, training="standard")
    assert found["certified_broken"] == 4 and found["accuracy"] == 0.0


def test_winners_and_times_of_the_race():
    scenario = get_scenario("structured-data/race").with_settings({"n_nonrobust_patches": 64})
    found = measure(winners, scenario=scenario, recording=Recording(every=1000))
    assert found["won"] == found["classes"] == 4 and found["told"] >= 3
    slow = get_scenario("structured-data/time-q3").with_settings({"init_std": 0.08})
    times = measure(hit_times, 0.3, scenario=slow)
    never = measure(hit_times, 0.3, scenario=slow.with_settings({"n_steps": 3}))
    assert np.isinf(never["steps"]).any() and never["start"] == times["start"]  # chosen before the run
    assert np.all(np.array(times["steps"]) >= np.array(times["predicted"]))
    assert np.all(np.diff(np.array(times["steps"])[np.argsort(times["start"])]) <= 0)


def test_plateaus_are_chosen_by_their_start():
    scenario = get_scenario("structured-data/saturation-q3").with_settings({"n_steps": 40})
    assert measure(plateaus, scenario=scenario, training="adversarial") == []


def test_escape_radius_solves_the_clipped_race():
    radius = scaling._escape_radius(0.03)
    assert 0.2 < radius < 0.3
    assert scaling._escape_radius(0.06) < radius  # a better start of u: v is given up earlier
