"""What an attack found, sample by sample."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.attacks.specs import Attack
from featsim.models import wilson_interval
from featsim.validation import FloatArray, IntArray


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class AttackResult:
    """Outcome of one attack on n samples.

    Attributes
    ----------
    attack : Spec
        The attack, every setting included.
    clean_margin : ndarray, shape (n,)
        Hard margin at the clean point; nan where a score is not finite.
    margin : ndarray, shape (n,)
        Hard margin at the perturbed point; nan where a score is not finite.
    perturbation : ndarray, shape of X
        What was found, inside the budget; of one copy of a repeated patch.
    objective : ndarray of str, shape (n,)
        Objective of the run that found it.
    start : ndarray of str, shape (n,)
        Its starting point.
    step : ndarray of int, shape (n,)
        Number of steps from there.
    target : ndarray of int, shape (n,)
        Rival class aimed at, -1 where none was singled out.
    dead_gradient : ndarray of bool, shape (n,)
        Whether the objective's gradient at the clean point is exactly zero (or
        not finite) along every allowed direction: then a gradient attack from
        there is blind and its accuracy flatters.
    notes : dict
        Further settings of the run, JSON data.
    """

    attack: Attack
    clean_margin: FloatArray
    margin: FloatArray
    perturbation: FloatArray
    objective: npt.NDArray[np.str_]
    start: npt.NDArray[np.str_]
    step: IntArray
    target: IntArray
    dead_gradient: npt.NDArray[np.bool_]
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.margin)

    @property
    def robust(self) -> npt.NDArray[np.bool_]:
        """Which samples stand: margin > 0; ties and non-finite scores do not."""
        robust: npt.NDArray[np.bool_] = self.margin > 0
        return robust

    @property
    def clean_accuracy(self) -> float:
        """Share of samples with positive clean margin."""
        return float(np.mean(self.clean_margin > 0))

    @property
    def robust_accuracy(self) -> float:
        """Share of samples with positive margin against this attack."""
        return float(np.mean(self.robust))

    @property
    def n_dead(self) -> int:
        """Number of samples whose gradient at the clean point is dead."""
        return int(np.sum(self.dead_gradient))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything a robust accuracy must be quoted with, as JSON data."""
        fields = self.attack.to_dict()
        threat = self.attack.threat
        fields.pop("threat", None)
        fields.pop("radius", None)
        return {
            "attack": self.attack.label,
            "norm": threat.norm,
            "radius": threat.radius,
            "budget": "per patch" if threat.scope == "patch" else "whole input",
            "subspace": threat.subspace,
            **fields,
            **self.notes,
            "n_samples": self.n_samples,
            "n_dead": self.n_dead,
        }

    def summary(self) -> str:
        """Return the accuracies with 95 % Wilson intervals, the dead flag and all settings as text."""
        lines = [f"{self.attack.label}: {self.attack.threat.describe()}"]
        for name, right in (("clean", self.clean_margin > 0), ("robust", self.robust)):
            low, high = wilson_interval(int(np.sum(right)), self.n_samples)
            flag = ""
            if name == "robust" and self.n_dead:
                flag = f"  ! zero gradient at {self.n_dead} of {self.n_samples} clean points: may flatter"
            lines.append(f"  {name} accuracy {np.mean(right):.4f} [{low:.4f}, {high:.4f}]{flag}")
        for name, value in self.settings.items():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"  {name}: {shown}")
        return "\n".join(lines)
