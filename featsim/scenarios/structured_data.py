"""Settings of the structured-data theory (Li & Li 2024).

The paper's own parameters could not be read; all of these are the simulator's [choice]. A sweep
changes one setting of its base with :meth:`Scenario.with_settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featsim.attacks import FeatureAttack, fgm, margin_step, pgd, raw_step
from featsim.data import PatchDataSpec
from featsim.evaluation import strongest_attack
from featsim.models import TwoLayerSpec
from featsim.scenarios.scenario import Scenario, Training
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training import Schedule

_ATTACK_STEP = 1000.0
_S1_THREAT = Threat(radius=0.35, norm="l2", scope="patch")


def trainings(
    threat: Threat,
    attack_step_size: float = _ATTACK_STEP,
    *,
    standard_steps: int = 400,
    adversarial_steps: int = 1500,
    step_size: float = 1.0,
) -> dict[str, Training]:
    """Return standard training, and adversarial training with one raw margin step.

    Parameters
    ----------
    threat : Threat
        Budget in training.
    attack_step_size : float
        Inner step size.
    standard_steps, adversarial_steps : int
        Numbers of updates.
    step_size : float
        Step size of both.

    Returns
    -------
    dict of str to Training
        ``"standard"`` and ``"adversarial"``.
    """
    return {
        "standard": Training(schedule=Schedule(n_steps=standard_steps, step_size=step_size)),
        "adversarial": Training(
            schedule=Schedule(n_steps=adversarial_steps, step_size=step_size),
            attack=margin_step(threat, attack_step_size),
        ),
    }


def _scenario(
    name: str,
    title: str,
    *,
    threat: Threat = _S1_THREAT,
    data: PatchDataSpec | None = None,
    model: TwoLayerSpec | None = None,
    n_samples: int = 4,
    runs: Mapping[str, Training] | None = None,
    evaluations: tuple[Spec, ...] = (),
    **fields: Any,
) -> Scenario:
    """Return S1 with the given changes."""
    return Scenario(
        name=f"structured-data/{name}",
        title=title,
        data=PatchDataSpec() if data is None else data,
        n_samples=n_samples,
        model=TwoLayerSpec() if model is None else model,
        trainings=trainings(threat) if runs is None else runs,
        evaluations=evaluations or (fgm(threat), strongest_attack(threat)),
        **fields,
    )


_S1_EVALUATIONS = (
    FeatureAttack(radius=_S1_THREAT.radius),
    raw_step(_S1_THREAT, _ATTACK_STEP),
    margin_step(_S1_THREAT, _ATTACK_STEP),
    fgm(_S1_THREAT),
    pgd(_S1_THREAT, n_steps=20),
    pgd(_S1_THREAT, n_steps=20, starts=("clean", "random", "filters", "features"), n_random=2),
)

S1 = _scenario(
    "S1",
    "Sparse robust features against dense non-robust ones, noise-free: "
    "standard training learns v, adversarial training learns u",
    evaluations=_S1_EVALUATIONS,
)
S1_DENSE = _scenario(
    "S1-dense",
    "S1 with 60 non-robust patches: the race is decided more clearly",
    data=PatchDataSpec(n_nonrobust_patches=60),
    evaluations=_S1_EVALUATIONS,
)

# ---------------------------------------------------------------- threats under which the story holds

_OWN = Threat(radius=0.35, subspace="own")
OWN = _scenario(
    "own",
    "Each patch moves within the features of its own kind (O), noisy data, fresh test samples: "
    "adversarial training is certified robust, standard training falls",
    threat=_OWN,
    data=PatchDataSpec(noise_std=0.05),
    n_samples=12,
    runs=trainings(_OWN, adversarial_steps=1000),
)
OWN_CLEAN = _scenario(
    "own-clean",
    "S1 under own-feature perturbations (O), noise-free: radii in closed form",
    threat=_OWN,
    runs=trainings(_OWN),
    merge_repeats=True,
)
_NONROBUST = Threat(radius=0.35, subspace="nonrobust")
NONROBUST = _scenario(
    "nonrobust-span",
    "S1 under perturbations within the non-robust features (V)",
    threat=_NONROBUST,
    runs=trainings(_NONROBUST),
    merge_repeats=True,
)
_FEATURES = Threat(radius=0.35, subspace="features")
FEATURES = _scenario(
    "feature-span",
    "S1 under perturbations within all features (UV): no robustness, as for the full l2 ball",
    threat=_FEATURES,
    runs=trainings(_FEATURES),
    merge_repeats=True,
)
_BOX = Threat(radius=0.03, norm="linf")
LINF = _scenario(
    "linf",
    "An l_inf box on every coordinate (B), u on single coordinates, v spread over 256: certified robustness",
    threat=_BOX,
    data=PatchDataSpec(dim=260, features="localised-spread"),
    model=TwoLayerSpec(width=16, init_std=0.005),
    runs=trainings(_BOX, 100.0, standard_steps=1500, adversarial_steps=3000),
    merge_repeats=True,
)
_RANDOM_BOX = Threat(radius=0.0272, norm="linf")
LINF_RANDOM = _scenario(
    "linf-random",
    "The box against random dense features (R): no asymmetry, no robustness",
    threat=_RANDOM_BOX,
    data=PatchDataSpec(dim=260),
    model=TwoLayerSpec(width=8, init_std=0.005),
    runs=trainings(_RANDOM_BOX, standard_steps=1500, adversarial_steps=3000),
    merge_repeats=True,
)
_LARGE_SMOOTHING = 40.0
_BALL = Threat(radius=0.039)
FULL_L2 = _scenario(
    "full-l2",
    "The full l2 ball of every patch (L), strong rare features and a wide power region: certified robustness",
    threat=_BALL,
    data=PatchDataSpec(n_nonrobust_patches=12000, nonrobust_strength=0.05, dim=8),
    model=TwoLayerSpec(width=24, smoothing=_LARGE_SMOOTHING, init_std=0.03 * _LARGE_SMOOTHING),
    runs=trainings(_BALL, 500.0 / _LARGE_SMOOTHING, step_size=80.0),
    merge_repeats=True,
)
_WHOLE = Threat(radius=0.35, scope="input")
INPUT_L2 = _scenario(
    "input-l2",
    "Whole-input l2 (F): density protects v, adversarial training keeps it; shown for what it is, no success",
    threat=_WHOLE,
    runs=trainings(_WHOLE, adversarial_steps=1000),
)
NOISE = _scenario(
    "noise",
    "S1 with noise 0.02 under the full l2 attack: the noise diverts the attack and v is learned",
    data=PatchDataSpec(noise_std=0.02),
    n_samples=12,
    runs=trainings(_S1_THREAT, adversarial_steps=600),
)

# ------------------------------------------------------------------------------ bases of scaling laws

RACE = _scenario(
    "race",
    "Standard training near the tie of the race: sweep n_nonrobust_patches",
    data=PatchDataSpec(n_nonrobust_patches=16),
    runs={"standard": trainings(_S1_THREAT)["standard"]},
    merge_repeats=True,
)


def _time(power: int, n_patches: int, step_size: float, n_steps: int) -> Scenario:
    return _scenario(
        f"time-q{power}",
        f"Small steps at q = {power}: time of the race against the size of the start, sweep init_std",
        data=PatchDataSpec(n_nonrobust_patches=n_patches),
        model=TwoLayerSpec(power=float(power)),
        runs={"standard": Training(schedule=Schedule(n_steps=n_steps, step_size=step_size))},
        merge_repeats=True,
    )


TIME_Q3 = _time(3, 60, 0.02, 4000)
TIME_Q4 = _time(4, 200, 0.05, 20000)


def _saturation(power: int, n_steps: int) -> Scenario:
    threat = Threat(radius=10.0)
    return _scenario(
        f"saturation-q{power}",
        f"No robust feature, one neuron per class, unclipped attack at q = {power}: "
        "where v stops growing, sweep attack.step_size",
        threat=threat,
        data=PatchDataSpec(robust_strength=0.0, dim=8),
        model=TwoLayerSpec(width=1, power=float(power)),
        runs={"adversarial": trainings(threat, 30.0, adversarial_steps=n_steps)["adversarial"]},
        merge_repeats=True,
    )


SATURATION_Q3 = _saturation(3, 10000)
SATURATION_Q4 = _saturation(4, 20000)

RADIUS = _scenario(
    "radius",
    "S1 adversarial for 1200 steps: where training stops learning v, sweep attack.threat.radius",
    runs=trainings(_S1_THREAT, adversarial_steps=1200),
    merge_repeats=True,
)


def _power(power: int, n_patches: int) -> Scenario:
    return _scenario(
        f"power-{power}",
        f"Standard training at q = {power} and S_NR/S_R near 1.95: is there a race, and who wins it",
        data=PatchDataSpec(n_nonrobust_patches=n_patches),
        model=TwoLayerSpec(power=float(power)),
        runs={"standard": Training(schedule=Schedule(n_steps=4000, step_size=0.2))},
        merge_repeats=True,
    )


POWERS = tuple(_power(power, n_patches) for power, n_patches in ((1, 5), (2, 12), (3, 30), (4, 75)))

SCENARIOS = (
    S1,
    S1_DENSE,
    OWN,
    OWN_CLEAN,
    NONROBUST,
    FEATURES,
    LINF,
    LINF_RANDOM,
    FULL_L2,
    INPUT_L2,
    NOISE,
    RACE,
    TIME_Q3,
    TIME_Q4,
    SATURATION_Q3,
    SATURATION_Q4,
    RADIUS,
    *POWERS,
)
