"""Cases and their outcomes, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from featsim.claims.cases import Case, Measure, Outcome
from featsim.scenarios import Scenario
from featsim.training import Recording

Cases = Callable[[bool], list[Case]]
ENDS = Recording(every=1_000_000)
"""Record the first and the last state."""


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
        Its cases are ordered measure by measure.
    """
    what = Recording() if recording is None else recording

    def cases(quick: bool) -> list[Case]:
        return [
            Case(scenario, training, seed, measure, what)
            for measure in measures
            for seed in seeds(n_seeds, quick)
        ]

    return cases


def of_trainings(
    scenario: Scenario,
    trainings: Sequence[str],
    n_seeds: tuple[int, int],
    *measures: Measure,
    recording: Recording | None = None,
) -> Cases:
    """Return the cases of several trainings of a setting, training by training; see :func:`study`."""
    return both(
        *(study(scenario, training, n_seeds, *measures, recording=recording) for training in trainings)
    )


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


def sweep(
    base: Scenario,
    training: str,
    setting: str,
    values: Sequence[float],
    n_seeds: tuple[int, int],
    measure: Measure,
    recording: Recording | None = None,
) -> Cases:
    """Return a function of `quick` that lists the cases of one setting swept over values.

    Every point has seeds of its own: a fit along the sweep takes its points as independent.

    Parameters
    ----------
    base : Scenario
        Setting that is changed.
    training : str
        Which of its trainings.
    setting : str
        What is changed, as for :meth:`Scenario.with_settings`.
    values : sequence of float
        The points.
    n_seeds : tuple of int
        Number of seeds per point at the default and at the quick size.
    measure : Measure
        What to measure.
    recording : Recording, optional
        What to record.

    Returns
    -------
    callable
        Its cases are ordered point by point.
    """
    what = Recording() if recording is None else recording
    points = [base.with_settings({setting: value}) for value in values]

    def cases(quick: bool) -> list[Case]:
        size = len(seeds(n_seeds, quick))
        return [
            Case(point, training, i * size + j, measure, what)
            for i, point in enumerate(points)
            for j in range(size)
        ]

    return cases


def split(outcomes: Sequence[Outcome], n_points: int) -> list[list[Any]]:
    """Return the values of a sweep, one list over seeds per point."""
    size = len(outcomes) // n_points
    return [[o.value for o in outcomes[i * size : (i + 1) * size]] for i in range(n_points)]
