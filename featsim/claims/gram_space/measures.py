"""What the claims on Gram space measure."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from featsim.attacks import fgm, line_margins
from featsim.claims.cases import Run
from featsim.data import GramSignalNoiseSpec, normal_factor, patch_data, sample_like
from featsim.evaluation import feature_population, line_population
from featsim.scenarios import Scenario
from featsim.scenarios.gram_space import attacked_strength
from featsim.theory import gram_from_weights
from featsim.theory.cgro import FlowTrace, StageLaws, closure_flow, closure_from_weights
from featsim.threats import Threat
from featsim.training import Recording, Schedule, train

WEIGHT = 0.5


def start_of(run: Run) -> tuple[Any, Any, Any]:
    """Return data, initial weights and model of a run, in coordinates or in vectors."""
    data, rng = run.scenario.problem(run.seed)
    model: Any = run.scenario.model
    draw = getattr(run.scenario.data, "initial_weights", None)
    if draw is not None:
        return data, draw(model, data, rng), model
    shape = (data.dim,) if model.kind == "power-network" else (data.n_classes, data.dim)
    return data, model.initial_weights(*shape, rng), model


# ------------------------------------------------------------------------------ exactness


def subspace_error(run: Run, training: str) -> float:
    """Return the largest difference of all records between vectors and the span of the inputs."""
    ends = Recording(every=10, weights_at=(0,))
    one, other = (
        run.scenario.run(training, run.seed, recording=ends, reduction=how) for how in ("never", "always")
    )
    worst = 0.0
    for name in one:
        scale = max(1.0, float(np.nanmax(np.abs(one[name]))))
        worst = max(worst, float(np.nanmax(np.abs(one[name] - other[name]))) / scale)
    return worst


def rotated_box(run: Run) -> float:
    """Return how far a rotation moves an l_inf run: the largest change of its attacked loss."""
    data, weights, model = start_of(run)
    rotation = np.linalg.qr(np.random.default_rng(run.seed).standard_normal((data.dim, data.dim)))[0]
    box = fgm(Threat(radius=0.05, norm="linf"))
    runs = [
        train(
            model, patch_data(X, data.y), schedule=Schedule(n_steps=200), attack=box, initial_weights=W,
            recording=Recording(every=10),
        )
        for X, W in ((data.X, weights), (data.X @ rotation, weights @ rotation))
    ]  # fmt: skip
    return float(np.abs(runs[0]["attacked_loss"] - runs[1]["attacked_loss"]).max())


def recursion_error(run: Run, training: str) -> float:
    """Return the largest relative difference of the recursion in inner products from training."""
    data, weights, model = start_of(run)
    chosen = run.scenario.trainings[training]
    attack: Any = chosen.attack
    settings = {} if attack is None else {
        "radius": attack.threat.radius, "attack_step_size": attack.step_size, "objective": attack.objective
    }  # fmt: skip
    steps: dict[str, Any] = {"n_steps": chosen.schedule.n_steps, "step_size": chosen.schedule.step_size}
    found = gram_from_weights(weights, data).run(
        power=model.power, smoothing=model.smoothing, record_every=10, **steps, **settings
    )
    trace = train(
        model, data, attack=attack, schedule=Schedule(**steps), initial_weights=weights,
        recording=Recording(every=10),
    )  # fmt: skip
    return max(
        float(np.abs(getattr(found, name) - trace[name]).max()) / max(1.0, float(np.abs(trace[name]).max()))
        for name in ("robust_coef", "nonrobust_coef", "clean_loss")
    )


def law_of_signal_noise(run: Run, n_steps: int) -> dict[str, float]:
    """Return statistics of start and end whose laws are compared between vectors and coordinates."""
    data, weights, model = start_of(run)
    start = closure_from_weights(weights, data)
    found = start.run(model, weight=WEIGHT, radius=1.9, step_size=0.02, n_steps=n_steps)
    memory = found.memorisation[-1]
    return {
        "K_11": float(start.gram[0, 0]),
        "K_12": float(start.gram[0, 1]),
        "log det K": float(np.linalg.slogdet(start.gram + 0.1 * np.eye(len(start.gram)))[1]),
        "u": float(start.signal_coef[0]),
        "v": float(start.noise_coef[0, 0, 0]),
        "trace H": float(np.sum(weights**2)),
        "H_12": float(weights[0, 0] @ weights[0, 1]),
        "S": float(found.signal_score[-1]),
        "mean V": float(memory.mean()),
        "least V": float(memory.min()),
        "median V": float(np.median(memory)),
        "largest v": float(found.noise_coef.max()),
    }


def law_of_structured(run: Run, n_steps: int) -> dict[str, float]:
    """Return the same for the structured data, adversarially trained with noise."""
    data, weights, model = start_of(run)
    attack = run.scenario.trainings["adversarial"].attack
    trace = train(
        model, data, attack=attack, schedule=Schedule(n_steps=n_steps), initial_weights=weights,
        recording=Recording(every=n_steps),
    )  # fmt: skip
    return {
        "product of patches": float(data.X[0, 1] @ data.X[1, 1]),
        "A": float(trace["robust_coef"][0, 0, 0]),
        "rest": float(trace["rest_norm"][0, 0, 0]),
        "largest A": float(trace["robust_coef"][-1].max()),
        "largest B": float(trace["nonrobust_coef"][-1].max()),
        "least B": float(trace["nonrobust_coef"][-1].min()),
        "rest at the end": float(trace["rest_norm"][-1].mean()),
        "clean loss": float(trace["clean_loss"][-1]),
        "attacked loss": float(trace["attacked_loss"][-1]),
        "share": float(trace["nonrobust_share"][-1].mean()),
    }


def factor_moments(run: Run, n_rows: int, dim: float, n_draws: int) -> dict[str, float]:
    """Return the moments of sampled Gram matrices over those of a Wishart matrix."""
    rng = run.rng()
    grams = np.empty((n_draws, n_rows, n_rows))
    for i in range(n_draws):
        factor = normal_factor(n_rows, dim, rng)
        grams[i] = factor @ factor.T
    diagonal = np.einsum("nii->ni", grams)
    pairs = grams[:, *np.triu_indices(n_rows, 1)]
    return {
        "mean": float(diagonal.mean() / dim),
        "variance": float(diagonal.var(axis=0).mean() / (2.0 * dim)),
        "square": float((pairs**2).mean() / dim),
    }


def limit_error(run: Run, n_steps: int, step_size: float) -> float:
    """Return the mean relative error of V of the limit, started with the same normals."""
    data, weights, model = start_of(run)
    start = closure_from_weights(weights, data)
    n_rows, m = len(start.gram), model.width
    known = weights[0, :, 1 : 1 + n_rows].T  # the normals along the noise directions, times sigma_0
    spec: Any = run.scenario.data
    limit = dataclasses.replace(
        start,
        gram=spec.noise_norm**2 * np.eye(n_rows),
        noise_coef=spec.noise_norm * known.reshape(data.n_samples, -1, m),
    )
    settings: dict[str, Any] = {"weight": WEIGHT, "radius": 1.9, "step_size": step_size, "n_steps": n_steps}
    exact, ours = (s.run(model, **settings).memorisation[-1] for s in (start, limit))
    return float(np.abs(ours - exact).mean() / np.abs(exact).mean())


# ------------------------------------------------------------------------------ signal and noise


def paper_flow(run: Run, polylog: bool, tolerance: float = 1e-6) -> tuple[FlowTrace, StageLaws, Any]:
    """Return the flow at the paper's exponents until four times the predicted time, laws and parts."""
    data, weights, model = start_of(run)
    start = closure_from_weights(weights, data)
    spec: Any = run.scenario.data
    left = attacked_strength(spec.dim, polylog)
    laws = StageLaws(
        n_samples=data.n_samples, signal_strength=spec.signal_strength, radius=spec.signal_strength - left,
        noise_norm=spec.noise_norm, power=model.power, step_size=1.0, weight=WEIGHT,
    )  # fmt: skip
    end = 4.0 * float(np.median(laws.memorisation_time(start.noise_coef, start.labels)))
    found = closure_flow(start, model, weight=WEIGHT, left=left, end=end, tolerance=tolerance)
    return found, laws, (data, weights, model, start, left)


