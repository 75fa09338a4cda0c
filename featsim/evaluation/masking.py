"""Tests whether attacks are blind: dead gradients, more steps, black box, and the scale of the weights."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks import AdaptiveAttack, AttackResult, RandomSearch, pgd, run_attack
from featsim.evaluation.suite import directed_starts
from featsim.models import Model, model_scores
from featsim.threats import Threat, as_samples
from featsim.validation import FloatArray, check_integer, check_real

if TYPE_CHECKING:
    from featsim.data import PatchData


class ScaledScores:
    """A model whose scores are multiplied by a constant: the same decisions, other gradients.

    Parameters
    ----------
    model : Model
        The model.
    factor : float
        Greater than 0.
    """

    def __init__(self, model: Model, factor: float) -> None:
        self.model, self.factor = model, factor

    def scores(self, X: FloatArray) -> FloatArray:
        """Return the model's scores times the factor."""
        return np.asarray(self.factor * np.asarray(self.model.scores(X)))

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the model's gradient times the factor."""
        return np.asarray(self.model.input_gradient(X, self.factor * np.asarray(cotangent)))


class _CountedScores(ScaledScores):
    """The same for models of repeated patches, whose scores take their counts."""

    def scores(self, X: FloatArray, counts: FloatArray | None = None) -> FloatArray:
        return np.asarray(self.factor * model_scores(self.model, X, counts))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MaskingReport:
    """What four tests of blindness found.

    Attributes
    ----------
    threat : Threat
        Budget.
    n_samples : int
        Samples tested.
    dead_margin, dead_loss : int
        Samples where the gradient of margin or cross-entropy is exactly zero at the clean point.
    few_steps, many_steps : int
        Steps of the two runs compared.
    few, many : float
        Robust accuracy under them.
    black_box : float
        Robust accuracy under random search.
    white_box : float
        Under the stronger of the gradient runs.
    only_black_box : int
        Samples that only random search broke: each of them proves that gradients mislead.
    scaled_loss, scaled_margin : float
        Robust accuracy, under PGD on the cross-entropy and on the margin, of scores multiplied by `scale`:
        decisions are the same, so that a rise is an artefact of the attack.
    plain_loss, plain_margin : float
        The same of the model as it is.
    scale : float
        That factor.
    """

    threat: Threat
    n_samples: int
    dead_margin: int
    dead_loss: int
    few_steps: int
    many_steps: int
    few: float
    many: float
    black_box: float
    white_box: float
    only_black_box: int
    plain_loss: float
    scaled_loss: float
    plain_margin: float
    scaled_margin: float
    scale: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the accuracy must know, in words; empty if all tests pass."""
        found = []
        if self.dead_margin:
            found.append(
                f"the margin's gradient is exactly zero at {self.dead_margin} of {self.n_samples} clean "
                "points: attacks from there are blind"
            )
        if self.dead_loss > self.dead_margin:
            found.append(
                f"the cross-entropy's gradient is exactly zero at {self.dead_loss} of {self.n_samples} clean "
                "points: attacks on the loss report accuracies that mean nothing here"
            )
        if self.only_black_box:
            found.append(
                f"random search breaks {self.only_black_box} samples that gradients do not: gradients mislead"
            )
        if self.many < self.few - 2.0 / np.sqrt(self.n_samples):
            found.append(
                f"{self.many_steps} steps leave {self.many:.4f} where {self.few_steps} left {self.few:.4f}: "
                "use more steps"
            )
        if self.scaled_margin > self.plain_margin + 0.5 / self.n_samples:
            found.append("margin attacks weaken when scores are scaled, which changes no decision")
        if self.scaled_loss > self.plain_loss + 0.5 / self.n_samples:
            found.append(
                f"loss attacks weaken from {self.plain_loss:.4f} to {self.scaled_loss:.4f} when scores are "
                f"multiplied by {self.scale:g}, which changes no decision: distrust them"
            )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "threat": self.threat.to_dict(), "warnings": list(self.warnings)}

    def summary(self) -> str:
        """Return all numbers, and what they warn of, as text."""
        lines = [
            f"masking tests: {self.threat.describe()}, {self.n_samples} samples",
            f"  zero gradients at clean points: margin {self.dead_margin}, cross-entropy {self.dead_loss}",
            f"  steps: {self.few_steps} leave {self.few:.4f}, {self.many_steps} leave {self.many:.4f}",
            f"  black box leaves {self.black_box:.4f}, gradients {self.white_box:.4f}; "
            f"broken by the black box only: {self.only_black_box}",
            f"  scores times {self.scale:g}: loss PGD {self.plain_loss:.4f} -> {self.scaled_loss:.4f}, "
            f"margin PGD {self.plain_margin:.4f} -> {self.scaled_margin:.4f}",
        ]
        lines += [f"  ! {text}" for text in self.warnings] or ["  no sign of masking"]
        return "\n".join(lines)


def masking_report(
    model: Model,
    data: PatchData | tuple[Any, Any],
    threat: Threat,
    rng: np.random.Generator,
    *,
    n_steps: int = 20,
    n_queries: int = 300,
    scale: float = 512.0,
) -> MaskingReport:
    r"""Run the four tests of blindness.

    Parameters
    ----------
    model : Model
        A model of the package or the user's own.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        Budget.
    rng : numpy.random.Generator
        For random search.
    n_steps : int
        Steps of the short run; the long one has five times as many.
    n_queries : int
        Queries of random search per sample.
    scale : float
        Factor of the scores, greater than 1; by default :math:`8^3`, what multiplying the weights of
        a cubic network by 8 does.

    Returns
    -------
    MaskingReport
        Numbers and warnings.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the data do not fit the model.
    """
    few = check_integer("n_steps", n_steps, minimum=1)
    factor = check_real("scale", scale, above=1.0)
    samples = as_samples(data)
    starts = ("clean", *directed_starts(model, samples, threat))

    def run(attack: Any, which: Model = model) -> AttackResult:
        return run_attack(attack, which, data, rng)

    short = run(AdaptiveAttack(threat=threat, n_steps=few, starts=starts))
    long = run(AdaptiveAttack(threat=threat, n_steps=5 * few, starts=starts))
    blind = run(RandomSearch(threat=threat, n_queries=check_integer("n_queries", n_queries, minimum=1)))
    white = (short.margin > 0) & (long.margin > 0)
    plain = {name: run(pgd(threat, few, objective=name)) for name in ("loss", "margin")}
    other = _CountedScores(model, factor) if samples.counts is not None else ScaledScores(model, factor)
    scaled = {name: run(pgd(threat, few, objective=name), other) for name in ("loss", "margin")}
    return MaskingReport(
        threat=threat,
        n_samples=len(samples.y),
        dead_margin=int(plain["margin"].dead_gradient.sum()),
        dead_loss=int(plain["loss"].dead_gradient.sum()),
        few_steps=few,
        many_steps=5 * few,
        few=short.robust_accuracy,
        many=long.robust_accuracy,
        black_box=blind.robust_accuracy,
        white_box=float(white.mean()),
        only_black_box=int(np.sum(white & ~(blind.margin > 0))),
        plain_loss=plain["loss"].robust_accuracy,
        scaled_loss=scaled["loss"].robust_accuracy,
        plain_margin=plain["margin"].robust_accuracy,
        scaled_margin=scaled["margin"].robust_accuracy,
        scale=factor,
    )
