r"""What changes with the dimension: the gap opens, and the radius that halves accuracy tells why.

Settings ``purification/d-50`` to ``d-400`` (``d-800``, with its own r, at full size): k = 2, s/b = 0.42
fixed, FGM at the same l2 radius 0.17 at every d. (a) Accuracy under PGD of the clean net, of as many more
clean steps, and after adversarial training. (b) The l2 radius at which half of the samples fall: of the
linear rule (exact), the clean and the adversarially trained net. Expect -1/2, -1/2 and 0 as exponents of d
[derived]; fits with 95 % intervals in the legend. (c) The same against k at d = 100,
s/b = 0.34. The order :math:`1/\sqrt k` is that of large k: exact sums for a pure net without leak (triangles)
come to it beyond k = 16. At smaller k half of the samples have a margin of one or two features, and the
radius falls nearly like 1/k, in the recursion (dashed) and in nets too [derived]. (d) Shares of the clean
net's energy and the cosines: at fixed s/b the dense share turns up again with d, because the leak of silent
neurons does not shrink, so "small but fatal" needs the scaling of the figure
``purification_fatal_mixture``. Claims ``purification/E15``, ``purification/E15-k`` and
``purification/growing-k``.
"""

import sys
from typing import Any

import numpy as np
from _figure import Arrays, Config, run_figure
from _purification import NETS, PARTS, phases, run_of
from matplotlib.figure import Figure

from featsim.claims.purification import measures
from featsim.claims.purification.population_measures import pure_radius, recursion_radius
from featsim.claims.statistics import log_slope
from featsim.plotting import COLOURS, THEORY, new_figure
from featsim.scenarios import Scenario, get_scenario
from featsim.scenarios.purification import large_scenario
from featsim.specs import spec_from_dict
from featsim.sweeps import map_runs

DIMS = {"quick": (50, 100), "default": (50, 100, 200, 400), "full": (50, 100, 200, 400, 800)}
SPARSITIES = {"quick": (), "default": (2.0, 3.0, 4.0, 6.0), "full": (2.0, 3.0, 4.0, 5.0, 6.0)}
SEEDS = {"quick": 1, "default": 2, "full": 5}
EXACT = {"quick": (2.0, 8.0, 32.0), "default": (2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0, 64.0)}
RATIO = 0.34
FEW = 8.0  # d = 100 has room for no more
QUIET = 0.2  # for the pure net at large k and d: hardly any leak
DOTTED = {**THEORY, "linestyle": ":"}
LINEAR: dict[str, Any] = {"color": COLOURS["noise"], "marker": "d", "label": "linear rule"}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays; large dimensions have fewer seeds."""
    points = []
    for dim in DIMS[size]:
        n_seeds = SEEDS[size] if dim < 200 or size == "full" else 1
        points += [
            {"scenario": get_scenario(f"purification/d-{dim}"), "seed": s, "k": 2.0} for s in range(n_seeds)
        ]
    for k in SPARSITIES[size]:
        scenario = large_scenario(f"k-{k:g}", f"d = 100 at k = {k:g}", dim=100, sparsity=k, ratio=RATIO)
        points += [{"scenario": scenario, "seed": s, "k": k} for s in range(SEEDS[size] // 2)]
    return {"points": points, "exact": list(EXACT["quick" if size == "quick" else "default"])}


def compute(config: Config, jobs: int) -> Arrays:
    """Train and measure every point, the largest first."""
    items = [(spec_from_dict(p["scenario"]), p["seed"]) for p in config["points"]]
    order = sorted(range(len(items)), key=lambda i: -items[i][0].data.dim)
    done = map_runs(one_point, [items[i] for i in order], jobs=jobs, progress=True, label="points")
    runs = [run for _, run in sorted(zip(order, done, strict=True), key=lambda pair: pair[0])]
    arrays = {name: np.array([run[name] for run in runs]) for name in runs[0]}
    arrays["recursion"] = np.array([recursion_radius(100, k, RATIO) for k in config["exact"] if k <= FEW])
    arrays["pure"] = np.array([pure_radius(k, QUIET) for k in config["exact"]])
    return arrays


def one_point(item: tuple[Scenario, int]) -> dict[str, float]:
    """Return accuracies, half-accuracy radii, shares and cosines of one scenario and seed."""
    scenario, seed = item
    traces = phases(scenario, seed, dict.fromkeys(NETS, measures.ENDS))
    found: dict[str, float] = {"dim": float(scenario.data.dim)}
    for name, trace in traces.items():
        run = run_of(scenario, name, seed, trace)
        data, threat = measures.test_samples(run), measures.threat_of(run)
        found[f"pgd_{name}"] = measures.accuracy(run, run.network, data, threat)
        if name == "control":
            continue
        radii = measures.half_radius(run)
        found |= {f"radius_{name}": radii["network"], "radius_linear": radii["linear"]}
        mixture = measures.mixture(run)
        found |= {f"{part}_{name}": mixture[part] for part in PARTS}
        if name == "adversarial":
            cosines = measures.cosines(run)
            found |= {
                key: cosines[f"{key}_weighted"] for key in ("initial_clean", "clean_robust", "initial_robust")
            }
    return found


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw accuracy, radii against d and k, and what the weights are."""
    names = np.array([point["scenario"]["name"] for point in config["points"]])
    by_dim = np.char.startswith(names, "purification/d-")
    k = np.array([point["k"] for point in config["points"]])
    dims = arrays["dim"]
    sweep = {name: values[by_dim] for name, values in arrays.items() if name not in ("recursion", "pure")}
    figure = new_figure(4.6)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    for net, look in NETS.items():
        draw_means(first, sweep["dim"], sweep[f"pgd_{net}"], look)
    looks = {"linear": LINEAR, "standard": NETS["standard"], "adversarial": NETS["adversarial"]}
    for name, look in looks.items():
        values = sweep[f"radius_{name}"]
        label = look["label"]
        if len(np.unique(sweep["dim"])) > 2:
            fit = log_slope(sweep["dim"], values)
            label += f": {fit.value:.2f} [{fit.low:.2f}, {fit.high:.2f}]"
        draw_means(second, sweep["dim"], values, {**look, "label": label})
        if (~by_dim).any():
            draw_means(third, k[~by_dim], arrays[f"radius_{name}"][~by_dim], look)
    draw_exact(third, np.array(config["exact"]), arrays)
    for part, (label, color) in PARTS.items():
        marker = {"pure_share": "^", "dense_share": "o", "rest_share": "s"}[part]
        look = {"color": color, "marker": marker, "label": f"{label.partition(':')[0]}, clean net"}
        draw_means(fourth, sweep["dim"], sweep[f"{part}_standard"], look)
    look = {"color": "black", "marker": "x", "label": r"$\cos(w, w')$", "linestyle": (0, (1, 1))}
    draw_means(fourth, sweep["dim"], sweep["clean_robust"], look)
    look = {"color": "0.45", "marker": "+", "label": r"$\cos(w^0, w')$", "linestyle": (0, (1, 1))}
    draw_means(fourth, sweep["dim"], sweep["initial_robust"], look)
    finish(first, second, third, fourth, np.unique(dims[by_dim]))
    return figure


