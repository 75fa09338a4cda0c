"""Pictures: images, and signed maps over their pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from featsim.validation import check_array


def draw_image(ax: Axes, image: npt.ArrayLike) -> Axes:
    """Draw an image without ticks: grey with 0 white and 1 black, or colour.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    image : array_like, shape (H, W) or (H, W, 3)
        Pixels in [0, 1].

    Returns
    -------
    Axes
        `ax`.
    """
    if np.ndim(image) == 3:
        ax.imshow(check_array("image", image, ("H", "W", 3)))
    else:
        ax.imshow(check_array("image", image, ("H", "W")), cmap="gray_r", vmin=0.0, vmax=1.0)
    return _bare(ax)


def draw_signed(ax: Axes, values: npt.ArrayLike) -> Axes:
    """Draw a signed map over pixels, such as an input gradient, on its own symmetric scale.

    Zero is the grey in the middle of cividis: negative is dark blue and positive is light
    yellow, which a print in grey keeps apart (the usual red and blue turn equal there).

    Parameters
    ----------
    ax : Axes
        Where to draw.
    values : array_like, shape (H, W)
        Finite values; the largest modulus is one end of the scale.

    Returns
    -------
    Axes
        `ax`.
    """
    table = check_array("values", values, ("H", "W"))
    limit = float(np.abs(table).max()) or 1.0
    ax.imshow(table, cmap="cividis", vmin=-limit, vmax=limit)
    return _bare(ax)


def _bare(ax: Axes) -> Axes:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return ax
