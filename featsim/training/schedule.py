"""How long to train, and what to record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from featsim.machine import check_room
from featsim.specs import Spec
from featsim.validation import IntArray, check_choice, check_integer, check_real

PRECISIONS = ("float64", "float32")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule(Spec):
    r"""Gradient descent :math:`W \leftarrow W - \eta \nabla L(W)`.

    Parameters
    ----------
    n_steps : int
        Number T of updates, at least 1.
    step_size : float
        Step size :math:`\eta`, greater than 0.
    batch_size : int or None
        None for full batch; otherwise samples per step. Minibatches pass through random
        permutations of the data, drawn before training starts; an incomplete batch at the
        end of a pass is left out.
    precision : {"float64", "float32"}
        Number type of the matrix products, activations and perturbations of a patch network
        (:class:`featsim.models.TwoLayerSpec`; other models refuse ``"float32"``). Weights are kept and
        updated, and losses, statistics and coefficients are summed, in float64 in either case: with
        ``"float32"`` the gradient of a step is off by about 1e-7 of its size, and no such error piles up
        in the weights. The page "Performance" states what was measured.

    Raises
    ------
    ValueError
        If a field is outside its range.
    """

    kind: ClassVar[str] = "schedule"

    n_steps: int
    step_size: float = 1.0
    batch_size: int | None = None
    precision: str = "float64"

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        object.__setattr__(self, "n_steps", check_integer("n_steps", self.n_steps, minimum=1))
        object.__setattr__(self, "step_size", check_real("step_size", self.step_size, above=0.0))
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", check_integer("batch_size", self.batch_size, minimum=1))

    def draw_batches(self, n_samples: int, rng: np.random.Generator) -> IntArray:
        """Draw the sample indices of every step, shape (n_steps, batch_size); (n_steps, 0) for full batch.

        Parameters
        ----------
        n_samples : int
            Samples to draw from.
        rng : numpy.random.Generator
            Draws one permutation per pass; untouched for full batch.

        Returns
        -------
        ndarray of int64
            Sample indices, one row per step.

        Raises
        ------
        ValueError
            If `batch_size` exceeds `n_samples`.
        TooLargeError
            If they do not fit into memory; none has been drawn then.
        """
        if self.batch_size is None:
            return np.empty((self.n_steps, 0), dtype=np.int64)
        if self.batch_size > n_samples:
            raise ValueError(
                f"batch_size must be <= n_samples = {n_samples}, got {self.batch_size}; "
                "use batch_size=None for full batch"
            )
        check_room("minibatches", change="n_steps", n_steps=self.n_steps, batch_size=self.batch_size)
        per_pass = n_samples // self.batch_size
        passes = -(-self.n_steps // per_pass)
        rows = [
            rng.permutation(n_samples)[: per_pass * self.batch_size].reshape(per_pass, self.batch_size)
            for _ in range(passes)
        ]
        return np.ascontiguousarray(np.concatenate(rows)[: self.n_steps], dtype=np.int64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording(Spec):
    """Which steps to record, which quantities, and where to keep the weights.

    Step t is the state before update t, t = 0..n_steps; step n_steps is the final state.

    Parameters
    ----------
    every : int
        Record every `every`-th step and the final state. Ignored where one of the next two is given.
    n_log : int or None
        Record about this many steps, logarithmically spaced, with 0 and the final state.
    at : tuple of int or None
        Record exactly these steps.
    quantities : tuple of str or None
        Names to record; None for all but the full tables over all features.
    weights_at : tuple of int
        Steps at which the weights are kept. The final weights are always kept.

    Raises
    ------
    ValueError
        If a field is outside its range, or both `n_log` and `at` are given.
    """

    kind: ClassVar[str] = "recording"

    every: int = 1
    n_log: int | None = None
    at: tuple[int, ...] | None = None
    quantities: tuple[str, ...] | None = None
    weights_at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", check_integer("every", self.every, minimum=1))
        if self.n_log is not None:
            object.__setattr__(self, "n_log", check_integer("n_log", self.n_log, minimum=2))
            if self.at is not None:
                raise ValueError("at must be None when n_log is given; choose one of them")
        if self.at is not None:
            object.__setattr__(self, "at", _check_steps("at", self.at))
        object.__setattr__(self, "weights_at", _check_steps("weights_at", self.weights_at))
        if self.quantities is not None:
            given: object = self.quantities
            if isinstance(given, str):
                raise ValueError(f"quantities must be a tuple of names, got {given!r}; use a comma")
            object.__setattr__(self, "quantities", tuple(dict.fromkeys(self.quantities)))

    def check(self, n_steps: int) -> None:
        """Refuse given steps beyond `n_steps`.

        Parameters
        ----------
        n_steps : int
            Updates of the run.

        Raises
        ------
        ValueError
            If a given step lies beyond `n_steps`.
        """
        _within("at", self.at or (), n_steps)
        _within("weights_at", self.weights_at, n_steps)

    def count(self, n_steps: int) -> int:
        """Return how many steps are recorded, at most, without listing them.

        Parameters
        ----------
        n_steps : int
            Updates of the run.

        Returns
        -------
        int
            Exact where steps are given or regular; logarithmic ones that coincide count once in `steps`.
        """
        if self.at is not None:
            return len(self.at)
        return min(self.n_log or n_steps // self.every + 2, n_steps + 1)

    def steps(self, n_steps: int) -> IntArray:
        """Return the recorded steps in increasing order.

        Parameters
        ----------
        n_steps : int
            Updates of the run.

        Returns
        -------
        ndarray of int64
            Recorded steps in 0..n_steps.

        Raises
        ------
        ValueError
            If a given step lies beyond `n_steps`.
        """
        if self.at is not None:
            return _within("at", self.at, n_steps)
        if self.n_log is not None:
            spaced = np.rint(np.geomspace(1, n_steps, self.n_log - 1)).astype(np.int64)
            return np.unique(np.concatenate([[0], spaced, [n_steps]]))
        regular = np.arange(0, n_steps + 1, self.every, dtype=np.int64)
        return regular if regular[-1] == n_steps else np.append(regular, n_steps)

    def weight_steps(self, n_steps: int) -> IntArray:
        """Return the steps at which weights are kept, checked like `steps`."""
        return _within("weights_at", self.weights_at, n_steps)


def _check_steps(name: str, given: Any) -> tuple[int, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a sequence of steps, got {given!r}; write ({given!r},) for one")
    return tuple(sorted({check_integer(f"{name}[{i}]", step, minimum=0) for i, step in enumerate(given)}))


def _within(name: str, steps: tuple[int, ...], n_steps: int) -> IntArray:
    if steps and steps[-1] > n_steps:
        raise ValueError(f"{name} must lie in 0..n_steps = 0..{n_steps}, got {steps[-1]}")
    return np.array(steps, dtype=np.int64)
