"""Adversaries that climb the training loss itself, with the tie rule of the tangent-kernel theory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from featsim.attacks import ArcAttack, GradientAttack, arc_net
from featsim.data import PointData
from featsim.models import TIE_TOLERANCE, Loss, Model, first_largest
from featsim.specs import Spec
from featsim.threats import Budget
from featsim.validation import FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """What an adversary found at given weights.

    Attributes
    ----------
    points : ndarray, shape (n, d)
        The attacked inputs.
    net_scores : ndarray, shape (n, G), or None
        Scores on the nets of an exhaustive adversary.
    """

    points: FloatArray
    net_scores: FloatArray | None = None


class InnerMaximiser(Protocol):
    """An adversary of a training."""

    def look(self, model: Model, step: int) -> Look:
        """Attack a model; `step` seeds what is random."""
        ...

    def worst(self, model: Model, look: Look | None = None) -> tuple[float, float]:
        """Return the mean loss and the accuracy that the adversary leaves, each by its own objective."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class CleanInputs:
    """No adversary."""

    data: PointData
    loss: Loss

    def look(self, model: Model, step: int) -> Look:
        """Return the inputs."""
        return Look(self.data.X)

    def worst(self, model: Model, look: Look | None = None) -> tuple[float, float]:
        """Return clean loss and accuracy."""
        scores, sign = model.scores(self.data.X)[:, 0], self.data.signs
        return float(np.mean(self.loss.value(scores, sign))), float(np.mean(sign * scores > 0))


class NetMaximiser:
    """The worst point of each net, first of those within 1e-10."""

    def __init__(self, attack: ArcAttack, data: PointData, loss: Loss) -> None:
        self.attack, self.loss, self.signs = attack, loss, data.signs
        self.net = arc_net(attack, data.X, data.y)

    def look(self, model: Model, step: int) -> Look:
        """Evaluate the whole net."""
        scores = self._scores(model)
        best = first_largest(self._objective(scores))
        return Look(self.net[np.arange(len(best)), best], scores)

    def worst(self, model: Model, look: Look | None = None) -> tuple[float, float]:
        """Return the largest loss and the smallest margin over each net, as mean and accuracy."""
        known = None if look is None else look.net_scores
        scores = known if known is not None and known.shape == self.net.shape[:2] else self._scores(model)
        loss = self.loss.value(scores, self.signs[:, None])
        margin = np.min(scores * self.signs[:, None], axis=1)
        return float(np.mean(np.max(loss, axis=1))), float(np.mean(margin > 0))

    def _scores(self, model: Model) -> FloatArray:
        n, size, dim = self.net.shape
        return model.scores(self.net.reshape(n * size, dim)).reshape(n, size)

    def _objective(self, scores: FloatArray) -> FloatArray:
        if self.attack.objective == "margin":
            return -self.signs[:, None] * scores
        return self.loss.value(scores, self.signs[:, None])


class AscentMaximiser:
    """Projected gradient ascent; the earliest iterate within 1e-10 of the best counts.

    From the start f(W_0, .) = 0 no gradient leads anywhere, and the clean point stays.
    """

    def __init__(self, attack: GradientAttack, data: PointData, loss: Loss, seed: int) -> None:
        self.attack, self.data, self.loss, self.seed = attack, data, loss, seed
        self.budget: Budget = attack.threat.bind(data)  # type: ignore[arg-type]

    def look(self, model: Model, step: int) -> Look:
        """Climb from every start."""
        return Look(self.data.X + self._climb(model, step, self.attack.objective))

    def worst(self, model: Model, look: Look | None = None) -> tuple[float, float]:
        """Return mean loss by climbing the loss, and accuracy by climbing minus the margin."""
        sign = self.data.signs
        by_loss = model.scores(self.data.X + self._climb(model, 0, "loss"))[:, 0]
        by_margin = model.scores(self.data.X + self._climb(model, 0, "margin"))[:, 0]
        stands = (sign * by_margin > 0) & (sign * by_loss > 0)
        return float(np.mean(self.loss.value(by_loss, sign))), float(np.mean(stands))

    def _starts(self, step: int) -> list[FloatArray]:
        shape, found = self.data.X.shape, []
        for name in self.attack.starts:
            if name == "clean":
                found.append(np.zeros(shape))
            else:  # a stream of its own for every step, so that a run can be cut anywhere
                rng = np.random.default_rng((self.seed, step))
                found += [self.budget.random(shape, rng) for _ in range(self.attack.n_random)]
        return found

    def _climb(self, model: Model, step: int, objective: str) -> FloatArray:
        X, sign, attack = self.data.X, self.data.signs, self.attack
        best, chosen = np.full(len(X), -np.inf), np.zeros(X.shape)
        for delta in self._starts(step):
            for inner in range(attack.n_steps + 1):
                scores, pull = _pullback(model, X + delta)
                value = -sign * scores if objective == "margin" else self.loss.value(scores, sign)
                last = inner == attack.n_steps
                if last or attack.keep == "best":
                    better = ~(value <= best + TIE_TOLERANCE)
                    best, chosen = np.where(better, value, best), np.where(better[:, None], delta, chosen)
                if last:
                    break
                slope = -sign if objective == "margin" else self.loss.slope(scores, sign)
                delta = self._move(delta, pull(slope[:, None]))
        return chosen

    def _move(self, delta: FloatArray, gradient: FloatArray) -> FloatArray:
        size, budget = self.attack.step_size, self.budget
        if self.attack.rule == "raw":
            return budget.project(delta + size * budget.restrict(gradient))
        return budget.project(delta + size * budget.steepest(gradient))


def _pullback(model: Model, X: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
    """Return scores (n,) and the input gradient as a function of the cotangent, sharing what they can."""
    shared = getattr(model, "pullback", None)
    if shared is None:
        return model.scores(X)[:, 0], lambda cotangent: model.input_gradient(X, cotangent)
    scores, pull = shared(X)
    return scores[:, 0], pull


def make_adversary(attack: Spec | None, data: PointData, loss: Loss, seed: int = 0) -> InnerMaximiser:
    """Return the adversary of an attack spec.

    Parameters
    ----------
    attack : ArcAttack, GradientAttack or None
        None for standard training.
    data : PointData
        Training data.
    loss : Loss
        What the objective ``"loss"`` means.
    seed : int
        Of random starts.

    Returns
    -------
    InnerMaximiser
        The adversary.

    Raises
    ------
    TypeError, ValueError
        If the attack does not fit the theory or the data.
    """
    if attack is None:
        return CleanInputs(data, loss)
    if isinstance(attack, ArcAttack):
        return NetMaximiser(attack, data, loss)
    if not isinstance(attack, GradientAttack):
        raise TypeError(
            f"attack in training must be an ArcAttack, a GradientAttack or None, got {type(attack).__name__}"
        )
    if attack.objective == "targeted" or not set(attack.starts) <= {"clean", "random"}:
        raise ValueError(
            "attack in training must have objective 'loss' or 'margin' and starts 'clean' or 'random', "
            f"got {attack.objective!r} and {attack.starts}"
        )
    if attack.stop_when_broken:
        raise ValueError(
            "stop_when_broken must be False for an attack in training, got True; "
            "use attack.replace(stop_when_broken=False)"
        )
    if attack.threat.scope != "input":
        raise ValueError(f"attack.threat.scope must be 'input' for points, got {attack.threat.scope!r}")
    return AscentMaximiser(attack, data, loss, seed)


def has_random_starts(attack: Any) -> bool:
    """Return whether an attack spec draws starts."""
    return bool(getattr(attack, "n_random", 0))