def stages(run: Run, polylog: bool, n_fresh: int) -> dict[str, float]:
    """Return stage times with their predictions, scores, and accuracies on fresh samples."""
    flow, laws, (data, weights, model, start, left) = paper_flow(run, polylog)
    end = flow.memorisation_time
    log_t = np.log(flow.times)
    largest = flow.signal_coef.max(axis=1)

    def at(t: float, values: Any) -> float:
        late = max(t, flow.times[0])  # a score may be there from the start
        return float(np.interp(np.log(late), log_t, values)) if np.isfinite(t) else np.nan

    middle = np.sqrt(flow.signal_time * end)
    memory = [at(middle, column) for column in flow.memorisation.T]
    attacked = at(middle, flow.attacked_signal_score) + np.array(memory)
    moved = np.outer(flow.signal_coef[-1] - start.signal_coef, data.signal)
    moved += flow.noise_weights.reshape(-1, model.width).T @ data.noise.reshape(-1, data.dim)
    network = model.network(weights + moved)
    found: dict[str, float] = {
        "signal_time": flow.signal_time,
        "memorisation_time": end,
        "predicted_signal_time": laws.signal_time(start.signal_coef),
        "predicted_memorisation_time": float(
            np.median(laws.memorisation_time(start.noise_coef, start.labels))
        ),
        "score": at(end, flow.signal_score),
        "predicted_score": float(laws.stalled_score(end)),
        "signal_sum": float(flow.signal_score[-1] / laws.signal_strength**laws.power),
        "growth": at(end, largest) / at(2.0 * flow.signal_time, largest),
        "stall_memorisation": at(2.0 * flow.signal_time, flow.memorisation.mean(axis=1)),
        "stall_loss": float(np.mean(np.logaddexp(0.0, -attacked)) / np.log(2.0)),
        "memorisation": float(flow.memorisation[-1].mean()),
        "least_memorisation": float(flow.memorisation[-1].min()),
        "memorised_share": float(np.mean(flow.memorisation[-1] >= 1.0)),
        "train_clean": float(np.mean(flow.signal_score[-1] + flow.memorisation[-1] > 0.0)),
        "train_robust": float(np.mean(flow.attacked_signal_score[-1] + flow.memorisation[-1] > 0.0)),
    }
    if n_fresh:
        fresh = line_population(network, data, laws.radius, n_fresh, run.rng(), left=left)
        found |= {
            "clean": fresh.clean.value,
            "excess": fresh.fixed_excess.value,
            "excess_error": fresh.fixed_excess.standard_error,
            "noise_sd": fresh.noise_sd,
        }
    return found


