"""Claims on images: skipped where data are absent, and the measures behind them."""

import numpy as np
import pytest

from featsim.claims import Verdict, all_as_documented, format_table, run_claims, select
from featsim.claims.cases import Run
from featsim.claims.images.feature_measures import (
    SETS,
    FeatureStudy,
    curves,
    directions,
    first_of_classes,
    pixels,
)
from featsim.claims.images.purification_measures import PurificationStudy
from featsim.claims.report import write_ledger
from featsim.images import Patching, patch_images
from featsim.scenarios.images import FEATURE_SETTINGS, PURIFICATION_SETTINGS, SCENARIOS
from featsim.training import Recording

SMALL = FEATURE_SETTINGS["digits"].scenario.with_settings({"schedule.n_steps": 24, "n_samples": 100})


def test_claims_on_absent_sets_are_skipped_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("FEATSIM_DATA", str(tmp_path))
    claims = select(ids=["images/cifar10", "images/mnist-sets", "images/svhn"])
    results = run_claims(claims)
    assert [result.verdict for result in results] == [Verdict.SKIPPED] * 3
    assert all_as_documented(results)
    text = format_table(results)
    assert "needs the files of cifar10" in text and "featsim data fetch mnist" in text
    assert "3 skipped" in text
    _, markdown = write_ledger(results, tmp_path / "ledger")
    assert "**skipped**: needs the files of svhn" in markdown.read_text()
    entry = results[0].to_dict()
    assert entry["value"] is None and entry["skipped"].startswith("needs the files")


def test_claims_that_need_no_data_have_no_condition():
    for claim in select(theory="images"):
        embedded = claim.scenario.endswith("digits")
        assert (claim.missing is None) == embedded
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_references_runs_and_splits_are_separate():
    study = FeatureStudy(SMALL, 0)
    first, second = study.first, SMALL.problem(0)[0]
    rows = {row.tobytes() for row in first.X}
    assert not any(row.tobytes() in rows for row in second.X)
    start = study.run("standard", (0,))[0].weights
    trace = SMALL.run("standard", 0, recording=Recording(at=(), weights_at=(0,)))
    np.testing.assert_array_equal(start, trace.weights_at(0))
    assert not np.array_equal(study.references["standard"].weights, study.run("standard", (12,))[0].weights)
    assert study.n_epochs == 12
    sets = study.constructed
    np.testing.assert_array_equal(sets["robust_noise"].y, study.test.y)
    assert (sets["nonrobust"].y != study.test.y).all()
    moved = sets["nonrobust"].X - study.test.X
    size = np.linalg.norm(study.threat.bind(study.test).pixels.fold(moved), axis=1)
    assert np.isfinite(size).all() and size.max() > 0
    rows = first_of_classes(study.test)
    np.testing.assert_array_equal(study.test.y[rows], np.arange(10))
    for name, few in study.construct(study.test, 2, rows=rows).items():
        np.testing.assert_array_equal(few.y, sets[name].y[rows])
        # Sums over other blocks of samples may round differently.
        np.testing.assert_allclose(few.X, sets[name].X[rows], rtol=1e-8, atol=1e-8)


def test_pictures_are_first_images_of_classes_as_far_as_patches_reach():
    found = curves(Run(SMALL, None, 0, None), (0,), ("nonrobust",), 60, with_pictures=True)
    study = FeatureStudy(SMALL, 0, 60)
    images = study.data.test_images(60)
    rows = first_of_classes(study.test)
    np.testing.assert_allclose(found["shown_image"], images.X[rows], atol=1e-12)
    for name in SETS:
        assert found[f"shown_{name}"].shape == (10, 8, 8, 1)
        assert np.abs(found[f"shown_{name}"] - found["shown_image"]).max(axis=(1, 2, 3)).min() > 0.05
    cut = patch_images(images, Patching(size=(3, 4), stride=(3, 2)))
    np.testing.assert_allclose(pixels(cut), images.X[:, :6, :8], atol=1e-12)


def test_shares_of_directions_are_shares():
    found = directions(Run(SMALL, None, 1, None))
    for training in ("standard", "adversarial"):
        shares = [found[f"{training}_share_{name}"] for name in ("U", "V")]
        assert min(shares) > 0 and sum(shares) < 1  # V is orthogonal to U
        # A random space of 9 of the 64 pixels' dimensions; one direction alone would spread by .06.
        assert found[f"{training}_share_random"] == pytest.approx(9 / 64, abs=0.04)


def test_later_phases_are_those_of_the_scenario():
    small = {"schedule.n_steps": 5, "n_samples": 200}
    scenario = PURIFICATION_SETTINGS["digits"].scenario.with_settings(small)
    study = PurificationStudy(scenario, 2)
    for training in ("control", "adversarial", "rank-4", "scratch"):
        expected = scenario.run(training, 2, recording=Recording(at=())).final_weights
        np.testing.assert_array_equal(study.later(training), expected)
    np.testing.assert_array_equal(
        study.start, scenario.run("standard", 2, recording=Recording(weights_at=(0,))).weights_at(0)
    )
    accuracies = study.accuracies(study.network(study.clean))
    assert 0 <= accuracies["pgd"] <= accuracies["fgm"] <= accuracies["clean"] <= 1
