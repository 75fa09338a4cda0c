r"""The same run in the span of its features, patches and initial weights.

Every step of training, and every step of an l2 attack from the clean point, adds multiples of patches,
features and filters. So the filters never leave the span of the initial ones, and training commutes with
the rotation onto an orthonormal basis of it: the coordinates are trained by the same code, with the same
records up to rounding, for the price of the rank instead of the dimension.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from featsim.data import GramSpace
from featsim.models import PowerNetworkSpec, TwoLayerSpec
from featsim.training.mixture import Mixture
from featsim.training.stepper import Arrays, Chunk, Footprint, Stepper
from featsim.training.whitening import WhiteningSchedule
from featsim.validation import FloatArray, IntArray, check_choice

if TYPE_CHECKING:  # a run loads the update rule of its own model only
    from featsim.training.cgro_stepper import CgroStepper
    from featsim.training.patch_stepper import PatchStepper

REDUCTIONS = ("auto", "never", "always")
BASIS = "subspace_basis"
_VECTORS = ("X", "fresh_X", "robust_features", "nonrobust_features", "signal", "weights")
_SPANNING = ("robust_features", "nonrobust_features", "signal")
_BLOCK = 1024  # rows
_TOLERANCE = 1e-12  # of a unit vector's part outside the others: rounding is 1e-16 times a few


class SubspaceStepper:
    """A patch network's stepper in the coordinates of a subspace, with its weights rotated back.

    Parameters
    ----------
    direct : PatchStepper or CgroStepper
        The run in all dimensions.
    basis : ndarray, shape (r, d)
        Orthonormal rows that span features, patches and initial weights.
    """

    def __init__(self, direct: PatchStepper | CgroStepper, basis: FloatArray) -> None:
        self._direct, self._basis = direct, basis
        inputs = direct.inputs
        turned = {name: inputs[name] @ basis.T for name in _VECTORS if name in inputs}
        self._inner: Stepper = type(direct).from_inputs(direct.spec, {**inputs, **turned})
        self.axes = direct.axes
        self.meta: dict[str, Any] = {
            **direct.meta,
            "reduction": {"used": True, "rank": len(basis), "dim": basis.shape[1]},
        }

    @property
    def inputs(self) -> Arrays:
        """All that the direct run starts from, and the basis."""
        return {**self._direct.inputs, BASIS: self._basis}

    def footprint(self) -> Footprint:
        """Return the sizes of the run in coordinates, with what it records in all dimensions."""
        inner = self._inner.footprint()
        turned = sum(array.nbytes for name, array in self._inner.inputs.items() if name in _VECTORS)
        return dataclasses.replace(inner, lengths=self._direct.footprint().lengths, work=inner.work + turned)

    def initial_state(self) -> Arrays:
        """Return the initial weights' coordinates."""
        return self._inner.initial_state()

    def advance(self, state: Arrays, first: int, last: int, record: IntArray, keep: IntArray) -> Chunk:
        """Do the updates first..last-1 in coordinates."""
        return self._turned(self._inner.advance(state, first, last, record, keep))

    def observe(self, state: Arrays, step: int, record: bool, keep: bool) -> Chunk:
        """Record the state without an update."""
        return self._turned(self._inner.observe(state, step, record, keep))

    def final_arrays(self, state: Arrays) -> Arrays:
        """Return the weights at the end, in all dimensions."""
        found = self._inner.final_arrays(state)
        return {**found, "final_weights": found["final_weights"] @ self._basis}

    def _turned(self, chunk: Chunk) -> Chunk:
        weights = chunk.records["weights"] @ self._basis
        return Chunk(n_done=chunk.n_done, records={**chunk.records, "weights": weights}, state=chunk.state)


def in_subspace(stepper: Stepper, reduction: str) -> Stepper:
    """Return the stepper to run: in coordinates where that is exact and wanted.

    Parameters
    ----------
    stepper : Stepper
        The run in all dimensions.
    reduction : {"auto", "never", "always"}
        ``"auto"``: where a bound of the rank, see :func:`spanning_basis`, is below half the dimension and
        the result is the same up to rounding.
        ``"always"``: or raise.

    Returns
    -------
    Stepper
        Says in its ``meta["reduction"]`` what was decided and why.

    Raises
    ------
    ValueError
        If ``"always"`` was asked for and coordinates would not give the same run; the message says why.
    """
    check_choice("reduction", reduction, REDUCTIONS)
    if not _of_patch_network(stepper):
        if reduction == "always":
            raise ValueError(
                "reduction must be 'auto' or 'never' for this model, got 'always': only the patch networks, "
                "TwoLayerSpec and PowerNetworkSpec, train in a subspace"
            )
        return stepper
    reason = "not wanted" if reduction == "never" else _inexact(stepper)
    if reason and reduction == "always":
        raise ValueError(f"reduction must not be 'always' here: {reason}; use 'auto' or 'never'")
    if not reason:
        basis = spanning_basis(stepper.inputs, limit=None if reduction == "always" else stepper.data.dim / 2)
        if basis is not None:
            return SubspaceStepper(stepper, basis)
        reason = "the number of features, patches and filters is not below half the dimension"
    stepper.meta = {**stepper.meta, "reduction": {"used": False, "reason": reason}}
    return stepper


