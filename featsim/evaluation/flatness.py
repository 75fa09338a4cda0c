r"""Flatness of the loss around samples: largest input gradient and largest increase within a radius.

.. math::
    G_\epsilon = \operatorname{mean}_i \max_{\|\xi\| \le \epsilon} \|\nabla_x \ell(x_i+\xi)\|_*, \qquad
    C_\epsilon = \operatorname{mean}_i \max_{\|\xi\| \le \epsilon} [\ell(x_i+\xi) - \ell(x_i)].

On the signal line both maxima come from a grid (exact up to the grid), elsewhere from gradient ascent
(lower bounds).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.attacks import line_margins, signal_positions
from featsim.data import SignalNoiseData
from featsim.models import (
    Model,
    PowerNetwork,
    cross_entropy,
    loss_cotangent,
    margin_cotangent,
    model_input_gradient,
    model_scores,
    power_activation,
    power_activation_slope,
)
from featsim.threats import Threat, as_samples
from featsim.validation import FloatArray, check_array, check_generator, check_integer


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Flatness:
    r"""Flatness curves of one model on some samples.

    Attributes
    ----------
    radii : ndarray, shape (r,)
        Radii :math:`\epsilon`, increasing.
    gradients : ndarray, shape (n, r)
        Largest dual norm of the input gradient of the loss within each radius.
    changes : ndarray, shape (n, r)
        Largest increase of the loss, at least 0.
    method : str
        How the maxima were found.
    """

    radii: FloatArray
    gradients: FloatArray
    changes: FloatArray
    method: str

    @property
    def gradient(self) -> FloatArray:
        r""":math:`G_\epsilon`, shape (r,)."""
        return np.asarray(self.gradients.mean(axis=0))

    @property
    def change(self) -> FloatArray:
        r""":math:`C_\epsilon`, shape (r,)."""
        return np.asarray(self.changes.mean(axis=0))


def line_profile(
    network: PowerNetwork, data: SignalNoiseData, shifts: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    r"""Return loss and its derivative along the signal line.

    :math:`d\ell/ds = -y\,\psi(z)\sum_r a_r\phi'(c\,u_r)\,u_r`, :math:`c = \alpha y + s`.

    Parameters
    ----------
    network : PowerNetwork
        The network.
    data : SignalNoiseData
        Samples.
    shifts : array_like, shape (g,)
        Shifts s of every signal patch along w*.

    Returns
    -------
    loss : ndarray, shape (n, g)
        Logistic loss.
    slope : ndarray, shape (n, g)
        Its derivative in s.

    Raises
    ------
    TypeError, ValueError
        If the shifts are not finite numbers, or network and data differ in dimension.
    """
    s = check_array("shifts", shifts, ("g",))
    check_array("filters of the network", network.filters, ("m", data.dim))
    here, sign, u = signal_positions(data), data.signs, network.filters @ data.signal
    noise = power_activation(data.noise @ network.filters.T, network.power, network.activation)
    memory = sign * (noise @ network.signs).sum(axis=1)
    # Samples share few positions (one per label): the network is evaluated once at each.
    positions, which = np.unique(here, return_inverse=True)
    along = (positions[:, None] + s)[:, :, None] * u
    score = power_activation(along, network.power, network.activation) @ network.signs
    steep = power_activation_slope(along, network.power, network.activation) @ (network.signs * u)
    z = sign[:, None] * score[which] + memory[:, None]
    with np.errstate(over="ignore"):
        slope: FloatArray = -sign[:, None] * steep[which] / (1.0 + np.exp(z))
    loss: FloatArray = np.logaddexp(0.0, -z)
    return loss, slope


def line_flatness(
    network: PowerNetwork, data: SignalNoiseData, radii: npt.ArrayLike, *, n_grid: int = 400
) -> Flatness:
    r"""Flatness on the signal line: only the signal patch moves, along w*.

    Parameters
    ----------
    network : PowerNetwork
        The network.
    data : SignalNoiseData
        Samples.
    radii : array_like, shape (r,)
        Radii, at least 0, increasing.
    n_grid : int
        Grid points on either side up to the largest radius, besides the radii themselves.

    Returns
    -------
    Flatness
        Maxima over the grid.

    Raises
    ------
    TypeError, ValueError
        If the radii are not such numbers.
    """
    eps = _radii(radii)
    count = check_integer("n_grid", n_grid, minimum=1)
    outward = np.unique(np.concatenate([[0.0], eps, np.linspace(0.0, eps[-1], count + 1)]))
    here = np.searchsorted(outward, eps)
    loss, slope = line_profile(network, data, np.concatenate([outward, -outward]))
    n = len(outward)
    steepest = np.maximum(np.abs(slope[:, :n]), np.abs(slope[:, n:]))
    highest = np.maximum(loss[:, :n], loss[:, n:]) - loss[:, :1]
    return Flatness(
        radii=eps,
        gradients=np.maximum.accumulate(steepest, axis=1)[:, here],
        changes=np.maximum.accumulate(highest, axis=1)[:, here],
        method=f"signal line, grid of {2 * n - 1} points",
    )


def companion_ratio(
    network: PowerNetwork,
    data: SignalNoiseData,
    radii: npt.ArrayLike,
    *,
    n_grid: int = 400,
    refine: int = 10,
) -> float:
    r"""Return the largest :math:`(\ell(x+\xi)-\ell(x)) / (\epsilon \max\|\nabla\ell\|)`, which is at most 1.

    The maximum of the gradient comes from a grid of `n_grid` points a side, the increases from one that
    is `refine` times finer: a maximum that a coarse grid overlooked would show as a ratio above 1.

    Parameters
    ----------
    network : PowerNetwork
        The network.
    data : SignalNoiseData
        Samples.
    radii : array_like, shape (r,)
        Radii > 0, increasing.
    n_grid : int
        Grid behind the gradients.
    refine : int
        How much finer the points are at which the increase is read.

    Returns
    -------
    float
        Largest ratio over samples and radii.

    Raises
    ------
    TypeError, ValueError
        If radii are not increasing numbers > 0, or a grid size is not an integer >= 1.

    References
    ----------
    .. [1] The mean value theorem [derived]; the pointwise companion of Prop. 6.4 of the
       ICLR-2023 text of Li & Li, arXiv:2306.01271.
    """
    eps = _radii(radii)
    if eps[0] <= 0.0:
        raise ValueError(f"radii must be > 0 for a ratio, got {eps[0]:g}")
    coarse = line_flatness(network, data, eps, n_grid=n_grid)
    fine = line_flatness(network, data, eps, n_grid=n_grid * check_integer("refine", refine, minimum=1))
    bound = eps * coarse.gradients
    # A gradient that underflows to 0 bounds an increase that does too.
    ratio = np.divide(fine.changes, bound, out=np.zeros_like(bound), where=fine.changes > 0.0)
    return float(ratio.max())


def ball_flatness(
    model: Model,
    data: Any,
    radii: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    threat: Threat | None = None,
    n_steps: int = 10,
    n_random: int = 1,
) -> Flatness:
    r"""Flatness in balls, by gradient ascent on the loss: lower bounds of both maxima.

    Every iterate of every start is a candidate for both maxima, and what is found within a radius
    counts within all larger ones.

    Parameters
    ----------
    model : Model
        Any model.
    data : PatchData or tuple (X, y)
        Samples.
    radii : array_like, shape (r,)
        Radii, at least 0, increasing.
    rng : numpy.random.Generator
        Draws the random starts.
    threat : Threat, optional
        Norm and scope, its radius aside; l2 on the whole input by default.
    n_steps : int
        Steps of 2.5 radius / n_steps from each start.
    n_random : int
        Random starts besides the clean point.

    Returns
    -------
    Flatness
        Lower bounds, increasing in the radius.
    """
    eps = _radii(radii)
    steps = check_integer("n_steps", n_steps, minimum=1)
    n_starts = 1 + check_integer("n_random", n_random, minimum=0)
    check_generator("rng", rng)
    kind = Threat(radius=1.0, scope="input") if threat is None else threat
    samples = as_samples(data)
    X, y, counts = samples.X, samples.y, samples.counts
    scores = model_scores(model, X, counts)
    clean = cross_entropy(scores, y)
    gradients, changes = np.zeros((len(y), len(eps))), np.zeros((len(y), len(eps)))
    for column, radius in enumerate(eps):
        budget = samples.bind(kind.replace(radius=float(radius)))
        for start in range(n_starts):
            delta = np.zeros(X.shape) if start == 0 else budget.random(X.shape, rng)
            for step in range(steps + 1):
                scores = model_scores(model, X + delta, counts)
                slope = model_input_gradient(model, X + delta, loss_cotangent(scores, y))
                found = budget.dual_norm(slope)
                gradients[:, column] = np.maximum(gradients[:, column], found)
                changes[:, column] = np.maximum(changes[:, column], cross_entropy(scores, y) - clean)
                if step == steps or radius == 0.0:
                    break
                climb = model_input_gradient(model, X + delta, margin_cotangent(scores, y))
                delta = budget.project(delta + 2.5 * radius / steps * budget.steepest(climb))
            if radius == 0.0:
                break
    return Flatness(
        radii=eps,
        gradients=np.maximum.accumulate(gradients, axis=1),
        changes=np.maximum.accumulate(changes, axis=1),
        method=f"{kind.norm} ball, ascent of {steps} steps from {n_starts} starts",
    )


def _radii(radii: npt.ArrayLike) -> FloatArray:
    eps = check_array("radii", radii, ("r",))
    if eps[0] < 0.0 or np.any(np.diff(eps) <= 0.0):
        raise ValueError(f"radii must be >= 0 and increasing, got {eps.tolist()}")
    return eps


def line_flip_distance(network: PowerNetwork, data: SignalNoiseData) -> FloatArray:
    r"""Return how far on the signal line the decision of each sample flips, in closed form.

    On either side of 0 the signal score is :math:`\pm|c|^q H_\pm` with one number :math:`H_\pm`, so
    the margin vanishes at :math:`|c| = (-V/H)^{1/q}`.

    Parameters
    ----------
    network : PowerNetwork
        The network.
    data : SignalNoiseData
        Samples.

    Returns
    -------
    ndarray, shape (n,)
        Distance from the signal patch to the nearest position of margin 0; inf where there is none.
    """
    found = line_margins(network, data, None)
    here, sign, memory = signal_positions(data), data.signs, found["memory"]
    nearest = np.full(len(here), np.inf)
    for side in (1.0, -1.0):
        height = sign * network.line_score(data.signal, np.full(len(here), side))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(height != 0.0, -memory / height, np.nan)
            position = side * np.where(ratio >= 0.0, np.abs(ratio), np.nan) ** (1.0 / network.power)
        distance = np.abs(position - here)
        nearest = np.where(distance < nearest, distance, nearest)
    return nearest
