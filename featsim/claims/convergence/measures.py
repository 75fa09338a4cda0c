"""What the convergence claims and figures measure on trainings of S1 and its relatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featsim.attacks import arc_net
from featsim.claims.cases import Run
from featsim.models import Activation, NtkNetwork, TangentKernel, TangentNetwork
from featsim.scenarios import Scenario
from featsim.theory.convergence import (
    comparator_terms,
    dual_recursion,
    mirror_flow,
    mirror_margins,
    plant,
    regret_sides,
    robust_interpolant,
    tangent_gap_bound,
)
from featsim.training import Recording
from featsim.validation import FloatArray

Numbers = dict[str, Any]

OPTIMUM_STEPS = 1500
_OPTIMUM_RATE = 0.05


def course(run: Run) -> Numbers:
    """Return what one training of S1 shows, from its trace.

    ``rises`` is the share of steps that raise the attacked loss; ``violation`` the largest excess of
    the left side of the regret inequality.
    """
    trace = run.trace
    loss = trace["attacked_loss"]
    found: Numbers = {
        "loss": loss,
        "least_loss": float(loss.min()),
        "first_loss": float(loss[0]),
        "robust_accuracy": float(trace["robust_accuracy"][-1]),
        "clean_accuracy": float(trace["clean_accuracy"][-1]),
        "distance": float(trace["distance"][-1]),
        "rises": float(np.mean(np.diff(loss) > 0)),
        "drift": float(trace["kernel_drift"].max()),
        "move": float(trace["largest_move"].max()),
        "tangent_gap": float(trace["tangent_gap"].max()),
        "projected": float(trace["projected"][:-1].mean()),
        "largest_distance": float(trace["distance"].max()),
    }
    if "slack" in trace:
        found["violation"] = float(np.nanmax(trace["average_loss"] - trace["regret_bound"]))
        found["slack"] = float(trace["slack"].max())
    return found


def late_losses(run: Run) -> Numbers:
    """Return attacked loss, robust loss and accuracy as means over the last fifth of the steps."""
    trace = run.trace
    late = slice(-(trace.n_records // 5), None)
    names = ("attacked_loss", "robust_loss", "robust_accuracy")
    return {name: float(trace[name][late].mean()) for name in names}


def _optimum(scenario: Scenario, seed: int, n_steps: int) -> tuple[float, FloatArray]:
    """Return the least robust loss found in the scenario's ball by a long training, and its weights."""
    kept = tuple(range(0, n_steps + 1, 5))
    long = scenario.with_settings({"schedule.n_steps": n_steps, "schedule.step_size": _OPTIMUM_RATE})
    trace = long.run(
        "adversarial", seed, recording=Recording(at=kept, quantities=("robust_loss",), weights_at=kept)
    )
    best = int(np.argmin(trace["robust_loss"]))
    return float(trace["robust_loss"][best]), trace["weights"][best]


def regret_by_horizon(run: Run, horizons: Sequence[int], n_optimum: int = OPTIMUM_STEPS) -> Numbers:
    r"""Train with :math:`\alpha = R/\sqrt T` for several T, against the best weights found in the ball.

    Returns arrays over T: ``regret`` (average attacked loss less the robust loss of W*), ``bound``
    (:math:`D^2/(2\alpha T) + (\alpha/2)` average of squared gradients + average slack), ``gap`` (least
    attacked loss less the robust loss of W*) and ``violation`` of the regret inequality.
    """
    radius = run.scenario.trainings["adversarial"].schedule.ball_radius  # type: ignore[attr-defined]
    optimum, best = _optimum(run.scenario, run.seed, n_optimum)
    rows = []
    for horizon in horizons:
        alpha = radius / np.sqrt(horizon)
        settings = {"schedule.n_steps": int(horizon), "schedule.step_size": float(alpha)}
        terms, distance = _against(run.scenario.with_settings(settings), run.seed, best)
        left, right = regret_sides(terms, distance, alpha)
        bound = right[-1] - float(terms["comparator_loss"].mean())
        gap = float(terms["attacked_loss"].min()) - optimum
        rows.append((left[-1] - optimum, bound, gap, float((left - right).max())))
    regret, bounds, gaps, violations = np.array(rows).T
    return {"regret": regret, "bound": bounds, "gap": gaps, "violation": violations, "optimum": optimum}


