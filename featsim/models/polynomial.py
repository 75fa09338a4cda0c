"""Low-complexity rivals of the symmetric network: linear and power networks."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from featsim.kernels import symmetric as kernel
from featsim.machine import check_room
from featsim.models.linear import LinearModel
from featsim.models.symmetric_network import flat_inputs, locked
from featsim.specs import Spec
from featsim.validation import FloatArray, check_array, check_generator, check_integer, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolynomialSpec(Spec):
    r"""Shape and initialisation of :math:`p(x) = \langle v, x \rangle + \sum_i \langle w_i, x \rangle^q`.

    Parameters
    ----------
    width : int
        Neurons m; 0 for the linear model.
    power : int
        Odd exponent q, at least 3, which makes output signs no gain.
    init_std : float
        Standard deviation of the entries of w, greater than 0; v starts at 0.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190: linear and low-degree polynomial classifiers cannot be
       robust [source: abstract]; this net as their representative is the simulator's [choice].
    """

    kind: ClassVar[str] = "polynomial"

    width: int = 160
    power: int = 3
    init_std: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_integer("width", self.width, minimum=0))
        object.__setattr__(self, "power", check_integer("power", self.power, minimum=3))
        if self.power % 2 == 0:
            raise ValueError(f"power must be odd for a two-sided rule, got {self.power}; try 3 or 5")
        object.__setattr__(self, "init_std", check_real("init_std", self.init_std, above=0.0))

    def initial_weights(self, dim: int, rng: np.random.Generator) -> FloatArray:
        """Draw weights of shape (1, 1 + m, d): v = 0, then the neurons."""
        check_generator("rng", rng)
        check_room("initial weights", n_numbers=(1 + self.width) * dim, width=self.width, dim=dim)
        neurons = self.init_std * rng.standard_normal((self.width, dim))
        return np.concatenate([np.zeros((1, dim)), neurons])[None]

    def network(self, weights: Any) -> PolynomialNetwork | LinearModel:
        """Return the model with these weights; the linear one of width 0 has an exact worst case."""
        if self.width == 0:
            # On inputs (n, 1, d), as sparse-coding data have them.
            return LinearModel(check_array("weights", weights, (1, 1, "d")))
        return PolynomialNetwork(weights, power=self.power)


class PolynomialNetwork:
    r"""One score :math:`p(x) = \langle v, x \rangle + \sum_i \langle w_i, x \rangle^q`.

    Parameters
    ----------
    weights : array_like, shape (1, 1 + m, d)
        v, then the neurons; finite.
    power : int
        Odd exponent q, at least 3.

    Raises
    ------
    TypeError, ValueError
        If the weights are not such an array.

    References
    ----------
    .. [1] docs/purification, "Baselines" [choice].
    """

    def __init__(self, weights: Any, *, power: int = 3) -> None:
        self.weights = check_array("weights", weights, (1, "1 + m", "d"))
        self.power = PolynomialSpec(power=power).power

    def scores(self, X: FloatArray) -> FloatArray:
        """Return the scores, shape (n, 1), of inputs (n, 1, d) or (n, d)."""
        rows = flat_inputs(X, self.weights.shape[2])
        p = np.empty(len(rows))
        kernel.scores(locked(rows), self._transposed, self.power, 0.0, 0.0, p)
        return p[:, None]

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        r"""Return the gradient of a p in the input, :math:`a(v + \sum_i q u_i^{q-1} w_i)`, shape of X."""
        rows = flat_inputs(X, self.weights.shape[2])
        gradient = np.empty(rows.shape)
        kernel.input_gradients(locked(rows), self._transposed, self.power, 0.0, 0.0, gradient)
        gradient *= np.asarray(cotangent)
        shaped: FloatArray = gradient.reshape(X.shape)
        return shaped

    @property
    def _transposed(self) -> FloatArray:
        return np.ascontiguousarray(self.weights[0].T)


def oracle_polynomial(dictionary: Any, label_weights: Any, ratio: float, power: int = 3) -> PolynomialNetwork:
    r"""Return the polynomial of someone who knows the features, :math:`\sum_j w^*_j (z_j + r z_j^q)`.

    Parameters
    ----------
    dictionary : array_like, shape (d, D)
        Atoms as columns; :math:`z_j = \langle x, M_j \rangle`.
    label_weights : array_like, shape (D,)
        w*.
    ratio : float
        r >= 0, weight of the powers.
    power : int
        Odd q.

    Returns
    -------
    PolynomialNetwork
        With one neuron per feature.

    Raises
    ------
    ValueError
        If an argument is impossible.

    References
    ----------
    .. [1] docs/purification, "Baselines" [derived]: with one scale of codes it is partly robust.
    """
    atoms = check_array("dictionary", dictionary, ("d", "D"))
    rule = check_array("label_weights", label_weights, (atoms.shape[1],))
    size = np.abs(rule * check_real("ratio", ratio, minimum=0.0)) ** (1.0 / power) * np.sign(rule)
    return PolynomialNetwork(
        np.concatenate([(atoms @ rule)[None], size[:, None] * atoms.T])[None], power=power
    )
