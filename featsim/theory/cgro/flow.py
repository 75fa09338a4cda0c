r"""Gradient flow of the exact closure, in the logarithm of time.

Time is step size times steps. At the paper's exponents the last stage begins after about
:math:`\sqrt d/\eta` steps, more than can be taken; the flow gets there in a few thousand evaluations,
because each stage takes about the same number of decades. State are :math:`u_r` and the weights c of the
noise patches, :math:`W = W_0 + w^*(u - u_0)^\top + c^\top X`, so that :math:`v = v_0 + K c`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from featsim.kernels import signal_noise as kernel
from featsim.validation import FloatArray, check_choice, check_real

if TYPE_CHECKING:
    from scipy.integrate import RK45

    from featsim.models import PowerNetworkSpec
    from featsim.theory.cgro.closure import ClosureStart

_MAX_STEPS = 1_000_000  # a step that shrinks to nothing would never end


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FlowTrace:
    r"""What the flow of the closure gives.

    Attributes
    ----------
    times : ndarray, shape (t,)
        Recorded times, step size times steps.
    signal_coef : ndarray, shape (t, m)
        :math:`u_r`.
    signal_score, attacked_signal_score : ndarray, shape (t,)
        Clean and attacked signal score, mean over samples.
    memorisation : ndarray, shape (t, n)
        :math:`V_i`.
    signal_time : float
        When the signal score reached 1, inf if it never did.
    memorisation_times : ndarray, shape (n,)
        When each :math:`V_i` reached 1, inf where it never did.
    noise_coef, noise_weights : ndarray, shape (n, P - 1, m)
        v and c at the end.
    n_evaluations : int
        Evaluations of the field.
    """

    times: FloatArray
    signal_coef: FloatArray
    signal_score: FloatArray
    attacked_signal_score: FloatArray
    memorisation: FloatArray
    signal_time: float
    memorisation_times: FloatArray
    noise_coef: FloatArray
    noise_weights: FloatArray
    n_evaluations: int

    @property
    def memorisation_time(self) -> float:
        """Median over samples of the time at which V reached 1, inf if half never reach it."""
        with np.errstate(invalid="ignore"):
            return float(np.median(self.memorisation_times))


class ClosureFlow:
    r"""The flow as an initial value problem, for one start and one training.

    Parameters
    ----------
    start : ClosureStart
        Initial coefficients and Gram matrix.
    model : PowerNetworkSpec
        Power, activation and signs.
    weight : float
        :math:`\lambda` in [0, 1].
    left : float
        :math:`\tilde\alpha = \alpha - \delta`, by itself: at large d the difference would lose digits.
    rule : {"fixed", "worst"}
        Attack on the signal line.
    tolerance : float
        Relative error per step of the adaptive Runge-Kutta method, in (0, 0.1].

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range, or the model does not fit the start.
    """

    def __init__(
        self,
        start: ClosureStart,
        model: PowerNetworkSpec,
        *,
        weight: float,
        left: float,
        rule: str = "fixed",
        tolerance: float = 1e-6,
    ) -> None:
        self.weight = check_real("weight", weight, minimum=0.0, maximum=1.0)
        self.left = check_real("left", left, maximum=start.signal_strength)
        self.worst = check_choice("rule", rule, ("fixed", "worst")) == "worst"
        self.tolerance = check_real("tolerance", tolerance, above=0.0, maximum=0.1)
        n, patches, m = start.noise_coef.shape
        if m != model.width:
            raise ValueError(f"model must have the width {m} of the start, got {model.width}")
        self.start, self.model, self.shape = start, model, (n * patches, m)
        self._v0 = start.noise_coef.reshape(self.shape)
        self._code = int(model.power) if model.power in (2.0, 3.0, 4.0, 5.0) else 0
        self._signs = model.output_signs
        self._v, self.n_evaluations = np.empty(self.shape), 0
        # Errors below a small share of the initial size of u, and of what moves v by as much, do not matter.
        size_u = math.sqrt(float(np.mean(start.signal_coef**2))) or 1.0
        size_v = math.sqrt(float(np.mean(start.noise_coef**2))) or 1.0
        power = start.noise_power or 1.0
        self._floor = 0.1 * self.tolerance * np.concatenate(
            [np.full(m, size_u), np.full(self._v0.size, size_v / power)]
        )  # fmt: skip

    @property
    def initial_state(self) -> FloatArray:
        """State at time 0: u, then c = 0."""
        return np.concatenate([self.start.signal_coef, np.zeros(self._v0.size)])

    def split(self, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return u, shape (m,), and c, shape (n J, m)."""
        m = self.shape[1]
        return state[:m], state[m:].reshape(self.shape)

    def field(self, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the derivative in time, and V_i with the clean and the attacked signal score."""
        u, c = self.split(np.ascontiguousarray(state))
        out, scores = np.empty(state.size), np.empty(len(self.start.labels) + 2)
        du, dc = self.split(out)
        self.n_evaluations += 1
        kernel.closure_field(
            u, c, self._v0, self.start.gram, self.start.labels, self._signs,
            self.start.signal_strength, self.left, self.model.activation == "odd", self.model.power,
            self._code, self.weight, self.worst, du, dc, self._v, scores,
        )  # fmt: skip
        return out, scores

    def noise_coef(self, state: FloatArray) -> FloatArray:
        """Return v, shape (n, P - 1, m)."""
        found: FloatArray = self._v0 + self.start.gram @ self.split(state)[1]
        return found.reshape(self.start.noise_coef.shape)

    def advance(
        self,
        state: FloatArray,
        begin: float,
        end: float,
        on_step: Callable[[RK45, bool], None] | None = None,
    ) -> FloatArray:
        """Integrate from one time to another: in log time, or in time itself from 0.

        Parameters
        ----------
        state : ndarray
            State at `begin`.
        begin, end : float
            Times, 0 <= begin < end.
        on_step : callable, optional
            Told the solver after every step, and whether its variable is the logarithm of time.

        Returns
        -------
        ndarray
            State at `end`.

        Raises
        ------
        FloatingPointError
            If the state does not stay finite, or steps shrink to nothing.
        """
        from scipy.integrate import RK45

        logarithmic = begin > 0.0

        def rate(x: float, y: FloatArray) -> FloatArray:
            slope: FloatArray = self.field(y)[0]
            return slope * math.exp(x) if logarithmic else slope

        span = (math.log(begin), math.log(end)) if logarithmic else (begin, end)
        solver = RK45(
            rate, span[0], state, span[1], first_step=span[1] - span[0], rtol=self.tolerance, atol=self._floor
        )
        for _ in range(_MAX_STEPS):
            solver.step()
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                break
            if on_step is not None:
                on_step(solver, logarithmic)
            if solver.status == "finished":
                return np.asarray(solver.y)
        raise FloatingPointError(f"the flow must stay finite, got a step of 0 near time {solver.t:.3g}")

    def first_time(self, end: float) -> float:
        """Return a time by which nothing has moved yet: where log time may begin."""
        state = self.initial_state
        slope = self.field(state)[0]
        moved = np.abs(slope) / (np.abs(state) + self._floor / (0.1 * self.tolerance))
        return min(1e-3 / max(float(moved.max()), 1e-300), 1e-6 * end)


class FlowRecorder:
    """Collects states at given times, and when scores first reach 1."""

    def __init__(self, flow: ClosureFlow, record_at: FloatArray) -> None:
        n = len(flow.start.labels)
        self.flow, self.times = flow, record_at
        self.states: list[FloatArray] = []
        self.reached = np.full(n + 1, np.inf)
        self._before = flow.field(flow.initial_state)[1][: n + 1]
        self.reached[self._before >= 1.0] = 0.0

    def __call__(self, solver: RK45, logarithmic: bool) -> None:
        """Look at the step that the solver has just made."""
        place = math.exp if logarithmic else float
        inside = solver.dense_output()
        while len(self.states) < len(self.times):
            wanted = self.times[len(self.states)]
            x = (math.log(wanted) if wanted > 0.0 else -math.inf) if logarithmic else wanted
            if x > solver.t * (1.0 + 1e-14 * np.sign(solver.t)):
                break
            self.states.append(inside(min(max(x, solver.t_old), solver.t)))
        now = self.flow.field(solver.y)[1][: len(self.reached)]
        for i in np.flatnonzero((now >= 1.0) & np.isinf(self.reached)):
            self.reached[i] = place(self._crossing(inside, solver.t_old, solver.t, int(i)))

    def _crossing(self, inside: Callable[[float], FloatArray], low: float, high: float, which: int) -> float:
        """Find where a score reaches 1 within a step."""
        from scipy.optimize import brentq

        def above(x: float) -> float:
            return float(self.flow.field(inside(x))[1][which]) - 1.0

        # The interpolant meets the steps' ends only up to rounding.
        if above(low) >= 0.0 or above(high) <= 0.0:
            return high
        return float(brentq(above, low, high, xtol=1e-9, rtol=1e-9))


def closure_flow(
    start: ClosureStart,
    model: PowerNetworkSpec,
    *,
    weight: float,
    left: float,
    end: float,
    rule: str = "fixed",
    record_at: FloatArray | None = None,
    tolerance: float = 1e-6,
) -> FlowTrace:
    r"""Integrate the gradient flow of the closure, and find the stage times.

    The limit of small steps of :meth:`ClosureStart.run`: they differ in the first order of the step size.

    Parameters
    ----------
    start : ClosureStart
        Initial coefficients and Gram matrix.
    model : PowerNetworkSpec
        Power, activation and signs.
    weight : float
        :math:`\lambda` in [0, 1].
    left : float
        :math:`\tilde\alpha = \alpha - \delta \le \alpha`, what the attack leaves of the signal.
    end : float
        Last time, step size times steps, > 0.
    rule : {"fixed", "worst"}
        Attack on the signal line.
    record_at : ndarray, optional
        Times in (0, end] to record; `end` is added. Default: 200, evenly spaced in the logarithm.
    tolerance : float
        Relative error per step.

    Returns
    -------
    FlowTrace
        States at those times, and when each score first reached 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.
    FloatingPointError
        If the flow does not stay finite.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2306.01271; documentation, page "Gram space", section
       "Log time" [derived].
    """
    last = check_real("end", end, above=0.0)
    flow = ClosureFlow(start, model, weight=weight, left=left, rule=rule, tolerance=tolerance)
    first = flow.first_time(last)
    wanted = np.geomspace(first, last, 200) if record_at is None else np.asarray(record_at, dtype=np.float64)
    if wanted.size and not (wanted.min() > 0.0 and wanted.max() <= last):
        raise ValueError(f"record_at must lie in (0, {last:g}], got {wanted.min():g}..{wanted.max():g}")
    times = np.unique(np.append(wanted, last))
    recorder = FlowRecorder(flow, times)
    state = flow.advance(flow.initial_state, 0.0, first, recorder)
    state = flow.advance(state, first, last, recorder)
    scores = np.array([flow.field(y)[1] for y in recorder.states])
    n = len(start.labels)
    return FlowTrace(
        times=times,
        signal_coef=np.array([flow.split(y)[0] for y in recorder.states]),
        signal_score=scores[:, n],
        attacked_signal_score=scores[:, n + 1],
        memorisation=scores[:, :n],
        signal_time=float(recorder.reached[n]),
        memorisation_times=recorder.reached[:n],
        noise_coef=flow.noise_coef(state),
        noise_weights=flow.split(state)[1].reshape(start.noise_coef.shape),
        n_evaluations=flow.n_evaluations,
    )
