"""The full configuration of a training run."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from featsim.specs import Spec
from featsim.training.schedule import Recording, Schedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSpec(Spec):
    """Everything that determines a trace, apart from the arrays it starts from.

    Parameters
    ----------
    model : Spec
        Model, such as :class:`featsim.models.TwoLayerSpec`.
    schedule : Schedule
        Steps.
    recording : Recording
        What is recorded.
    data : Spec or None
        Distribution the data were drawn from; None for a user's own arrays.
    attack : Spec or None
        Attack in training; None for standard training.
    scenario : str or None
        Name of the scenario, if the run belongs to one.
    training : str or None
        Which of the scenario's trainings.
    seed : int or None
        Seed of the generator behind data and initial weights, if known.
    """

    kind: ClassVar[str] = "run"

    model: Spec
    schedule: Schedule
    recording: Recording
    data: Spec | None = None
    attack: Spec | None = None
    scenario: str | None = None
    training: str | None = None
    seed: int | None = None

    @property
    def label(self) -> str:
        """Scenario, training and seed in words, for progress and file names."""
        parts = [self.scenario or self.model.kind, self.training or ""]
        if self.seed is not None:
            parts.append(f"seed {self.seed}")
        return " ".join(part for part in parts if part)
