"""What an adversary may do, as a specification."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from featsim.specs import Spec
from featsim.threats.budget import Budget, PixelFold
from featsim.threats.slice_budget import SliceBudget
from featsim.validation import FloatArray, IntArray, check_choice, check_real

if TYPE_CHECKING:
    from featsim.data import PatchData

NORMS = ("l2", "linf")
SCOPES = ("patch", "input")
SUBSPACES = ("own", "nonrobust", "features", "signal", "slice")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threat(Spec):
    r"""Set of allowed perturbations :math:`\delta = \tilde X - X`.

    Parameters
    ----------
    radius : float
        Size :math:`\epsilon \ge 0` of the ball.
    norm : {"l2", "linf"}
        Norm of the ball.
    scope : {"patch", "input"}
        ``"patch"``: every patch has its own ball, :math:`\|\delta_p\| \le
        \epsilon` for each p. ``"input"``: one ball for the whole input.
    subspace : {None, "own", "nonrobust", "features", "signal", "slice"}
        Directions a patch may move in (l2 only): all of them; ``"own"`` (O):
        robust patches in span(U), all other patches in span(V);
        ``"nonrobust"`` (V): span(V) on every patch; ``"features"`` (UV):
        span(U, V) on every patch; ``"signal"``: the signal patch along
        w*, no other patch at all; ``"slice"``: inputs of shape (n, d) stay on their
        sphere and keep their last coordinate, the whole input moves within a cap of
        chordal radius :math:`\epsilon`.

    Raises
    ------
    ValueError
        If the radius is negative, nan or infinite, a name is unknown, or a
        subspace is combined with linf.

    References
    ----------
    .. [1] Li & Li, arXiv:2410.08503: which attack class the paper uses could not
       be read; these sets are the simulator's [derived].
    """

    kind: ClassVar[str] = "threat"

    radius: float
    norm: str = "l2"
    scope: str = "patch"
    subspace: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", check_real("radius", self.radius, minimum=0.0))
        check_choice("norm", self.norm, NORMS)
        check_choice("scope", self.scope, SCOPES)
        if self.subspace is not None:
            check_choice("subspace", self.subspace, SUBSPACES)
            if self.norm == "linf":
                # The sign of a vector of the subspace lies outside of it.
                raise ValueError(
                    f"subspace must be None with norm 'linf', got {self.subspace!r}; use norm='l2'"
                )

            if self.subspace == "slice" and self.scope != "input":
                raise ValueError(f"scope must be 'input' with subspace 'slice', got {self.scope!r}")

    def describe(self) -> str:
        """Return norm, radius, scope and subspace in words."""
        where = "per patch" if self.scope == "patch" else "whole input"
        names = {
            "own": ", own features only (O)",
            "nonrobust": ", span of non-robust features (V)",
            "features": ", span of all features (UV)",
            "signal": ", signal patch along w* (signal line)",
            "slice": ", on the sphere slice (cap)",
        }
        return f"{self.norm} radius {self.radius:g} {where}{names.get(self.subspace or '', '')}"

    def bind(self, data: PatchData | None = None) -> Budget:
        """Return the budget on given samples.

        Parameters
        ----------
        data : PatchData, optional
            The samples; needed for a subspace, for patches with counts, and
            for patches that share pixels. Without it the budget is that of
            plain arrays of any number of samples.

        Returns
        -------
        Budget
            Projection, steepest step, norm and dual norm on those samples.

        Raises
        ------
        ValueError
            If `data` lacks what the threat refers to.
        """
        # Data given by coordinates in a rotated basis say what they cannot describe.
        refuse = getattr(getattr(data, "spec", None), "check_threat", None)
        if refuse is not None:
            refuse(self)
        if self.subspace == "slice":
            if data is None:
                raise ValueError("data must be given for subspace 'slice': a cap is around its input")
            return SliceBudget.around(self, data.X)
        counts = None if data is None or np.all(data.counts == 1.0) else data.counts
        pixels = None if data is None or data.pixel_map is None else self._fold(data.pixel_map, counts)
        if self.subspace is None:
            return Budget(threat=self, counts=counts, pixels=pixels)
        basis, role_mask, role_index = self._directions(data)
        return Budget(threat=self, counts=counts, basis=basis, role_mask=role_mask, role_index=role_index)

    def _fold(self, pixel_map: IntArray, counts: FloatArray | None) -> PixelFold:
        if self.scope == "patch":
            raise ValueError(
                "scope must be 'input' for patches that share pixels (data.pixel_map is set), got 'patch'; "
                "the perturbation lives on the image"
            )
        if self.subspace is not None:
            raise ValueError(
                f"subspace must be None for patches that share pixels, got {self.subspace!r}; "
                "drop data.pixel_map to perturb patches independently"
            )
        if counts is not None:
            raise ValueError("counts must be 1 for patches that share pixels; do not merge repeated patches")
        return PixelFold.from_map(pixel_map)

    def _directions(self, data: PatchData | None) -> tuple[FloatArray, npt.NDArray[np.bool_], IntArray]:
        if self.subspace == "signal":
            signal = getattr(data, "signal", None)
            if data is None or signal is None:
                raise ValueError(
                    "subspace 'signal' must come with signal-plus-noise data; use signal_noise_data"
                )
            mask = np.array([[True], [False]])
            return signal[None, :], mask, np.where(data.roles == 0, 0, 1).astype(np.int64)
        if data is None or data.robust_features is None or data.nonrobust_features is None:
            raise ValueError(
                f"subspace {self.subspace!r} must come with data that has robust_features and "
                "nonrobust_features; use subspace=None or give the features"
            )
        robust, nonrobust = data.robust_features, data.nonrobust_features
        # Roles other than robust, unknown ones included, count as "all other patches".
        role_index = np.where(data.roles == 0, 0, 1).astype(np.int64)
        if self.subspace == "nonrobust":
            return nonrobust, np.ones((2, len(nonrobust)), dtype=bool), role_index
        role_mask = np.ones((2, len(robust) + len(nonrobust)), dtype=bool)
        if self.subspace == "own":
            if np.all(data.roles < 0):
                raise ValueError(
                    "subspace 'own' must come with known patch roles, got data whose roles are all -1; "
                    "use subspace='nonrobust' or give roles"
                )
            role_mask[0, len(robust) :] = False
            role_mask[1, : len(robust)] = False
        return np.concatenate([robust, nonrobust]), role_mask, role_index
