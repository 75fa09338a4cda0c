"""Runs that claims ask for, each done once whoever asks, and what is measured on them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from featsim.models import trained_model
from featsim.scenarios import Scenario
from featsim.sweeps import map_runs
from featsim.traces import Trace
from featsim.training import Recording


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run of a scenario, as measures see it.

    Attributes
    ----------
    scenario : Scenario
        Setting.
    training : str or None
        Which of its trainings; None where only data are drawn.
    seed : int
        Seed of data and initial weights.
    recorded : Trace or None
        What was recorded.
    """

    scenario: Scenario
    training: str | None
    seed: int
    recorded: Trace | None

    @property
    def trace(self) -> Trace:
        """What was recorded."""
        if self.recorded is None:
            raise ValueError("training must be named in a case whose measure reads the trace")
        return self.recorded

    @cached_property
    def data(self) -> Any:
        """Training data."""
        return self.scenario.problem(self.seed)[0]

    @cached_property
    def network(self) -> Any:
        """Model with the final weights."""
        return trained_model(self.scenario.model, self.trace)

    def rng(self, purpose: int = 0) -> np.random.Generator:
        """Return a generator for evaluation, independent of data and initial weights."""
        return np.random.default_rng((self.seed, 1 + purpose))


@dataclasses.dataclass(frozen=True)
class Measure:
    """A function of a run and its further arguments.

    Attributes
    ----------
    function : callable
        Of the module level, so that worker processes find it; takes the run and the arguments.
    arguments : tuple
        Hashable, with a repr that tells them apart.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def __call__(self, run: Run) -> Any:
        """Measure a run."""
        return self.function(run, *self.arguments)

    @property
    def key(self) -> str:
        """Name that tells this measure from all others."""
        return f"{self.function.__module__}.{self.function.__qualname__}{self.arguments!r}"


@dataclasses.dataclass(frozen=True)
class Case:
    """A run, and what to measure on it.

    Attributes
    ----------
    scenario : Scenario
        Setting.
    training : str or None
        Which of its trainings; None to draw data only.
    seed : int
        Seed of data and initial weights.
    measure : Measure
        What to measure.
    recording : Recording
        What to record; every step by default.
    """

    scenario: Scenario
    training: str | None
    seed: int
    measure: Measure
    recording: Recording = dataclasses.field(default_factory=Recording)

    @cached_property
    def run_key(self) -> str:
        """Fingerprint of the run: cases that share it share one training."""
        return f"{self.scenario.digest()} {self.training} {self.seed} {self.recording.digest()}"

    @property
    def key(self) -> tuple[str, str]:
        """Fingerprint of run and measure."""
        return self.run_key, self.measure.key


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a case gave.

    Attributes
    ----------
    case : Case
        The case.
    value : object
        What its measure returned.
    seconds : float
        Time of the run and of the measure.
    """

    case: Case
    value: Any
    seconds: float


def run_cases(cases: Sequence[Case], *, jobs: int = 1, progress: bool = False) -> list[Outcome]:
    """Run cases, every distinct run and every distinct measure once.

    Parameters
    ----------
    cases : sequence of Case
        May hold repeats.
    jobs : int
        Processes.
    progress : bool
        Whether to report progress.

    Returns
    -------
    list of Outcome
        In the order of `cases`.
    """
    groups: dict[str, dict[str, Case]] = {}
    for case in cases:
        groups.setdefault(case.run_key, {}).setdefault(case.measure.key, case)
    work = [list(group.values()) for group in groups.values()]
    found: dict[tuple[str, str], Outcome] = {}
    for outcomes in map_runs(_run_group, work, jobs=jobs, progress=progress, label="claims"):
        for outcome in outcomes:
            found[outcome.case.key] = outcome
    return [found[case.key] for case in cases]


def _run_group(cases: list[Case]) -> list[Outcome]:
    """Train once and take all measures of that run."""
    first, start = cases[0], time.perf_counter()
    trace = (
        None
        if first.training is None
        else first.scenario.run(first.training, first.seed, recording=first.recording)
    )
    run = Run(first.scenario, first.training, first.seed, trace)
    trained = time.perf_counter() - start
    outcomes = []
    for case in cases:
        start = time.perf_counter()
        value = case.measure(run)
        outcomes.append(Outcome(case, value, trained + time.perf_counter() - start))
    return outcomes
