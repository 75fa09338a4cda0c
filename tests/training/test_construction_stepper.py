"""Networks that are written down step by step: records, resume, refusals."""

import dataclasses

import numpy as np
import pytest

from featsim.attacks import fgm, pgd, run_attack
from featsim.data import HardCubeSpec, MarginMixtureSpec, patch_data
from featsim.models import Memoriser, MemoriserSpec, MemorisingRuleSpec, trained_model
from featsim.scenarios import get_scenario
from featsim.threats import Threat
from featsim.traces import load_trace
from featsim.training import Recording, Schedule, resume, train
from featsim.training.linear_adversary import train_linear_adversarial
from featsim.training.loop import _Run

CUBE, SEPARABLE = get_scenario("cgro/cube"), get_scenario("cgro/separable")
SHORT = SEPARABLE.with_settings({"schedule.n_steps": 30, "data.dim": 20})


def test_balls_are_stored_one_by_one_and_robust_accuracy_is_the_share_of_vertices_seen():
    trace = CUBE.run("construction", 0)
    data, _ = CUBE.problem(0)
    seen = [len(np.unique(data.X[:t], axis=0)) for t in range(1, 65)]
    assert trace["n_stored"].tolist() == [0.0, *seen]
    assert np.all(trace["clean_accuracy"] == 1.0) and trace["fixed_accuracy"][-1] == 1.0
    every = CUBE.data.points(np.arange(64))
    network = trained_model(CUBE.model, trace)
    attacked = run_attack(CUBE.evaluations[0], network, every).robust_accuracy
    assert attacked == pytest.approx(seen[-1] / 64)
    # 1000 fresh vertices, drawn at random.
    assert trace["fresh_fixed_accuracy"][-1] == pytest.approx(attacked, abs=4 * 0.5 / np.sqrt(1000))
    assert trace["n_parameters"][-1] == network.n_parameters > trace["n_parameters"][1]


def test_the_end_is_the_network_written_down_at_once(rng):
    data = HardCubeSpec(bits=4).sample(12, rng)
    spec = MemoriserSpec(radius=0.3, outer_radius=0.4)
    trace = train(spec, data, schedule=Schedule(n_steps=12), rng=rng)
    whole = spec.build(data.X, data.y, data.spec.clean_rule)
    assert isinstance(whole, Memoriser)
    points = rng.uniform(-0.5, 1.5, size=(200, 5))
    np.testing.assert_allclose(
        trained_model(spec, trace).scores(points), whole.network().scores(points), atol=1e-12
    )


def test_linear_part_is_that_of_the_linear_adversary():
    trace = SHORT.run("adversarial", 1, recording=Recording(weights_at=(10,)))
    data, _ = SHORT.problem(1)
    large = ~SHORT.data.small(data)
    signs = np.where(data.y == 1, 1.0, -1.0)
    path = train_linear_adversarial(data.X[large, 0], signs[large], radius=0.4, n_steps=30, step_size=0.05)
    for step, rows in ((10, trace.weights_at(10)), (30, trace.final_weights)):
        unit = path[step] / np.linalg.norm(path[step])
        np.testing.assert_allclose(rows[0, 0, :-1], unit, rtol=1e-12)
        assert trace.at(step)["signal_cosine"] == pytest.approx(unit[0], rel=1e-12)
    assert trace["n_stored"][-1] == (~large).sum()
    assert np.abs(trace.final_weights[0, 1:, :-1] @ trace.final_weights[0, 0, :-1]).max() < 1e-12


@pytest.mark.parametrize(("scenario", "training"), [(CUBE, "construction"), (SHORT, "adversarial")])
def test_a_run_cut_anywhere_goes_on_bit_for_bit(scenario, training, tmp_path, monkeypatch):
    whole = scenario.run(training, 3)
    taken = _Run.take

    def stop_after(self, chunk, n_steps):
        taken(self, chunk, n_steps)
        self.flush()
        if self.step >= 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "take", stop_after)
    assert scenario.run(training, 3, out=tmp_path / "x.npz").status == "interrupted"
    monkeypatch.undo()
    resume(tmp_path / "x.npz")
    saved = load_trace(tmp_path / "x.npz")
    for name in whole:
        np.testing.assert_array_equal(saved[name], whole[name], err_msg=name)


WHOLE = Threat(radius=0.4, scope="input")


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"data": "no"}, TypeError, "data must be PatchData of two classes"),
        ({"attack": fgm(WHOLE)}, ValueError, "attack must be None for a MemoriserSpec"),
        ({"schedule": Schedule(n_steps=2, batch_size=2)}, ValueError, "batch_size must be None"),
        ({"initial_weights": np.ones((1, 1, 3))}, ValueError, "initial_weights must have shape"),
        ({"recording": Recording(quantities=("loss",))}, ValueError, "quantities must be among"),
        ({"model": MemorisingRuleSpec()}, TypeError, "data must come from a MarginMixtureSpec"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, match, rng):
    given = {"model": MemoriserSpec(), "data": HardCubeSpec(bits=3).sample(4, rng), "rng": rng, **changes}
    given.setdefault("schedule", Schedule(n_steps=2))
    with pytest.raises(error, match=match):
        train(given.pop("model"), given.pop("data"), **given)


def test_own_arrays_need_a_clean_rule_and_a_linear_rule_its_exact_attack(rng):
    data = patch_data(rng.uniform(size=(4, 1, 5)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="initial_weights must be given: the clean rule"):
        train(MemoriserSpec(radius=0.01), data, schedule=Schedule(n_steps=4), rng=rng)
    trace = train(
        MemoriserSpec(radius=0.01), data, schedule=Schedule(n_steps=4), initial_weights=np.ones((1, 1, 5))
    )
    assert trace["fixed_accuracy"][-1] == 1.0 and "fresh_clean_accuracy" not in trace
    mixture = MarginMixtureSpec(dim=5).sample(8, rng)
    for attack in (pgd(WHOLE), fgm(dataclasses.replace(WHOLE, norm="linf"))):
        with pytest.raises(ValueError, match="attack must be"):
            train(MemorisingRuleSpec(), mixture, schedule=Schedule(n_steps=2), attack=attack, rng=rng)
    small = MarginMixtureSpec(dim=5, small_share=1.0).sample(8, rng)
    with pytest.raises(ValueError, match="point of large margin"):
        train(MemorisingRuleSpec(), small, schedule=Schedule(n_steps=2), rng=rng)
