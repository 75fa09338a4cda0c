r"""The exact closure of training on signal-plus-noise data in signal and noise coefficients.

Noise is orthogonal to w*, so :math:`u_r = \langle w_r, w^*\rangle` and
:math:`v_{ijr} = \langle w_r, X_i[j]\rangle` evolve without the weights, given the Gram matrix K of
the noise patches: m(1 + n(P-1)) numbers, whatever the dimension. docs/cgro, "The exact closure"
[derived, exact]; with K replaced by its mean diagonal, the decoupled form of the paper's proof.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from featsim.kernels import signal_noise as kernel
from featsim.models import power_activation
from featsim.validation import FloatArray, IntArray, check_array, check_choice, check_integer, check_real

if TYPE_CHECKING:
    from featsim.data import SignalNoiseData
    from featsim.models import PowerNetworkSpec

_MODES = {"fixed": kernel.FIXED, "worst": kernel.WORST, "none": kernel.CLEAN}
_TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ClosureTrace:
    r"""What the closure predicts.

    Attributes
    ----------
    steps : ndarray, shape (t,)
        Recorded steps, fewer than asked for where a score left the finite numbers.
    signal_coef : ndarray, shape (t, m)
        :math:`u_r`.
    signal_score : ndarray, shape (t,)
        S, mean over the two labels.
    memorisation : ndarray, shape (t, n)
        :math:`V_i`.
    memorised_at : ndarray, shape (n,)
        First step with :math:`V_i \ge 1`, -1 if there is none; every step counts, recorded or not.
    signal_at, mean_memorised_at : int
        First step with S >= 1 (mean over samples), and with mean V >= 1; -1 if there is none.
    noise_coef : ndarray, shape (n, P - 1, m)
        :math:`v_{ijr}` at the end.
    """

    steps: IntArray
    signal_coef: FloatArray
    signal_score: FloatArray
    memorisation: FloatArray
    memorised_at: IntArray
    signal_at: int
    mean_memorised_at: int
    noise_coef: FloatArray

    @property
    def memorisation_step(self) -> float:
        r"""Median over samples of the first step with :math:`V_i \ge 1`, inf if half never reach it."""
        return float(np.median(np.where(self.memorised_at < 0, np.inf, self.memorised_at)))

    @property
    def signal_step(self) -> float:
        """First step with S >= 1, inf if there is none."""
        return float(self.signal_at) if self.signal_at >= 0 else float("inf")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ClosureStart:
    r"""State and data of the closure.

    Parameters
    ----------
    signal_coef : array_like, shape (m,)
        Initial :math:`u_r`.
    noise_coef : array_like, shape (n, P - 1, m)
        Initial :math:`v_{ijr}`.
    gram : array_like, shape (n (P - 1), n (P - 1))
        K, inner products of the noise patches, sample-major; symmetric.
    labels : array_like, shape (n,)
        Signs +1 and -1.
    signal_strength : float
        :math:`\alpha > 0`.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit or a value is impossible.
    """

    signal_coef: FloatArray
    noise_coef: FloatArray
    gram: FloatArray
    labels: FloatArray
    signal_strength: float

    def __post_init__(self) -> None:
        v = check_array("noise_coef", self.noise_coef, ("n", "P - 1", "m"))
        n, patches, m = v.shape
        gram = check_array("gram", self.gram, (n * patches, n * patches))
        labels = check_array("labels", self.labels, (n,))
        if not np.isin(labels, (-1.0, 1.0)).all():
            raise ValueError(f"labels must be +1 and -1, got {np.unique(labels).tolist()}")
        if not np.allclose(gram, gram.T, rtol=1e-9, atol=1e-12):
            raise ValueError(f"gram must be symmetric, got a difference of {np.abs(gram - gram.T).max():.3g}")
        strength = check_real("signal_strength", self.signal_strength, above=0.0)
        for name, value in {
            "noise_coef": v,
            "gram": gram,
            "labels": labels,
            "signal_coef": check_array("signal_coef", self.signal_coef, (m,)),
            "signal_strength": strength,
        }.items():
            object.__setattr__(self, name, value)

    @property
    def noise_power(self) -> float:
        r"""Mean diagonal of K, :math:`\sigma^2 d` of the decoupled form."""
        return float(np.mean(np.diag(self.gram)))

    def decoupled(self) -> ClosureStart:
        r"""Return the form the paper's proof uses, :math:`K = \sigma^2 d\, I`: patches do not interact."""
        return dataclasses.replace(self, gram=self.noise_power * np.eye(len(self.gram)))

    def run(
        self,
        model: PowerNetworkSpec,
        *,
        weight: float,
        radius: float,
        step_size: float,
        n_steps: int,
        rule: str = "fixed",
        record_at: IntArray | None = None,
    ) -> ClosureTrace:
        r"""Run the exact closure, for either network and either attack on the signal line.

        Parameters
        ----------
        model : PowerNetworkSpec
            Power, activation and signs.
        weight : float
            :math:`\lambda` in [0, 1].
        radius : float
            :math:`\delta \ge 0`.
        step_size : float
            :math:`\eta > 0`.
        n_steps : int
            Steps, at least 1.
        rule : {"fixed", "worst"}
            Attack on the signal line.
        record_at : ndarray of int, optional
            Steps to record; 0 and the last are added. Default: just those.

        Returns
        -------
        ClosureTrace
            Signal and memorisation at those steps, and when each first reached 1.

        Raises
        ------
        TypeError, ValueError
            If an argument is outside its range, or the model does not fit the start.
        """
        n, patches, m = self.noise_coef.shape
        if model.width != m:  # the kernel would read signs that are not there
            raise ValueError(f"model must have the width {m} of the start, got {model.width}")
        lam = check_real("weight", weight, minimum=0.0, maximum=1.0)
        delta = check_real("radius", radius, minimum=0.0)
        eta = check_real("step_size", step_size, above=0.0)
        last = check_integer("n_steps", n_steps, minimum=1)
        mode = _MODES[check_choice("rule", rule, ("fixed", "worst"))]
        extra = np.empty(0, np.int64) if record_at is None else np.asarray(record_at)
        if extra.dtype.kind not in "iu" or extra.ndim != 1:
            raise ValueError(
                f"record_at must hold integer steps, shape (t,), got {extra.dtype} of shape {extra.shape}"
            )
        record = np.unique(np.concatenate([[0, last], extra]))
        if record[-1] > last or record[0] < 0:
            raise ValueError(f"record_at must lie in 0..{last}, got {record[0]}..{record[-1]}")
        u, v = self.signal_coef.copy(), self.noise_coef.reshape(n * patches, m).copy()
        signs = model.output_signs
        code = int(model.power) if model.power in (2.0, 3.0, 4.0, 5.0) else 0
        u_out, V_out = np.empty((len(record), m)), np.empty((len(record), n))
        first = np.empty(n + 2, dtype=np.int64)
        done = kernel.closure_trajectory(
            u, v, self.gram, self.labels, signs, self.signal_strength, model.activation == "odd",
            model.power, code, lam, mode, delta, eta, record, u_out, V_out, first,
        )  # fmt: skip
        ends = np.array([self.signal_strength, -self.signal_strength])
        along = power_activation(ends[:, None, None] * u_out[:done], model.power, model.activation) @ signs
        return ClosureTrace(
            steps=record[:done],
            signal_coef=u_out[:done],
            signal_score=0.5 * (along[0] - along[1]),
            memorisation=V_out[:done],
            memorised_at=first[:n],
            signal_at=int(first[n]),
            mean_memorised_at=int(first[n + 1]),
            noise_coef=v.reshape(n, patches, m),
        )


