"""Measure what float32 products cost in accuracy and save in time, and write the table of the documentation.

    float32.py --table docs/float32.rst

For three sizes of the benchmark and for the scenario S1: how far coefficients of a run with
``precision="float32"`` are from those of float64, beside two other runs: one in float64 from initial weights
rounded to float32 once, which shows what the dynamics make of a single rounding, and one whose weights are
rounded to float32 after every step, the design that was not chosen.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _workload import POWER, SIZES, SMOOTHING, STEP_SIZE, Case, PatchSize

from featsim import __version__, get_scenario
from featsim.attacks import pgd
from featsim.data import PatchData, patch_data
from featsim.models import TwoLayerSpec
from featsim.specs import Spec
from featsim.threats import Threat
from featsim.training import Recording, RunSpec, Schedule, train
from featsim.training.patch_stepper import PatchStepper

CASES = (Case(None, 0), Case("l2", 1), Case("l2", 10), Case("linf", 1))
COEFFICIENTS = ("robust_coef", "nonrobust_coef")
VARIANTS = ("float32", "rounded start", "rounded weights")
Table = list[list[str]]


def attack_of(case: Case) -> Spec | None:
    """Return the attack of a case of the benchmark."""
    if case.norm is None:
        return None
    threat = Threat(radius=case.radius, norm=case.norm)
    return pgd(threat, case.n_inner, step_size=case.inner_step, keep="last")


def problem(size: PatchSize) -> tuple[PatchData, np.ndarray, TwoLayerSpec]:
    """Return data, initial weights and model of a size of the benchmark."""
    drawn, k = size.make(), size.n_classes
    data = patch_data(
        drawn.X, drawn.y, robust_features=drawn.features[:k], nonrobust_features=drawn.features[k:],
        roles=drawn.roles,
    )  # fmt: skip
    weights = drawn.weights.reshape(k, size.width, size.dim)
    return data, weights, TwoLayerSpec(width=size.width, power=POWER, smoothing=SMOOTHING)


def coefficients(
    spec: RunSpec, data: PatchData, weights: np.ndarray, variant: str = "float64"
) -> tuple[np.ndarray, np.ndarray]:
    """Return all own coefficients, (steps + 1, number), and the clean accuracies."""
    schedule = spec.schedule
    if variant == "float32":
        schedule = schedule.replace(precision="float32")
    if variant != "float64" and variant != "float32":
        weights = weights.astype(np.float32).astype(np.float64)
    spec = spec.replace(schedule=schedule)
    n = schedule.n_steps
    stepper = PatchStepper(spec, data, weights, np.empty((n, 0), np.int64))
    state, found = stepper.initial_state(), []
    stretches = range(n) if variant == "rounded weights" else (0,)
    everything = np.arange(n + 1)
    for first in stretches:
        last = first + 1 if variant == "rounded weights" else n
        chunk = stepper.advance(state, first, last, everything[first:last], everything[:0])
        assert chunk.n_done == last - first, f"{variant} diverged"
        state = dict(chunk.state)
        if variant == "rounded weights":
            state["weights"] = state["weights"].astype(np.float32).astype(np.float64)
        found.append(chunk.records)
    found.append(stepper.observe(state, n, True, False).records)
    table = [
        np.concatenate([part[name].reshape(len(part["steps"]), -1) for part in found])
        for name in COEFFICIENTS
    ]
    return np.concatenate(table, axis=1), np.concatenate([part["clean_accuracy"] for part in found])


def in_words(x: float) -> str:
    """Return a number to one digit."""
    if x == 0.0:
        return "0"
    digit, exponent = f"{x:.0e}".split("e")
    return f"{digit}e{int(exponent)}"


def deviations(
    name: str, kind: str, spec: RunSpec, data: PatchData, weights: np.ndarray, steps: tuple[int, ...]
) -> Table:
    """Return a row for each of `steps`: the largest deviation so far over the largest coefficient so far."""
    exact, accuracy = coefficients(spec, data, weights)
    others = {variant: coefficients(spec, data, weights, variant) for variant in VARIANTS}
    rows: Table = []
    for step in steps:
        size = np.abs(exact[: step + 1]).max()
        off = [in_words(np.abs(others[v][0] - exact)[: step + 1].max() / size) for v in VARIANTS]
        same = np.array_equal(accuracy[: step + 1], others["float32"][1][: step + 1])
        rows.append([name, kind, str(step), *off, "same" if same else "not the same"])
    return rows


def of_sizes(sizes: tuple[PatchSize, ...]) -> Table:
    """Return rows for the sizes of the benchmark."""
    rows: Table = []
    for size in sizes:
        data, weights, model = problem(size)
        steps = (1, 10, 100) if size.n_samples <= 200 else (1, 10)
        for case in CASES:
            schedule = Schedule(n_steps=steps[-1], step_size=STEP_SIZE)
            spec = RunSpec(model=model, schedule=schedule, recording=Recording(), attack=attack_of(case))
            rows += deviations(size.name, case.name, spec, data, weights, steps)
            print(*rows[-1], flush=True)
    return rows


def of_scenario(n_seeds: int) -> Table:
    """Return rows for whole runs of S1, as it is and with an l_inf budget: the worst of all seeds."""
    rows: Table = []
    scenario = get_scenario("structured-data/S1")
    box = pgd(Threat(radius=0.05, norm="linf"), 1, keep="last")
    for name in ("standard", "adversarial", "linf"):
        training = scenario.trainings["standard" if name == "standard" else "adversarial"]
        attack = box if name == "linf" else training.attack
        found: list[tuple[np.ndarray, np.ndarray, bool, bool]] = []
        for seed in range(n_seeds):
            data, rng = scenario.problem(seed)
            k = data.n_classes
            weights = scenario.model.initial_weights(data.n_classes, data.dim, rng)
            spec = RunSpec(
                model=scenario.model, schedule=training.schedule, recording=Recording(), attack=attack
            )
            exact, accuracy = coefficients(spec, data, weights)
            off, ends = [], []
            for variant in VARIANTS:
                other, right = coefficients(spec, data, weights, variant)
                off.append(np.abs(other - exact).max(axis=1) / np.abs(exact).max())
                if variant == "float32":
                    ends = [np.array_equal(right, accuracy), winners(other[-1], k) == winners(exact[-1], k)]
            found.append((np.array(off)[:, : 1 + 10].max(axis=1), np.array(off).max(axis=1), *ends))
        n = training.schedule.n_steps
        same = "same" if all(f[2] for f in found) else f"same in {sum(f[2] for f in found)} of {n_seeds} runs"
        kind = {"standard": "clean", "adversarial": "l2 S=1", "linf": "linf S=1"}[name]
        for step, place in ((10, 0), (n, 1)):
            off = [in_words(max(f[place][v] for f in found)) for v in range(len(VARIANTS))]
            rows.append([f"S1, {n_seeds} seeds", kind, str(step), *off, same])
        assert all(f[3] for f in found), "another feature wins in float32"
        print(*rows[-1], flush=True)
    return rows


def winners(coef: np.ndarray, k: int) -> list[bool]:
    """Whether u's largest coefficient is above v's, for each of the k classes."""
    u, v = np.split(coef, 2)
    return list(u.reshape(k, -1).max(axis=1) > v.reshape(k, -1).max(axis=1))


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def of_speed(sizes: tuple[PatchSize, ...], budget: float) -> Table:
    """CPU seconds of one thread of float64 over those of float32, in turns; medians with their quartiles."""
    rows: Table = []
    for size in sizes:
        data, weights, model = problem(size)
        row = [size.name]
        row += [_ratio(model, data, weights, attack_of(case), budget) for case in CASES]
        print(*row, flush=True)
        rows.append(row)
    return rows


def _ratio(
    model: TwoLayerSpec, data: PatchData, weights: np.ndarray, attack: Spec | None, budget: float
) -> str:
    def run(precision: str, n_steps: int) -> float:
        schedule = Schedule(n_steps=n_steps, step_size=STEP_SIZE, precision=precision)
        settings = {"attack": attack, "initial_weights": weights, "reduction": "never"}
        return seconds(lambda: train(model, data, schedule=schedule, **settings))

    for precision in ("float64", "float32"):
        run(precision, 1)  # compiles
    n_steps = max(3, int(0.1 * 3 / max(run("float64", 3), 1e-4)))
    ratios: list[float] = []
    begin = time.process_time()
    while len(ratios) < 3 or (len(ratios) < 15 and time.process_time() - begin < budget):
        ratios.append(run("float64", n_steps) / run("float32", n_steps))
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def list_table(title: str, header: list[str], rows: Table) -> str:
    """Return a table of the documentation."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in (header, *rows):
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, help="write the tables to this file")
    parser.add_argument("--quick", action="store_true", help="only tiny, one seed: to try the tool")
    args = parser.parse_args()
    sizes = SIZES[:1] if args.quick else SIZES[:3]
    of_runs = of_sizes(sizes) + of_scenario(1 if args.quick else 3)
    speed = of_speed(sizes, 1.0 if args.quick else 3.0)
    text = "\n\n".join(
        [
            ".. Written by experiments/float32.py",
            list_table(
                "Largest deviation of a coefficient from float64 so far, over the largest coefficient so far",
                ["data", "training", "steps", *VARIANTS, "clean accuracies, float32"],
                of_runs,
            ),
            list_table(
                "CPU time of float64 over that of float32, one thread: median (quartiles)",
                ["size", *(case.name for case in CASES)],
                speed,
            ),
            f"featsim {__version__}, NumPy {np.__version__}, {platform.machine()}.",
        ]
    )
    if args.table:
        args.table.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
