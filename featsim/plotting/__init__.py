"""Drawing on given axes: seeds as bands, theory as dashes, traces and pictures."""

from featsim.plotting.curves import (
    BAND,
    bands_in_words,
    draw_band,
    draw_events,
    draw_seeds,
    draw_theory,
    name_bands,
    step_axis,
)
from featsim.plotting.pictures import draw_image, draw_signed
from featsim.plotting.saving import save_figure
from featsim.plotting.style import (
    COLOURS,
    PAGE_WIDTH,
    SIMULATION,
    THEORY,
    TRAININGS,
    figure_style,
    new_figure,
)
from featsim.plotting.trace import plot_trace

__all__ = [
    "BAND",
    "COLOURS",
    "PAGE_WIDTH",
    "SIMULATION",
    "THEORY",
    "TRAININGS",
    "bands_in_words",
    "draw_band",
    "draw_events",
    "draw_image",
    "draw_seeds",
    "draw_signed",
    "draw_theory",
    "figure_style",
    "name_bands",
    "new_figure",
    "plot_trace",
    "save_figure",
    "step_axis",
]
