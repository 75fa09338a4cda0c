"""The ledger: a claim of a theory, how it is judged, and the judgement."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from featsim.claims.cases import Case, Outcome, run_cases
from featsim.claims.estimates import Estimate, nothing
from featsim.claims.rules import Rule
from featsim.validation import check_bool, check_choice

MARKS = ("[source]", "[recalled]", "[derived]", "[choice]", "[measured]")


class Verdict(enum.StrEnum):
    """Outcome of a claim.

    Attributes
    ----------
    REPRODUCED, NOT_REPRODUCED, PARTLY : str
        All, none or some of its criteria hold.
    VACUOUS : str
        Something could not be measured at this size.
    SKIPPED : str
        Not run: the data it needs are not here.
    """

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    PARTLY = "partly"
    VACUOUS = "vacuous at this size"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Criterion:
    """One measured quantity of a claim and the rule it is held to.

    Attributes
    ----------
    quantity : str
        What is measured, in words; the analysis returns its estimate under this name.
    rule : Rule
        What it must satisfy, written before the run.
    prediction : str
        What theory says it is, with its formula.
    """

    quantity: str
    rule: Rule
    prediction: str = ""


Analysis = Callable[[Sequence[Outcome]], Mapping[str, Estimate]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement of a theory as an executable check.

    Parameters
    ----------
    id : str
        ``"theory/name"``.
    statement : str
        One sentence.
    mark : str
        Where it comes from: ``"[source]"``, ``"[recalled]"``, ``"[derived]"``, ``"[choice]"`` or
        ``"[measured]"``.
    scenario : str
        Name of the setting.
    criteria : tuple of Criterion
        All hold: reproduced; none: not reproduced; some: partly. The first is the headline.
    cases : callable
        Takes `quick`, returns the cases to run.
    analyse : callable
        Takes their outcomes, returns one estimate per quantity; one of n = 0 makes the claim vacuous.
    expected : Verdict
        What the theory leads one to expect.
    control : bool
        Whether the claim says what must not happen.
    found : Verdict or None
        The verdict documented here where that is another one than expected; needs an explanation.
    explanation : str
        Why it differs.
    missing : callable, optional
        Says why the claim cannot be run here, such as for want of data; empty if it can.

    Raises
    ------
    ValueError
        If the id, the mark or the criteria are impossible, or a documented verdict other than
        "reproduced" is not explained.
    """

    id: str
    statement: str
    mark: str
    scenario: str
    criteria: tuple[Criterion, ...]
    cases: Callable[[bool], Sequence[Case]]
    analyse: Analysis
    expected: Verdict = Verdict.REPRODUCED
    control: bool = False
    found: Verdict | None = None
    explanation: str = ""
    missing: Callable[[], str] | None = None

    def __post_init__(self) -> None:
        if self.id.count("/") != 1 or not all(self.id.split("/")):
            raise ValueError(f"id must be 'theory/name', got {self.id!r}")
        check_choice("mark", self.mark, MARKS)
        if not self.criteria:
            raise ValueError(f"criteria must hold at least one criterion, got none for {self.id}")
        if self.documented is not Verdict.REPRODUCED and not self.explanation:
            raise ValueError(
                f"explanation must be given for a claim documented as {self.documented}, {self.id}"
            )

    @property
    def theory(self) -> str:
        """Theory it belongs to."""
        return self.id.partition("/")[0]

    @property
    def documented(self) -> Verdict:
        """The verdict that a run at the default size must reach: `found` if given, else `expected`."""
        return self.expected if self.found is None else self.found

    @property
    def measured(self) -> str:
        """What is measured."""
        return "; ".join(criterion.quantity for criterion in self.criteria)

    @property
    def prediction(self) -> str:
        """What theory predicts, with its formulas."""
        return "; ".join(
            f"{criterion.quantity}: {criterion.prediction}"
            for criterion in self.criteria
            if criterion.prediction
        )

    @property
    def rule(self) -> str:
        """The acceptance rule in words."""
        return "; ".join(f"{criterion.quantity} {criterion.rule.text}" for criterion in self.criteria)


@dataclasses.dataclass(frozen=True)
class Finding:
    """A criterion with what was measured.

    Attributes
    ----------
    criterion : Criterion
        What was asked.
    estimate : Estimate
        What was measured.
    holds : bool
        Whether the rule is satisfied.
    """

    criterion: Criterion
    estimate: Estimate
    holds: bool


