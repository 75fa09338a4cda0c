"""Settings of the feature-purification theory (Allen-Zhu & Li 2020): clean phase, then adversarial training.

A shows the effect at d = 80, B buys purer clean neurons with a larger initial bias, C is small, for
tests. ``headline`` and ``d-50`` to ``d-800`` are the large-dimension settings in natural units, which sharpen
the picture. In ``collapse`` adversarial training fails, as a negative test. ``A-linear`` and the like are the
baselines. All numbers are the simulator's
[choice]; that bias and radius scale with 1/sqrt k and the initial bias with sqrt(log d) is the paper's
[recalled]. The trainings start from each other:

* ``standard``: the clean phase, bias and smoothing growing;
* ``adversarial``: FGM from its end; ``control``: as many clean steps instead;
* ``scratch``: FGM in both phases, from initial weights;
* ``low-rank``: FGM with W = W_clean + U V^T, and ``low-rank-scratch`` from initial weights.
"""

from __future__ import annotations

import math
from typing import Any

from featsim.attacks import DirectionAttack, fgm, pgd
from featsim.data import SparseCodingSpec
from featsim.models import FrozenGateSpec, PolynomialSpec, SymmetricNetworkSpec
from featsim.scenarios.scenario import Scenario, Training
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training import RampSchedule, Schedule


def strong_attack(threat: Threat) -> Spec:
    """Return the attack behind all robust accuracies here: 20 steps from clean, FGM, dense and random point.

    Parameters
    ----------
    threat : Threat
        Budget.

    Returns
    -------
    GradientAttack
        Keeps the best iterate of all starts.
    """
    return pgd(threat, n_steps=20, n_random=1, starts=("clean", "steepest", "features"))


def evaluations(radius: float) -> tuple[Spec, ...]:
    """Return the evaluation attacks of a radius: FGM, the strong attack, dense and random direction.

    Parameters
    ----------
    radius : float
        Radius, l2.

    Returns
    -------
    tuple of Spec
        Attacks.
    """
    threat = Threat(radius=radius)
    return (
        fgm(threat),
        strong_attack(threat),
        DirectionAttack(threat=threat),
        DirectionAttack(threat=threat, direction="random"),
    )


def _phases(
    clean: RampSchedule, later: RampSchedule, radius: float, *, variants: bool = False
) -> dict[str, Training]:
    """Return the trainings; with `variants` also those from initial weights and of low rank."""
    attack = fgm(Threat(radius=radius))
    found = {
        "standard": Training(schedule=clean),
        "adversarial": Training(schedule=later, attack=attack, start_from="standard"),
        "control": Training(schedule=later, start_from="standard"),
    }
    if variants:
        low_rank = later.replace(n_steps=500, weight_decay=0.0, rank=16)
        found |= {
            "scratch-ramp": Training(schedule=clean, attack=attack),
            "scratch": Training(schedule=later, attack=attack, start_from="scratch-ramp"),
            "low-rank": Training(schedule=low_rank, attack=attack, start_from="standard"),
            "low-rank-scratch": Training(schedule=low_rank, attack=attack),
        }
    return found


def _regime(
    name: str,
    title: str,
    *,
    dim: int = 80,
    width: int = 160,
    init_std: float = 0.02,
    bias: tuple[float, float] = (0.03, 0.12),
    smoothing: tuple[float, float] = (0.02, 0.05),
    clean_steps: int = 500,
    ramp_steps: int = 350,
    decay: float = 0.002,
    variants: bool = True,
) -> Scenario:
    """Return a regime of small dimension: k = 3, noise, 6000 training samples, radius 0.2."""
    shared: dict[str, Any] = {"batch_size": 150, "weight_decay": decay}
    clean = RampSchedule(
        n_steps=clean_steps,
        step_size=0.7,
        ramp_steps=ramp_steps,
        bias_start=bias[0],
        smoothing_start=smoothing[0],
        **shared,
    )
    return Scenario(
        name=f"purification/{name}",
        title=title,
        data=SparseCodingSpec(dim=dim, sparsity=3.0, noise_norm=0.3, margin=0.3, n_fresh=1000),
        n_samples=6000,
        model=SymmetricNetworkSpec(width=width, init_std=init_std, bias=bias[1], smoothing=smoothing[1]),
        trainings=_phases(clean, RampSchedule(n_steps=700, step_size=1.5, **shared), 0.2, variants=variants),
        evaluations=evaluations(0.2),
    )


