"""The population that the reduced dynamics run on, its scores, and what they record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from featsim.theory.structured_data.activation import activation, activation_slope, check_activation
from featsim.validation import FloatArray, IntArray, check_array, check_integer, check_real


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReducedTrace:
    r"""What a reduced recursion recorded.

    Row t of every array is the state before the update of step ``steps[t]``; the
    last row is the final state. Names agree with those of a simulated trace.

    Parameters
    ----------
    steps : ndarray, shape (t,)
        Recorded steps, increasing; the last one is the number of steps.
    robust_table, nonrobust_table : ndarray, shape (t, k, m, k)
        :math:`M_{irj} = \langle w_{ir}, u_j\rangle` and
        :math:`N_{irj} = \langle w_{ir}, v_j\rangle`.
    robust_coef, nonrobust_coef : ndarray, shape (t, k, m)
        Own-class coefficients A and B, the diagonals of the tables.
    robust_logit, nonrobust_logit, nonrobust_share : ndarray, shape (t, k)
        :math:`\Phi`, :math:`\Psi` and :math:`\Psi/(\Phi+\Psi)`, 1/2 where both are 0.
    clean_loss, clean_accuracy, error_probability : ndarray, shape (t,)
        Mean cross-entropy, accuracy (a tie is an error) and mean
        :math:`1 - p_y` on the clean samples.
    attacked_loss, attacked_accuracy : ndarray, shape (t,)
        The same on the samples that were trained on: in standard training these
        are the clean ones.
    """

    steps: IntArray
    robust_table: FloatArray
    nonrobust_table: FloatArray
    robust_coef: FloatArray
    nonrobust_coef: FloatArray
    robust_logit: FloatArray
    nonrobust_logit: FloatArray
    nonrobust_share: FloatArray
    clean_loss: FloatArray
    clean_accuracy: FloatArray
    error_probability: FloatArray
    attacked_loss: FloatArray
    attacked_accuracy: FloatArray


@dataclasses.dataclass(frozen=True)
class Population:
    """Checked parameters; columns c of a table run over u_1..u_k, v_1..v_k."""

    fractions: FloatArray  # (k,) class fractions pi
    counts: FloatArray  # (2k,) multiplicity of the patch that carries feature c
    strengths: FloatArray  # (2k,) its amplitude
    power: float
    smoothing: float

    def scores(self, z: FloatArray) -> FloatArray:
        """F (class i, label j) from preactivations z (k, m, 2k)."""
        per_feature = activation(z, self.power, self.smoothing).sum(axis=1) * self.counts
        k = len(self.fractions)
        return np.asarray(per_feature[:, :k] + per_feature[:, k:])

    def slope(self, z: FloatArray) -> FloatArray:
        """Return s'(z)."""
        return activation_slope(z, self.power, self.smoothing)


