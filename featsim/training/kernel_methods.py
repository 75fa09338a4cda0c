"""Training functions of a kernel's space, and linear scores: the baselines of the convergence theory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.attacks import ArcAttack, arc_net
from featsim.data import PointData
from featsim.models import Kernel, KernelMachine, LinearModel, Loss
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training.inner_maximiser import make_adversary
from featsim.validation import check_integer, check_real

if TYPE_CHECKING:
    from featsim.theory.convergence import DualTrace


def kernel_ridge(kernel: Kernel, data: PointData, ridge: float = 1e-6) -> KernelMachine:
    r"""Fit the labels by kernel ridge regression.

    Parameters
    ----------
    kernel : Kernel
        Such as a TangentKernel.
    data : PointData
        Training data.
    ridge : float
        :math:`\lambda \ge 0` of :math:`(K+\lambda I)^{-1}y`.

    Returns
    -------
    KernelMachine
        The fit.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the matrix is singular without a ridge.
    """
    _check(data)
    gram = kernel.matrix(data.X, data.X)
    shift = check_real("ridge", ridge, minimum=0.0)
    try:
        coefficients = np.linalg.solve(gram + shift * np.eye(len(gram)), data.signs)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"ridge must be > 0 where the kernel matrix is singular (repeated inputs?), got {shift:g}"
        ) from None
    return KernelMachine(kernel, data.X, np.asarray(coefficients, dtype=np.float64))


def kernel_descent(
    kernel: Kernel,
    data: PointData,
    *,
    loss: Loss,
    step_size: float,
    n_steps: int,
    ridge: float = 0.0,
) -> KernelMachine:
    r"""Fit by functional gradient descent.

    Parameters
    ----------
    kernel : Kernel
        Such as a TangentKernel.
    data : PointData
        Training data.
    loss : Loss
        Training loss.
    step_size : float
        alpha > 0.
    n_steps : int
        Steps :math:`\beta \leftarrow \beta - \alpha(l'(f, y)/n + \lambda\beta)` from 0.
    ridge : float
        :math:`\lambda \ge 0`.

    Returns
    -------
    KernelMachine
        The last iterate.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the steps are so large that the coefficients overflow.
    """
    _check(data, loss)
    check_integer("n_steps", n_steps, minimum=1)
    check_real("step_size", step_size, above=0.0)
    check_real("ridge", ridge, minimum=0.0)
    gram, beta = kernel.matrix(data.X, data.X), np.zeros(data.n_samples)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(n_steps):
            beta -= step_size * (loss.slope(gram @ beta, data.signs) / data.n_samples + ridge * beta)
            if not np.isfinite(beta).all():
                raise ValueError(
                    f"step_size must be small enough to converge, got {step_size:g}: coefficients overflow "
                    f"at step {step}; try a tenth of it"
                )
    return KernelMachine(kernel, data.X, beta)


def kernel_adversarial(
    kernel: Kernel,
    data: PointData,
    attack: Spec,
    *,
    loss: Loss,
    step_size: float,
    n_steps: int,
    seed: int = 0,
) -> KernelMachine:
    r"""Train adversarially by growing the dictionary.

    Parameters
    ----------
    kernel : Kernel
        Such as a TangentKernel.
    data : PointData
        Training data.
    attack : GradientAttack or ArcAttack
        Adversary.
    loss : Loss
        Training loss.
    step_size : float
        alpha > 0.
    n_steps : int
        Steps; each appends the attacked points with the coefficients :math:`-(\alpha/n)\,l'`.
    seed : int
        Of random starts.

    Returns
    -------
    KernelMachine
        With up to n n_steps points.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the attack is none of training.
    """
    _check(data, loss)
    check_integer("n_steps", n_steps, minimum=1)
    check_real("step_size", step_size, above=0.0)
    adversary = make_adversary(attack, data, loss, seed)
    machine = KernelMachine(kernel, data.X, np.zeros(data.n_samples))
    for step in range(n_steps):
        points = adversary.look(machine, step).points
        slope = loss.slope(machine.scores(points)[:, 0], data.signs)
        added = -step_size / data.n_samples * slope
        moves = added != 0.0
        machine = KernelMachine(
            kernel,
            np.concatenate([machine.points, points[moves]]),
            np.concatenate([machine.coefficients, added[moves]]),
        )
    return machine


def kernel_recursion(
    kernel: Kernel,
    data: PointData,
    attack: ArcAttack,
    *,
    loss: Loss,
    step_size: float,
    n_steps: int,
    ball_radius: float = float("inf"),
) -> tuple[KernelMachine, DualTrace]:
    """Train adversarially on fixed nets, by the recursion of :func:`featsim.theory.dual_recursion`.

    Parameters
    ----------
    kernel : Kernel
        Such as a TangentKernel.
    data : PointData
        Training data on the circle slice.
    attack : ArcAttack
        Exact adversary.
    loss : Loss
        Training loss.
    step_size, n_steps : float, int
        alpha and T.
    ball_radius : float
        R in the norm of the kernel's space.

    Returns
    -------
    machine : KernelMachine
        The last iterate.
    course : DualTrace
        Scores on the nets at every step.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the data do not lie on the circle slice.
    """
    # Here, so that no other training loads the theories.
    from featsim.theory.convergence import dual_recursion

    _check(data, loss)
    net = arc_net(attack, data.X, data.y).reshape(-1, data.dim)
    course = dual_recursion(
        kernel.matrix(net, net),
        data.signs,
        loss=loss,
        step_size=step_size,
        n_steps=n_steps,
        ball_radius=ball_radius,
    )
    return KernelMachine(kernel, net, course.coefficients), course


def linear_descent(
    data: PointData,
    *,
    loss: Loss,
    step_size: float,
    n_steps: int,
    threat: Threat | None = None,
) -> LinearModel:
    r"""Train a linear score, with the exact inner maximum where there is a threat.

    Parameters
    ----------
    data : PointData
        Training data.
    loss : Loss
        Training loss.
    step_size, n_steps : float, int
        alpha and T, from w = 0.
    threat : Threat, optional
        l2 or linf ball of the whole input, or cap of the slice: the attacked points are
        :math:`x - y\delta w/|w|`, :math:`x - y\delta\,\mathrm{sign}(w)`, or x turned away from
        :math:`y w`.

    Returns
    -------
    LinearModel
        The last iterate, one score.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the threat is neither a ball of the whole input nor a cap.
    """
    _check(data, loss)
    check_integer("n_steps", n_steps, minimum=1)
    check_real("step_size", step_size, above=0.0)
    if threat is not None and (threat.scope != "input" or threat.subspace not in (None, "slice")):
        raise ValueError(f"threat must be a ball of the whole input or a cap, got {threat.describe()}")
    budget = None if threat is None else threat.bind(data)  # type: ignore[arg-type]
    weights, sign = np.zeros(data.dim), data.signs
    for _ in range(n_steps):
        points = data.X
        if budget is not None:
            points = points + budget.extreme(-sign[:, None] * weights)
        weights = weights - step_size * (loss.slope(points @ weights, sign) / len(sign)) @ points
    return LinearModel(weights[None])


def _check(data: Any, loss: Any = None) -> None:
    if not isinstance(data, PointData):
        raise TypeError(f"data must be a PointData, got {type(data).__name__}; use point_data(X, y)")
    if loss is not None and not isinstance(loss, Loss):
        raise TypeError(f"loss must be a Loss, got {type(loss).__name__}; use Loss(name=...)")
