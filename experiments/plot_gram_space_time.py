r"""A run costs the same at every dimension.

Setting ``gram-space/A-1e8`` at d = 1e2 to 1e12 beside ``cgro/A`` on vectors: 2000 steps of the same
trainer. Claim ``gram-space/time``.

Processor seconds, one thread, the least of a few repeats. Dots: vectors, the cost of one step times 2000
(measured on fewer steps where they are slow). Squares: coordinates drawn at that dimension. Triangles:
vectors trained in their span, found by a QR factorisation, for what can be stored (the factorisation is
the rising part). Expect a flat line of coordinates against a cost that grows like d.
"""

import sys
import time

import numpy as np
from _figure import Arrays, Config, run_figure
from _gram_space import MIXED, OTHER, WIDE, dimension_axis
from matplotlib.figure import Figure

from featsim.plotting import new_figure
from featsim.scenarios import get_scenario
from featsim.scenarios.gram_space import A_LARGE
from featsim.training import Recording, Schedule, train

DIMS = (1e2, 1e3, 1e4, 1e5, 1e6, 1e8, 1e10, 1e12)
VECTORS = {"quick": (1e2, 1e3, 1e4), "default": (1e2, 1e3, 1e4, 1e5), "full": (1e2, 1e3, 1e4, 1e5, 1e6)}
REPEATS = {"quick": 1, "default": 2, "full": 5}
N_STEPS = 2000
LINES = {
    "vectors": (OTHER, "o", "vectors"),
    "reduced": (MIXED, "^", "vectors, in their span"),
    "coordinates": (WIDE, "s", "coordinates"),
}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    return {
        "dims": list(DIMS),
        "vectors": list(VECTORS[size]),
        "repeats": REPEATS[size],
        "scenarios": [A_LARGE.to_dict(), get_scenario("cgro/A").to_dict()],
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Time every kind of run at every dimension."""
    repeats = config["repeats"]
    seconds("never", 100.0, 2, 1)  # compiles
    return {
        "vectors": np.array([seconds("never", dim, steps_at(dim), repeats) for dim in config["vectors"]]),
        "reduced": np.array([seconds("always", dim, N_STEPS, repeats) for dim in config["vectors"]]),
        "coordinates": np.array([seconds("coordinates", dim, N_STEPS, repeats) for dim in config["dims"]]),
    }


def steps_at(dim: float) -> int:
    """Return how many steps on vectors are measured."""
    return max(10, int(min(N_STEPS, 4e6 / dim)))


def seconds(kind: str, dim: float, n_steps: int, repeats: int) -> float:
    """Return the processor seconds of 2000 steps; what comes before the steps counts once."""
    scenario = A_LARGE if kind == "coordinates" else get_scenario("cgro/A")
    changes = {"data.dim": dim if kind == "coordinates" else int(dim), "data.n_fresh": 0}
    scenario = scenario.with_settings(changes)
    attack, ends = scenario.trainings["adversarial"].attack, Recording(every=N_STEPS)
    best = np.inf
    for seed in range(repeats):
        data, _ = scenario.problem(seed)
        marks = []
        for steps in (1, n_steps):
            begin = time.process_time()
            train(scenario.model, data, schedule=Schedule(n_steps=steps, step_size=0.02), attack=attack,
                  rng=np.random.default_rng(seed), recording=ends,
                  reduction="never" if kind == "coordinates" else kind)  # fmt: skip
            marks.append(time.process_time() - begin)
        best = min(best, marks[0] + max(marks[1] - marks[0], 0.0) * (N_STEPS - 1) / max(n_steps - 1, 1))
    return best


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw seconds against the dimension."""
    figure = new_figure(2.8, 4.6)
    ax = figure.subplots()
    for name, (color, marker, label) in LINES.items():
        dims = config["dims"] if name == "coordinates" else config["vectors"]
        ax.plot(dims, arrays[name], color=color, marker=marker, markersize=4.5, linewidth=1.8, label=label)
    ax.set_yscale("log")
    dimension_axis(ax, [1e2, 1e4, 1e6, 1e8, 1e10, 1e12])
    ax.set_ylabel("processor seconds, 2000 steps")
    flat = arrays["coordinates"]
    ax.set_title(f"coordinates: {flat.min():.2f} to {flat.max():.2f} s")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
