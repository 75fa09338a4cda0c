"""Figures: given axes are used, nothing is shown, files are the same bytes, grey keeps colours apart."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from featsim.plotting import (
    COLOURS,
    THEORY,
    bands_in_words,
    draw_band,
    draw_events,
    draw_image,
    draw_seeds,
    draw_signed,
    draw_theory,
    figure_style,
    name_bands,
    new_figure,
    plot_trace,
    save_figure,
    step_axis,
)
from featsim.traces import Trace


@pytest.fixture
def ax():
    with figure_style():
        return new_figure(2.0).subplots()


def some_trace(steps=(0, 1, 2, 3, 4), status="completed", **arrays):
    t = len(steps)
    coef = np.linspace(0.0, 1.0, t * 6).reshape(t, 2, 3)
    return Trace(
        {
            "steps": np.array(steps),
            "robust_coef": coef,
            "nonrobust_coef": coef[::-1],
            "clean_loss": np.linspace(1.4, 0.1, t),
            **arrays,
        },
        {name: ("step",) for name in ("clean_loss", *arrays)},
        status=status,
        spec={"scenario": "structured-data/S1", "training": "standard", "seed": 3},
    )


def lightness(colour: str) -> float:
    """CIELAB lightness of a colour, 0 to 100."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(116.0 * (linear @ [0.2126, 0.7152, 0.0722]) ** (1 / 3) - 16.0)


@pytest.mark.parametrize(
    "group",
    [("robust", "nonrobust", "dense-mixture", "noise", "other"), ("standard", "adversarial")],
)
def test_colours_differ_in_grey(group):
    levels = [lightness(COLOURS[name]) for name in group]
    assert min(abs(a - b) for a, b in itertools.combinations(levels, 2)) > 7.0


def test_seeds_are_a_line_and_a_band(ax):
    values = np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    assert draw_seeds(ax, [0, 1, 2], values, color=COLOURS["robust"], label="x") is ax
    (line,), (band,) = ax.lines, ax.collections
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 2.0, 3.0])
    assert line.get_linestyle() == "-"
    heights = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [0.2, 6.2])


def test_bands_are_named_once(ax):
    figure = ax.figure
    draw_seeds(ax, [0.0, 1.0], np.ones((3, 2)), color="C0")
    draw_seeds(ax, [0.0, 1.0], np.ones((3, 2)), color="C1", label="shown")
    assert bands_in_words(figure) == "lines: medians; bands: middle 80 % of 3 seeds"
    draw_band(ax, [0.0, 1.0], [0.0, 0.0], [1.0, 1.0], color="C2", meaning="mean ± sd")
    assert [text.get_text() for text in ax.legend().get_texts()] == ["shown"]
    figure.supxlabel("above")
    assert name_bands(figure) == "lines: medians; bands: middle 80 % of 3 seeds; mean ± sd"
    assert figure.get_supxlabel().startswith("above\nlines: ")
    assert name_bands(figure) == ""  # they are named now
    with pytest.raises(ValueError, match="meaning must say what the band is"):
        draw_band(ax, [0.0], [0.0], [1.0], color="C0", meaning="")


def test_one_seed_has_no_band(ax):
    draw_seeds(ax, [0, 1], [[1.0, 2.0]], color="black", marker="o")
    assert not ax.collections
    assert len(ax.lines) == 1


def test_theory_is_dashed_over_the_simulation(ax):
    draw_seeds(ax, [0, 1], [[1.0, 2.0]], color="black")
    assert draw_theory(ax, [0, 1], [[0.0, 0.0], [2.0, 4.0]]) is ax
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [1.0, 2.0])
    assert ax.lines[1].is_dashed()
    assert ax.lines[1].get_zorder() > ax.lines[0].get_zorder()
    assert THEORY["linewidth"] < ax.lines[0].get_linewidth()


