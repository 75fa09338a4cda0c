"""Training a model on data, and going on with a run that was stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from importlib import import_module
from pathlib import Path
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
from featsim.specs import Spec, spec_from_dict
from featsim.traces import RunFolder, Trace, TraceError, check_writable, load_trace
from featsim.training.adam import Adam
from featsim.training.loop import run_paths, run_stepper
from featsim.training.projected_descent import ProjectedDescent
from featsim.training.ramp_schedule import RampSchedule
from featsim.training.run_spec import RunSpec
from featsim.training.schedule import Recording, Schedule
from featsim.training.stepper import Stepper, StepperFactory
from featsim.training.subspace import in_subspace, resumed
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


def train(
    model: Spec,
    data: Any,
    *,
    schedule: Schedule,
    attack: Spec | None = None,
    recording: Recording | None = None,
    rng: np.random.Generator | None = None,
    initial_weights: Any = None,
    batches: Any = None,
    out: str | os.PathLike[str] | None = None,
    scenario: str | None = None,
    training: str | None = None,
    seed: int | None = None,
    progress: bool = False,
    reduction: str = "auto",
) -> Trace:
    r"""Train by gradient descent, standard or adversarial, and record the way there.

    Every step forms :math:`\tilde X = X + \delta` from the clean data and the current
    weights, holds :math:`\delta` fixed, and updates
    :math:`W \leftarrow W - \eta \nabla_W L(W; \tilde X)`. A record of step t is the state
    before update t; the record of step n_steps is the final state. Statistics speak of all
    samples, also when steps use minibatches.

    Parameters
    ----------
    model : Spec
        Model to train, such as :class:`featsim.models.TwoLayerSpec`.
    data : PatchData
        Training data, from ``sample_patches``, ``patch_data`` or ``patch_images``; other
        theories have their own.
    schedule : Schedule
        Number of steps, step size, batch size.
    attack : GradientAttack or None
        Attack in training; None for standard training.
    recording : Recording, optional
        What to record; every step by default.
    rng : numpy.random.Generator, optional
        Draws the initial weights, then the minibatches, as far as these are not given. For data in
        Gram-space coordinates the weights are those of the data's dimension, by their coordinates.
    initial_weights : array_like, shape (k, m, d), optional
        Start here instead of at random.
    batches : array_like of int, shape (n_steps, B), optional
        Sample indices of every step, instead of minibatches drawn by the schedule.
    out : path-like, optional
        Write while running: ``x.npz`` (or ``x.run``) grows in the folder ``x.run`` and ends
        as one file; any other path is a run folder and stays one. A run that was stopped there goes on.
    scenario, training, seed : optional
        Names for the trace's configuration.
    progress : bool
        Whether to report progress on standard error.
    reduction : {"auto", "never", "always"}
        Whether a patch network trains in the coordinates of the span of features, patches and initial
        weights: the same run up to rounding, for the price of its rank. ``"auto"``: where the rank is
        below half the dimension and that is exact (no l_inf, no images, no whitening); ``"always"``: or
        raise.
        ``trace.meta["reduction"]`` says what was done.

    Returns
    -------
    Trace
        ``status`` is ``"completed"``, ``"diverged"`` (with the step and advice in
        ``message``) or ``"interrupted"`` (Ctrl-C, or a disk that is full). All that was
        computed is in it.

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together; nothing has been computed then.
    TraceError
        If `out` holds another run.
    OSError
        If `out` cannot be written.

    References
    ----------
    .. [1] Li & Li, arXiv:2410.08503: one step of gradient ascent, then gradient descent [source];
       norm and step rule are the simulator's [choice].

    Examples
    --------
    >>> import numpy as np
    >>> from featsim import PatchDataSpec, Schedule, TwoLayerSpec, sample_patches, train
    >>> rng = np.random.default_rng(0)
    >>> data = sample_patches(PatchDataSpec(), n_samples=4, rng=rng)
    >>> trace = train(TwoLayerSpec(), data, schedule=Schedule(n_steps=400), rng=rng)
    >>> trace["nonrobust_coef"].shape
    (401, 4, 8)
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a Schedule, got {type(schedule).__name__}")
    factory = _factory(model, schedule)
    if recording is not None and not isinstance(recording, Recording):
        raise TypeError(f"recording must be a Recording or None, got {type(recording).__name__}")
    spec = RunSpec(
        model=model,
        data=getattr(data, "spec", None),
        attack=attack,
        schedule=schedule,
        recording=Recording() if recording is None else recording,
        scenario=scenario,
        training=training,
        seed=seed,
    )
    spec.recording.steps(schedule.n_steps)
    spec.recording.weight_steps(schedule.n_steps)
    if rng is not None:
        check_generator("rng", rng)
        if initial_weights is None and isinstance(spec.data, GramSpace):
            initial_weights = spec.data.initial_weights(model, data, rng)
    stepper = in_subspace(factory.start(spec, data, rng, initial_weights, batches), reduction)
    return _run(stepper, spec, out, progress)


