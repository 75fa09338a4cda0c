"""Patch network with a power activation and one score: odd powers, or two branches of ReLU^q."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from featsim.machine import check_room
from featsim.models.protocol import cross_entropy, loss_cotangent
from featsim.specs import Spec
from featsim.validation import (
    FloatArray,
    IntArray,
    check_array,
    check_choice,
    check_generator,
    check_integer,
    check_real,
)

ACTIVATIONS = ("odd", "relu")


def power_activation(z: FloatArray, power: float, activation: str = "odd") -> FloatArray:
    r"""Power activation of the clean-generalisation theory.

    Parameters
    ----------
    z : ndarray, any shape
        Preactivations.
    power : float
        Exponent q, greater than 1.
    activation : {"odd", "relu"}
        :math:`\mathrm{sgn}(z)|z|^q`, or :math:`\max(z, 0)^q`.

    Returns
    -------
    ndarray, shape of `z`
        Values.

    Raises
    ------
    ValueError
        If the power or the name is impossible.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271: cubic in the ICLR-2024 version, ReLU^q in the last [source].
    """
    value: FloatArray = np.asarray(z, dtype=np.float64) * _power_factor(z, power, activation)
    return value


def power_activation_slope(z: FloatArray, power: float, activation: str = "odd") -> FloatArray:
    r"""Return the derivative of :func:`power_activation`.

    Parameters
    ----------
    z : ndarray, any shape
        Preactivations.
    power : float
        Exponent q, greater than 1.
    activation : {"odd", "relu"}
        Which activation.

    Returns
    -------
    ndarray, shape of `z`
        :math:`q|z|^{q-1}`, or :math:`q\max(z, 0)^{q-1}`.

    Raises
    ------
    ValueError
        If the power or the name is impossible.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271, network definition [source].
    """
    slope: FloatArray = float(power) * _power_factor(z, power, activation)
    return slope


def _power_factor(z: FloatArray, power: float, activation: str) -> FloatArray:
    q = check_real("power", power, above=1.0, hint="a power of 1 or less has no slope at 0")
    check_choice("activation", activation, ACTIVATIONS)
    z = np.asarray(z, dtype=np.float64)
    base = np.abs(z) if activation == "odd" else np.maximum(z, 0.0)
    if q == 3.0:  # np.power would dominate the run time
        return base * base
    factor: FloatArray = base if q == 2.0 else base ** (q - 1.0)
    return factor


def _check_signs(signs: Any, width: int, activation: str) -> tuple[int, ...] | None:
    """Return the output signs, or None for the default ones; refuse what has no default."""
    if signs is None:
        if activation == "relu" and width % 2:
            raise ValueError(
                f"width must be even for two branches of ReLU^q with equal shares, got {width}; or give signs"
            )
        return None
    chosen = tuple(check_integer(f"signs[{i}]", sign) for i, sign in enumerate(signs))
    if len(chosen) != width or not set(chosen) <= {-1, 1}:
        raise ValueError(f"signs must be {width} numbers +1 or -1, one per filter, got {chosen}")
    return chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerNetworkSpec(Spec):
    r"""Shape and initialisation of a :class:`PowerNetwork`.

    Parameters
    ----------
    width : int
        Filters m in all, at least 1; even for ``"relu"`` unless `signs` are given.
    power : float
        Exponent q, greater than 1; 2 to 5 are fastest.
    activation : {"odd", "relu"}
        Odd power with second layer one, or ReLU^q with a second layer of +1 and -1.
    signs : tuple of {1, -1} or None
        Second layer; None for all ones (odd), or +1 in the first half and -1 in the second.
    init_std : float
        Standard deviation :math:`\sigma_0` of each initial weight, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a field is outside its range.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271, network definition [source]; signs in equal
       shares [recalled].
    """

    kind: ClassVar[str] = "power-network"

    width: int = 10
    power: float = 3.0
    activation: str = "odd"
    signs: tuple[int, ...] | None = None
    init_std: float = 0.2

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_integer("width", self.width, minimum=1))
        object.__setattr__(self, "power", check_real("power", self.power, above=1.0))
        check_choice("activation", self.activation, ACTIVATIONS)
        object.__setattr__(self, "signs", _check_signs(self.signs, self.width, self.activation))
        object.__setattr__(self, "init_std", check_real("init_std", self.init_std, minimum=0.0))

    @property
    def output_signs(self) -> FloatArray:
        """Second layer a, shape (width,)."""
        if self.signs is not None:
            return np.array(self.signs, dtype=np.float64)
        signs = np.ones(self.width)
        if self.activation == "relu":
            signs[self.width // 2 :] = -1.0
        return signs

    def initial_weights(self, dim: int, rng: np.random.Generator) -> FloatArray:
        """Draw Gaussian weights, shape (1, width, dim)."""
        check_generator("rng", rng)
        check_room("initial weights", width=self.width, dim=dim)
        return self.init_std * rng.standard_normal((1, self.width, dim))

    def network(self, weights: FloatArray) -> PowerNetwork:
        """Return the network of this shape with the given weights."""
        return PowerNetwork(weights, power=self.power, activation=self.activation, signs=self.output_signs)


class PowerNetwork:
    r"""Patch network :math:`f(X) = \sum_r a_r \sum_p \phi(\langle w_r, x_p \rangle)` with one score.

    Parameters
    ----------
    weights : array_like, shape (1, m, d)
        Filters; finite.
    power : float
        Exponent q, greater than 1.
    activation : {"odd", "relu"}
        :math:`\phi(z) = \mathrm{sgn}(z)|z|^q` or :math:`\max(z, 0)^q`.
    signs : array_like, shape (m,), optional
        Second layer a of +1 and -1; by default that of :class:`PowerNetworkSpec`.

    Raises
    ------
    TypeError, ValueError
        If the weights are not a finite (1, m, d) array or a parameter is outside its range.

    References
    ----------
    .. [1] Li & Li, arXiv:2306.01271, network definition [source].
    """

    def __init__(
        self,
        weights: Any,
        *,
        power: float = 3.0,
        activation: str = "odd",
        signs: npt.ArrayLike | None = None,
    ) -> None:
        self.weights = check_array("weights", weights, (1, "m", "d"))
        chosen = None if signs is None else tuple(int(sign) for sign in np.asarray(signs).tolist())
        spec = PowerNetworkSpec(width=self.weights.shape[1], power=power, activation=activation, signs=chosen)
        self.power, self.activation, self.signs = spec.power, spec.activation, spec.output_signs

    @property
    def filters(self) -> FloatArray:
        """Filters, shape (m, d)."""
        filters: FloatArray = self.weights[0]
        return filters

    def scores(self, X: FloatArray, counts: FloatArray | None = None) -> FloatArray:
        """Return the scores of samples.

        Parameters
        ----------
        X : ndarray, shape (n, P, d)
            Samples.
        counts : ndarray, shape (n, P), optional
            Multiplicity of each patch, default 1.

        Returns
        -------
        ndarray, shape (n, 1)
            One score per sample; its sign decides.

        Raises
        ------
        ValueError
            If X does not have patches of the network's dimension.
        """
        per_patch = power_activation(self._preactivations(X), self.power, self.activation) @ self.signs
        if counts is not None:
            per_patch = per_patch * counts
        total: FloatArray = per_patch.sum(axis=1, keepdims=True)
        return total

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        r"""Return the gradient of :math:`a_s f(X_s)` in one copy of each patch.

        Parameters
        ----------
        X : ndarray, shape (n, P, d)
            Samples.
        cotangent : ndarray, shape (n, 1)
            Weight of each sample's score.

        Returns
        -------
        ndarray, shape (n, P, d)
            :math:`a_s \sum_r a_r \phi'(\langle w_r, x_p \rangle)\, w_r`.

        Raises
        ------
        ValueError
            If X does not have patches of the network's dimension.
        """
        slope = power_activation_slope(self._preactivations(X), self.power, self.activation) * self.signs
        gradient: FloatArray = (slope * np.asarray(cotangent)[:, :, None]) @ self.filters
        return gradient

    def loss(self, X: FloatArray, y: IntArray, counts: FloatArray | None = None) -> float:
        """Return the mean logistic loss."""
        return float(np.mean(cross_entropy(self.scores(X, counts), y)))

    def weight_gradient(self, X: FloatArray, y: IntArray, counts: FloatArray | None = None) -> FloatArray:
        r"""Return the gradient of the mean logistic loss in the weights.

        Parameters
        ----------
        X : ndarray, shape (n, P, d)
            Samples.
        y : ndarray of int, shape (n,)
            Labels.
        counts : ndarray, shape (n, P), optional
            Multiplicity of each patch, default 1.

        Returns
        -------
        ndarray, shape (1, m, d)
            :math:`-\frac1n \sum_i y_i\psi(y_i f_i)\, a_r \sum_p \phi'(\langle w_r, x_p \rangle)\,x_p`.

        Raises
        ------
        ValueError
            If X does not have patches of the network's dimension.
        """
        X = self._samples(X)
        slope = power_activation_slope(self._preactivations(X), self.power, self.activation) * self.signs
        if counts is not None:
            slope = slope * counts[:, :, None]
        slope = slope * loss_cotangent(self.scores(X, counts), y)[:, :, None]
        gradient = slope.reshape(-1, slope.shape[2]).T @ X.reshape(-1, X.shape[2])
        mean: FloatArray = (gradient / len(X))[None]
        return mean

    def line_score(self, signal: FloatArray, position: npt.ArrayLike) -> FloatArray:
        r"""Return the score :math:`h(c) = \sum_r a_r\phi(c\,u_r)` of a signal patch c w*.

        Parameters
        ----------
        signal : ndarray, shape (d,)
            Unit vector w*; :math:`u_r = \langle w_r, w^* \rangle`.
        position : array_like
            Positions c.

        Returns
        -------
        ndarray, shape of `position`
            Signal scores, monotone in c on either side of 0.
        """
        along = np.asarray(position, dtype=np.float64)[..., None] * (self.filters @ signal)
        score: FloatArray = power_activation(along, self.power, self.activation) @ self.signs
        return score

    def _samples(self, X: FloatArray) -> FloatArray:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 3 or X.shape[2] != self.weights.shape[2]:
            raise ValueError(
                f"X must have shape (n, P, {self.weights.shape[2]}) like the network's filters, got {X.shape}"
            )
        return X

    def _preactivations(self, X: FloatArray) -> FloatArray:
        z: FloatArray = self._samples(X) @ self.filters.T
        return z
