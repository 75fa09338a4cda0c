"""Settings of the convergence theory (Gao et al. 2019): adversarial training near the tangent kernel.

The paper's experiments, if any, could not be read; all of these are the simulator's [choice]. S1 is the
main test bed: four points on the circle slice, where the inner maximum is exact up to a net.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from featsim.attacks import ArcAttack, GradientAttack, pgd
from featsim.data import CircleSpec, SeparatedSphereSpec, SphereSliceSpec
from featsim.images import SliceImageSpec
from featsim.models import BiasedReluSpec, DeepNtkSpec, Loss, NtkSpec
from featsim.scenarios.scenario import Scenario, Training
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training import Adam, ProjectedDescent

Trainings = dict[str, Training]


def _both(schedule: ProjectedDescent, attack: Spec) -> Trainings:
    """Return standard training, and training against `attack`, which judges both."""
    watched = schedule.replace(judge=attack)
    return {"standard": Training(schedule=watched), "adversarial": Training(schedule=watched, attack=attack)}


_ARC = ArcAttack(half=0.3)

S1 = Scenario(
    name="convergence/S1",
    title="Four points on a circle, exact adversary on arcs: robust training loss goes to zero at any width",
    data=CircleSpec(),
    n_samples=4,
    model=NtkSpec(width=256),
    trainings=_both(ProjectedDescent(n_steps=300, step_size=0.2, comparator="planted"), _ARC),
    evaluations=(_ARC,),
)

TANGENT = dataclasses.replace(
    S1,
    name="convergence/tangent",
    title="S1 with the linearised network: the regret inequality without slack, and its dual recursion",
    model=NtkSpec(width=256, tangent=True),
)

BALL = Scenario(
    name="convergence/ball",
    title="S1 in a ball that is too small for a perfect fit: the loss stops at the ball's optimum",
    data=CircleSpec(),
    n_samples=4,
    model=NtkSpec(width=256),
    trainings=_both(ProjectedDescent(n_steps=400, step_size=0.1, ball_radius=1.5), _ARC),
    evaluations=(_ARC,),
)

_NARROW = ArcAttack(half=0.15)
_CAP = _NARROW.threat


def _climb(step_size: float, n_steps: int) -> GradientAttack:
    length = step_size * _CAP.radius
    return GradientAttack(threat=_CAP, objective="loss", step_size=length, n_steps=n_steps)


_WATCHED = ProjectedDescent(n_steps=500, step_size=0.2, judge=_NARROW)

STRENGTH = Scenario(
    name="convergence/strength",
    title="Adversaries of growing strength: training covers the one it meets, only the exact one is worst",
    data=CircleSpec(jitter=0.3),
    n_samples=6,
    model=NtkSpec(width=256),
    trainings={
        "standard": Training(schedule=_WATCHED),
        "short-step": Training(schedule=_WATCHED, attack=_climb(0.25, 1)),
        "one-step": Training(schedule=_WATCHED, attack=_climb(2.0, 1)),
        "pgd": Training(schedule=_WATCHED, attack=_climb(2.5 / 3, 3)),
        "adversarial": Training(schedule=_WATCHED, attack=_NARROW),
    },
    evaluations=(_NARROW,),
)

_MIRROR_ARC = ArcAttack(half=0.4, order="label")

MIRROR = Scenario(
    name="convergence/mirror",
    title="Two mirror points, logistic loss: one margin, in closed form at infinite width",
    data=CircleSpec(angles=(0.9, -0.9), signs=(1, -1)),
    n_samples=2,
    model=NtkSpec(width=256, loss=Loss(name="logistic")),
    trainings=_both(ProjectedDescent(n_steps=200, step_size=0.2), _MIRROR_ARC),
    evaluations=(_MIRROR_ARC,),
    mark="derived",
)

_DELTA = 0.3


def _on_caps(radius: float) -> tuple[GradientAttack, GradientAttack]:
    """Return the attacks of training and of evaluation in caps of a radius."""
    threat = Threat(radius=radius, scope="input", subspace="slice")
    strong = pgd(threat, n_steps=40, starts=("clean", "random"), n_random=4)
    return pgd(threat, n_steps=10, step_size=radius / 4, objective="loss"), strong


_PGD, _STRONG = _on_caps(_DELTA)

CAPS = Scenario(
    name="convergence/caps",
    title="Sixteen points in ten dimensions, caps of the slice: standard training and kernels fall, "
    "adversarial training stands",
    data=SphereSliceSpec(dim=10, separation=2.04 * _DELTA),
    n_samples=16,
    model=NtkSpec(width=256),
    trainings=_both(ProjectedDescent(n_steps=1200, step_size=1.0), _PGD),
    evaluations=(_STRONG,),
)

_CLIMB, _JUDGE = _on_caps(0.4)

DIGITS = dataclasses.replace(
    CAPS,
    name="convergence/digits",
    title="Sixteen digits, 3 against 8, on the slice in 65 dimensions: the setting of caps on images",
    data=SliceImageSpec(),
    trainings=_both(ProjectedDescent(n_steps=1200, step_size=1.0), _CLIMB),
    evaluations=(_JUDGE,),
)

_COARSE = ArcAttack(half=0.3, n_points=7)


def _deep(depth: int) -> Scenario:
    schedule = ProjectedDescent(n_steps=200, step_size=0.4 / depth, ball_radius=6.0, comparator="planted")
    return Scenario(
        name=f"convergence/deep-{depth}",
        title=f"S1's points, ReLU network, {depth} trained layer{'s' * (depth > 1)}, balls of 6/sqrt(m)",
        data=CircleSpec(),
        n_samples=4,
        model=DeepNtkSpec(width=64, depth=depth),
        trainings=_both(schedule, _COARSE),
        evaluations=(_COARSE,),
    )


DEEP = tuple(_deep(depth) for depth in (1, 2, 3))


def capacity(ratio: float, n_samples: int, dim: int) -> Scenario:
    """Return the capacity protocol at a radius relative to half the separation.

    Parameters
    ----------
    ratio : float
        rho in (0, 1).
    n_samples, dim : int
        Size of the data.

    Returns
    -------
    Scenario
        With random starts in training, and five starts in evaluation.
    """
    threat = Threat(radius=ratio, scope="input")
    schedule = Adam(n_steps=1200, step_size=0.03)
    attack = pgd(threat, n_steps=7, starts=("random",), n_random=1, keep="last")
    plain: dict[str, Any] = {"schedule": schedule}
    strong = pgd(threat, n_steps=28, starts=("clean", "random"), n_random=4, stop_when_broken=True)
    return Scenario(
        name="convergence/capacity",
        title="Random points, l2 balls: the least ReLU network that fits, plainly and robustly",
        data=SeparatedSphereSpec(dim=dim),
        n_samples=n_samples,
        model=BiasedReluSpec(width=8),
        trainings={"standard": Training(**plain), "adversarial": Training(**plain, attack=attack)},
        evaluations=(strong,),
    )


CAPACITY = capacity(0.8, 16, 4)

SCENARIOS = (S1, TANGENT, BALL, STRENGTH, MIRROR, CAPS, DIGITS, *DEEP, CAPACITY)
