"""Initial, clean-trained and adversarially trained weights of the same neurons, compared."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.decomposition.mixtures import LIVE
from featsim.validation import FloatArray, check_array, check_real


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Purification:
    r"""How neurons w0, w (clean-trained) and w' (trained adversarially from w) are related.

    Attributes
    ----------
    initial_clean, clean_robust, initial_robust : ndarray, shape (m,)
        Cosines of w0 with w, of w with w', and of w0 with w'; nan for a neuron that is 0.
    projection : ndarray, shape (m,)
        beta of :math:`w = \beta w' + v` with v orthogonal to w'.
    clean_norm, robust_norm : ndarray, shape (m,)
        Norms of w and w'.

    References
    ----------
    .. [1] Allen-Zhu & Li, talk abstract of 2020: :math:`w = \beta w' + v` with
       :math:`\|\beta w'\| > \|v\|` [source]. That beta is the projection is the simulator's [choice]:
       read as existence, a large beta fulfils it for any positive inner product.
    """

    initial_clean: FloatArray
    clean_robust: FloatArray
    initial_robust: FloatArray
    projection: FloatArray
    clean_norm: FloatArray
    robust_norm: FloatArray

    @property
    def live(self) -> npt.NDArray[np.bool_]:
        """Which neurons are still live at the end: norm of w' above a tenth of the largest."""
        live: npt.NDArray[np.bool_] = self.robust_norm > LIVE * self.robust_norm.max()
        return live

    @property
    def holds(self) -> npt.NDArray[np.bool_]:
        """For which neurons the principle holds: the squared cosine of w and w' exceeds 1/2."""
        with np.errstate(invalid="ignore"):
            holds: npt.NDArray[np.bool_] = self.clean_robust > math.sqrt(0.5)
        return holds

    def statistics(self) -> dict[str, float]:
        """Return means over neurons, plain and weighted, and the principle's share.

        Returns
        -------
        dict of str to float
            Three cosines, plain and (``_weighted``) by the energy of the later of the two states;
            ``"principle"``, the share of live neurons for which it holds.
        """
        found: dict[str, float] = {}
        for name, norm in (
            ("initial_clean", self.clean_norm),
            ("clean_robust", self.robust_norm),
            ("initial_robust", self.robust_norm),
        ):
            values: FloatArray = getattr(self, name)
            finite = np.isfinite(values)
            found[name] = float(values[finite].mean())
            weight = norm[finite] ** 2
            found[f"{name}_weighted"] = float((weight * values[finite]).sum() / weight.sum())
        found["principle"] = float(self.holds[self.live].mean())
        return found


def purification(initial: Any, clean: Any, robust: Any) -> Purification:
    """Compare three states of the same neurons.

    Parameters
    ----------
    initial, clean, robust : array_like, shape (1, m, d) or (m, d)
        w0, w and w'.

    Returns
    -------
    Purification
        Per neuron.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    .. [1] Allen-Zhu & Li, talk abstract of 2020 [source].
    """
    shape = np.shape(clean)
    states = [
        check_array(name, value, shape).reshape(-1, shape[-1])
        for name, value in (("initial", initial), ("clean", clean), ("robust", robust))
    ]
    _, w, w1 = states
    norms = [np.linalg.norm(state, axis=1) for state in states]

    def cosine(a: int, b: int) -> FloatArray:
        inner: FloatArray = np.einsum("md,md->m", states[a], states[b])
        with np.errstate(invalid="ignore", divide="ignore"):
            inner /= norms[a] * norms[b]
        return inner

    with np.errstate(invalid="ignore", divide="ignore"):
        projection = np.einsum("md,md->m", w, w1) / norms[2] ** 2
    return Purification(
        initial_clean=cosine(0, 1),
        clean_robust=cosine(1, 2),
        initial_robust=cosine(0, 2),
        projection=projection,
        clean_norm=norms[1],
        robust_norm=norms[2],
    )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LotterySets:
    r"""Which neurons may, and which must, win a feature by their initial weights.

    Attributes
    ----------
    potential : ndarray of bool, shape (m, D)
        :math:`|c_{ij}| \ge \sqrt{c_{pot} \log d}\,\sigma_0`.
    sure : ndarray of bool, shape (m, D)
        :math:`c_{ij}\,\mathrm{sign}(w^*_j) \ge \sqrt{c_{sure} \log d}\,\sigma_0`, and in no
        other potential set.
    expected_potential : float
        Mean size of a potential set, :math:`2 m \Phi(-\sqrt{c_{pot} \log d})`.
    favourite : ndarray of int, shape (m,)
        Feature of largest :math:`c_{ij}\,\mathrm{sign}(w^*_j)`.
    """

    potential: npt.NDArray[np.bool_]
    sure: npt.NDArray[np.bool_]
    expected_potential: float
    favourite: npt.NDArray[np.int64]


def lottery_sets(
    initial: Any,
    dictionary: Any,
    label_weights: Any,
    *,
    init_std: float,
    potential: float = 1.0,
    sure: float = 1.5,
) -> LotterySets:
    r"""Return the lottery sets of initial weights.

    Parameters
    ----------
    initial : array_like, shape (1, m, d) or (m, d)
        w0.
    dictionary : array_like, shape (d, D)
        Atoms as columns.
    label_weights : array_like, shape (D,)
        w*.
    init_std : float
        :math:`\sigma_0 > 0`.
    potential, sure : float
        Constants :math:`c_{pot} < c_{sure}` [choice].

    Returns
    -------
    LotterySets
        Who may and who must win which feature.

    Raises
    ------
    ValueError
        If the constants are not in order, or `init_std` is not positive.

    References
    ----------
    .. [1] Allen-Zhu & Li, arXiv:2005.10190 [recalled in form].
    """
    from scipy.special import ndtr

    std = check_real("init_std", init_std, above=0.0, hint="at 0 every neuron would be in every set")
    low = check_real("potential", potential, above=0.0)
    high = check_real("sure", sure, above=low, hint="sure neurons are a part of the potential ones")
    neurons = np.asarray(initial, dtype=np.float64).reshape(-1, np.shape(initial)[-1])
    atoms = check_array("dictionary", dictionary, (neurons.shape[1], "D"))
    rule = check_array("label_weights", label_weights, (atoms.shape[1],))
    table = neurons @ atoms
    log_dim = math.log(neurons.shape[1])
    may = np.abs(table) >= math.sqrt(low * log_dim) * std
    signed = table * np.sign(rule)
    must = (signed >= math.sqrt(high * log_dim) * std) & (may.sum(axis=1) == 1)[:, None]
    return LotterySets(
        potential=may,
        sure=must,
        expected_potential=float(2 * len(neurons) * ndtr(-math.sqrt(low * log_dim))),
        favourite=np.argmax(signed, axis=1).astype(np.int64),
    )