def _against(scenario: Scenario, seed: int, comparator: FloatArray) -> tuple[dict[str, FloatArray], float]:
    """Return the terms of the regret inequality of a training against given weights, and their distance."""
    model: Any = scenario.model
    n_steps = scenario.trainings["adversarial"].schedule.n_steps
    steps = tuple(range(n_steps))
    recording = Recording(at=steps, quantities=("perturbation",), weights_at=steps)
    trace = scenario.run("adversarial", seed, recording=recording)
    data: Any = scenario.problem(seed)[0]
    start = trace["weights"][0]
    terms = comparator_terms(
        lambda weights: model.network(weights, start),
        trace["weights"],
        data.X + trace["perturbation"],
        data.signs,
        comparator,
        model.loss,
    )
    return terms, float(np.linalg.norm(comparator - start))


def ball_sweep(run: Run, radii: Sequence[float], n_optimum: int = OPTIMUM_STEPS) -> Numbers:
    """Train in balls of several radii; ``least_loss``, ``optimum`` and ``projected`` have one entry each."""
    rows = []
    for radius in radii:
        scenario = run.scenario.with_settings({"schedule.ball_radius": float(radius)})
        trace = scenario.run(
            "adversarial", run.seed, recording=Recording(quantities=("attacked_loss", "projected"))
        )
        optimum, _ = _optimum(scenario, run.seed, n_optimum)
        rows.append((trace["attacked_loss"].min(), optimum, trace["projected"][:-1].mean()))
    least, optimum, projected = np.array(rows).T
    return {"least_loss": least, "optimum": np.minimum(least, optimum), "projected": projected}


def lazy_sweep(run: Run, widths: Sequence[int], activation: str, paired: bool, n_steps: int) -> Numbers:
    """Train at several widths; ``drift``, ``move`` and ``tangent_gap`` are the largest of each run.

    ``gap_bound`` is beta R^2/(2 sqrt(m)) with the largest distance of the run as R.
    """
    rows = []
    names = ("kernel_drift", "largest_move", "tangent_gap", "distance")
    for width in widths:
        scenario = run.scenario.with_settings(
            {
                "model.width": int(width),
                "model.activation.name": activation,
                "model.paired": paired,
                "schedule.n_steps": n_steps,
            }
        )
        trace = scenario.run("adversarial", run.seed, recording=Recording(every=5, quantities=names))
        largest = [float(trace[name].max()) for name in names]
        curvature = scenario.model.activation.largest_curvature  # type: ignore[attr-defined]
        rows.append([*largest[:3], tangent_gap_bound(curvature, largest[3], int(width))])
    return dict(zip(("drift", "move", "tangent_gap", "gap_bound"), np.array(rows).T, strict=True))


def closed_kernel(scenario: Scenario) -> TangentKernel:
    """Return the infinite-width kernel of a scenario's network."""
    return TangentKernel(activation=scenario.model.activation)  # type: ignore[attr-defined]


def nets(run: Run) -> FloatArray:
    """Return the points of all nets of the scenario's adversary, shape (n * G, d)."""
    attack: Any = run.scenario.trainings["adversarial"].attack
    return arc_net(attack, run.data.X, run.data.y).reshape(-1, run.data.dim)


def overlay(run: Run, widths: Sequence[int], step_size: float, n_steps: int) -> Numbers:
    """Compare trained networks on their nets with the recursion of infinite width.

    ``rms`` and ``score_rms`` have one entry per width: root mean square differences of the attacked loss
    over the steps, and of all scores on the nets; ``theory`` and ``simulated`` (widths) are the losses.
    """
    settings = {"schedule.n_steps": n_steps, "schedule.step_size": step_size}
    base, points = run.scenario.with_settings(settings), nets(run)
    model: Any = base.model
    theory = dual_recursion(
        closed_kernel(base).matrix(points, points),
        run.data.signs,
        loss=model.loss,
        step_size=step_size,
        n_steps=n_steps,
    )
    recording = Recording(quantities=("net_scores", "attacked_loss"))
    rms, score_rms, losses = [], [], []
    for width in widths:
        trace = base.with_settings({"model.width": int(width)}).run(
            "adversarial", run.seed, recording=recording
        )
        rms.append(float(np.sqrt(np.mean((trace["attacked_loss"] - theory.attacked_loss) ** 2))))
        score_rms.append(float(np.sqrt(np.mean((trace["net_scores"] - theory.scores) ** 2))))
        losses.append(trace["attacked_loss"])
    return {
        "rms": np.array(rms),
        "score_rms": np.array(score_rms),
        "simulated": np.array(losses),
        "theory": theory.attacked_loss,
    }


