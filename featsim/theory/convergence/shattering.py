"""The gadget behind the capacity bound: robust fits of 2k points shatter k d points."""

from __future__ import annotations

import dataclasses

import numpy as np

from featsim.validation import FloatArray, IntArray, check_integer, check_real

_SPACING = 10.0


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Gadget:
    r"""Training points that force a labelling of test points.

    Attributes
    ----------
    points : ndarray, shape (2k, d)
        Training points :math:`c_i \pm t u_i` with :math:`u_i = s_i/\sqrt d`.
    labels : ndarray of int, shape (2k,)
        +1 and -1.
    probes : ndarray, shape (k, d, d)
        Test points :math:`p_{ij} = c_i + (t/\sqrt d)\, e_j`.
    signs : ndarray of int, shape (k, d)
        Wanted labels s.
    radius : float
        :math:`t\sqrt{1-1/d}`: every p_ij lies within this distance of a training point of label s_ij.
    """

    points: FloatArray
    labels: IntArray
    probes: FloatArray
    signs: IntArray
    radius: float

    @property
    def excess(self) -> float:
        """Largest distance of a test point from the nearest training point of its label, less the radius."""
        wanted = self.labels[None, None, :] == self.signs[:, :, None]
        distance = np.linalg.norm(self.probes[:, :, None, :] - self.points[None, None], axis=-1)
        return float(np.where(wanted, distance, np.inf).min(axis=2).max() - self.radius)

    @property
    def separation(self) -> float:
        """Half the least distance between training points of different label."""
        plus, minus = self.points[self.labels == 1], self.points[self.labels == -1]
        return float(np.linalg.norm(plus[:, None] - minus[None], axis=-1).min() / 2.0)


def shattering_gadget(signs: IntArray, half_distance: float = 1.0) -> Gadget:
    r"""Build the gadget for wanted labels.

    Parameters
    ----------
    signs : array_like of {-1, 1}, shape (k, d)
        Any labels of the k d test points.
    half_distance : float
        t > 0.

    Returns
    -------
    Gadget
        n = 2k training points at separation 2t. A classifier that is right in radius
        :math:`\rho t` around each, :math:`\rho\in[\sqrt{1-1/d}, 1)`, has the wanted labels: nd/2 points
        are shattered, so that the VC dimension is at least nd/2.

    Raises
    ------
    ValueError
        If an entry is neither -1 nor 1, or the shape is wrong.

    References
    ----------
    .. [1] Gao et al., arXiv:1906.07916, VC dimension Omega(n d) [source in words]; this construction
       is [derived].
    """
    wanted = np.asarray(signs)
    if wanted.ndim != 2 or not wanted.size or not np.isin(wanted, (-1, 1)).all():
        raise ValueError(f"signs must hold -1 and 1 in shape (k, d), got shape {wanted.shape}")
    t = check_real("half_distance", half_distance, above=0.0)
    k, d = wanted.shape
    check_integer("d", d, minimum=1)
    centres = np.zeros((k, d))
    centres[:, 0] = _SPACING * t * np.arange(k)
    step = t * wanted / np.sqrt(d)
    points = np.concatenate([centres + step, centres - step])
    labels = np.repeat(np.array([1, -1], dtype=np.int64), k)
    probes = centres[:, None, :] + t / np.sqrt(d) * np.eye(d)
    return Gadget(
        points=points,
        labels=labels,
        probes=probes,
        signs=wanted.astype(np.int64),
        radius=float(t * np.sqrt(1.0 - 1.0 / d)),
    )
