"""The dead zone that a strong attack opens before anything is learned, at any dimension."""

from __future__ import annotations

from featsim.validation import check_real


def barrier_norm(radius: float, attack_step_size: float, *, power: float, smoothing: float) -> float:
    r"""Return the weight norm :math:`w_c` above which one-step attacks keep a neuron from learning.

    On a patch of coefficient z, the attack takes :math:`\min(\eta_{in}(z/\varrho)^{q-1} w, \epsilon)\,w` from
    the preactivation of a neuron of norm w. Between small and large z that is more than z; the zone is empty
    if and only if :math:`w^q \le w_c^q = \varrho^{q-1}/(\eta_{in}\,\epsilon^{q-2})`. At the start
    :math:`w = \sigma_0\sqrt d`, so "small initialisation" is a statement about :math:`\sigma_0\sqrt d`, the
    same at every dimension. An estimate for one neuron.

    Parameters
    ----------
    radius : float
        :math:`\epsilon > 0`, l2 per patch.
    attack_step_size : float
        :math:`\eta_{in} > 0` of the margin form.
    power : float
        :math:`q > 2`.
    smoothing : float
        :math:`\varrho > 0`.

    Returns
    -------
    float
        :math:`w_c`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Gram space", section "Structured
       data at large d" [derived].
    """
    eps = check_real("radius", radius, above=0.0)
    inner = check_real("attack_step_size", attack_step_size, above=0.0)
    q = check_real("power", power, above=2.0)
    rho = check_real("smoothing", smoothing, above=0.0)
    return float((rho ** (q - 1.0) / (inner * eps ** (q - 2.0))) ** (1.0 / q))


def dead_zone_edge(norm: float, attack_step_size: float, *, power: float, smoothing: float) -> float:
    r"""Return the coefficient at which growth stops below the barrier's dead zone.

    The lower edge, where the attack takes just what there is: :math:`\eta_{in}(z/\varrho)^{q-1} w^2 = z`, so
    :math:`z^* = (\varrho^{q-1}/(\eta_{in} w^2))^{1/(q-2)}`. Of a feature of strength s that is the
    coefficient :math:`z^*/s`.

    Parameters
    ----------
    norm : float
        w > 0, beyond :func:`barrier_norm`: below it there is no dead zone.
    attack_step_size : float
        :math:`\eta_{in} > 0` of the margin form.
    power : float
        :math:`q > 2`.
    smoothing : float
        :math:`\varrho > 0`.

    Returns
    -------
    float
        :math:`z^*`, on a patch.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] As for :func:`barrier_norm` [derived].
    """
    w = check_real("norm", norm, above=0.0)
    inner = check_real("attack_step_size", attack_step_size, above=0.0)
    q = check_real("power", power, above=2.0)
    rho = check_real("smoothing", smoothing, above=0.0)
    return float((rho ** (q - 1.0) / (inner * w * w)) ** (1.0 / (q - 2.0)))
