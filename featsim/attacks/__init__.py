"""Attacks: gradient steps, the feature swap, and exact worst cases."""

from featsim.attacks.closed_form import exact_linear, feature_swap, nonrobust_strengths
from featsim.attacks.result import AttackResult
from featsim.attacks.run import run_attack
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
    "Attack",
    "AttackResult",
    "ExactAttack",
    "FeatureAttack",
    "GradientAttack",
    "exact_linear",
    "feature_swap",
    "fgm",
    "margin_step",
    "nonrobust_strengths",
    "pgd",
    "raw_step",
    "run_attack",
]
