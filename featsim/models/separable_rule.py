"""The rule that memorises the small-margin points of linearly separable data."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.models.relu_network import ReluNetwork
from featsim.specs import Spec
from featsim.validation import FloatArray, check_array, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemorisingRuleSpec(Spec):
    """Recipe of :func:`memorising_rule`: nothing is trained, the rule is written down from the data.

    Parameters
    ----------
    bias : float
        b in (0, 1).

    Raises
    ------
    TypeError, ValueError
        If it is out of range.
    """

    kind: ClassVar[str] = "memorising-rule"

    bias: float = 0.4

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", check_real("bias", self.bias, above=0.0, maximum=1.0))

    def network(self, weights: FloatArray) -> ReluNetwork:
        """Return the rule that rows of a trace stand for.

        Parameters
        ----------
        weights : ndarray, shape (1, 1 + s, d + 1)
            The linear part; then the noise of every memorised point with its sign.

        Returns
        -------
        ReluNetwork
            As :func:`memorising_rule` makes it.
        """
        rows = weights[0, 1:]
        return memorising_rule(weights[0, 0, :-1], rows[:, :-1], rows[:, -1], self.bias)


def memorising_rule(signal: FloatArray, noise: FloatArray, signs: FloatArray, bias: float) -> ReluNetwork:
    r"""Return :math:`f(x) = \langle w^*, x\rangle + \sum_i y_i(\langle \xi_i, x\rangle/\|\xi_i\|^2 - b)_+`.

    Parameters
    ----------
    signal : array_like, shape (d,)
        w*.
    noise : array_like, shape (s, d)
        Noise parts :math:`\xi_i` of the points to memorise, none zero.
    signs : array_like, shape (s,)
        Their labels, +1 and -1.
    bias : float
        b in (0, 1).

    Returns
    -------
    ReluNetwork
        Two units for the linear part and one per memorised point.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not fit.

    References
    ----------
    .. [1] ICLR-2023 text of Li & Li, arXiv:2306.01271, Theorem 5.2 [source]; the scaling of the noise
       directions [choice].
    """
    w = check_array("signal", signal, ("d",))
    xi = np.asarray(noise, dtype=np.float64).reshape(-1, len(w)) if np.size(noise) == 0 else noise
    xi = check_array("noise", xi, ("s", len(w)))
    y = check_array("signs", signs, (len(xi),))
    b = check_real("bias", bias, above=0.0, maximum=1.0)
    squares = np.sum(xi**2, axis=1, keepdims=True)
    if squares.min() <= 0.0:
        raise ValueError("noise must have no zero row; a point without noise cannot be told apart")
    hidden = np.concatenate([[w, -w], xi / squares])
    return ReluNetwork(
        [
            (hidden, np.concatenate([np.zeros(2), np.full(len(xi), -b)])),
            (np.concatenate([[1.0, -1.0], y])[None], np.zeros(1)),
        ]
    )
