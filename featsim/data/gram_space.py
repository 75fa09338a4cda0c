r"""Gaussian vectors in any dimension, given by their coordinates in their own span.

Gradient training from Gaussian weights on features plus isotropic Gaussian noise only ever sees inner
products. M noise directions and K filters, stacked as the rows of a standard normal (M + K, D) matrix,
are :math:`L Q^\top` with L lower trapezoidal and Q orthonormal, and training commutes with Q. So rows of
L are all a simulation needs: O((M + K)^2) random numbers, whatever the dimension. Exact in law.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from featsim.machine import check_room
from featsim.specs import Spec
from featsim.validation import FloatArray, check_generator, check_integer, check_real

if TYPE_CHECKING:
    from featsim.data.dataset import PatchData

LARGEST_DIM = 1e15
"""Beyond this a float no longer holds every whole number, so D - i would be wrong."""


def check_dimension(dim: Any, n_features: int) -> float:
    """Return a dimension as a float: a whole number with room for the features and noise, or inf.

    Parameters
    ----------
    dim : int or float
        d, at least `n_features` + 1 and at most 1e15; inf for the limit.
    n_features : int
        Dimension of the feature space.

    Returns
    -------
    float
        d.

    Raises
    ------
    TypeError, ValueError
        If it is not such a number.
    """
    d = check_real("dim", dim, minimum=n_features + 1, finite=False, hint="features and noise must fit")
    if math.isinf(d):
        return d
    check_real("dim", d, maximum=LARGEST_DIM, hint="use math.inf for the limit")
    if not d.is_integer():
        raise ValueError(f"dim must be a whole number or inf, got {d}")
    return d


def normal_factor(n_rows: int, dim: float, rng: np.random.Generator, *, n_used: int = 0) -> FloatArray:
    r"""Draw rows of standard normal vectors by their coordinates, without ever forming a vector.

    Row i has :math:`N(0, 1)` on the `n_used` directions taken before and on those of the rows before it,
    and :math:`\chi` with :math:`D - n_{used} - i` degrees of freedom on a direction of its own; where no
    direction is left, rows are D plain normals. So a singular Gram matrix needs no special case.

    Parameters
    ----------
    n_rows : int
        Vectors, at least 0.
    dim : float
        Dimension D >= `n_used` that they live in; finite.
    rng : numpy.random.Generator
        Draws the chi-squares, then the normals row by row.
    n_used : int
        Directions that other vectors have taken, at least 0.

    Returns
    -------
    ndarray, shape (n_rows, n_used + min(n_rows, D - n_used))
        L. The Gram matrix :math:`L L^\top` is Wishart with D degrees of freedom.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    References
    ----------
    .. [1] Bartlett's factor of a Wishart matrix; documentation, page "Gram space" [derived].
    """
    n = check_integer("n_rows", n_rows, minimum=0)
    used = check_integer("n_used", n_used, minimum=0)
    total = check_real("dim", dim, minimum=float(used), maximum=LARGEST_DIM)
    check_generator("rng", rng)
    own = int(min(n, total - used))
    freedom = total - used - np.arange(own)
    diagonal = np.sqrt(rng.chisquare(freedom)) if own else np.empty(0)
    factor: FloatArray = np.zeros((n, used + own))
    below = np.arange(used + own)[None, :] < used + np.arange(n)[:, None]
    factor[below] = rng.standard_normal(int(below.sum()))
    rows = np.arange(own)
    factor[rows, used + rows] = diagonal
    return factor


class GramSpace(Spec):
    r"""What distributions given by coordinates share: dimension, noise, initial weights, fresh noise.

    Coordinates are the features, then the span of the noise patches, then what the filters add. Abstract:
    each distribution says what its features are, and how samples and initial weights are drawn.

    Attributes
    ----------
    dim : float
        Dimension d of a patch; inf is the limit with :math:`\sigma\sqrt d` and :math:`\sigma_0` held.
    noise_norm : float
        :math:`\sigma\sqrt d`.
    """

    dim: float
    noise_norm: float

    @property
    def n_features(self) -> int:
        """Dimension of the feature space."""
        raise NotImplementedError

    def sample_for(self, model: Any, n_samples: int, rng: np.random.Generator) -> PatchData:
        """Draw training samples with coordinates for the filters of a model."""
        raise NotImplementedError

    def initial_weights(self, model: Any, data: Any, rng: np.random.Generator) -> FloatArray:
        """Draw the initial weights of a model in the coordinates of training data."""
        raise NotImplementedError

    @property
    def noise_std(self) -> float:
        r"""Standard deviation :math:`\sigma` of the noise per coordinate; 0 in the limit."""
        return self.noise_norm / math.sqrt(self.dim)

    @property
    def rest_dim(self) -> float:
        """Dimension D outside the features."""
        return self.dim - self.n_features

    def check_threat(self, threat: Any) -> None:
        """Refuse perturbations that coordinates in a rotated basis cannot describe.

        Parameters
        ----------
        threat : Threat
            What an attack may do.

        Raises
        ------
        ValueError
            For l_inf, whose ball depends on the axes; in the limit also for the whole l2 ball, where the
            filters' norm is infinite.
        """
        if threat.norm != "l2":
            raise ValueError(
                f"norm must be 'l2' for data in Gram-space coordinates, got {threat.norm!r}: its "
                "ball depends on the axes, which these data do not have; sample vectors instead"
            )
        if math.isinf(self.dim) and threat.subspace is None:
            raise ValueError(
                "dim must be finite for l2 attacks on the whole space, got inf: the norm of the filters "
                "is infinite in the limit; use dim=1e12, or a threat with a subspace"
            )

    def check_room(self, n_patches: int, n_noise: int, n_filters: int) -> None:
        """Refuse samples whose coordinates do not fit into memory.

        Parameters
        ----------
        n_patches, n_noise, n_filters : int
            Patches of all samples, those of them with noise, filters K.

        Raises
        ------
        TooLargeError
            Naming the sizes.
        """
        dim = self.n_features + int(min(n_noise + n_filters, self.rest_dim))
        check_room(
            "samples",
            change="n_samples or width",
            n_numbers=n_patches * dim,
            patches=n_patches,
            filters=n_filters,
        )

    def noise_rows(self, n_rows: int, n_filters: int, rng: np.random.Generator) -> FloatArray:
        """Draw noise outside the features, with columns left for the filters.

        Parameters
        ----------
        n_rows, n_filters : int
            Noise patches M and filters K.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (M, min(M + K, D))
            One row per noise patch.
        """
        width = int(min(n_rows + n_filters, self.rest_dim))
        rows: FloatArray = np.zeros((n_rows, width))
        if math.isinf(self.dim):  # L / sqrt(D) -> identity
            np.fill_diagonal(rows, self.noise_norm)
            return rows
        drawn = normal_factor(n_rows, self.rest_dim, rng)
        rows[:, : drawn.shape[1]] = self.noise_std * drawn
        return rows

    def gaussian_filters(
        self, data: PatchData, n_filters: int, init_std: float, rng: np.random.Generator
    ) -> FloatArray:
        """Draw Gaussian filters in the coordinates of training data.

        Parameters
        ----------
        data : PatchData
            Training samples of this distribution, sampled with room for `n_filters`.
        n_filters : int
            K.
        init_std : float
            Standard deviation of each of the d weights of a filter.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (K, data.dim)
            Filters, independent of the noise; in the limit their part outside the span, whose norm is
            infinite, is known up to what it does to fresh noise.

        Raises
        ------
        ValueError
            If the data were sampled without that room.
        """
        width = data.dim - self.n_features
        taken = width if width >= self.rest_dim else width - n_filters
        if taken < 0 or np.any(data.X[:, :, self.n_features + taken :]):
            raise ValueError(
                f"data must be sampled with n_filters >= {n_filters}, so that filters have coordinates "
                "of their own; use sample(n_samples, rng, n_filters=...) or sample_for(model, ...)"
            )
        check_room("initial weights", filters=n_filters, coordinates=data.dim)
        filters = np.empty((n_filters, data.dim))
        filters[:, : self.n_features] = rng.standard_normal((n_filters, self.n_features))
        if math.isinf(self.dim):
            filters[:, self.n_features :] = np.eye(n_filters, width, taken)
            known = filters[:, self.n_features : self.n_features + taken]
            known[:] = rng.standard_normal(known.shape)
        else:
            filters[:, self.n_features :] = normal_factor(n_filters, self.rest_dim, rng, n_used=taken)
        return init_std * filters

    def fresh_scale(self, data: PatchData) -> FloatArray:
        """Return the standard deviation of a fresh noise patch along each coordinate, shape (r,).

        What a fresh patch has outside the span no filter sees, so it is left out.

        Parameters
        ----------
        data : PatchData
            Training samples.

        Returns
        -------
        ndarray, shape (data.dim,)
            The same everywhere at finite d. In the limit a fresh patch meets the filters only outside the
            span of the training noise.

        Raises
        ------
        ValueError
            In the limit, if these are not the training samples.
        """
        if not math.isinf(self.dim):
            return np.full(data.dim, self.noise_std)
        noise = data.X[:, :, self.n_features :].reshape(-1, data.dim - self.n_features)
        if not np.isin(noise, (0.0, self.noise_norm)).all():
            raise ValueError("data must be the training samples in the limit dim=inf, got fresh ones")
        scale = np.zeros(data.dim)
        scale[self.n_features :] = np.where(noise.any(axis=0), 0.0, self.noise_norm)
        return scale


def filters_of(model: Any, n_classes: int) -> int:
    """Return the number K of filters of a patch network.

    Parameters
    ----------
    model : TwoLayerSpec or PowerNetworkSpec
        Model; its kind has `width` filters per class, or in all.
    n_classes : int
        Classes of the data.

    Returns
    -------
    int
        K.

    Raises
    ------
    TypeError
        If the model has no Gaussian filters.
    """
    kinds = {"two-layer": n_classes, "power-network": 1}
    if getattr(model, "kind", None) not in kinds:
        raise TypeError(
            "model must be a TwoLayerSpec or a PowerNetworkSpec on data in Gram-space coordinates, "
            f"got {type(model).__name__}"
        )
    return int(model.width) * kinds[model.kind]
