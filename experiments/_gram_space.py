"""What the figures of Gram space share: flows at the paper's exponents, and their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from featsim.plotting import COLOURS

SIGNAL, MEMORY = COLOURS["robust"], COLOURS["nonrobust"]
# What is no kind of feature.
WIDE, OTHER, MIXED = COLOURS["adversarial"], COLOURS["other"], COLOURS["dense-mixture"]


def power_of_ten(dim: float) -> str:
    """Return a dimension as a label."""
    exponent = round(float(np.log10(dim)))
    return rf"$10^{{{exponent}}}$" if abs(np.log10(dim) - exponent) < 1e-9 else f"{dim:g}"


def n_words(n_seeds: int) -> str:
    """Return how many seeds there are, in words."""
    return f"{n_seeds} seed{'s' * (n_seeds > 1)}"


def dimension_axis(ax: Axes, dims: Any) -> Axes:
    """Make x the logarithmic axis of dimensions."""
    ax.set_xscale("log")
    ax.set_xticks(list(dims), [power_of_ten(dim) for dim in dims])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("dimension $d$")
    return ax


def greys(n: int) -> list[Any]:
    """Return n line colours from light to dark, told apart in print too."""
    import matplotlib as mpl

    return [mpl.colormaps["cividis_r"](x) for x in np.linspace(0.15, 1.0, n)]