def closure_from_weights(weights: FloatArray, data: SignalNoiseData) -> ClosureStart:
    r"""Return the closure's start for given weights and data.

    Parameters
    ----------
    weights : ndarray, shape (1, m, d)
        Initial weights.
    data : SignalNoiseData
        Training data whose noise is orthogonal to w* and whose signal patches are
        :math:`\alpha y w^*` with one :math:`\alpha`.

    Returns
    -------
    ClosureStart
        Coefficients, Gram matrix and labels.

    Raises
    ------
    ValueError
        If the data are not of that form, where the closure would not be exact.

    References
    ----------
    .. [1] Exact closure of the dynamics of Li & Li, arXiv:2306.01271 (docs/cgro) [derived].
    """
    W = check_array("weights", weights, (1, "m", data.dim))[0]
    noise = data.noise.reshape(-1, data.dim)
    leak = float(np.abs(noise @ data.signal).max())
    own = data.X[np.arange(data.n_samples), data.signal_patch]
    error = float(np.abs(own - data.signal_strength * data.signs[:, None] * data.signal).max())
    scale = max(1.0, data.signal_strength, float(np.abs(noise).max()))
    if leak > _TOLERANCE * scale:
        raise ValueError(f"noise must be orthogonal to the signal, got an inner product of {leak:.3g}")
    if error > _TOLERANCE * scale:
        raise ValueError(
            f"signal patches must be alpha y w* with one alpha, got one {error:.3g} away from it; "
            "the closure is exact only then"
        )
    return ClosureStart(
        signal_coef=W @ data.signal,
        noise_coef=(noise @ W.T).reshape(data.n_samples, -1, len(W)),
        gram=noise @ noise.T,
        labels=data.signs,
        signal_strength=data.signal_strength,
    )