def large_scenario(
    name: str,
    title: str,
    *,
    dim: int,
    sparsity: float = 2.0,
    ratio: float = 0.42,
    neurons_per_feature: int = 5,
    adversarial_steps: int = 200,
) -> Scenario:
    r"""Return a setting in natural units: eta = e d and lambda = l/d, so that step counts do not depend on d.

    Parameters
    ----------
    name, title : str
        Name below ``purification/``, and what it shows.
    dim : int
        Dimension d.
    sparsity : float
        k; bias and radius scale with :math:`1/\sqrt k`.
    ratio : float
        r = s/b at the end, which sets the leak :math:`2\Phi(-1/r)` of silent neurons.
    neurons_per_feature : int
        m/d.
    adversarial_steps : int
        Steps of the later phase.

    Returns
    -------
    Scenario
        With fresh samples in every step and the identity as dictionary, which loses no generality.
    """
    init_std, scale = 0.02, math.sqrt(2.0 / sparsity)
    start, end = 1.225 * init_std * math.sqrt(math.log(dim)) * scale, 0.25 * scale
    shared: dict[str, Any] = {"batch_size": 300, "weight_decay": 0.16 / dim, "fresh": True}
    clean = RampSchedule(
        n_steps=700,
        step_size=0.01 * dim,
        ramp_steps=300,
        bias_start=start,
        smoothing_start=0.233 * start,
        **shared,
    )
    radius = 0.24 / math.sqrt(sparsity)
    return Scenario(
        name=f"purification/{name}",
        title=title,
        data=SparseCodingSpec(
            dim=dim,
            sparsity=sparsity,
            noise_norm=0.0,
            label_signs="positive",
            dictionary="identity",
        ),
        n_samples=200,
        model=SymmetricNetworkSpec(
            width=neurons_per_feature * dim, init_std=init_std, bias=end, smoothing=ratio * end
        ),
        trainings=_phases(
            clean, RampSchedule(n_steps=adversarial_steps, step_size=0.02 * dim, **shared), radius
        ),
        evaluations=evaluations(radius),
    )


A = _regime("A", "Dense mixtures make the clean net fragile, adversarial training removes them (d = 80)")
B = _regime(
    "B",
    "A larger initial bias: purer clean neurons, which adversarial training keeps (cos(w, w') > 0.71)",
    width=240,
    init_std=0.05,
    bias=(0.12, 0.16),
    clean_steps=700,
    ramp_steps=500,
)
C = _regime("C", "A at d = 40, small enough for tests", dim=40, width=80)
COLLAPSE = _regime(
    "collapse",
    "Too much decay against too large a bias: adversarial training shrinks every neuron below the bias",
    bias=(0.05, 0.2),
    smoothing=(0.01, 0.05),
    clean_steps=1500,
    ramp_steps=300,
    decay=0.004,
    variants=False,
)
HEADLINE = large_scenario(
    "headline",
    "d = 400, k = 2: accurate and fragile after clean training, robust after the adversarial",
    dim=400,
)
SWEEP = (50, 100, 200, 400)
SWEEP_SCENARIOS = tuple(
    large_scenario(f"d-{dim}", f"The headline at d = {dim}: the gap opens with the dimension", dim=dim)
    for dim in SWEEP
)
# Its own leak and width: at r = 0.42 the leak of 2 Phi(-1/r) per neuron is too much for d = 800.
D800 = large_scenario(
    "d-800",
    "d = 800 with r = 0.40 and m = 4d: the sharpest picture that trains in minutes",
    dim=800,
    ratio=0.40,
    neurons_per_feature=4,
    adversarial_steps=150,
)

# One setting per model, not tuned to the limit; the frozen gates' step is the most robust of 0.1, 0.7 and 2.
_BASELINES: dict[str, tuple[str, Spec, float]] = {
    "linear": ("The linear model, trained on its exact worst case", PolynomialSpec(width=0), 0.7),
    "cubic": ("Power network of degree 3", PolynomialSpec(width=160, init_std=0.1), 0.7),
    "quintic": ("Power network of degree 5", PolynomialSpec(width=160, power=5, init_std=0.2), 0.1),
    "ntk": ("Tangent kernel of the network, smooth gates frozen", FrozenGateSpec(width=160), 0.1),
    "ntk-hard": ("Tangent kernel with hard random gates", FrozenGateSpec(width=160, gates="hard"), 0.1),
}


def _baseline(
    base: Scenario, name: str, *, n_steps: int = 600, batch_size: int = 150, **model: Any
) -> Scenario:
    """Return a baseline on a scenario's data and radius; both trainings start from initial weights."""
    title, spec, step_size = _BASELINES[name]
    schedule = Schedule(n_steps=n_steps, step_size=step_size, batch_size=batch_size)
    return Scenario(
        name=f"{base.name}-{name}",
        title=f"{title}, on {base.name.removeprefix('purification/')}",
        data=base.data.replace(n_fresh=1000),
        n_samples=6000,
        model=spec.replace(**model),
        trainings={
            "standard": Training(schedule=schedule),
            "adversarial": Training(schedule=schedule, attack=base.trainings["adversarial"].attack),
        },
        evaluations=base.evaluations,
    )


A_BASELINES = tuple(_baseline(A, name) for name in _BASELINES)
# At k = 2 frozen gates of width 2d do better than at k = 3: there the complexity gap is smaller.
D100_NTK = _baseline(SWEEP_SCENARIOS[1], "ntk", batch_size=300, width=200)

SCENARIOS = (A, B, C, HEADLINE, *SWEEP_SCENARIOS, D800, COLLAPSE, *A_BASELINES, D100_NTK)
