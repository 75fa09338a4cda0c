"""What the claims on clean generalisation and robust overfitting measure on one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from featsim.attacks import Attack, GradientAttack, SignalAttack, run_attack
from featsim.claims import statistics
from featsim.claims.cases import Run
from featsim.claims.estimates import Estimate
from featsim.data import PatchData
from featsim.evaluation import ball_flatness, companion_ratio, line_flatness, population
from featsim.models import margins
from featsim.scenarios import Scenario
from featsim.theory.cgro import (
    ClosureStart,
    ClosureTrace,
    StageLaws,
    closure_from_weights,
    detect_phases,
    largest_start,
)
from featsim.training import Mixture
from featsim.validation import FloatArray

_FINAL = (
    "signal_score",
    "signal_sum",
    "attacked_signal_score",
    "memorised_share",
    "fresh_noise_sd",
    *(
        f"{where}{attack}_{what}"
        for where in ("", "fresh_")
        for attack in ("clean", "fixed", "worst")
        for what in ("loss", "accuracy")
    ),
)


def ended(run: Run) -> dict[str, float]:
    """Return the last record: scores, memorisation, losses and accuracies on training and fresh samples."""
    trace = run.trace
    memory = trace["memorisation"][-1]
    found = {name: float(trace[name][-1]) for name in _FINAL if name in trace}
    mean_memory = float(memory.mean())
    return {
        **found,
        "memorisation": mean_memory,
        "least_memorised": float(memory.min()),
        "share": found["attacked_signal_score"] / (found["attacked_signal_score"] + mean_memory),
        "n_train": run.scenario.n_samples,
        "n_fresh": getattr(run.scenario.data, "n_fresh", 0),
    }


def accuracy_over(found: Sequence[Mapping[str, float]], key: str) -> Estimate:
    """Return an accuracy of :func:`ended` or :func:`attacked` over seeds, with its binomial interval."""
    on_fresh = key.startswith(("fresh_", "test_"))
    sizes = [int(f["n_fresh" if on_fresh else "n_train"]) for f in found]
    return statistics.accuracy([f[key] for f in found], sizes)


def phases(run: Run) -> dict[str, Any]:
    """Return the phases found in the trace, without the steps of single samples."""
    return detect_phases(run.trace).to_dict()


def line_settings(scenario: Scenario, training: str) -> dict[str, Any]:
    """Return the closure's arguments for a training against a line attack."""
    chosen = scenario.trainings[training]
    objective: Any = chosen.attack
    attack, weight = (
        (objective.attack, objective.weight) if isinstance(objective, Mixture) else (objective, 1.0)
    )
    if not isinstance(attack, SignalAttack):
        raise ValueError(f"{scenario.name} {training} must be trained on the signal line for the closure")
    return {
        "weight": weight,
        "radius": attack.radius,
        "rule": attack.rule,
        "step_size": chosen.schedule.step_size,
        "n_steps": chosen.schedule.n_steps,
    }


def closure_start(run: Run) -> ClosureStart:
    """Return the closure's start from the run's own data and initial weights."""
    data, rng = run.scenario.problem(run.seed)
    model: Any = run.scenario.model
    return closure_from_weights(model.initial_weights(data.dim, rng), data)


def closure(run: Run, training: str) -> ClosureTrace:
    """Run the exact closure instead of training."""
    return closure_start(run).run(run.scenario.model, **line_settings(run.scenario, training))  # type: ignore[arg-type]


def stage_laws(scenario: Scenario, training: str) -> StageLaws:
    """Return the stage laws of a training."""
    data, model = scenario.data, scenario.model
    settings = line_settings(scenario, training)
    return StageLaws(
        n_samples=scenario.n_samples,
        signal_strength=data.signal_strength,  # type: ignore[attr-defined]
        noise_norm=data.noise_norm,  # type: ignore[attr-defined]
        power=model.power,  # type: ignore[attr-defined]
        radius=settings["radius"],
        weight=settings["weight"],
        step_size=settings["step_size"],
    )


def closure_times(run: Run, training: str) -> dict[str, float]:
    """Return stage times of the closure with those that the laws predict, and the closure's end."""
    start, laws = closure_start(run), stage_laws(run.scenario, training)
    trace = start.run(run.scenario.model, **line_settings(run.scenario, training))  # type: ignore[arg-type]
    signs = run.scenario.model.output_signs  # type: ignore[attr-defined]
    predicted = laws.memorisation_time(start.noise_coef, start.labels, signs)
    stalled = laws.stalled_coef(float(np.median(predicted)))
    alpha, power = laws.signal_strength, laws.power
    left = alpha - laws.radius
    score, memory = float(trace.signal_score[-1]), trace.memorisation[-1]
    attacked = score * np.sign(left) * abs(left / alpha) ** power
    first = np.median(largest_start(start.noise_coef, start.labels, signs))
    return {
        "signal_step": trace.signal_step,
        "memorisation_step": trace.memorisation_step,
        "predicted_signal_step": laws.signal_time(start.signal_coef, signs),
        "predicted_memorisation_step": float(np.median(predicted)),
        "predicted_ratio": laws.critical_ratio(float(first), stalled),
        "stalled_score": float(laws.stalled_score(trace.memorisation_step)),
        "score": score,
        "signal_sum": score / alpha**power,
        "memorisation": float(memory.mean()),
        "share": float(attacked / (attacked + memory.mean())),
    }


