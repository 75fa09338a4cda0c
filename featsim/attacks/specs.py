"""Attacks as specifications, and constructors for the named ones."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from featsim.attacks.adaptive_spec import AdaptiveAttack, RandomSearch
from featsim.attacks.arc_spec import ArcAttack
from featsim.attacks.climb_spec import NeuronAttack
from featsim.attacks.direction_spec import DirectionAttack
from featsim.attacks.separable_spec import SeparableAttack
from featsim.attacks.signal_spec import SignalAttack
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.validation import check_bool, check_choice, check_integer, check_real

OBJECTIVES = ("loss", "margin", "targeted")
RULES = ("raw", "unit")
STARTS = ("clean", "steepest", "random", "filters", "features", "spread")
KEEPS = ("last", "best")


def _check_threat(threat: object) -> None:
    if not isinstance(threat, Threat):
        raise TypeError(
            f"threat must be a Threat, got {type(threat).__name__}; for instance Threat(radius=0.1)"
        )


def _start_names(starts: Any) -> tuple[str, ...]:
    """Accept a single name as well, which tuple() would take apart."""
    return (starts,) if isinstance(starts, str) else tuple(starts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientAttack(Spec):
    r"""Projected ascent on an objective of the scores.

    Each step is :math:`\delta \leftarrow \mathrm{Proj}(\delta + \eta g)`
    (raw) or :math:`\mathrm{Proj}(\delta + \eta\,\mathrm{steepest}(g))` (unit),
    with g the objective's input gradient restricted to the threat's subspace.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.
    objective : {"margin", "loss", "targeted"}
        ``"margin"``: soft margin, log-sum-exp of the rivals minus the label's
        score. ``"loss"``: cross-entropy; its gradient underflows on a fitted
        model. ``"targeted"``: score of one rival minus the label's, each rival
        in turn, the worst counts.
    rule : {"unit", "raw"}
        Length of a step: `step_size` in the threat's norm (per patch where
        patches have their own budgets), or `step_size` times the gradient.
    step_size : float
        At least 0; with the rule ``"raw"`` the inner step size of the theory.
    n_steps : int
        Number of steps from each start, at least 1.
    n_random : int
        Number of random starts; > 0 if and only if `starts` has ``"random"``.
    starts : tuple of {"clean", "steepest", "random", "filters", "features", "spread"}
        Starting points. In training of a patch network (:class:`featsim.models.TwoLayerSpec`): one, either
        ``("clean",)`` or ``("random",)`` with ``n_random=1``, uniform in the budget, drawn anew in every
        step. ``"steepest"``: one steepest step to the edge of the budget.
        ``"filters"``: along mean(W_rival) - mean(W_label), on
        each patch alone and on all patches, for every rival; needs
        ``model.weights`` of shape (k, m, d), or a `LinearModel`.
        ``"features"``: along the rivals' features minus the label's, or the dense direction of
        sparse-coding data; needs data with known features.
        ``"spread"``: for one l2 budget of the whole input, a rival's feature or filter written on
        1, 2, ..., all patches while the label's is removed with the rest of the budget, the best split.
    keep : {"best", "last"}
        ``"best"``: the iterate of smallest hard margin over all starts and
        steps, the clean point included. ``"last"``: the last iterate of each
        start (the worst start counts) and not the clean point: the accuracy AT
        the perturbed point, as for the one-step attacks of training.
    stop_when_broken : bool
        Leave a sample alone once it is misclassified: faster, same robust
        accuracy, but its margin is then not the smallest that can be found.

    Raises
    ------
    TypeError, ValueError
        If a field is outside its range.

    References
    ----------
    .. [1] Li & Li, arXiv:2410.08503: one ascent step is the paper's [source,
       public review]; its norm and step rule could not be read, so A-raw,
       A-margin, A-unit and A-pgd are the simulator's [choice].
    """

    kind: ClassVar[str] = "gradient-attack"

    threat: Threat
    objective: str = "margin"
    rule: str = "unit"
    step_size: float
    n_steps: int = 1
    n_random: int = 0
    starts: tuple[str, ...] = ("clean",)
    keep: str = "best"
    stop_when_broken: bool = False

    def __post_init__(self) -> None:
        _check_threat(self.threat)
        check_choice("objective", self.objective, OBJECTIVES)
        check_choice("rule", self.rule, RULES)
        check_choice("keep", self.keep, KEEPS)
        object.__setattr__(self, "step_size", check_real("step_size", self.step_size, minimum=0.0))
        object.__setattr__(self, "n_steps", check_integer("n_steps", self.n_steps, minimum=1))
        object.__setattr__(self, "n_random", check_integer("n_random", self.n_random, minimum=0))
        object.__setattr__(self, "stop_when_broken", check_bool("stop_when_broken", self.stop_when_broken))
        starts = _start_names(self.starts)
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
    def label(self) -> str:
        """Name of the attack in tables: A-raw, A-margin, A-unit, A-pgd, or a description."""
        one = self.n_steps == 1
        names = {
            ("loss", "raw"): "A-raw" if one else f"A-raw x{self.n_steps}",
            ("margin", "raw"): "A-margin" if one else f"A-margin x{self.n_steps}",
            ("margin", "unit"): "A-unit" if one and self.step_size >= self.threat.radius else "A-pgd",
        }
        name = names.get((self.objective, self.rule), f"{self.objective} {self.rule} x{self.n_steps}")
        return "+".join([name, *(start for start in self.starts if start != "clean")])


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureAttack(Spec):
    r"""A-feat: swap the non-robust feature, the same for every model.

    On each non-robust patch of strength :math:`\beta_p`, :math:`\delta_p = -c
    v_y + \sqrt{\epsilon^2 - c^2}\, v_{y'}` with :math:`c = \min(\epsilon /
    \sqrt 2, \beta_p)`; robust patches stay. The worst of the k - 1 targets
    counts, at the perturbed point (the clean point is not an iterate).

    Parameters
    ----------
    radius : float
        Radius per patch, l2.

    Raises
    ------
    ValueError
        If the radius is negative, nan or infinite.

    References
    ----------
    .. [1] Li & Li, arXiv:2410.08503: removing :math:`\beta_p v_y` and adding
       :math:`v_{y'}` is the theorem-style attack [recalled]; this split of the
       radius between the two is the simulator's [choice].
    """

    kind: ClassVar[str] = "feature-attack"

    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", check_real("radius", self.radius, minimum=0.0))

    @property
    def threat(self) -> Threat:
        """Budget that holds the perturbations: per-patch l2."""
        return Threat(radius=self.radius)

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return "A-feat"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactAttack(Spec):
    """The worst perturbation in closed form, for linear models.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.

    Raises
    ------
    TypeError
        If it is not a Threat.
    """

    kind: ClassVar[str] = "exact-attack"

    threat: Threat

    def __post_init__(self) -> None:
        _check_threat(self.threat)

    @property
    def label(self) -> str:
        """Name of the attack in tables."""
        return "exact"


Attack = (
    GradientAttack
    | SeparableAttack
    | FeatureAttack
    | SignalAttack
    | ArcAttack
    | DirectionAttack
    | NeuronAttack
    | AdaptiveAttack
    | RandomSearch
    | ExactAttack
)


def raw_step(threat: Threat, step_size: float, n_steps: int = 1) -> GradientAttack:
    """Return A-raw: steps along the gradient of the cross-entropy, projected.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.
    step_size : float
        Inner step size: a step is this times the gradient.
    n_steps : int
        Number of steps, projected after each.

    Returns
    -------
    GradientAttack
        From the clean point, judged at the last iterate.
    """
    return GradientAttack(
        threat=threat, objective="loss", rule="raw", step_size=step_size, n_steps=n_steps, keep="last"
    )


def margin_step(threat: Threat, step_size: float, n_steps: int = 1) -> GradientAttack:
    """Return A-margin: steps along the gradient of the soft margin, which does not underflow.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.
    step_size : float
        Inner step size: a step is this times the gradient.
    n_steps : int
        Number of steps, projected after each.

    Returns
    -------
    GradientAttack
        From the clean point, judged at the last iterate.
    """
    return GradientAttack(
        threat=threat, objective="margin", rule="raw", step_size=step_size, n_steps=n_steps, keep="last"
    )


def fgm(threat: Threat) -> GradientAttack:
    """Return FGM, in tables A-unit: one steepest step of the soft margin to the edge of the budget.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.

    Returns
    -------
    GradientAttack
        From the clean point, judged at the perturbed point.
    """
    return GradientAttack(threat=threat, step_size=threat.radius, keep="last")


def pgd(
    threat: Threat,
    n_steps: int = 20,
    step_size: float | None = None,
    *,
    objective: str = "margin",
    n_random: int = 0,
    starts: tuple[str, ...] = ("clean",),
    keep: str = "best",
    stop_when_broken: bool = False,
) -> GradientAttack:
    """Return A-pgd: unit steps with projection, the best iterate of all starts.

    Parameters
    ----------
    threat : Threat
        Allowed perturbations.
    n_steps : int
        Steps from each start.
    step_size : float, optional
        Length of a step, by default 2.5 radius / n_steps.
    objective : {"margin", "loss", "targeted"}
        What is climbed, see :class:`GradientAttack`.
    n_random : int
        Number of random starts; ``"random"`` joins `starts` when it is > 0.
    starts : tuple of str
        Starting points.
    keep : {"best", "last"}
        Which iterate counts.
    stop_when_broken : bool
        Leave a sample alone once it is misclassified.

    Returns
    -------
    GradientAttack
        The attack.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or is outside its range.

    References
    ----------
    .. [1] Madry et al., arXiv:1706.06083; default step [choice].
    """
    check_integer("n_steps", n_steps, minimum=1)
    _check_threat(threat)
    starts = _start_names(starts)
    if n_random and "random" not in starts:
        starts = (*starts, "random")
    return GradientAttack(
        threat=threat,
        objective=objective,
        step_size=2.5 * threat.radius / n_steps if step_size is None else step_size,
        n_steps=n_steps,
        n_random=n_random,
        starts=starts,
        keep=keep,
        stop_when_broken=stop_when_broken,
    )
