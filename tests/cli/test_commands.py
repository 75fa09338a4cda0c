"""The other commands, and what holds for all of them."""

import json
import types

import pytest

import featsim as package
from featsim import get_scenario, scenario_names, version_report
from featsim.claims import select
from featsim.cli import _COMMANDS, main

COMMANDS = ("run", "scenarios", "inspect", "evaluate", "certify", "resume", "claims", "data")
COMMANDS += ("version", "warmup")


def test_help_lists_every_command(featsim):
    code, out, _ = featsim("--help")
    assert code == 0 and len(_COMMANDS) == len(COMMANDS)
    for name in COMMANDS:
        assert f"    {name} " in out
    assert "exit status:" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(featsim, command):
    code, out, _ = featsim(command, "--help")
    assert code == 0 and f"  featsim {command}" in out.partition("examples:")[2]
    assert max(map(len, out.splitlines())) <= 110


def test_warmup_names_every_kernel_it_compiled(featsim):
    code, out, _ = featsim("warmup")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 5 and lines[-1].startswith("in all")
    seconds = [float(line.split()[-2]) for line in lines]
    # Five numbers rounded to 0.01 s, and before the first kernel two small data sets are drawn.
    assert sum(seconds[:-1]) == pytest.approx(seconds[-1], abs=0.5)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), [("float64", False, False)]),
        (("--precision", "float32", "--random-starts"), [("float32", True, False)]),
        (("--wide",), [("float64", False, True)]),
        (("--all",), [("float64", True, True), ("float32", True, True)]),
    ],
)
def test_warmup_compiles_what_is_asked_for(featsim, monkeypatch, words, asked):
    calls = []

    def warm_up(*, precision, random_starts, wide):
        calls.append((precision, random_starts, wide))
        yield "kernel", 1.0

    monkeypatch.setattr("featsim.training.warm_up", warm_up)
    code, out, _ = featsim("warmup", *words)
    assert code == 0 and calls == asked
    assert [line.split()[0] for line in out.splitlines()] == ["kernel"] * len(asked) + ["in"]


def test_version(featsim):
    assert featsim("--version")[1] == f"featsim {package.__version__}\n"
    found = json.loads(featsim("version", "--json")[1])
    assert found.items() >= version_report().items()
    assert found["matplotlib"] and "processors" in found["threads"]
    out = featsim("version")[1]
    assert all(f"{name} " in out and value in out for name, value in version_report().items())


def test_scenarios(featsim):
    out = featsim("scenarios")[1]
    for name in scenario_names():
        scenario = get_scenario(name)
        assert f"{name}  [{scenario.mark}]  trainings: {', '.join(scenario.trainings)}\n" in out
    names = [entry["name"] for entry in json.loads(featsim("scenarios", "--json")[1])]
    assert names == list(scenario_names())


def test_settings_of_a_scenario(featsim):
    scenario = get_scenario("structured-data/S1")
    out = featsim("scenarios", "--settings", scenario.name)[1]
    for key, value in scenario.settings().items():
        line = next(line for line in out.splitlines() if line.startswith(f"  {key} "))
        assert json.loads(line.split(maxsplit=1)[1]) == value
    assert scenario.evaluations[0].threat.describe() in out
    found = json.loads(featsim("scenarios", "--settings", scenario.name, "--json")[1])
    assert found["settings"] == scenario.settings()
    assert featsim("scenarios", "--settings", "S9")[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a command is missing; choose from run, "),
        (["rnu"], "invalid choice: 'rnu'"),
        (["inspect"], "the following arguments are required: TRACE"),
        (["version", "--jsn"], "unrecognized arguments: --jsn"),
    ],
)
def test_usage_errors_are_one_line(featsim, words, message):
    code, out, err = featsim(*words)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("featsim: error: ") and message in err and "--help" in err


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv("FEATSIM_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown scenario"):
        main(["run", "nope"])


class TestClaims:
    """The command against a stand-in for the ledger."""

    @pytest.fixture
    def ledger(self, monkeypatch):
        """Two claims, of which `verdicts` says whether each is as documented."""
        calls = {}

        def select(theory=None, ids=None):
            if theory == "nope":
                raise ValueError("theory must be one of 'a', got 'nope'")
            calls["select"] = (theory, ids)
            return ["one", "two"]

        def run_claims(claims, quick=False, jobs=1, progress=False):
            calls["run"] = (claims, quick, jobs, progress)
            return [types.SimpleNamespace(as_documented=good) for good in calls["verdicts"]]

        fake = types.ModuleType("featsim.claims")
        fake.select, fake.run_claims = select, run_claims
        fake.all_as_documented = lambda results: all(result.as_documented for result in results)
        fake.format_table = lambda results: f"{len(results)} judged"
        fake.write_ledger = lambda results, folder: calls.update(written=str(folder))
        monkeypatch.setitem(__import__("sys").modules, "featsim.claims", fake)
        monkeypatch.setattr(package, "claims", fake, raising=False)
        calls["verdicts"] = [True, True]
        return calls

    def test_as_documented(self, featsim, ledger, tmp_path):
        words = ("--theory", "a", "--quick", "--jobs", 2, "--quiet", "--out", tmp_path / "results")
        code, out, _ = featsim("claims", *words)
        assert code == 0 and "2 judged" in out
        assert ledger["select"] == ("a", None)
        assert ledger["run"] == (["one", "two"], True, 2, False)
        assert ledger["written"] == str(tmp_path / "results")

    def test_list_runs_nothing(self, featsim, tmp_path):
        code, out, _ = featsim("claims", "--list", "--theory", "cgro", "--out", tmp_path / "none")
        rows = out.splitlines()
        assert code == 0 and not (tmp_path / "none").exists()
        assert [row.split()[0] for row in rows[1:]] == [claim.id for claim in select(theory="cgro")]
        assert all(claim.statement in row for claim, row in zip(select(theory="cgro"), rows[1:], strict=True))

    def test_not_as_documented(self, featsim, ledger, tmp_path):
        ledger["verdicts"] = [True, False]
        code, _, _ = featsim("claims", "--id", "a/T1", "--id", "a/T2", "--out", tmp_path)
        assert code == 1 and ledger["select"] == (None, ["a/T1", "a/T2"])

    def test_bad_input(self, featsim, ledger, tmp_path):
        assert featsim("claims", "--theory", "nope")[0] == 2
        (tmp_path / "file").write_text("")
        code, _, err = featsim("claims", "--out", tmp_path / "file")
        assert code == 2 and "cannot write" in err and "run" not in ledger
