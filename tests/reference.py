"""The structured-data theory in slow loops, written from the equations.

Everything here reads like ``docs/structured_data.rst``: one neuron, one
patch and one sample at a time, Python floats and inner products of vectors, no
Numba and no contraction over several axes. Fast code is compared with it.

Shapes: weights (k, m, d), X (n, P, d), one sample x (P, d), labels y (n,),
counts (n, P) or (P,) with the multiplicity of every stored patch (a patch stored
once with count c stands for c equal patches that receive the same perturbation).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# ---------------------------------------------------------------- activation


def smoothed_relu(z: float, power: float, smoothing: float) -> float:
    """s(z): 0 below 0, z^q / (q rho^(q-1)) up to rho, z - (1 - 1/q) rho beyond."""
    if z <= 0.0:
        return 0.0
    if z <= smoothing:
        return float(z**power / (power * smoothing ** (power - 1.0)))
    return float(z - (1.0 - 1.0 / power) * smoothing)


def smoothed_relu_slope(z: float, power: float, smoothing: float) -> float:
    """s'(z): 0 below 0 and at 0, (z/rho)^(q-1) up to rho, 1 beyond."""
    if z <= 0.0:
        return 0.0
    if z <= smoothing:
        return float((z / smoothing) ** (power - 1.0))
    return 1.0


# ---------------------------------------------------------------- network and loss


def scores(
    weights: Array, x: Array, power: float, smoothing: float, counts: Array | None = None
) -> list[float]:
    """F_i(x) = sum_r sum_p count_p s(<w_ir, x_p>) for one sample x (P, d)."""
    n_classes, width, _ = weights.shape
    result = []
    for i in range(n_classes):
        total = 0.0
        for r in range(width):
            for p in range(len(x)):
                count = 1.0 if counts is None else float(counts[p])
                total += count * smoothed_relu(float(np.dot(weights[i, r], x[p])), power, smoothing)
        result.append(total)
    return result


def log_sum_exp(values: Sequence[float]) -> float:
    """log sum_i exp(values_i), shifted by the largest value."""
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def softmax(values: Sequence[float]) -> list[float]:
    """exp(values_i) / sum_j exp(values_j)."""
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    total = sum(powers)
    return [power / total for power in powers]


def rivals(values: Sequence[float], y: int) -> list[float]:
    """The scores of all classes but y."""
    return [value for i, value in enumerate(values) if i != y]


def hard_margin(values: Sequence[float], y: int) -> float:
    """F_y minus the largest rival score; a tie is 0 and counts as an error."""
    return values[y] - max(rivals(values, y))


def soft_margin(values: Sequence[float], y: int) -> float:
    """logsumexp_{i != y} F_i - F_y, the objective of the margin-form attack."""
    return log_sum_exp(rivals(values, y)) - values[y]


def cross_entropy(values: Sequence[float], y: int) -> float:
    """logsumexp_i F_i - F_y = log(1 + exp(soft margin)), without cancellation."""
    gap = soft_margin(values, y)
    return max(gap, 0.0) + math.log1p(math.exp(-abs(gap)))


def error_probability(values: Sequence[float], y: int) -> float:
    """1 - p_y = 1 / (1 + exp(-soft margin)), without cancellation."""
    gap = soft_margin(values, y)
    if gap >= 0.0:
        return 1.0 / (1.0 + math.exp(-gap))
    return math.exp(gap) / (1.0 + math.exp(gap))


def loss_residual(values: Sequence[float], y: int) -> list[float]:
    """e_i = p_i - 1[i = y]: the gradient of the cross-entropy in the scores."""
    residual = softmax(values)
    residual[y] = -error_probability(values, y)
    return residual


def margin_residual(values: Sequence[float], y: int) -> list[float]:
    """e / (1 - p_y) computed directly: -1 at y, softmax of the other scores elsewhere."""
    others = iter(softmax(rivals(values, y)))
    return [-1.0 if i == y else next(others) for i in range(len(values))]


