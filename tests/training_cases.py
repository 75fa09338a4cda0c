"""One small training of every update rule: arguments of `train`, the generator aside."""

import numpy as np

from featsim.attacks import ArcAttack, SignalAttack, fgm, margin_step, pgd
from featsim.data import (
    CircleSpec,
    HardCubeSpec,
    MarginMixtureSpec,
    PatchDataSpec,
    SeparatedSphereSpec,
    SignalNoiseSpec,
    SparseCodingSpec,
)
from featsim.models import (
    BiasedReluSpec,
    DeepNtkSpec,
    FrozenGateSpec,
    MemoriserSpec,
    MemorisingRuleSpec,
    NtkSpec,
    PolynomialSpec,
    PowerNetworkSpec,
    SymmetricNetworkSpec,
    TwoLayerSpec,
)
from featsim.threats import Threat
from featsim.training import (
    Adam,
    FlowSchedule,
    Mixture,
    ProjectedDescent,
    RampSchedule,
    RelativeSchedule,
    Schedule,
    WhiteningSchedule,
)

PATCHES = PatchDataSpec(n_classes=3, n_nonrobust_patches=3, dim=8, noise_std=0.1)
WIDE = PatchDataSpec(n_classes=2, n_nonrobust_patches=1, dim=40)
SIGNAL = SignalNoiseSpec(dim=12, n_fresh=10)
CODES = SparseCodingSpec(dim=6, sparsity=2.0, noise_norm=0.3)
BALL = Threat(radius=0.2)
INPUT = Threat(radius=0.6, scope="input")
RANDOM = pgd(INPUT, n_steps=2, starts=("random",), n_random=1, keep="last")

# Name -> distribution, samples, model, schedule without its number of steps, attack.
CASES = {
    "patches": (PATCHES, 6, TwoLayerSpec(width=2), Schedule, {}, margin_step(BALL, 1.0)),
    "minibatches": (PATCHES, 6, TwoLayerSpec(width=2), Schedule, {"batch_size": 4}, None),
    "subspace": (WIDE, 4, TwoLayerSpec(width=2), Schedule, {}, None),
    "relative": (PATCHES, 6, TwoLayerSpec(width=2), RelativeSchedule, {}, margin_step(BALL, 1.0)),
    "whitening": (PATCHES, 6, TwoLayerSpec(width=2), WhiteningSchedule, {}, None),
    "power": (SIGNAL, 4, PowerNetworkSpec(width=3), Schedule, {}, SignalAttack(radius=1.0)),
    "power, input": (SIGNAL, 4, PowerNetworkSpec(width=3), Schedule, {}, fgm(INPUT)),
    "flow": (SIGNAL, 4, PowerNetworkSpec(width=3), FlowSchedule, {"end_time": 5.0},
             Mixture(attack=SignalAttack(radius=1.0), weight=0.5)),
    "memoriser": (HardCubeSpec(bits=4), 6, MemoriserSpec(radius=0.3, outer_radius=0.4), Schedule, {}, None),
    "memorising rule": (MarginMixtureSpec(dim=8), 8, MemorisingRuleSpec(), Schedule, {},
                        fgm(Threat(radius=0.1, scope="input"))),
    "tangent": (CircleSpec(), 4, NtkSpec(width=8), ProjectedDescent, {"step_size": 0.2},
                ArcAttack(half=0.3, n_points=5)),
    "deep": (CircleSpec(), 4, DeepNtkSpec(width=8, depth=2), ProjectedDescent, {"step_size": 0.2}, None),
    "capacity": (SeparatedSphereSpec(dim=3), 6, BiasedReluSpec(width=3), Adam, {"step_size": 0.01}, RANDOM),
    "symmetric": (CODES, 12, SymmetricNetworkSpec(width=4), RampSchedule, {"step_size": 0.3, "batch_size": 5},
                  fgm(BALL)),
    "fresh": (CODES, 12, SymmetricNetworkSpec(width=4), RampSchedule,
              {"step_size": 0.3, "batch_size": 5, "fresh": True}, None),
    "polynomial": (CODES, 12, PolynomialSpec(width=4, power=3), Schedule, {"step_size": 0.01}, fgm(BALL)),
    "gates": (CODES, 12, FrozenGateSpec(width=4), Schedule, {"step_size": 0.01}, fgm(BALL)),
}  # fmt: skip


def settings(name, n_steps=12, **changes):
    """Return keyword arguments of `train` with a generator of their own."""
    spec, n_samples, model, schedule, options, attack = CASES[name]
    rng = np.random.default_rng(4)
    return {
        "model": model,
        "data": spec.sample(n_samples, rng),
        "schedule": schedule(n_steps=n_steps, **options),
        "attack": attack,
        "rng": rng,
        **changes,
    }
