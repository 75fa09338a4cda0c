r"""Three sizes of network: clean, robust on the training samples, and robust on all of them.

Scenario ``cgro/cube``, checks ``cgro/C2``, ``cgro/C3`` and ``cgro/C4``; the hierarchy of parameter counts
is the paper's (Theorems 4.4 and 4.7, source), the instance behind it a choice: vertices of a k-cube whose
label is tagged on one more coordinate within reach of the l_inf attack. (a) Non-zero parameters against
the dimension D = k + 1: the clean rule, the explicit ReLU network that memorises N = 50 training balls
(built and counted: marks; closed form: dashed), and the same network with enough balls, :math:`3 \cdot
2^k`, to be robust on 95 % of the vertices. Expect linear, linear and exponential growth. (b) Robust
accuracy of the built network over all vertices against N: it is the share of vertices seen, dashed
:math:`1-(1-2^{-k})^N`. With four samples per vertex it is robust, and no example of robust overfitting
any more; robust training accuracy is 1 throughout.
"""

import sys

import numpy as np
from _cgro import SIGNAL
from _figure import Arrays, Config, run_figure
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.cgro.hard_cube import FILLS, covered, cube_scenario
from featsim.data import HardCubeSpec
from featsim.models import MemoriserSpec, memoriser_parameters
from featsim.plotting import COLOURS, THEORY, new_figure
from featsim.sweeps import map_runs

SEEDS = {"quick": 3, "default": 10, "full": 40}
BITS = (4, 6, 8)
N_BALLS = 50
PER_VERTEX = 3


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    bits = (4, 6) if size == "quick" else BITS
    return {
        "seeds": list(range(SEEDS[size])),
        "bits": bits,
        "scenarios": {f"{k} {fill:g}": cube_scenario(k, fill) for k in bits for fill in FILLS},
        "built_bits": [3, 4, 5, 6, 7] if size == "quick" else [3, 4, 5, 6, 7, 8, 9, 10],
        "shown_bits": list(range(3, 21)),
        "n_balls": N_BALLS,
        "per_vertex": PER_VERTEX,
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Count built networks, and attack them over all vertices."""
    items = [(bits, fill, seed) for bits in config["bits"] for fill in FILLS for seed in config["seeds"]]
    found = map_runs(one_run, items, jobs=jobs if len(items) > 30 else 1, progress=True, label="cubes")
    shape = (len(config["bits"]), len(FILLS), len(config["seeds"]))
    return {
        **{
            name: np.array([f[name] for f in found]).reshape(shape)
            for name in ("robust", "train_robust", "expected")
        },
        "few": np.array([count(bits, config["n_balls"]) for bits in config["built_bits"]]),
        "all": np.array([count(bits, config["per_vertex"] << bits) for bits in config["built_bits"]]),
    }


def one_run(item: tuple[int, float, int]) -> dict[str, float]:
    """Return the accuracies of one built network."""
    bits, fill, seed = item
    return covered(Run(cube_scenario(bits, fill), None, seed, None))


def count(bits: int, n_balls: int) -> int:
    """Build the network for points near the cube, all different, and count its parameters."""
    rng = np.random.default_rng((bits, n_balls))
    centres = HardCubeSpec(bits=bits).sample(n_balls, rng).X[:, 0] + 1e-3 * rng.uniform(
        size=(n_balls, bits + 1)
    )
    # The count does not depend on the labels: one class keeps the radius free.
    return (
        MemoriserSpec(radius=0.3)
        .build(centres, np.ones(n_balls, int), rng.uniform(1, 2, bits + 1))
        .network()
        .n_parameters
    )


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw parameter counts and robust accuracy."""
    figure = new_figure(2.8)
    left, right = figure.subplots(1, 2)
    dims = np.array(config["shown_bits"]) + 1
    built = np.array(config["built_bits"]) + 1
    few = [memoriser_parameters(config["n_balls"], int(d), "linf") for d in dims]
    full = [memoriser_parameters(config["per_vertex"] << int(d - 1), int(d), "linf") for d in dims]
    left.plot(dims, dims, color=COLOURS["other"], marker="^", markersize=4, label="clean rule: $D$")
    for name, values, color, marker, label in (
        ("few", few, SIGNAL, "s", f"robust on {config['n_balls']} training balls"),
        ("all", full, COLOURS["dense-mixture"], "o", "robust on 95 % of the cube"),
    ):
        left.plot(dims, values, color=color, linewidth=1.0, alpha=0.5)
        left.plot(built, arrays[name], marker, color=color, markersize=4.5, label=label)
        left.plot(dims, values, **THEORY)
    left.plot([], [], **THEORY, label="closed form")
    left.set_yscale("log")
    left.set_ylim(1, 1e12)
    left.set_xticks([5, 10, 15, 20])
    left.set_xlabel("dimension $D$")
    left.set_ylabel("non-zero parameters")
    left.set_title("(a) three sizes of network")
    left.legend(loc="upper left")
    fills = np.array(FILLS)
    fine = np.linspace(0.05, FILLS[-1], 200)
    colours = (SIGNAL, COLOURS["nonrobust"], COLOURS["dense-mixture"])
    for bits, color, marker, table in zip(config["bits"], colours, "sDo", arrays["robust"], strict=False):
        offset = 0.05 * (bits - 6) / 2
        bars = {"yerr": table.std(axis=1, ddof=1), "capsize": 2, "fmt": marker, "markersize": 4.5}
        right.errorbar(fills + offset, table.mean(axis=1), **bars, color=color, label=f"$k$ = {bits}")
        right.plot(fine, 1 - (1 - 2.0**-bits) ** (fine * 2**bits), **THEORY)
    line = {"color": COLOURS["adversarial"], "marker": "v", "markersize": 4, "linewidth": 1.0}
    right.plot(fills, arrays["train_robust"].mean(axis=(0, 2)), **line, label="training samples")
    right.plot([], [], **THEORY, label="$1-(1-2^{-k})^N$")
    right.set_ylim(0, 1.05)
    right.set_xlabel("training samples per vertex, $N/2^k$")
    right.set_ylabel("robust accuracy")
    right.set_title(f"(b) coverage; bars: sd over {len(config['seeds'])} seeds")
    right.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
