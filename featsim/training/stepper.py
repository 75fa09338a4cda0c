"""What the training loop asks of a theory's update rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featsim.training.run_spec import RunSpec
from featsim.validation import IntArray

Arrays = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Chunk:
    """What a stretch of training gave.

    Attributes
    ----------
    n_done : int
        Updates done; fewer than asked for where the run diverged.
    records : dict of str to ndarray
        ``"steps"`` and every recorded quantity, time axis first.
    state : dict of str to ndarray
        State to go on from.
    """

    n_done: int
    records: Arrays
    state: Arrays


class Stepper(Protocol):
    """Update rule of one theory, with what it can record.

    The loop owns time: it asks for stretches of steps, keeps the records and the state,
    and hands the state back. A stepper computes the same bits however a run is cut.

    Attributes
    ----------
    axes : mapping of str to tuple of str
        Every array it records, with its axes; ``"steps"`` included.
    meta : dict
        JSON data for the trace.
    """

    axes: Mapping[str, tuple[str, ...]]
    meta: dict[str, Any]

    @property
    def inputs(self) -> Arrays:
        """Return all the run starts from: data, initial weights, minibatches."""
        ...

    def initial_state(self) -> Arrays:
        """Return the state before step 0."""
        ...

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1 from a copy of `state`.

        `record` and `keep` are the steps in [first, last) to record, and to keep the weights
        of, before their update.
        """
        ...

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state without an update; `n_done` is 1, or 0 where it has diverged.

        Without `record` nothing is evaluated or attacked: only weights that are not finite, or whose squares
        are not, are a divergence then.
        """
        ...

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return what is kept of the end of the run, such as ``"final_weights"``."""
        ...


class StepperFactory(Protocol):
    """What a theory registers in `featsim.training.train`: usually its stepper class."""

    def start(
        self,
        spec: RunSpec,
        data: Any,
        rng: np.random.Generator | None,
        initial_weights: Any,
        batches: Any,
    ) -> Stepper:
        """Make a stepper for a new run, drawing from `rng` what is None, after checking everything."""
        ...

    def from_inputs(self, spec: RunSpec, inputs: Arrays) -> Stepper:
        """Rebuild a stepper from its :attr:`Stepper.inputs`, to resume."""
        ...
