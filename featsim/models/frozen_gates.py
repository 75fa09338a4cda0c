"""Tangent model of the symmetric network: gates frozen at initial weights, linear in what is trained."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from featsim.kernels import symmetric as kernel
from featsim.machine import check_room
from featsim.models.symmetric_network import flat_inputs, locked
from featsim.specs import Spec
from featsim.validation import (
    FloatArray,
    check_array,
    check_choice,
    check_generator,
    check_integer,
    check_real,
)

SHARPNESS = (5.0, 20.0, 80.0)
"""Slopes of the sigmoids through which hard gates are attacked [choice]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenGateSpec(Spec):
    r"""Shape and gates of :math:`p(x) = \sum_i g_i(x) \langle v_i, x \rangle`.

    Parameters
    ----------
    width : int
        Gates m, at least 1.
    gates : {"smooth", "hard"}
        ``"smooth"``: :math:`g_i = \psi'(\langle w^0_i, x \rangle)`, the tangent kernel of the symmetric
        network. ``"hard"``: :math:`g_i = 1[\langle w^0_i, x \rangle + b_i \ge 0]`, the paper's.
    bias : float
        b of smooth gates; standard deviation of the b_i of hard ones, which sit at the quantiles of that
        normal law; at least 0.
    smoothing : float
        s of smooth gates, at least 0.
    gate_std : float
        Standard deviation of the entries of w0, greater than 0.
    sharpness : float
        Slope of the sigmoid through which training attacks hard gates, greater than 0.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190, neural tangent kernel with random gates [recalled]; the
       sizes and the biases' quantiles are the simulator's [choice].
    """

    kind: ClassVar[str] = "frozen-gates"

    width: int = 160
    gates: str = "smooth"
    bias: float = 0.5
    smoothing: float = 0.5
    gate_std: float = 1.0
    sharpness: float = 20.0

    def __post_init__(self) -> None:
        for name, value in {
            "width": check_integer("width", self.width, minimum=1),
            "gates": check_choice("gates", self.gates, ("smooth", "hard")),
            "bias": check_real("bias", self.bias, minimum=0.0),
            "smoothing": check_real("smoothing", self.smoothing, minimum=0.0),
            "gate_std": check_real("gate_std", self.gate_std, above=0.0),
            "sharpness": check_real("sharpness", self.sharpness, above=0.0),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def shift(self) -> FloatArray:
        """Biases of hard gates, shape (m,)."""
        if self.gates == "smooth":
            return np.zeros(self.width)
        from scipy.special import ndtri

        quantiles: FloatArray = self.bias * ndtri((np.arange(self.width) + 0.5) / self.width)
        return quantiles

    def initial_weights(self, dim: int, rng: np.random.Generator) -> FloatArray:
        """Draw weights of shape (2, m, d): v = 0, then the gates w0."""
        check_generator("rng", rng)
        check_room("initial weights", n_numbers=2 * self.width * dim, width=self.width, dim=dim)
        gates = self.gate_std * rng.standard_normal((self.width, dim))
        return np.stack([np.zeros((self.width, dim)), gates])

    def network(self, weights: Any) -> FrozenGateNetwork:
        """Return the model with these weights."""
        return FrozenGateNetwork(weights, self)


class FrozenGateNetwork:
    r"""One score :math:`p(x) = \sum_i g_i(x) \langle v_i, x \rangle`.

    The gradient of a hard gate is 0 almost everywhere, which hides p's jumps from an attack. The model
    then offers `surrogates`, through which gradient attacks run and keep the worst: the same scores with
    the gradient of a sigmoid of slope 5, 20 or 80 in the gate's place.

    Parameters
    ----------
    weights : array_like, shape (2, m, d)
        v, then the gates w0; finite.
    spec : FrozenGateSpec
        Kind of gates.
    is_surrogate : bool
        Whether this is one of the surrogates, which have none themselves.

    Raises
    ------
    TypeError, ValueError
        If the weights are not such an array.

    References
    ----------
    .. [1] docs/purification, "Baselines" [choice].
    """

    def __init__(self, weights: Any, spec: FrozenGateSpec, *, is_surrogate: bool = False) -> None:
        self.weights = check_array("weights", weights, (2, spec.width, "d"))
        self.spec, self._is_surrogate = spec, is_surrogate
        self._trained, self._gates = (np.ascontiguousarray(part.T) for part in self.weights)
        self._shift = spec.shift

    @property
    def surrogates(self) -> tuple[FrozenGateNetwork, ...]:
        """Models with these scores and usable gradients; none for smooth gates."""
        if self.spec.gates == "smooth" or self._is_surrogate:
            return ()
        return tuple(
            FrozenGateNetwork(self.weights, self.spec.replace(sharpness=sharpness), is_surrogate=True)
            for sharpness in SHARPNESS
        )

    def scores(self, X: FloatArray) -> FloatArray:
        """Return the scores, shape (n, 1), of inputs (n, 1, d) or (n, d)."""
        return self._both(X)[0][:, None]

    def input_gradient(self, X: FloatArray, cotangent: FloatArray) -> FloatArray:
        r"""Return the gradient of a p in the input, shape of X.

        Smooth gates: :math:`a \sum_i [g_i v_i + \langle v_i, x \rangle \psi''(u_i) w^0_i]`; hard gates:
        the same of their sigmoid.
        """
        gradient = self._both(X)[1] * np.asarray(cotangent)
        shaped: FloatArray = gradient.reshape(X.shape)
        return shaped

    def _both(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        rows, spec = flat_inputs(X, self.weights.shape[2]), self.spec
        p, gradient = np.empty(len(rows)), np.empty(rows.shape)
        kernel.gate_scores(
            locked(rows), self._trained, self._gates, self._shift, spec.gates == "hard", spec.sharpness,
            spec.bias, spec.smoothing, p, gradient,
        )  # fmt: skip
        return p, gradient
