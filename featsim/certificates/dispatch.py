"""The certificate of a model's kind."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.certificates.convex import tangent_chord
from featsim.certificates.gated import certify_gated
from featsim.certificates.kernel_machines import certify_kernel
from featsim.certificates.layered import certify_layers
from featsim.certificates.linear import certify_linear
from featsim.certificates.lines import certify_neurons
from featsim.certificates.result import CertificateResult
from featsim.certificates.symmetric import certify_pure, certify_symmetric
from featsim.models import (
    DeepNetwork,
    FrozenGateNetwork,
    KernelMachine,
    LinearModel,
    Model,
    ReluNetwork,
    SymmetricNetwork,
    TangentNetwork,
    TwoLayerNetwork,
    neuron_sum,
)
from featsim.threats import Threat, as_samples

if TYPE_CHECKING:
    from featsim.data import PatchData


def certify_model(
    model: Model, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult | None:
    """Return the certificate of the model's kind.

    Linear models exactly; smoothed-ReLU networks by tangent and chord; symmetric networks by relaxation
    and curvature, the separable bound where they are pure, or lines in a subspace; other networks of one
    hidden layer by lines; frozen gates, kernel machines and deep networks by intervals and Lipschitz
    bounds. A cap lies in the l2 ball of its chordal radius, for which models that are not linear are
    certified.

    Parameters
    ----------
    model : Model
        Any model.
    data : PatchData or tuple (X, y)
        Samples.
    threat : Threat
        Budget to certify.

    Returns
    -------
    CertificateResult or None
        None where the kind has no certificate: a user's own model, another kernel.

    Raises
    ------
    TypeError, ValueError
        If the data do not fit the model.
    """
    if isinstance(model, LinearModel):
        return certify_linear(model, data, threat)
    if threat.subspace == "slice":
        as_samples(data).bind(threat)  # refuses what is no cap around these samples
        ball = certify_model(model, data, threat.replace(subspace=None))
        if ball is None:
            return None
        return dataclasses.replace(ball, threat=threat, method=f"{ball.method}, by the ball around the cap")
    if isinstance(model, TwoLayerNetwork):
        return tangent_chord(model, data, threat)
    if isinstance(model, SymmetricNetwork):
        lines = certify_neurons(model, data, threat)
        if threat.subspace is not None:
            return lines
        better = _better(certify_symmetric(model, data, threat), lines)
        pure = _pure(model, data, threat)
        return better if pure is None else _better(pure, better)
    if isinstance(model, FrozenGateNetwork | TangentNetwork):
        return certify_gated(model, data, threat)
    if isinstance(model, KernelMachine):
        return None if threat.subspace is not None else certify_kernel(model, data, threat)
    if isinstance(model, DeepNetwork | ReluNetwork):
        return certify_layers(model, data, threat)
    return None if neuron_sum(model) is None else certify_neurons(model, data, threat)


def _pure(
    model: SymmetricNetwork, data: PatchData | tuple[Any, Any], threat: Threat
) -> CertificateResult | None:
    """Return the separable bound of a pure network on data whose features are known; None for others."""
    dictionary = getattr(data, "dictionary", None)
    if dictionary is None or threat.norm != "l2" or model.smoothing == 0.0:
        return None
    try:
        return certify_pure(model, dictionary, data, threat)
    except ValueError:  # not pure
        return None


def _better(one: CertificateResult, other: CertificateResult) -> CertificateResult:
    """Take the larger of two sound bounds for each sample; nan where one of them is."""
    lower = np.maximum(one.lower_margin, other.lower_margin)
    return dataclasses.replace(one, lower_margin=lower)
