"""Reference nets: at least as strong as the strongest attack measured on them elsewhere."""

import numpy as np
import pytest

from featsim.attacks import pgd, run_attack
from featsim.threats import Threat


class PatchNet:
    """A user's own model: sum over patches and filters of an activation."""

    def __init__(self, weights, activation, slope):
        self.weights, self.activation, self.slope = weights, activation, slope

    def scores(self, X):
        return self.activation(np.einsum("npd,kmd->npkm", X, self.weights)).sum(axis=(1, 3))

    def input_gradient(self, X, cotangent):
        z = np.einsum("npd,kmd->npkm", X, self.weights)
        return np.einsum("nk,npkm,kmd->npd", cotangent, self.slope(z), self.weights)


def smoothed(q, rho):
    return (
        lambda z: np.clip(z, 0, rho) ** q / (q * rho ** (q - 1)) + np.maximum(z - rho, 0),
        lambda z: (np.clip(z, 0, rho) / rho) ** (q - 1),
    )


ACTIVATIONS = {
    "srelu_q3_k3": smoothed(3, 1.0),
    "srelu_q2_k2": smoothed(2, 0.5),
    "relupow3_k2": (lambda z: np.maximum(z, 0) ** 3, lambda z: 3 * np.maximum(z, 0) ** 2),
    "odd3_k1": (lambda z: z**3, lambda z: 3 * z**2),
    "symrelu_k1": (
        lambda z: np.maximum(z - 0.1, 0) - np.maximum(-z - 0.1, 0),
        lambda z: 1.0 * (np.abs(z) > 0.1),
    ),
}


@pytest.mark.parametrize(
    ("name", "norm", "radius", "strongest"),
    [
        ("srelu_q3_k3", "l2", 0.8, 0.15),
        ("srelu_q2_k2", "l2", 0.8, 0.325),
        ("relupow3_k2", "l2", 0.8, 0.325),
        ("odd3_k1", "l2", 0.8, 0.10),
        ("symrelu_k1", "l2", 0.8, 0.125),
        ("srelu_q2_k2", "linf", 0.25, 0.0),
    ],
)
def test_robust_accuracy_is_at_most_the_last_column_of_the_table(shared_data, name, norm, radius, strongest):
    stored = np.load(shared_data / "attack_nets.npz")
    net = PatchNet(stored[f"{name}_W"], *ACTIVATIONS[name])
    attack = pgd(
        Threat(radius=radius, norm=norm, scope="input"),
        100,
        objective="targeted",
        starts=("clean", "filters"),
        n_random=2,
        stop_when_broken=True,
    )
    samples = (stored[f"{name}_X"], stored[f"{name}_y"])
    result = run_attack(attack, net, samples, np.random.default_rng(0))
    assert result.robust_accuracy <= strongest
    if name in ("relupow3_k2", "odd3_k1"):  # homogeneous: the scale of the weights decides nothing
        net.weights = 8.0 * net.weights
        scaled = run_attack(attack, net, samples, np.random.default_rng(0))
        assert scaled.robust_accuracy == result.robust_accuracy
