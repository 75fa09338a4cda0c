"""Margins, losses and their gradients in the scores; linear model; user models' shapes."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from featsim import models


@pytest.fixture
def scored(rng):
    return 3.0 * rng.standard_normal((20, 4)), rng.integers(0, 4, 20)


def test_margins_and_losses_against_scipy(scored):
    scores, y = scored
    for F, label, hard, soft, loss in zip(
        scores,
        y,
        models.margins(scores, y),
        models.soft_margin(scores, y),
        models.cross_entropy(scores, y),
        strict=True,
    ):
        rivals = np.delete(F, label)
        np.testing.assert_allclose(hard, F[label] - rivals.max())
        np.testing.assert_allclose(soft, logsumexp(rivals) - F[label])
        np.testing.assert_allclose(loss, logsumexp(F) - F[label])


def test_cotangents_against_central_differences(scored):
    scores, y = scored
    h = 1e-6
    for value, slope in (
        (models.cross_entropy, models.loss_cotangent),
        (models.soft_margin, models.margin_cotangent),
    ):
        for F, labels in ((scores, y), (scores[:, :1], y % 2)):
            for i in range(F.shape[1]):
                step = np.zeros(F.shape[1])
                step[i] = h
                numeric = (value(F + step, labels) - value(F - step, labels)) / (2 * h)
                np.testing.assert_allclose(slope(F, labels)[:, i], numeric, atol=1e-8)
    probabilities = softmax(scores, axis=1)
    probabilities[np.arange(20), y] -= 1
    np.testing.assert_allclose(models.loss_cotangent(scores, y), probabilities, atol=1e-14)


def test_margin_form_does_not_underflow():
    scores, y = np.array([[2000.0, 0.0, -1.0]]), np.array([0])
    assert not models.loss_cotangent(scores, y).any()
    cotangent = models.margin_cotangent(scores, y)
    np.testing.assert_allclose(cotangent[0, 1:], softmax([0.0, -1.0]))
    assert cotangent[0, 0] == -1.0
    np.testing.assert_allclose(models.loss_cotangent(np.array([[500.0]]), np.array([1])), -np.exp(-500.0))


def test_ties_and_non_finite_scores_are_errors():
    scores = np.array([[1.0, 1.0], [np.nan, 0.0], [np.inf, 0.0], [2.0, 1.0]])
    y = np.zeros(4, dtype=int)
    margins = models.margins(scores, y)
    assert margins[0] == 0.0
    assert np.isnan(margins[1:3]).all()
    assert models.accuracy(scores, y) == 0.25
    assert models.accuracy(np.zeros((3, 1)), np.array([0, 1, 1])) == 0.0


def test_single_score_takes_both_label_conventions():
    f = np.array([[2.0], [-3.0]])
    for y in ([1, 0], [1, -1]):
        np.testing.assert_array_equal(models.margins(f, np.array(y)), [2.0, 3.0])
        np.testing.assert_array_equal(models.soft_margin(f, np.array(y)), [-2.0, -3.0])
        np.testing.assert_array_equal(models.margin_cotangent(f, np.array(y)), [[-1.0], [1.0]])
        np.testing.assert_array_equal(
            models.target_cotangent(np.array(y), np.zeros(2, dtype=int), 1), [[-1.0], [1.0]]
        )
        models.check_score_labels(np.array(y), 1)
    with pytest.raises(ValueError, match="must hold 0 and 1, or -1 and 1"):
        models.check_score_labels(np.array([0, -1]), 1)
    with pytest.raises(ValueError, match=r"y must lie in 0\.\.2 for a model with 3 scores, got 3"):
        models.check_score_labels(np.array([0, 3]), 3)


def test_linear_model(rng):
    model = models.LinearModel(rng.standard_normal((3, 2, 4)), bias=[1, 2, 3])
    X = rng.standard_normal((5, 2, 4))
    counts = np.tile([1.0, 3.0], (5, 1))
    expected = np.einsum("np,npd,cpd->nc", counts, X, model.weights) + model.bias
    np.testing.assert_allclose(models.model_scores(model, X, counts), expected)
    cotangent = rng.standard_normal((5, 3))
    gradient = models.model_input_gradient(model, X, cotangent)
    np.testing.assert_allclose(gradient, np.einsum("nc,cpd->npd", cotangent, model.weights))
    assert isinstance(model, models.Model)
    for weights, bias, message in (
        (np.ones(3), None, "weights must have shape"),
        (np.ones((2, 3)), np.ones(3), "bias must have shape"),
        (np.full((2, 3), np.nan), None, "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            models.LinearModel(weights, bias)
    with pytest.raises(ValueError, match="X must have shape"):
        model.scores(np.ones((5, 4, 2)))


def test_wrong_user_models_are_told_so():
    class Flat:
        def scores(self, X):
            return np.zeros(len(X))

        def input_gradient(self, X, cotangent):
            return np.zeros(X.shape[1:])

    X = np.ones((3, 2, 4))
    with pytest.raises(ValueError, match=r"Flat\.scores must return shape \(3, c\)"):
        models.model_scores(Flat(), X)
    with pytest.raises(ValueError, match=r"Flat\.input_gradient must return the shape of X"):
        models.model_input_gradient(Flat(), X, np.zeros((3, 2)))
    with pytest.raises(TypeError, match="must take counts"):
        models.model_scores(Flat(), X, counts=np.full((3, 2), 2.0))
    with pytest.raises(TypeError, match=r"model must offer scores\(X\)"):
        models.model_scores(object(), X)


def test_wilson_interval_covers_the_share():
    low, high = models.wilson_interval(40, 40)
    assert 0.9 < low < high == 1.0