def closure_error(run: Run, training: str) -> float:
    """Return the largest deviation of the closure from the training, over u, v and V at every record."""
    start = closure_from_weights(run.trace["weights"][0], run.data)
    settings = {**line_settings(run.scenario, training), "record_at": run.trace.steps}
    found = start.run(run.scenario.model, **settings)  # type: ignore[arg-type]
    pairs = [
        (found.signal_coef, run.trace["signal_coef"][:, 0]),
        (found.memorisation, run.trace["memorisation"]),
        (found.noise_coef, run.trace["noise_coef"][-1]),
    ]
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def decoupled_error(run: Run, training: str) -> float:
    """Return the mean relative error of V at the end of the decoupled form against the closure."""
    start = closure_start(run)
    settings = line_settings(run.scenario, training)
    exact, alone = (s.run(run.scenario.model, **settings) for s in (start, start.decoupled()))  # type: ignore[arg-type]
    difference = np.abs(alone.memorisation[-1] - exact.memorisation[-1])
    return float(difference.mean() / np.abs(exact.memorisation[-1]).mean())


def on_population(run: Run, n_samples: int) -> dict[str, float]:
    """Return population accuracies against those predicted from the noise alone, in standard errors."""
    attack: Any = run.scenario.evaluations[0]
    found = population(run.network, run.data, attack.radius, n_samples, run.rng())
    result = {"noise_mean_in_errors": abs(found.noise_mean) / found.noise_mean_error}
    for name in ("clean", "fixed", "worst"):
        accuracy = getattr(found, name)
        # An accuracy of exactly 1 still has the error of one sample in n.
        error = max(np.hypot(accuracy.standard_error, accuracy.predicted_error), 1.0 / n_samples)
        result[name] = accuracy.value
        result[f"{name}_gap_in_errors"] = abs(accuracy.value - accuracy.predicted) / error
    return result


def attacked(run: Run, attack: Attack, step: int | None = None) -> dict[str, float]:
    """Return accuracies under an attack on training samples and on fresh or test samples."""
    weights = run.trace.final_weights if step is None else run.trace.weights_at(step)
    network = run.scenario.model.network(weights)  # type: ignore[attr-defined]
    data: Any = run.data
    test = data.fresh if hasattr(data, "fresh") else run.scenario.data.test()  # type: ignore[attr-defined]
    found = {}
    for name, samples in (("train", data), ("test", test)):
        random = isinstance(attack, GradientAttack) and attack.n_random > 0
        result = run_attack(attack, network, samples, run.rng() if random else None)
        found[f"{name}_clean"], found[f"{name}_robust"] = result.clean_accuracy, result.robust_accuracy
    return {**found, "n_train": data.n_samples, "n_fresh": test.n_samples}


def flat_on_line(run: Run, radii: tuple[float, ...], steps: tuple[int, ...]) -> dict[str, Any]:
    """Return G and C on training and fresh samples at the radii (rows: steps), with the companion ratio."""
    found: dict[str, Any] = {name: [] for name in ("G_train", "C_train", "G_test", "C_test")}
    worst = 0.0
    for step in steps:
        network: Any = run.scenario.model.network(run.trace.weights_at(step))  # type: ignore[attr-defined]
        for name, data in (("train", run.data), ("test", run.data.fresh)):
            curve = line_flatness(network, data, radii)
            found[f"G_{name}"].append(curve.gradient.tolist())
            found[f"C_{name}"].append(curve.change.tolist())
            worst = max(worst, companion_ratio(network, data, radii))
    gaps = [float(run.trace[name][-1]) for name in ("fresh_worst_loss", "worst_loss", "fresh_clean_loss")]
    slope = line_flatness(run.network, run.data.fresh, (0.0,)).gradient[0]
    return {
        **found,
        "companion_ratio": worst,
        "gap": gaps[0] - gaps[1],
        "adversarial_excess": gaps[0] - gaps[2],
        "clean_slope": float(slope),
    }


def flat_in_balls(run: Run, radii: tuple[float, ...], steps: tuple[int, ...], n_test: int) -> dict[str, Any]:
    """Return G and C on training and test images at the radii (rows: steps), found by gradient ascent."""
    found: dict[str, Any] = {name: [] for name in ("G_train", "C_train", "G_test", "C_test")}
    test = run.scenario.data.test(n_test)  # type: ignore[attr-defined]
    for step in steps:
        network: Any = run.scenario.model.network(run.trace.weights_at(step))  # type: ignore[attr-defined]
        for name, data in (("train", run.data), ("test", test)):
            curve = ball_flatness(network, data, radii, run.rng(2))
            found[f"G_{name}"].append(curve.gradient.tolist())
            found[f"C_{name}"].append(curve.change.tolist())
    return found


def gap_along(run: Run, radius: float, steps: tuple[int, ...]) -> dict[str, list[float]]:
    """Return robust gap (loss, worst on the line) and G on fresh samples at kept weights."""
    trace = run.trace
    found: dict[str, list[float]] = {"gap": [], "sharpness": []}
    for step in steps:
        network: Any = run.scenario.model.network(trace.weights_at(step))  # type: ignore[attr-defined]
        record = trace.at(step)
        found["gap"].append(float(record["fresh_worst_loss"] - record["worst_loss"]))
        curve = line_flatness(network, run.data.fresh, (radius,))
        found["sharpness"].append(float(curve.gradient[0]))
    return found


def signed(data: PatchData) -> FloatArray:
    """Return the labels as +1 and -1."""
    return np.where(data.y == 1, 1.0, -1.0)


def right(model: Any, X: FloatArray, data: PatchData) -> float:
    """Return the share of inputs with positive margin."""
    return float(np.mean(margins(model.scores(X), data.y) > 0.0))
