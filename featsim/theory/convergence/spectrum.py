"""Why inputs need a constant coordinate: harmonics that a kernel on the circle lacks."""

from __future__ import annotations

import numpy as np

from featsim.data import circle_points
from featsim.models import Kernel
from featsim.validation import FloatArray, check_integer

_RANK = 1e-13


def circle_spectrum(kernel: Kernel, constant: float, n_angles: int = 512) -> FloatArray:
    """Return the Fourier coefficients of a kernel on a circle of the slice.

    Parameters
    ----------
    kernel : Kernel
        Rotation-invariant, such as a TangentKernel.
    constant : float
        Last coordinate c.
    n_angles : int
        Equally spaced angles.

    Returns
    -------
    ndarray, shape (n_angles // 2 + 1,)
        Eigenvalues of the harmonics 0, 1, 2, ...; 0 to rounding where a harmonic is missing.
    """
    check_integer("n_angles", n_angles, minimum=4)
    points = circle_points(2.0 * np.pi * np.arange(n_angles) / n_angles, constant)
    row = kernel.matrix(points[:1], points)[0]
    return np.asarray(np.fft.rfft(row).real / n_angles)


def alternating_residual(kernel: Kernel, n_points: int, constant: float, net_size: int = 5) -> float:
    """Return what remains of alternating labels on arcs after the best fit by the kernel.

    Parameters
    ----------
    kernel : Kernel
        Such as a TangentKernel.
    n_points : int
        Equally spaced points with labels + - + - ..., even; each arc covers half of its cell.
    constant : float
        Last coordinate c.
    net_size : int
        Points per arc.

    Returns
    -------
    float
        Norm of the least-squares residual on all arcs over that of the labels: 1 if nothing can be
        fitted, 0 if everything.

    Raises
    ------
    ValueError
        If `n_points` is odd.
    """
    if check_integer("n_points", n_points, minimum=2) % 2:
        raise ValueError(f"n_points must be even for alternating labels, got {n_points}")
    half = np.pi / (2 * n_points)
    centres = 2.0 * np.pi * np.arange(n_points) / n_points
    angles = centres[:, None] + np.linspace(-half, half, net_size)
    points = circle_points(angles.ravel(), constant)
    labels = np.repeat(1.0 - 2.0 * (np.arange(n_points) % 2), net_size)
    values, vectors = np.linalg.eigh(kernel.matrix(points, points))
    kept = vectors[:, values > _RANK * values.max()]
    return float(np.linalg.norm(labels - kept @ (kept.T @ labels)) / np.linalg.norm(labels))
