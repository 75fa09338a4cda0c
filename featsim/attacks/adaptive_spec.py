"""Ascent with adaptive steps, and black-box random search, as specifications."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from featsim.specs import Spec
from featsim.threats import Threat
from featsim.validation import check_bool, check_choice, check_integer, check_real

OBJECTIVES = ("targeted", "margin", "loss")
STARTS = ("clean", "steepest", "random", "filters", "features", "spread")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveAttack(Spec):
    r"""Projected ascent with momentum, whose step halves for each sample when progress stalls.

    .. math:: z = \mathrm{Proj}(\delta + \eta\,\mathrm{steepest}(g)), \qquad
        \delta^+ = \mathrm{Proj}(\delta + a (z - \delta) + (1 - a)(\delta - \delta^-)).

    The step begins at twice the radius. At checkpoints, ever closer to each other, it is halved and the
    best point taken up again where fewer than three quarters of the steps since the last one helped, or
    where neither step nor best point have changed.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.
    objective : {"targeted", "margin", "loss"}
        As in :class:`GradientAttack`.
    n_steps : int
        Steps from each start, at least 1.
    n_random : int
        Number of random starts; > 0 if and only if `starts` has ``"random"``.
    starts : tuple of str
        As in :class:`GradientAttack`.
    momentum : float
        a in (0, 1]; 1 is no momentum.
    stop_when_broken : bool
        Leave a sample alone once it is misclassified.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
       parameter-free attacks": APGD [recalled]; objectives and starts are the simulator's [choice].
    """

    kind: ClassVar[str] = "adaptive-attack"

    threat: Threat
    objective: str = "targeted"
    n_steps: int = 60
    n_random: int = 0
    starts: tuple[str, ...] = ("clean",)
    momentum: float = 0.75
    stop_when_broken: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            raise TypeError(
                f"threat must be a Threat, got {type(self.threat).__name__}; for instance Threat(radius=0.1)"
            )
        check_choice("objective", self.objective, OBJECTIVES)
        object.__setattr__(self, "n_steps", check_integer("n_steps", self.n_steps, minimum=1))
        object.__setattr__(self, "n_random", check_integer("n_random", self.n_random, minimum=0))
        momentum = check_real("momentum", self.momentum, above=0.0, maximum=1.0)
        object.__setattr__(self, "momentum", momentum)
        object.__setattr__(self, "stop_when_broken", check_bool("stop_when_broken", self.stop_when_broken))
        given: Any = self.starts
        starts = (given,) if isinstance(given, str) else tuple(given)
        for start in starts:
            check_choice("starts", start, STARTS)
        if not starts or len(set(starts)) < len(starts):
            raise ValueError(f"starts must name at least one start, each once, got {starts!r}")
        if ("random" in starts) != (self.n_random > 0):
            raise ValueError(
                f"n_random must be > 0 if and only if starts has 'random', got {self.n_random} and {starts!r}"
            )
        if "spread" in starts and (self.threat.scope, self.threat.norm) != ("input", "l2"):
            raise ValueError(
                "starts may hold 'spread' only with an l2 threat of scope 'input', "
                f"got {self.threat.norm} of scope {self.threat.scope!r}; leave 'spread' out"
            )
        object.__setattr__(self, "starts", starts)

    @property
    def keep(self) -> str:
        """The best iterate always counts."""
        return "best"

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        starts = (start for start in self.starts if start != "clean")
        return "+".join([f"adaptive {self.objective} x{self.n_steps}", *starts])


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomSearch(Spec):
    """Black-box search: random moves, kept where the margin falls. It sees scores only.

    Half of the moves touch a single patch, half the whole input; their size falls from twice the radius to
    a hundredth of it. Far weaker than a gradient attack that sees; where it is stronger, gradients mislead.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.
    n_queries : int
        Score evaluations per sample, at least 1.
    stop_when_broken : bool
        Leave a sample alone once it is misclassified.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Masking test: Athalye, Carlini & Wagner 2018 [recalled]; this search is the simulator's [choice].
    """

    kind: ClassVar[str] = "random-search"

    threat: Threat
    n_queries: int = 300
    stop_when_broken: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            raise TypeError(
                f"threat must be a Threat, got {type(self.threat).__name__}; for instance Threat(radius=0.1)"
            )
        object.__setattr__(self, "n_queries", check_integer("n_queries", self.n_queries, minimum=1))
        object.__setattr__(self, "stop_when_broken", check_bool("stop_when_broken", self.stop_when_broken))

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return f"random search x{self.n_queries}"
