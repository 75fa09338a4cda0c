"""Gradient descent projected on a ball around the initial weights."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from featsim.attacks import ArcAttack, GradientAttack
from featsim.specs import Spec
from featsim.training.schedule import Schedule
from featsim.validation import check_choice, check_integer, check_real

COMPARATORS = ("planted", "random")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectedDescent(Schedule):
    r"""Descent :math:`W \leftarrow P_{B(R)}[W - \alpha \nabla L(W)]` and what is watched on the way.

    Parameters
    ----------
    n_steps, step_size, batch_size : int, float, None
        As for a :class:`Schedule`. Deep networks take steps
        :math:`\alpha/m` and balls :math:`R/\sqrt m` around every layer.
    precision : {"float64"}
        The only one of these models.
    ball_radius : float
        R > 0; infinity for no projection.
    judge : ArcAttack, GradientAttack or None
        Adversary behind the robust loss and accuracy; None for that of the training.
    comparator : {"planted", "random"} or None
        Weights W* in the ball that the regret inequality compares with. ``"planted"``: the
        tangent model fits the labels on the probes. ``"random"``: a uniform direction and length.
    n_probes : int
        Points per arc on which the kernel's drift and the tangent gap are measured, odd; where the
        adversary is no net of arcs, the clean inputs.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, algorithm of the convergence theorem [recalled]; what is recorded is
       a [choice].
    """

    kind: ClassVar[str] = "projected-descent"

    ball_radius: float = math.inf
    judge: Spec | None = None
    comparator: str | None = None
    n_probes: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size is not None:
            raise ValueError(
                f"batch_size must be None: this theory uses the full batch, got {self.batch_size}"
            )
        radius = check_real("ball_radius", self.ball_radius, above=0.0, finite=False)
        object.__setattr__(self, "ball_radius", radius)
        if self.judge is not None and not isinstance(self.judge, (ArcAttack, GradientAttack)):
            raise TypeError(f"judge must be an ArcAttack, a GradientAttack or None, got {self.judge!r}")
        if self.comparator is not None:
            check_choice("comparator", self.comparator, COMPARATORS)
            if self.comparator == "random" and math.isinf(radius):
                raise ValueError("ball_radius must be finite for a random comparator, got inf")
        n_probes = check_integer("n_probes", self.n_probes, minimum=1)
        if n_probes % 2 == 0:
            raise ValueError(f"n_probes must be odd, got {n_probes}")
        object.__setattr__(self, "n_probes", n_probes)
