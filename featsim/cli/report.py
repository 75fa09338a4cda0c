"""Results of ``featsim run`` as text and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featsim.cli.tables import mean_and_sd, number, shown, table

if TYPE_CHECKING:
    from featsim.cli.runs import Outcome
    from featsim.scenarios import Scenario
    from featsim.training import Recording

# Shown in columns of their own, or the same for all.
_COLUMNS = {
    *("attack", "kind", "norm", "radius", "budget", "subspace", "n_samples", "n_dead"),
    *("clean_accuracy", "robust_accuracy"),
}


def as_json(scenario: Scenario, recording: Recording, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return configuration and outcomes as plain data."""
    return {
        "scenario": scenario.to_dict(),
        "recording": recording.to_dict(),
        "runs": [dataclasses.asdict(outcome) for outcome in outcomes],
    }


def as_text(scenario: Scenario, outcomes: Sequence[Outcome], test_samples: int | None) -> str:
    """Return a block per training."""
    blocks = [f"{scenario.name} [{scenario.mark}]"]
    for training in dict.fromkeys(outcome.training for outcome in outcomes):
        chosen = [outcome for outcome in outcomes if outcome.training == training]
        blocks.append(_training(training, chosen, test_samples))
    return "\n\n".join(blocks)


def _training(name: str, outcomes: Sequence[Outcome], test_samples: int | None) -> str:
    completed = [outcome for outcome in outcomes if outcome.status == "completed"]
    statuses = ", ".join(
        f"{sum(outcome.status == status for outcome in outcomes)} {status}"
        for status in dict.fromkeys(outcome.status for outcome in outcomes)
    )
    lines = [f"{name}: {_seeds(outcomes)}, {statuses}"]
    for outcome in outcomes:
        if outcome.status != "completed":
            lines.append(f"  seed {outcome.seed} {outcome.status}: {outcome.message}")
    values = list(dict.fromkeys(key for outcome in completed for key in outcome.values))
    if values:
        steps = " and ".join(str(step) for step in sorted({outcome.last_step or 0 for outcome in completed}))
        rows = [
            [key, *_cells([outcome.values[key] for outcome in completed if key in outcome.values])]
            for key in values
        ]
        lines.append(table([f"last record, step {steps}", "mean", "", "sd"], rows))
    if any(outcome.evaluation for outcome in completed):
        lines += ["", *_evaluation(completed, test_samples)]
    return "\n".join(lines)


def _seeds(outcomes: Sequence[Outcome]) -> str:
    first, last = outcomes[0].seed, outcomes[-1].seed
    return f"seed {first}" if len(outcomes) == 1 else f"seeds {first} to {last}"


def _cells(values: Sequence[float]) -> list[str]:
    mean, sd = mean_and_sd(values)
    return [number(mean), "" if sd is None else "+-", "" if sd is None else number(sd)]


def _evaluation(outcomes: Sequence[Outcome], test_samples: int | None) -> list[str]:
    """Return the attacks in the scenario's order; a blind one is said to be so beside its accuracy."""
    evaluated = [outcome.evaluation for outcome in outcomes if outcome.evaluation]
    rows, blind = [], False
    for results in zip(*evaluated, strict=True):
        first = results[0]
        n_dead = sum(int(result["n_dead"]) for result in results)
        n_samples = sum(int(result["n_samples"]) for result in results)
        blind = blind or n_dead > 0
        rows.append(
            [
                str(first["attack"]),
                f"{first['norm']} {number(first['radius'])} {first['budget']}"
                + (f" in {first['subspace']}" if first["subspace"] else ""),
                *_cells([float(result["robust_accuracy"]) for result in results]),
                f"{n_dead} of {n_samples}" + (" !" if n_dead else ""),
                _settings(first),
            ]
        )
    per_seed = evaluated[0][0]["n_samples"]
    where = "the training samples" if test_samples is None else "fresh samples"
    clean = [float(results[0]["clean_accuracy"]) for results in evaluated]
    lines = [
        f"  evaluation of the final weights on {where} ({per_seed} per seed); "
        f"clean accuracy {' '.join(cell for cell in _cells(clean) if cell)}",
        table(["attack", "budget", "robust accuracy", "", "sd", "zero gradient", "settings"], rows, left=2),
    ]
    if blind:
        lines.append(
            "  ! the gradient is exactly zero there: that attack is blind and its accuracy may flatter"
        )
    return lines


def _settings(result: dict[str, Any]) -> str:
    parts = []
    for key, value in result.items():
        if key in _COLUMNS or value in (None, False, "", 0) or value == ["clean"]:
            continue
        if isinstance(value, list):
            text = "+".join(str(item) for item in value)
        elif isinstance(value, float):
            text = number(value)
        else:
            text = value if isinstance(value, str) else shown(value)
        parts.append(f"{key}={text}")
    return " ".join(parts)
