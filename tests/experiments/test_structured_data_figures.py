"""Figures of scaling laws and threat models, on parts that take a moment."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from featsim.models import TwoLayerNetwork
from featsim.scenarios import get_scenario

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture(autouse=True)
def scripts_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def script(name):
    return importlib.import_module(f"plot_structured_data_{name}")


def quick(module):
    return importlib.import_module("_figure").plain_json({"figure": "test", **module.configuration("quick")})


def test_race_rises_and_crosses_near_the_tie():
    module = script("race")
    config = {**quick(module), "n_seeds": 3}
    arrays = module.compute(config, 1)
    won = arrays["small_won"].mean(axis=(1, 2))
    assert won[0] <= 0.2
    assert won[-1] >= 0.8
    assert np.mean(arrays["small_won"] == arrays["small_told"]) >= 0.9
    assert len(module.draw(arrays, config).axes) == 2


def test_saturation_slopes():
    module = script("saturation")
    config = quick(module)
    arrays = module.compute(config, 1)
    for q in module.POWERS:
        points = importlib.import_module("_structured_data_sweep").scenarios_of(config["points"][str(q)])
        steps = arrays[f"q{q}_steps"][0, 0]
        ends = [
            np.median(module.early(point, steps, coef)[-1] / module.level(point))
            for point, coef in zip(points, arrays[f"q{q}_coef"], strict=True)
        ]
        np.testing.assert_allclose(ends, 1.0, atol=0.02)
    module.draw(arrays, config)


@pytest.mark.parametrize("name", ["radius_sweep", "control_q", "time_scaling"])
def test_sweeps_compute_and_draw(name):
    module = script(name)
    config = {**quick(module), "n_seeds": 1 if name == "time_scaling" else 2}
    arrays = module.compute(config, 1)
    assert all(np.isfinite(a).all() for key, a in arrays.items() if not key.endswith(("steps", "predicted")))
    module.draw(arrays, config)


def test_curves_of_a_pure_network_fall_at_the_closed_form():
    module = script("threat_models")
    scenario = get_scenario("structured-data/own")
    data = get_scenario("structured-data/own-clean").problem(0)[0]
    network = TwoLayerNetwork(2.0 * data.nonrobust_features[:, None, :])
    threat = scenario.trainings["adversarial"].attack.threat
    told = module.predictions("own", scenario, {})["v"][0]
    radii = tuple(told * factor for factor in (0.5, 0.99, 1.01, 1.5))
    attacked, certified = module.curves(network, data, threat, radii)
    np.testing.assert_array_equal(attacked, [1, 1, 0, 0])
    assert np.all(certified <= attacked)
    assert certified[0] == 1
