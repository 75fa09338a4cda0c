"""One call for any model and threat: order, summary, masking tests, the published table."""

import json

import numpy as np
import pytest
from model_kinds import cases

from featsim.attacks import ArcAttack, ExactAttack, SignalAttack, fgm, pgd
from featsim.data import (
    PatchDataSpec,
    SignalNoiseSpec,
    sample_patches,
    sample_signal_noise,
)
from featsim.evaluation import ScaledScores, default_suite, masking_report, robustness
from featsim.models import LinearModel, PowerNetwork, TwoLayerNetwork, margins, neuron_sum
from featsim.threats import Threat

CASES = cases()
INPUT = Threat(radius=0.3, scope="input")


class Mine:
    """A user's own model."""

    def __init__(self, model):
        self.model = model

    def scores(self, X):
        return self.model.scores(X)

    def input_gradient(self, X, cotangent):
        return self.model.input_gradient(X, cotangent)


class Cube:
    """Sum of cubes of positive parts: homogeneous."""

    def __init__(self, weights):
        self.weights = weights

    def scores(self, X):
        return (np.maximum(np.einsum("npd,kmd->npkm", X, self.weights), 0) ** 3).sum(axis=(1, 3))

    def input_gradient(self, X, cotangent):
        slope = 3 * np.maximum(np.einsum("npd,kmd->npkm", X, self.weights), 0) ** 2
        return np.einsum("nk,npkm,kmd->npd", cotangent, slope, self.weights)


@pytest.mark.parametrize("name", CASES)
def test_order_of_every_sample(name, rng):
    case = CASES[name]
    n = 2 if name.startswith("kernel") else 8
    data = (case.X[:n], case.y[:n])
    attacks = (fgm(INPUT), pgd(INPUT, 5)) if name.startswith("kernel") else None
    found = robustness(case.model, data, INPUT, rng, attacks=attacks, branch_seconds=0.3)
    known = np.isfinite(found.lower_margin)
    assert np.all(found.lower_margin[known] <= found.attacked_margin[known])
    assert np.all(found.attacked_margin <= found.clean_margin)
    assert not np.any(found.certified & ~found.standing)
    low, high = found.interval
    assert low <= high <= np.mean(found.clean_margin > 0)
    again = margins(case.model.scores(data[0] + found.perturbation), data[1])
    np.testing.assert_allclose(again, found.attacked_margin, rtol=1e-10)
    assert INPUT.bind().contains(found.perturbation).all()
    json.dumps(found.to_dict(), allow_nan=False)
    if found.branch is not None:
        assert neuron_sum(case.model) is not None
        assert "on the samples that were still open" in found.summary()


def test_a_users_model_is_attacked_only_and_the_result_says_so(rng):
    case = CASES["two-layer q=3"]
    found = robustness(Mine(case.model), (case.X, case.y), INPUT, rng)
    assert found.certificate is None and found.branch is None
    assert found.interval[0] == 0.0
    text = found.summary()
    assert "a Mine has no certificate: attacks only, the interval starts at 0" in text
    own = robustness(case.model, (case.X, case.y), INPUT, rng)
    # The generic attack of the user's model is as strong as the compiled one of ours.
    np.testing.assert_array_equal(found.standing, own.standing)
    assert own.interval[0] == own.interval[1]


def test_summary_holds_every_setting(rng):
    case = CASES["two-layer q=3"]
    found = robustness(case.model, (case.X, case.y), INPUT, rng, masking=True)
    text = found.summary()
    for words in (
        "l2 radius 0.3 whole input", "robust accuracy in [", "certified", "95 % interval", "n_steps: 80",
        "n_random: 4", "momentum: 0.5", "certificate (tangent/chord)", "masking tests", "black box leaves",
    ):  # fmt: skip
        assert words in text
    (low, _), (_, high) = found.binomial_intervals
    assert 0.0 <= low <= found.interval[0] <= found.interval[1] <= high <= 1.0


def test_suite_is_exact_where_a_closed_form_exists(rng):
    linear = CASES["linear"]
    assert [type(a) for a in default_suite(linear.model, (linear.X, linear.y), INPUT)] == [ExactAttack]
    found = robustness(linear.model, (linear.X, linear.y), INPUT)
    np.testing.assert_allclose(found.lower_margin, found.attacked_margin, rtol=1e-9)
    spec = SignalNoiseSpec(dim=6, n_patches=3)
    data = sample_signal_noise(spec, 12, rng)
    net = PowerNetwork(0.5 * rng.standard_normal((1, 4, 6)))
    line = Threat(radius=0.2, subspace="signal")
    assert isinstance(default_suite(net, data, line)[-1], SignalAttack)
    found = robustness(net, data, line, rng)
    exact = found.attacks[-1].margin
    assert np.all(found.attacked_margin >= np.fmin(exact, found.clean_margin) - 1e-9)
    assert np.all(found.lower_margin <= found.attacked_margin + 1e-12)
    angle = np.linspace(0.0, 5.0, 7)
    circle = np.sqrt(0.75) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    X = np.concatenate([circle, np.full((7, 1), 0.5)], axis=1)
    cap = Threat(radius=0.3, scope="input", subspace="slice")
    model = Mine(LinearModel(np.array([[1.0, 0.5, -0.2]])))
    assert isinstance(default_suite(model, (X, np.ones(7, int)), cap)[-1], ArcAttack)
    net = robustness(model, (X, np.ones(7, int)), cap)
    linear = robustness(model.model, (X, np.ones(7, int)), cap)
    # The net's spacing is 1/400 of the arc, and the score turns at most by its norm times the angle.
    np.testing.assert_allclose(net.attacked_margin, linear.attacked_margin, atol=1e-4)
    curved = CASES["kernel relu"].model
    points = np.concatenate([X, np.zeros((7, 1))], axis=1)[:, [0, 1, 3, 2]]
    found = robustness(curved, (points, (curved.scores(points)[:, 0] > 0).astype(int)), cap)
    assert "by the ball around the cap" in found.certificate.method
    assert np.all(~np.isfinite(found.lower_margin) | (found.lower_margin <= found.attacked_margin + 1e-12))


