"""Settings of the structured-data theory (Li & Li 2024).

The paper's own parameters could not be read; all of these are the simulator's [choice].
"""

from __future__ import annotations

from featsim.attacks import FeatureAttack, fgm, margin_step, pgd, raw_step
from featsim.data import PatchDataSpec
from featsim.models import TwoLayerSpec
from featsim.scenarios.scenario import Scenario, Training
from featsim.threats import Threat
from featsim.training import Schedule

_ATTACK_STEP = 1000.0


def _s1(name: str, title: str, n_nonrobust_patches: int) -> Scenario:
    threat = Threat(radius=0.35, norm="l2", scope="patch")
    return Scenario(
        name=f"structured-data/{name}",
        title=title,
        data=PatchDataSpec(n_nonrobust_patches=n_nonrobust_patches),
        n_samples=4,
        model=TwoLayerSpec(width=8, power=3.0, smoothing=0.5, init_std=0.02),
        trainings={
            "standard": Training(schedule=Schedule(n_steps=400, step_size=1.0)),
            "adversarial": Training(
                schedule=Schedule(n_steps=1500, step_size=1.0), attack=margin_step(threat, _ATTACK_STEP)
            ),
        },
        evaluations=(
            FeatureAttack(radius=threat.radius),
            raw_step(threat, _ATTACK_STEP),
            margin_step(threat, _ATTACK_STEP),
            fgm(threat),
            pgd(threat, n_steps=20),
            pgd(threat, n_steps=20, starts=("clean", "random", "filters", "features"), n_random=2),
        ),
    )


S1 = _s1(
    "S1",
    "Sparse robust features against dense non-robust ones, noise-free: "
    "standard training learns v, adversarial training learns u",
    40,
)
S1_DENSE = _s1("S1-dense", "S1 with 60 non-robust patches: the race is decided more clearly", 60)

SCENARIOS = (S1, S1_DENSE)
