"""Measures of closed forms: derivatives, Monte Carlo, the symmetric manifold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from featsim.claims.cases import Run
from featsim.models import (
    SymmetricNetworkSpec,
    gaussian_relu,
    symmetric_activation,
    symmetric_curvature,
    symmetric_slope,
)
from featsim.theory import SampledCodes, SymmetricState, symmetric_path, symmetric_weights
from featsim.training import RampSchedule, Recording, train


def derivative_errors(run: Run) -> dict[str, float]:
    """Return relative errors against central differences, and deviations from Monte Carlo in its s.e."""
    data, model = run.data.select(slice(40)), run.scenario.model
    rng = run.rng()
    weights = 5.0 * model.initial_weights(data.dim, rng)  # type: ignore[attr-defined]
    network = model.network(weights)  # type: ignore[attr-defined]
    b, s, step = network.bias, network.smoothing, 1e-5

    def relative(derivative: float, difference: float) -> float:
        return abs(derivative - difference) / abs(difference)

    towards = rng.standard_normal(weights.shape)
    up, down = (model.network(weights + sign * step * towards) for sign in (1, -1))  # type: ignore[attr-defined]
    by_weights = relative(
        float((network.weight_gradient(data.X, data.y) * towards).sum()),
        (up.loss(data.X, data.y) - down.loss(data.X, data.y)) / (2 * step),
    )
    move = rng.standard_normal(data.X.shape)
    by_input = relative(
        float((network.input_gradient(data.X, np.ones((data.n_samples, 1))) * move).sum()),
        float((network.scores(data.X + step * move) - network.scores(data.X - step * move)).sum())
        / (2 * step),
    )
    u = np.linspace(-4 * b, 4 * b, 101)
    slope = (symmetric_activation(u + step, b, s) - symmetric_activation(u - step, b, s)) / (2 * step)
    bend = (symmetric_slope(u + step, b, s) - symmetric_slope(u - step, b, s)) / (2 * step)
    scale = np.abs(symmetric_curvature(u, b, s)).max()
    noise = s * rng.standard_normal(200_000)
    v = np.array([-2 * s, -s / 2, 0.0, s, 3 * s])
    draws = np.maximum(v[:, None] + noise, 0.0)
    error = draws.std(axis=1) / math.sqrt(noise.size)
    return {
        "weights": by_weights,
        "inputs": by_input,
        "slope": float(np.abs(symmetric_slope(u, b, s) / slope - 1.0).max()),
        "curvature": float(np.abs(symmetric_curvature(u, b, s) - bend).max() / scale),
        "monte_carlo": float(np.max(np.abs(draws.mean(axis=1) - gaussian_relu(v, s)) / error)),
    }


SYMMETRIC_STEPS = (60, 20)


def symmetric_run(run: Run) -> dict[str, float]:
    """Train a whole network from the symmetric manifold on given samples, clean, then on FGM.

    Returns the largest relative deviations of its mean c and beta from the recursion on the same samples
    over the run, and the root of the energy share off the manifold at the end.
    """
    data = run.data
    model = SymmetricNetworkSpec(width=2 * data.dim, bias=0.1, smoothing=0.05)
    start = SymmetricState(pure=0.1, dense=0.0, bias=0.1, smoothing=0.05, copies=2)
    weights = symmetric_weights(start, data.dictionary, data.label_weights)
    common: dict[str, Any] = {"step_size": 1.0, "weight_decay": 0.002}
    codes, pure, dense = SampledCodes.of(data), start.pure, start.dense
    deviations: dict[str, list[float]] = {"pure": [], "dense": []}
    attack: Any = None
    for n_steps, attack in zip(
        SYMMETRIC_STEPS, (None, run.scenario.trainings["adversarial"].attack), strict=True
    ):
        trace = train(
            model,
            data,
            schedule=RampSchedule(n_steps=n_steps, **common),
            attack=attack,
            recording=Recording(quantities=("pure_weight", "dense_weight")),
            initial_weights=weights,
        )
        path = symmetric_path(
            codes,
            pure=pure,
            dense=dense,
            bias=np.full(n_steps, 0.1),
            smoothing=np.full(n_steps, 0.05),
            radius=0.0 if attack is None else attack.threat.radius,
            copies=2,
            **common,
        )
        weights, pure, dense = trace.final_weights, path.pure[-1], path.dense[-1]
        simulated = np.abs(trace["pure_weight"]).mean(axis=(1, 2)), trace["dense_weight"].mean(axis=(1, 2))
        deviations["pure"].append(float(np.max(np.abs(simulated[0] / path.pure - 1.0))))
        largest = np.maximum.accumulate(np.abs(path.dense))
        deviations["dense"].append(float(np.max(np.abs(simulated[1] - path.dense)[1:] / largest[1:])))
    back = symmetric_weights(
        SymmetricState(pure=simulated[0][-1], dense=simulated[1][-1], bias=0.1, smoothing=0.05, copies=2),
        data.dictionary,
        data.label_weights,
    )
    return {
        **{name: max(values) for name, values in deviations.items()},
        "off": float(np.linalg.norm(weights - back) / np.linalg.norm(weights)),
    }