@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """A judged claim.

    Attributes
    ----------
    claim : Claim
        The claim.
    findings : tuple of Finding
        One per criterion, the headline first.
    n_seeds : int
        Different seeds behind them.
    quick : bool
        Whether this was the small size.
    seconds : float
        Computing time; runs that several claims share are counted in each.
    digest : str
        SHA-256 fingerprint of every setting behind the result.
    skipped : str
        Why it was not run; empty if it was.
    """

    claim: Claim
    findings: tuple[Finding, ...]
    n_seeds: int
    quick: bool
    seconds: float
    digest: str
    skipped: str = ""

    @property
    def verdict(self) -> Verdict:
        """All criteria hold: reproduced; none: not reproduced; some: partly; any unmeasured: vacuous."""
        if self.skipped:
            return Verdict.SKIPPED
        if any(finding.estimate.n == 0 for finding in self.findings):
            return Verdict.VACUOUS
        held = [finding.holds for finding in self.findings]
        if all(held):
            return Verdict.REPRODUCED
        return Verdict.PARTLY if any(held) else Verdict.NOT_REPRODUCED

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the one the theory leads one to expect, or the claim was not run."""
        return bool(self.skipped) or self.verdict == self.claim.expected

    @property
    def as_documented(self) -> bool:
        """Whether the verdict is the one that the ledger documents.

        With fewer seeds a deviation that the claim explains may not show: at the quick size the expected
        verdict will do as well.
        """
        if self.skipped:
            return True
        return self.verdict == self.claim.documented or (self.quick and self.as_expected)

    @property
    def explained(self) -> bool:
        """Whether it differs from that in the way the claim explains."""
        return not self.as_expected and self.verdict == self.claim.found

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON data; nan becomes None."""
        claim = self.claim
        return {
            "id": claim.id,
            "statement": claim.statement,
            "mark": claim.mark,
            "control": claim.control,
            "scenario": claim.scenario,
            "measured": claim.measured,
            "prediction": claim.prediction,
            "rule": claim.rule,
            "value": _number(self.findings[0].estimate.value),
            "interval": [_number(self.findings[0].estimate.low), _number(self.findings[0].estimate.high)],
            "n_seeds": self.n_seeds,
            "verdict": str(self.verdict),
            "expected": str(claim.expected),
            "as_expected": self.as_expected,
            "documented": str(claim.documented),
            "as_documented": self.as_documented,
            "explanation": claim.explanation,
            "skipped": self.skipped,
            "size": "quick" if self.quick else "default",
            "seconds": round(self.seconds, 3),
            "settings_digest": self.digest,
            "quantities": [
                {
                    "quantity": finding.criterion.quantity,
                    "prediction": finding.criterion.prediction,
                    "rule": finding.criterion.rule.text,
                    "value": _number(finding.estimate.value),
                    "interval": [_number(finding.estimate.low), _number(finding.estimate.high)],
                    "sd": _number(finding.estimate.sd),
                    "n": finding.estimate.n,
                    "note": finding.estimate.note,
                    "holds": finding.holds,
                }
                for finding in self.findings
            ],
        }


def run_claims(
    claims: Iterable[Claim], quick: bool = False, jobs: int = 1, progress: bool = False
) -> list[ClaimResult]:
    """Run and judge claims; runs that several of them need are done once.

    Parameters
    ----------
    claims : iterable of Claim
        From :func:`featsim.claims.select`.
    quick : bool
        Fewer seeds and smaller sweeps; the rules stay.
    jobs : int
        Processes.
    progress : bool
        Whether to report progress.

    Returns
    -------
    list of ClaimResult
        In the order of `claims`.
    """
    check_bool("quick", quick)
    chosen = list(claims)
    reasons = [claim.missing() if claim.missing is not None else "" for claim in chosen]
    asked = [
        [] if reason else list(claim.cases(quick)) for claim, reason in zip(chosen, reasons, strict=True)
    ]
    outcomes = iter(run_cases([case for cases in asked for case in cases], jobs=jobs, progress=progress))
    return [
        _not_run(claim, reason, quick) if reason else judge(claim, [next(outcomes) for _ in cases], quick)
        for claim, cases, reason in zip(chosen, asked, reasons, strict=True)
    ]


def _not_run(claim: Claim, reason: str, quick: bool) -> ClaimResult:
    """Return the result of a claim that cannot be run here."""
    findings = tuple(Finding(criterion, nothing(), False) for criterion in claim.criteria)
    return ClaimResult(claim, findings, 0, quick, 0.0, "", skipped=reason)


def judge(claim: Claim, outcomes: Sequence[Outcome], quick: bool = False) -> ClaimResult:
    """Judge a claim by the outcomes of its cases.

    Parameters
    ----------
    claim : Claim
        The claim.
    outcomes : sequence of Outcome
        In the order of its cases.
    quick : bool
        Whether they are of the small size.

    Returns
    -------
    ClaimResult
        Findings, verdict and settings digest.

    Raises
    ------
    KeyError
        If the analysis leaves out a quantity.
    """
    estimates = claim.analyse(outcomes)
    findings = tuple(
        Finding(criterion, estimates[criterion.quantity], _holds(criterion, estimates[criterion.quantity]))
        for criterion in claim.criteria
    )
    keys = sorted({" ".join(outcome.case.key) for outcome in outcomes})
    return ClaimResult(
        claim=claim,
        findings=findings,
        n_seeds=len({outcome.case.seed for outcome in outcomes}),
        quick=quick,
        seconds=sum(outcome.seconds for outcome in outcomes),
        digest=hashlib.sha256("\n".join([claim.id, claim.rule, *keys]).encode()).hexdigest(),
    )


def all_as_expected(results: Iterable[ClaimResult]) -> bool:
    """Return whether every verdict is the one the theory leads one to expect.

    Parameters
    ----------
    results : iterable of ClaimResult
        Judged claims.

    Returns
    -------
    bool
        False also where a verdict differs in a way that its claim explains.
    """
    return all(result.as_expected for result in results)


def all_as_documented(results: Iterable[ClaimResult]) -> bool:
    """Return whether every verdict is the one that the ledger documents: exit status 0 of ``featsim claims``.

    Parameters
    ----------
    results : iterable of ClaimResult
        Judged claims.

    Returns
    -------
    bool
        False where something came out that nobody has accounted for, also for the better: at the default
        size a claim documented as not reproduced must be changed once it is.
    """
    return all(result.as_documented for result in results)


def _holds(criterion: Criterion, estimate: Estimate) -> bool:
    return estimate.n > 0 and not math.isnan(estimate.value) and bool(criterion.rule.holds(estimate))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
