"""Images built from trained models."""

import dataclasses

import numpy as np
import pytest

from featsim.data import patch_data
from featsim.evaluation import (
    clean_accuracy,
    image_gradients,
    match_scores,
    other_class_images,
    perturbation_images,
    random_targets,
    targeted_perturbation,
)
from featsim.images import ImageDataSpec, Patching, mean_image, unstandardise
from featsim.models import TwoLayerNetwork, TwoLayerSpec
from featsim.threats import Threat
from featsim.training import Recording, Schedule, train

SPEC = ImageDataSpec(images="digits", patching=Patching(size=4, stride=2))


@pytest.fixture(scope="module")
def trained():
    data = SPEC.sample(200, np.random.default_rng(0))
    model = TwoLayerSpec(width=6, init_std=0.1)
    schedule = Schedule(n_steps=120, step_size=0.3, batch_size=50)
    trace = train(model, data, schedule=schedule, rng=np.random.default_rng(1), recording=Recording(at=()))
    return model.network(trace.final_weights), data


def by_loop(network, data, targets, radius, n_steps):
    """The targeted attack on pixels, sample by sample."""
    spec = data.spec
    found = []
    for x, y, t in zip(data.X, data.y, targets, strict=True):
        delta = np.zeros((1, *spec.image_shape))
        cotangent = np.zeros((1, 10))
        cotangent[0, t], cotangent[0, y] = 1.0, -1.0
        for _ in range(n_steps):
            gradient = network.input_gradient(x[None] + spec.patching.extract(delta), cotangent)
            pixels = spec.patching.fold(gradient, spec.image_shape)
            delta = delta + 2.5 * radius / n_steps * pixels / np.linalg.norm(pixels)
            delta *= min(1.0, radius / np.linalg.norm(delta))
        found.append(delta[0])
    return np.array(found)


def test_targeted_attack_is_that_on_pixels(trained):
    network, data = trained
    some = data.select(slice(12))
    targets = random_targets(some.y, 10, np.random.default_rng(2))
    assert (targets != some.y).all()
    delta = targeted_perturbation(network, some, targets, Threat(radius=0.5, scope="input"), 7)
    expected = by_loop(network, some, targets, 0.5, 7)
    np.testing.assert_allclose(perturbation_images(some, delta), expected, rtol=1e-9, atol=1e-12)
    assert np.all(np.linalg.norm(expected.reshape(12, -1), axis=1) <= 0.5 + 1e-12)


def test_targeted_attack_raises_the_target(trained):
    network, data = trained
    targets = (data.y + 1) % 10
    delta = targeted_perturbation(network, data, targets, Threat(radius=1.0, norm="linf", scope="input"))
    rows = np.arange(data.n_samples)
    before, after = network.scores(data.X), network.scores(data.X + delta)
    assert np.mean((after - before)[rows, targets] > 0) > 0.95
    assert clean_accuracy(network, dataclasses.replace(data, X=data.X + delta, y=targets)) > 0.9


def test_matched_images_score_like_the_originals(trained):
    network, data = trained
    some = data.select(slice(40))
    rng = np.random.default_rng(3)
    start = rng.uniform(size=(40, 8, 8, 1))
    found = match_scores(network, some, start)
    pixels = unstandardise(found.data)
    assert pixels.min() >= -1e-12 and pixels.max() <= 1.0 + 1e-12
    scores = network.scores(some.X)
    gap = np.linalg.norm(network.scores(found.data.X) - scores, axis=1) / np.linalg.norm(scores, axis=1)
    np.testing.assert_allclose(found.misfit, gap, rtol=1e-10)
    assert np.median(found.misfit) < 0.2
    first = network.scores(SPEC.patching.extract(start - mean_image(some))) - scores
    assert (found.misfit <= np.linalg.norm(first, axis=1) / np.linalg.norm(scores, axis=1) + 1e-12).all()
    np.testing.assert_array_equal(found.data.y, some.y)


def test_matching_from_the_image_itself_stays(trained):
    network, data = trained
    some = data.select(slice(5))
    found = match_scores(network, some, np.clip(unstandardise(some), 0.0, 1.0), n_steps=3)
    np.testing.assert_allclose(found.misfit, 0.0, atol=1e-12)


def test_starts_are_of_another_class(trained):
    _, data = trained
    labels = np.arange(200, dtype=float)[:, None, None, None]  # the picture says which it is
    drawn = other_class_images(data, data, labels, np.random.default_rng(4)).ravel().astype(int)
    assert (data.y[drawn] != data.y).all()


def test_gradients_of_images_are_finite_differences(trained):
    network, data = trained
    some = data.select(slice(3))
    cotangent = np.random.default_rng(5).standard_normal((3, 10))
    gradient = image_gradients(some, network.input_gradient(some.X, cotangent))
    direction = np.random.default_rng(6).standard_normal(gradient.shape)

    def value(step):
        moved = some.X + step * SPEC.patching.extract(direction)
        return float(np.sum(cotangent * network.scores(moved)))

    slope = (value(1e-6) - value(-1e-6)) / 2e-6
    np.testing.assert_allclose(slope, np.sum(gradient * direction), rtol=1e-6)


def test_impossible_requests_are_refused(trained):
    network, data = trained
    threat = Threat(radius=0.5, scope="input")
    with pytest.raises(ValueError, match="target must differ from the label"):
        targeted_perturbation(network, data, data.y, threat)
    plain = patch_data(data.X[:4], data.y[:4], n_classes=10)
    with pytest.raises(ValueError, match="data must be made by patch_images"):
        match_scores(network, plain, np.zeros((4, 8, 8, 1)))
    for function in (image_gradients, perturbation_images):
        with pytest.raises(ValueError, match="data must be made by patch_images"):
            function(plain, plain.X)
    with pytest.raises(ValueError, match="at least two classes"):
        other_class_images(data, data.select(data.y == 3), np.zeros((200, 1, 1, 1)), np.random.default_rng(0))
    assert isinstance(network, TwoLayerNetwork)