def test_shapes_are_checked(ax):
    with pytest.raises(ValueError, match="values must have shape"):
        draw_seeds(ax, [0, 1], [1.0, 2.0], color="black")


def test_events_count_seeds_that_have_not_got_there(ax):
    draw_events(ax, {"all": [3.0, 1.0, 2.0], "some": [5.0, np.nan, 7.0], "none": [np.nan] * 3}, ["k"] * 3)
    assert [text.get_text() for text in ax.texts] == ["2 of 3 seeds", "0 of 3 seeds"]
    bars = [line.get_xdata()[0] for line in ax.lines if line.get_color() == "black"]
    assert bars == [2.0, 7.0]  # of 5, 7 and later; no bar where most seeds are not there yet
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all", "some", "none"]


def test_step_axis_shows_step_zero(ax):
    step_axis(ax, 400)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "10", "100"]
    assert ax.get_xlim() == (0.0, 400.0)
    assert ax.get_xlabel() == "step"


def test_signed_maps_are_symmetric(ax):
    draw_signed(ax, np.array([[-1.0, 0.0], [0.5, 0.25]]))
    assert ax.images[0].get_clim() == (-1.0, 1.0)
    draw_signed(ax, np.zeros((2, 2)))
    assert ax.images[1].get_clim() == (-1.0, 1.0)
    draw_image(ax, np.zeros((2, 2)))
    assert ax.images[2].get_clim() == (0.0, 1.0)


def test_style_is_restored_and_ignores_the_users(ax):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30.0}):
        with figure_style():
            assert matplotlib.rcParams["font.size"] == 8.0
        assert matplotlib.rcParams["font.size"] == 30.0


def test_trace_is_drawn_in_panels():
    figure = plot_trace(some_trace())
    assert isinstance(figure, Figure)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["coefficients, largest neuron of each class", "loss"]
    assert figure.get_suptitle() == "structured-data/S1, standard, seed 3, completed"


@pytest.mark.parametrize("steps", [(0,), (0, 1), (0, 1, 10, 100, 1000)])
def test_any_recording_is_drawn(steps, tmp_path):
    save_figure(plot_trace(some_trace(steps)), tmp_path / "x.png")


def test_a_diverged_trace_leaves_gaps(tmp_path):
    loss = np.array([1.0, 2.0, np.inf, np.nan, np.nan])
    trace = some_trace(status="diverged", attacked_loss=loss)
    save_figure(plot_trace(trace), tmp_path / "x.png")


def test_numbers_of_different_size_get_panels_of_their_own():
    sizes = {"large": 100.0, "alike": 30.0, "small": 0.01, "none": 0.0}
    figure = plot_trace(some_trace(**{name: np.full(5, size) for name, size in sizes.items()}))
    panels = {
        ax.get_title(loc="left"): [text.get_text() for text in ax.get_legend().get_texts()]
        for ax in figure.axes
        if ax.get_title(loc="left").startswith("other numbers")
    }
    found = list(panels.values())
    assert found[0] == ["large", "alike"] and ["none"] in found
    assert any("small" in names and "large" not in names for names in found)
    assert "other numbers, up to 1e+02" in panels


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="must hold records"):
        plot_trace(Trace({"steps": np.zeros(0, int)}))


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_files_are_the_same_bytes_again(ending, tmp_path):
    first = save_figure(plot_trace(some_trace()), tmp_path / f"first.{ending}")
    second = save_figure(plot_trace(some_trace()), tmp_path / f"second.{ending}")
    assert first.read_bytes() == second.read_bytes()


def test_unknown_ending_and_missing_folder_are_refused(tmp_path):
    figure = plot_trace(some_trace())
    with pytest.raises(ValueError, match="ending"):
        save_figure(figure, tmp_path / "x.docx")
    with pytest.raises(OSError, match="could not write|No such file"):
        save_figure(figure, tmp_path / "missing" / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_pyplot_is_never_imported():
    code = "import sys, featsim.plotting; print('matplotlib.pyplot' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"
