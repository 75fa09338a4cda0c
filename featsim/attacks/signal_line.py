"""Attacks on the signal line: only the signal patch moves, only along w*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks.result import AttackResult
from featsim.attacks.signal_spec import SignalAttack
from featsim.models import (
    Model,
    PowerNetwork,
    check_score_labels,
    margins,
    model_scores,
    power_activation,
)
from featsim.threats import Samples
from featsim.validation import FloatArray

if TYPE_CHECKING:
    from featsim.data import SignalNoiseData


def signal_attack(attack: SignalAttack, model: Model, samples: Samples) -> AttackResult:
    """Run a signal-line attack; see :class:`SignalAttack`."""
    data: Any = samples.data
    if data is None or getattr(data, "signal", None) is None:
        raise ValueError(
            f"the attack {attack.rule!r} must be run on signal-plus-noise data; use signal_noise_data"
        )
    scores = model_scores(model, data.X, samples.counts)
    check_score_labels(data.y, scores.shape[1])
    clean_margin = margins(scores, data.y)
    if attack.rule == "fixed":
        shift = -attack.radius * data.signs
    else:
        if not isinstance(model, PowerNetwork):
            raise TypeError(
                f"the attack 'worst' must have a PowerNetwork, got {type(model).__name__}; use pgd "
                "with Threat(radius=..., subspace='signal')"
            )
        shift = worst_shift(model, data, attack.radius)
    delta = line_perturbation(data, shift)
    n = data.n_samples
    return AttackResult(
        attack=attack,
        clean_margin=clean_margin,
        margin=margins(model_scores(model, data.X + delta, samples.counts), data.y),
        perturbation=delta,
        objective=np.full(n, "closed form"),
        start=np.full(n, "closed form"),
        step=np.ones(n, dtype=np.int64),
        target=np.full(n, -1, dtype=np.int64),
        dead_gradient=np.zeros(n, dtype=bool),
        notes={"exact": attack.rule == "worst"},
    )


def line_perturbation(data: SignalNoiseData, shift: FloatArray) -> FloatArray:
    """Return the perturbation that moves each signal patch along w*.

    Parameters
    ----------
    data : SignalNoiseData
        Samples.
    shift : ndarray, shape (n,)
        Length of each move.

    Returns
    -------
    ndarray, shape of X
        Zero on noise patches.
    """
    delta = np.zeros(data.X.shape)
    delta[np.arange(data.n_samples), data.signal_patch] = shift[:, None] * data.signal
    return delta


def signal_positions(data: SignalNoiseData) -> FloatArray:
    """Return where on the line each signal patch c w* is.

    Parameters
    ----------
    data : SignalNoiseData
        Samples.

    Returns
    -------
    ndarray, shape (n,)
        Positions c.
    """
    return data.signal_positions


def worst_shift(model: PowerNetwork, data: SignalNoiseData, radius: float) -> FloatArray:
    r"""Return the shift that minimises y f over the signal line, exactly.

    Parameters
    ----------
    model : PowerNetwork
        Network whose signal score h(c) is monotone on either side of 0.
    data : SignalNoiseData
        Samples.
    radius : float
        :math:`\delta \ge 0`.

    Returns
    -------
    ndarray, shape (n,)
        Shifts; of equal ones the first of :math:`-\delta y`, :math:`\delta y` and that to 0.

    References
    ----------
    .. [1] Inner maximum over the signal patch: Li & Li, arXiv:2306.01271 [source in words]; that an end point
       or position 0 attains it [derived].
    """
    here, sign = signal_positions(data), data.signs
    to_zero = np.where(np.abs(here) <= radius, -here, -radius * sign)
    candidates = np.stack([-radius * sign, radius * sign, to_zero])
    values = sign * model.line_score(data.signal, here + candidates)
    best = np.argmin(np.where(np.isnan(values), -np.inf, values), axis=0)
    shift: FloatArray = candidates[best, np.arange(len(here))]
    return shift


def line_margins(network: PowerNetwork, data: SignalNoiseData, radius: float | None) -> dict[str, FloatArray]:
    """Return noise parts, noise preactivations and the margins y f, clean and on the signal line.

    Parameters
    ----------
    network : PowerNetwork
        The network.
    data : SignalNoiseData
        Samples.
    radius : float or None
        Radius of the line attacks; None for none.

    Returns
    -------
    dict of str to ndarray
        ``"noise_coef"`` (n, P-1, m), and of shape (n,) ``"memory"``, ``"clean"`` and, with a radius,
        ``"fixed"`` and ``"worst"``.
    """
    here, sign = signal_positions(data), data.signs
    noise_coef = data.noise @ network.filters.T
    noise_scores = power_activation(noise_coef, network.power, network.activation) @ network.signs
    memory = sign * noise_scores.sum(axis=1)
    shifts = {"clean": np.zeros_like(here)}
    if radius is not None:
        shifts |= {"fixed": -radius * sign, "worst": worst_shift(network, data, radius)}
    margins = {
        name: sign * network.line_score(data.signal, here + shift) + memory for name, shift in shifts.items()
    }
    return {"noise_coef": noise_coef, "memory": memory, **margins}