def _soft_margin(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return logsumexp_{i != j} F_ij - F_jj (k,) and the softmax of the rivals (k, k), 0 at i = j."""
    rivals = scores.copy()
    np.fill_diagonal(rivals, -math.inf)
    top = rivals.max(axis=0)
    powers = np.exp(rivals - top)
    total = powers.sum(axis=0)
    return top + np.log(total) - np.diagonal(scores), powers / total


def score_residual(scores: FloatArray, objective: str) -> FloatArray:
    """Return the derivative of the loss or the margin objective in the scores, (class i, label j).

    The loss form is the margin form times 1 - p_y, which does not cancel when p_y is near 1.
    """
    gap, residual = _soft_margin(scores)
    np.fill_diagonal(residual, -1.0)
    return residual if objective == "margin" else residual * _error_probability(gap)


def _error_probability(gap: FloatArray) -> FloatArray:
    """1 - p_y as a function of the soft margin, exact at both ends."""
    small = np.exp(-np.abs(gap))
    return np.where(gap >= 0.0, 1.0, small) / (1.0 + small)


def _measures(scores: FloatArray, fractions: FloatArray) -> tuple[float, float, float]:
    """Mean cross-entropy, accuracy and mean 1 - p_y over the classes."""
    gap, _ = _soft_margin(scores)
    loss = np.maximum(gap, 0.0) + np.log1p(np.exp(-np.abs(gap)))
    rivals = scores.copy()
    np.fill_diagonal(rivals, -math.inf)
    correct = np.diagonal(scores) > rivals.max(axis=0)
    return float(fractions @ loss), float(fractions @ correct), float(fractions @ _error_probability(gap))


class Recorder:
    """Collects the rows of a :class:`ReducedTrace`."""

    def __init__(self, population: Population, steps: IntArray) -> None:
        self.population = population
        self.steps = steps
        self.wanted = set(steps.tolist())
        self.tables: list[FloatArray] = []
        self.clean: list[tuple[float, float, float]] = []
        self.attacked: list[tuple[float, float, float]] = []

    def record(self, step: int, table: FloatArray, clean: FloatArray, attacked: FloatArray) -> None:
        """Keep the state (k, m, 2k) and measure clean and attacked scores, if `step` is wanted."""
        if not np.isfinite(table).all():
            raise ValueError(
                f"the reduced recursion must stay finite, got nan or inf at step {step}; "
                "try a smaller step_size"
            )
        if step in self.wanted:
            self.tables.append(table.copy())
            self.clean.append(_measures(clean, self.population.fractions))
            self.attacked.append(_measures(attacked, self.population.fractions))

    def trace(self) -> ReducedTrace:
        """Return the finished trace."""
        tables = np.array(self.tables)
        k = tables.shape[1]
        own = np.arange(k)
        robust_coef, nonrobust_coef = tables[:, own, :, own], tables[:, own, :, k + own]
        robust_coef, nonrobust_coef = robust_coef.swapaxes(0, 1), nonrobust_coef.swapaxes(0, 1)
        robust_logit = self._logit(robust_coef, 0)
        nonrobust_logit = self._logit(nonrobust_coef, k)
        total = robust_logit + nonrobust_logit
        share = np.divide(nonrobust_logit, total, out=np.full_like(total, 0.5), where=total != 0.0)
        clean, attacked = np.array(self.clean), np.array(self.attacked)
        return ReducedTrace(
            steps=self.steps,
            robust_table=tables[..., :k].copy(),
            nonrobust_table=tables[..., k:].copy(),
            robust_coef=robust_coef.copy(),
            nonrobust_coef=nonrobust_coef.copy(),
            robust_logit=robust_logit,
            nonrobust_logit=nonrobust_logit,
            nonrobust_share=share,
            clean_loss=clean[:, 0],
            clean_accuracy=clean[:, 1],
            error_probability=clean[:, 2],
            attacked_loss=attacked[:, 0],
            attacked_accuracy=attacked[:, 1],
        )

    def _logit(self, coef: FloatArray, column: int) -> FloatArray:
        p = self.population
        response = activation(p.strengths[column] * coef, p.power, p.smoothing).sum(axis=-1)
        return np.asarray(p.counts[column] * response)


def check_population(
    robust_table0: FloatArray,
    nonrobust_table0: FloatArray,
    class_fractions: FloatArray | Sequence[float],
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
    power: float,
    smoothing: float,
) -> tuple[FloatArray, Population]:
    """Return the initial state (k, m, 2k) and the population, or raise one clear error."""
    robust = check_array("robust_table0", robust_table0, ("k", "m", "k"))
    k, m, columns = robust.shape
    if k < 2 or columns != k:
        raise ValueError(f"robust_table0 must have shape (k, m, k) with k >= 2 classes, got {robust.shape}")
    nonrobust = check_array("nonrobust_table0", nonrobust_table0, (k, m, k))
    fractions = check_array("class_fractions", class_fractions, (k,))
    if fractions.min() < 0.0 or abs(fractions.sum() - 1.0) > 1e-9:
        raise ValueError(f"class_fractions must be >= 0 and sum to 1, got {fractions.tolist()}")
    counts = [
        check_integer("n_robust_patches", n_robust_patches, minimum=0),
        check_integer("n_nonrobust_patches", n_nonrobust_patches, minimum=0),
    ]
    strengths = [
        check_real("robust_strength", robust_strength, minimum=0.0),
        check_real("nonrobust_strength", nonrobust_strength, minimum=0.0),
    ]
    power, smoothing = check_activation(power, smoothing)
    population = Population(
        fractions, np.repeat(np.array(counts, float), k), np.repeat(np.array(strengths), k), power, smoothing
    )
    return np.concatenate([robust, nonrobust], axis=2), population


def recorded_steps(n_steps: int, record_every: int, record_at: Sequence[int] | IntArray | None) -> IntArray:
    """Return the steps to record: multiples, or the given ones, and always the last."""
    check_integer("n_steps", n_steps, minimum=0)
    check_integer("record_every", record_every, minimum=1)
    if record_at is None:
        wanted = set(range(0, n_steps, record_every))
    else:
        wanted = {check_integer("record_at", step, minimum=0, maximum=n_steps) for step in record_at}
    return np.array(sorted(wanted | {n_steps}), dtype=np.int64)
