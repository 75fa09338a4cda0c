r"""Stage laws of training on signal-plus-noise data, and the condition that decides the outcome.

Every stage is the scalar equation :math:`\dot z = c z^{q-1}`, whose solution blows up at
:math:`1/((q-2)\,c\,z_0^{q-2})`. Time is in steps. docs/cgro, "The stage laws" [derived].
"""

from __future__ import annotations

import dataclasses

import numpy as np

from featsim.validation import FloatArray, check_array, check_integer, check_real


def blow_up_time(start: FloatArray | float, rate: float, power: float) -> FloatArray:
    r"""Return when :math:`\dot z = c z^{q-1}` blows up.

    Parameters
    ----------
    start : array_like
        :math:`z_0`; what is not positive never blows up (inf).
    rate : float
        :math:`c`; not positive: never.
    power : float
        :math:`q > 2`.

    Returns
    -------
    ndarray, shape of `start`
        :math:`1/((q-2)\,c\,z_0^{q-2})`.

    Raises
    ------
    ValueError
        If the power is 2 or less: growth is then exponential at most.
    """
    q = check_real("power", power, above=2.0, hint="at q = 2 growth is exponential, without a blow-up")
    z = np.asarray(start, dtype=np.float64)
    if not rate > 0.0:
        return np.full(z.shape, np.inf)
    with np.errstate(divide="ignore", over="ignore"):
        time: FloatArray = 1.0 / ((q - 2.0) * rate * np.maximum(z, 0.0) ** (q - 2.0))
    return time


def power_growth(
    start: FloatArray | float, rate: float, power: float, time: FloatArray | float
) -> FloatArray:
    r"""Return the solution of :math:`\dot z = c|z|^{q-1}`, of either sign.

    Parameters
    ----------
    start : array_like
        :math:`z_0`.
    rate : float
        :math:`c \ge 0`.
    power : float
        :math:`q > 2`.
    time : array_like, shape (t,) or ()
        :math:`t \ge 0`.

    Returns
    -------
    ndarray, shape of `time` followed by that of `start`
        :math:`z_0 \bigl(1 - \mathrm{sgn}(z_0)(q-2)\,c\,|z_0|^{q-2}\,t\bigr)^{-1/(q-2)}`: a positive start
        grows and is inf from :func:`blow_up_time` on, a negative one fades.

    Raises
    ------
    ValueError
        If the power is 2 or less, the rate negative or a time negative.
    """
    q = check_real("power", power, above=2.0, hint="at q = 2 growth is exponential, without a blow-up")
    c = check_real("rate", rate, minimum=0.0)
    z, t = np.asarray(start, dtype=np.float64), np.asarray(time, dtype=np.float64)
    if t.size and not t.min() >= 0.0:
        raise ValueError(f"time must be >= 0, got {t.min():g}")
    left = 1.0 - np.multiply.outer(t, np.sign(z) * (q - 2.0) * c * np.abs(z) ** (q - 2.0))
    with np.errstate(divide="ignore"):
        grown: FloatArray = np.where(left > 0.0, z * np.maximum(left, 0.0) ** (-1.0 / (q - 2.0)), np.inf)
    return np.where(z == 0.0, 0.0, grown)


