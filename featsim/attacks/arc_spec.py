"""Exhaustive attack on the arcs of a circle slice, as a specification."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.specs import Spec
from featsim.threats import Threat
from featsim.validation import check_choice, check_integer, check_real

OBJECTIVES = ("loss", "margin")
ORDERS = ("ascending", "label")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArcAttack(Spec):
    r"""The worst of equally spaced points on the arc :math:`\varphi \pm \mathrm{half}` of each d = 3 input.

    Exact up to the spacing of the net. Of points within 1e-10 of the worst the first one counts: without
    a tolerance, rounding would choose among equal losses, and trajectories would not repeat.

    Parameters
    ----------
    half : float
        Half angle of the arc, in [0, pi]. The same as a cap of chordal radius 2 s sin(half/2).
    n_points : int
        Points G of the net, odd, so that the clean point is one of them.
    constant : float
        Last coordinate c of the slice, in [0, 1).
    objective : {"loss", "margin"}
        In training: the model's own loss, or minus the margin. In evaluation the margin counts.
    order : {"ascending", "label"}
        Order of the net, for ties: by angle, or by angle for positive labels and against it for the
        others.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916: any perturbation sets [recalled]; arcs, nets and the rule for ties
       are a [choice].
    """

    kind: ClassVar[str] = "arc-attack"

    half: float
    n_points: int = 21
    constant: float = 0.5
    objective: str = "loss"
    order: str = "ascending"

    def __post_init__(self) -> None:
        object.__setattr__(self, "half", check_real("half", self.half, minimum=0.0, maximum=float(np.pi)))
        n_points = check_integer("n_points", self.n_points, minimum=1)
        if n_points % 2 == 0:
            raise ValueError(f"n_points must be odd, so that the clean point is one of them, got {n_points}")
        object.__setattr__(self, "n_points", n_points)
        constant = check_real("constant", self.constant, minimum=0.0)
        if constant >= 1.0:
            raise ValueError(f"constant must be < 1, got {constant:g}")
        object.__setattr__(self, "constant", constant)
        check_choice("objective", self.objective, OBJECTIVES)
        check_choice("order", self.order, ORDERS)

    @property
    def threat(self) -> Threat:
        """Budget that holds the arcs: caps of the slice."""
        chord = 2.0 * np.sqrt(1.0 - self.constant**2) * np.sin(self.half / 2.0)
        return Threat(radius=float(chord), scope="input", subspace="slice")

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return f"net of {self.n_points}"
