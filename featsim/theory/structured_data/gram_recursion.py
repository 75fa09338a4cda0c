r"""Training of the two-layer network in inner products alone, noise included.

State are the preactivations :math:`Z = X W^\top`, the feature coefficients :math:`S = F W^\top` and the Gram
matrix :math:`H = W W^\top` of the filters; of the data only :math:`G = X X^\top` and :math:`X F^\top` enter.
Exact for standard training and for one-step l2 adversarial training, whatever the dimension: no vector
occurs. One (nP, nP, K) product a step.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from featsim.data import PatchData
from featsim.theory.structured_data.activation import activation, activation_slope, check_activation
from featsim.theory.structured_data.population import recorded_steps
from featsim.validation import (
    FloatArray,
    IntArray,
    check_array,
    check_choice,
    check_integer,
    check_labels,
    check_real,
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GramTrace:
    r"""What the recursion in inner products recorded, under the names of a simulated trace.

    Attributes
    ----------
    steps : ndarray, shape (t,)
        Recorded steps; the last is the number of steps.
    robust_table, nonrobust_table : ndarray, shape (t, k, m, k)
        :math:`\langle w_{ir}, u_j\rangle` and :math:`\langle w_{ir}, v_j\rangle`.
    robust_coef, nonrobust_coef : ndarray, shape (t, k, m)
        Their diagonals.
    clean_loss, attacked_loss : ndarray, shape (t,)
        Mean cross-entropy on clean and on attacked samples; the same in standard training.
    preactivations : ndarray, shape (n, P, k m)
        Z at the end.
    gram : ndarray, shape (k m, k m)
        H at the end.
    """

    steps: IntArray
    robust_table: FloatArray
    nonrobust_table: FloatArray
    robust_coef: FloatArray
    nonrobust_coef: FloatArray
    clean_loss: FloatArray
    attacked_loss: FloatArray
    preactivations: FloatArray
    gram: FloatArray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GramStart:
    r"""Inner products that the recursion starts from.

    Parameters
    ----------
    preactivations : array_like, shape (n P, k m)
        :math:`Z = X W^\top`, sample-major; filters class-major.
    table : array_like, shape (2k, k m)
        :math:`S = F W^\top`, robust features first.
    gram : array_like, shape (k m, k m)
        :math:`H = W W^\top`.
    patch_gram : array_like, shape (n P, n P)
        :math:`G = X X^\top`.
    patch_table : array_like, shape (n P, 2k)
        :math:`X F^\top`.
    labels : array_like of int, shape (n,)
        Classes.
    counts : array_like, shape (n P,)
        Multiplicity of each patch.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit together, or a label is no class.
    """

    preactivations: FloatArray
    table: FloatArray
    gram: FloatArray
    patch_gram: FloatArray
    patch_table: FloatArray
    labels: IntArray
    counts: FloatArray

    def __post_init__(self) -> None:
        Z = check_array("preactivations", self.preactivations, ("n P", "k m"))
        rows, K = Z.shape
        features = check_array("table", self.table, ("2k", K))
        J = len(features)
        if J % 2 or J < 4 or K % (J // 2):
            raise ValueError(f"table must have shape (2k, k m) with k >= 2 classes, got {features.shape}")
        shape = np.shape(self.labels)
        if len(shape) != 1 or not shape[0] or rows % shape[0]:
            raise ValueError(f"labels must be one per sample of P patches, got {shape}")
        labels = check_labels("labels", self.labels, shape[0], J // 2)
        for name, value in {
            "preactivations": Z,
            "table": features,
            "gram": check_array("gram", self.gram, (K, K)),
            "patch_gram": check_array("patch_gram", self.patch_gram, (rows, rows)),
            "patch_table": check_array("patch_table", self.patch_table, (rows, J)),
            "labels": labels,
            "counts": check_array("counts", self.counts, (rows,)),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def n_classes(self) -> int:
        """Number k of classes."""
        return len(self.table) // 2

    # a diverging state overflows before it is noticed
    @np.errstate(over="ignore", invalid="ignore")
    def run(
        self,
        *,
        power: float,
        smoothing: float,
        step_size: float,
        n_steps: int,
        radius: float | None = None,
        attack_step_size: float = math.inf,
        objective: str = "margin",
        scope: str = "patch",
        record_every: int = 1,
        record_at: IntArray | None = None,
    ) -> GramTrace:
        r"""Run the recursion: standard training, or one step of l2 ascent before each update.

        With A the residual times slope at the attacked point, over n, and attack coefficients C
        (:math:`\delta = C W`, :math:`|\delta_p|^2 = (C H C^\top)_{pp}`), :math:`T = A^\top C`:

        .. math::
            Z &\leftarrow Z - \eta (G A + Z T^\top), \qquad
            S \leftarrow S - \eta (F X^\top A + S T^\top), \\
            H &\leftarrow H - \eta (Y + Y^\top) + \eta^2 (A^\top G A + A^\top Z T^\top + T Z^\top A
                + T H T^\top), \qquad Y = A^\top Z + T H .

        Parameters
        ----------
        power, smoothing : float
            Exponent q >= 1 and width of the activation.
        step_size : float
            :math:`\eta > 0`.
        n_steps : int
            Updates.
        radius : float, optional
            l2 radius of the attack; None for standard training.
        attack_step_size : float
            :math:`\eta_{in}`; inf steps to the edge of the budget.
        objective : {"margin", "loss"}
            What the attack climbs.
        scope : {"patch", "input"}
            Whether every patch has the radius to itself, or the sample as a whole.
        record_every : int
            Record every so many steps, and the final state.
        record_at : sequence of int, optional
            Record these steps instead.

        Returns
        -------
        GramTrace
            States before the recorded updates and the final one.

        Raises
        ------
        TypeError, ValueError
            If an argument is impossible, or a state is not finite.

        References
        ----------
        .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Gram space", section "Inner
           products alone" [derived].
        """
        shape = check_activation(power, smoothing)
        eta = check_real("step_size", step_size, above=0.0)
        steps = recorded_steps(check_integer("n_steps", n_steps, minimum=1), record_every, record_at)
        ascent = None
        if radius is not None:
            check_choice("objective", objective, ("margin", "loss"))
            check_choice("scope", scope, ("patch", "input"))
            inner = check_real("attack_step_size", attack_step_size, minimum=0.0, finite=False)
            ascent = (check_real("radius", radius, minimum=0.0), inner, objective, scope)
        state = _State(self, shape)
        tables, losses = [], []
        wanted = set(steps.tolist())
        for step in range(n_steps + 1):
            loss = state.attack(ascent)
            if not (math.isfinite(sum(loss)) and np.isfinite(state.S).all() and np.isfinite(state.H).all()):
                raise ValueError(f"the recursion must stay finite, got nan or inf at step {step}; "
                                 "try a smaller step_size")  # fmt: skip
            if step in wanted:
                tables.append(state.S.copy())
                losses.append(loss)
            if step < n_steps:
                state.update(eta)
        return self._trace(steps, np.array(tables), np.array(losses), state)

    def _trace(self, steps: IntArray, S: FloatArray, losses: FloatArray, state: _State) -> GramTrace:
        k, own = self.n_classes, np.arange(self.n_classes)
        table = S.reshape(len(S), 2 * k, k, -1).transpose(0, 2, 3, 1)  # (t, class, neuron, feature)
        robust, nonrobust = table[..., :k].copy(), table[..., k:].copy()
        return GramTrace(
            steps=steps,
            robust_table=robust,
            nonrobust_table=nonrobust,
            robust_coef=np.moveaxis(robust[:, own, :, own], 0, 1).copy(),
            nonrobust_coef=np.moveaxis(nonrobust[:, own, :, own], 0, 1).copy(),
            clean_loss=losses[:, 0],
            attacked_loss=losses[:, 1],
            preactivations=state.Z.reshape(len(self.labels), -1, state.Z.shape[1]),
            gram=state.H,
        )


class _State:
    """Z, S, H on the way, with the residuals of the step."""

    def __init__(self, start: GramStart, shape: tuple[float, float]) -> None:
        self.start, self.shape = start, shape
        self.Z, self.S, self.H = start.preactivations.copy(), start.table.copy(), start.gram.copy()
        self.n, self.k = len(start.labels), start.n_classes
        self.A = self.T = np.empty((0, 0))

    def _residual(self, Z: FloatArray, objective: str) -> tuple[FloatArray, FloatArray]:
        """Return residual times slope, shape of Z, and the cross-entropy of each sample."""
        y, k = self.start.labels, self.k
        per_row = activation(Z, *self.shape).reshape(len(Z), k, -1).sum(axis=2)
        scores = (self.start.counts[:, None] * per_row).reshape(self.n, -1, k).sum(axis=1)
        rivals = scores.copy()
        rivals[np.arange(self.n), y] = -math.inf
        top = rivals.max(axis=1)
        powers = np.exp(rivals - top[:, None])
        gap = top + np.log(powers.sum(axis=1)) - scores[np.arange(self.n), y]
        residual = powers / powers.sum(axis=1, keepdims=True)
        residual[np.arange(self.n), y] = -1.0
        if objective == "loss":
            small = np.exp(-np.abs(gap))
            residual *= (np.where(gap >= 0.0, 1.0, small) / (1.0 + small))[:, None]
        rows, per_class = len(Z) // self.n, Z.shape[1] // k
        spread = np.repeat(np.repeat(residual, rows, axis=0), per_class, axis=1)
        loss = np.maximum(gap, 0.0) + np.log1p(np.exp(-np.abs(gap)))
        return spread * activation_slope(Z, *self.shape), loss

    def attack(self, ascent: tuple[float, float, str, str] | None) -> tuple[float, float]:
        """Set A and T of the step; return clean and attacked loss."""
        if ascent is None:
            self.A, loss = self._residual(self.Z, "loss")
            self.A *= self.start.counts[:, None] / self.n
            self.T = np.zeros_like(self.H)
            clean = float(loss.mean())
            return clean, clean
        radius, inner, objective, scope = ascent
        gradient, loss = self._residual(self.Z, objective)
        pushed = gradient @ self.H
        squared = np.maximum((gradient * pushed).sum(axis=1), 0.0)
        if scope == "input":
            per_sample = (self.start.counts * squared).reshape(self.n, -1).sum(axis=1)
            squared = np.repeat(per_sample, len(squared) // self.n)
        norm = np.sqrt(squared)
        edge = np.divide(radius, norm, out=np.zeros_like(norm), where=norm > 0.0)
        scale = np.minimum(inner, edge)[:, None]
        self.A, attacked = self._residual(self.Z + scale * pushed, "loss")
        self.A *= self.start.counts[:, None] / self.n
        self.T = self.A.T @ (scale * gradient)
        return float(loss.mean()), float(attacked.mean())

    def update(self, eta: float) -> None:
        """Do the update."""
        A, T, Z, H = self.A, self.T, self.Z, self.H
        GA, TH, AZ = self.start.patch_gram @ A, T @ H, A.T @ Z
        Y, cross = AZ + TH, AZ @ T.T
        self.H = H - eta * (Y + Y.T) + eta * eta * (A.T @ GA + cross + cross.T + TH @ T.T)
        self.H = 0.5 * (self.H + self.H.T)
        self.S = self.S - eta * (self.start.patch_table.T @ A + self.S @ T.T)
        self.Z = Z - eta * (GA + Z @ T.T)


def gram_from_weights(weights: FloatArray, data: PatchData) -> GramStart:
    """Return the inner products of given weights and data, in vectors or in coordinates.

    Parameters
    ----------
    weights : ndarray, shape (k, m, d)
        Initial weights.
    data : PatchData
        Data with known features; noise, spread strengths and counts are allowed.

    Returns
    -------
    GramStart
        Whose :meth:`GramStart.run` trains.

    Raises
    ------
    ValueError
        If the features are unknown.

    References
    ----------
    .. [1] Documentation, page "Gram space", section "Inner products alone" [derived].
    """
    if data.robust_features is None or data.nonrobust_features is None:
        raise ValueError("data must know its features, got None; pass robust_features and nonrobust_features")
    W = check_array("weights", weights, (data.n_classes, "m", data.dim)).reshape(-1, data.dim)
    X, features = data.X.reshape(-1, data.dim), data.features
    return GramStart(
        preactivations=X @ W.T,
        table=features @ W.T,
        gram=W @ W.T,
        patch_gram=X @ X.T,
        patch_table=X @ features.T,
        labels=data.y,
        counts=data.counts.ravel(),
    )
