"""Gradient descent in whitened patch coordinates, for colour images."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from featsim.data import PatchData
from featsim.training.schedule import Schedule
from featsim.validation import FloatArray, check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class WhiteningSchedule(Schedule):
    r"""Gradient descent on the filters of whitened patches, written as filters of the raw ones.

    With the second moment :math:`M = V \,\mathrm{diag}(\mu)\, V^\top` of the training patches and
    :math:`Z = c\, V\, \mathrm{diag}(\mu + r\bar\mu)^{-1/2} V^\top`, c such that whitened patches have mean
    square norm 1, a filter :math:`w'` on :math:`Zx` is the filter :math:`w = Zw'` on x. Descent on
    :math:`w'` is :math:`W \leftarrow W - \eta \nabla L(W)\, Z^2`. So the network stays one of raw
    patches, and an adversary keeps its budget in pixels.

    Parameters
    ----------
    n_steps, step_size, batch_size, precision : see :class:`Schedule`
        Updates of :math:`w'`, their size, samples per step, and number type.
    floor : float
        r, how much of the mean eigenvalue is added to each, greater than 0: small variances are noise.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] A. Coates, A. Y. Ng, H. Lee, AISTATS 2011: whitened patches of small images [recalled]; as a metric
       of gradient descent [derived].
    """

    kind: ClassVar[str] = "whitening-schedule"

    floor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "floor", check_real("floor", self.floor, above=0.0))


def whitening_matrix(data: PatchData, floor: float) -> FloatArray:
    """Return the whitening Z of :class:`WhiteningSchedule`.

    Parameters
    ----------
    data : PatchData
        Training data.
    floor : float
        r, greater than 0.

    Returns
    -------
    ndarray, shape (d, d)
        Symmetric; the patches times Z have mean square norm 1.
    """
    rows = data.X.reshape(-1, data.dim)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    values = np.maximum(values, 0.0)
    damped = values + floor * values.mean()
    size = np.sqrt(np.sum(values / damped))
    whitening: FloatArray = (vectors / np.sqrt(damped)) @ vectors.T / size
    return whitening
