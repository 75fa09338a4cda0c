"""The published nets: default settings are at least as strong as the strongest attack measured elsewhere."""

import numpy as np
import pytest

from featsim.evaluation import masking_report, robustness
from featsim.models import PowerNetwork, SymmetricNetwork, TwoLayerNetwork
from featsim.threats import Threat


class PatchNet:
    """A user's own model: sum over patches and filters of an activation."""

    def __init__(self, weights, value, slope):
        self.weights, self.value, self.slope = weights, value, slope

    def scores(self, X):
        return self.value(np.einsum("npd,kmd->npkm", X, self.weights)).sum(axis=(1, 3))

    def input_gradient(self, X, cotangent):
        z = np.einsum("npd,kmd->npkm", X, self.weights)
        return np.einsum("nk,npkm,kmd->npd", cotangent, self.slope(z), self.weights)


def cube(z):
    return np.maximum(z, 0.0) ** 3


def cube_slope(z):
    return 3.0 * np.maximum(z, 0.0) ** 2


def symmetric(z):
    return np.maximum(z - 0.1, 0.0) - np.maximum(-z - 0.1, 0.0)


def symmetric_slope(z):
    return 1.0 * (np.abs(z) > 0.1)


ROWS = [
    ("srelu_q3_k3", "l2", 0.8, 0.15, lambda W: TwoLayerNetwork(W, power=3.0, smoothing=1.0)),
    ("srelu_q2_k2", "l2", 0.8, 0.325, lambda W: TwoLayerNetwork(W, power=2.0, smoothing=0.5)),
    ("relupow3_k2", "l2", 0.8, 0.325, lambda W: PatchNet(W, cube, cube_slope)),
    # Every preactivation is far below the joint: the cube, as a model of the package.
    ("relupow3_k2", "l2", 0.8, 0.325, lambda W: TwoLayerNetwork(W, power=3.0, smoothing=100.0)),
    ("odd3_k1", "l2", 0.8, 0.10, PowerNetwork),
    ("symrelu_k1", "l2", 0.8, 0.125, lambda W: PatchNet(W, symmetric, symmetric_slope)),
    ("srelu_q2_k2", "linf", 0.25, 0.0, lambda W: TwoLayerNetwork(W, power=2.0, smoothing=0.5)),
]


def stored(folder, name):
    data = np.load(folder / "attack_nets.npz")
    return data[f"{name}_W"], (data[f"{name}_X"], data[f"{name}_y"])


@pytest.mark.parametrize(("name", "norm", "radius", "strongest", "build"), ROWS)
@pytest.mark.parametrize("seed", [None, 0])
def test_default_settings(shared_data, name, norm, radius, strongest, build, seed):
    weights, data = stored(shared_data, name)
    rng = None if seed is None else np.random.default_rng(seed)
    threat = Threat(radius=radius, norm=norm, scope="input")
    found = robustness(build(weights), data, threat, rng, branch_seconds=3.0)
    assert found.interval[1] <= strongest + 1e-12
    if found.branch is not None:  # and where there is a certificate, the interval closes
        assert found.interval[0] == found.interval[1]


@pytest.mark.parametrize(("name", "build"), [("relupow3_k2", ROWS[2][4]), ("odd3_k1", PowerNetwork)])
def test_scale_does_not_matter(shared_data, name, build):
    weights, data = stored(shared_data, name)
    threat = Threat(radius=0.8, scope="input")
    plain, scaled = (
        robustness(build(scale * weights), data, threat, np.random.default_rng(0), branch_seconds=2.0)
        for scale in (1.0, 8.0)
    )
    np.testing.assert_array_equal(plain.standing, scaled.standing)
    report = masking_report(build(8.0 * weights), data, threat, np.random.default_rng(0), n_queries=30)
    assert report.plain_loss > plain.interval[1]
    assert report.dead_loss > 0


def test_a_symmetric_network_of_one_patch(shared_data):
    """The published symmetric net has several patches; with one it is a model of the package."""
    weights, (X, y) = stored(shared_data, "symrelu_k1")
    net = SymmetricNetwork(weights, bias=0.1, smoothing=0.0)
    X = X[:, :1]
    y = (net.scores(X)[:, 0] > 0).astype(int)
    found = robustness(net, (X, y), Threat(radius=0.3, scope="input"), branch_seconds=2.0)
    assert found.interval[0] == found.interval[1]
