"""Claims, verdicts, runs shared between claims, and what is written."""

import json
import math

import pytest

from featsim.claims import (
    Claim,
    Criterion,
    Verdict,
    all_as_documented,
    all_as_expected,
    format_markdown,
    format_table,
    judge,
    run_claims,
    select,
    write_ledger,
)
from featsim.claims.cases import Case, Measure, run_cases
from featsim.claims.rules import as_measured, at_least, at_most, between, covers_within, interval_covers
from featsim.claims.statistics import Estimate, exactly, mean, nothing
from featsim.scenarios import get_scenario

S1 = get_scenario("structured-data/S1").with_settings({"n_steps": 3, "merge_repeats": True})
CALLS = []


def final_coefficient(run, factor=1.0):
    CALLS.append(run.seed)
    return factor * float(run.trace["nonrobust_coef"][-1].max())


def first_patch(run):
    return float(run.data.X[0, 0, 0])


def toy(**changes):
    criteria = changes.pop("criteria", (Criterion("coefficient", at_least(0.0), "positive"),))

    def cases(quick):
        return [Case(S1, "standard", seed, Measure(final_coefficient)) for seed in range(2 if quick else 3)]

    def analyse(outcomes):
        return {criterion.quantity: mean([o.value for o in outcomes]) for criterion in criteria}

    given = {"cases": cases, "analyse": analyse, "scenario": S1.name, "mark": "[derived]"}
    given |= {"id": "structured-data/toy", "statement": "A coefficient | is positive", "criteria": criteria}
    return Claim(**(given | changes))


def test_a_claim_is_run_and_judged():
    (result,) = run_claims([toy()])
    assert result.verdict is Verdict.REPRODUCED and result.as_expected and result.n_seeds == 3
    (finding,) = result.findings
    assert finding.estimate.low < finding.estimate.value < finding.estimate.high
    (quick,) = run_claims([toy()], quick=True)
    assert quick.n_seeds == 2 and quick.quick and quick.digest != result.digest
    (again,) = run_claims([toy()])
    assert again.digest == result.digest and again.findings[0].estimate == finding.estimate


def test_runs_and_measures_are_shared():
    CALLS.clear()
    run_claims([toy(), toy(id="structured-data/toy2")])
    assert CALLS == [0, 1, 2]


def test_cases_come_back_in_order_for_any_number_of_jobs():
    cases = [
        Case(S1, "standard", seed, Measure(final_coefficient, (f,))) for seed in (1, 0) for f in (1.0, 2.0)
    ]
    serial = [outcome.value for outcome in run_cases(cases)]
    assert serial[1] == 2.0 * serial[0] and serial[0] != serial[2]
    data_only = run_cases([Case(S1, None, 0, Measure(first_patch))])
    assert isinstance(data_only[0].value, float)


def test_a_case_without_training_has_no_trace():
    with pytest.raises(ValueError, match="training must be named"):
        run_cases([Case(S1, None, 0, Measure(final_coefficient))])


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ((at_least(0), at_most(1)), Verdict.REPRODUCED),
        ((at_least(0), at_least(1)), Verdict.PARTLY),
        ((at_most(0), at_least(1)), Verdict.NOT_REPRODUCED),
    ],
)
def test_verdict_counts_criteria(rules, verdict):
    claim = toy(criteria=tuple(Criterion(str(i), rule) for i, rule in enumerate(rules)))
    (result,) = run_claims([claim], quick=True)
    assert result.verdict is verdict
    assert result.as_expected == (verdict is Verdict.REPRODUCED) == all_as_expected([result])


def test_what_cannot_be_measured_is_vacuous():
    claim = toy(analyse=lambda outcomes: {"coefficient": nothing()})
    result = judge(claim, [])
    assert result.verdict is Verdict.VACUOUS and not all_as_expected([result])
    assert "not measurable" in format_table([result])
    assert result.to_dict()["value"] is None


def test_a_difference_counts_as_settled_only_with_its_explanation():
    with pytest.raises(ValueError, match="explanation must be given"):
        toy(found=Verdict.NOT_REPRODUCED)
    with pytest.raises(ValueError, match="documented as partly"):
        toy(expected=Verdict.PARTLY)
    failing = (Criterion("coefficient", at_most(0.0)),)
    claim = toy(criteria=failing, found=Verdict.NOT_REPRODUCED, explanation="the sign is the other one")
    results = run_claims([claim], quick=True)
    assert not all_as_expected(results) and all_as_documented(results)
    assert "the sign is the other one" in format_table(results)
    assert "the sign is the other one" in format_markdown(results)
    assert results[0].as_documented and results[0].to_dict()["documented"] == "not reproduced"
    assert format_table(results).startswith("*") and "all as documented" in format_table(results)
    other = toy(criteria=failing, found=Verdict.PARTLY, explanation="no longer true")
    wrong = run_claims([other], quick=True)
    assert not all_as_documented(wrong) and format_table(wrong).startswith("!")
    assert "documented: partly" in format_table(wrong) and "1 not as documented" in format_table(wrong)


def test_a_claim_that_comes_to_hold_must_be_documented_anew_at_the_default_size():
    claim = toy(found=Verdict.NOT_REPRODUCED, explanation="it failed once")
    (quick,), (default,) = run_claims([claim], quick=True), run_claims([claim])
    assert quick.as_expected and quick.as_documented
    assert default.as_expected and not default.as_documented