def draw_exact(ax: Any, k: np.ndarray, arrays: Arrays) -> None:
    """Draw the recursion after both phases, a pure net of c = 1, and the law that this one comes to."""
    ax.plot(k[k <= FEW], arrays["recursion"], **THEORY, label="recursion, both phases")
    ax.plot(k, arrays["pure"], color=COLOURS["robust"], marker="^", linewidth=1.3, label="pure, $c = 1$")
    ax.plot(k, arrays["pure"][-1] * np.sqrt(k[-1] / k), **DOTTED, label=r"$1/\sqrt{k}$")
    ax.set_xscale("log")
    ax.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
    ax.set_yscale("log")
    ax.set_yticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    ax.legend(handles=ax.get_lines()[-3:], loc="upper right")


def draw_means(ax: Any, x: np.ndarray, values: np.ndarray, look: dict[str, Any]) -> None:
    """Draw the mean at each x as a line, every seed as a dot."""
    places = np.unique(x)
    means = [values[x == place].mean() for place in places]
    ax.plot(places, means, **{"linewidth": 1.5, **look})
    ax.plot(x, values, ".", color=look["color"], alpha=0.5, markersize=3)


def finish(first: Any, second: Any, third: Any, fourth: Any, dims: np.ndarray) -> None:
    """Set scales, titles and legends."""
    for ax in (first, second, fourth):
        ax.set_xscale("log")
        ax.set_xticks(dims, [f"{dim:g}" for dim in dims])
        ax.minorticks_off()
        ax.set_xlabel("dimension d")
    second.set_yscale("log")
    second.set_yticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    second.minorticks_off()
    third.minorticks_off()
    first.set_ylim(-0.03, 1.03)
    fourth.set_ylim(-0.03, 1.03)
    third.set_xlabel("sparsity k")
    first.set_ylabel("accuracy under PGD")
    second.set_ylabel("half-accuracy radius")
    third.set_ylabel("half-accuracy radius")
    fourth.set_ylabel("share or cosine")
    first.set_title("(a) k = 2, radius 0.17")
    second.set_title("(b) exponents of d")
    third.set_title("(c) against k: nets, recursion at d = 100")
    fourth.set_title("(d) weights, energy-weighted")
    second.set_ylim(0.009, 0.6)
    third.set_ylim(0.03, 1.6)
    fourth.set_ylim(-0.03, 1.72)
    fourth.set_yticks([0, 0.25, 0.5, 0.75, 1])
    first.legend(loc="lower left")
    second.legend(loc="lower left", title="fit [95 %]")
    fourth.legend(loc="upper center", ncols=2, fontsize=6.8, columnspacing=1.0)


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
