"""Directions from which the patch-separable attack starts."""

from __future__ import annotations

import numpy as np

from featsim.threats import Samples
from featsim.validation import FloatArray

_PAIRED = 4
_ANGLES = np.linspace(0.0, np.pi / 2, 9)


def filter_directions(target: FloatArray, label: FloatArray) -> tuple[list[str], list[FloatArray]]:
    """Return directions along and between filters.

    Parameters
    ----------
    target, label : ndarray, shapes (m, r) and (m', r)
        Filters of the two classes in coordinates of the allowed space; either may be empty.

    Returns
    -------
    names : list of str
        Their names.
    directions : list of ndarray, shape (r,)
        Differences of the largest filters, single filters, sums.
    """
    towards, away = (np.argsort(-np.linalg.norm(w, axis=1), kind="stable") for w in (target, label))
    found = {f"w_t{i} - w_y{j}": target[i] - label[j] for i in towards[:_PAIRED] for j in away[:_PAIRED]}
    found |= {f"w_t{i}": filter_ for i, filter_ in enumerate(target)}
    found |= {f"-w_y{j}": -filter_ for j, filter_ in enumerate(label)}
    up, down = target.sum(axis=0), label.sum(axis=0)
    found |= {"sum w_t": up, "-sum w_y": -down, "sum w_t - sum w_y": up - down}
    return list(found), list(found.values())


def feature_directions(samples: Samples, label: int, rival: int) -> tuple[list[str], list[FloatArray]]:
    r"""Return directions in the plane of each pair of features, and mixtures of u and v.

    Parameters
    ----------
    samples : Samples
        Source of the features.
    label, rival : int
        The two classes.

    Returns
    -------
    names : list of str
        Their names; empty where features are unknown.
    directions : list of ndarray, shape (d,)
        :math:`-\cos(g) f_y + \sin(g) f_t` for f = u and v at nine angles, and mixtures.
    """
    data = samples.data
    u, v = (getattr(data, f"{name}_features", None) for name in ("robust", "nonrobust"))
    if u is None or v is None:
        return [], []
    found = {
        f"{name} at {np.degrees(angle):.0f} deg": -np.cos(angle) * f[label] + np.sin(angle) * f[rival]
        for name, f in (("u", u), ("v", v))
        for angle in _ANGLES
    }
    found |= {
        "u_t - v_y": u[rival] - v[label],
        "v_t - u_y": v[rival] - u[label],
        "u_t + v_t": u[rival] + v[rival],
        "-u_y - v_y": -u[label] - v[label],
        "u_t + v_t - u_y - v_y": u[rival] + v[rival] - u[label] - v[label],
    }
    return list(found), list(found.values())
