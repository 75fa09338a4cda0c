"""``featsim run``."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featsim.cli.parser import (
    FAILED,
    INTERRUPTED,
    OK,
    UsageError,
    add_command,
    add_jobs,
    check_name,
    name_list,
    print_json,
    step_list,
    suggestion,
    whole_number,
)
from featsim.cli.scenarios import find_scenario

if TYPE_CHECKING:
    from featsim.cli.runs import Outcome, Task
    from featsim.scenarios import Scenario
    from featsim.training import Recording

# Python's own spelling, which error messages use, beside JSON's.
_WORDS = {"True": True, "False": False, "None": None, "inf": math.inf, "-inf": -math.inf}


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        run,
        """
        featsim run structured-data/S1
        featsim run structured-data/S1 --training adversarial --seeds 10 --jobs 2 --out runs
        featsim run structured-data/S1 --set noise_std=0.05 data.dim=32 --record-log 200
        featsim run structured-data/S1 --set standard.schedule.n_steps=1000 --training standard
        featsim run structured-data/S1 --seeds 100 --jobs 4 --out runs --estimate
        """,
    )
    parser.add_argument("scenario", metavar="SCENARIO", nargs="?", help="a name from `featsim scenarios`")
    parser.add_argument(
        "--training", metavar="NAME", help="standard, adversarial, ... (default: all of the scenario)"
    )
    parser.add_argument(
        "--seeds", type=whole_number(1), default=1, metavar="N", help="number of seeds (default 1)"
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="FIRST", help="the first seed (default 0)"
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="change settings; a value is JSON, or else text; `featsim scenarios --settings` lists the keys",
    )
    _add_recording(parser)
    parser.add_argument(
        "--test-samples",
        type=whole_number(1),
        metavar="N",
        help="evaluate on N fresh samples of each seed's features (default: on the training samples)",
    )
    parser.add_argument(
        "--reduction",
        choices=("auto", "never", "always"),
        default="auto",
        help="train patch networks in the span of their inputs: the same run up to rounding, cheaper where "
        "the rank is low (default: auto)",
    )
    parser.add_argument(
        "--precision",
        choices=("float64", "float32"),
        help="number type of a patch network's products; short for --set schedule.precision=float32",
    )
    parser.add_argument("--no-evaluation", action="store_true", help="do not run the evaluation attacks")
    parser.add_argument("--out", metavar="DIR", help="keep the traces below DIR, while they run too")
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="print time, memory and disk that the runs will take, and train nothing",
    )
    parser.add_argument("--json", action="store_true", help="print settings and results as JSON")
    add_jobs(parser, "runs")


def _add_recording(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recording (every step by default)")
    when = group.add_mutually_exclusive_group()
    when.add_argument(
        "--record-every", type=whole_number(1), metavar="S", help="every S-th step and the last"
    )
    when.add_argument(
        "--record-log",
        type=whole_number(2),
        metavar="N",
        help="about N steps, evenly spaced in the logarithm",
    )
    when.add_argument("--record-at", type=step_list, metavar="STEPS", help="these steps, such as 0,10,100")
    group.add_argument(
        "--record",
        type=name_list,
        metavar="NAMES",
        help="only these quantities, such as clean_loss,robust_coef",
    )
    group.add_argument(
        "--weights-at", type=step_list, metavar="STEPS", default=(), help="keep the weights at these steps"
    )


def run(args: argparse.Namespace) -> int:
    """Train a scenario and evaluate what it learned.

    Prints the last values of every recorded quantity as mean +- standard deviation over seeds, and the
    accuracy under each evaluation attack of the scenario with its budget. With --out, the finished trace
    of a seed is DIR/TRAINING-seed-000.npz, and grows in a folder DIR/TRAINING-seed-000.run until then.
    The same command again skips finished seeds and goes on with stopped ones. A run whose trace does not
    fit into memory, or with --out on the disk, is refused before it starts; with --jobs, so are seeds that
    do not fit into memory at once.
    """
    from featsim.cli import report, runs

    scenario = _scenario(args)
    recording = _recording(args)
    tasks = _tasks(args, scenario, recording)
    if args.estimate:
        return _estimate(args, tasks)
    if args.out is not None:
        runs.prepare_folder(Path(args.out), scenario, recording, tasks)
    outcomes, stopped = _run_tasks(args, tasks)
    if args.json:
        print_json(report.as_json(scenario, recording, outcomes))
    elif outcomes:
        print(report.as_text(scenario, outcomes, args.test_samples))
    return _end(args, outcomes, stopped)


def _run_tasks(args: argparse.Namespace, tasks: list[Task]) -> tuple[list[Outcome], bool]:
    from featsim.cli.estimate import estimates
    from featsim.cli.runs import run_task
    from featsim.cli.sweep import run_all

    memory = 0
    left = [task for task in tasks if task.out is None or not task.out.exists()]
    if args.jobs > 1 and len(left) > 1:  # one at a time, each looks for itself
        memory = max(found.memory_bytes for found in estimates(left, method="none").values())
    return run_all(run_task, tasks, jobs=args.jobs, progress=not args.quiet, memory_bytes=memory)


def _estimate(args: argparse.Namespace, tasks: list[Task]) -> int:
    from featsim.cli.estimate import as_json, as_text, estimates

    found = estimates(tasks)
    if args.json:
        print_json(as_json(tasks, found, args.jobs))
    else:
        print(as_text(tasks, found, args.jobs))
    return OK


def _end(args: argparse.Namespace, outcomes: list[Outcome], stopped: bool) -> int:
    """Say where the traces are and what went wrong; return the exit status."""
    for outcome in outcomes:
        for text in outcome.warned:
            where = f"{outcome.training} seed {outcome.seed}"
            print(f"featsim: warning: {where}: {text}", file=sys.stderr)
    if not args.json and not stopped:
        skipped = sum(not outcome.new for outcome in outcomes)
        note = f" ({skipped} of {len(outcomes)} were there already)" if skipped else ""
        kept = f"traces are in {args.out}{note}" if args.out else "traces were not kept; --out DIR keeps them"
        print(f"\n{kept}")
    if stopped:
        command = shlex.join(["featsim", *args.words])
        kept = (
            f"what was recorded is kept in {args.out}; go on with: {command}"
            if args.out
            else "nothing was kept; --out DIR keeps traces and lets a run go on"
        )
        print(f"featsim: interrupted; {kept}", file=sys.stderr)
        return INTERRUPTED
    return OK if all(outcome.status == "completed" for outcome in outcomes) else FAILED


def _scenario(args: argparse.Namespace) -> Scenario:
    """Return the scenario asked for, with its settings changed."""
    if args.scenario is None:
        raise UsageError("SCENARIO is missing; put it first, as in `featsim run structured-data/S1`")
    scenario = find_scenario(args.scenario)
    settings = scenario.settings()
    changes: dict[str, Any] = {}
    for word in args.changes:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(f"--set must be given KEY=VALUE, got {word!r}")
        if not any(name == key or name.endswith("." + key) for name in settings):
            listing = f"`featsim scenarios --settings {scenario.name}` lists them"
            raise UsageError(
                f"{key!r} is not a setting of {scenario.name} ({listing}); {suggestion(key, settings)}"
            )
        changes[key] = _value(text)
    if args.precision is not None:
        set_too = [key for key in changes if key.split(".")[-1] == "precision"]
        if set_too:
            raise UsageError(f"--precision and --set {set_too[0]}=... say it twice; give one of them")
        changes["schedule.precision"] = args.precision
    return scenario.with_settings(changes) if changes else scenario


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _recording(args: argparse.Namespace) -> Recording:
    from featsim.training import Recording

    return Recording(
        every=1 if args.record_every is None else args.record_every,
        n_log=args.record_log,
        at=args.record_at,
        quantities=args.record,
        weights_at=args.weights_at,
    )


def _tasks(args: argparse.Namespace, scenario: Scenario, recording: Recording) -> list[Task]:
    from featsim.cli.runs import Task, trace_path
    from featsim.training.preparation import stepper_factory

    names = tuple(scenario.trainings)
    if args.training is not None:
        names = (check_name("training", args.training, names, f" of {scenario.name}"),)
    if args.out is not None and Path(args.out).suffix in (".npz", ".run"):
        raise UsageError(f"--out must be a folder for the traces, got {args.out!r}")
    for name in names:  # before any work, and before the folder has settings that nothing can run
        stepper_factory(scenario.model, scenario.trainings[name].schedule)
        recording.check(scenario.trainings[name].schedule.n_steps)
    return [
        Task(
            scenario=scenario,
            training=name,
            seed=seed,
            recording=recording,
            out=None if args.out is None else trace_path(Path(args.out), name, seed),
            evaluated=not args.no_evaluation,
            test_samples=args.test_samples,
            progress=not args.quiet and args.jobs == 1,
            reduction=args.reduction,
        )
        for name in names
        for seed in range(args.seed, args.seed + args.seeds)
    ]
