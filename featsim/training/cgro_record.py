"""What is recorded of a power network in training: signal, memorisation, losses and accuracies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featsim.attacks import line_margins
from featsim.data import PatchData, SignalNoiseData
from featsim.models import PowerNetwork, PowerNetworkSpec, power_activation
from featsim.validation import FloatArray

TABLES = ("noise_coef",)
_SIGNAL = ("signal_coef", "signal_sum", "signal_score")
_NOISE = ("memorisation", "mean_memorisation", "memorised_share")
AXES: Mapping[str, tuple[str, ...]] = {
    "signal_coef": ("step", "class", "neuron"),
    "memorisation": ("step", "sample"),
    "noise_coef": ("step", "sample", "noise_patch", "neuron"),
}


def _both(name: str) -> tuple[str, str]:
    return f"{name}_loss", f"{name}_accuracy"


def available_quantities(data: PatchData, *, attacked: bool) -> tuple[str, ...]:
    """Return what can be recorded: the line attacks need a radius and a signal, `fresh` ones test data."""
    if not isinstance(data, SignalNoiseData):
        return (*_both("clean"), *(_both("attacked") if attacked else ()))
    attacks = ("clean", "fixed", "worst", "attacked") if attacked else ("clean",)
    own = tuple(name for attack in attacks for name in _both(attack))
    names = (*_SIGNAL, *(("attacked_signal_score",) if attacked else ()), *_NOISE, *own, *TABLES)
    if data.fresh is not None:
        names += ("fresh_noise_sd", *(f"fresh_{name}" for name in own))
    return names


def record_losses(margins: Mapping[str, FloatArray], prefix: str = "") -> dict[str, FloatArray]:
    """Return mean logistic loss and share of positive margins under each name."""
    found: dict[str, FloatArray] = {}
    for name, margin in margins.items():
        found[f"{prefix}{name}_loss"] = np.asarray(np.mean(np.logaddexp(0.0, -margin)))
        found[f"{prefix}{name}_accuracy"] = np.asarray(np.mean(margin > 0.0))
    return found


def record_signal(
    model: PowerNetworkSpec, network: PowerNetwork, data: SignalNoiseData, radius: float | None
) -> dict[str, FloatArray]:
    """Return everything the signal line explains, by name."""
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges is reported as such
        own = line_margins(network, data, radius)
        names = [name for name in ("clean", "fixed", "worst") if name in own]
        coef = network.filters @ data.signal
        found: dict[str, FloatArray] = {
            "signal_coef": coef[None],
            "signal_sum": np.asarray(network.signs @ power_activation(coef, model.power, model.activation)),
            "signal_score": _odd_part(network, data, data.signal_strength),
            "memorisation": own["memory"],
            "mean_memorisation": np.asarray(np.mean(own["memory"])),
            "memorised_share": np.asarray(np.mean(own["memory"] >= 1.0)),
            "noise_coef": own["noise_coef"],
            **record_losses({name: own[name] for name in names}),
        }
        if radius is not None:
            found["attacked_signal_score"] = _odd_part(network, data, data.signal_strength - radius)
        if data.fresh is not None:
            fresh = line_margins(network, data.fresh, radius)
            found |= record_losses({name: fresh[name] for name in names}, "fresh_")
            found["fresh_noise_sd"] = np.asarray(np.std(fresh["memory"]))
    return found


def _odd_part(network: PowerNetwork, data: SignalNoiseData, position: float) -> FloatArray:
    """Mean signal score over the two labels, (h(c) - h(-c)) / 2; phi(c) U for the odd network."""
    ahead, behind = network.line_score(data.signal, np.array([position, -position]))
    return np.asarray(0.5 * (ahead - behind))
