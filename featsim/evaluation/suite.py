"""The attacks that are run on a model unless others are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks import (
    AdaptiveAttack,
    ArcAttack,
    Attack,
    ExactAttack,
    NeuronAttack,
    SeparableAttack,
    SignalAttack,
    fgm,
    pgd,
)
from featsim.models import LinearModel, Model, PowerNetwork, TwoLayerNetwork, model_scores, neuron_sum
from featsim.threats import Samples, Threat, as_samples

if TYPE_CHECKING:
    from featsim.data import PatchData

N_RANDOM = 4
"""Random starts of the strongest attack of the default suite."""


def default_suite(
    model: Model,
    data: PatchData | tuple[Any, Any],
    threat: Threat,
    *,
    random: bool = True,
    quick: bool = False,
) -> tuple[Attack, ...]:
    """Return the attacks that fit a model, its data and a threat, the weakest first.

    Parameters
    ----------
    model : Model
        A model of the package or the user's own.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        Budget.
    random : bool
        Whether random starts are among them, which need random numbers.
    quick : bool
        Leave out what only shows how much weaker attacks flatter (FGM and PGD).

    Returns
    -------
    tuple of attack specs
        One step (FGM); twenty steps (PGD); then the strongest: exact for a linear model and on the signal
        line of a power network; the net of an arc on the circle slice (d = 3); compiled adaptive steps for
        networks of one hidden layer, the patch-separable search for smoothed ReLU with budgets per patch;
        otherwise adaptive steps against every rival, from clean point, steepest step, random points,
        filters and features as far as the model and data have them.
    """
    samples = as_samples(data)
    if isinstance(model, LinearModel):
        return (ExactAttack(threat=threat),)
    weak: tuple[Attack, ...] = () if quick else (fgm(threat), pgd(threat, n_steps=20))
    n_random = N_RANDOM if random else 0
    arc = _arc(samples, threat)
    if arc is not None:
        return (*weak, arc)
    if (threat.subspace, threat.scope) == ("signal", "patch") and isinstance(model, PowerNetwork):
        return (*weak, SignalAttack(radius=threat.radius, rule="worst"))
    pixels = getattr(samples.data, "pixel_map", None) is not None
    if neuron_sum(model) is not None and threat.subspace != "slice" and not pixels:
        if isinstance(model, TwoLayerNetwork) and threat.scope == "patch":
            # Solves equal patches once, and every patch from the starts of the other.
            return (*weak, SeparableAttack(threat=threat, n_random=n_random))
        return (*weak, NeuronAttack(threat=threat, n_random=n_random))
    starts = ("clean", "steepest", *(["random"] if random else []), *directed_starts(model, samples, threat))
    return (*weak, AdaptiveAttack(threat=threat, n_random=n_random, starts=starts))


def _arc(samples: Samples, threat: Threat) -> ArcAttack | None:
    """Return the exhaustive attack on a circle, where the slice is one."""
    X = samples.X
    if threat.subspace != "slice" or X.ndim != 2 or X.shape[1] != 3:
        return None
    constant = X[:, 2]
    size = np.linalg.norm(X[:, :2], axis=1)
    on_slice = np.allclose(constant, constant[0], atol=1e-12) and np.allclose(size, size[0], atol=1e-12)
    if not on_slice or not 0.0 <= constant[0] < 1.0 or not np.isclose(size[0], np.sqrt(1 - constant[0] ** 2)):
        return None
    half = 2.0 * np.arcsin(min(threat.radius / (2.0 * float(size[0])), 1.0))
    return ArcAttack(half=float(half), n_points=401, constant=float(constant[0]), objective="margin")


def directed_starts(model: Model, samples: Samples, threat: Threat) -> tuple[str, ...]:
    """Return the directed starts that a model, samples and a threat allow.

    Parameters
    ----------
    model : Model
        Has filters if its `weights` have shape (k, m, d), or if it is linear.
    samples : Samples
        May have known features.
    threat : Threat
        A whole-input l2 budget can be spread over patches.

    Returns
    -------
    tuple of str
        Some of ``"filters"``, ``"features"`` and ``"spread"``.
    """
    weights: Any = getattr(model, "weights", None)
    shape, patches = np.shape(weights), samples.X.ndim == 3
    filters = patches and len(shape) == 3 and shape[2] == samples.X.shape[2]
    features = getattr(samples.data, "robust_features", None) is not None
    features = features or getattr(samples.data, "dense_direction", None) is not None
    starts = [*(["filters"] if filters else []), *(["features"] if features else [])]
    known = filters or getattr(samples.data, "robust_features", None) is not None
    # A single score has no rival whose direction could be written.
    several = model_scores(model, samples.X[:1], _first(samples)).shape[1] > 1
    if patches and known and several and (threat.scope, threat.norm) == ("input", "l2"):
        starts.append("spread")
    return tuple(starts)


def _first(samples: Samples) -> Any:
    return None if samples.counts is None else samples.counts[:1]