def test_every_named_threat_in_one_call(rng):
    data = sample_patches(PatchDataSpec(n_classes=3, n_nonrobust_patches=2, dim=8), 6, rng)
    weights = np.stack([1.5 * data.robust_features, data.nonrobust_features], axis=1)
    net = TwoLayerNetwork(weights, smoothing=0.5)
    for norm, scope, subspace in (
        ("l2", "patch", None), ("l2", "input", None), ("linf", "patch", None), ("linf", "input", None),
        ("l2", "patch", "own"), ("l2", "patch", "nonrobust"), ("l2", "input", "features"),
    ):  # fmt: skip
        threat = Threat(radius=0.15, norm=norm, scope=scope, subspace=subspace)
        for model in (net, Mine(net)):
            found = robustness(model, data, threat, branch_seconds=0.1)
            assert threat.bind(data).contains(found.perturbation).all()
            assert np.all(found.attacked_margin <= found.clean_margin)


def test_masking_is_seen_and_named(rng):
    weights = np.einsum("k,kmd->kmd", [1.0, 1.1], np.abs(rng.standard_normal((2, 2, 3))))
    X = rng.standard_normal((15, 2, 3))
    for scale in (1.0, 8.0):
        net = Cube(scale * weights)
        y = np.argmax(net.scores(X), axis=1)
        y[0] = 0
        report = masking_report(net, (X, y), Threat(radius=0.4, scope="input"), rng, n_queries=60)
        assert report.only_black_box == 0
        assert report.scaled_margin == report.plain_margin
        assert report.scaled_loss >= report.plain_loss
    assert report.dead_loss > 0
    assert any("cross-entropy" in text for text in report.warnings)
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_model_that_hides_its_gradient_is_found_out(rng):
    case = CASES["linear"]

    class Hidden(Mine):
        def input_gradient(self, X, cotangent):
            return np.zeros_like(X)

    threat = Threat(radius=1.0, scope="input")
    report = masking_report(Hidden(case.model), (case.X, case.y), threat, rng)
    assert report.dead_margin == len(case.y) and report.only_black_box > 0
    assert any("random search breaks" in text for text in report.warnings)
    found = robustness(Hidden(case.model), (case.X, case.y), threat, rng, masking=True)
    assert "zero gradient at up to 12" in found.summary()


@pytest.mark.parametrize("scale", [0.125, 8.0])
def test_weights_of_a_homogeneous_net_may_be_scaled(scale, rng):
    weights, X = rng.standard_normal((3, 2, 4)), rng.standard_normal((20, 3, 4))
    y = np.argmax(Cube(weights).scores(X), axis=1)
    threat = Threat(radius=0.5, scope="input")
    plain = robustness(Cube(weights), (X, y), threat, np.random.default_rng(0))
    scaled = robustness(Cube(scale * weights), (X, y), threat, np.random.default_rng(0))
    np.testing.assert_array_equal(plain.standing, scaled.standing)
    np.testing.assert_allclose(scaled.attacked_margin, scale**3 * plain.attacked_margin, rtol=1e-6)


def test_scaled_scores():
    case = CASES["two-layer q=3"]
    other = ScaledScores(case.model, 3.0)
    np.testing.assert_allclose(other.scores(case.X), 3.0 * case.model.scores(case.X))


def test_refusals(rng):
    case = CASES["two-layer q=3"]
    data = (case.X, case.y)
    with pytest.raises(ValueError, match="attacks must have the threat l2 radius 0.3"):
        robustness(case.model, data, INPUT, attacks=[fgm(Threat(radius=0.2))])
    with pytest.raises(ValueError, match="attacks must hold at least one attack"):
        robustness(case.model, data, INPUT, attacks=[])
    with pytest.raises(ValueError, match="rng must be given for the masking tests"):
        robustness(case.model, data, INPUT, masking=True)
    with pytest.raises(ValueError, match="branch_seconds must be >= 0"):
        robustness(case.model, data, INPUT, branch_seconds=-1)
