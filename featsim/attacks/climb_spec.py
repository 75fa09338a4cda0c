"""Compiled attack on networks of one hidden layer, as a specification."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from featsim.specs import Spec
from featsim.threats import Threat
from featsim.validation import check_bool, check_integer, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronAttack(Spec):
    r"""Descent on the margin against every rival, compiled, in the span of the filters.

    For each sample and rival :math:`F_y - F_t` is lowered by unit steps of adaptive length with momentum:
    a step that helps is kept and makes the next one a quarter longer, one that does not is halved. Starts:
    the clean point; the filters' direction, on all patches and on each alone; the features' directions
    where they are known; random ones. All take a tenth of the steps, the `n_climbs` best take half, the
    better half of those the rest. Patches with budgets of their own are solved one by one.

    Parameters
    ----------
    threat : Threat
        Any budget but the cap and images of shared pixels.
    n_steps : int
        Steps of the starts that go all the way, at least 1.
    n_climbs : int
        Starts that go on after a tenth of the steps, at least 1.
    n_random : int
        Random starts; need an `rng`.
    momentum : float
        Weight of the last move, in [0, 1].
    stop_when_broken : bool
        Leave a sample alone once it is misclassified.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Steps that halve when progress stalls: Croce & Hein 2020 (APGD) [recalled]; this rule and the
       starts are the simulator's [choice].
    """

    kind: ClassVar[str] = "neuron-attack"

    threat: Threat
    n_steps: int = 80
    n_climbs: int = 6
    n_random: int = 0
    momentum: float = 0.5
    stop_when_broken: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            raise TypeError(
                f"threat must be a Threat, got {type(self.threat).__name__}; for instance Threat(radius=0.1)"
            )
        if self.threat.subspace == "slice":
            raise ValueError("threat must not be a cap, on which patches have no coordinates; use pgd")
        for name, minimum in (("n_steps", 1), ("n_climbs", 1), ("n_random", 0)):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), minimum=minimum))
        object.__setattr__(self, "momentum", check_real("momentum", self.momentum, minimum=0.0, maximum=1.0))
        object.__setattr__(self, "stop_when_broken", check_bool("stop_when_broken", self.stop_when_broken))

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return "adaptive (compiled)"
