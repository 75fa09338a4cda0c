"""Clean loss and attacked loss, mixed."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from featsim.specs import Spec
from featsim.validation import check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture(Spec):
    r"""Training objective :math:`(1-\lambda)\,L(W) + \lambda\,\tilde L(W)`.

    It takes the place of the attack in a training. The attacked points are held fixed in every
    step. An attack alone is the mixture with :math:`\lambda = 1`; with :math:`\lambda = 0` the
    trajectory is that of standard training, and the trace still reports the attack.

    Parameters
    ----------
    attack : Spec
        Attack behind the attacked loss.
    weight : float
        :math:`\lambda` in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If a field is impossible.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271: logistic loss with robust regularisation [source]; the
       convex form [recalled].
    """

    kind: ClassVar[str] = "mixture"

    attack: Spec
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Spec) or isinstance(self.attack, Mixture):
            raise TypeError(f"attack must be an attack spec, got {self.attack!r}; use weight=0.0 for none")
        object.__setattr__(self, "weight", check_real("weight", self.weight, minimum=0.0, maximum=1.0))

    @property
    def label(self) -> str:
        """Name of the objective in tables."""
        return f"{self.weight:g} {getattr(self.attack, 'label', self.attack.kind)}"