def target_residual(values: Sequence[float], y: int, target: int) -> list[float]:
    """The gradient of F_target - F_y in the scores."""
    return [float(i == target) - float(i == y) for i in range(len(values))]


# ---------------------------------------------------------------- gradients


def weight_gradient(
    weights: Array, X: Array, y: Sequence[int], power: float, smoothing: float, counts: Array | None = None
) -> Array:
    """dL/dw_ir = (1/n) sum_s e_si sum_p count_sp s'(<w_ir, x_sp>) x_sp."""
    n_classes, width, _ = weights.shape
    gradient = np.zeros_like(weights)
    for s in range(len(X)):
        count_s = None if counts is None else counts[s]
        e = loss_residual(scores(weights, X[s], power, smoothing, count_s), y[s])
        for i in range(n_classes):
            for r in range(width):
                for p in range(X.shape[1]):
                    count = 1.0 if count_s is None else float(count_s[p])
                    slope = smoothed_relu_slope(float(np.dot(weights[i, r], X[s, p])), power, smoothing)
                    if slope != 0.0:
                        gradient[i, r] += e[i] * count * slope * X[s, p] / len(X)
    return gradient


def input_gradient(
    weights: Array, x: Array, residual: Sequence[float], power: float, smoothing: float
) -> Array:
    """dl/dx_p = sum_i e_i sum_r s'(<w_ir, x_p>) w_ir for one sample, one copy of every patch."""
    n_classes, width, _ = weights.shape
    gradient = np.zeros_like(x)
    for p in range(len(x)):
        for i in range(n_classes):
            for r in range(width):
                slope = smoothed_relu_slope(float(np.dot(weights[i, r], x[p])), power, smoothing)
                if slope != 0.0:
                    gradient[p] += residual[i] * slope * weights[i, r]
    return gradient


# ---------------------------------------------------------------- budgets


@dataclasses.dataclass(frozen=True)
class Budget:
    """The perturbations allowed for one sample.

    norm "l2" or "linf"; scope "patch" (every patch has the radius to itself) or
    "input" (the radius is for the whole sample; the same thing for linf). `bases`
    restricts the patches of role j to the span of the orthonormal rows bases[j].
    """

    radius: float
    norm: str = "l2"
    scope: str = "patch"
    bases: Mapping[int, Array] | None = None


def restrict(budget: Budget, gradient: Array, roles: IntArray | None) -> Array:
    """The orthogonal projection of every patch of a gradient on its allowed subspace."""
    if budget.bases is None:
        return gradient
    assert roles is not None
    result = np.zeros_like(gradient)
    for p in range(len(gradient)):
        for e in budget.bases[int(roles[p])]:
            result[p] += float(np.dot(gradient[p], e)) * e
    return result


def whole_norm(delta: Array, counts: Array | None) -> float:
    """The l2 norm of the whole perturbation, repeated patches counted."""
    total = 0.0
    for p in range(len(delta)):
        total += (1.0 if counts is None else float(counts[p])) * float(np.dot(delta[p], delta[p]))
    return math.sqrt(total)


def project(budget: Budget, delta: Array, counts: Array | None = None) -> Array:
    """The nearest allowed perturbation (delta is in the subspace already)."""
    eps = budget.radius
    result = delta.copy()
    if budget.norm == "linf":
        for p in range(len(delta)):
            for j in range(delta.shape[1]):
                result[p, j] = min(max(delta[p, j], -eps), eps)
    elif budget.scope == "input":
        size = whole_norm(delta, counts)
        if size > eps:
            result *= eps / size
    else:
        for p in range(len(delta)):
            size = math.sqrt(float(np.dot(delta[p], delta[p])))
            if size > eps:
                result[p] *= eps / size
    return result


