"""Attack on the signal line, as a specification."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from featsim.specs import Spec
from featsim.threats import Threat
from featsim.validation import check_choice, check_real

RULES = ("fixed", "worst")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalAttack(Spec):
    r"""Shift of the signal patch along w*, :math:`\tilde X[s] = X[s] + s\,w^*`, :math:`|s| \le \delta`.

    Parameters
    ----------
    radius : float
        :math:`\delta \ge 0`.
    rule : {"fixed", "worst"}
        ``"fixed"``: :math:`s = -\delta y`, made once against the linear rule :math:`\langle w^*,
        \cdot\rangle` and transferred to every model. ``"worst"``: the exact maximiser of the loss
        of a :class:`featsim.models.PowerNetwork`, one of the two ends of the interval or the
        position 0, because the score is monotone on either side of 0.

    Raises
    ------
    TypeError, ValueError
        If a field is outside its range.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271: fixed examples in the ICLR-2024 version, the set
       A_p(X, delta) in the last [source]; that other patches stay is a reading of it [choice].
    """

    kind: ClassVar[str] = "signal-attack"

    radius: float
    rule: str = "fixed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", check_real("radius", self.radius, minimum=0.0))
        check_choice("rule", self.rule, RULES)

    @property
    def threat(self) -> Threat:
        """Budget that holds the perturbations: the signal line."""
        return Threat(radius=self.radius, subspace="signal")

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return self.rule