def test_rules():
    def estimate(value, low=None, high=None, n=5, sd=0.0):
        return Estimate(value, value if low is None else low, value if high is None else high, n, sd)

    assert between(1, 2).holds(estimate(1.0)) and not between(1, 2).holds(estimate(2.1))
    assert interval_covers(0.5).holds(estimate(0.4, 0.3, 0.5))
    assert not interval_covers(0.51).holds(estimate(0.4, 0.3, 0.5))
    assert covers_within(1.0, 0.1).holds(estimate(1.09)) and not covers_within(1.0, 0.1).holds(estimate(1.2))
    assert as_measured(1.0, 0.0, 10).holds(estimate(1.0))
    assert not as_measured(1.0, 0.0, 10).holds(estimate(0.99))
    assert as_measured(1.0, 0.3, 10).holds(estimate(1.29)) and not as_measured(1.0, 0.3, 10).holds(
        estimate(1.31)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "T1"}, "'theory/name'"),
        ({"mark": "proved"}, "mark must be one of"),
        ({"criteria": ()}, "at least one criterion"),
    ],
)
def test_impossible_claims_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        toy(**changes)


def test_ledger_files(tmp_path):
    results = run_claims([toy()], quick=True)
    json_path, markdown_path = write_ledger(results, tmp_path / "new")
    content = json.loads(json_path.read_text(encoding="utf-8"))
    (entry,) = content["claims"]
    assert entry["id"] == "structured-data/toy" and entry["size"] == "quick"
    assert entry["value"] == pytest.approx(results[0].findings[0].estimate.value)
    assert entry["verdict"] == entry["expected"] == "reproduced" and len(entry["settings_digest"]) == 64
    table = markdown_path.read_text(encoding="utf-8")
    assert "A coefficient \\| is positive" in table and "1 claims: 1 reproduced." in table
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["claims.json", "claims.md"]


def test_a_ledger_is_joined_not_replaced(tmp_path):
    def write(*claims, quick=False):
        path, table = write_ledger(run_claims(claims, quick=quick), tmp_path)
        return json.loads(path.read_text(encoding="utf-8"))["claims"], table.read_text(encoding="utf-8")

    write(toy(id="structured-data/toy2"))
    entries, table = write(toy(id="structured-data/T2"), toy(id="structured-data/T1"))
    # The order is that of the registry; what it does not know comes last.
    ids = ["structured-data/T1", "structured-data/T2", "structured-data/toy2"]
    assert [entry["id"] for entry in entries] == ids
    assert all(name in table for name in ids) and "3 claims: 3 reproduced." in table
    assert all(entry["date"] and entry["versions"]["featsim"] for entry in entries)
    # A quick look leaves a full result alone, and a full one replaces it.
    entries, _ = write(toy(id="structured-data/T1"), quick=True)
    assert entries[0]["size"] == "default"
    (tmp_path / "claims.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="must be a ledger of claims"):
        write(toy())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims.json", "claims.md"]


def test_old_ledgers_without_dates_are_kept(tmp_path):
    (result,) = run_claims([toy()], quick=True)
    old = {"versions": {"featsim": "0"}, "claims": [{**result.to_dict(), "id": "structured-data/old"}]}
    (tmp_path / "claims.json").write_text(json.dumps(old), encoding="utf-8")
    path, _ = write_ledger([result], tmp_path)
    entries = {e["id"]: e for e in json.loads(path.read_text(encoding="utf-8"))["claims"]}
    assert entries["structured-data/old"]["versions"] == {"featsim": "0"}
    assert entries["structured-data/toy"]["date"] is not None


def test_json_has_no_nan():
    claim = toy(analyse=lambda outcomes: {"coefficient": Estimate(1.0, math.nan, math.nan, 1)})
    entry = judge(claim, []).to_dict()
    assert entry["interval"] == [None, None]
    json.dumps(entry, allow_nan=False)


def test_selection():
    every = select()
    assert [claim.id for claim in select("structured-data")] == [
        claim.id for claim in every if claim.theory == "structured-data"
    ]
    assert [claim.id for claim in select(ids=["structured-data/T2", "structured-data/T1"])] == [
        "structured-data/T1",
        "structured-data/T2",
    ]
    assert [claim.id for claim in select("structured-data", ["T8"])] == ["structured-data/T8"]
    with pytest.raises(
        ValueError, match=r"id must be that of a claim, got 'T1'; did you mean .*structured-data/T1"
    ):
        select(ids=["T1"])
    with pytest.raises(ValueError, match=r"did you mean structured-data/pure-radii\?"):
        select(ids=["pure-radius"])
    with pytest.raises(ValueError, match=r"all \d+ are on the page"):
        select(ids=["xyzzy"])
    with pytest.raises(ValueError, match="theory must be one of structured-data"):
        select("astrology")


def test_every_claim_of_the_ledger_says_what_it_must():
    claims = select()
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        # Claims on evaluation are about networks that the other theories train.
        assert claim.theory in (get_scenario(claim.scenario).theory, "evaluation")
        assert len({criterion.quantity for criterion in claim.criteria}) == len(claim.criteria)
        assert claim.statement and not claim.statement.endswith(".")
        assert 0 < len(claim.cases(True)) <= len(claim.cases(False))


def test_exact_numbers_have_a_point_interval():
    assert exactly(2.0, 3) == Estimate(2.0, 2.0, 2.0, 3)