def steepest(budget: Budget, gradient: Array, counts: Array | None = None) -> Array:
    """The radius-1 step of largest inner product with the gradient, 0 where it is 0."""
    result = np.zeros_like(gradient)
    if budget.norm == "linf":
        for p in range(len(gradient)):
            for j in range(gradient.shape[1]):
                result[p, j] = float(gradient[p, j] > 0.0) - float(gradient[p, j] < 0.0)
    elif budget.scope == "input":
        size = whole_norm(gradient, counts)
        if size > 0.0:
            result = gradient / size
    else:
        for p in range(len(gradient)):
            size = math.sqrt(float(np.dot(gradient[p], gradient[p])))
            if size > 0.0:
                result[p] = gradient[p] / size
    return result


# ---------------------------------------------------------------- attacks


@dataclasses.dataclass(frozen=True)
class Attack:
    """A gradient attack: `objective` "loss", "margin" or "targeted", `rule` "raw" or "unit".

    A raw step is delta <- Proj(delta + step_size g); a unit step is
    delta <- Proj(delta + step_size steepest(g)).
    """

    budget: Budget
    objective: str
    rule: str
    step_size: float
    n_steps: int = 1


def a_raw(budget: Budget, step_size: float, n_steps: int = 1) -> Attack:
    """A-raw: raw steps on the cross-entropy, clipped."""
    return Attack(budget, "loss", "raw", step_size, n_steps)


def a_margin(budget: Budget, step_size: float, n_steps: int = 1) -> Attack:
    """A-margin: the same with the margin-form gradient."""
    return Attack(budget, "margin", "raw", step_size, n_steps)


def a_unit(budget: Budget) -> Attack:
    """A-unit: one full step to the budget's edge; 0 where the gradient is 0."""
    return Attack(budget, "margin", "unit", budget.radius, 1)


def a_pgd(budget: Budget, n_steps: int = 20, step_size: float | None = None) -> Attack:
    """A-pgd: normalised steps with projection, margin form."""
    return Attack(
        budget, "margin", "unit", 2.5 * budget.radius / n_steps if step_size is None else step_size, n_steps
    )


def attack_residual(attack: Attack, values: Sequence[float], y: int, target: int | None) -> list[float]:
    """The weights of the scores in the attack's objective, differentiated."""
    if attack.objective == "loss":
        return loss_residual(values, y)
    if attack.objective == "margin":
        return margin_residual(values, y)
    assert target is not None
    return target_residual(values, y, target)


def perturb(
    attack: Attack,
    weights: Array,
    x: Array,
    y: int,
    power: float,
    smoothing: float,
    *,
    counts: Array | None = None,
    roles: IntArray | None = None,
    start: Array | None = None,
    target: int | None = None,
) -> Array:
    """The perturbation (P, d) that the attack finds for one sample, last iterate."""
    delta = np.zeros_like(x) if start is None else start.copy()
    for _ in range(attack.n_steps):
        values = scores(weights, x + delta, power, smoothing, counts)
        residual = attack_residual(attack, values, y, target)
        gradient = restrict(
            attack.budget, input_gradient(weights, x + delta, residual, power, smoothing), roles
        )
        direction = gradient if attack.rule == "raw" else steepest(attack.budget, gradient, counts)
        delta = project(attack.budget, delta + attack.step_size * direction, counts)
    return delta


def perturb_all(
    attack: Attack,
    weights: Array,
    X: Array,
    y: Sequence[int],
    power: float,
    smoothing: float,
    *,
    counts: Array | None = None,
    roles: IntArray | None = None,
) -> Array:
    """`perturb` from the clean point for every sample: (n, P, d)."""
    delta = np.zeros_like(X)
    for s in range(len(X)):
        delta[s] = perturb(
            attack,
            weights,
            X[s],
            y[s],
            power,
            smoothing,
            counts=None if counts is None else counts[s],
            roles=None if roles is None else roles[s],
        )
    return delta


