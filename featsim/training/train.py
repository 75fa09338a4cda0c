"""Training a model on data, and going on with a run that was stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from featsim.specs import Spec, spec_from_dict
from featsim.traces import RunFolder, Trace, TraceError, check_writable, load_trace
from featsim.training.loop import run_paths, run_stepper
from featsim.training.plan import Plan
from featsim.training.preparation import prepare_run, stepper_factory
from featsim.training.run_spec import RunSpec
from featsim.training.schedule import Recording, Schedule
from featsim.training.stepper import Stepper
from featsim.training.subspace import resumed


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
        Attack in training; None for standard training. A patch network's may have one random start,
        ``starts=("random",), n_random=1``, anew for every sample in every step.
    recording : Recording, optional
        What to record; every step by default.
    rng : numpy.random.Generator, optional
        Draws the initial weights, then the minibatches, as far as these are not given, then the seed of the
        attack's random starts, if it has them. For data in
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
        below half the dimension and that is exact (no l_inf, no images, no whitening,
        no random starts outside a subspace); ``"always"``: or raise.
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
    TooLargeError
        If the run does not fit into memory (a MemoryError); the message says what would.
    OSError
        If `out` cannot be written, or its disk has no room for the trace.

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
    stepper, spec = prepare_run(
        model,
        data,
        schedule=schedule,
        attack=attack,
        recording=recording,
        rng=rng,
        initial_weights=initial_weights,
        batches=batches,
        reduction=reduction,
        scenario=scenario,
        training=training,
        seed=seed,
    )
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
        stepper = resumed(
            stepper_factory(spec.model, spec.schedule).from_inputs(spec, run.inputs), run.inputs
        )
    except (KeyError, ValueError, TypeError) as error:
        run.close()
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{folder} cannot be resumed: {error}") from error
    return _finish(run, target, stepper, spec, progress)


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
        plan = Plan.of(stepper, spec)
        plan.check_memory()
        return run_stepper(stepper, plan, progress=progress)
    folder, target = run_paths(Path(out))
    check_writable(folder.parent)
    if target is not None and target.exists() and not folder.exists():
        raise TraceError(f"{target} exists already; choose another name or remove it")
    plan = Plan.of(stepper, spec, folder=folder, joined=target is not None)
    if not folder.exists():
        plan.check_memory()
        plan.check_disk()
    run = RunFolder.create(folder, spec.to_dict(), stepper.axes, stepper.inputs, meta=stepper.meta)
    if target is not None and target.exists() and run.last_checkpoint() is None and run.status == "running":
        run.remove()  # another run of that name ended between the first look and ours
        raise TraceError(f"{target} exists already; choose another name or remove it")
    return _finish(run, target or folder, stepper, spec, progress)


def _finish(run: RunFolder, target: Path, stepper: Stepper, spec: RunSpec, progress: bool) -> Trace:
    """Run to the end in the folder, then turn it into one file where one is wanted."""
    try:
        if run.status in ("completed", "diverged"):
            return _collect(run, target)
        return run_stepper(
            stepper,
            Plan.of(stepper, spec),
            folder=run,
            collect=lambda: _collect(run, target),
            progress=progress,
        )
    finally:
        run.close()


def _collect(run: RunFolder, target: Path) -> Trace:
    """Return the trace of a run that has stopped, from the file it becomes if it is finished."""
    if target == run.path or run.status not in ("completed", "diverged"):
        return run.read()
    try:
        run.save(target)
    except OSError as error:
        message = f"{error}; the run is whole in {run.path}: free space, then resume it"
        warnings.warn(message, RuntimeWarning, stacklevel=5)
        return dataclasses.replace(run.read(), status="interrupted", message=message)
    trace = load_trace(target)
    with contextlib.suppress(TraceError):  # another writer has come since, and will remove it
        run.remove()
    return trace
