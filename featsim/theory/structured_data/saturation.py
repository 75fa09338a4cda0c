r"""Why adversarial training stops the non-robust feature, and the limit of robustness.

Documentation, page "Structured data", sections "Saturation" to "What cannot be robust" [derived].
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from featsim.theory.structured_data.activation import activation_slope, check_activation
from featsim.theory.structured_data.race import race_strength
from featsim.validation import FloatArray, check_integer, check_real


def saturation_level(
    attack_step_size: float,
    *,
    nonrobust_strength: float,
    power: float,
    smoothing: float,
    error_probability: float = 1.0,
    radius: float = math.inf,
) -> float:
    r"""Return B*, the level at which adversarial training stops a non-robust coefficient.

    For one dominant neuron the raw step leaves on a non-robust patch the preactivation
    :math:`\beta B - \eta_{in}(1-p)^a s'(\beta B) B^2`. It reaches 0, and the neuron dies on
    attacked patches, at

    .. math:: B^* = \left[\frac{\varrho^{q-1}}{\eta_{in}(1-p)^a\beta^{q-2}}\right]^{1/q}
        \quad\text{if } \beta B^* \le \varrho,\qquad
        B^* = \frac{\beta}{\eta_{in}(1-p)^a} \text{ beyond.}

    An upper bound of what is seen: extra weight mass strengthens the attack, and the last
    part of the way takes ever longer because the attacked slope vanishes at B*. [derived]

    Parameters
    ----------
    attack_step_size : float
        :math:`\eta_{in} > 0`, finite.
    nonrobust_strength : float
        :math:`\beta > 0`.
    power, smoothing : float
        Exponent q > 1 and width :math:`\varrho > 0` of the activation.
    error_probability : float
        :math:`1-p` in (0, 1] for the loss form (A-raw); 1 for the margin form.
    radius : float
        Budget per patch. The step at B* has length :math:`\beta`, so a smaller radius
        is refused: there the clip binds first (see :func:`nonrobust_escapes`).

    Returns
    -------
    float
        The saturation level.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible or `radius` < `nonrobust_strength`.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Saturation" [derived].
    """
    q, rho = check_activation(power, smoothing)
    if q <= 1.0:
        raise ValueError(f"power must be > 1, got {q}; at power 1 the slope does not vanish at 0")
    beta = check_real("nonrobust_strength", nonrobust_strength, above=0.0)
    check_real("radius", radius, minimum=beta, finite=False, hint="below, the clip binds before B*")
    eta = check_real("attack_step_size", attack_step_size, above=0.0)
    eta *= check_real("error_probability", error_probability, above=0.0, maximum=1.0)
    level = (rho ** (q - 1.0) / (eta * beta ** (q - 2.0))) ** (1.0 / q)
    return float(level if beta * level <= rho else beta / eta)


def saturation_rate(
    coef: FloatArray | float,
    attack_step_size: float,
    *,
    n_nonrobust_patches: int,
    nonrobust_strength: float,
    power: float,
    smoothing: float,
    step_size: float,
    class_fraction: float,
    n_classes: int,
) -> FloatArray:
    r"""Return dB/dt of one isolated neuron under unclipped A-margin training.

    With the attacked preactivation :math:`z = B\,x`, :math:`x = \beta - \eta_{in}s'(\beta B)B`,

    .. math:: \dot B = g\,P_{NR}\,s'(z)\,x,\qquad g = \eta\pi(1-1/k).

    Near B* the rate is :math:`\propto (B^*-B)^q`, so B nears B* only like
    :math:`t^{-1/(q-1)}`: a plateau read off at a finite time lies below B*, further below
    for larger q. [derived]

    Parameters
    ----------
    coef : array_like
        Coefficient B.
    attack_step_size : float
        :math:`\eta_{in} \ge 0`.
    n_nonrobust_patches : int
        :math:`P_{NR}`, at least 1.
    nonrobust_strength : float
        :math:`\beta > 0`.
    power, smoothing : float
        Exponent q >= 1 and width :math:`\varrho > 0` of the activation.
    step_size : float
        :math:`\eta > 0`.
    class_fraction : float
        Fraction of the samples in the class, in (0, 1].
    n_classes : int
        k >= 2.

    Returns
    -------
    ndarray, shape of `coef`
        Growth per step while the loss of the class is still log k.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Saturation" [derived].
    """
    q, rho = check_activation(power, smoothing)
    beta = check_real("nonrobust_strength", nonrobust_strength, above=0.0)
    eta_in = check_real("attack_step_size", attack_step_size, minimum=0.0)
    n = check_integer("n_nonrobust_patches", n_nonrobust_patches, minimum=1)
    k = check_integer("n_classes", n_classes, minimum=2)
    g = check_real("step_size", step_size, above=0.0) * (1.0 - 1.0 / k)
    g *= check_real("class_fraction", class_fraction, above=0.0, maximum=1.0)
    B = np.asarray(coef, dtype=np.float64)
    left = beta - eta_in * activation_slope(beta * B, q, rho) * B
    return np.asarray(g * n * activation_slope(B * left, q, rho) * left)


def nonrobust_escapes(
    robust_coef: FloatArray | float,
    nonrobust_coef: FloatArray | float,
    *,
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
    power: float,
    radius: float,
) -> npt.NDArray[np.bool_]:
    r"""Return whether a non-robust coefficient outruns the robust one under clipped attacks.

    Once the clip binds, patches keep :math:`\beta-\epsilon` and :math:`\alpha-\epsilon` of
    their features, and B escapes iff
    :math:`P_{NR}(\beta-\epsilon)_+^q B^{q-2} > P_R(\alpha-\epsilon)_+^q A^{q-2}`. [derived]

    Parameters
    ----------
    robust_coef, nonrobust_coef : array_like, broadcastable
        Largest own-class coefficients when the clip starts to bind; for B take
        B* of :func:`saturation_level`. What is not positive does not race.
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R` and :math:`P_{NR}`, at least 0.
    robust_strength, nonrobust_strength : float
        :math:`\alpha` and :math:`\beta`, at least 0.
    power : float
        Exponent q >= 2.
    radius : float
        :math:`\epsilon \ge 0`; 0 gives the race of standard training.

    Returns
    -------
    ndarray of bool, broadcast shape
        True where the non-robust feature wins in spite of the attack.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The clipped race" [derived].
    """
    q = check_real("power", power, minimum=2.0, hint="below 2 there is no race")
    eps = check_real("radius", radius, minimum=0.0)
    alpha = check_real("robust_strength", robust_strength, minimum=0.0)
    beta = check_real("nonrobust_strength", nonrobust_strength, minimum=0.0)
    speeds = []
    for coef, n, left in (
        (robust_coef, n_robust_patches, max(alpha - eps, 0.0)),
        (nonrobust_coef, n_nonrobust_patches, max(beta - eps, 0.0)),
    ):
        c = np.maximum(np.asarray(coef, dtype=np.float64), 0.0)
        speeds.append(np.where(c > 0.0, race_strength(n, left, q) * c ** (q - 2.0), 0.0))
    return np.asarray(speeds[1] > speeds[0])


def escape_radius(
    robust_coef: float,
    nonrobust_coef: float,
    *,
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
    power: float,
) -> float:
    r"""Return the radius at which the clipped race is even, where :func:`nonrobust_escapes` turns.

    Parameters
    ----------
    robust_coef, nonrobust_coef : float
        Largest own-class coefficients when the clip starts to bind, greater than 0.
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R` and :math:`P_{NR}`, at least 1.
    robust_strength, nonrobust_strength : float
        :math:`\alpha > \beta > 0`.
    power : float
        Exponent q >= 2.

    Returns
    -------
    float
        With :math:`\kappa = [P_{NR}B^{q-2}/(P_R A^{q-2})]^{1/q}`:
        :math:`\epsilon = (\kappa\beta-\alpha)/(\kappa-1)`; 0 if v loses even without an attack. [derived]

    Raises
    ------
    ValueError
        If an argument is impossible.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "The clipped race" [derived].
    """
    q = check_real("power", power, minimum=2.0, hint="below 2 there is no race")
    a, b = (
        check_real(name, value, above=0.0)
        for name, value in (("robust_coef", robust_coef), ("nonrobust_coef", nonrobust_coef))
    )
    n_r = check_integer("n_robust_patches", n_robust_patches, minimum=1)
    n_nr = check_integer("n_nonrobust_patches", n_nonrobust_patches, minimum=1)
    beta = check_real("nonrobust_strength", nonrobust_strength, above=0.0)
    alpha = check_real("robust_strength", robust_strength, above=beta)
    kappa = (n_nr / n_r * (b / a) ** (q - 2.0)) ** (1.0 / q)
    return float(max(0.0, (kappa * beta - alpha) / (kappa - 1.0))) if kappa * beta > alpha else 0.0


def writing_radius(
    n_robust_patches: int, n_nonrobust_patches: int, robust_strength: float, power: float
) -> float:
    r"""Return the radius at which writing a foreign u on all other patches wins.

    Against a per-patch l2 budget the adversary writes :math:`\epsilon u_{y'}` on every
    non-robust patch and removes as much of :math:`u_y` from the robust ones; with equal
    coefficients in all classes it wins as soon as :math:`P_{NR}\epsilon^q > P_R(\alpha-\epsilon)^q`.
    For :math:`P_{NR} \ge P_R` that holds in every region of the activation, because s(z)/z^q
    does not increase; otherwise in the power region. [derived]

    Parameters
    ----------
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R \ge 1` and :math:`P_{NR} \ge 0`.
    robust_strength : float
        :math:`\alpha \ge 0`.
    power : float
        Exponent q >= 1.

    Returns
    -------
    float
        :math:`\alpha/(1+(P_{NR}/P_R)^{1/q})`: no network of this form with equal coefficients
        is worst-case robust beyond. In the power region it is the radius of a pure-u network.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What cannot be robust" [derived].
    """
    n_r = check_integer("n_robust_patches", n_robust_patches, minimum=1)
    n_nr = check_integer("n_nonrobust_patches", n_nonrobust_patches, minimum=0)
    alpha = check_real("robust_strength", robust_strength, minimum=0.0)
    return float(alpha / (1.0 + (n_nr / n_r) ** (1.0 / check_real("power", power, minimum=1.0))))


def writing_attack_wins(
    radius: float, n_robust_patches: int, n_nonrobust_patches: int, robust_strength: float, power: float
) -> bool:
    r"""Return whether worst-case robustness is excluded at a radius: the condition of `writing_radius`.

    Parameters
    ----------
    radius : float
        :math:`\epsilon \ge 0`, l2 per patch on all patches.
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R \ge 1` and :math:`P_{NR} \ge 0`.
    robust_strength : float
        :math:`\alpha \ge 0`.
    power : float
        Exponent q >= 1.

    Returns
    -------
    bool
        :math:`P_{NR}\epsilon^q > P_R(\alpha-\epsilon)_+^q`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of its kind, or outside its range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What cannot be robust" [derived].
    """
    eps = check_real("radius", radius, minimum=0.0)
    limit = writing_radius(n_robust_patches, n_nonrobust_patches, robust_strength, power)
    return eps > limit or eps >= robust_strength
