"""What the claims on threat models measure on one run, and on networks of one pure feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from featsim.attacks import run_attack
from featsim.certificates import tangent_chord
from featsim.claims.cases import Run
from featsim.data import PatchData, sample_like
from featsim.evaluation import strongest_attack
from featsim.models import TwoLayerNetwork
from featsim.theory import (
    input_l2_radius,
    linf_nonrobust_radius,
    linf_robust_radius,
    own_feature_radii,
    patch_l2_radius,
)
from featsim.threats import Threat

CHECKED_SHARE = 0.05
"""Share of the certified samples that are attacked all the same."""

SEARCHED = (0.9, 1.1)
"""Radii over the closed form between which the flip of a pure network is searched."""


def training_threat(run: Run) -> Threat:
    """Return the budget of the scenario's adversarial training."""
    threat: Threat = run.scenario.trainings["adversarial"].attack.threat  # type: ignore[union-attr]
    return threat


def robustness(run: Run, n_fresh: int = 0, threat: Threat | None = None) -> dict[str, float]:
    """Return clean, attacked and certified accuracy, on training data or on fresh samples.

    Certified samples cannot fall, so of them only a random twentieth is attacked, as a check: one that
    falls counts as fallen, and in ``certified_broken``. Of the others every one is attacked.
    """
    budget = training_threat(run) if threat is None else threat
    data = sample_like(run.data, n_fresh, run.rng()) if n_fresh else run.data
    scope = budget.scope == "patch"
    certified = tangent_chord(run.network, data, budget).certified if scope else np.zeros(len(data.y), bool)
    standing, clean = certified.copy(), np.ones(len(data.y), dtype=bool)
    checked = certified & (run.rng(2).random(len(data.y)) < CHECKED_SHARE)
    rest = np.flatnonzero(~certified | checked)
    if len(rest):
        result = run_attack(strongest_attack(budget), run.network, data.select(rest))
        standing[rest], clean[rest] = result.robust, result.clean_margin > 0
    return {
        "certified_attacked": int(checked.sum()),
        "certified_broken": int(np.sum(certified & ~standing)),
        "clean": float(clean.mean()),
        "accuracy": float(standing.mean()),
        "certified": float(certified.mean()),
        "n": len(data.y),
        "standing": int(standing.sum()),
    }


def soundness(run: Run, n_fresh: int = 0) -> dict[str, float]:
    """Return the smallest attacked margin minus certified margin, and how many samples only one decides.

    Every sample is attacked, on training data or on fresh samples.
    """
    threat = training_threat(run)
    data = sample_like(run.data, n_fresh, run.rng()) if n_fresh else run.data
    bound = tangent_chord(run.network, data, threat)
    result = run_attack(strongest_attack(threat), run.network, data)
    slack = result.margin - bound.lower_margin
    return {
        "slack": float(np.min(slack)),  # nan, an attack's or a bound's that is not finite, fails the rule
        "undecided": float(np.mean(result.robust & ~bound.certified)),
    }


def radius_sweep(run: Run, radii: tuple[float, ...]) -> dict[str, Any]:
    """Return attacked accuracy under the training threat at other radii, and the samples behind each."""
    threat = training_threat(run)
    found = [robustness(run, threat=threat.replace(radius=radius)) for radius in radii]
    return {"accuracy": [f["accuracy"] for f in found], "n": [f["n"] for f in found]}


def pure_network(data: PatchData, kind: str, coef: float, smoothing: float, power: float) -> TwoLayerNetwork:
    """Return a network of one neuron per class along that class's u or v."""
    features = data.robust_features if kind == "u" else data.nonrobust_features
    assert features is not None
    return TwoLayerNetwork(coef * features[:, None, :], power=power, smoothing=smoothing)


def predicted_flip(run: Run, kind: str, coef: float) -> float:
    """Return the closed-form radius of a pure network under the scenario's threat."""
    data, model, threat = run.data, run.scenario.model, training_threat(run)
    shape = {"power": model.power, "smoothing": model.smoothing}  # type: ignore[attr-defined]
    counts = (data.n_robust_patches, data.n_nonrobust_patches)
    strength, carriers, others = (
        (data.robust_strength, *counts) if kind == "u" else (data.nonrobust_strength, *counts[::-1])
    )
    if threat.norm == "linf":
        if kind == "u":
            return linf_robust_radius(
                coef,
                coef,
                robust_strength=strength,
                n_robust_patches=carriers,
                n_patches=sum(counts),
                **shape,
            )
        return linf_nonrobust_radius(
            coef,
            coef,
            nonrobust_strength=strength,
            n_nonrobust_patches=carriers,
            n_patches=sum(counts),
            spread_dim=data.dim - data.n_classes,
            **shape,
        )
    if threat.scope == "input":
        return input_l2_radius(coef, strength, carriers, sum(counts), **shape)
    if threat.subspace == "own":
        return float(getattr(own_feature_radii(data.robust_strength, data.nonrobust_strength), _FIELD[kind]))
    return patch_l2_radius(coef, strength, carriers, others, **shape)


_FIELD = {"u": "robust", "v": "nonrobust"}


def pure_flip(run: Run, kind: str, coef: float) -> dict[str, float]:
    """Return where the attack sees a pure network fall, by bisection, over the closed form.

    A flip outside of the searched range gives the end of that range, a bound: ``bound`` says so.
    """
    model, threat = run.scenario.model, training_threat(run)
    network = pure_network(run.data, kind, coef, model.smoothing, model.power)  # type: ignore[attr-defined]
    predicted = predicted_flip(run, kind, coef)
    # One class is enough: all are alike, and every rival is tried.
    data = run.data.select([0])
    if threat.scope == "patch":  # under one budget equal patches stored once would have to move alike
        data = data.merge_repeats()

    def broken(radius: float) -> bool:
        attack: Any = strongest_attack(threat.replace(radius=radius))
        if threat.scope == "input":
            attack = attack.replace(stop_when_broken=True)
        return not bool(run_attack(attack, network, data).robust[0])

    low, high = (factor * predicted for factor in SEARCHED)
    if broken(low):
        return {"ratio": SEARCHED[0], "bound": True}
    if not broken(high):
        return {"ratio": SEARCHED[1], "bound": True}
    while high - low > 2e-4 * predicted:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if broken(middle) else (middle, high)
    return {"ratio": 0.5 * (low + high) / predicted, "bound": False}