def feature_attack(
    x: Array,
    y: int,
    target: int,
    roles: IntArray,
    nonrobust_features: Array,
    strengths: Sequence[float],
    radius: float,
) -> Array:
    """A-feat towards one target: -c v_y + sqrt(eps^2 - c^2) v_target on non-robust patches (role 1)."""
    delta = np.zeros_like(x)
    for p in range(len(x)):
        if roles[p] == 1:
            c = min(radius / math.sqrt(2.0), strengths[p])
            delta[p] = -c * nonrobust_features[y] + math.sqrt(radius**2 - c**2) * nonrobust_features[target]
    return delta


def feature_attack_margin(
    weights: Array,
    x: Array,
    y: int,
    roles: IntArray,
    nonrobust_features: Array,
    strengths: Sequence[float],
    radius: float,
    power: float,
    smoothing: float,
    counts: Array | None = None,
) -> float:
    """The smallest hard margin over the k - 1 targets of A-feat."""
    margins = []
    for target in range(len(weights)):
        if target != y:
            delta = feature_attack(x, y, target, roles, nonrobust_features, strengths, radius)
            margins.append(hard_margin(scores(weights, x + delta, power, smoothing, counts), y))
    return min(margins)


# ---------------------------------------------------------------- tracked quantities


def coefficient_table(weights: Array, features: Array) -> Array:
    """<w_ir, feature_j>, shape (k, m, number of features)."""
    n_classes, width, _ = weights.shape
    table = np.zeros((n_classes, width, len(features)))
    for i in range(n_classes):
        for r in range(width):
            for j in range(len(features)):
                table[i, r, j] = float(np.dot(weights[i, r], features[j]))
    return table


def rest_norm(weights: Array, robust_features: Array, nonrobust_features: Array) -> Array:
    """||w_ir minus its parts along all features||, shape (k, m)."""
    n_classes, width, _ = weights.shape
    result = np.zeros((n_classes, width))
    for i in range(n_classes):
        for r in range(width):
            rest = weights[i, r].copy()
            for e in [*robust_features, *nonrobust_features]:
                rest -= float(np.dot(weights[i, r], e)) * e
            result[i, r] = math.sqrt(float(np.dot(rest, rest)))
    return result


def own_coefficients(table: Array) -> Array:
    """A_ir = M_iri (or B_ir = N_iri), shape (k, m)."""
    n_classes, width, _ = table.shape
    own = np.zeros((n_classes, width))
    for i in range(n_classes):
        for r in range(width):
            own[i, r] = table[i, r, i]
    return own


def own_logit(own: Array, n_patches: int, strength: float, power: float, smoothing: float) -> Array:
    """Phi_i = P_R sum_r s(alpha A_ir), and Psi_i with P_NR, beta, B; shape (k,)."""
    return np.array(
        [n_patches * sum(smoothed_relu(strength * float(a), power, smoothing) for a in row) for row in own]
    )


# ---------------------------------------------------------------- training


def mean_loss(
    weights: Array, X: Array, y: Sequence[int], power: float, smoothing: float, counts: Array | None = None
) -> float:
    """L(W) = (1/n) sum_s cross-entropy."""
    return measure(weights, X, y, power, smoothing, counts)[0]


def measure(
    weights: Array, X: Array, y: Sequence[int], power: float, smoothing: float, counts: Array | None = None
) -> tuple[float, float, float]:
    """Mean cross-entropy, accuracy (ties are errors) and mean 1 - p_y."""
    loss = accuracy = error = 0.0
    for s in range(len(X)):
        values = scores(weights, X[s], power, smoothing, None if counts is None else counts[s])
        loss += cross_entropy(values, y[s]) / len(X)
        accuracy += float(hard_margin(values, y[s]) > 0.0) / len(X)
        error += error_probability(values, y[s]) / len(X)
    return loss, accuracy, error


