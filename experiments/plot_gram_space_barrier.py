r"""The barrier before anything is learned: initial filters must be short, at every dimension.

Setting ``gram-space/S1-*`` without noise, one margin step of size 1000 per update, radius 0.42, the norm
:math:`\sigma_0\sqrt d` of the initial filters swept. On a patch of coefficient z the attack takes
:math:`\min(\eta_{in}(z/\varrho)^{q-1}w, \epsilon)\,w` from a neuron of norm w; it leaves a dead zone
unless :math:`w^q \le w_c^q = \varrho^{q-1}/(\eta_{in}\epsilon^{q-2})` (claim ``gram-space/barrier``,
derived for one neuron).

Share of classes that have learned u when the attacked loss falls below 0.02, or after 2200 steps; dots
are seeds, lines their means. Expect curves of large d to collapse onto one step a little above 1
(dashed), and none at d = 20, whose initial coefficients are not yet below the zone. So a fixed
:math:`\sigma_0` and growing d end in a network that learns nothing.
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from _gram_space import greys, n_words, power_of_ten
from matplotlib.figure import Figure

from featsim.claims.gram_space.structured import critical_norm
from featsim.claims.structured_data.study import ENDS
from featsim.plotting import THEORY, new_figure
from featsim.scenarios.gram_space import structured

RADIUS = 0.42
TIMES = (0.7, 1.0, 1.25, 1.6, 2.5, 5.0)
DIMS = (20.0, 1e3, 1e8)
SEEDS = {"quick": 2, "default": 3, "full": 24}


def scenario_of(dim: float, times: float):
    """Return the setting of one point."""
    return structured(
        dim, radius=RADIUS, noise_norm=0.0, start_norm=times * critical_norm(RADIUS), n_steps=2200
    )


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    quick = size == "quick"
    dims, times = (DIMS[::2], (0.7, 1.25, 2.0)) if quick else (DIMS, TIMES)
    return {
        "dims": list(dims),
        "times": list(times),
        "scenarios": [scenario_of(dim, value).to_dict() for dim in dims for value in times],
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed at every point."""
    settings = (config["dims"], config["times"])
    return over_seeds(one_run, config["scenarios"][0], config["seeds"], jobs, config["figure"], *settings)


def one_run(item: tuple) -> Arrays:
    """Return the share of classes that have learned u, (dimensions, starts)."""
    _, seed, dims, times = item
    shares = np.empty((len(dims), len(times)))
    for i, dim in enumerate(dims):
        for j, value in enumerate(times):
            trace = scenario_of(dim, value).run("adversarial", seed, recording=ENDS)
            shares[i, j] = np.mean(trace["robust_logit"][-1] > 1.0)
    return {"learned": shares}


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw the share against the norm of the start."""
    figure = new_figure(2.9, 4.6)
    ax = figure.subplots()
    times, n = np.array(config["times"]), len(config["seeds"])
    jitter = 1.0 + np.linspace(-0.025, 0.025, n)[:, None]
    marks = zip(config["dims"], greys(len(config["dims"])), "osD^", strict=False)
    for row, (dim, color, marker) in enumerate(marks):
        table = arrays["learned"][:, row]
        ax.plot((times * jitter).ravel(), table.ravel(), marker, color=color, markersize=2.2, alpha=0.5,
                markeredgewidth=0)  # fmt: skip
        ax.plot(times, table.mean(axis=0), color=color, marker=marker, markersize=4.5, linewidth=1.6,
                label=f"$d$ = {power_of_ten(dim)}")  # fmt: skip
    ax.axvline(1.0, **THEORY, label="$w_c$, one neuron")
    ax.set_xscale("log")
    ax.set_xticks(times, [f"{value:g}" for value in times])
    ax.minorticks_off()
    ax.set_ylim(-0.05, 1.05)
    ax.set_xlabel(r"norm of the initial filters, $\sigma_0\sqrt{d}\,/\,w_c$")
    ax.set_ylabel("classes that learn $u$")
    ax.set_title(f"{n_words(n)}, 4 classes each")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4, columnspacing=1.2)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
