"""Schedules of the purification theory: growing bias and smoothing, decay, fresh samples, low rank."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.training.schedule import Schedule
from featsim.validation import FloatArray, check_bool, check_integer, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class RampSchedule(Schedule):
    r"""Gradient descent with the further settings of feature purification.

    Parameters
    ----------
    n_steps, step_size, batch_size : see :class:`Schedule`
        Updates, their size, and samples per step.
    precision : {"float64"}
        The only one of these models.
    ramp_steps : int
        Steps :math:`T_a` over which bias and smoothing run linearly from their starts to the model's values,
        and stay; 0 for constant ones.
    bias_start, smoothing_start : float or None
        Values at step 0, at least 0; None for the model's.
    weight_decay : float
        :math:`\lambda` of the regulariser :math:`\lambda \sum_i (\|w_i\|^2/2 + \|w_i\|^3/3)`, at least 0.
    fresh : bool
        Whether every step draws `batch_size` new samples of the data's distribution instead of indices of
        the training set.
    rank : int or None
        Train :math:`W = W_0 + U V^\top` with m x r and d x r factors from :math:`U = 0`,
        :math:`V \sim N(0, 1/d)`; None for all weights.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range, or a start has no ramp.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190: growing bias, regulariser [recalled]; low-rank updates in v4
       [source: arXiv comments]; the linear ramp is the simulator's [choice].
    """

    kind: ClassVar[str] = "ramp-schedule"

    ramp_steps: int = 0
    bias_start: float | None = None
    smoothing_start: float | None = None
    weight_decay: float = 0.0
    fresh: bool = False
    rank: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ramp_steps", check_integer("ramp_steps", self.ramp_steps, minimum=0))
        for name in ("bias_start", "smoothing_start"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check_real(name, value, minimum=0.0))
                if self.ramp_steps == 0:
                    raise ValueError(f"ramp_steps must be > 0 when {name} is given; how long shall it take?")
        decay = check_real("weight_decay", self.weight_decay, minimum=0.0)
        object.__setattr__(self, "weight_decay", decay)
        object.__setattr__(self, "fresh", check_bool("fresh", self.fresh))
        if self.fresh and self.batch_size is None:
            raise ValueError("batch_size must be given when every step draws fresh samples")
        if self.rank is not None:
            object.__setattr__(self, "rank", check_integer("rank", self.rank, minimum=1))

    def ramp(self, start: float | None, end: float, first: int, last: int) -> FloatArray:
        """Return the values of steps first..last-1 on the way from `start` to `end`."""
        if start is None:
            return np.full(last - first, end)
        along = np.minimum(np.arange(first, last) / self.ramp_steps, 1.0)
        values: FloatArray = (1.0 - along) * start + along * end
        return values
