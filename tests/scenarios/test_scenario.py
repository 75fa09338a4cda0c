"""Scenarios: settings, JSON, pickling, seeds, phases."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from featsim.attacks import FeatureAttack, fgm, margin_step, pgd, raw_step
from featsim.data import PatchDataSpec
from featsim.models import TwoLayerSpec
from featsim.scenarios import Scenario, Training, get_scenario, scenario_names
from featsim.specs import spec_from_dict
from featsim.threats import Threat
from featsim.training import Mixture, ProjectedDescent, Recording, Schedule, train
from featsim.training.patch_stepper import PatchStepper

THREAT = Threat(radius=0.3)


def scenario(**changes):
    settings = dict(
        name="test/small",
        title="for tests",
        data=PatchDataSpec(n_classes=2, n_nonrobust_patches=5, dim=6),
        n_samples=4,
        model=TwoLayerSpec(width=2, init_std=0.2),
        trainings={
            "standard": Training(schedule=Schedule(n_steps=6, step_size=0.5)),
            "adversarial": Training(
                schedule=Schedule(n_steps=9, step_size=0.5), attack=margin_step(THREAT, 2.0)
            ),
        },
        evaluations=(fgm(THREAT),),
    )
    return Scenario(**{**settings, **changes})


TWO_PHASES = {
    "first": Training(schedule=Schedule(n_steps=4, step_size=0.5)),
    "second": Training(schedule=Schedule(n_steps=3, step_size=0.5), attack=fgm(THREAT), start_from="first"),
}


# ---------------------------------------------------------------- names and forms


def test_the_scenarios_of_the_package_are_found_by_name():
    assert "structured-data/S1" in scenario_names()
    for name in scenario_names():
        found = get_scenario(name)
        assert found.name == name and name == f"{found.theory}/{name.partition('/')[2]}"
        assert found.title
    with pytest.raises(
        ValueError, match="scenario must be one of .*'structured-data/S1'.*got 'structured-data/S9'"
    ):
        get_scenario("structured-data/S9")


def test_s1_is_the_setting_of_the_note():
    s1 = get_scenario("structured-data/S1").settings()
    expected = {
        "n_samples": 4, "data.n_classes": 4, "data.dim": 20, "data.n_robust_patches": 1,
        "data.n_nonrobust_patches": 40, "data.robust_strength": 1.0, "data.nonrobust_strength": 0.4,
        "data.noise_std": 0.0, "data.features": "random", "model.width": 8, "model.power": 3.0,
        "model.smoothing": 0.5, "model.init_std": 0.02, "standard.schedule.n_steps": 400,
        "standard.schedule.step_size": 1.0, "adversarial.schedule.n_steps": 1500,
        "adversarial.attack.threat.radius": 0.35, "adversarial.attack.threat.norm": "l2",
        "adversarial.attack.threat.scope": "patch", "adversarial.attack.step_size": 1000.0,
        "adversarial.attack.objective": "margin", "adversarial.attack.rule": "raw",
    }  # fmt: skip
    assert {name: s1[name] for name in expected} == expected


@pytest.mark.parametrize("name", scenario_names())
def test_json_and_pickle_give_the_same_scenario(name):
    found = get_scenario(name)
    assert spec_from_dict(json.loads(found.to_json())) == found
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found and copy.digest() == found.digest()
    with pytest.raises(TypeError):
        found.trainings["standard"] = None  # frozen like the rest


def test_a_pickle_opens_in_a_process_that_has_imported_nothing():
    """Workers of a sweep start like this."""
    data = pickle.dumps(get_scenario("structured-data/S1"))
    code = f"import sys; sys.path[:0] = {sys.path!r}\nimport pickle\nprint(pickle.loads({data!r}).name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("structured-data/S1\n", "")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_samples": 0}, ValueError, "n_samples must be >= 1"),
        ({"n_samples": 2.5}, TypeError, "n_samples must be an integer"),
        ({"merge_repeats": "no"}, TypeError, "merge_repeats must be True or False, got 'no'"),
        ({"name": 3}, TypeError, "name must be text, got 3"),
        ({"data": {"dim": 3}}, TypeError, "data must be a spec, got"),
        ({"evaluations": ("A-pgd",)}, TypeError, "evaluations must be attack specs, got 'A-pgd'"),
        (
            {"trainings": {"standard": Schedule(n_steps=1)}},
            TypeError,
            r"trainings\['standard'\] must be a Training",
        ),
        (
            {"trainings": {"a": Training(schedule=Schedule(n_steps=1), start_from="b")}},
            ValueError,
            "start_from of 'a' must be one of 'a', got 'b'",
        ),
        (
            {
                "trainings": {
                    "a": Training(schedule=Schedule(n_steps=1), start_from="b"),
                    "b": Training(schedule=Schedule(n_steps=1), start_from="a"),
                }
            },
            ValueError,
            "start_from must not lead back to 'a'",
        ),
    ],
)
def test_impossible_scenarios(change, error, message):
    with pytest.raises(error, match=message):
        scenario(**change)


def test_an_attack_in_a_training_is_a_spec():
    with pytest.raises(TypeError, match="attack must be an attack spec or None, got 'A-pgd'"):
        Training(schedule=Schedule(n_steps=1), attack="A-pgd")


# ---------------------------------------------------------------- settings


def test_settings_can_be_changed_by_their_full_name_or_its_end():
    base = scenario()
    changed = base.with_settings({"data.noise_std": 0.1, "width": 5, "adversarial.schedule.n_steps": 11})
    assert changed.data.noise_std == 0.1 and changed.model.width == 5
    assert changed.trainings["adversarial"].schedule.n_steps == 11
    assert changed.trainings["standard"].schedule.n_steps == 6
    assert base.data.noise_std == 0.0  # the original stays
    assert base.with_settings({}) == base
    assert base.with_settings(base.settings()) == base


def test_one_name_can_change_all_trainings():
    changed = scenario().with_settings({"schedule.n_steps": 3, "step_size": 0.25})
    for training in changed.trainings.values():
        assert training.schedule == Schedule(n_steps=3, step_size=0.25)
    assert changed.trainings["adversarial"].attack.step_size == 2.0  # written in full: attack.step_size
    assert (
        scenario().with_settings({"attack.step_size": 7.0}).trainings["adversarial"].attack.step_size == 7.0
    )


BOTH = {
    "standard": Training(schedule=Schedule(n_steps=2)),
    "adversarial": Training(schedule=Schedule(n_steps=2), attack=margin_step(THREAT, 2.0)),
    "unit": Training(schedule=Schedule(n_steps=2), attack=fgm(THREAT)),
}
WHOLE = Threat(radius=0.6, scope="input")


def test_a_short_threat_setting_changes_the_evaluations_too():
    base = scenario(
        trainings=BOTH,
        evaluations=(
            fgm(THREAT),
            pgd(THREAT, 5),
            FeatureAttack(radius=0.3),
            raw_step(THREAT, 7.0),
            fgm(WHOLE),
        ),
    )
    for key in ("radius", "threat.radius"):
        changed = base.with_settings({key: 0.5})
        now = Threat(radius=0.5)
        assert changed.trainings["adversarial"].attack == margin_step(now, 2.0)
        assert changed.trainings["unit"].attack == fgm(now)  # and its step with it
        assert changed.evaluations == (
            fgm(now), pgd(now, 5), FeatureAttack(radius=0.5), raw_step(now, 7.0), fgm(WHOLE)
        )  # fmt: skip
    changed = base.with_settings({"radius": 0.5, "scope": "input", "norm": "linf"})
    assert changed.evaluations[0].threat == Threat(radius=0.5, norm="linf", scope="input")
    assert changed.evaluations[4] == fgm(WHOLE)
    assert base.evaluations[0] == fgm(THREAT)
    mixed = Training(schedule=Schedule(n_steps=2), attack=Mixture(attack=fgm(THREAT), weight=0.5))
    changed = scenario(trainings={"mixed": mixed}).with_settings({"radius": 0.5})
    assert changed.trainings["mixed"].attack.attack == changed.evaluations[0] == fgm(Threat(radius=0.5))


def test_a_full_threat_setting_changes_one_thing():
    base = scenario()
    full = base.with_settings({"adversarial.attack.threat.radius": 0.2})
    assert full.trainings["adversarial"].attack.threat.radius == 0.2
    assert full.evaluations == base.evaluations
    tested = base.with_settings({"evaluations.radius": 0.2})
    assert tested.trainings == base.trainings
    assert tested.evaluations == (fgm(Threat(radius=0.2)),)
    assert base.settings()["evaluations.radius"] == 0.3
    differing = scenario(evaluations=(fgm(THREAT), fgm(WHOLE))).settings()
    assert "evaluations.radius" not in differing and differing["evaluations.norm"] == "l2"
    alone = scenario(trainings={"standard": BOTH["standard"]})
    assert alone.with_settings({"radius": 0.1}).evaluations == (fgm(Threat(radius=0.1)),)
    for short, message in (("-1", "radius must be"), (True, "radius must be a real number")):
        with pytest.raises((TypeError, ValueError), match=message):
            base.with_settings({"radius": short})


@pytest.mark.parametrize("name", scenario_names())
def test_settings_of_every_scenario_can_be_given_back(name):
    found = get_scenario(name)
    assert found.with_settings(found.settings()) == found


def test_an_infinite_setting():
    judged = Training(schedule=ProjectedDescent(n_steps=2))
    base = scenario(trainings={"standard": judged})
    assert base.settings()["standard.schedule.ball_radius"] == float("inf")
    assert base.with_settings(base.settings()) == base
    narrow = base.with_settings({"ball_radius": 2.0})
    assert narrow.with_settings({"ball_radius": float("inf")}) == base
    with pytest.raises(TypeError, match="ball_radius must be a real number, got 'inf'"):
        base.with_settings({"ball_radius": "inf"})


def test_later_changes_win():
    changed = scenario().with_settings({"n_steps": 3, "adversarial.schedule.n_steps": 4})
    assert [t.schedule.n_steps for t in changed.trainings.values()] == [3, 4]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"colour": 1},
            ValueError,
            "'colour' is not a setting of test/small; its settings are n_samples, data.n_cl",
        ),
        ({"model.noise_std": 1}, ValueError, "'model.noise_std' is not a setting"),
        ({"kind": "x"}, ValueError, "'kind' is not a setting"),
        ({"title": "x"}, ValueError, "'title' is not a setting"),
        ({"noise_std": -1.0}, ValueError, "noise_std must be >= 0"),
        ({"width": "wide"}, TypeError, "width must be an integer"),
        ({"dim": 3}, ValueError, "dim must be >= 2 n_classes = 4, got 3"),
    ],
)
def test_settings_that_do_not_exist_or_cannot_be(changes, error, message):
    with pytest.raises(error, match=message):
        scenario().with_settings(changes)


def test_an_ambiguous_setting_is_refused():
    trainings = {"a": Training(schedule=Schedule(n_steps=2), attack=fgm(THREAT))}
    clash = scenario(trainings=trainings, data=PatchDataSpec(n_classes=2, dim=6))
    # A training and the model may both have a "radius" one day; today's clash is made by hand.
    object.__setattr__(clash, "model", trainings["a"].attack)
    with pytest.raises(ValueError, match="'radius' must name one setting, but fits .*; write more of it"):
        clash.with_settings({"radius": 0.1})


# ---------------------------------------------------------------- runs


def test_a_run_is_training_on_the_problem_of_its_seed():
    base = scenario()
    data, rng = base.problem(5)
    weights = base.model.initial_weights(2, 6, rng)
    trace = base.run("adversarial", 5)
    chosen = base.trainings["adversarial"]
    by_hand = train(base.model, data, schedule=chosen.schedule, attack=chosen.attack, initial_weights=weights)
    for name in by_hand:
        np.testing.assert_array_equal(trace[name], by_hand[name])
    assert (trace.spec["scenario"], trace.spec["training"], trace.spec["seed"]) == (
        "test/small",
        "adversarial",
        5,
    )


def test_all_trainings_of_a_seed_share_data_and_initial_weights():
    base = scenario(data=PatchDataSpec(n_classes=2, n_nonrobust_patches=5, dim=6, noise_std=0.1))
    recording = Recording(weights_at=(0,))
    first = {
        (name, seed): base.run(name, seed, recording=recording).weights_at(0)
        for name in base.trainings
        for seed in (0, 1)
    }
    np.testing.assert_array_equal(first["standard", 0], first["adversarial", 0])
    assert not np.array_equal(first["standard", 0], first["standard", 1])
    np.testing.assert_array_equal(base.problem(3)[0].X, base.problem(3)[0].X)


def test_merged_repeats_are_the_same_run():
    plain, merged = scenario(), scenario(merge_repeats=True)
    assert merged.problem(0)[0].n_patches == 2 and plain.problem(0)[0].n_patches == 6
    one, other = plain.run("adversarial", 1), merged.run("adversarial", 1)
    np.testing.assert_allclose(other.final_weights, one.final_weights, rtol=1e-12, atol=1e-15)


def test_a_second_phase_starts_where_the_first_ended():
    base = scenario(trainings=TWO_PHASES)
    first = base.run("first", 2)
    second = base.run("second", 2, recording=Recording(weights_at=(0,)))
    np.testing.assert_array_equal(second.weights_at(0), first.final_weights)
    by_hand = train(base.model, base.problem(2)[0], schedule=TWO_PHASES["second"].schedule,
                    attack=TWO_PHASES["second"].attack, initial_weights=first.final_weights)  # fmt: skip
    np.testing.assert_array_equal(second.final_weights, by_hand.final_weights)


def test_an_interrupted_first_phase_has_no_second(monkeypatch):
    def press_ctrl_c(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(PatchStepper, "advance", press_ctrl_c)
    with pytest.raises(KeyboardInterrupt, match="first: interrupted before step 0 of 4"):
        scenario(trainings=TWO_PHASES).run("second")


def test_a_diverged_first_phase_has_no_second():
    data = PatchDataSpec(n_classes=2, n_nonrobust_patches=5, dim=6, noise_std=10.0)
    phases = {"first": Training(schedule=Schedule(n_steps=4, step_size=1e307), attack=fgm(THREAT)),
              "second": TWO_PHASES["second"]}  # fmt: skip
    with (
        pytest.warns(RuntimeWarning, match="not finite"),
        pytest.raises(ValueError, match="training 'second' starts from 'first': .* not finite at step"),
    ):
        scenario(trainings=phases, data=data).run("second")


def test_an_output_that_cannot_be_written_stops_the_first_phase_too(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(PatchStepper, "advance", lambda *_: pytest.fail("trained first"))
    with pytest.raises(OSError, match="cannot write in the output folder"):
        scenario(trainings=TWO_PHASES).run("second", out=tmp_path / "file" / "run.npz")


def test_unknown_trainings_and_impossible_seeds_are_refused():
    with pytest.raises(ValueError, match="training must be one of 'standard', 'adversarial', got 'robust'"):
        scenario().run("robust")
    with pytest.raises(ValueError, match="seed must be >= 0"):
        scenario().run("standard", -1)
    with pytest.raises(TypeError, match="seed must be an integer"):
        scenario().run("standard", 0.5)
