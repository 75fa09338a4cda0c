"""The ledger of claims: each statement of a theory as a judged check."""

from featsim.claims.estimates import Estimate
from featsim.claims.ledger import (
    Claim,
    ClaimResult,
    Criterion,
    Finding,
    Verdict,
    all_as_documented,
    all_as_expected,
    judge,
    run_claims,
)
from featsim.claims.registry import select
from featsim.claims.report import format_markdown, format_table, write_ledger
from featsim.claims.rules import Rule

__all__ = [
    "Claim",
    "ClaimResult",
    "Criterion",
    "Estimate",
    "Finding",
    "Rule",
    "Verdict",
    "all_as_documented",
    "all_as_expected",
    "format_markdown",
    "format_table",
    "judge",
    "run_claims",
    "select",
    "write_ledger",
]
