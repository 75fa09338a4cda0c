"""Tangent kernels as specifications: Gram matrices in blocks, and gradients in the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np

from featsim.kernels import tangent_kernels as closed
from featsim.models.activations import Activation
from featsim.models.blocks import blocks
from featsim.models.ntk_network import check_spec
from featsim.specs import Spec
from featsim.validation import FloatArray, check_array, check_choice, check_integer, check_real

_QUADRATIC = Activation()
_TEMPORARIES = 12
_GATE_NODES = 200


class Kernel(Protocol):
    """What a kernel offers to a :class:`featsim.models.KernelMachine`."""

    def matrix(self, X: FloatArray, Z: FloatArray, /) -> FloatArray:
        """Return K(x_i, z_j), shape (n, n')."""
        ...

    def input_gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray, /) -> FloatArray:
        r"""Return :math:`\sum_j \beta_j \nabla_x K(x_i, z_j)`, shape (n, d)."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class TangentKernel(Spec):
    r"""Infinite-width tangent kernel of the two-layer network, w ~ N(0, I).

    Parameters
    ----------
    activation : Activation
        ReLU and quadratic ReLU have closed forms; the others are integrated in two dimensions.
    layers : {"first", "both"}
        Trained layers; both add :math:`E\,\sigma\sigma`.
    n_nodes : int
        Gauss-Legendre nodes of each panel between the joints of the activation, at least 8; two-dimensional
        Gauss-Hermite nodes lose digits at the joints.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, tangent kernel of the two-layer network; closed forms from the
       arc-cosine functions k0, k1, k2 of docs/convergence, section "Kernels" [derived].
    """

    kind: ClassVar[str] = "tangent-kernel"

    activation: Activation = _QUADRATIC
    layers: str = "first"
    n_nodes: int = 16

    def __post_init__(self) -> None:
        check_spec("activation", self.activation, Activation)
        check_choice("layers", self.layers, ("first", "both"))
        object.__setattr__(self, "n_nodes", check_integer("n_nodes", self.n_nodes, minimum=8))

    def matrix(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return K(x_i, z_j), shape (n, n'), built by blocks of rows."""
        X, Z = check_pair(X, Z)
        if self._profile is not None:
            power, profile = self._profile
            return by_blocks(lambda rows: closed.homogeneous_gram(rows, Z, power, profile), X, Z)
        return by_blocks(lambda rows: self._smooth_gram(rows, Z), X, Z, per_pair=self._per_pair)

    def input_gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray) -> FloatArray:
        r"""Return :math:`\sum_j \beta_j \nabla_x K(x_i, z_j)`, shape (n, d)."""
        X, Z = check_pair(X, Z)
        if self._profile is not None:
            power, profile = self._profile
            return by_blocks(
                lambda rows: closed.homogeneous_gradient(rows, Z, coefficients, power, profile),
                X,
                Z,
                X.shape[1],
            )
        return by_blocks(
            lambda rows: self._smooth_gradient(rows, Z, coefficients), X, Z, X.shape[1], self._per_pair
        )

    @property
    def _per_pair(self) -> int:
        return _TEMPORARIES + 6 * self.n_nodes * (len(self.activation.joints) + 3)

    @property
    def _profile(self) -> tuple[int, Callable[..., Any]] | None:
        both = self.layers == "both"
        if self.activation.name == "relu":
            return 1, partial(closed.relu_profile, both=both)
        if self.activation.name == "quadratic-relu":
            return 2, partial(closed.quadratic_profile, both=both)
        return None

    def _smooth_gram(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        rule, act = (self.activation.joints, closed.panel_rule(self.n_nodes)), self.activation
        gram: FloatArray = (X @ Z.T) * closed.smooth_expectations(X, Z, act.slope, act.slope, *rule, 0)[0]
        if self.layers == "both":
            gram += closed.smooth_expectations(X, Z, act.value, act.value, *rule, 0)[0]
        return gram

    def _smooth_gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray) -> FloatArray:
        rule, act = (self.activation.joints, closed.panel_rule(self.n_nodes)), self.activation
        plain = closed.smooth_expectations(X, Z, act.slope, act.slope, *rule, 0)[0]
        _, along, across = closed.smooth_expectations(X, Z, act.curvature, act.slope, *rule, 1)
        inner = X @ Z.T
        along, across = inner * along, inner * across
        if self.layers == "both":
            _, more, beside = closed.smooth_expectations(X, Z, act.slope, act.value, *rule, 1)
            along, across = along + more, across + beside
        cosine, sine = closed.cosines(X, Z)
        # w has parts a along x and b along the unit vector (z/|z| - cos x/|x|) / sin.
        across = np.where(sine > 0.0, across / np.where(sine > 0.0, sine, 1.0), 0.0)
        unit_x = X / np.linalg.norm(X, axis=1, keepdims=True)
        unit_z = Z / np.linalg.norm(Z, axis=1, keepdims=True)
        radial = np.sum((along - across * cosine) * coefficients, axis=1, keepdims=True)
        gradient: FloatArray = (plain * coefficients) @ Z + radial * unit_x + (across * coefficients) @ unit_z
        return gradient


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepTangentKernel(Spec):
    r"""Infinite-width tangent kernel of the deep ReLU network, divided by the width m.

    Parameters
    ----------
    depth : int
        Trained layers H >= 1.

    Raises
    ------
    ValueError
        If `depth` < 1.

    References
    ----------
    .. [1] Recursion of Jacot et al., arXiv:1806.07572, with the first and last layer fixed:
       :math:`\tfrac12\sum_h S_{h-1}\prod_{k\ge h} D_k` [derived].
    """

    kind: ClassVar[str] = "deep-tangent-kernel"

    depth: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", check_integer("depth", self.depth, minimum=1))

    def matrix(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return K(x_i, z_j), shape (n, n'), built by blocks of rows."""
        X, Z = check_pair(X, Z)
        profile = partial(closed.deep_relu_profile, depth=self.depth)
        return by_blocks(lambda rows: closed.homogeneous_gram(rows, Z, 1, profile), X, Z)

    def input_gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray) -> FloatArray:
        r"""Return :math:`\sum_j \beta_j \nabla_x K(x_i, z_j)`, shape (n, d)."""
        X, Z = check_pair(X, Z)
        profile = partial(closed.deep_relu_profile, depth=self.depth)
        return by_blocks(
            lambda rows: closed.homogeneous_gradient(rows, Z, coefficients, 1, profile), X, Z, X.shape[1]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateKernel(Spec):
    r"""Kernel of frozen gates, :math:`\langle x,z\rangle P(g(x) \ge 0, g(z) \ge 0)`.

    :math:`g(x) = \langle w, x\rangle + \beta + b` with w ~ N(0, weight_std^2 I), beta ~ N(0,
    bias_std^2) and a constant b.

    Parameters
    ----------
    weight_std : float
        Greater than 0.
    bias_std : float
        At least 0.
    offset : float
        b.

    Raises
    ------
    ValueError
        If a field is out of range.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190, tangent kernel with random gates [recalled]: arc-cosine form
       at b = 0, else Plackett's integral for the orthant probability of two normals [derived].
    """

    kind: ClassVar[str] = "gate-kernel"

    weight_std: float = 1.0
    bias_std: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight_std", check_real("weight_std", self.weight_std, above=0.0))
        object.__setattr__(self, "bias_std", check_real("bias_std", self.bias_std, minimum=0.0))
        object.__setattr__(self, "offset", check_real("offset", self.offset))

    def matrix(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return K(x_i, z_j), shape (n, n'), built by blocks of rows."""
        X, Z = check_pair(X, Z)
        return by_blocks(lambda rows: (rows @ Z.T) * self.probability(rows, Z), X, Z)

    def probability(self, X: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the probability that both gates are open, shape (n, n')."""
        if self.offset == 0.0:
            cosine, sine = closed.cosines(self._augmented(X), self._augmented(Z))
            return np.asarray(closed.arc_profiles(cosine, sine)[0])
        h, k, correlation = self._standardised(X, Z)
        rule = np.polynomial.legendre.leggauss(_GATE_NODES)
        return np.asarray(closed.gate_probability(h, k, correlation, *rule))

    def input_gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray) -> FloatArray:
        r"""Return :math:`\sum_j \beta_j \nabla_x K(x_i, z_j)`, shape (n, d); parallel gates do not turn."""
        X, Z = check_pair(X, Z)
        return by_blocks(lambda rows: self._gradient(rows, Z, coefficients), X, Z, X.shape[1])

    def _gradient(self, X: FloatArray, Z: FloatArray, coefficients: FloatArray) -> FloatArray:
        from scipy.special import ndtr

        h, k, correlation = self._standardised(X, Z)
        _, sine = closed.cosines(self._augmented(X), self._augmented(Z))
        apart = sine > 1e-9
        safe = np.where(apart, sine, 1.0)
        by_h = np.exp(-0.5 * h**2) / np.sqrt(2 * np.pi) * ndtr((k - correlation * h) / safe)
        exponent = (h**2 - 2 * correlation * h * k + k**2) / (2 * safe**2)
        by_correlation = np.where(apart, np.exp(-exponent) / (2 * np.pi * safe), 0.0)
        spread, other = self._spread(X)[:, None], self._spread(Z)[None, :]
        square, inner = self.weight_std**2, X @ Z.T
        on_x = -by_h * self.offset * square / spread**3 - by_correlation * correlation * square / spread**2
        on_z = by_correlation * square / (spread * other)
        direct = self.probability(X, Z)
        along = np.sum(inner * on_x * coefficients, axis=1, keepdims=True)
        return np.asarray(along * X + ((direct + inner * on_z) * coefficients) @ Z)

    def _augmented(self, X: FloatArray) -> FloatArray:
        return np.concatenate([self.weight_std * X, np.full((len(X), 1), self.bias_std)], axis=1)

    def _spread(self, X: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(self._augmented(X), axis=1))

    def _standardised(self, X: FloatArray, Z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        cosine, _ = closed.cosines(self._augmented(X), self._augmented(Z))
        h, k = self.offset / self._spread(X)[:, None], self.offset / self._spread(Z)[None, :]
        return h, k, cosine


def check_pair(X: Any, Z: Any) -> tuple[FloatArray, FloatArray]:
    """Return two arrays of nonzero inputs of equal dimension."""
    left = check_array("X", X, ("n", "d"))
    right = check_array("Z", Z, ("n'", left.shape[1]))
    for name, array in (("X", left), ("Z", right)):
        if not np.any(array, axis=1).all():
            raise ValueError(f"{name} must not hold the zero input: kernels have no angle there")
    return left, right


def by_blocks(
    function: Callable[[FloatArray], FloatArray],
    X: FloatArray,
    Z: FloatArray,
    columns: int | None = None,
    per_pair: int = _TEMPORARIES,
) -> FloatArray:
    """Apply a function of rows of X to blocks of them, so that its temporaries stay bounded.

    Parameters
    ----------
    function : callable
        Takes rows (b, d), returns (b, columns).
    X, Z : ndarray, shape (n, d) and (n', d)
        Rows, and what each is compared with.
    columns : int, optional
        Columns of the result, n' by default.
    per_pair : int
        Temporary numbers per pair of rows.

    Returns
    -------
    ndarray, shape (n, columns)
        The blocks below each other.
    """
    result = np.empty((len(X), len(Z) if columns is None else columns))
    for rows in blocks(len(X), 8 * per_pair * len(Z)):
        result[rows] = function(X[rows])
    return result
