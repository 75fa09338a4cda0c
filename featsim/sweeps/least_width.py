"""How wide a network must be before training fits the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.attacks import Attack, run_attack
from featsim.data import PointData
from featsim.models import BiasedReluSpec, trained_model
from featsim.specs import Spec
from featsim.training import Recording, Schedule, train
from featsim.validation import check_integer


@dataclasses.dataclass(frozen=True)
class LeastWidth:
    """Least width with a successful training.

    Attributes
    ----------
    width : int or None
        The width; None if none of them fitted.
    n_runs : int
        Trainings it took.
    """

    width: int | None
    n_runs: int


def least_width(
    data: PointData,
    *,
    schedule: Schedule,
    widths: Sequence[int],
    seed: int,
    attack: Spec | None = None,
    judge: Attack | None = None,
    n_starts: int = 3,
) -> LeastWidth:
    """Train ReLU networks of growing width until one fits.

    Parameters
    ----------
    data : PointData
        Training data.
    schedule : Schedule
        Adam.
    widths : sequence of int
        Widths to try, in this order.
    seed : int
        Of initial weights and random starts.
    attack : GradientAttack, optional
        Attack in training.
    judge : Attack, optional
        Attack under which no sample may be wrong; the clean inputs by default.
    n_starts : int
        Initial weights tried at each width.

    Returns
    -------
    LeastWidth
        An upper bound on the width that is needed: a failure may be one of optimisation.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, capacity theorem [source in words]; this protocol is a [choice].
    """
    check_integer("n_starts", n_starts, minimum=1)
    n_runs = 0
    for width in widths:
        for start in range(n_starts):
            n_runs += 1
            rng = np.random.default_rng((seed, width, start))
            model = BiasedReluSpec(width=width)
            trace = train(model, data, schedule=schedule, attack=attack, recording=Recording(at=()), rng=rng)
            network: Any = trained_model(model, trace)
            if judge is None:
                fits = bool(np.all(data.signs * network.scores(data.X)[:, 0] > 0))
            else:
                fits = run_attack(judge, network, (data.X, data.y), rng).robust_accuracy == 1.0
            if fits:
                return LeastWidth(width, n_runs)
    return LeastWidth(None, n_runs)
