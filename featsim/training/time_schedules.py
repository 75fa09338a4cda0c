"""Schedules that read inner products or time instead of counting steps of one size."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.training.schedule import Schedule
from featsim.validation import FloatArray, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowSchedule(Schedule):
    """Gradient flow of the exact closure, recorded at points evenly spaced in the logarithm of time.

    For a power network on signal-plus-noise data with an attack on the signal line. "Step" i is the i-th
    point in time; the trace holds the times as ``"time"``, in units of step size times steps.

    Parameters
    ----------
    n_steps : int
        Points in time after 0.
    step_size : float
        Not used by the flow; 1.
    batch_size : None
        The flow is that of the full batch.
    precision : {"float64"}
        The only one of the flow.
    end_time : float
        Last time, > 0.
    decades : float
        How many powers of ten before the end the first point lies, > 0.
    tolerance : float
        Relative error per step of the adaptive Runge-Kutta method, in (0, 0.1].

    Raises
    ------
    TypeError, ValueError
        If a field is outside its range.

    References
    ----------
    .. [1] Documentation, page "Gram space", section "Log time" [derived].
    """

    kind: ClassVar[str] = "flow-schedule"

    n_steps: int = 200
    end_time: float = 1e3
    decades: float = 10.0
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size is not None:
            raise ValueError(f"batch_size must be None for the gradient flow, got {self.batch_size}")
        for name, value in {
            "end_time": check_real("end_time", self.end_time, above=0.0),
            "decades": check_real("decades", self.decades, above=0.0, maximum=100.0),
            "tolerance": check_real("tolerance", self.tolerance, above=0.0, maximum=0.1),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def times(self) -> FloatArray:
        """Time of every point, 0 first, shape (n_steps + 1,)."""
        first = self.end_time * 10.0**-self.decades
        return np.concatenate([[0.0], np.geomspace(first, self.end_time, self.n_steps)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelativeSchedule(Schedule):
    r"""Steps of gradient descent as long as the coefficients allow, the same at any dimension.

    A step is :math:`\eta_0 + g\,t` at elapsed time t, shortened so that no class moves its own-class
    coefficients of u, or of v, by more than a share of the largest of them, and none by more than a fixed
    amount: a share of a large coefficient is many logits, too coarse while another class is still
    undecided. It reads inner
    products alone, so it commutes with rotations, and the number of steps grows like the logarithm of the
    time. The trace holds the elapsed time as ``"time"``.

    Parameters
    ----------
    n_steps : int
        Largest number of steps.
    step_size : float
        :math:`\eta_0`, the first step, > 0.
    batch_size : None
        Full batch only.
    precision : {"float64", "float32"}
        As for a :class:`Schedule`.
    largest_move : float
        Largest relative move of a class's largest coefficient per step, in (0, 1].
    largest_shift : float
        Largest move of an own-class coefficient per step, > 0; inf for none.
    growth : float
        g: how much of the elapsed time a step may take, at least 0.
    stop_loss : float or None
        Stop moving once the loss of the training (attacked, if there is an attack) is below this. Later
        records repeat the state.
    stop_time : float or None
        Stop moving likewise from this elapsed time on. A run that stands still takes longer and longer
        steps, until they add up the rounding of gradients that are zero.

    Raises
    ------
    TypeError, ValueError
        If a field is outside its range.

    References
    ----------
    .. [1] Documentation, page "Gram space", section "Steps that do not count" [choice].
    """

    kind: ClassVar[str] = "relative-schedule"

    n_steps: int = 5000
    largest_move: float = 0.05
    largest_shift: float = 0.2
    growth: float = 0.05
    stop_loss: float | None = None
    stop_time: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size is not None:
            raise ValueError(f"batch_size must be None with relative steps, got {self.batch_size}")
        moved = check_real("largest_move", self.largest_move, above=0.0, maximum=1.0)
        object.__setattr__(self, "largest_move", moved)
        shift = check_real("largest_shift", self.largest_shift, above=0.0, finite=False)
        object.__setattr__(self, "largest_shift", shift)
        object.__setattr__(self, "growth", check_real("growth", self.growth, minimum=0.0))
        if self.stop_loss is not None:
            object.__setattr__(self, "stop_loss", check_real("stop_loss", self.stop_loss, above=0.0))
        if self.stop_time is not None:
            object.__setattr__(self, "stop_time", check_real("stop_time", self.stop_time, above=0.0))
