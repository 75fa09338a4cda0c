"""Measures of closed forms: derivatives, Monte Carlo, the symmetric manifold, the population at any d."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from featsim.claims.cases import Run
from featsim.models import (
    SymmetricNetworkSpec,
    gaussian_relu,
    symmetric_activation,
    symmetric_curvature,
    symmetric_slope,
)
from featsim.scenarios.purification import large_scenario
from featsim.theory import (
    Population,
    SampledCodes,
    SymmetricPath,
    SymmetricState,
    half_accuracy_radius,
    symmetric_path,
    symmetric_weights,
)
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


def fatal_mixture(radius: float, dim: int, sparsity: float = 2.0) -> dict[str, float]:
    """Return the clean-trained net of the population whose half-accuracy radius is `radius`.

    The ratio r = s/b is found by root search; n = 3 neurons per feature start at c = 1.5 b0.
    """
    population = Population(dim, sparsity)

    def excess(ratio: float) -> float:
        return half_accuracy_radius(population, population_clean(population, ratio)[1]) - radius

    ratio = float(brentq(excess, 0.2, 0.5, xtol=1e-6))
    path, _ = population_clean(population, ratio)
    return {
        "ratio": ratio,
        "leak": float(2.0 * ndtr(-1.0 / ratio)),
        "dense_to_pure": float(path.dense_to_pure[-1]),
        "mixture_ratio": float(path.mixture_ratio[-1]),
        "dense_share": float(path.dense_share[-1]),
    }


def population_clean(population: Population, ratio: float) -> tuple[SymmetricPath, SymmetricState]:
    """Train the population clean with the schedule of the large-dimension scenarios."""
    scenario = large_scenario("population", "", dim=population.dim, sparsity=population.sparsity, ratio=ratio)
    schedule: Any = scenario.trainings["standard"].schedule
    model: Any = scenario.model
    path = symmetric_path(
        population,
        pure=1.5 * schedule.bias_start,
        bias=schedule.ramp(schedule.bias_start, model.bias, 0, schedule.n_steps),
        smoothing=schedule.ramp(schedule.smoothing_start, model.smoothing, 0, schedule.n_steps),
        step_size=schedule.step_size,
        weight_decay=schedule.weight_decay,
        copies=3,
    )
    return path, _state(path, model)


def population_adversarial(
    population: Population, ratio: float, pure: float, dense: float, rate: float
) -> tuple[SymmetricPath, SymmetricState]:
    """Train the population adversarially with step size `rate` d, for the same time whatever the rate."""
    scenario = large_scenario("population", "", dim=population.dim, sparsity=population.sparsity, ratio=ratio)
    later = scenario.trainings["adversarial"]
    model: Any = scenario.model
    schedule: Any = later.schedule
    attack: Any = later.attack
    n_steps = round(schedule.n_steps * schedule.step_size / (rate * population.dim))
    path = symmetric_path(
        population,
        pure=pure,
        dense=dense,
        bias=np.full(n_steps, model.bias),
        smoothing=np.full(n_steps, model.smoothing),
        step_size=rate * population.dim,
        weight_decay=schedule.weight_decay,
        radius=attack.threat.radius,
        copies=3,
    )
    return path, _state(path, model)


def _state(path: SymmetricPath, model: Any) -> SymmetricState:
    return SymmetricState(
        pure=float(path.pure[-1]),
        dense=float(path.dense[-1]),
        bias=model.bias,
        smoothing=model.smoothing,
        copies=3,
    )


def scaling_point(run: Run, dim: int, radius: float) -> dict[str, float]:
    """Return the fatal mixture at one dimension; the run only names it."""
    return fatal_mixture(radius, dim)


def large_purification(run: Run, dim: int, ratio: float, rate: float) -> dict[str, float]:
    """Return what the adversarial phase of the population leads to at a large dimension."""
    population = Population(dim, 2.0)
    clean, _ = population_clean(population, ratio)
    with np.errstate(all="ignore"):  # too large a step is the point of some cases
        path, state = population_adversarial(
            population, ratio, float(clean.pure[-1]), float(clean.dense[-1]), rate
        )
    return {
        "dense_to_pure": abs(float(path.dense_to_pure[-1])),
        "half_radius": half_accuracy_radius(population, state),
    }
