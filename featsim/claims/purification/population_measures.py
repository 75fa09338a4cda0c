"""Measures of the exact population on the symmetric manifold, at any dimension and sparsity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from featsim.claims.cases import Run
from featsim.scenarios.purification import large_scenario
from featsim.theory import (
    Population,
    SymmetricPath,
    SymmetricState,
    half_accuracy_radius,
    symmetric_path,
)

COPIES = 3
"""Neurons n per feature of the population's nets [choice]."""
RATE = 0.02
"""Step size e d of the large-dimension scenarios' adversarial phase, as e."""


def population_clean(
    population: Population, ratio: float, *, start: float | None = None, copies: int = COPIES
) -> tuple[SymmetricPath, SymmetricState]:
    """Train the population clean with the schedule of the large-dimension scenarios, r = s/b at the end.

    From c = `start`; by default 1.5 b0 sqrt(k/2), which lets a unit whose feature is active fire at once.
    """
    scenario = _scenario(population, ratio)
    schedule: Any = scenario.trainings["standard"].schedule
    model: Any = scenario.model
    path = symmetric_path(
        population,
        pure=1.5 * schedule.bias_start * math.sqrt(population.sparsity / 2.0) if start is None else start,
        bias=schedule.ramp(schedule.bias_start, model.bias, 0, schedule.n_steps),
        smoothing=schedule.ramp(schedule.smoothing_start, model.smoothing, 0, schedule.n_steps),
        step_size=schedule.step_size,
        weight_decay=schedule.weight_decay,
        copies=copies,
    )
    return path, _state(path, model, copies)


def population_adversarial(
    population: Population, ratio: float, start: SymmetricState, rate: float = RATE
) -> tuple[SymmetricPath, SymmetricState]:
    """Train the population adversarially with step size `rate` d, for the same time whatever the rate."""
    scenario = _scenario(population, ratio)
    later = scenario.trainings["adversarial"]
    model: Any = scenario.model
    schedule: Any = later.schedule
    attack: Any = later.attack
    n_steps = round(schedule.n_steps * schedule.step_size / (rate * population.dim))
    with np.errstate(all="ignore"):  # too large a step is the point of some cases
        path = symmetric_path(
            population,
            pure=start.pure,
            dense=start.dense,
            bias=np.full(n_steps, model.bias),
            smoothing=np.full(n_steps, model.smoothing),
            step_size=rate * population.dim,
            weight_decay=schedule.weight_decay,
            radius=attack.threat.radius,
            copies=start.copies,
        )
    return path, _state(path, model, start.copies)


def _scenario(population: Population, ratio: float) -> Any:
    return large_scenario("population", "", dim=population.dim, sparsity=population.sparsity, ratio=ratio)


def _state(path: SymmetricPath, model: Any, copies: int) -> SymmetricState:
    return SymmetricState(
        pure=float(path.pure[-1]),
        dense=float(path.dense[-1]),
        bias=model.bias,
        smoothing=model.smoothing,
        copies=copies,
    )


def fatal_mixture(dim: int, radius: float, sparsity: float = 2.0) -> dict[str, float]:
    """Return the clean-trained net whose half-accuracy radius is `radius`, and what purifying makes of it.

    The ratio r = s/b is found by root search.
    """
    population = Population(dim, sparsity)

    def excess(ratio: float) -> float:
        return half_accuracy_radius(population, population_clean(population, ratio)[1]) - radius

    ratio = float(brentq(excess, 0.2, 0.5, xtol=1e-5))
    path, clean = population_clean(population, ratio)
    purified, robust = population_adversarial(population, ratio, clean)
    return {
        "ratio": ratio,
        "leak": float(2.0 * ndtr(-1.0 / ratio)),
        "dense_to_pure": float(path.dense_to_pure[-1]),
        "mixture_ratio": float(path.mixture_ratio[-1]),
        "dense_share": float(path.dense_share[-1]),
        "purified_share": float(purified.dense_share[-1]),
        "purified_radius": half_accuracy_radius(population, robust),
    }


def scaling_point(run: Run, dim: int, radius: float) -> dict[str, float]:
    """Return the fatal mixture at one dimension; the run only names it."""
    return fatal_mixture(dim, radius)


def both_phases(run: Run, dim: int, ratio: float, rate: float = RATE) -> dict[str, float]:
    """Return what the clean and the adversarial phase of the population lead to at k = 2."""
    population = Population(dim, 2.0)
    path, clean = population_clean(population, ratio)
    purified, robust = population_adversarial(population, ratio, clean, rate)
    return {
        "clean_dense_to_pure": float(path.dense_to_pure[-1]),
        "clean_dense_share": float(path.dense_share[-1]),
        "clean_half_radius": half_accuracy_radius(population, clean),
        "dense_to_pure": abs(float(purified.dense_to_pure[-1])),
        "half_radius": half_accuracy_radius(population, robust),
    }


def trapped(run: Run, dim: int, start: float, copies: int) -> dict[str, float]:
    """Return the end of a clean phase that starts with c too small for any unit to fire."""
    population = Population(dim, 2.0)
    path, state = population_clean(population, 0.42, start=start, copies=copies)
    attack: Any = _scenario(population, 0.42).trainings["adversarial"].attack
    return {
        "dense_share": float(path.dense_share[-1]),
        "clean": population.accuracy(state, 0.0),
        "fgm": population.accuracy(state, attack.threat.radius),
    }


def pure_radius(sparsity: float, ratio: float, dim: int = 1_000_000) -> float:
    """Return the half-accuracy radius of the pure net of c = 1 with the scenarios' bias at k."""
    population = Population(dim, sparsity)
    model: Any = _scenario(population, ratio).model
    state = SymmetricState(pure=1.0, dense=0.0, bias=model.bias, smoothing=model.smoothing, copies=COPIES)
    return half_accuracy_radius(population, state)


def by_sparsity(run: Run, sparsity: float, ratio: float) -> float:
    """Return the half-accuracy radius of a pure net; the run only names it."""
    return pure_radius(sparsity, ratio)


def recursion_radius(dim: int, sparsity: float, ratio: float) -> float:
    """Return the half-accuracy radius of the population's net after both phases."""
    population = Population(dim, sparsity)
    clean = population_clean(population, ratio)[1]
    return half_accuracy_radius(population, population_adversarial(population, ratio, clean)[1])
