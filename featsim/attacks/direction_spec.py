"""Attack along a fixed direction, as a specification."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from featsim.specs import Spec
from featsim.threats import Threat
from featsim.validation import check_choice

DIRECTIONS = ("dense", "random")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DirectionAttack(Spec):
    r"""Perturbation of full size along a direction that is the same for every model.

    Parameters
    ----------
    threat : Threat
        Budget; the perturbation is its steepest step towards the direction, times the radius.
    direction : {"dense", "random"}
        ``"dense"``: :math:`-y M w^*`, all features at once, the same up to the label's sign for every
        sample of sparse-coding data. ``"random"``: a uniformly random one for each sample, the control.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or unknown.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190: clean training is broken by a direction that does not
       depend on the input [recalled].
    """

    kind: ClassVar[str] = "direction-attack"

    threat: Threat
    direction: str = "dense"

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            raise TypeError(f"threat must be a Threat, got {type(self.threat).__name__}")
        check_choice("direction", self.direction, DIRECTIONS)

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return f"{self.direction} direction"
