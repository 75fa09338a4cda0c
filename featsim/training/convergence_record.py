"""What is recorded of projected descent: losses, moves, laziness and regret before every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from featsim.data import PointData
from featsim.models import DeepNetwork, NtkNetwork, TangentNetwork
from featsim.training.inner_maximiser import Look
from featsim.training.stepper import Arrays
from featsim.validation import FloatArray

Network = NtkNetwork | TangentNetwork | DeepNetwork

LOSSES = (
    "attacked_loss",
    "clean_loss",
    "robust_loss",
    "attacked_accuracy",
    "clean_accuracy",
    "robust_accuracy",
)
MOVES = ("distance", "largest_move", "gradient_norm", "projected")
LAZY = ("kernel_drift", "tangent_gap")
REGRET = ("comparator_loss", "slack", "average_loss", "regret_bound")
TABLES = ("perturbation", "net_scores", "neuron_moves", "probe_kernel", "probe_scores")

AXES: Mapping[str, tuple[str, ...]] = {
    "perturbation": ("step", "sample", "dim"),
    "net_scores": ("step", "sample", "net"),
    "neuron_moves": ("step", "layer", "neuron"),
    "probe_kernel": ("step", "probe", "other_probe"),
    "probe_scores": ("step", "probe"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """State before one update, with the adversary's answer and the gradient there.

    Attributes
    ----------
    weights, gradient : ndarray, shape (layers, ...)
        W and the gradient of the attacked loss.
    network : Network
        Model with these weights.
    look : Look
        The adversary's answer.
    scores : ndarray, shape (n,)
        Scores at the attacked inputs.
    moved : ndarray
        Weights after the step, not yet projected.
    projected : bool
        Whether the projection changes them.
    after : ndarray
        Weights after the update.
    """

    weights: FloatArray
    gradient: FloatArray
    network: Network
    look: Look
    scores: FloatArray
    moved: FloatArray
    projected: bool
    after: FloatArray


def layer_norms(weights: FloatArray) -> FloatArray:
    """Return the Frobenius norm of each layer."""
    return np.asarray(np.sqrt(np.sum(weights**2, axis=tuple(range(1, weights.ndim)))))


def project_ball(weights: FloatArray, centre: FloatArray, radius: float) -> tuple[FloatArray, bool]:
    """Project every layer on the Frobenius ball around its start.

    Parameters
    ----------
    weights, centre : ndarray, shape (layers, ...)
        Weights and initial weights.
    radius : float
        Radius of each ball.

    Returns
    -------
    ndarray
        Nearest weights in the balls.
    bool
        Whether they differ from the given ones.
    """
    move = weights - centre
    norms = layer_norms(move)
    if not np.any(norms > radius):
        return weights, False
    factor = np.where(norms > radius, radius / np.where(norms > 0, norms, 1.0), 1.0)
    return centre + move * factor.reshape((-1,) + (1,) * (move.ndim - 1)), True


class Probes:
    """Kernel drift and tangent gap on fixed inputs."""

    def __init__(self, network: Network, points: FloatArray) -> None:
        self.points, self.network = points, network
        self.kernel = network.kernel(points)
        self._size = float(np.linalg.norm(self.kernel))

    def drift(self, kernel: FloatArray) -> float:
        """Return the relative change of the kernel in Frobenius norm; 0 for one that stays zero."""
        change = float(np.linalg.norm(kernel - self.kernel))
        if self._size == 0.0:  # no gate was open
            return np.inf if change > 0.0 else 0.0
        return change / self._size

    def gap(self, network: Network, scores: FloatArray) -> float:
        """Return the largest distance between the network and its linearisation at W_0."""
        if isinstance(network, TangentNetwork):
            return 0.0
        start, move = self.network, network.weights - self.network.weights
        if isinstance(start, DeepNetwork):
            linear = start.scores(self.points)[:, 0] + start.directional(self.points, move)
        else:
            tangent = TangentNetwork(network.weights, start.weights, start.activation)
            linear = tangent.scores(self.points)[:, 0]
        return float(np.abs(scores - linear).max())


def record_moves(moment: Moment, start: FloatArray, scale: float) -> dict[str, FloatArray]:
    """Return distances and gradient norm in the units of the two-layer scaling."""
    move = moment.weights - start
    neurons = np.sqrt(np.sum(move**2, axis=2)) / scale
    return {
        "distance": np.asarray(layer_norms(move).max() / scale),
        "largest_move": np.asarray(neurons.max()),
        "gradient_norm": np.asarray(np.sqrt(np.sum(moment.gradient**2)) * scale),
        "projected": np.asarray(float(moment.projected)),
        "neuron_moves": neurons,
    }


def record_losses(moment: Moment, data: PointData, worst: tuple[float, float], loss: FloatArray) -> Arrays:
    """Return what the adversary's points show; clean values are added by the stepper."""
    return {
        "attacked_loss": np.asarray(np.mean(loss)),
        "attacked_accuracy": np.asarray(np.mean(data.signs * moment.scores > 0)),
        "robust_loss": np.asarray(worst[0]),
        "robust_accuracy": np.asarray(worst[1]),
        "perturbation": moment.look.points - data.X,
    }
