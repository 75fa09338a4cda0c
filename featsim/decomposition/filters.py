"""How filters look: sparse or spread over pixels, smooth or rough."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from featsim.validation import FloatArray, check_array, check_real


def filter_statistics(
    filters: npt.ArrayLike, *, top_share: float = 0.1, cut: float = 0.2
) -> dict[str, float]:
    r"""Return energy-weighted means of statistics of filters' pixels.

    Parameters
    ----------
    filters : array_like, shape (m, H, W)
        Filters as pictures, not all zero.
    top_share : float
        Share of the pixels counted as the largest, in (0, 1].
    cut : float
        Largest frequency counted as low, in cycles per pixel.

    Returns
    -------
    dict of str to float
        ``"kurtosis"``: :math:`E c^4/(E c^2)^2` of the pixels c, 3 for Gaussian noise. ``"total_variation"``:
        sum of the moduli of neighbours' differences, of the filter scaled to norm 1. ``"top_energy"``: share
        of the energy in the largest pixels. ``"low_frequency"``: share at or below `cut`. ``"norm"``: mean
        norm.

    Raises
    ------
    ValueError
        If all filters are zero, or a share is out of range.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190: filters before and after adversarial training [recalled]; these
       statistics are the simulator's [choice].
    """
    w = check_array("filters", filters, ("m", "H", "W"))
    share = check_real("top_share", top_share, above=0.0, maximum=1.0)
    limit = check_real("cut", cut, minimum=0.0)
    flat = w.reshape(len(w), -1)
    energy = np.sum(flat**2, axis=1)
    if not energy.any():
        raise ValueError("filters must not all be zero")
    keep = energy > 0.0
    unit = flat[keep] / np.sqrt(energy[keep])[:, None]
    pictures = unit.reshape(-1, *w.shape[1:])
    weights = energy[keep] / energy[keep].sum()
    rough = np.abs(np.diff(pictures, axis=1)).sum(axis=(1, 2)) + np.abs(np.diff(pictures, axis=2)).sum(
        axis=(1, 2)
    )
    n_top = max(1, int(share * flat.shape[1]))
    top = np.sort(unit**2, axis=1)[:, -n_top:].sum(axis=1)
    values = {
        "kurtosis": flat.shape[1] * np.sum(unit**4, axis=1),
        "total_variation": rough,
        "top_energy": top,
        "low_frequency": low_frequency_share(pictures, limit),
    }
    found = {name: float(np.sum(weights * value)) for name, value in values.items()}
    return {**found, "norm": float(np.sqrt(energy).mean())}


def low_frequency_share(pictures: FloatArray, cut: float) -> FloatArray:
    """Return the share of the energy of pictures at frequencies up to `cut`, shape (n,).

    Parameters
    ----------
    pictures : ndarray, shape (n, H, W)
        Pictures.
    cut : float
        Cycles per pixel.

    Returns
    -------
    ndarray, shape (n,)
        Shares, 0 for a picture of zeros.
    """
    power = np.abs(np.fft.fft2(pictures)) ** 2
    rows, columns = (np.fft.fftfreq(side) for side in pictures.shape[1:])
    low = np.hypot(rows[:, None], columns[None, :]) <= cut + 1e-12
    total = power.sum(axis=(1, 2))
    share: FloatArray = power[:, low].sum(axis=1) / np.where(total > 0.0, total, 1.0)
    return share


def matched_cosines(before: npt.ArrayLike, after: npt.ArrayLike) -> FloatArray:
    """Return the cosine of each filter with itself at another time.

    Parameters
    ----------
    before, after : array_like, shape (m, d)
        Filters, none zero.

    Returns
    -------
    ndarray, shape (m,)
        Cosines.

    Raises
    ------
    ValueError
        If the shapes differ or a filter is zero.
    """
    a = check_array("before", before, ("m", "d"))
    b = check_array("after", after, a.shape)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if not norms.all():
        raise ValueError(f"filters must not be zero, got one at index {int(np.argmin(norms))}")
    cosines: FloatArray = np.sum(a * b, axis=1) / norms
    return cosines
