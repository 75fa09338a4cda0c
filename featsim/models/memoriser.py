r"""The explicit network that is robust on its training balls and a clean classifier elsewhere.

With soft indicators r_i of the training balls, their sums over the classes s+ and s-, and a clean
score c cut to [-1, 1],

.. math:: f = s_+ - s_- + (c - s)_+ - (-c - s)_+, \qquad s = s_+ + s_-,

is y_i on every ball of radius delta around a training point and c away from all of them. Built layer
by layer from ReLUs [choice]; that such a network of poly(D) + O~(ND) parameters exists is the paper's.

References
----------
.. [1] Li & Li, arXiv:2306.01271, Lemma 4.5 and Theorem 4.4 [source].
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from featsim.models.relu_network import ReluNetwork
from featsim.specs import Spec
from featsim.validation import FloatArray, check_array, check_choice, check_integer, check_labels, check_real

NORMS = ("l1", "l2", "linf")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoriserSpec(Spec):
    r"""Recipe of a :class:`Memoriser`: nothing is trained, the network is written down from the data.

    Parameters
    ----------
    radius : float
        :math:`\delta > 0`.
    norm : {"l1", "l2", "linf"}
        Norm of the balls.
    outer_radius : float or None
        :math:`\delta_2 >` `radius`; see :class:`Memoriser`.
    clean_scale : float
        :math:`\kappa > 0`.

    Raises
    ------
    TypeError, ValueError
        If a field is out of range.
    """

    kind: ClassVar[str] = "memoriser"

    radius: float = 0.3
    norm: str = "linf"
    outer_radius: float | None = None
    clean_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", check_real("radius", self.radius, above=0.0))
        check_choice("norm", self.norm, NORMS)
        if self.outer_radius is not None:
            outer = check_real("outer_radius", self.outer_radius, above=self.radius)
            object.__setattr__(self, "outer_radius", outer)
        object.__setattr__(self, "clean_scale", check_real("clean_scale", self.clean_scale, above=0.0))

    def network(self, weights: FloatArray) -> ReluNetwork:
        """Return the network that rows of a trace stand for.

        Parameters
        ----------
        weights : ndarray, shape (1, 1 + N, D + 1)
            The clean rule with its constant; then every stored point with its sign, 0 if not stored.

        Returns
        -------
        ReluNetwork
            The memoriser; without a stored point the clean rule.
        """
        rule, rows = weights[0, 0], weights[0, 1:]
        stored = rows[rows[:, -1] != 0.0]
        if not len(stored):
            scale = self.clean_scale
            hidden = scale * np.stack([rule[:-1], -rule[:-1]]), scale * np.array([rule[-1], -rule[-1]])
            return ReluNetwork([hidden, (np.array([[1.0, -1.0]]), np.zeros(1))])
        labels = (stored[:, -1] > 0.0).astype(np.int64)
        return self.build(stored[:, :-1], labels, rule[:-1], float(rule[-1])).network()

    def build(
        self, centres: FloatArray, labels: Any, clean_weights: FloatArray, clean_bias: float = 0.0
    ) -> Memoriser:
        """Return the memoriser of distinct training points around a linear clean rule.

        Parameters
        ----------
        centres : ndarray, shape (N, ...)
            Training points; equal ones are stored once.
        labels : ndarray of int, shape (N,)
            0 and 1.
        clean_weights : ndarray, shape (D,)
            Clean rule.
        clean_bias : float
            Its constant.

        Returns
        -------
        Memoriser
            Formula and network.
        """
        flat = np.asarray(centres, dtype=np.float64).reshape(len(centres), -1)
        # Indicators of one point stored twice would only be cut again.
        _, first = np.unique(flat, axis=0, return_index=True)
        return Memoriser(
            centres=flat[np.sort(first)],
            labels=np.asarray(labels)[np.sort(first)],
            clean_weights=clean_weights,
            clean_bias=clean_bias,
            radius=self.radius,
            norm=self.norm,
            outer_radius=self.outer_radius,
            clean_scale=self.clean_scale,
        )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Memoriser:
    r"""What the network memorises.

    Parameters
    ----------
    centres : array_like, shape (N, D)
        Training points.
    labels : array_like of int, shape (N,)
        0 and 1, for the signs -1 and +1.
    clean_weights : array_like, shape (D,)
        Linear clean rule.
    clean_bias : float
        Its constant.
    radius : float
        :math:`\delta > 0`.
    norm : {"l1", "l2", "linf"}
        Norm of the balls.
    outer_radius : float, optional
        :math:`\delta_2`, where the indicators end: above `radius` and at most half the separation
        of opposite classes; halfway between the two by default.
    clean_scale : float
        :math:`\kappa > 0`, before the clean score is cut to [-1, 1].

    Raises
    ------
    TypeError, ValueError
        If arrays do not fit, or opposite classes are not more than 2 `radius` apart.
    """

    centres: FloatArray
    labels: Any
    clean_weights: FloatArray
    clean_bias: float = 0.0
    radius: float
    norm: str = "linf"
    outer_radius: float | None = None
    clean_scale: float = 1.0

    def __post_init__(self) -> None:
        centres = check_array("centres", self.centres, ("N", "D"))
        labels = check_labels("labels", self.labels, len(centres), 2)
        radius = check_real("radius", self.radius, above=0.0)
        check_choice("norm", self.norm, NORMS)
        half = 0.5 * separation(centres, labels, self.norm)
        if radius >= half:
            raise ValueError(
                f"radius must be < {half:.6g}, half the distance of the closest points of opposite classes, "
                f"got {radius:g}; their balls would overlap"
            )
        outer = 0.5 * (radius + min(half, 3.0 * radius)) if self.outer_radius is None else self.outer_radius
        for name, value in {
            "centres": centres,
            "labels": labels,
            "clean_weights": check_array("clean_weights", self.clean_weights, (centres.shape[1],)),
            "clean_bias": check_real("clean_bias", self.clean_bias),
            "radius": radius,
            "outer_radius": check_real("outer_radius", outer, above=radius, maximum=half),
            "clean_scale": check_real("clean_scale", self.clean_scale, above=0.0),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def signs(self) -> FloatArray:
        """Labels as +1 and -1."""
        return np.where(np.asarray(self.labels) == 1, 1.0, -1.0)

    @property
    def reach(self) -> float:
        r""":math:`\delta_2`, where the indicators end, given or chosen."""
        return float(self.outer_radius or 0.0)

    @property
    def n_tents(self) -> int:
        r"""Tent maps per square (l2): the error of :math:`d^2` is below half the gap of the indicator.

        Squares are approximated up to :math:`B = \delta_2`. A larger offset is out of reach of the
        indicator anyway, and what stands for its square there is at least :math:`B^2`.
        """
        gap = self.reach**2 - self.radius**2
        error = self.centres.shape[1] * self.reach**2
        return max(1, math.ceil(0.5 * math.log2(2.0 * error / gap) - 1.0))

    @property
    def square_error(self) -> float:
        r"""Largest error of the squared distance, :math:`D B^2 2^{-(2n+2)}`; it is never negative."""
        D, B = self.centres.shape[1], self.reach
        return float(D * B * B * 2.0 ** -(2 * self.n_tents + 2))

    @property
    def ramp(self) -> tuple[float, float]:
        """Where the soft indicator falls from 1 to 0: in the distance, for l2 in its approximated square."""
        if self.norm == "l2":
            return self.radius**2 + self.square_error, self.reach**2
        return self.radius, self.reach

    def scores(self, X: FloatArray) -> FloatArray:
        """Evaluate the formula directly, without layers: the reference for :meth:`network`.

        Parameters
        ----------
        X : ndarray, shape (n, ...)
            Inputs with D entries.

        Returns
        -------
        ndarray, shape (n, 1)
            Scores.
        """
        flat = np.asarray(X, dtype=np.float64).reshape(len(X), -1)
        low, high = self.ramp
        offsets = np.abs(flat[:, None, :] - self.centres)
        if self.norm == "l2":
            B = self.reach
            distance = B * B * sawtooth_square(offsets / B, self.n_tents).sum(axis=2)
        else:
            distance = offsets.sum(axis=2) if self.norm == "l1" else offsets.max(axis=2)
        indicator = np.maximum(1.0 - np.maximum((distance - low) / (high - low), 0.0), 0.0)
        positive, negative = (
            np.minimum(1.0, indicator @ (self.signs == sign).astype(np.float64)) for sign in (1.0, -1.0)
        )
        c = np.clip(self.clean_scale * (flat @ self.clean_weights + self.clean_bias), -1.0, 1.0)
        s = positive + negative
        score = positive - negative + np.maximum(c - s, 0.0) - np.maximum(-c - s, 0.0)
        return np.asarray(score)[:, None]

    def network(self) -> ReluNetwork:
        """Build the ReLU network, layer by layer."""
        from featsim.models.memoriser_layers import build

        return ReluNetwork(build(self))


def sawtooth_square(t: FloatArray, n_tents: int) -> FloatArray:
    r"""Approximate :math:`t^2` on [0, 1] by :math:`t - \sum_{s \le n} g_s(t)/4^s`, g the s-fold tent map.

    Parameters
    ----------
    t : ndarray
        Numbers at least 0.
    n_tents : int
        n, at least 1.

    Returns
    -------
    ndarray, shape of `t`
        On [0, 1] too large by at most :math:`2^{-(2n+2)}`, which is attained; beyond 1, at least 1.
    """
    g = np.asarray(t, dtype=np.float64)
    total = g.copy()
    for s in range(1, check_integer("n_tents", n_tents, minimum=1) + 1):
        g = 2.0 * np.maximum(g, 0.0) - 4.0 * np.maximum(g - 0.5, 0.0)
        total = total - g / 4.0**s
    return total


def separation(centres: FloatArray, labels: Any, norm: str) -> float:
    """Return the smallest distance between points of opposite labels, inf with one class only.

    Parameters
    ----------
    centres : ndarray, shape (N, D)
        Points.
    labels : ndarray, shape (N,)
        Two different values.
    norm : {"l1", "l2", "linf"}
        Norm.

    Returns
    -------
    float
        The distance.
    """
    from scipy.spatial.distance import cdist

    y = np.asarray(labels)
    one, other = centres[y == y[0]], centres[y != y[0]]
    if not len(other):
        return math.inf
    metric = {"l1": "cityblock", "l2": "euclidean", "linf": "chebyshev"}[norm]
    return float(cdist(one, other, metric).min())


def memoriser_parameters(n_samples: int, dim: int, norm: str, n_tents: int | None = None) -> int:
    r"""Return the number of non-zero parameters for generic data, in closed form.

    Parameters
    ----------
    n_samples, dim : int
        N and D.
    norm : {"l1", "linf", "l2"}
        Norm of the balls.
    n_tents : int, optional
        n of the squares, :attr:`Memoriser.n_tents`; for l2 only, where it must be given.

    Returns
    -------
    int
        :math:`6ND + 4N + 2D + 28` for l1; about :math:`10ND` for linf, counted along the tree of maxima;
        :math:`(7n+6)ND + (n+4)N + 2D + 2n + 28` for l2.

    Raises
    ------
    ValueError
        If a number is out of range, or `n_tents` is missing or given for another norm.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271, Theorem 4.4: poly(D) + O~(ND) parameters [source]; the constants are
       those of :class:`Memoriser` [derived].
    """
    N, D = check_integer("n_samples", n_samples, minimum=1), check_integer("dim", dim, minimum=1)
    check_choice("norm", norm, NORMS)
    if (norm == "l2") != (n_tents is not None):
        raise ValueError(f"n_tents must be given for l2 and for no other norm, got {n_tents} for {norm}")
    if n_tents is not None:
        n = check_integer("n_tents", n_tents, minimum=1)
        return N * ((7 * n + 6) * D + n + 4) + 2 * D + 2 * n + 28
    if norm == "l1":
        return 6 * N * D + 4 * N + 2 * D + 28
    units, tree, levels = [2] * D, 0, 0
    while len(units) > 1:
        pairs = list(zip(units[::2], units[1::2], strict=False))
        tree += sum(a + 2 * b for a, b in pairs) + (units[-1] if len(units) % 2 else 0)
        units = [2] * len(pairs) + ([1] if len(units) % 2 else [])
        levels += 1
    return N * (4 * D + tree + units[0] + 1 + 3) + 2 * D + 28 + 2 * levels
