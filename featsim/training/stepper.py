"""What the training loop asks of a theory's update rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

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


class Product(NamedTuple):
    """Matrix products (rows, inner) x (inner, columns), `times` over; rows may come in blocks."""

    rows: int
    inner: int
    columns: int
    times: float = 1.0

    @property
    def flop(self) -> float:
        """Multiplications and additions."""
        return 2.0 * self.rows * self.inner * self.columns * self.times


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepWork:
    """What one step, or one record, computes.

    Attributes
    ----------
    products : tuple of Product
        Matrix products.
    passes : float
        Entries that are visited one by one, in vectorised passes over arrays in cache.
    functions : float
        Exponentials and the like.
    """

    products: tuple[Product, ...] = ()
    passes: float = 0.0
    functions: float = 0.0

    @property
    def flop(self) -> float:
        """Multiplications and additions of the products."""
        return sum(product.flop for product in self.products)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Footprint:
    """How large the parts of a run are, known before its first step.

    Attributes
    ----------
    lengths : mapping of str to int
        Length of every axis of the recorded arrays but ``"step"`` and ``"weight_step"``.
    work : int
        Bytes that every step overwrites: blocks, gradients, copies of weights and of data.
    per_record : int
        Bytes of temporaries for every record of a stretch, beside the record itself.
    itemsize : int
        Bytes of a number in the products: 8, or 4 in single precision.
    step, record : StepWork or None
        What an update and a record cost; None without a model of it.
    """

    lengths: Mapping[str, int]
    work: int
    per_record: int = 0
    itemsize: int = 8
    step: StepWork | None = None
    record: StepWork | None = None


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

    def footprint(self) -> Footprint:
        """Return how large the parts of the run are, computing nothing of it."""
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
