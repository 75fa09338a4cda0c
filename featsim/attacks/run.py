"""One call for every attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks.adaptive_spec import AdaptiveAttack, RandomSearch
from featsim.attacks.arc import arc_attack
from featsim.attacks.arc_spec import ArcAttack
from featsim.attacks.climb import neuron_attack
from featsim.attacks.climb_spec import NeuronAttack
from featsim.attacks.closed_form import exact_linear, feature_attack
from featsim.attacks.direction import direction_attack
from featsim.attacks.direction_spec import DirectionAttack
from featsim.attacks.gradient import gradient_attack
from featsim.attacks.random_search import random_search
from featsim.attacks.result import AttackResult
from featsim.attacks.separable import separable_attack
from featsim.attacks.separable_spec import SeparableAttack
from featsim.attacks.signal_line import signal_attack
from featsim.attacks.signal_spec import SignalAttack
from featsim.attacks.specs import Attack, ExactAttack, FeatureAttack, GradientAttack
from featsim.models import LinearModel, Model
from featsim.threats import as_samples

if TYPE_CHECKING:
    from featsim.data import PatchData


def run_attack(
    attack: Attack,
    model: Model,
    data: PatchData | tuple[Any, Any],
    rng: np.random.Generator | None = None,
) -> AttackResult:
    """Attack a model at given samples.

    Parameters
    ----------
    attack : Attack
        What to run: any specification of :mod:`featsim.attacks`.
    model : Model
        Any object with ``scores(X)`` of shape (n, c) and
        ``input_gradient(X, cotangent)`` of the shape of X, see
        :mod:`featsim.models.protocol`.
    data : PatchData or tuple (X, y)
        Samples; plain arrays may have any shape (n, ...).
    rng : Generator, optional
        Needed for random starts only.

    Returns
    -------
    AttackResult
        Margins, perturbations and how they were found, sample by sample.

    Raises
    ------
    TypeError, ValueError
        If attack, model and data do not fit together; the message names the way out.
    """
    if isinstance(attack, GradientAttack | AdaptiveAttack):
        return gradient_attack(attack, model, as_samples(data), rng)
    if isinstance(attack, SeparableAttack):
        return separable_attack(attack, model, as_samples(data), rng)
    if isinstance(attack, RandomSearch):
        return random_search(attack, model, as_samples(data), rng)
    if isinstance(attack, NeuronAttack):
        return neuron_attack(attack, model, as_samples(data), rng)
    if isinstance(attack, DirectionAttack):
        return direction_attack(attack, model, as_samples(data), rng)
    if isinstance(attack, FeatureAttack):
        return feature_attack(attack, model, as_samples(data))
    if isinstance(attack, SignalAttack):
        return signal_attack(attack, model, as_samples(data))
    if isinstance(attack, ArcAttack):
        return arc_attack(attack, model, as_samples(data))
    if isinstance(attack, ExactAttack):
        if not isinstance(model, LinearModel):
            raise TypeError(f"an exact attack must have a LinearModel, got {type(model).__name__}; use pgd")
        return exact_linear(model, data, attack.threat)
    raise TypeError(
        "attack must be a GradientAttack, AdaptiveAttack, NeuronAttack, RandomSearch, SeparableAttack, "
        f"FeatureAttack, SignalAttack, ArcAttack, DirectionAttack or ExactAttack, got {type(attack).__name__}"
    )
