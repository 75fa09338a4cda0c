"""The program that is measured: featsim's public `train`, with what the peers record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _workload import (
    BIAS,
    DECAY,
    GAUSSIAN,
    POWER,
    SMOOTHING,
    STEP_SIZE,
    SYMMETRIC_STEP,
    Case,
    PatchProblem,
    Problem,
    SymmetricProblem,
)

from featsim import (
    GradientAttack,
    RampSchedule,
    Recording,
    Schedule,
    SymmetricNetworkSpec,
    Threat,
    TwoLayerSpec,
    patch_data,
    sparse_coding_data,
    train,
    version_report,
)

Arrays = dict[str, np.ndarray]


def versions() -> dict[str, str]:
    """Return the versions of what computes here."""
    return version_report()


def prepare(problem: Problem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    """Check and convert the data, and return the training as a function without arguments."""
    if isinstance(problem, PatchProblem):
        return _patches(problem, case, n_steps)
    return _symmetric(problem, case, n_steps)


def _attack(case: Case) -> GradientAttack | None:
    if case.norm is None:
        return None
    threat = Threat(radius=case.radius, norm=case.norm, scope="input")
    return GradientAttack(threat=threat, step_size=case.inner_step, n_steps=case.n_inner, keep="last")


def _quantities(case: Case) -> tuple[str, ...]:
    attacked = ("attacked_loss", "attacked_accuracy") if case.norm else ()
    return ("clean_loss", "clean_accuracy", *attacked)


def _recording(case: Case, n_steps: int, *names: str) -> Recording:
    """Record before every step. The state after the last one costs another attack, which no peer pays."""
    return Recording(quantities=(*names, *_quantities(case)), at=tuple(range(n_steps)))


def _stats(trace: Any, case: Case) -> np.ndarray:
    """Return clean and attacked loss and accuracy of every step."""
    columns = [trace[name] for name in _quantities(case)]
    return np.stack(columns if case.norm else columns * 2, axis=1)


def _patches(problem: PatchProblem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    size = problem.size
    k = size.n_classes
    data = patch_data(
        problem.X,
        problem.y,
        n_classes=k,
        robust_features=problem.features[:k],
        nonrobust_features=problem.features[k:],
        roles=problem.roles,
    )

    def run() -> Arrays:
        trace = train(
            TwoLayerSpec(width=size.width, power=POWER, smoothing=SMOOTHING),
            data,
            schedule=Schedule(n_steps=n_steps, step_size=STEP_SIZE),
            attack=_attack(case),
            recording=_recording(case, n_steps, "robust_table", "nonrobust_table"),
            initial_weights=problem.weights.reshape(k, size.width, size.dim),
        )
        table = np.concatenate([trace["robust_table"], trace["nonrobust_table"]], axis=3)
        return {
            "coef": table.reshape(n_steps, size.n_filters, 2 * k),
            "stats": _stats(trace, case),
            "weights": trace.final_weights.reshape(size.n_filters, size.dim),
        }

    return run


def _symmetric(problem: SymmetricProblem, case: Case, n_steps: int) -> Callable[[], Arrays]:
    data = sparse_coding_data(
        problem.X,
        (problem.signs > 0).astype(np.int64),
        dictionary=np.eye(problem.size.dim),
        label_weights=problem.rule,
    )
    batches = problem.batches(n_steps)

    def run() -> Arrays:
        trace = train(
            SymmetricNetworkSpec(width=problem.size.width, bias=BIAS, smoothing=GAUSSIAN),
            data,
            schedule=RampSchedule(
                n_steps=n_steps,
                step_size=SYMMETRIC_STEP,
                batch_size=problem.size.batch,
                weight_decay=DECAY,
            ),
            attack=_attack(case),
            recording=_recording(case, n_steps),
            initial_weights=problem.weights[None],
            batches=batches,
        )
        return {"stats": _stats(trace, case), "weights": trace.final_weights[0]}

    return run
