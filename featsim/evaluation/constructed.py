"""Images built from trained models: robust and non-robust data sets, and targeted perturbations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.data import PatchData
from featsim.images import ImagePatchSpec, mean_image
from featsim.models import Model, target_cotangent
from featsim.threats import Threat
from featsim.validation import FloatArray, IntArray, check_array, check_integer, check_labels, check_real


def targeted_perturbation(
    model: Model, data: PatchData, target: npt.ArrayLike, threat: Threat, n_steps: int = 20
) -> FloatArray:
    r"""Move samples towards given classes, inside a budget.

    Steepest steps of :math:`F_t - F_y` of length 2.5 radius / n_steps from the clean point, projected; the
    last iterate.

    Parameters
    ----------
    model : Model
        At least two scores.
    data : PatchData
        Samples.
    target : array_like of int, shape (n,)
        Class t of each, other than its label.
    threat : Threat
        Allowed perturbations.
    n_steps : int
        Steps, at least 1.

    Returns
    -------
    ndarray, shape of ``data.X``
        Perturbations; entries of one pixel agree.

    Raises
    ------
    ValueError
        If a target is no class, or the label itself.

    References
    ----------
    .. [1] Ilyas et al., arXiv:1905.02175: non-robust data sets from targeted attacks [recalled].
    """
    targets = check_labels("target", target, data.n_samples, data.n_classes)
    if (targets == data.y).any():
        where = int(np.argmax(targets == data.y))
        raise ValueError(f"target must differ from the label, got {targets[where]} for both at index {where}")
    budget = threat.bind(data)
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    step = 2.5 * threat.radius / n_steps
    cotangent = target_cotangent(data.y, targets, data.n_classes)
    delta = np.zeros(data.X.shape)
    for _ in range(n_steps):
        gradient = model.input_gradient(data.X + delta, cotangent)
        delta = budget.project(delta + step * budget.steepest(gradient))
    return delta


@dataclasses.dataclass(frozen=True, eq=False)
class MatchedImages:
    """Images that a model scores like others.

    Attributes
    ----------
    data : PatchData
        The images as patches, with the labels of those they were matched to.
    misfit : ndarray, shape (n,)
        Distance of the scores over the size of the scores matched.
    """

    data: PatchData
    misfit: FloatArray


def match_scores(
    model: Model, data: PatchData, starts: npt.ArrayLike, *, n_steps: int = 100, step_size: float = 0.1
) -> MatchedImages:
    r"""Build images that a model scores like given ones: the robust data set of a robust model.

    Minimises :math:`\frac12\|F(z) - F(x)\|^2` over z in the pixel box by steepest l2 steps whose length falls
    linearly to 0, and keeps the best iterate.

    Parameters
    ----------
    model : Model
        Scores F.
    data : PatchData
        Images x, made by ``patch_images``.
    starts : array_like, shape (n, H, W, C)
        First z, pixels in [0, 1].
    n_steps : int
        Steps, at least 1.
    step_size : float
        Length of the first, greater than 0.

    Returns
    -------
    MatchedImages
        The images, and how well their scores match.

    Raises
    ------
    ValueError
        If `data` were not made from images, or `starts` have another shape.

    References
    ----------
    .. [1] Ilyas et al., arXiv:1905.02175: matching a robust model's representation [recalled]; the scores
       in its place are a [choice]: activations of all patches determine the image itself.
    """
    mean = mean_image(data)
    spec: Any = data.spec
    z = check_array("starts", starts, (data.n_samples, *spec.image_shape)).copy()
    length = check_real("step_size", step_size, above=0.0)
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    wanted = model.scores(data.X)
    best, least = z.copy(), np.full(len(z), np.inf)
    for step in range(n_steps + 1):
        patches = spec.patching.extract(z - mean)
        gap = model.scores(patches) - wanted
        size = np.linalg.norm(gap, axis=1)
        better = size < least
        best[better], least[better] = z[better], size[better]
        if step == n_steps:
            break
        gradient = spec.patching.fold(model.input_gradient(patches, gap), spec.image_shape)
        norms = np.sqrt(np.sum(gradient**2, axis=(1, 2, 3), keepdims=True))
        z = z - length * (1.0 - step / n_steps) * gradient / np.where(norms > 0.0, norms, 1.0)
        z = np.clip(z, 0.0, 1.0)
    found = dataclasses.replace(data, X=spec.patching.extract(best - mean))
    return MatchedImages(found, least / np.maximum(np.linalg.norm(wanted, axis=1), 1e-300))


def other_class_images(
    data: PatchData, pool: PatchData, pictures: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Return, for every sample, the picture of a random pool sample of another class.

    Parameters
    ----------
    data : PatchData
        Samples.
    pool : PatchData
        Where to draw from.
    pictures : ndarray, shape (n_pool, H, W, C)
        Pictures of the pool.
    rng : numpy.random.Generator
        Draws one index per sample, again where the class is the sample's.

    Returns
    -------
    ndarray, shape (n, H, W, C)
        Pictures.

    Raises
    ------
    ValueError
        If the pool has one class only.
    """
    if len(np.unique(pool.y)) < 2:
        raise ValueError("pool must hold at least two classes, got one")
    drawn = rng.integers(pool.n_samples, size=data.n_samples)
    while (same := pool.y[drawn] == data.y).any():
        drawn[same] = rng.integers(pool.n_samples, size=int(same.sum()))
    return pictures[drawn]


def random_targets(y: IntArray, n_classes: int, rng: np.random.Generator) -> IntArray:
    """Return for every label another class, uniformly.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        Labels.
    n_classes : int
        Classes, at least 2.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int64, shape (n,)
        Targets.
    """
    targets: IntArray = (y + rng.integers(1, n_classes, size=len(y))) % n_classes
    return targets


def image_gradients(data: PatchData, gradient: FloatArray) -> FloatArray:
    """Fold gradients in patch entries onto pixels, where overlapping patches add up.

    Parameters
    ----------
    data : PatchData
        Made by ``patch_images``.
    gradient : ndarray, shape (n, P, d)
        Gradients.

    Returns
    -------
    ndarray, shape (n, H, W, C)
        Gradients of images.

    Raises
    ------
    ValueError
        If `data` were not made from images.
    """
    spec = data.spec
    if not isinstance(spec, ImagePatchSpec):
        raise ValueError("data must be made by patch_images, got a data set that does not come from images")
    return spec.patching.fold(gradient, spec.image_shape)


def perturbation_images(data: PatchData, delta: FloatArray) -> FloatArray:
    """Return perturbations of patches, whose entries of one pixel agree, as images (n, H, W, C).

    Parameters
    ----------
    data : PatchData
        Made by ``patch_images``.
    delta : ndarray, shape (n, P, d)
        Perturbations.

    Returns
    -------
    ndarray, shape (n, H, W, C)
        Perturbations of images; 0 at pixels no patch reaches.

    Raises
    ------
    ValueError
        If `data` were not made from images.
    """
    spec = data.spec
    if not isinstance(spec, ImagePatchSpec):
        raise ValueError("data must be made by patch_images, got a data set that does not come from images")
    return spec.patching.assemble(delta, spec.image_shape)
