"""Image data as a distribution: splits, standardisation, the scenario."""

import numpy as np
import pytest

from featsim.images import (
    ImageCodeSpec,
    ImageDataSpec,
    Patching,
    SliceImageSpec,
    load,
    patch_images,
    unstandardise,
)
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


def test_two_classes_of_images_become_points_of_the_slice():
    spec = SliceImageSpec(classes=(4, 9), constant=0.3)
    data = spec.sample(10, np.random.default_rng(0))
    assert data.X.shape == (10, 65) and data.constant == 0.3 and data.spec == spec
    np.testing.assert_array_equal(data.y, [0] * 5 + [1] * 5)
    np.testing.assert_allclose(np.linalg.norm(data.X, axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(data.X[:, -1], 0.3)
    again, other = (spec.sample(10, np.random.default_rng(seed)).X for seed in (0, 1))
    np.testing.assert_array_equal(again, data.X)
    assert not np.array_equal(other, data.X)
    pool = load("digits", "train")
    order = np.random.default_rng(0)
    index = np.concatenate([order.permutation(np.flatnonzero(pool.y == label))[:5] for label in (4, 9)])
    flat = pool.X[index].reshape(10, 64)
    centred = flat - flat.mean(axis=0)
    cosines = np.sum(centred * data.X[:, :-1], axis=1) / np.linalg.norm(centred, axis=1) / np.sqrt(0.91)
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SliceImageSpec(classes=(3, 3)), "classes must be two different labels"),
        (lambda: SliceImageSpec(classes=(3, -1)), "classes must be >= 0"),
        (lambda: SliceImageSpec(constant=1.0), "constant must be < 1"),
        (lambda: SliceImageSpec().sample(3, np.random.default_rng(0)), "n_samples must be even"),
        (lambda: SliceImageSpec().sample(1000, np.random.default_rng(0)), "n_samples must be <= "),
    ],
)
def test_impossible_points_of_images_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_smaller_and_grey_images():
    images = load("digits", "test", n=7)
    small = images.averaged(2)
    assert small.image_shape == (4, 4, 1)
    np.testing.assert_allclose(small.X[3, 1, 2, 0], images.X[3, 2:4, 4:6, 0].mean())
    np.testing.assert_array_equal(small.grey().X, small.X)
    with pytest.raises(ValueError, match=r"block must divide height and width \(8, 8\), got 3"):
        images.averaged(3)
    spec = ImageDataSpec(images="digits", block=2, patching=Patching())
    data = spec.sample(20, np.random.default_rng(1))
    assert data.X.shape == (20, 1, 16)
    np.testing.assert_allclose(spec.mean, load("digits").averaged(2).X.mean(axis=0))


def test_images_as_codes():
    spec = ImageCodeSpec(images="digits")
    data = spec.sample(1000, np.random.default_rng(2))
    order = np.random.default_rng(2).permutation(1300)[:1000]
    pool = load("digits")
    np.testing.assert_allclose(data.inputs, (pool.X - pool.X.mean(axis=0)).reshape(1300, -1)[order])
    np.testing.assert_array_equal(data.y, pool.y[order] >= 5)
    assert spec_from_dict(spec.to_dict()) == spec and data.spec == spec
    assert spec.test(30).X.shape == (30, 1, 64)
    with pytest.raises(ValueError, match="n_samples must be <= 1300"):
        spec.sample(1301, np.random.default_rng(0))
    with pytest.raises(ValueError, match="groups must be two groups"):
        ImageCodeSpec(groups=None)


def test_missing_files_are_reported_by_a_scenario(monkeypatch, tmp_path):
    monkeypatch.setenv("FEATSIM_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="featsim data fetch mnist"):
        get_scenario("images/mnist14").run("standard")
