"""Which part of the input a decision uses: accuracy with patches blanked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from featsim.models import Model, accuracy, check_score_labels, model_scores
from featsim.threats import as_samples

if TYPE_CHECKING:
    from featsim.data import PatchData


@dataclasses.dataclass(frozen=True)
class PartAccuracy:
    """Accuracy on whole inputs and on their parts.

    Attributes
    ----------
    clean : float
        On the inputs as they are.
    robust_only : float
        With the non-robust patches zeroed.
    nonrobust_only : float
        With the robust patches zeroed.
    """

    clean: float
    robust_only: float
    nonrobust_only: float


def clean_accuracy(model: Model, data: PatchData | tuple[Any, Any]) -> float:
    """Return the share of samples with positive hard margin.

    Parameters
    ----------
    model : Model
        Any model.
    data : PatchData or tuple (X, y)
        Samples.

    Returns
    -------
    float
        Accuracy; ties and non-finite scores are errors.
    """
    samples = as_samples(data)
    scores = model_scores(model, samples.X, samples.counts)
    check_score_labels(samples.y, scores.shape[1])
    return accuracy(scores, samples.y)


def part_accuracy(model: Model, data: PatchData) -> PartAccuracy:
    """Return the accuracy on robust patches alone and on non-robust patches alone.

    Parameters
    ----------
    model : Model
        Any model of patches.
    data : PatchData
        Samples with known patch roles.

    Returns
    -------
    PartAccuracy
        The three accuracies.

    Raises
    ------
    ValueError
        If no patch has a known role.
    """
    return PartAccuracy(
        clean=clean_accuracy(model, data),
        robust_only=clean_accuracy(model, data.without("nonrobust")),
        nonrobust_only=clean_accuracy(model, data.without("robust")),
    )
