r"""The three phases of a run, found automatically: signal, stall, memorisation."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.validation import FloatArray, check_array

if TYPE_CHECKING:
    from featsim.traces import Trace

REACHED = 1.0
"""A score counts as learned or memorised from here on: the logistic loss has left log 2."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Phases:
    r"""When each phase began, and what held in between.

    Attributes
    ----------
    signal_step : float
        :math:`t_I`: first recorded step with signal score S >= 1, inf if there is none.
    memorisation_steps : ndarray, shape (n,)
        First recorded step with :math:`V_i \ge 1`, inf if there is none.
    memorisation_step : float
        :math:`t_{III}`: median over samples of these steps, inf if half of them never reach 1.
    stall_memorisation : float
        Mean V at :math:`2 t_I`: what had been memorised when the signal was there.
    stall_growth : float
        Factor of :math:`\max_r u_r` from :math:`2 t_I` to :math:`t_{III}` (the end if never).
    stall_loss : float
        Attacked training loss at :math:`\sqrt{t_I t_{III}}`, in units of log 2.
    order : tuple of str
        Phases that were entered, in order: of ``"signal"``, ``"stall"``, ``"memorisation"``.
    """

    signal_step: float
    memorisation_steps: FloatArray
    memorisation_step: float
    stall_memorisation: float
    stall_growth: float
    stall_loss: float
    order: tuple[str, ...]

    @property
    def separated(self) -> bool:
        r"""Whether a stall lay between: :math:`t_I < t_{III}/20` [choice]."""
        return self.signal_step < self.memorisation_step / 20.0

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers without the per-sample steps."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del found["memorisation_steps"]
        return found


def detect_phases(trace: Trace) -> Phases:
    """Find the phases of a run of the power network.

    Times are recorded steps: record often enough (logarithmically at least).

    Parameters
    ----------
    trace : Trace
        Holds ``signal_score``, ``signal_coef`` and ``memorisation``; ``attacked_loss`` if attacked.

    Returns
    -------
    Phases
        Times and what held at them; nan where a phase that a number speaks of did not occur.

    Raises
    ------
    KeyError
        If the trace lacks one of them.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271: three stages [source]; thresholds [choice].
    """
    steps = trace.steps.astype(np.float64)
    score = check_array("signal_score", trace["signal_score"], (len(steps),), finite=False)
    memory = trace["memorisation"]
    mean_memory = memory.mean(axis=1)
    largest = trace["signal_coef"].max(axis=(1, 2))
    t_signal = _first(steps, score >= REACHED)
    per_sample = np.array([_first(steps, column >= REACHED) for column in memory.T])
    with np.errstate(invalid="ignore"):  # the mean of two infinities
        t_memory = float(np.median(per_sample))
    stalled = math.isfinite(t_signal) and 2.0 * t_signal < min(t_memory, steps[-1])
    at_two = _at(steps, mean_memory, 2.0 * t_signal) if math.isfinite(t_signal) else math.nan
    growth = loss = math.nan
    if stalled:
        end = min(t_memory, float(steps[-1]))
        growth = _at(steps, largest, end) / _at(steps, largest, 2.0 * t_signal)
        if math.isfinite(t_memory) and "attacked_loss" in trace:
            loss = _at(steps, trace["attacked_loss"], math.sqrt(t_signal * t_memory)) / math.log(2.0)
    events = [(t_signal, "signal"), (2.0 * t_signal if stalled else math.inf, "stall")]
    events.append((t_memory, "memorisation"))
    order = tuple(name for time, name in sorted(events) if math.isfinite(time))
    return Phases(
        signal_step=t_signal,
        memorisation_steps=per_sample,
        memorisation_step=t_memory,
        stall_memorisation=at_two,
        stall_growth=growth,
        stall_loss=loss,
        order=order,
    )


def _first(steps: FloatArray, condition: Any) -> float:
    where = np.flatnonzero(condition)
    return float(steps[where[0]]) if len(where) else math.inf


def _at(steps: FloatArray, values: FloatArray, step: float) -> float:
    """Value at the last record not later than `step`."""
    return float(values[max(int(np.searchsorted(steps, step, side="right")) - 1, 0)])
