"""What is measured across models: accuracies in ten dimensions, least widths, norms, spectra, shattering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.attacks import run_attack
from featsim.claims.cases import Run
from featsim.claims.convergence.measures import Numbers, closed_kernel
from featsim.data import circle_points
from featsim.models import Activation, Loss, Model, TangentKernel
from featsim.sweeps import least_width
from featsim.theory.convergence import (
    alternating_residual,
    circle_spectrum,
    robust_interpolant,
    shattering_gadget,
)
from featsim.threats import Threat
from featsim.training import (
    Recording,
    kernel_adversarial,
    kernel_descent,
    kernel_ridge,
    linear_descent,
)
from featsim.training.inner_maximiser import make_adversary
from featsim.validation import FloatArray

MODELS = (
    "standard",
    "adversarial",
    "kernel ridge",
    "kernel logistic",
    "kernel adversarial",
    "linear",
    "linear adversarial",
)
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
_LOGISTIC = Loss(name="logistic")
_FITTED = Recording(at=(), quantities=("attacked_loss",))


def accuracies(run: Run, models: Sequence[str] = MODELS) -> dict[str, tuple[float, float]]:
    """Return clean and robust accuracy of each model under the scenario's evaluation attack."""
    attack: Any = run.scenario.evaluations[0]
    found = {}
    for name in models:
        result = run_attack(attack, _fit(run, name), run.data, run.rng())
        found[name] = (result.clean_accuracy, result.robust_accuracy)
    return found


def _fit(run: Run, name: str) -> Model:
    scenario, data, kernel = run.scenario, run.data, closed_kernel(run.scenario)
    if name in scenario.trainings:
        trace = scenario.run(name, run.seed, recording=_FITTED)
        model: Model = scenario.model.network(trace.final_weights)  # type: ignore[attr-defined]
        return model
    attack: Any = scenario.trainings["adversarial"].attack
    plain: dict[str, Any] = {"loss": _LOGISTIC, "step_size": 1.0, "n_steps": 1200}
    if name == "kernel ridge":
        return kernel_ridge(kernel, data)
    if name == "kernel logistic":
        return kernel_descent(kernel, data, **plain)
    if name == "kernel adversarial":
        return kernel_adversarial(kernel, data, attack, loss=Loss(), step_size=0.9, n_steps=100)
    if name == "linear":
        return linear_descent(data, **plain)
    return linear_descent(data, **plain, threat=Threat(radius=attack.threat.radius, scope="input"))


def least_widths(run: Run) -> Numbers:
    """Return the least fitting width of standard and adversarial training, and their ratio.

    An adversarial search without a fit counts at the largest width, which makes the ratio too small, and
    ``beyond`` is 1; a standard one has no width to compare with, and all is nan.
    """
    found: Numbers = {"beyond": 0.0}
    for name in ("standard", "adversarial"):
        training: Any = run.scenario.trainings[name]
        judge: Any = run.scenario.evaluations[0] if name == "adversarial" else None
        best = least_width(
            run.data,
            schedule=training.schedule,
            widths=WIDTHS,
            seed=run.seed,
            attack=training.attack,
            judge=judge,
        )
        found[name] = np.nan if best.width is None else float(best.width)
    if np.isnan(found["adversarial"]):
        found["adversarial"], found["beyond"] = float(WIDTHS[-1]), 1.0
    found["ratio"] = found["adversarial"] / found["standard"]
    return found


def gap_norms(activation: str, gaps: Sequence[float], tolerance: float, net_size: int = 41) -> FloatArray:
    """Return the norm of the robust interpolant of four alternating arcs, for each gap between neighbours.

    nan where no fit within the tolerance was found.
    """
    kernel, norms = TangentKernel(activation=Activation(name=activation)), []
    labels = np.repeat([1.0, -1.0, 1.0, -1.0], net_size)
    for gap in gaps:
        half = (np.pi / 2.0 - gap) / 2.0
        angles = np.pi / 2.0 * np.arange(4)[:, None] + np.linspace(-half, half, net_size)
        points = circle_points(angles.ravel())
        found = robust_interpolant(kernel.matrix(points, points), labels, tolerance)
        norms.append(found.norm if found.reached else np.nan)
    return np.array(norms)


def gap_growth(run: Run, gaps: Sequence[float], tolerance: float) -> Numbers:
    """Return :func:`gap_norms` of both closed-form activations."""
    return {name: gap_norms(name, gaps, tolerance) for name in ("relu", "quadratic-relu")}


def harmonics(run: Run) -> Numbers:
    """Return spectra on the circle with and without a constant, and what alternating labels leave over."""
    found: Numbers = {}
    for name in ("relu", "quadratic-relu"):
        kernel = TangentKernel(activation=Activation(name=name))
        for constant in (0.0, 0.5):
            found[f"{name} spectrum {constant:g}"] = circle_spectrum(kernel, constant)
            for n_points in (6, 8):
                key = f"{name} residual {constant:g} n={n_points}"
                found[key] = alternating_residual(kernel, n_points, constant)
    return found


def shattering(run: Run, n_clusters: int, dims: Sequence[int], n_draws: int) -> Numbers:
    """Return the largest excess distance over random labellings, and the least separation over 2."""
    rng, excess, separation = run.rng(), -np.inf, np.inf
    for dim in dims:
        for _ in range(n_draws):
            gadget = shattering_gadget(rng.choice([-1, 1], size=(n_clusters, dim)))
            excess, separation = max(excess, gadget.excess), min(separation, gadget.separation)
    return {"excess": excess, "separation": separation}


def loss_trap(run: Run) -> dict[str, tuple[float, float]]:
    """Return accuracy under an attack that climbs the Huber loss at .45, and the margin attack at .3."""
    attack: Any = run.scenario.trainings["adversarial"].attack
    threat = attack.threat.replace(radius=0.45)
    by_loss = attack.replace(threat=threat, n_steps=40, step_size=threat.radius / 8)
    found = {}
    for name in ("kernel logistic", "linear"):
        model = _fit(run, name)
        points = make_adversary(by_loss, run.data, Loss()).look(model, 0).points
        stands = run.data.signs * model.scores(points)[:, 0] > 0
        weaker: Any = run.scenario.evaluations[0]
        found[name] = (float(np.mean(stands)), run_attack(weaker, model, run.data, run.rng()).robust_accuracy)
    return found
