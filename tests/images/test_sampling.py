"""Image data as a distribution: splits, standardisation, the scenario."""

import numpy as np
import pytest

from featsim.images import ImageDataSpec, Patching, load, patch_images, unstandardise
from featsim.scenarios import get_scenario
from featsim.specs import spec_from_dict
from featsim.training import Recording

SPEC = ImageDataSpec(images="digits", patching=Patching(size=4, stride=2))


def test_splits_are_the_first_and_the_second_of_one_permutation():
    pool = patch_images(load("digits"), SPEC.patching)
    order = np.random.default_rng(3).permutation(pool.n_samples)
    for split, first in (("first", 0), ("second", 600)):
        spec = SPEC.replace(split=split)
        data = spec.sample(600, np.random.default_rng(3))
        np.testing.assert_array_equal(data.X, pool.X[order[first : first + 600]])
        np.testing.assert_array_equal(data.y, pool.y[order[first : first + 600]])


def test_mean_of_the_pool_is_subtracted_from_test_images():
    test = SPEC.test(300)
    assert test.n_samples == 300
    np.testing.assert_allclose(unstandardise(test), load("digits", "test").X[:300], atol=1e-15)
    assert test.spec.mean == SPEC.sample(10, np.random.default_rng(0)).spec.mean
    assert SPEC.test().n_samples == 497


def test_round_trip():
    assert spec_from_dict(SPEC.to_dict()) == SPEC


@pytest.mark.parametrize("change", [{"split": "third"}, {"patching": (4, 2)}])
def test_impossible_specs_are_refused(change):
    with pytest.raises((TypeError, ValueError), match="must be"):
        ImageDataSpec(**{"patching": Patching(), **change})


def test_both_splits_must_fit():
    with pytest.raises(ValueError, match="n_samples must be <= 650"):
        SPEC.sample(651, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_samples must be <= 497"):
        SPEC.test(498)


def test_trainings_of_the_scenario_share_start_and_minibatches():
    scenario = get_scenario("images/digits").with_settings(
        {"schedule.n_steps": 3, "attack.threat.radius": 0.0}
    )
    runs = [scenario.run(name, 1, recording=Recording(at=(0,))) for name in ("standard", "adversarial")]
    np.testing.assert_allclose(runs[0].final_weights, runs[1].final_weights, rtol=1e-12)
