"""``featsim scenarios``."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

from featsim.cli.parser import OK, add_command, check_name, print_json
from featsim.cli.tables import shown

if TYPE_CHECKING:
    from featsim.scenarios import Scenario


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "scenarios",
        scenarios,
        """
        featsim scenarios
        featsim scenarios --settings structured-data/S1
        featsim scenarios --json
        """,
    )
    parser.add_argument("--settings", metavar="NAME", help="list all settings of one scenario, with values")
    parser.add_argument("--json", action="store_true", help="as JSON")


def find_scenario(name: str) -> Scenario:
    """Return a scenario by name; the error names those that are close."""
    from featsim.scenarios import get_scenario, scenario_names

    return get_scenario(check_name("scenario", name, scenario_names(), " (`featsim scenarios` lists them)"))


def scenarios(args: argparse.Namespace) -> int:
    """List the named settings of the theories, or all settings of one.

    The mark says where a setting comes from: [source] the paper, [recalled] the paper from
    memory, [derived] from its equations, [choice] the simulator's own.
    """
    from featsim.scenarios import scenario_names

    found = [find_scenario(name) for name in ([args.settings] if args.settings else scenario_names())]
    if args.json:
        described = [
            {
                "name": scenario.name,
                "title": scenario.title,
                "mark": scenario.mark,
                "trainings": list(scenario.trainings),
                **({"settings": scenario.settings()} if args.settings else {}),
            }
            for scenario in found
        ]
        print_json(described[0] if args.settings else described)
        return OK
    for scenario in found:
        print(f"{scenario.name}  [{scenario.mark}]  trainings: {', '.join(scenario.trainings)}")
        print(textwrap.fill(scenario.title, 96, initial_indent="    ", subsequent_indent="    "))
        if args.settings:
            _print_settings(scenario)
    return OK


def _print_settings(scenario: Scenario) -> None:
    settings = scenario.settings()
    width = max(map(len, settings))
    print("settings (change with `featsim run --set KEY=VALUE`; the end of a key will do where it is clear):")
    print("\n".join(f"  {key:<{width}}  {shown(value)}" for key, value in settings.items()))
    if any(key.startswith("evaluations.") for key in settings):
        print("`radius`, `norm`, `scope` and `subspace` change attack and evaluations; full names only one.")
    if scenario.evaluations:
        print("evaluation attacks:")
        for attack in scenario.evaluations:
            label, threat = getattr(attack, "label", attack.kind), getattr(attack, "threat", None)
            print(f"  {label}" + (f": {threat.describe()}" if threat is not None else ""))