def trajectory(
    weights: Array,
    X: Array,
    y: Sequence[int],
    *,
    power: float,
    smoothing: float,
    step_size: float,
    n_steps: int,
    robust_features: Array,
    nonrobust_features: Array,
    attack: Attack | None = None,
    counts: Array | None = None,
    roles: IntArray | None = None,
    batches: Sequence[Sequence[int]] | None = None,
) -> dict[str, Any]:
    """Gradient descent, standard (no attack) or adversarial, recorded before every update.

    Adversarial: from the clean data and the current weights form X + delta, hold
    delta constant, then descend on L(W; X + delta). Losses and accuracies are over
    all samples, also with minibatches (`batches`: one list of sample numbers a step).

    Returns arrays with n_steps + 1 rows: robust_table M, nonrobust_table N (k, m, k),
    robust_coef A, nonrobust_coef B, rest_norm (k, m), clean_loss, clean_accuracy,
    error_probability, attacked_loss, attacked_accuracy (equal to the clean ones
    without attack), and final_weights (k, m, d).
    """
    W = weights.copy()
    rows: dict[str, list[Any]] = {}
    for t in range(n_steps + 1):
        delta = np.zeros_like(X)
        if attack is not None:
            delta = perturb_all(attack, W, X, y, power, smoothing, counts=counts, roles=roles)
        clean = measure(W, X, y, power, smoothing, counts)
        attacked = clean if attack is None else measure(W, X + delta, y, power, smoothing, counts)
        robust_table = coefficient_table(W, robust_features)
        nonrobust_table = coefficient_table(W, nonrobust_features)
        for name, value in {
            "robust_table": robust_table,
            "nonrobust_table": nonrobust_table,
            "robust_coef": own_coefficients(robust_table),
            "nonrobust_coef": own_coefficients(nonrobust_table),
            "rest_norm": rest_norm(W, robust_features, nonrobust_features),
            "clean_loss": clean[0],
            "clean_accuracy": clean[1],
            "error_probability": clean[2],
            "attacked_loss": attacked[0],
            "attacked_accuracy": attacked[1],
        }.items():
            rows.setdefault(name, []).append(value)
        if t < n_steps:
            batch = list(range(len(X))) if batches is None else [int(s) for s in batches[t]]
            W = W - step_size * weight_gradient(
                W,
                (X + delta)[batch],
                [y[s] for s in batch],
                power,
                smoothing,
                None if counts is None else counts[batch],
            )
    return {**{name: np.array(value) for name, value in rows.items()}, "final_weights": W}


# ---------------------------------------------------------------- small data sets for tests


def noise_free_data(
    features: Array,
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
) -> tuple[Array, list[int], IntArray]:
    """One sample per class, every patch written out: X (k, P, d), y, roles (k, P).

    `features` (2k, d) holds u stacked over v; the first P_R patches are robust (role 0).
    """
    n_classes = len(features) // 2
    samples, roles = [], []
    for j in range(n_classes):
        robust = [robust_strength * features[j]] * n_robust_patches
        nonrobust = [nonrobust_strength * features[n_classes + j]] * n_nonrobust_patches
        samples.append(robust + nonrobust)
        roles.append([0] * n_robust_patches + [1] * n_nonrobust_patches)
    return np.array(samples), list(range(n_classes)), np.array(roles)


def counted_data(
    features: Array,
    n_robust_patches: int,
    n_nonrobust_patches: int,
    robust_strength: float,
    nonrobust_strength: float,
) -> tuple[Array, list[int], IntArray, Array]:
    """The same with two stored patches per sample: X (k, 2, d), y, roles (k, 2), counts (k, 2)."""
    n_classes = len(features) // 2
    X = np.array(
        [
            [robust_strength * features[j], nonrobust_strength * features[n_classes + j]]
            for j in range(n_classes)
        ]
    )
    counts = np.array([[float(n_robust_patches), float(n_nonrobust_patches)]] * n_classes)
    return X, list(range(n_classes)), np.array([[0, 1]] * n_classes), counts


def random_features(n_features: int, dim: int, rng: np.random.Generator) -> Array:
    """Random orthonormal rows (n_features, dim)."""
    basis, _ = np.linalg.qr(rng.standard_normal((dim, n_features)))
    return np.ascontiguousarray(basis.T)
