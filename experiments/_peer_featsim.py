"""The program that is measured: featsim's public `train`, with what the peers record."""

from __future__ import annotations

import dataclasses
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
    PatchData,
    RampSchedule,
    Recording,
    Schedule,
    SparseCodingData,
    SymmetricNetworkSpec,
    Threat,
    TwoLayerSpec,
    patch_data,
    sparse_coding_data,
    train,
    version_report,
)

Arrays = dict[str, np.ndarray]
_TABLES = ("robust_table", "nonrobust_table")


def versions() -> dict[str, str]:
    """Return the versions of what computes here."""
    return version_report()


@dataclasses.dataclass(frozen=True, eq=False)
class Held:
    """A problem as this program holds it: checked data, and what else a training takes."""

    problem: Problem  # without its samples
    data: PatchData | SparseCodingData


def convert(problem: Problem) -> Held:
    """Return the data as this program holds them: checked copies, of which the drawn arrays are freed."""
    if isinstance(problem, PatchProblem):
        k = problem.size.n_classes
        data: Any = patch_data(
            problem.X,
            problem.y,
            n_classes=k,
            robust_features=problem.features[:k],
            nonrobust_features=problem.features[k:],
            roles=problem.roles,
        )
    else:
        data = sparse_coding_data(
            problem.X,
            (problem.signs > 0).astype(np.int64),
            dictionary=np.eye(problem.size.dim),
            label_weights=problem.rule,
        )
    return Held(dataclasses.replace(problem, X=np.empty((0, *problem.X.shape[1:]))), data)


def prepare(held: Held, case: Case, n_steps: int, recorded: str = "peers") -> Callable[[], Arrays]:
    """Return the training as a function without arguments.

    `recorded` is ``"peers"`` for what all programs record, ``"everything"`` at every step, or ``"last"``.
    """
    if isinstance(held.problem, PatchProblem):
        return _patches(held.problem, held.data, case, n_steps, recorded)
    return _symmetric(held.problem, held.data, case, n_steps)


def _attack(case: Case) -> GradientAttack | None:
    if case.norm is None:
        return None
    threat = Threat(radius=case.radius, norm=case.norm, scope="input")
    return GradientAttack(threat=threat, step_size=case.inner_step, n_steps=case.n_inner, keep="last")


def _quantities(case: Case) -> tuple[str, ...]:
    attacked = ("attacked_loss", "attacked_accuracy") if case.norm else ()
    return ("clean_loss", "clean_accuracy", *attacked)


def _recording(case: Case, n_steps: int, *names: str) -> Recording:
    """Record before every step, as the peers do, and not the state after the last one."""
    return Recording(quantities=(*names, *_quantities(case)), at=tuple(range(n_steps)))


def _stats(trace: Any, case: Case) -> np.ndarray:
    """Return clean and attacked loss and accuracy of every step."""
    columns = [trace[name] for name in _quantities(case)]
    return np.stack(columns if case.norm else columns * 2, axis=1)


def _patches(
    problem: PatchProblem, data: Any, case: Case, n_steps: int, recorded: str
) -> Callable[[], Arrays]:
    size = problem.size
    k = size.n_classes

    def run(recording: Recording) -> Any:
        return train(
            TwoLayerSpec(width=size.width, power=POWER, smoothing=SMOOTHING),
            data,
            schedule=Schedule(n_steps=n_steps, step_size=STEP_SIZE),
            attack=_attack(case),
            recording=recording,
            initial_weights=problem.weights.reshape(k, size.width, size.dim),
        )

    def run_as_peers() -> Arrays:
        trace = run(_recording(case, n_steps, *_TABLES))
        table = np.concatenate([trace["robust_table"], trace["nonrobust_table"]], axis=3)
        return {
            "coef": table.reshape(n_steps, size.n_filters, 2 * k),
            "stats": _stats(trace, case),
            "weights": trace.final_weights.reshape(size.n_filters, size.dim),
        }

    if recorded == "peers":
        return run_as_peers
    last = Recording(at=(n_steps,))
    # By default all but the full tables is recorded.
    names = [name for name, axes in run(last).axes.items() if axes[0] == "step" and name != "steps"]
    everything = Recording(quantities=(*names, *_TABLES))
    recording = everything if recorded == "everything" else last
    return lambda: {"weights": run(recording).final_weights}


def _symmetric(problem: SymmetricProblem, data: Any, case: Case, n_steps: int) -> Callable[[], Arrays]:
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
