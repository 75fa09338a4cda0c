"""The named settings that figures, claims, documentation and command line share."""

from featsim.scenarios import cgro, structured_data
from featsim.scenarios.scenario import Scenario, Training
from featsim.validation import check_choice

_ALL = {scenario.name: scenario for scenario in (*structured_data.SCENARIOS, *cgro.SCENARIOS)}


def scenario_names() -> tuple[str, ...]:
    """Return the names of all scenarios, ``"theory/name"``."""
    return tuple(_ALL)


def get_scenario(name: str) -> Scenario:
    """Return a scenario by name.

    Parameters
    ----------
    name : str
        ``"theory/name"``, such as ``"structured-data/S1"``.

    Returns
    -------
    Scenario

    Raises
    ------
    ValueError
        If there is none of that name; the message lists them.
    """
    return _ALL[check_choice("scenario", name, tuple(_ALL))]


__all__ = ["Scenario", "Training", "get_scenario", "scenario_names"]
