r"""Exact reduced dynamics of the structured-data theory without noise.

Without noise and with one strength per kind of patch, gradient descent on the
network closes over few numbers. Standard training is a recursion for the two
coefficient tables; adversarial training with one ascent step needs, beside them,
only the Gram matrix of the neurons. Both are exact, whatever dimension, number of
samples and number of patches: no approximation enters but rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from featsim.theory.structured_data.population import (
    Population,
    Recorder,
    ReducedTrace,
    check_population,
    recorded_steps,
    score_residual,
)
from featsim.validation import FloatArray, IntArray, check_array, check_choice, check_real


# a diverging state overflows before it is noticed; the recorder then says so
@np.errstate(over="ignore", invalid="ignore")
def reduced_standard(
    robust_table0: FloatArray,
    nonrobust_table0: FloatArray,
    *,
    class_fractions: FloatArray | Sequence[float],
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
    power: float,
    smoothing: float,
    step_size: float,
    n_steps: int,
    record_every: int = 1,
    record_at: Sequence[int] | IntArray | None = None,
) -> ReducedTrace:
    r"""Run standard training, reduced to the two coefficient tables; exact without noise.

    With class fractions :math:`\pi_j` and p the softmax of the scores
    :math:`F_{ij} = P_R\sum_r s(\alpha M_{irj}) + P_{NR}\sum_r s(\beta N_{irj})`,

    .. math:: M_{irj} \leftarrow M_{irj} + \eta\pi_j(1[i=j] - p_{ij})\,P_R\,\alpha\,s'(\alpha M_{irj})

    and the same for N with :math:`P_{NR}, \beta`. [derived]

    Parameters
    ----------
    robust_table0, nonrobust_table0 : ndarray, shape (k, m, k)
        Initial :math:`\langle w_{ir}, u_j\rangle` and :math:`\langle w_{ir}, v_j\rangle`.
    class_fractions : array_like, shape (k,)
        Fractions of the samples in each class, summing to 1.
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R` and :math:`P_{NR}`, at least 0.
    robust_strength, nonrobust_strength : float
        :math:`\alpha` and :math:`\beta`, at least 0.
    power, smoothing : float
        Exponent q >= 1 and width :math:`\varrho > 0` of the activation.
    step_size : float
        :math:`\eta`, at least 0.
    n_steps : int
        Number of updates.
    record_every : int
        Record every so many steps, and the final state.
    record_at : sequence of int, optional
        Record these steps instead, and the final state.

    Returns
    -------
    ReducedTrace
        States before the recorded updates and the final one.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or a state is not finite.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Standard training, reduced" [derived].
    """
    table, population = check_population(
        robust_table0,
        nonrobust_table0,
        class_fractions,
        n_robust_patches,
        n_nonrobust_patches,
        robust_strength,
        nonrobust_strength,
        power,
        smoothing,
    )
    eta = check_real("step_size", step_size, minimum=0.0)
    recorder = Recorder(population, recorded_steps(n_steps, record_every, record_at))
    gain = eta * np.tile(population.fractions, 2) * population.counts * population.strengths
    for step in range(n_steps + 1):
        z = population.strengths * table
        scores = population.scores(z)
        recorder.record(step, table, scores, scores)
        residual = np.tile(score_residual(scores, "loss"), (1, 2))
        table = table - gain * residual[:, None, :] * population.slope(z)
    return recorder.trace()


_SUBSPACES = ("own", "nonrobust", "features")


def _allowed_features(subspace: str, k: int) -> FloatArray:
    """Return 1 where a patch carrying feature c (row) may move along feature f (column), (2k, 2k)."""
    robust = np.arange(2 * k) < k
    if subspace == "features":
        return np.ones((2 * k, 2 * k))
    if subspace == "nonrobust":
        return np.tile(~robust, (2 * k, 1)).astype(np.float64)
    return np.asarray(robust[:, None] == robust[None, :], dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class _Ascent:
    """One step of ascent from the clean point, in the coordinates of the neurons."""

    radius: float
    step_size: float
    objective: str
    scope: str
    allowed: FloatArray | None  # (2k, 2k), None: the whole space

    def perturb(
        self, table: FloatArray, gram: FloatArray, C: FloatArray, population: Population
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return D, H D and the feature coordinates D^T S of the perturbations.

        C, D (K, 2k), table S (K, 2k), gram H (K, K). Column c of C holds the input
        gradient sum_a C_ac w_a of a patch that carries feature c.
        """
        if self.allowed is None:
            pushed = gram @ C  # <w_b, gradient_c>
            along = C.T @ table  # <gradient_c, feature_f>
        else:
            along = (C.T @ table) * self.allowed  # the projected gradient, feature by feature
            pushed = table @ along.T
        # a rounding error below zero means: no gradient
        squared = np.maximum((C * pushed).sum(axis=0), 0.0)
        if self.scope == "input":
            k = len(population.fractions)
            weighted = population.counts * squared
            squared = np.tile(weighted[:k] + weighted[k:], 2)
        norm = np.sqrt(squared)
        clipped = np.divide(self.radius, norm, out=np.zeros_like(norm), where=norm > 0.0)
        scale = np.minimum(self.step_size, clipped)
        return C * scale, pushed * scale, along * scale[:, None]


@np.errstate(over="ignore", invalid="ignore")
def reduced_adversarial(
    robust_table0: FloatArray,
    nonrobust_table0: FloatArray,
    *,
    gram0: FloatArray | None,
    class_fractions: FloatArray | Sequence[float],
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
    power: float,
    smoothing: float,
    step_size: float,
    n_steps: int,
    radius: float,
    attack_step_size: float,
    objective: str = "margin",
    scope: str = "patch",
    subspace: str | None = None,
    record_every: int = 1,
    record_at: Sequence[int] | IntArray | None = None,
) -> ReducedTrace:
    r"""Run one-step adversarial training under an l2 budget, reduced; exact without noise.

    Let a = (i, r) number the K = km neurons, c the 2k features, :math:`H_{ab} =
    \langle w_a, w_b\rangle`, :math:`S_{ac} = \langle w_a, e_c\rangle` and
    :math:`Z_{ac} = \mathrm{amp}_c S_{ac}`. The input gradient on a patch with feature c is
    :math:`\sum_a C_{ac} w_a`, so its perturbation is :math:`\sum_a D_{ac} w_a` with
    D = C scaled per column, the attacked preactivation is :math:`Z^a = Z + HD`, and with
    :math:`Q_{ac} = e_{ac} s'(Z^a_{ac})\,\mathrm{mult}_c\,\pi_{l_c}` the step is
    :math:`W \leftarrow W - \eta QY`, :math:`Y = \mathrm{diag}(\mathrm{amp})E + D^TW`. Hence

    .. math::
        S &\leftarrow S - \eta Q(\mathrm{diag}(\mathrm{amp}) + D^TS),\\
        H &\leftarrow H - \eta(Z^aQ^T + QZ^{aT}) + \eta^2 Q\,YY^T Q^T,

    where no product of two (K, K) matrices is left: :math:`WY^T = Z^a`, so a step
    costs O(K^2 k). A budget restricted to a span of features (threats O, V and UV)
    projects the gradient; then H is not needed. [derived]

    Parameters
    ----------
    robust_table0, nonrobust_table0 : ndarray, shape (k, m, k)
        Initial :math:`\langle w_{ir}, u_j\rangle` and :math:`\langle w_{ir}, v_j\rangle`.
    gram0 : ndarray, shape (km, km), or None
        Initial inner products of the neurons, a = i m + r. None only with a `subspace`.
    class_fractions : array_like, shape (k,)
        Fractions of the samples in each class, summing to 1.
    n_robust_patches, n_nonrobust_patches : int
        :math:`P_R` and :math:`P_{NR}`, at least 0.
    robust_strength, nonrobust_strength : float
        :math:`\alpha` and :math:`\beta`, at least 0.
    power, smoothing : float
        Exponent q >= 1 and width :math:`\varrho > 0` of the activation.
    step_size : float
        :math:`\eta`, at least 0.
    n_steps : int
        Number of updates.
    radius : float
        l2 radius of the budget, at least 0.
    attack_step_size : float
        :math:`\eta_{in}`, at least 0; inf steps to the edge of the budget (A-unit).
    objective : {"margin", "loss"}
        Ascent on the margin form (A-margin) or on the cross-entropy (A-raw).
    scope : {"patch", "input"}
        Whether every patch has the radius to itself, or the sample as a whole.
    subspace : {None, "own", "nonrobust", "features"}
        Restriction of the perturbation: robust patches in the span of u and the others
        in the span of v; all in the span of v; all in the span of u and v.
    record_every : int
        Record every so many steps, and the final state.
    record_at : sequence of int, optional
        Record these steps instead, and the final state.

    Returns
    -------
    ReducedTrace
        States before the recorded updates and the final one; the attacked losses are
        on the perturbed samples of that step.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or a state is not finite.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "One-step adversarial training, reduced" [derived].
    """
    start, population = check_population(
        robust_table0,
        nonrobust_table0,
        class_fractions,
        n_robust_patches,
        n_nonrobust_patches,
        robust_strength,
        nonrobust_strength,
        power,
        smoothing,
    )
    eta = check_real("step_size", step_size, minimum=0.0)
    k, m, _ = start.shape
    ascent = _check_ascent(radius, attack_step_size, objective, scope, subspace, k)
    gram = _check_gram(gram0, subspace, start)
    recorder = Recorder(population, recorded_steps(n_steps, record_every, record_at))
    S = start.reshape(k * m, 2 * k)
    counts = np.tile(population.fractions, 2) * population.counts
    for step in range(n_steps + 1):
        Z = population.strengths * S
        z = Z.reshape(k, m, 2 * k)
        scores = population.scores(z)
        e_attack = np.tile(score_residual(scores, ascent.objective), (1, 2))
        C = (e_attack[:, None, :] * population.slope(z)).reshape(k * m, 2 * k)
        D, HD, along = ascent.perturb(S, gram, C, population)
        Za = Z + HD
        za = Za.reshape(k, m, 2 * k)
        attacked = population.scores(za)
        recorder.record(step, S.reshape(k, m, 2 * k), scores, attacked)
        e = np.tile(score_residual(attacked, "loss"), (1, 2))
        Q = eta * (e[:, None, :] * population.slope(za) * counts).reshape(k * m, 2 * k)
        if ascent.allowed is None:
            cross = Za @ Q.T
            YY = np.diag(population.strengths**2) + Z.T @ D + D.T @ Z + D.T @ HD
            gram = gram - (cross + cross.T) + Q @ YY @ Q.T
        S = S - Q @ (np.diag(population.strengths) + along)
    return recorder.trace()


def _check_ascent(
    radius: float, attack_step_size: float, objective: str, scope: str, subspace: str | None, k: int
) -> _Ascent:
    """Return the attack, checked."""
    check_choice("objective", objective, ("margin", "loss"))
    check_choice("scope", scope, ("patch", "input"))
    if subspace is not None:
        check_choice("subspace", subspace, _SUBSPACES)
    return _Ascent(
        check_real("radius", radius, minimum=0.0),
        check_real("attack_step_size", attack_step_size, minimum=0.0, finite=False),
        objective,
        scope,
        None if subspace is None else _allowed_features(subspace, k),
    )


def _check_gram(gram0: FloatArray | None, subspace: str | None, start: FloatArray) -> FloatArray:
    """Return the Gram matrix (K, K), or an empty one where a subspace makes it unnecessary."""
    if subspace is not None:
        return np.zeros((0, 0))
    K = start.shape[0] * start.shape[1]
    if gram0 is None:
        raise ValueError(
            "gram0 must be given unless a subspace restricts the attack, got None; "
            "it is W W^T of the initial weights with one neuron per row"
        )
    gram = check_array("gram0", gram0, (K, K))
    scale = float(np.abs(gram).max())
    if not np.allclose(gram, gram.T, rtol=0.0, atol=1e-12 * scale):
        raise ValueError(
            "gram0 must be symmetric; it is W W^T of the initial weights with one neuron per row"
        )
    # the neurons have at least the length of their part along the features
    table = start.reshape(K, -1)
    if float(np.linalg.eigvalsh(gram - table @ table.T).min()) < -1e-9 * max(scale, 1e-300):
        raise ValueError(
            "gram0 must exceed the Gram matrix of the tables (gram0 - S S^T positive semidefinite); "
            "compute tables and gram0 from the same weights and orthonormal features"
        )
    return gram
