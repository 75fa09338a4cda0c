"""From a model, data and settings to the stepper of a run: which theory's, and all checks before any work."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from featsim.data import GramSpace
from featsim.models import (
    BiasedReluSpec,
    DeepNtkSpec,
    FrozenGateSpec,
    MemoriserSpec,
    MemorisingRuleSpec,
    NtkSpec,
    PolynomialSpec,
    PowerNetworkSpec,
    SymmetricNetworkSpec,
    TwoLayerSpec,
)
from featsim.specs import Spec
from featsim.training.adam import Adam
from featsim.training.projected_descent import ProjectedDescent
from featsim.training.ramp_schedule import RampSchedule
from featsim.training.run_spec import RunSpec
from featsim.training.schedule import Recording, Schedule
from featsim.training.stepper import Stepper, StepperFactory
from featsim.training.subspace import in_subspace
from featsim.training.time_schedules import FlowSchedule, RelativeSchedule
from featsim.training.whitening import WhiteningSchedule
from featsim.validation import check_generator

# Model spec -> module and name of its update rule, loaded (with its kernels) when it is first used. A new
# theory adds a line.
_STEPPERS: dict[type[Spec], str] = {
    TwoLayerSpec: "patch_stepper.PatchStepper",
    PowerNetworkSpec: "cgro_stepper.CgroStepper",
    MemoriserSpec: "construction_stepper.ConstructionStepper",
    MemorisingRuleSpec: "construction_stepper.ConstructionStepper",
    NtkSpec: "convergence_stepper.ConvergenceStepper",
    DeepNtkSpec: "convergence_stepper.ConvergenceStepper",
    BiasedReluSpec: "capacity_stepper.CapacityStepper",
    SymmetricNetworkSpec: "purification_stepper.PurificationStepper",
    PolynomialSpec: "baseline_stepper.BaselineStepper",
    FrozenGateSpec: "baseline_stepper.BaselineStepper",
}
# Schedule spec -> the models it goes with, and its update rule where it is not the model's: with any other
# model its own fields (ball, moments, ramps) would be ignored without a word.
_BY_SCHEDULE: dict[type[Spec], tuple[tuple[type[Spec], ...], str | None]] = {
    Adam: ((BiasedReluSpec,), None),
    FlowSchedule: ((PowerNetworkSpec,), "flow_stepper.FlowStepper"),
    ProjectedDescent: ((NtkSpec, DeepNtkSpec), None),
    RampSchedule: ((SymmetricNetworkSpec, PolynomialSpec, FrozenGateSpec), None),
    RelativeSchedule: ((TwoLayerSpec,), "relative_stepper.RelativeStepper"),
    WhiteningSchedule: ((TwoLayerSpec,), None),
}


def stepper_factory(model: Any, schedule: Schedule) -> StepperFactory:
    """Return the theory's update rule; refuse a schedule whose own fields it would ignore."""
    usual = _STEPPERS.get(type(model))
    if usual is None:
        names = ", ".join(cls.__name__ for cls in _STEPPERS)
        raise TypeError(f"model must be one of {names}, got {type(model).__name__}")
    partners, own = _BY_SCHEDULE.get(type(schedule), ((type(model),), None))
    if not isinstance(model, partners):
        plain = Adam if isinstance(model, BiasedReluSpec) else Schedule
        raise TypeError(
            f"model must be a {' or '.join(cls.__name__ for cls in partners)} with the schedule "
            f"{type(schedule).__name__}, got {type(model).__name__}; use a schedule of kind {plain.__name__}"
        )
    if schedule.precision != "float64" and not isinstance(model, TwoLayerSpec):
        raise ValueError(
            f"precision must be 'float64' for a {type(model).__name__}, got {schedule.precision!r}: only the "
            "patch network of TwoLayerSpec trains in another; use schedule.replace(precision='float64')"
        )
    module, _, name = (own or usual).partition(".")
    factory: StepperFactory = getattr(import_module(f"featsim.training.{module}"), name)
    return factory


def prepare_run(
    model: Any,
    data: Any,
    *,
    schedule: Any,
    attack: Any,
    recording: Any,
    rng: np.random.Generator | None,
    initial_weights: Any,
    batches: Any,
    reduction: str,
    **names: Any,
) -> tuple[Stepper, RunSpec]:
    """Return the stepper of a new run and its configuration.

    Parameters
    ----------
    model, data, schedule, attack, recording, rng, initial_weights, batches, reduction : object
        As for :func:`featsim.training.train`.
    **names : object
        Scenario, training and seed, for the configuration.

    Returns
    -------
    stepper : Stepper
        Update rule with data and initial state.
    spec : RunSpec
        Full configuration.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together.
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a Schedule, got {type(schedule).__name__}")
    factory = stepper_factory(model, schedule)
    if recording is not None and not isinstance(recording, Recording):
        raise TypeError(f"recording must be a Recording or None, got {type(recording).__name__}")
    spec = RunSpec(
        model=model,
        data=getattr(data, "spec", None),
        attack=attack,
        schedule=schedule,
        recording=Recording() if recording is None else recording,
        **names,
    )
    spec.recording.check(schedule.n_steps)
    if rng is not None:
        check_generator("rng", rng)
        if initial_weights is None and isinstance(spec.data, GramSpace):
            initial_weights = spec.data.initial_weights(model, data, rng)
    return in_subspace(factory.start(spec, data, rng, initial_weights, batches), reduction), spec
