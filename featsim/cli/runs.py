"""Seeds of a scenario: what is to run, whether a folder may take it, and what came out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from featsim.cli.sweep import caught_warnings, was_stopped
from featsim.evaluation import evaluate
from featsim.models import trained_model
from featsim.scenarios import Scenario
from featsim.traces import RunFolder, Trace, TraceError, check_writable, load_trace
from featsim.traces.files import atomic_write, plain_json
from featsim.traces.manifest import check_same_setting
from featsim.training import Recording, RunSpec

SETTINGS_FILE = "scenario.json"
"""Kept beside the traces: the scenario with every change, which one trace alone does not tell."""

# What decides a run; evaluations and words about the scenario do not.
_DECISIVE = ("name", "data", "n_samples", "model", "trainings", "merge_repeats")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One training of one seed; `out` is None where the trace is not kept."""

    scenario: Scenario
    training: str
    seed: int
    recording: Recording
    out: Path | None
    evaluated: bool
    test_samples: int | None
    progress: bool
    reduction: str = "auto"

    @property
    def spec(self) -> dict[str, Any]:
        """Configuration that the trace will hold."""
        chosen = self.scenario.trainings[self.training]
        return RunSpec(
            model=self.scenario.model,
            data=self.scenario.data,
            attack=chosen.attack,
            schedule=chosen.schedule,
            recording=self.recording,
            scenario=self.scenario.name,
            training=self.training,
            seed=self.seed,
        ).to_dict()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run gave, in numbers."""

    training: str
    seed: int
    status: str
    message: str
    last_step: int | None
    path: str | None
    new: bool
    values: dict[str, float]
    evaluation: list[dict[str, Any]]
    warned: tuple[str, ...]

    @property
    def stopped(self) -> bool:
        """Whether the user interrupted it."""
        return was_stopped(self.status, self.message)


def trace_path(folder: Path, training: str, seed: int) -> Path:
    """Return the file of a seed's finished trace."""
    return folder / f"{training}-seed-{seed:03d}.npz"


def prepare_folder(folder: Path, scenario: Scenario, recording: Recording, tasks: Sequence[Task]) -> None:
    """Check that the folder can take these runs, and leave the settings in it.

    Parameters
    ----------
    folder : Path
        The folder; made if needed.
    scenario, recording : Scenario, Recording
        Settings of all runs in it.
    tasks : sequence of Task
        What is to run now.

    Raises
    ------
    OSError
        If it cannot be written in.
    TraceError
        If it holds runs of other settings, or a trace that cannot be read.
    """
    check_writable(folder)
    everything = scenario.to_dict()
    settings = plain_json(
        {**{key: everything[key] for key in _DECISIVE}, "recording": recording.to_dict()}, "settings"
    )
    known = folder / SETTINGS_FILE
    if known.exists():
        try:
            stored = json.loads(known.read_text(encoding="utf-8"))
        except ValueError as error:
            raise TraceError(f"{known} is damaged: {error}; remove it, or choose another folder") from error
        check_same_setting(folder, stored, settings)
    for task in tasks:
        _check_existing(task)
    if not known.exists():
        with atomic_write(known) as file:
            file.write(json.dumps(settings, indent=1).encode() + b"\n")


def _check_existing(task: Task) -> None:
    """Refuse another run under the task's name, finished or not."""
    if task.out is None:
        return
    folder = task.out.with_suffix(".run")
    stored = {folder: RunFolder.open(folder).spec} if (folder / "manifest.json").exists() else {}
    if task.out.exists():
        stored[task.out] = load_trace(task.out).spec
    for path, spec in stored.items():
        wanted = plain_json(task.spec, "spec")
        if (spec.get("data") or {}).get("kind") != wanted["data"]["kind"]:
            # What was drawn describes itself otherwise than what draws it, as images do.
            wanted["data"] = spec.get("data")
        check_same_setting(path, spec, wanted)


def run_task(task: Task) -> Outcome:
    """Train, or read the trace that is there already, and evaluate."""
    finished = task.out is not None and task.out.exists() and not task.out.with_suffix(".run").exists()
    with caught_warnings() as warned:
        if finished and task.out is not None:
            trace = load_trace(task.out)
        else:
            trace = task.scenario.run(
                task.training,
                task.seed,
                recording=task.recording,
                out=task.out,
                progress=task.progress,
                reduction=task.reduction,
            )
        whole = trace.status == "completed"
        with np.errstate(all="ignore"):  # infinities are shown, not warned about
            values = last_values(trace)
        evaluation = _evaluate(task, trace) if whole and task.evaluated else []
    path = task.out
    if path is not None and not path.exists():
        path = path.with_suffix(".run")
    return Outcome(
        training=task.training,
        seed=task.seed,
        status=trace.status,
        message=trace.message,
        last_step=int(trace.steps[-1]) if trace.n_records else None,
        path=None if path is None else str(path),
        new=not finished,
        values=values,
        evaluation=evaluation,
        warned=tuple(text for text in warned if text != trace.message),
    )


def last_values(trace: Trace) -> dict[str, float]:
    """Return the last record as one number per quantity, named by how it was reduced.

    Competing coefficients are reduced to the largest of each class, since that is what
    represents the class; indices, whose mean says nothing, to how many different ones there are;
    everything else to its mean.
    """
    values: dict[str, float] = {}
    competing, nominal = (trace.meta.get(kind, []) for kind in ("competing", "nominal"))
    for name in trace:
        axes = trace.axes[name]
        if name == "steps" or axes[:1] != ("step",) or not trace.n_records:
            continue
        last = np.asarray(trace[name][-1], dtype=np.float64)
        if name in nominal:
            values[f"{name} (different ones)"] = float(np.unique(last).size)
        elif last.ndim == 0:
            values[name] = float(last)
        elif name in competing and axes[1:] == ("class", "neuron"):
            values[f"{name} (largest of a class)"] = float(last.max(axis=1).mean())
        elif last.size:
            values[f"{name} (mean)"] = float(last.mean())
    winners = trace.summary()["winners"]
    for name in competing if winners else ():
        values[f"classes won by {name}"] = float(sum(entry["winner"] == name for entry in winners))
    return values


def _evaluate(task: Task, trace: Trace) -> list[dict[str, Any]]:
    """Return one dict per evaluation attack of the scenario: settings, accuracies, dead gradients."""
    model = trained_model(task.scenario.model, trace)
    if model is None or not task.scenario.evaluations:
        return []
    # A stream of its own, so that evaluating never changes what is trained.
    rng = np.random.default_rng([task.seed, 1])
    data, _ = task.scenario.problem(task.seed)
    if task.test_samples is not None:
        from featsim.data import sample_like

        data = sample_like(data, task.test_samples, rng)
    attacks: Any = task.scenario.evaluations
    table: list[dict[str, Any]] = plain_json(evaluate(model, data, attacks, rng).table(), "evaluation")
    return table
