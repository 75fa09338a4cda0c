"""One small model of every kind, with samples that it mostly gets right."""

import dataclasses

import numpy as np

from featsim.models import (
    Activation,
    BiasedReluNetwork,
    DeepNetwork,
    DeepTangentKernel,
    FrozenGateNetwork,
    FrozenGateSpec,
    GateKernel,
    KernelMachine,
    LinearModel,
    NtkNetwork,
    PolynomialNetwork,
    PowerNetwork,
    ReluNetwork,
    SymmetricNetwork,
    TangentKernel,
    TangentNetwork,
    TwoLayerNetwork,
    margins,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A model and samples; `X` of shape (n, P, d) or (n, d)."""

    model: object
    X: np.ndarray
    y: np.ndarray


def _labels(model, X, rng):
    """Labels that the model gives itself, so that there is something to certify."""
    scores = model.scores(X)
    if scores.shape[1] == 1:
        return (scores[:, 0] > 0).astype(np.int64)
    return np.argmax(scores, axis=1)


def flat_models(rng, dim=4, m=8):
    """Models of inputs (n, d)."""
    w = rng.standard_normal((1, m, dim))
    moved = w + 0.3 * rng.standard_normal(w.shape)
    spec = FrozenGateSpec(width=m, gates="smooth", bias=0.3, smoothing=0.4)
    hard = FrozenGateSpec(width=m, gates="hard", bias=0.3)
    gates = np.stack([rng.standard_normal((m, dim)), rng.standard_normal((m, dim))])
    points = rng.standard_normal((5, dim))
    beta = rng.standard_normal(5)
    kernels = {
        "relu": TangentKernel(activation=Activation(name="relu")),
        "relu both": TangentKernel(activation=Activation(name="relu"), layers="both"),
        "quadratic": TangentKernel(),
        "quadratic both": TangentKernel(layers="both"),
        "softplus both": TangentKernel(activation=Activation(name="softplus"), layers="both"),
        "smoothed": TangentKernel(activation=Activation(name="smoothed-relu")),
        "deep": DeepTangentKernel(depth=2),
        "gates": GateKernel(),
        "biased gates": GateKernel(weight_std=0.7, bias_std=0.3, offset=0.4),
    }
    deep = (
        rng.standard_normal((m, dim)) / 2,
        rng.standard_normal((2, m, m)) / 2,
        rng.standard_normal(m),
    )
    relu = [
        (rng.standard_normal((m, dim)), rng.standard_normal(m)),
        (rng.standard_normal((1, m)), np.zeros(1)),
    ]
    models = {
        "symmetric": SymmetricNetwork(w, bias=0.3, smoothing=0.2),
        "symmetric sharp": SymmetricNetwork(w, bias=0.3, smoothing=0.0),
        "polynomial": PolynomialNetwork(0.6 * w, power=3),
        "smooth gates": FrozenGateNetwork(gates, spec),
        "hard gates": FrozenGateNetwork(gates, hard),
        "biased relu": BiasedReluNetwork(rng.standard_normal((1, m, dim + 2)), 0.2),
        "deep relu": DeepNetwork(*deep),
        "deep softplus": DeepNetwork(*deep, Activation(name="softplus")),
        "relu layers": ReluNetwork(relu),
    }
    for name in ("relu", "quadratic-relu", "softplus", "smoothed-relu"):
        models[f"ntk {name}"] = NtkNetwork(moved, Activation(name=name))
        models[f"tangent {name}"] = TangentNetwork(moved, w, Activation(name=name))
    models |= {f"kernel {name}": KernelMachine(kernel, points, beta) for name, kernel in kernels.items()}
    return models


def patch_models(rng, dim=4):
    """Models of inputs (n, P, d)."""
    w = rng.standard_normal((3, 3, dim))
    return {
        "linear": LinearModel(rng.standard_normal((3, 2, dim))),
        "two-layer q=3": TwoLayerNetwork(w, power=3.0, smoothing=0.7),
        "two-layer q=1": TwoLayerNetwork(w, power=1.0, smoothing=0.7),
        "odd": PowerNetwork(0.6 * w[:1], power=3.0),
        "odd q=2.5": PowerNetwork(0.6 * w[:1], power=2.5),
        "relu powers": PowerNetwork(0.6 * rng.standard_normal((1, 4, dim)), power=2.0, activation="relu"),
    }


def cases(seed=0, n=12):
    """Return every case by name."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, model in flat_models(rng).items():
        X = rng.standard_normal((n, 4))
        found[name] = Case(model, X, _labels(model, X, rng))
    for name, model in patch_models(rng).items():
        X = rng.standard_normal((n, 2, 4))
        found[name] = Case(model, X, _labels(model, X, rng))
    for name, case in found.items():
        assert np.all(margins(case.model.scores(case.X), case.y) > 0), name
    return found
