"""The named settings that figures, claims, documentation and command line share."""

from featsim.scenarios import cgro, convergence, gram_space, images, purification, structured_data
from featsim.scenarios.scenario import Scenario, Training
from featsim.validation import check_choice

_THEORIES = (structured_data, purification, cgro, convergence, images, gram_space)
_ALL: dict[str, Scenario] = {scenario.name: scenario for theory in _THEORIES for scenario in theory.SCENARIOS}


def scenario_names() -> tuple[str, ...]:
    """Return the names of all scenarios.

    Returns
    -------
    tuple of str
        ``"theory/name"``, theory by theory.
    """
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
        The setting of that name.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists them.
    """
    return _ALL[check_choice("scenario", name, tuple(_ALL))]


__all__ = ["Scenario", "Training", "get_scenario", "scenario_names"]
