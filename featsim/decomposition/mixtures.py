"""Neurons in the dictionary's basis: pure part, dense mixture and rest."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.kernels import symmetric as kernel
from featsim.validation import FloatArray, IntArray, check_array

LIVE = 0.1
"""A neuron is live if its norm exceeds this share of the largest [choice]."""
COVERED = 0.3
"""A neuron stands for its feature if this share of its energy is pure [choice]."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class NeuronParts:
    r"""Orthogonal parts of neurons, :math:`w_i = c_i M_{j(i)} + \beta_i \sum_{l \ne j(i)} w^*_l M_l + r_i`.

    Attributes
    ----------
    winner : ndarray of int, shape (..., m)
        j(i), the feature of largest \|<w_i, M_j>\|.
    pure_weight : ndarray, shape (..., m)
        c_i, the inner product with that feature.
    dense_weight : ndarray, shape (..., m)
        beta_i, coefficient of the label's mixture of all other features.
    rest_norm : ndarray, shape (..., m)
        Norm of r_i, which holds several features at once and all that is outside of the dictionary.
    label_weights : ndarray, shape (D,)
        w*.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190 [recalled]; docs/purification, "Pure, dense, rest".
    """

    winner: IntArray
    pure_weight: FloatArray
    dense_weight: FloatArray
    rest_norm: FloatArray
    label_weights: FloatArray

    @property
    def dense_norm(self) -> FloatArray:
        r"""Norm of the dense part, :math:`|\beta_i| \sqrt{\sum_{j \ne j(i)} w_j^{*2}}`."""
        squares = self.label_weights**2
        norm: FloatArray = np.abs(self.dense_weight) * np.sqrt(squares.sum() - squares[self.winner])
        return norm

    @property
    def energy(self) -> FloatArray:
        """Squared norm of every neuron, the sum over its parts."""
        energy: FloatArray = self.pure_weight**2 + self.dense_norm**2 + self.rest_norm**2
        return energy

    @property
    def mixture_ratio(self) -> FloatArray:
        r"""Norm of the dense part over that of the pure one, :math:`\mu_i`; nan for a neuron that is 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: FloatArray = self.dense_norm / np.abs(self.pure_weight)
        return ratio

    @property
    def live(self) -> npt.NDArray[np.bool_]:
        """Which neurons have more than a tenth of the largest norm."""
        energy = self.energy
        live: npt.NDArray[np.bool_] = energy > LIVE**2 * np.max(energy, axis=-1, keepdims=True)
        return live

    def shares(self) -> dict[str, FloatArray]:
        """Return the share of each part in every neuron's energy.

        Returns
        -------
        dict of str to ndarray, shape (..., m)
            ``"pure"``, ``"dense"`` and ``"rest"``; nan for a neuron that is 0.
        """
        energy = self.energy
        parts = {"pure": self.pure_weight**2, "dense": self.dense_norm**2, "rest": self.rest_norm**2}
        with np.errstate(invalid="ignore"):
            return {name: part / energy for name, part in parts.items()}

    def statistics(self) -> dict[str, FloatArray]:
        r"""Return one number for the whole network.

        Returns
        -------
        dict of str to ndarray, shape (...)
            ``"pure_share"``, ``"dense_share"``, ``"rest_share"``: P, Q, R, means of the neurons' shares
            weighted by energy. ``"mean_dense_weight"`` and ``"dense_to_pure"``: energy-weighted
            :math:`\beta_i` and :math:`\beta_i/|c_i|`. ``"coverage"``:
            share of the features that some live, right-signed neuron with pure share above 0.3 stands for.
            ``"sign_agreement"``: energy-weighted share of neurons with the sign of :math:`w^*_{j(i)}`.
        """
        energy = self.energy
        total = energy.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(self.pure_weight == 0.0, 0.0, self.dense_weight / np.abs(self.pure_weight))
            right = self.pure_weight * self.label_weights[self.winner] > 0.0
            return {
                "pure_share": (self.pure_weight**2).sum(axis=-1) / total,
                "dense_share": (self.dense_norm**2).sum(axis=-1) / total,
                "rest_share": (self.rest_norm**2).sum(axis=-1) / total,
                "mean_dense_weight": (energy * self.dense_weight).sum(axis=-1) / total,
                "dense_to_pure": (energy * ratio).sum(axis=-1) / total,
                "coverage": self._coverage(right),
                "sign_agreement": (energy * right).sum(axis=-1) / total,
            }

    def _coverage(self, right: npt.NDArray[np.bool_]) -> FloatArray:
        n_features = len(self.label_weights)
        standing = right & self.live & (self.pure_weight**2 > COVERED * self.energy)
        winner, standing = (
            self.winner.reshape(-1, self.winner.shape[-1]),
            standing.reshape(-1, right.shape[-1]),
        )
        found = [len(np.unique(w[s])) / n_features for w, s in zip(winner, standing, strict=True)]
        return np.array(found).reshape(right.shape[:-1])


def split_neurons(weights: Any, dictionary: Any, label_weights: Any) -> NeuronParts:
    """Split neurons into pure part, dense mixture and rest.

    Parameters
    ----------
    weights : array_like, shape (1, m, d) or (m, d)
        Neurons.
    dictionary : array_like, shape (d, D)
        Atoms as orthonormal columns.
    label_weights : array_like, shape (D,)
        w*, without zeros.

    Returns
    -------
    NeuronParts
        Arrays of shape (m,).

    Raises
    ------
    ValueError
        If shapes do not fit, or a label weight is 0.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190: pure features and dense mixtures [recalled]; the projection
       as a definition is the simulator's [choice].
    """
    neurons = _neurons(weights)
    atoms = check_array("dictionary", dictionary, (neurons.shape[1], "D"))
    rule = check_array("label_weights", label_weights, (atoms.shape[1],))
    if not rule.all():
        raise ValueError(f"label_weights must not be 0, got 0 at index {int(np.argmin(np.abs(rule)))}")
    m = len(neurons)
    winner, parts = np.empty(m, np.int64), [np.empty(m) for _ in range(3)]
    squares = np.einsum("md,md->m", neurons, neurons)
    locked = rule.view()
    locked.setflags(write=False)
    kernel.neuron_parts(np.ascontiguousarray((neurons @ atoms).T), squares, locked, winner, *parts)
    return NeuronParts(
        winner=winner,
        pure_weight=parts[0],
        dense_weight=parts[1],
        rest_norm=parts[2],
        label_weights=rule,
    )


def part_vectors(
    weights: Any, dictionary: Any, label_weights: Any
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the three parts of every neuron as vectors.

    Parameters
    ----------
    weights, dictionary, label_weights : array_like
        As for :func:`split_neurons`.

    Returns
    -------
    pure, dense, rest : ndarray, shape (m, d)
        Orthogonal for each neuron; they sum to the weights.
    """
    neurons, atoms = _neurons(weights), np.asarray(dictionary, dtype=np.float64)
    parts = split_neurons(neurons, atoms, label_weights)
    pure = parts.pure_weight[:, None] * atoms[:, parts.winner].T
    mixture = np.tile(parts.label_weights, (len(neurons), 1))
    mixture[np.arange(len(neurons)), parts.winner] = 0.0
    dense = parts.dense_weight[:, None] * (mixture @ atoms.T)
    return pure, dense, neurons - pure - dense


def remove_mixture(weights: Any, dictionary: Any, label_weights: Any) -> FloatArray:
    """Return the weights without their dense part: surgery instead of training.

    Parameters
    ----------
    weights, dictionary, label_weights : array_like
        As for :func:`split_neurons`.

    Returns
    -------
    ndarray, shape of `weights`
        w_i - q_i.

    References
    ----------
    .. [1] docs/purification, "Surgery" [derived].
    """
    pure, _, rest = part_vectors(weights, dictionary, label_weights)
    return (pure + rest).reshape(np.shape(weights))


def keep_pure(weights: Any, dictionary: Any, label_weights: Any) -> FloatArray:
    """Return the pure part of the weights alone.

    Parameters
    ----------
    weights, dictionary, label_weights : array_like
        As for :func:`split_neurons`.

    Returns
    -------
    ndarray, shape of `weights`
        c_i M_j(i).

    References
    ----------
    .. [1] docs/purification, "Surgery" [derived].
    """
    return part_vectors(weights, dictionary, label_weights)[0].reshape(np.shape(weights))


def _neurons(weights: Any) -> FloatArray:
    array = np.asarray(weights)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    return check_array("weights", array, ("m", "d"))
