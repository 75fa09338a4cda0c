"""Robust accuracy in one call: attacks, certificate, what is left open, and how far to believe it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from featsim.attacks import Attack, AttackResult, run_attack
from featsim.certificates import BranchResult, CertificateResult, branch_and_bound, certify_model
from featsim.evaluation.masking import MaskingReport, masking_report
from featsim.evaluation.suite import default_suite
from featsim.models import Model, neuron_sum, wilson_interval
from featsim.threats import Samples, Threat, as_samples
from featsim.validation import FloatArray, check_bool, check_generator, check_real

if TYPE_CHECKING:
    from featsim.data import PatchData


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Robustness:
    """What is known about each sample under one threat, and the interval of robust accuracy.

    Attributes
    ----------
    threat : Threat
        Budget.
    model : str
        Kind of the model.
    clean_margin : ndarray, shape (n,)
        Hard margin at the clean point.
    attacked_margin : ndarray, shape (n,)
        Smallest margin that any attack found: an upper bound of the worst margin; nan where a score is not
        finite, which counts as broken.
    lower_margin : ndarray, shape (n,)
        Largest certified lower bound of it; nan where nothing is certified.
    perturbation : ndarray, shape of X
        Where `attacked_margin` was found.
    found_by : ndarray of str, shape (n,)
        The attack that found it, ``"clean"`` for none.
    attacks : tuple of AttackResult
        Every attack, in the order of running.
    certificate : CertificateResult or None
        Bounds of the model's kind.
    branch : BranchResult or None
        Branch and bound on what attacks and bounds left open.
    branch_rows : ndarray of int
        Samples that were given to it.
    masking : MaskingReport or None
        Tests of blindness, where asked for.
    notes : tuple of str
        What is missing, and why.
    """

    threat: Threat
    model: str
    clean_margin: FloatArray
    attacked_margin: FloatArray
    lower_margin: FloatArray
    perturbation: FloatArray
    found_by: npt.NDArray[np.str_]
    attacks: tuple[AttackResult, ...]
    certificate: CertificateResult | None
    branch: BranchResult | None
    branch_rows: npt.NDArray[np.int64]
    masking: MaskingReport | None
    notes: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.clean_margin)

    @property
    def certified(self) -> npt.NDArray[np.bool_]:
        """Which samples are proven robust; never where a bound is nan."""
        certified: npt.NDArray[np.bool_] = self.lower_margin > 0
        return certified

    @property
    def standing(self) -> npt.NDArray[np.bool_]:
        """Which samples no attack broke; ties and scores that are not finite do not stand."""
        standing: npt.NDArray[np.bool_] = self.attacked_margin > 0
        return standing

    @property
    def status(self) -> npt.NDArray[np.str_]:
        """``"certified"``, ``"broken"`` or ``"open"`` for each sample."""
        return np.where(self.certified, "certified", np.where(self.standing, "open", "broken"))

    @property
    def interval(self) -> tuple[float, float]:
        """Robust accuracy on these samples lies in [certified, attacked]."""
        return float(np.mean(self.certified)), float(np.mean(self.standing))

    @property
    def binomial_intervals(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """95 % Wilson intervals of the two ends, for the population that the samples come from."""
        n = self.n_samples
        return (
            wilson_interval(int(self.certified.sum()), n),
            wilson_interval(int(self.standing.sum()), n),
        )

    @property
    def n_dead(self) -> int:
        """Largest number of dead gradients that any of the attacks met."""
        return max((result.n_dead for result in self.attacks), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return settings and accuracies as JSON data, without the samples."""
        (low, low_end), (high_end, high) = self.binomial_intervals
        return {
            "model": self.model,
            "threat": self.threat.to_dict(),
            "n_samples": self.n_samples,
            "clean_accuracy": float(np.mean(self.clean_margin > 0)),
            "certified_accuracy": self.interval[0],
            "certified_interval": [low, low_end],
            "attacked_accuracy": self.interval[1],
            "attacked_interval": [high_end, high],
            "n_open": int(np.sum(self.status == "open")),
            "n_dead": self.n_dead,
            "attacks": [{**r.settings, "robust_accuracy": r.robust_accuracy} for r in self.attacks],
            "certificates": [
                {**bound.settings, "certified_accuracy": bound.certified_accuracy}
                for bound in (self.certificate, self.branch)
                if bound is not None
            ],
            "masking": None if self.masking is None else self.masking.to_dict(),
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """Return the interval with binomial intervals, and every setting behind it, as text."""
        (low, low_end), (high_end, high) = self.binomial_intervals
        certified, attacked = self.interval
        clean = wilson_interval(int(np.sum(self.clean_margin > 0)), self.n_samples)
        right = float(np.mean(self.clean_margin > 0))
        counts = {name: int(np.sum(self.status == name)) for name in ("certified", "open", "broken")}
        flag = f"  ! zero gradient at up to {self.n_dead} clean points: may flatter" if self.n_dead else ""
        lines = [
            f"{self.model} against {self.threat.describe()}, {self.n_samples} samples",
            f"robust accuracy in [{certified:.4f}, {attacked:.4f}]{flag}",
            f"  certified {certified:.4f}, 95 % interval {low:.4f} to {low_end:.4f}",
            f"  attacked  {attacked:.4f}, 95 % interval {high_end:.4f} to {high:.4f}",
            f"  clean     {right:.4f}, 95 % interval {clean[0]:.4f} to {clean[1]:.4f}",
            "  samples: " + ", ".join(f"{count} {name}" for name, count in counts.items()),
            *(f"  note: {note}" for note in self.notes),
        ]
        lines += [result.summary() for result in self.attacks]
        if self.certificate is not None:
            lines.append(self.certificate.summary())
        if self.branch is not None:
            lines.append("on the samples that were still open:")
            lines.append(self.branch.summary())
        if self.masking is not None:
            lines.append(self.masking.summary())
        return "\n".join(lines)


def robustness(
    model: Model,
    data: PatchData | tuple[Any, Any],
    threat: Threat,
    rng: np.random.Generator | None = None,
    *,
    attacks: Iterable[Attack] | None = None,
    certify: bool = True,
    branch_seconds: float = 10.0,
    masking: bool = False,
) -> Robustness:
    r"""Evaluate any model under any threat: robust accuracy as an interval [certified, attacked].

    Attacks bound robust accuracy from above, the certificate of the model's kind from below. What is left
    open goes to branch and bound, where the model is a network of one hidden layer, until time is up; the
    perturbations that it finds count as attacks.

    Parameters
    ----------
    model : Model
        A model of the package, or any object with ``scores(X)`` and ``input_gradient(X, cotangent)``: such
        a one is attacked only, and the result says so.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        Budget: per patch or whole input, l2 or linf, a named subspace, the signal line, or the cap.
    rng : numpy.random.Generator, optional
        For random starts; without it there are none.
    attacks : iterable of attack specs, optional
        Instead of :func:`default_suite`; all must have this threat.
    certify : bool
        Whether to certify.
    branch_seconds : float
        Time for branch and bound, at least 0; 0 leaves it out.
    masking : bool
        Whether to run the masking tests too, which need `rng`.

    Returns
    -------
    Robustness
        Results sample by sample, and a summary with all settings.

    Raises
    ------
    TypeError, ValueError
        If model, data, threat and attacks do not fit together.
    """
    samples = as_samples(data)
    seconds = check_real("branch_seconds", branch_seconds, minimum=0.0)
    check_bool("certify", certify)
    if rng is not None:
        check_generator("rng", rng)
    if masking and rng is None:
        raise ValueError("rng must be given for the masking tests; pass rng=np.random.default_rng(0)")
    samples.bind(threat)  # refuses here, before any work, what the samples cannot carry
    chosen = default_suite(model, data, threat, random=rng is not None) if attacks is None else tuple(attacks)
    for attack in chosen:
        if not _same(attack.threat, threat):
            raise ValueError(
                f"attacks must have the threat {threat.describe()}, got {attack.threat.describe()} of "
                f"{attack.label}; evaluate() runs attacks of several threats"
            )
    if not chosen:
        raise ValueError("attacks must hold at least one attack, got none")
    results = tuple(run_attack(attack, model, data, rng) for attack in chosen)
    worst = _Worst.of(results)
    notes, bound = [], None
    if certify:
        bound = certify_model(model, data, threat)
        if bound is None:
            notes.append(
                f"a {type(model).__name__} has no certificate: attacks only, the interval starts at 0"
            )
    lower = np.full(len(samples.y), np.nan) if bound is None else bound.lower_margin.copy()
    rows = np.flatnonzero((worst.margin > 0) & ~(lower > 0))
    branch = None
    if certify and seconds > 0.0 and len(rows):
        branch = _branch(model, samples, threat, rows, seconds)
        if branch is not None:
            lower[rows] = np.fmax(lower[rows], branch.lower_margin)
            worst.offer(rows, branch)
    report = masking_report(model, data, threat, rng) if masking and rng is not None else None
    return Robustness(
        threat=threat,
        model=type(model).__name__,
        clean_margin=results[0].clean_margin,
        attacked_margin=worst.margin,
        lower_margin=lower,
        perturbation=worst.perturbation,
        found_by=worst.found_by.astype(np.str_),
        attacks=results,
        certificate=bound,
        branch=branch,
        branch_rows=rows if branch is not None else np.zeros(0, dtype=np.int64),
        masking=report,
        notes=tuple(notes),
    )


def _same(one: Threat, other: Threat) -> bool:
    """Compare threats up to the rounding of a radius that was an angle before."""
    return one.replace(radius=0.0) == other.replace(radius=0.0) and bool(
        np.isclose(one.radius, other.radius, rtol=1e-9, atol=0.0)
    )


@dataclasses.dataclass(eq=False)
class _Worst:
    """Smallest margins found; the clean point counts, every budget contains it."""

    margin: FloatArray
    perturbation: FloatArray
    found_by: npt.NDArray[Any]

    @classmethod
    def of(cls, results: tuple[AttackResult, ...]) -> _Worst:
        clean = results[0].clean_margin
        shape = results[0].perturbation.shape
        worst = cls(clean.copy(), np.zeros(shape), np.full(len(clean), "clean", dtype=object))
        for result in results:
            # nan is a broken sample: less than any number.
            better = np.isnan(result.margin) & ~np.isnan(worst.margin) | (result.margin < worst.margin)
            worst.margin[better] = result.margin[better]
            worst.perturbation[better] = result.perturbation[better]
            worst.found_by[better] = result.attack.label
        return worst

    def offer(self, rows: npt.NDArray[np.int64], branch: BranchResult) -> None:
        better = branch.upper_margin < self.margin[rows]
        chosen = rows[better]
        self.margin[chosen] = branch.upper_margin[better]
        self.perturbation[chosen] = branch.perturbation[better]
        self.found_by[chosen] = branch.method


def _branch(
    model: Model, samples: Samples, threat: Threat, rows: npt.NDArray[np.int64], seconds: float
) -> BranchResult | None:
    """Run branch and bound on some samples, if it is made for them."""
    if neuron_sum(model) is None or threat.subspace == "slice":
        return None
    if getattr(samples.data, "pixel_map", None) is not None:
        return None
    data: Any = (samples.X[rows], samples.y[rows]) if samples.data is None else samples.data.select(rows)
    return branch_and_bound(model, data, threat, seconds=seconds)
