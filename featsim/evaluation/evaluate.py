"""Robust accuracy of a model: several attacks and a certificate, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks import Attack, AttackResult, run_attack
from featsim.certificates import CertificateResult, certify_model
from featsim.models import Model, wilson_interval
from featsim.threats import Threat

if TYPE_CHECKING:
    from featsim.data import PatchData


@dataclasses.dataclass(frozen=True)
class RobustAccuracy:
    """Robust accuracy as an interval.

    Attributes
    ----------
    threat : Threat
        The budget it is about.
    certified : float
        Share of samples proven robust: a lower bound; 0 without a certificate.
    attacked : float
        Share of samples that no attack broke: an upper bound; nan without an attack.
    attacked_interval : tuple of float
        95 % Wilson interval of the latter.
    n_samples : int
        Number of samples.
    """

    threat: Threat
    certified: float
    attacked: float
    attacked_interval: tuple[float, float]
    n_samples: int

    def __str__(self) -> str:
        """Return the interval and its budget."""
        low, high = self.attacked_interval
        return (
            f"robust accuracy in [{self.certified:.4f}, {self.attacked:.4f}] "
            f"against {self.threat.describe()} "
            f"(95 % interval of the attacked {low:.4f} to {high:.4f}, {self.n_samples} samples)"
        )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """Results of attacks and a certificate on the same samples.

    Attributes
    ----------
    attacks : tuple of AttackResult
        One per attack, in the order asked for.
    certificate : CertificateResult or None
        Bound for the threat that was to be certified; None where none was asked
        for or the model's kind has none.
    note : str
        Why there is no certificate, if so.
    """

    attacks: tuple[AttackResult, ...]
    certificate: CertificateResult | None
    note: str = ""

    def robust_accuracy(self, threat: Threat | None = None) -> RobustAccuracy:
        """Return the interval [certified, attacked] for one threat.

        Parameters
        ----------
        threat : Threat, optional
            Default: that of the certificate, else of the first attack. Attacks
            of exactly this threat count together, sample by sample; so does the
            clean point, which every budget contains.

        Returns
        -------
        RobustAccuracy
            The interval.

        Raises
        ------
        ValueError
            If no attack and no certificate is for that threat.
        """
        if threat is None:
            threat = self.certificate.threat if self.certificate else self.attacks[0].attack.threat
        found = [result for result in self.attacks if result.attack.threat == threat]
        bound = self.certificate if self.certificate and self.certificate.threat == threat else None
        if not found and bound is None:
            raise ValueError(f"threat must be one that was evaluated, got {threat.describe()}")
        certified = bound.certified_accuracy if bound else 0.0
        if not found:
            n = bound.n_samples if bound else 0
            return RobustAccuracy(threat, certified, float("nan"), (float("nan"), float("nan")), n)
        stand = np.all([(r.margin > 0) & (r.clean_margin > 0) for r in found], axis=0)
        interval = wilson_interval(int(stand.sum()), len(stand))
        return RobustAccuracy(threat, certified, float(stand.mean()), interval, len(stand))

    def table(self) -> list[dict[str, Any]]:
        """Return one dict per attack (and certificate): settings and accuracies, JSON data."""
        rows: list[dict[str, Any]] = [
            {**r.settings, "clean_accuracy": r.clean_accuracy, "robust_accuracy": r.robust_accuracy}
            for r in self.attacks
        ]
        if self.certificate is not None:
            rows.append(
                {**self.certificate.settings, "certified_accuracy": self.certificate.certified_accuracy}
            )
        return rows

    def summary(self) -> str:
        """Return all results with their settings, and the interval of each threat, as text."""
        parts = [result.summary() for result in self.attacks]
        if self.certificate is not None:
            parts.append(self.certificate.summary())
        threats = list(dict.fromkeys(result.attack.threat for result in self.attacks))
        parts += [str(self.robust_accuracy(threat)) for threat in threats]
        return "\n".join([*parts, *([self.note] if self.note else [])])


def evaluate(
    model: Model,
    data: PatchData | tuple[Any, Any],
    attacks: Iterable[Attack] | Attack,
    rng: np.random.Generator | None = None,
    *,
    certify: Threat | None = None,
) -> Evaluation:
    """Run attacks, and a certificate where the model's kind has one.

    Parameters
    ----------
    model : Model
        A model of the package or the user's own, see
        :mod:`featsim.models.protocol`.
    data : PatchData or tuple (X, y)
        Samples.
    attacks : iterable of attack specs
        Run in this order.
    rng : Generator, optional
        Needed for random starts only.
    certify : Threat, optional
        Budget to certify.

    Returns
    -------
    Evaluation
        Per-sample results, settings, and the interval of robust accuracy.

    Raises
    ------
    ValueError
        If there is nothing to do.
    """
    chosen = (attacks,) if isinstance(attacks, Attack) else tuple(attacks)
    if not chosen and certify is None:
        raise ValueError("attacks must hold at least one attack when nothing is to be certified, got none")
    results = tuple(run_attack(attack, model, data, rng) for attack in chosen)
    certificate, note = None, ""
    if certify is not None:
        certificate = certify_model(model, data, certify)
        if certificate is None:
            note = f"no certificate for a {type(model).__name__}: the interval starts at 0"
    return Evaluation(attacks=results, certificate=certificate, note=note)