def resume(path: str | os.PathLike[str], *, progress: bool = False) -> Trace:
    """Go on with a run that was stopped, bit for bit as if it never had been.

    Parameters
    ----------
    path : path-like
        Run folder, or the ``x.npz`` that a run in ``x.run`` is to become.
    progress : bool
        Whether to report progress on standard error.

    Returns
    -------
    Trace
        The whole run. A run that is finished already is returned as it is.

    Raises
    ------
    TraceError
        If there is no run, a part of it is damaged or was changed, or it is being written.
    """
    folder, target = _existing(Path(path))
    if folder is None:
        return load_trace(target)
    run = RunFolder.open(folder, write=True)
    try:
        spec = spec_from_dict(run.spec)
        stepper = resumed(_factory(spec.model, spec.schedule).from_inputs(spec, run.inputs), run.inputs)
    except (KeyError, ValueError, TypeError) as error:
        run.close()
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{folder} cannot be resumed: {error}") from error
    return _finish(run, target, stepper, spec, progress)


def _factory(model: Any, schedule: Schedule) -> StepperFactory:
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


def _existing(path: Path) -> tuple[Path | None, Path]:
    """Return the folder to go on in (None if the trace is finished), and where it ends."""
    folder, target = run_paths(path)
    if folder.is_dir():
        return folder, target or folder
    if target is not None and target.is_file():
        return None, target
    raise TraceError(f"{path} is not a run: there is neither a folder {folder} nor a finished trace")


def _run(stepper: Stepper, spec: RunSpec, out: str | os.PathLike[str] | None, progress: bool) -> Trace:
    if out is None:
        return run_stepper(
            stepper,
            spec.to_dict(),
            spec.schedule,
            spec.recording,
            folder=None,
            label=spec.label,
            progress=progress,
        )
    folder, target = run_paths(Path(out))
    check_writable(folder.parent)
    if target is not None and target.exists() and not folder.exists():
        raise TraceError(f"{target} exists already; choose another name or remove it")
    run = RunFolder.create(folder, spec.to_dict(), stepper.axes, stepper.inputs, meta=stepper.meta)
    if target is not None and target.exists() and run.last_checkpoint() is None and run.status == "running":
        run.remove()  # another run of that name ended between the first look and ours
        raise TraceError(f"{target} exists already; choose another name or remove it")
    return _finish(run, target or folder, stepper, spec, progress)


def _finish(run: RunFolder, target: Path, stepper: Stepper, spec: RunSpec, progress: bool) -> Trace:
    """Run to the end in the folder, then turn it into one file where one is wanted."""
    try:
        if run.status in ("completed", "diverged"):
            trace = run.read()
        else:
            trace = run_stepper(
                stepper,
                run.spec,
                spec.schedule,
                spec.recording,
                folder=run,
                label=spec.label,
                progress=progress,
            )
        if target == run.path or trace.status not in ("completed", "diverged"):
            return trace
        try:
            trace.save(target)
        except OSError as error:
            message = f"{error}; the run is whole in {run.path}: free space, then resume it"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
            return dataclasses.replace(trace, status="interrupted", message=message)
        with contextlib.suppress(TraceError):  # another writer has come since, and will remove it
            run.remove()
    finally:
        run.close()
    return trace
