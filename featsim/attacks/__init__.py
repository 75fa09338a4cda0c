"""Attacks: gradient steps, the feature swap, and exact worst cases."""

from featsim.attacks.adaptive_spec import AdaptiveAttack, RandomSearch
from featsim.attacks.arc import arc_net
from featsim.attacks.arc_spec import ArcAttack
from featsim.attacks.climb_spec import NeuronAttack
from featsim.attacks.closed_form import exact_linear, feature_swap, nonrobust_strengths
from featsim.attacks.direction_spec import DirectionAttack
from featsim.attacks.result import AttackResult
from featsim.attacks.run import run_attack
from featsim.attacks.separable_spec import SeparableAttack
from featsim.attacks.signal_line import line_margins, line_perturbation, signal_positions, worst_shift
from featsim.attacks.signal_spec import SignalAttack
from featsim.attacks.specs import (
    Attack,
    ExactAttack,
    FeatureAttack,
    GradientAttack,
    fgm,
    margin_step,
    pgd,
    raw_step,
)

__all__ = [
    "AdaptiveAttack",
    "ArcAttack",
    "Attack",
    "AttackResult",
    "DirectionAttack",
    "ExactAttack",
    "FeatureAttack",
    "GradientAttack",
    "NeuronAttack",
    "RandomSearch",
    "SeparableAttack",
    "SignalAttack",
    "arc_net",
    "exact_linear",
    "feature_swap",
    "fgm",
    "line_margins",
    "line_perturbation",
    "margin_step",
    "nonrobust_strengths",
    "pgd",
    "raw_step",
    "run_attack",
    "signal_positions",
    "worst_shift",
]
