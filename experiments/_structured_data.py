"""What the figures of the structured-data theory share: a run with its exact reduced recursion."""

from __future__ import annotations

from typing import Any

from featsim.scenarios import Scenario
from featsim.theory import ReducedTrace, reduced_from_weights
from featsim.training import Recording


def reduced_run(scenario: Scenario, training: str, seed: int, recording: Recording) -> ReducedTrace:
    """Return the exact reduced recursion, started from the run's own data and initial weights."""
    data, rng = scenario.problem(seed)
    model: Any = scenario.model
    start = reduced_from_weights(model.initial_weights(data.n_classes, data.dim, rng), data)
    schedule = scenario.trainings[training].schedule
    attack: Any = scenario.trainings[training].attack
    settings: dict[str, Any] = {
        "power": model.power,
        "smoothing": model.smoothing,
        "step_size": schedule.step_size,
        "n_steps": schedule.n_steps,
        "record_at": recording.steps(schedule.n_steps),
    }
    if attack is None:
        return start.standard(**settings)
    return start.adversarial(
        **settings,
        radius=attack.threat.radius,
        attack_step_size=attack.step_size,
        objective=attack.objective,
        scope=attack.threat.scope,
    )