def attacked_power(position: float, power: float) -> float:
    r"""Return :math:`\phi(\tilde\alpha) = \mathrm{sgn}(\tilde\alpha)|\tilde\alpha|^q`.

    Parameters
    ----------
    position : float
        :math:`\tilde\alpha = \alpha - \delta`, what the attack leaves of the signal.
    power : float
        q.

    Returns
    -------
    float
        The signed power.
    """
    return float(np.sign(position) * abs(position) ** power)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageLaws:
    r"""The stage laws for one setting.

    Parameters
    ----------
    n_samples : int
        N, at least 1.
    signal_strength, radius : float
        :math:`\alpha > 0` and :math:`\delta \ge 0`.
    noise_norm : float
        :math:`\sigma\sqrt d > 0`.
    power : float
        :math:`q > 2`.
    step_size : float
        :math:`\eta > 0`.
    weight : float
        :math:`\lambda` in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    References
    ----------
    .. [1] Stages: Li & Li, arXiv:2306.01271 [source]; the laws with their constants (docs/cgro) [derived].
    """

    n_samples: int
    signal_strength: float
    radius: float
    noise_norm: float
    power: float
    step_size: float
    weight: float

    def __post_init__(self) -> None:
        for name, value in {
            "n_samples": check_integer("n_samples", self.n_samples, minimum=1),
            "signal_strength": check_real("signal_strength", self.signal_strength, above=0.0),
            "radius": check_real("radius", self.radius, minimum=0.0),
            "noise_norm": check_real("noise_norm", self.noise_norm, above=0.0),
            "power": check_real("power", self.power, above=2.0),
            "step_size": check_real("step_size", self.step_size, above=0.0),
            "weight": check_real("weight", self.weight, minimum=0.0, maximum=1.0),
        }.items():
            object.__setattr__(self, name, value)

    def signal_time(self, signal_coef: FloatArray, signs: FloatArray | None = None) -> float:
        r"""Return :math:`T_I = 1/((q-2)\,c_u\,u_0^{q-2})`, when the signal is learned.

        :math:`c_u = (\eta q/2)[(1-\lambda)\alpha^q + \lambda\phi(\tilde\alpha)]`,
        :math:`u_0 = \max_r a_r u_r(0)`.

        Parameters
        ----------
        signal_coef : ndarray, shape (m,)
            :math:`u_r(0)`.
        signs : ndarray, shape (m,), optional
            Second layer a, ones by default.

        Returns
        -------
        float
            Steps; inf if no filter starts in the right direction or nothing drives it.
        """
        start = np.max(np.asarray(signal_coef) * (1.0 if signs is None else signs))
        return float(blow_up_time(start, self.signal_rate, self.power))

    @property
    def signal_rate(self) -> float:
        r"""Rate :math:`c_u = (\eta q/2)[(1-\lambda)\alpha^q + \lambda\phi(\tilde\alpha)]` of stage I."""
        q, lam, alpha = self.power, self.weight, self.signal_strength
        drive: float = (1.0 - lam) * alpha**q + lam * attacked_power(alpha - self.radius, q)
        return 0.5 * self.step_size * q * drive

    @property
    def memorisation_rate(self) -> float:
        r"""Rate :math:`c_v = (\eta q/2)\lambda\sigma^2 d/N` of stage III: a sample sees its own 1/N share."""
        return 0.5 * self.step_size * self.power * self.weight * self.noise_norm**2 / self.n_samples

    def growing_score(self, signal_coef: FloatArray, step: FloatArray | float) -> FloatArray:
        r"""Return the signal score of stage I, :math:`S = \alpha^q \sum_r \phi(u_r)`.

        For the odd network. Every filter solves :math:`\dot u_r = c_u |u_r|^{q-1}` from its own start, as
        long as the loss is at log 2.

        Parameters
        ----------
        signal_coef : ndarray, shape (m,)
            :math:`u_r(0)`; of a network with signs :math:`a_r`, :math:`a_r u_r(0)`.
        step : array_like, shape (t,) or ()
            Steps, >= 0.

        Returns
        -------
        ndarray, shape of `step`
            S; inf from :meth:`signal_time` on.

        Raises
        ------
        ValueError
            If a step is negative or the rate is, with a radius beyond the signal.
        """
        start = check_array("signal_coef", signal_coef, ("m",))
        u = power_growth(start, self.signal_rate, self.power, step)
        return _odd_sum(self.signal_strength * u, self.power, (-1,))

    def growing_memorisation(
        self, noise_coef: FloatArray, labels: FloatArray, step: FloatArray | float
    ) -> FloatArray:
        r"""Return the memorisation of stage III, :math:`V_i = \sum_{j,r} \phi(y_i v_{ijr})`.

        For the odd network. Every product solves :math:`\dot v = c_v |v|^{q-1}` from its own start, as long
        as the attacked loss is at log 2; the clean loss, nearly gone by then, and other samples do not
        drive it.

        Parameters
        ----------
        noise_coef : ndarray, shape (n, P - 1, m)
            :math:`v_{ijr}(0)`; of a network with signs :math:`a_r`, :math:`a_r v_{ijr}(0)`.
        labels : ndarray, shape (n,)
            Signs.
        step : array_like, shape (t,) or ()
            Steps, >= 0.

        Returns
        -------
        ndarray, shape of `step` followed by (n,)
            V of each sample; inf from :meth:`memorisation_time` on.

        Raises
        ------
        ValueError
            If a step is negative.
        """
        start = check_array("noise_coef", noise_coef, ("n", "P - 1", "m"))
        y = check_array("labels", labels, (len(start),))
        v = power_growth(y[:, None, None] * start, self.memorisation_rate, self.power, step)
        return _odd_sum(v, self.power, (-2, -1))

    def memorisation_time(
        self, noise_coef: FloatArray, labels: FloatArray, signs: FloatArray | None = None
    ) -> FloatArray:
        r"""Return :math:`T_{III,i} = 2N/(\eta q(q-2)\lambda\sigma^2 d\,v_{0,i}^{q-2})` of each sample.

        Parameters
        ----------
        noise_coef : ndarray, shape (n, P - 1, m)
            :math:`v_{ijr}(0)`; :math:`v_{0,i} = \max_{j,r} a_r y_i v_{ijr}`.
        labels : ndarray, shape (n,)
            Signs.
        signs : ndarray, shape (m,), optional
            Second layer a, ones by default.

        Returns
        -------
        ndarray, shape (n,)
            Steps; inf for a sample whose products are all negative, which is never memorised
            by itself.
        """
        start = largest_start(noise_coef, labels, signs)
        return blow_up_time(start, self.memorisation_rate, self.power)

    def stalled_score(self, step: FloatArray | float) -> FloatArray:
        r"""Return the signal score of stage II, where it grows like a logarithm.

        The larger solution of :math:`S = \log(\eta q^2(1-\lambda)\alpha^2 t) + (2-2/q)\log S`.

        Parameters
        ----------
        step : array_like
            t > 0.

        Returns
        -------
        ndarray, shape of `step`
            S; nan before the law has a solution, and for :math:`\lambda = 1`.
        """
        from scipy.special import lambertw  # not before it is needed: every training would wait for it

        q, t = self.power, np.asarray(step, dtype=np.float64)
        b = 2.0 - 2.0 / q
        with np.errstate(divide="ignore", invalid="ignore"):
            log_c = np.log(self.step_size * q * q * (1.0 - self.weight) * self.signal_strength**2 * t)
            # S = log C + b log S  <=>  -S/b exp(-S/b) = -C^(-1/b)/b; the branch -1 is the larger S.
            inside = -np.exp(-log_c / b) / b
        score = np.where(inside >= -np.exp(-1.0), -b * lambertw(inside, -1).real, np.nan)
        found: FloatArray = np.where(np.isfinite(log_c), score, np.nan)
        return found

    def stalled_coef(self, step: float) -> float:
        r"""Return :math:`u_I = S^{1/q}/\alpha` at a step of stage II."""
        return float(self.stalled_score(step) ** (1.0 / self.power) / self.signal_strength)

    def robust_time(self, stalled_coef: float) -> float:
        r"""Return :math:`T_{adv} = 2/(\eta q(q-2)\lambda\tilde\alpha^q u_I^{q-2})`.

        When the adversarial loss alone would have driven the signal to robustness.

        Parameters
        ----------
        stalled_coef : float
            :math:`u_I`.

        Returns
        -------
        float
            Steps; inf where :math:`\tilde\alpha \le 0` or :math:`\lambda = 0`.
        """
        drive = attacked_power(self.signal_strength - self.radius, self.power)
        rate = 0.5 * self.step_size * self.power * self.weight * drive
        return float(blow_up_time(stalled_coef, rate, self.power))

    def critical_ratio(self, noise_start: float, stalled_coef: float) -> float:
        r"""Return :math:`\rho^* = \delta^*/\alpha` above which memorisation outruns robust learning.

        :math:`1-\rho^* = \frac1\alpha\left[\frac{\sigma^2 d}{N}(v_0/u_I)^{q-2}\right]^{1/q}`, from
        :math:`T_{III} = T_{adv}`. Not a statement of the paper [derived].

        Parameters
        ----------
        noise_start : float
            :math:`v_0 > 0`, a typical :math:`v_{0,i}`.
        stalled_coef : float
            :math:`u_I > 0`.

        Returns
        -------
        float
            :math:`\rho^*`.
        """
        v0 = check_real("noise_start", noise_start, above=0.0)
        u1 = check_real("stalled_coef", stalled_coef, above=0.0)
        q = self.power
        left = (self.noise_norm**2 / self.n_samples * (v0 / u1) ** (q - 2.0)) ** (1.0 / q)
        return float(1.0 - left / self.signal_strength)


def _odd_sum(values: FloatArray, power: float, axes: tuple[int, ...]) -> FloatArray:
    total: FloatArray = (np.sign(values) * np.abs(values) ** power).sum(axis=axes)
    return total


def largest_start(noise_coef: FloatArray, labels: FloatArray, signs: FloatArray | None = None) -> FloatArray:
    r"""Return :math:`v_{0,i} = \max_{j,r} a_r y_i v_{ijr}(0)` of each sample.

    Parameters
    ----------
    noise_coef : ndarray, shape (n, P - 1, m)
        :math:`v_{ijr}(0)`.
    labels : ndarray, shape (n,)
        Signs.
    signs : ndarray, shape (m,), optional
        Second layer a, ones by default.

    Returns
    -------
    ndarray, shape (n,)
        Not positive for a sample that no filter starts to memorise.
    """
    a = 1.0 if signs is None else np.asarray(signs)
    start: FloatArray = np.max(np.asarray(labels)[:, None, None] * a * noise_coef, axis=(1, 2))
    return start
