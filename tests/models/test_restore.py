"""A trace gives its model back, whatever the model needs besides its weights."""

import numpy as np
import pytest

from featsim.models import Loss, trained_model
from featsim.scenarios import get_scenario
from featsim.specs import Spec
from featsim.training import Recording

NAMES = (
    "structured-data/S1",
    *(f"convergence/{n}" for n in ("S1", "tangent", "mirror", "deep-2", "capacity")),
)


def run(name, steps, weights_at=()):
    scenario = get_scenario(name).with_settings({"schedule.n_steps": steps})
    return scenario, scenario.run("standard", 0, recording=Recording(weights_at=weights_at))


@pytest.mark.parametrize("name", NAMES)
def test_the_final_model_has_the_final_accuracy(name):
    scenario, trace = run(name, 12)
    data, model = scenario.problem(0)[0], trained_model(scenario.model, trace)
    scores = model.scores(data.X)
    right = scores.argmax(axis=1) == data.y if scores.shape[1] > 1 else data.signs * scores[:, 0] > 0
    assert np.mean(right) == trace["clean_accuracy"][-1]
    loss = getattr(scenario.model, "loss", None)
    if loss is not None:
        assert loss.value(scores[:, 0], data.signs).mean() == pytest.approx(
            trace["clean_loss"][-1], rel=1e-12
        )


@pytest.mark.parametrize("name", ["convergence/tangent", "convergence/deep-2"])
def test_the_model_of_an_earlier_step(name):
    scenario, trace = run(name, 12, weights_at=(4,))
    data, model = scenario.problem(0)[0], trained_model(scenario.model, trace, step=4)
    loss = Loss().value(model.scores(data.X)[:, 0], data.signs).mean()
    assert loss == pytest.approx(trace.at(4)["clean_loss"], rel=1e-12)


def test_what_is_not_kept_is_not_made_up():
    scenario, trace = run("convergence/capacity", 12, weights_at=(4,))
    with pytest.raises(ValueError, match="the output bias is kept for the end only"):
        trained_model(scenario.model, trace, step=4)


def test_a_spec_without_a_model_gives_none():
    class Nameless(Spec):
        kind = ""

    _, trace = run("convergence/S1", 2)
    assert trained_model(Nameless(), trace) is None
