"""What a step of the patch network costs: blocks, matrix products, passes over entries."""

from __future__ import annotations

import dataclasses
from typing import Any

from featsim.kernels import patch_network as kernel
from featsim.training.stepper import Footprint, Product, StepWork

_FLOAT = 8
# Passes over the entries of one block, in units of a vectorised product of two arrays [measured].
_FORWARD, _SLOPES, _COEFFICIENT, _ASCENT, _DRAW = 1.8, 1.2, 5.0, 2.6, 15.0


def patch_footprint(
    plan: Any,
    shape: tuple[int, ...],
    *,
    n_samples: int,
    n_patches: int,
    n_features: int,
    batch: int | None,
    metric: bool,
) -> Footprint:
    """Return sizes and work of a training of the patch network.

    Parameters
    ----------
    plan : AttackPlan
        Representation of the perturbation, and its steps.
    shape : tuple of int
        (k, m, d) of the weights.
    n_samples, n_patches, n_features : int
        Of the data; rows of u and v together.
    batch : int or None
        Samples of a minibatch; None for full batch.
    metric : bool
        Whether updates are seen through a (d, d) metric.

    Returns
    -------
    Footprint
        Sizes in bytes, and the products of a step and of a record.
    """
    k, m, d = shape
    K, J, P, n = k * m, n_features, n_patches, n_samples
    rows = max(1, kernel.BLOCK_ROWS // P) * P  # of a block, at most
    blocks = 2 * K + 2 * k + J  # preactivations, slopes, class sums, residuals, <feature, delta>
    whole = 5 * K * d + 3 * K * J + J * d  # weights and their copies, gradient, coefficients, features
    r = plan.basis.shape[0] if plan.mode == kernel.SUBSPACE else d
    if plan.mode == kernel.COEFFICIENT:
        blocks, whole = blocks + 3 * K, whole + 2 * K * K
    elif plan.mode != kernel.CLEAN:
        blocks, whole = blocks + K + 3 * r, whole + 2 * K * r
    if plan.started:
        blocks += d + K + J if plan.mode == kernel.COEFFICIENT else 0
    if batch is not None:
        blocks += d
    work = _FLOAT * (rows * blocks + whole + (d * d if metric else 0))
    sweep = _sweep(plan, n, P, d, k, K, r, update=batch is None)
    step = sweep if batch is None else _sweep(plan, batch, P, d, k, K, r, update=True)
    return Footprint(
        lengths={"class": k, "neuron": m, "dim": d, "feature": k},
        work=work,
        per_record=_FLOAT * (K * (J + 1) + kernel.N_STATISTICS),
        step=step if not metric else dataclasses.replace(step, products=(*step.products, Product(K, d, d))),
        record=_record(sweep if batch is not None else None, plan, n, P, d, k, K, J),
    )


def _sweep(plan: Any, n: int, P: int, d: int, k: int, K: int, r: int, *, update: bool) -> StepWork:
    """Work of one pass over n samples: forward, attack, and the gradient where there is an update."""
    N, S = n * P, plan.n_steps
    products = [Product(N, d, K, 2.0 if update else 1.0)]
    passes = N * K * (_FORWARD + _SLOPES)
    if plan.mode == kernel.COEFFICIENT:
        products += [Product(N, K, K, S + float(update)), Product(K, d, K, 2.0)]
        passes += S * N * K * (_FORWARD + _SLOPES + _COEFFICIENT)
    elif plan.mode != kernel.CLEAN:
        products += [Product(N, r, K, 2.0 * S)]
        passes += S * N * (K * (_FORWARD + _SLOPES) + r * _ASCENT)
    if plan.started:
        products.append(Product(N, r, K, 1.0))
        passes += N * r * _DRAW
    return StepWork(products=tuple(products), passes=passes, functions=(S + 1.0) * n * (k + 3.0))


def _record(sweep: StepWork | None, plan: Any, n: int, P: int, d: int, k: int, K: int, J: int) -> StepWork:
    """Work of a record beside an update on the full batch; with minibatches, of the sweep over all too."""
    products = [Product(K, d, max(J, 1), 2.0)]
    if plan.mode != kernel.CLEAN and J:
        products.append(Product(n * P, K if plan.mode == kernel.COEFFICIENT else d, J))
    passes = 3.0 * K * d + 4.0 * n * P * k
    if sweep is None:
        return StepWork(products=tuple(products), passes=passes)
    return StepWork(
        products=(*products, *sweep.products), passes=passes + sweep.passes, functions=sweep.functions
    )