def primal_and_dual(run: Run) -> float:
    """Return the largest difference between training the tangent model and its recursion."""
    points, model = nets(run), run.scenario.model
    schedule: Any = run.scenario.trainings["adversarial"].schedule
    start = run.trace["weights"][0]
    course = dual_recursion(
        NtkNetwork(start, model.activation).kernel(points),  # type: ignore[attr-defined]
        run.data.signs,
        loss=model.loss,  # type: ignore[attr-defined]
        step_size=schedule.step_size,
        n_steps=schedule.n_steps,
        ball_radius=schedule.ball_radius,
    )
    scores = float(np.abs(course.scores - run.trace["net_scores"]).max())
    return max(scores, float(np.abs(course.distance - run.trace["distance"]).max()))


def mirror_course(run: Run, widths: Sequence[int]) -> Numbers:
    """Compare the two-mirror-point recursion with the kernel's own and with trained networks.

    ``errors`` are the largest differences of the loss of each width, ``simulated`` its mean margins,
    ``flow_error`` is what the limit of small steps is off by.
    """
    base, points = run.scenario, nets(run)
    model: Any = base.model
    schedule: Any = base.trainings["adversarial"].schedule
    gram = closed_kernel(base).matrix(points, points)
    size = len(gram) // 2
    rate = float(gram[0, 0] - gram[0, size])
    margins = mirror_margins(rate, schedule.step_size, schedule.n_steps)
    full = dual_recursion(
        gram, run.data.signs, loss=model.loss, step_size=schedule.step_size, n_steps=schedule.n_steps
    )
    flow = mirror_flow(rate, schedule.step_size, np.arange(schedule.n_steps + 1))
    recording, simulated = Recording(quantities=("net_scores",)), []
    for width in widths:
        trace = base.with_settings({"model.width": int(width)}).run(
            "adversarial", run.seed, recording=recording
        )
        simulated.append((trace["net_scores"] * run.data.signs[:, None]).min(axis=2).mean(axis=1))
    table = np.array(simulated)
    return {
        "rate": rate,
        "margins": margins,
        "flow_error": float(np.abs(flow - margins).max()),
        "dual_error": float(np.abs(full.scores[:, 0, 0] - margins).max()),
        "simulated": table,
        "errors": np.abs(np.logaddexp(0.0, -table) - np.logaddexp(0.0, -margins)).max(axis=1),
    }


def planting_sweep(run: Run, widths: Sequence[int], tolerance: float) -> Numbers:
    """Plant the robust interpolant of the closed kernel in networks of several widths."""
    kernel, points = closed_kernel(run.scenario), nets(run)
    size = len(points) // run.data.n_samples
    gram = kernel.matrix(points, points)
    wanted = robust_interpolant(gram, np.repeat(run.data.signs, size), tolerance)
    values, rows = gram @ wanted.coefficients, []
    activation: Activation = run.scenario.model.activation  # type: ignore[attr-defined]
    for width in widths:
        model: Any = run.scenario.model.replace(width=int(width))
        start = model.initial_weights(run.data.dim, run.rng(int(width)))
        network = NtkNetwork(start, activation)
        planted = plant(network, points, wanted.coefficients)
        linear = TangentNetwork(planted, start, activation).scores(points)[:, 0]
        scores = NtkNetwork(planted, activation).scores(points)[:, 0]
        ratio = float(np.linalg.norm(planted - start)) / wanted.norm
        rows.append((np.abs(linear - values).max(), ratio, np.abs(scores - linear).max()))
    error, ratios, gap = np.array(rows).T
    return {"error": error, "ratio": ratios, "tangent_gap": gap, "norm": wanted.norm}
