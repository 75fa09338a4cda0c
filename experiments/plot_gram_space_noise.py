r"""Noise breaks the suppression of v at small dimensions only; a radius below beta fails at large ones.

Setting ``gram-space/S1-*``: S1 with noise of norm 0.0894 (0.02 per coordinate at d = 20), initial
filters of norm 0.06, adversarial training until the attacked loss is below 0.02, radius 0.42 (above
:math:`\beta = 0.4`) and 0.35. Claims ``gram-space/noise`` and ``gram-space/below-beta``.

(a) Share of the logit that rests on v, dots are seeds, lines their medians. Expect it to fall with d
above :math:`\beta`, as :math:`\langle \xi, u\rangle \sim s/\sqrt d` does, and to come back below
:math:`\beta`, where v escapes once the initial :math:`A^+ \sim \sigma_0` is small enough (dotted line:
where the clipped race rule puts it without noise, an order of magnitude). (b) Accuracy under the feature
attack on fresh samples, drawn as Gaussians of the filters' dimension.
"""

import sys

import numpy as np
from _cgro import over_seeds
from _figure import Arrays, Config, run_figure
from _gram_space import dimension_axis, n_words
from matplotlib.figure import Figure

from featsim.claims.cases import Run
from featsim.claims.gram_space.measures import learned
from featsim.claims.structured_data.study import ENDS
from featsim.plotting import COLOURS, THEORY, new_figure
from featsim.scenarios.gram_space import structured
from featsim.theory import nonrobust_escapes, saturation_level

RADII = (0.42, 0.35)
DIMS = (20.0, 1e2, 1e4, 1e6, 1e8)
SEEDS = {"quick": 1, "default": 3, "full": 20}
N_FRESH = {"quick": 400, "default": 4000, "full": 100_000}
LINES = {0.42: (COLOURS["adversarial"], "s"), 0.35: (COLOURS["other"], "o")}


def configuration(size: str) -> Config:
    """Return everything that determines the arrays."""
    dims = (20.0, 1e4) if size == "quick" else DIMS
    return {
        "dims": list(dims),
        "n_fresh": N_FRESH[size],
        "scenarios": [structured(dim, radius=radius).to_dict() for radius in RADII for dim in dims],
        "seeds": list(range(SEEDS[size])),
    }


def compute(config: Config, jobs: int) -> Arrays:
    """Train every seed at every point."""
    settings = (config["dims"], config["n_fresh"])
    return over_seeds(one_run, config["scenarios"][0], config["seeds"], jobs, config["figure"], *settings)


def one_run(item: tuple) -> Arrays:
    """Return shares and accuracies of a seed, (radii, dimensions)."""
    _, seed, dims, n_fresh = item
    found = {name: np.empty((len(RADII), len(dims))) for name in ("share", "feature_attacked", "clean")}
    for i, radius in enumerate(RADII):
        for j, dim in enumerate(dims):
            scenario = structured(dim, radius=radius)
            trace = scenario.run("adversarial", seed, recording=ENDS)
            values = learned(Run(scenario, "adversarial", seed, trace), n_fresh)
            for name, table in found.items():
                table[i, j] = values[name]
    return found


def crossing() -> float:
    """Return the dimension from which the clipped race rule lets v escape at the smaller radius."""
    data = structured(1e3).data
    level = saturation_level(1000.0, nonrobust_strength=data.nonrobust_strength, power=3.0, smoothing=0.5)
    names = ("robust_strength", "nonrobust_strength", "n_robust_patches", "n_nonrobust_patches")
    sizes = {name: getattr(data, name) for name in names}
    for dim in np.geomspace(10.0, 1e9, 2000):
        # The largest of 8 normals is about 1.42 standard deviations.
        if nonrobust_escapes(1.42 * 0.06 / np.sqrt(dim), level, radius=RADII[1], power=3.0, **sizes):
            return float(dim)
    return float("nan")


def draw(arrays: Arrays, config: Config) -> Figure:
    """Draw shares and accuracies against the dimension."""
    dims, n = np.array(config["dims"]), len(config["seeds"])
    figure = new_figure(2.8)
    left, right = figure.subplots(1, 2)
    jitter = 10 ** np.linspace(-0.08, 0.08, n)[:, None]
    for row, (radius, (color, marker)) in enumerate(LINES.items()):
        sign = ">" if radius > 0.4 else "<"
        for ax, name in ((left, "share"), (right, "feature_attacked")):
            table = arrays[name][:, row]
            ax.plot((dims * jitter).ravel(), table.ravel(), marker, color=color, markersize=2.5, alpha=0.6,
                    markeredgewidth=0)  # fmt: skip
            ax.plot(dims, np.median(table, axis=0), color=color, marker=marker, markersize=4.5, linewidth=1.8,
                    label=rf"$\epsilon$ = {radius:g} $ {sign} \beta$")  # fmt: skip
    left.axvline(crossing(), **{**THEORY, "linestyle": ":"}, label=rf"race rule at $\epsilon$ = {RADII[1]:g}")
    left.set_yscale("log")
    left.set_ylabel("share of the logit on $v$")
    left.set_title(f"(a) decision, {n_words(n)}")
    right.set_ylim(-0.03, 1.05)
    right.set_ylabel("accuracy under the feature attack")
    right.set_title(f"(b) {config['n_fresh']:,} fresh samples each")
    for ax in (left, right):
        dimension_axis(ax, dims)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


if __name__ == "__main__":
    sys.exit(run_figure(__file__, configuration, compute, draw))
