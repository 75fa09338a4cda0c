"""Which features a perturbation attacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from featsim.data import NONROBUST, ROBUST, UNKNOWN, PatchData
from featsim.validation import FloatArray, check_array

ROLE_NAMES = {"robust": ROBUST, "nonrobust": NONROBUST, "unknown": UNKNOWN}


@dataclass(frozen=True, eq=False, kw_only=True)
class PerturbationParts:
    r"""Energy and direction of a perturbation, by kind of feature and role of patch.

    Arrays of energies have shape (n, 3): one row per sample, columns for the patches
    of role robust, non-robust and unknown. All sums and means weigh a patch by its
    multiplicity ``data.counts``.

    Parameters
    ----------
    robust_energy : ndarray, shape (n, 3)
        Squared norm of the part in span(u_1..u_k).
    nonrobust_energy : ndarray, shape (n, 3)
        Squared norm of the part in span(v_1..v_k).
    other_energy : ndarray, shape (n, 3)
        Squared norm of what is orthogonal to all features.
    cosines : dict of str to float
        Mean cosines over patches of one role; a patch that is not moved counts as 0,
        and a mean over no patch is 0. Keys: ``"nonrobust: -v_y"`` (removal of the own
        non-robust feature), ``"nonrobust: v_other"`` (writing:
        largest cosine with another class's v), ``"nonrobust: -u_y"`` (the attack
        that noise diverts), ``"robust: -u_y"``, ``"robust: u_other"`` and
        ``"robust: -v_y"``.
    remaining_nonrobust : float
        Mean of <x + delta, v_y> over the non-robust patches; 0 without such patches.
    remaining_robust : float
        Mean of <x + delta, u_y> over the robust patches; 0 without such patches.
    """

    robust_energy: FloatArray
    nonrobust_energy: FloatArray
    other_energy: FloatArray
    cosines: dict[str, float]
    remaining_nonrobust: float
    remaining_robust: float

    @property
    def energy(self) -> FloatArray:
        """Squared norm of each sample's perturbation, shape (n,), repeats counted."""
        return np.asarray((self.robust_energy + self.nonrobust_energy + self.other_energy).sum(axis=1))

    @property
    def shares(self) -> dict[str, float]:
        """Mean shares of the energy that are robust, non-robust and other.

        The mean is over samples that are moved at all; without any, the shares are 0.
        """
        total = self.energy
        moved = total > 0
        return {
            name: float((part.sum(axis=1)[moved] / total[moved]).mean()) if moved.any() else 0.0
            for name, part in (
                ("robust", self.robust_energy),
                ("nonrobust", self.nonrobust_energy),
                ("other", self.other_energy),
            )
        }

    def summary(self) -> str:
        """Return the shares and cosines as text, one per line."""
        lines = [f"share of energy, {name}: {value:.4f}" for name, value in self.shares.items()]
        lines += [f"mean cosine, {name}: {value:+.4f}" for name, value in self.cosines.items()]
        lines.append(f"mean <x + delta, v_y> on non-robust patches: {self.remaining_nonrobust:+.4f}")
        lines.append(f"mean <x + delta, u_y> on robust patches: {self.remaining_robust:+.4f}")
        return "\n".join(lines)


def perturbation_parts(perturbation: npt.ArrayLike, data: PatchData) -> PerturbationParts:
    """Split a perturbation into its parts along robust, non-robust and no features.

    Parameters
    ----------
    perturbation : array_like, shape (n, P, d)
        Perturbation of ``data.X``, for example ``attack_result.perturbation``.
    data : PatchData
        Data with both kinds of features.

    Returns
    -------
    PerturbationParts
        Energies that add up to the squared norm, mean cosines and what remains of
        the features after the attack.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, an entry is not finite, or `data` has no features.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "What is tracked" [derived].
    """
    if not isinstance(data, PatchData):
        raise TypeError(f"data must be a PatchData, got {type(data).__name__}")
    u, v = data.robust_features, data.nonrobust_features
    if u is None or v is None:
        raise ValueError("data must have robust_features and nonrobust_features, got data without them")
    delta = check_array("perturbation", perturbation, data.X.shape)
    along_u, along_v = delta @ u.T, delta @ v.T
    other = delta - along_u @ u - along_v @ v
    energies = [_by_role(np.square(part).sum(axis=2), data) for part in (along_u, along_v, other)]
    samples, own = np.arange(data.n_samples), data.y
    own_v = np.einsum("npd,nd->np", data.X, v[own]) + along_v[samples, :, own]
    own_u = np.einsum("npd,nd->np", data.X, u[own]) + along_u[samples, :, own]
    return PerturbationParts(
        robust_energy=energies[0],
        nonrobust_energy=energies[1],
        other_energy=energies[2],
        cosines=_mean_cosines(along_u, along_v, np.linalg.norm(delta, axis=2), data),
        remaining_nonrobust=_role_mean(own_v, data, NONROBUST),
        remaining_robust=_role_mean(own_u, data, ROBUST),
    )


def _mean_cosines(
    along_u: FloatArray, along_v: FloatArray, norms: FloatArray, data: PatchData
) -> dict[str, float]:
    samples = np.arange(data.n_samples)
    moved = norms > 0
    length = np.where(moved, norms, 1.0)
    cosines: dict[str, FloatArray] = {}
    for name, along in (("u", along_u), ("v", along_v)):
        cosine = np.where(moved[:, :, None], along / length[:, :, None], 0.0)
        cosines[f"-{name}_y"] = -cosine[samples, :, data.y]
        rivals = cosine.copy()
        rivals[samples, :, data.y] = -np.inf
        cosines[f"{name}_other"] = rivals.max(axis=2)
    wanted = {"nonrobust": ("-v_y", "v_other", "-u_y"), "robust": ("-u_y", "u_other", "-v_y")}
    return {
        f"{role}: {name}": _role_mean(cosines[name], data, ROLE_NAMES[role])
        for role, names in wanted.items()
        for name in names
    }


def _by_role(energy: FloatArray, data: PatchData) -> FloatArray:
    """Sum (n, P) over the patches of each role, shape (n, 3)."""
    weighted = data.counts * energy
    columns: list[Any] = [
        np.where(data.roles == role, weighted, 0.0).sum(axis=1) for role in ROLE_NAMES.values()
    ]
    return np.stack(columns, axis=1)


def _role_mean(values: FloatArray, data: PatchData, role: int) -> float:
    weight = np.where(data.roles == role, data.counts, 0.0)
    total = float(weight.sum())
    return float((weight * values).sum()) / total if total > 0 else 0.0