def resumed(stepper: Stepper, inputs: Arrays) -> Stepper:
    """Return the stepper of a run that goes on, in the subspace it began in."""
    if BASIS in inputs and _of_patch_network(stepper):
        return SubspaceStepper(stepper, inputs[BASIS])
    return stepper


def _of_patch_network(stepper: Any) -> TypeGuard[PatchStepper | CgroStepper]:
    spec = getattr(stepper, "spec", None)
    return isinstance(getattr(spec, "model", None), (TwoLayerSpec, PowerNetworkSpec))


def _inexact(stepper: PatchStepper | CgroStepper) -> str:
    """Say why coordinates would not give the same run; empty if they do."""
    if isinstance(stepper.spec.data, GramSpace):
        return "the data are given by coordinates in their span already"
    if stepper.data.pixel_map is not None:
        return "patches cut from images share pixels, which a rotation of a patch mixes"
    if isinstance(stepper.spec.schedule, WhiteningSchedule):
        return "the floor of the whitening is a mean over all dimensions, which the span does not have"
    attack: Any = stepper.spec.attack
    if isinstance(attack, Mixture):
        attack = attack.attack
    if attack is not None and attack.threat.norm != "l2":
        return f"the {attack.threat.norm} ball of the attack depends on the axes"
    if getattr(attack, "n_random", 0) and attack.threat.subspace is None:
        return "the random starts of the attack leave the span"
    return ""


def spanning_basis(inputs: Arrays, limit: float | None = None) -> FloatArray | None:
    """Return an orthonormal basis of the span of features, patches and initial weights.

    Parameters
    ----------
    inputs : dict of str to ndarray
        Inputs of a patch network's stepper.
    limit : float, optional
        Rank from which on no basis is wanted; its bound decides, the rank of the features plus the number
        of filters and of patches outside the features' span.

    Returns
    -------
    ndarray, shape (r, d), or None
        Orthonormal rows; None where that bound is not below the limit.
    """
    d = inputs["weights"].shape[-1]
    if limit is not None and _n_filters(inputs) >= limit:
        return None
    features = np.concatenate(
        [np.empty((0, d)), *(np.atleast_2d(inputs[name]) for name in _SPANNING if name in inputs)]
    )
    span = _orthonormal(features)
    if limit is not None and len(span) + _n_filters(inputs) >= limit:
        return None
    rows = [span]
    total = len(span)
    # Noise-free patches lie in the features' span: they cost nothing here.
    for name in ("weights", "X"):
        vectors = inputs[name].reshape(-1, d)
        # In blocks: no second array of the size of the data, and a full rank is seen in the first ones.
        for first in range(0, len(vectors), _BLOCK):
            rows.append(_outside(vectors[first : first + _BLOCK], span))
            total += len(rows[-1])
            if limit is not None and total >= limit:
                return None
    added = _orthonormal(np.concatenate(rows[1:]))
    added -= (added @ span.T) @ span  # of rounding alone: the rank is known now
    added = np.linalg.qr(added.T)[0].T if len(added) else added
    return np.ascontiguousarray(np.concatenate([span, added]))


def _n_filters(inputs: Arrays) -> int:
    return int(np.prod(inputs["weights"].shape[:-1]))


def _outside(vectors: FloatArray, span: FloatArray) -> FloatArray:
    """Return the parts outside an orthonormal span, as unit vectors, leaving out what has none."""
    norms = np.linalg.norm(vectors, axis=1)
    rest = vectors - (vectors @ span.T) @ span
    rest -= (rest @ span.T) @ span
    size = np.linalg.norm(rest, axis=1)
    found: FloatArray = rest[size > _TOLERANCE * norms]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _orthonormal(vectors: FloatArray) -> FloatArray:
    """Return orthonormal rows that span these rows of norm about 1."""
    from scipy.linalg import qr  # not before it is needed: every training would wait for it

    if not len(vectors):
        return vectors
    q, r, _ = qr(vectors.T, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diagonal(r)) > _TOLERANCE * abs(r[0, 0])))
    found: FloatArray = q[:, :rank].T
    return found
