"""From weights and data to the reduced dynamics."""

from __future__ import annotations

import dataclasses

import numpy as np

from featsim.data import PatchData
from featsim.theory.structured_data.population import ReducedTrace
from featsim.theory.structured_data.reduced import reduced_adversarial, reduced_standard
from featsim.validation import FloatArray, IntArray, check_array


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReducedStart:
    r"""Initial state and population of the reduced dynamics.

    Parameters
    ----------
    robust_table0, nonrobust_table0 : ndarray, shape (k, m, k)
        Initial coefficient tables.
    gram0 : ndarray, shape (km, km)
        Initial inner products of the neurons, a = i m + r.
    class_fractions : ndarray, shape (k,)
        Fractions of the samples in each class.
    n_robust_patches, n_nonrobust_patches : int
        Numbers of patches of each kind in every sample.
    robust_strength, nonrobust_strength : float
        Strengths of the features in them.
    """

    robust_table0: FloatArray
    nonrobust_table0: FloatArray
    gram0: FloatArray
    class_fractions: FloatArray
    n_robust_patches: int
    n_nonrobust_patches: int
    robust_strength: float
    nonrobust_strength: float

    def standard(
        self,
        *,
        power: float,
        smoothing: float,
        step_size: float,
        n_steps: int,
        record_every: int = 1,
        record_at: IntArray | None = None,
    ) -> ReducedTrace:
        """Run :func:`reduced_standard` from here, with its keyword arguments."""
        return reduced_standard(
            self.robust_table0,
            self.nonrobust_table0,
            class_fractions=self.class_fractions,
            n_robust_patches=self.n_robust_patches,
            n_nonrobust_patches=self.n_nonrobust_patches,
            robust_strength=self.robust_strength,
            nonrobust_strength=self.nonrobust_strength,
            power=power,
            smoothing=smoothing,
            step_size=step_size,
            n_steps=n_steps,
            record_every=record_every,
            record_at=record_at,
        )

    def adversarial(
        self,
        *,
        power: float,
        smoothing: float,
        step_size: float,
        n_steps: int,
        radius: float,
        attack_step_size: float,
        objective: str = "margin",
        scope: str = "patch",
        subspace: str | None = None,
        record_every: int = 1,
        record_at: IntArray | None = None,
    ) -> ReducedTrace:
        """Run :func:`reduced_adversarial` from here, with its keyword arguments."""
        return reduced_adversarial(
            self.robust_table0,
            self.nonrobust_table0,
            gram0=self.gram0,
            class_fractions=self.class_fractions,
            n_robust_patches=self.n_robust_patches,
            n_nonrobust_patches=self.n_nonrobust_patches,
            robust_strength=self.robust_strength,
            nonrobust_strength=self.nonrobust_strength,
            power=power,
            smoothing=smoothing,
            step_size=step_size,
            n_steps=n_steps,
            radius=radius,
            attack_step_size=attack_step_size,
            objective=objective,
            scope=scope,
            subspace=subspace,
            record_every=record_every,
            record_at=record_at,
        )


def reduced_from_weights(weights: FloatArray, data: PatchData) -> ReducedStart:
    """Return the initial state of the reduced dynamics for given weights and data.

    Strengths, patch numbers and class fractions are read off the patches themselves,
    so a data set that the reduction does not describe is refused, not approximated.

    Parameters
    ----------
    weights : ndarray, shape (k, m, d)
        Initial weights.
    data : PatchData
        Noise-free data with known features and patch roles.

    Returns
    -------
    ReducedStart
        Tables, Gram matrix and population; its methods run the recursions.

    Raises
    ------
    ValueError
        If features or roles are unknown, the patches carry noise or more than one
        strength per kind, or samples differ in their numbers of patches.

    References
    ----------
    .. [1] On the model of Li & Li, arXiv:2410.08503; documentation, page "Structured data",
       section "Standard training, reduced" [derived].
    """
    if data.robust_features is None or data.nonrobust_features is None:
        raise ValueError("data must know its features, got None; pass robust_features and nonrobust_features")
    u, v = data.robust_features, data.nonrobust_features
    k, d = u.shape
    W = check_array("weights", weights, (k, "m", d))
    strengths, counts = zip(*(_kind_of_patch(data, role) for role in (0, 1)), strict=True)
    flat = W.reshape(-1, d)
    return ReducedStart(
        robust_table0=W @ u.T,
        nonrobust_table0=W @ v.T,
        gram0=flat @ flat.T,
        class_fractions=np.bincount(data.y, minlength=k) / len(data.y),
        n_robust_patches=counts[0],
        n_nonrobust_patches=counts[1],
        robust_strength=strengths[0],
        nonrobust_strength=strengths[1],
    )


def _kind_of_patch(data: PatchData, role: int) -> tuple[float, int]:
    """Return the one strength and the number per sample of the patches of a role."""
    features = data.robust_features if role == 0 else data.nonrobust_features
    name = ("robust", "non-robust")[role]
    assert features is not None
    if (data.roles < 0).any():
        raise ValueError("data must know the role of every patch, got roles of -1")
    of_role = data.roles == role
    numbers = np.where(of_role, data.counts, 0.0).sum(axis=1)
    if np.ptp(numbers) > 0.0 or numbers[0] != round(numbers[0]):
        raise ValueError(
            f"data must have one number of {name} patches in every sample, got {sorted(set(numbers))}"
        )
    own = features[data.y][:, None, :]
    along = (data.X * own).sum(axis=2)
    if not of_role.any():
        return 0.0, 0
    strength = float(along[of_role].mean())
    error = float(np.abs(data.X - strength * own)[of_role].max())
    if error > 1e-12 * max(1.0, abs(strength)) or strength < 0.0:
        raise ValueError(
            f"data must be noise-free with one strength >= 0 in all {name} patches, got patches "
            f"{error:.3g} away from strength {strength:.6g}; sample with noise_std=0 and strength_spread=0"
        )
    return strength, int(numbers[0])
