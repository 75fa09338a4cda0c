"""The model that a trace ended with."""

from __future__ import annotations

from typing import Any

from featsim.models.protocol import Model
from featsim.specs import Spec
from featsim.traces import Trace


def trained_model(spec: Spec, trace: Trace, step: int | None = None) -> Model | None:
    """Return the model with the weights of a trace.

    Parameters
    ----------
    spec : Spec
        Model spec; it offers ``network(weights)``, or ``restore(weights, arrays)`` where weights alone
        do not make the model.
    trace : Trace
        A run of it.
    step : int, optional
        Step whose weights were kept; the end by default.

    Returns
    -------
    Model or None
        None where the spec offers neither.

    Raises
    ------
    TraceError
        If the trace lacks the weights.
    """
    weights = trace.final_weights if step is None else trace.weights_at(step)
    restore: Any = getattr(spec, "restore", None)
    network: Any = getattr(spec, "network", None)
    if restore is not None:
        model: Model = restore(weights, trace.arrays)
        return model
    return None if network is None else network(weights)
