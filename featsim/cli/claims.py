"""``featsim claims``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from featsim.cli.parser import FAILED, OK, add_command, add_jobs
from featsim.cli.tables import table

if TYPE_CHECKING:
    from featsim.claims import Claim


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "claims",
        claims,
        """
        featsim claims
        featsim claims --theory structured-data --quick
        featsim claims --id structured-data/T1 --jobs 2
        featsim claims --list --theory cgro                      # ids and statements, nothing is run
        """,
    )
    parser.add_argument("--theory", metavar="NAME", help="only the claims of one theory")
    parser.add_argument(
        "--id", action="append", metavar="ID", dest="ids", help="only this claim (may be repeated)"
    )
    parser.add_argument(
        "--list", action="store_true", dest="listed", help="list ids and statements and run nothing"
    )
    parser.add_argument("--quick", action="store_true", help="at test size")
    parser.add_argument(
        "--out", metavar="DIR", default="results", help="folder of claims.json and the table (%(default)s)"
    )
    add_jobs(parser, "claims")


def claims(args: argparse.Namespace) -> int:
    """Check the claims of the theories and print the ledger; --list says what there is.

    Exit status 0 means that every verdict is the one that the ledger documents: the one that the
    theory leads one to expect (for a control, that something does not happen), or where a claim is
    documented as not or only partly reproduced, just that. 1 means that a verdict differs, marked
    with `!` in the table; a documented difference from the theory is marked with `*`.
    """
    from featsim import claims as ledger
    from featsim.traces import check_writable

    chosen = ledger.select(theory=args.theory, ids=args.ids)
    if args.listed:
        print(table(["id", "", "statement"], [_row(claim) for claim in chosen], left=3, indent=""))
        return OK
    check_writable(args.out)
    results = ledger.run_claims(chosen, quick=args.quick, jobs=args.jobs, progress=not args.quiet)
    print(ledger.format_table(results))
    ledger.write_ledger(results, args.out)
    print(f"the ledger is in {args.out}")
    return OK if ledger.all_as_documented(results) else FAILED


def _row(claim: Claim) -> list[str]:
    notes = [*(["control"] if claim.control else [])]
    if claim.documented != claim.expected:
        notes.append(f"documented: {claim.documented}")
    return [claim.id, claim.mark, claim.statement + (f" ({', '.join(notes)})" if notes else "")]
