"""``featsim certify``."""

from __future__ import annotations

import argparse
from typing import Any

from featsim.cli.evaluate import add_common, problem, where
from featsim.cli.parser import OK, UsageError, add_command, print_json


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "certify",
        certify,
        """
        featsim certify runs/standard-seed-000.npz --threat l2-patch --radius 0.1
        featsim certify runs/standard-seed-000.npz --threat l2-input --radius 0.3 --seconds 60
        """,
    )
    add_common(parser)


def certify(args: argparse.Namespace) -> int:
    """Certify the model of a trace: a lower bound of robust accuracy, no attack.

    The certificate of the model's kind comes first, then branch and bound on the samples that it leaves
    open, where the model is a network of one hidden layer.
    """
    from featsim.certificates import branch_and_bound, certify_model
    from featsim.models import neuron_sum

    model, data, threat = problem(args)
    bounds: list[Any] = [bound for bound in [certify_model(model, data, threat)] if bound is not None]
    pixels = getattr(data, "pixel_map", None) is not None
    if args.seconds > 0.0 and neuron_sum(model) is not None and threat.subspace != "slice" and not pixels:
        bounds.append(branch_and_bound(model, data, threat, seconds=args.seconds))
    if not bounds:
        raise UsageError(f"a {type(model).__name__} has no certificate; use `featsim evaluate`")
    if args.json:
        found = [{**bound.settings, "certified_accuracy": bound.certified_accuracy} for bound in bounds]
        print_json({"trace": args.trace, "step": args.at, "certificates": found})
    else:
        print(where(args))
        for bound in bounds:
            print(bound.summary())
    return OK
