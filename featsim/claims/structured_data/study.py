"""Cases and their outcomes, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from featsim.claims.cases import Case, Measure, Outcome
from featsim.scenarios import Scenario
from featsim.training import Recording

Cases = Callable[[bool], list[Case]]


def seeds(n_seeds: tuple[int, int], quick: bool) -> range:
    """Return the seeds 0, 1, ... of the default or the quick size, given as a pair."""
    return range(n_seeds[1] if quick else n_seeds[0])


def study(
    scenario: Scenario,
    training: str | None,
    n_seeds: tuple[int, int],
    *measures: Measure,
    recording: Recording | None = None,
) -> Cases:
    """Return a function of `quick` that lists the cases of one training over seeds.

    Parameters
    ----------
    scenario : Scenario
        Setting.
    training : str or None
        Which of its trainings.
    n_seeds : tuple of int
        Number of seeds at the default and at the quick size.
    *measures : Measure
        What to measure on each run.
    recording : Recording, optional
        What to record.

    Returns
    -------
    callable
    """
    what = Recording() if recording is None else recording

    def cases(quick: bool) -> list[Case]:
        return [
            Case(scenario, training, seed, measure, what)
            for measure in measures
            for seed in seeds(n_seeds, quick)
        ]

    return cases


def both(*parts: Cases) -> Cases:
    """Return the cases of several studies together."""
    return lambda quick: [case for part in parts for case in part(quick)]


def by_seed(
    outcomes: Sequence[Outcome],
    measure: Measure,
    training: str | None = None,
    scenario: Scenario | None = None,
) -> list[Any]:
    """Return what a measure gave, in the order of the seeds.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of one claim.
    measure : Measure
        Which measure.
    training : str, optional
        Only that training.
    scenario : Scenario, optional
        Only that setting.

    Returns
    -------
    list
        One value per seed.
    """
    digest = None if scenario is None else scenario.digest()
    chosen = [
        outcome
        for outcome in outcomes
        if outcome.case.measure.key == measure.key
        and training in (None, outcome.case.training)
        and (digest is None or outcome.case.scenario.digest() == digest)
    ]
    return [outcome.value for outcome in sorted(chosen, key=lambda outcome: outcome.case.seed)]
