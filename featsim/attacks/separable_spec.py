"""Attack that solves every patch on its own, as a specification."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from featsim.specs import Spec
from featsim.threats import Threat
from featsim.validation import check_integer, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeparableAttack(Spec):
    r"""Patch by patch search of the worst perturbation of a patch network.

    Where every patch has a budget of its own, the worst case of a sum over patches is a sum of worst cases:
    for each target t

    .. math:: \min_\delta F_y - F_t = \sum_p \min_{\delta_p} \Big[
        \sum_r s(\langle w_{yr}, x_p+\delta_p\rangle) - \sum_r s(\langle w_{tr}, x_p+\delta_p\rangle)
        \Big].

    Each distinct patch is solved once per label and target, from many starts, and the best start is kept
    PER PATCH: much stronger than as many restarts of all patches together. The search of one patch is
    not exact (the problem is not convex), so the result is still an upper bound on the robust margin.

    Parameters
    ----------
    threat : Threat
        Per-patch budget: l2 with or without a subspace, or linf.
    n_steps : int
        Steps of ascent on :math:`F_t - F_y` from each start that is climbed, at least 0.
    n_climbs : int
        How many starts are climbed on each patch: the zero start, and those of the largest objective among
        all. The better half goes on after a quarter, and again after half, of the steps. At least 1.
    n_random : int
        Random directions among the starts; needs an `rng`.
    first_step : float
        Length of the first step as a fraction of the radius, greater than 0.
    decay : float
        Factor from one step's length to the next, in (0, 1].

    Raises
    ------
    TypeError, ValueError
        If a field is outside its range, or the budget is one of the whole input.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; starts and step rule: documentation, page
       "Evaluating a model", section "Attacks patch by patch" [derived].
    """

    kind: ClassVar[str] = "separable-attack"

    threat: Threat
    n_steps: int = 40
    n_climbs: int = 6
    n_random: int = 0
    first_step: float = 0.5
    decay: float = 0.9

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            raise TypeError(
                f"threat must be a Threat, got {type(self.threat).__name__}; for instance Threat(radius=0.1)"
            )
        if self.threat.scope != "patch":
            raise ValueError(
                f"threat must have scope 'patch', got {self.threat.scope!r}: one budget for the whole input "
                "couples the patches; use pgd"
            )
        for name, minimum in (("n_steps", 0), ("n_climbs", 1), ("n_random", 0)):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), minimum=minimum))
        object.__setattr__(self, "first_step", check_real("first_step", self.first_step, above=0.0))
        object.__setattr__(self, "decay", check_real("decay", self.decay, above=0.0, maximum=1.0))

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return "separable"
