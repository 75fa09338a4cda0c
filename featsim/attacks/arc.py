"""Exhaustive attack on the arcs of a circle slice."""

from __future__ import annotations

from typing import Any

import numpy as np

from featsim.attacks.arc_spec import ArcAttack
from featsim.attacks.result import AttackResult
from featsim.models import Model, check_score_labels, first_largest, margins, model_scores, signs
from featsim.threats import Samples
from featsim.validation import FloatArray, IntArray


def arc_net(attack: ArcAttack, X: FloatArray, y: IntArray) -> FloatArray:
    """Return the net of every input.

    Parameters
    ----------
    attack : ArcAttack
        Half angle, size and order of the nets.
    X : ndarray, shape (n, 3)
        Inputs on the slice.
    y : ndarray, shape (n,)
        Labels, for the order ``"label"``.

    Returns
    -------
    ndarray, shape (n, G, 3)
        Points at equally spaced angles, the middle one exactly the input.

    Raises
    ------
    ValueError
        If the inputs are not on the d = 3 slice with the attack's constant.
    """
    s = np.sqrt(1.0 - attack.constant**2)
    if X.ndim != 2 or X.shape[1] != 3:
        raise ValueError(f"X must have shape (n, 3) for an arc attack, got {X.shape}; use pgd on caps")
    off = np.abs(X[:, 2] - attack.constant) + np.abs(np.hypot(X[:, 0], X[:, 1]) - s)
    if float(off.max()) > 1e-9:
        raise ValueError(
            f"X must lie on the slice with constant {attack.constant:g}, got a point {off.max():.3g} away; "
            "give the attack the constant of the data"
        )
    turn = np.linspace(-attack.half, attack.half, attack.n_points)
    sign = signs(y) if attack.order == "label" else np.ones(len(X))
    angles = np.arctan2(X[:, 1], X[:, 0])[:, None] + sign[:, None] * turn
    net = np.stack([s * np.cos(angles), s * np.sin(angles), np.full(angles.shape, attack.constant)], axis=-1)
    net[:, attack.n_points // 2] = X
    return net


def arc_attack(attack: ArcAttack, model: Model, samples: Samples) -> AttackResult:
    """Run an arc attack; see :class:`featsim.attacks.ArcAttack`."""
    X, y = samples.X, samples.y
    net = arc_net(attack, X, y)
    n, size, dim = net.shape
    scores = model_scores(model, net.reshape(n * size, dim))
    check_score_labels(y, scores.shape[1])
    table = margins(scores, np.repeat(y, size)).reshape(n, size)
    worst = first_largest(-table)
    rows = np.arange(n)
    fields: dict[str, Any] = {
        "attack": attack,
        "clean_margin": table[:, size // 2],
        "margin": table[rows, worst],
        "perturbation": net[rows, worst] - X,
        "objective": np.full(n, "margin"),
        "start": np.full(n, "net"),
        "step": np.zeros(n, dtype=np.int64),
        "target": np.full(n, -1, dtype=np.int64),
        "dead_gradient": np.zeros(n, dtype=bool),
        "notes": {"exact": f"up to a net of {size} points"},
    }
    return AttackResult(**fields)