def small_steps(run: Run, step_sizes: tuple[float, ...], end: float) -> list[float]:
    """Return the error of S of descent against the flow at several step sizes times alpha squared."""
    data, weights, model = start_of(run)
    start = closure_from_weights(weights, data)
    alpha = data.signal_strength
    left = attacked_strength(data.spec.dim)
    flow = closure_flow(start, model, weight=WEIGHT, left=left, end=end, tolerance=1e-9)
    errors = []
    for size in step_sizes:
        n = max(1, round(end * alpha**2 / size))
        found = start.run(model, weight=WEIGHT, radius=alpha - left, step_size=end / n, n_steps=n)
        errors.append(float(found.signal_score[-1] - flow.signal_score[-1]))
    return errors


def fresh_laws(run: Run, n_samples: int) -> dict[str, Any]:
    """Return accuracies by Gaussians of the filters' dimension and by fresh samples, with their errors."""
    flow, laws, (data, weights, model, start, left) = paper_flow(run, True)
    moved = np.outer(flow.signal_coef[-1] - start.signal_coef, data.signal)
    moved += flow.noise_weights.reshape(-1, model.width).T @ data.noise.reshape(-1, data.dim)
    network = model.network(weights + moved)
    ours = line_population(network, data, laws.radius, n_samples, run.rng(), left=left)
    fresh: Any = sample_like(data, n_samples, run.rng(1))
    direct = line_margins(network, fresh, laws.radius)
    share = float(np.mean(direct["fixed"] > 0.0))
    error = np.hypot(np.sqrt(share * (1 - share) / n_samples), ours.fixed.standard_error)
    return {
        "gap": abs(ours.fixed.value - share) / error,
        "sd_ratio": ours.noise_sd / float(direct["memory"].std()),
    }


# ------------------------------------------------------------------------------ structured data


def learned(run: Run, n_fresh: int = 0) -> dict[str, float]:
    """Return what each class has learned at the end, and accuracies on fresh samples."""
    trace = run.trace
    A, B = trace["robust_coef"][-1].max(axis=1), trace["nonrobust_coef"][-1].max(axis=1)
    psi, phi = trace["nonrobust_logit"][-1], trace["robust_logit"][-1]
    found = {
        "A": float(A.mean()),
        "B": float(B.mean()),
        "learned": float(np.mean(phi > 1.0)),
        "either": float(np.mean(np.maximum(phi, psi) > 1.0)),
        "escaped": float(np.mean(psi > np.maximum(phi, 1.0))),
        "share": float(psi.sum() / (psi.sum() + phi.sum())),
        "loss": float(trace["attacked_loss" if "attacked_loss" in trace else "clean_loss"][-1]),
    }
    if n_fresh:
        attack: Any = run.scenario.evaluations[0]
        fresh = feature_population(run.network, run.data, attack.radius, n_fresh, run.rng())
        found |= {"clean": fresh.clean.value, "feature_attacked": fresh.feature_attacked.value}
    return found


# ------------------------------------------------------------------------------ time


def run_times(run: Run, n_steps: int, repeats: int) -> dict[str, float]:
    """Return processor seconds of drawing a problem and of training it, the least of several."""
    spec, model = run.scenario.data, run.scenario.model
    assert isinstance(spec, GramSignalNoiseSpec)
    attack = run.scenario.trainings["adversarial"].attack
    schedule, ends = Schedule(n_steps=n_steps, step_size=0.02), Recording(every=n_steps)
    draws, trains = [], []
    for repeat in range(repeats + 1):  # the first may compile
        rng = np.random.default_rng((run.seed, repeat))
        begin = time.process_time()
        data = spec.sample_for(model, run.scenario.n_samples, rng)
        weights = spec.initial_weights(model, data, rng)
        middle = time.process_time()
        train(model, data, schedule=schedule, attack=attack, initial_weights=weights, recording=ends)
        draws.append(middle - begin)
        trains.append(time.process_time() - middle)
    return {"draw": min(draws[1:]), "train": min(trains[1:])}


def scenario_at(scenario: Scenario, dim: float) -> Scenario:
    """Return a scenario at another dimension, all else the same."""
    return scenario.with_settings({"data.dim": dim})
