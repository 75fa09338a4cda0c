"""``featsim evaluate``, and what ``featsim certify`` shares with it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featsim.cli.parser import OK, UsageError, add_command, print_json, whole_number

if TYPE_CHECKING:
    from featsim.models import Model
    from featsim.threats import Threat
    from featsim.traces import Trace

_THREATS: dict[str, dict[str, Any]] = {
    "l2-patch": {"norm": "l2", "scope": "patch"},
    "l2-input": {"norm": "l2", "scope": "input"},
    "linf-patch": {"norm": "linf", "scope": "patch"},
    "linf-input": {"norm": "linf", "scope": "input"},
    "own": {"subspace": "own"},
    "nonrobust": {"subspace": "nonrobust"},
    "features": {"subspace": "features"},
    "own-input": {"subspace": "own", "scope": "input"},
    "nonrobust-input": {"subspace": "nonrobust", "scope": "input"},
    "features-input": {"subspace": "features", "scope": "input"},
    "signal": {"subspace": "signal"},
    "cap": {"subspace": "slice", "scope": "input"},
}


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "evaluate",
        evaluate,
        """
        featsim evaluate runs/standard-seed-000.npz --threat l2-patch --radius 0.2
        featsim evaluate runs/standard-seed-000.npz --threat own --radius 0.2 --masking
        featsim evaluate runs/standard-seed-000.npz --threat linf-input --radius 0.05 --test-samples 400
        """,
    )
    add_common(parser)
    parser.add_argument(
        "--masking", action="store_true", help="run the masking tests too: dead gradients, black box, scale"
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the trace, the threat, and the samples."""
    parser.add_argument("trace", metavar="TRACE", help="trace (.npz), or the folder of a run")
    parser.add_argument(
        "--at",
        type=whole_number(0),
        metavar="STEP",
        help="weights kept at a step (featsim run --weights-at) instead of the last",
    )
    parser.add_argument(
        "--threat", required=True, metavar="NAME", help=f"allowed perturbations: {', '.join(_THREATS)}"
    )
    parser.add_argument("--radius", required=True, type=float, metavar="R", help="radius of the budget")
    parser.add_argument(
        "--samples", type=whole_number(1), metavar="N", help="only the first N samples (default: all)"
    )
    parser.add_argument(
        "--test-samples",
        type=whole_number(1),
        metavar="N",
        help="N fresh samples of the same features (default: the training samples of the trace's seed)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="S", help="seed of random starts (default 0)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        metavar="T",
        help="time for branch and bound on what stays open; 0 leaves it out (default 10)",
    )
    parser.add_argument("--json", action="store_true", help="print settings and accuracies as JSON")


def evaluate(args: argparse.Namespace) -> int:
    """Attack and certify the model of a trace: robust accuracy as an interval.

    Prints the interval [certified, attacked] with binomial intervals, and every setting of the attacks and
    certificates behind it. Without --test-samples the samples are those that the trace was trained on.
    """
    import numpy as np

    from featsim.evaluation import robustness

    model, data, threat = problem(args)
    rng = np.random.default_rng([args.seed, 2])
    found = robustness(model, data, threat, rng, branch_seconds=args.seconds, masking=args.masking)
    if args.json:
        print_json({"trace": args.trace, "step": args.at, **found.to_dict()})
    else:
        print(where(args))
        print(found.summary())
    return OK


def where(args: argparse.Namespace) -> str:
    """Say which weights."""
    step = "the last weights" if args.at is None else f"the weights of step {args.at}"
    return f"{args.trace}, {step}"


def problem(args: argparse.Namespace) -> tuple[Model, Any, Threat]:
    """Return the model, the samples and the threat that were asked for."""
    import numpy as np

    from featsim.cli.parser import check_name
    from featsim.models import trained_model
    from featsim.specs import spec_from_dict
    from featsim.threats import Threat
    from featsim.traces import load_trace

    kind = _THREATS[check_name("threat", args.threat, _THREATS)]
    threat = Threat(radius=args.radius, **kind)
    if not args.seconds >= 0.0:
        raise UsageError(f"--seconds must be >= 0, got {args.seconds}")
    path = Path(args.trace)
    trace = load_trace(path)
    spec = spec_from_dict(trace.spec["model"])
    model = trained_model(spec, trace, args.at)
    if model is None:
        raise UsageError(f"the model of {path} cannot be built from its trace; evaluate it in Python")
    data = _data(path, trace)
    if args.test_samples is not None:
        from featsim.data import sample_like

        # A stream of its own, as in `featsim run`: evaluating never changes what is trained.
        rng = np.random.default_rng([int(trace.spec.get("seed") or 0), 1])
        data = sample_like(data, args.test_samples, rng)
    if args.samples is not None:
        data = data.select(slice(0, args.samples))
    return model, data, threat


def _data(path: Path, trace: Trace) -> Any:
    """Draw the training samples again, which a trace does not hold."""
    from featsim.cli.runs import SETTINGS_FILE
    from featsim.scenarios import get_scenario
    from featsim.specs import spec_from_dict

    name, seed = trace.spec.get("scenario"), trace.spec.get("seed")
    if not name or seed is None:
        raise UsageError(
            f"{path} does not name the scenario and seed of its data; load it in Python and call robustness()"
        )
    scenario = get_scenario(name)
    beside = path.parent / SETTINGS_FILE
    changes: dict[str, Any] = {}
    if beside.exists():  # the settings that one trace alone does not tell
        stored = json.loads(beside.read_text(encoding="utf-8"))
        changes = {key: stored[key] for key in ("n_samples", "merge_repeats") if key in stored}
        if "data" in stored:
            changes["data"] = spec_from_dict(stored["data"])
    data, _ = scenario.replace(**changes).problem(int(seed))
    return data
